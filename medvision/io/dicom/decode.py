"""Pixels that pydicom and its decoders have to make: compressed, in colour, of many frames, tiled."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.errors import InputError
from medvision.io.dicom.apart import decoded_apart
from medvision.io.dicom.codestream import check_codestreams, keep_all_bits, stated
from medvision.io.dicom.content import opened
from medvision.io.dicom.frame import Frame
from medvision.io.dicom.header import read_dataset
from medvision.io.dicom.mosaic import tiles_of, unpacked
from medvision.io.dicom.parsed import dataset_of, forget
from medvision.io.located import decoding, known_uid

PADDING = 1024
"""Bytes that may follow the pixels, if they are zero: some writers fill up a block."""
INSTALL = "pip install 'medvision-toolkit[codecs]' (python-gdcm and pyjpegls)"
"""How to get the decoders that are not installed by default."""

_RLE, _EXTENDED = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.51"
_JPEG_2000, _START_OF_JPEG_2000 = "1.2.840.10008.1.2.4.91", b"\xff\x4f\xff\x51"
_HEAD = 1 << 16  # bytes that hold the table of offsets and the header of the first picture
_AS_LONG_AS_PLAIN = "The number of bytes of compressed pixel data matches"
_RUNS_TOO_LONG = "The decoded RLE segment"
_CODED = "1.2.840.10008.1.2.4."  # JPEG and its kin, whose pictures state how many bits a sample has
_IN_PROCESS = ("pyjpegls", "pylibjpeg", "pillow", "pydicom")  # in this order, what may run here
_APART = "gdcm"  # what can end the process on damage


def decoded(frames: Sequence[Frame]) -> Iterator[NDArray[Any]]:
    """Give the pixels of frames of one file, (rows, columns) or (rows, columns, 3).

    Raises
    ------
    InputError
        ``truncated``, ``bad-header``: the pixels are not whole or cannot be decoded; ``codec-missing``.
    """
    first = frames[0]
    dataset = _dataset(frames)
    if first.is_assumed:
        dataset.file_meta.TransferSyntaxUID = first.transfer_syntax
    with decoding("Pixel Data"):
        _check_length(first, dataset)
        keep_all_bits(dataset)
    numbers = [frame.number for frame in frames] if first.frames > 1 else None
    if first.tile is not None:
        (picture,) = _by_any_decoder(first, dataset, None)
        tiles = _tiles(_within_bits(picture, first), dataset)
        yield from (tiles[frame.number] for frame in frames)
        return
    for pixels in _by_any_decoder(first, dataset, numbers):
        yield _in_colour(_within_bits(pixels, first), dataset)


def is_coded_with_loss(frame: Frame) -> bool:
    """Whether the first picture of JPEG 2000 that may lose something states a wavelet that does (T.800, A.6.1).

    Raises
    ------
    InputError
        ``not-found``, ``bad-header``: the file cannot be opened or parsed again.
    """
    if frame.transfer_syntax != _JPEG_2000:
        return False
    with opened(frame.file) as content:
        if frame.pixels is not None:
            content.seek(frame.pixels[1])
        else:
            read_dataset(content, with_pixels=False)  # it stops where the pixels begin
        head = content.read(_HEAD)
    picture = stated(head[max(head.find(_START_OF_JPEG_2000), 0) :])
    return picture is not None and picture.is_lossy


def check_surplus(frame: Frame, behind: bytes) -> None:
    """Refuse pixels that are more than Rows and Columns make, but for zeros that fill up a block.

    The header may not describe the pixels: what is left would be shifted from row to row.
    """
    if len(behind) > 1 and (frame.is_assumed or len(behind) > PADDING or any(behind)):
        text = f"{len(behind):,} bytes of Pixel Data are more than Rows {frame.rows} and Columns {frame.columns} make"
        raise InputError("bad-header", text)


def _dataset(frames: Sequence[Frame]) -> Any:
    """Return the data set of a file; of one with frames of several volumes, it is kept until the last is read."""
    first = frames[0]
    if first.frames == 1:
        with opened(first.file) as content:
            return read_dataset(content, with_pixels=True)
    dataset = dataset_of(first.file)
    if any(frame.number == first.frames - 1 for frame in frames):
        forget(first.file)
    return dataset


@functools.cache
def has_decoder(transfer_syntax: str) -> bool:
    """Whether pixels of a Transfer Syntax can be decoded here.

    Raises
    ------
    InputError
        ``unsupported``: the syntax is not known.
    """
    return bool(_decoders(transfer_syntax))


@functools.cache
def _decoders(transfer_syntax: str) -> tuple[str, ...]:
    """Return the names of the decoders for a syntax, the one to try first at the start; one empty name for none."""
    from pydicom.pixels import get_decoder
    from pydicom.uid import UID

    try:
        plugins = get_decoder(transfer_syntax).available_plugins
    except NotImplementedError:
        raise InputError("unsupported", f"Transfer Syntax {known_uid(transfer_syntax)} is not read") from None
    if not UID(transfer_syntax).is_encapsulated:
        return ("",)
    return tuple(name for name in (*_IN_PROCESS, _APART) if name in plugins)


def _by_any_decoder(first: Frame, dataset: Any, numbers: Sequence[int] | None) -> list[NDArray[Any]]:
    """Return frames by the first decoder that can; pictures of small sizes and odd colours are not read by all."""
    for name in _decoders(first.transfer_syntax):
        try:
            if name == _APART:
                return decoded_apart(first.file, numbers, first.transfer_syntax if first.is_assumed else None)
            return list(_in_process(first, dataset, numbers, name))
        except (InputError, Warning):
            continue
    raise _not_decoded(first)


def _in_process(frame: Frame, dataset: Any, numbers: Sequence[int] | None, name: str) -> Iterator[NDArray[Any]]:
    from pydicom.pixels import iter_pixels

    with decoding("Pixel Data"), warnings.catch_warnings():
        if frame.transfer_syntax == _RLE:  # of runs that are too long, pydicom only warns
            warnings.filterwarnings("ignore", _AS_LONG_AS_PLAIN)
            warnings.filterwarnings("error", _RUNS_TOO_LONG)
        yield from iter_pixels(dataset, indices=numbers, decoding_plugin=name)


def _within_bits(pixels: NDArray[Any], frame: Frame) -> NDArray[Any]:
    """Refuse a picture whose values do not fit into Bits Stored; writers may code all bits that are allocated.

    The bits above those stored have to be all zero, or all the sign; zeros become the sign.
    """
    stored = frame.bits_stored or 0
    unused = pixels.dtype.itemsize * 8 - stored
    is_coded = frame.transfer_syntax.startswith(_CODED)
    if not is_coded or pixels.ndim != 2 or pixels.dtype.kind not in "iu" or not 0 < unused < unused + stored:
        return pixels
    least, greatest, half = int(pixels.min()), int(pixels.max()), 1 << (stored - 1)
    if pixels.dtype.kind == "i" and -half <= least and greatest < half:
        return pixels
    if least < 0 or greatest >= 2 * half:
        text = f"the compressed picture holds values that do not fit into Bits Stored ({stored})"
        raise InputError("bad-header", text)
    return (pixels << unused) >> unused


def _not_decoded(frame: Frame) -> InputError:
    """Return why pixels could not be decoded: damage, or a decoder that knows the encoding better is not there."""
    if frame.transfer_syntax == _EXTENDED and (frame.bits_stored or 0) > 8:
        text = "JPEG Extended of 12 bits has no decoder here"
        return InputError("codec-missing", text, cure="Have the archive send it uncompressed.")
    if _decoders(frame.transfer_syntax) != ("",) and not _has_gdcm():
        return InputError("codec-missing", "the decoder that is installed cannot read it", cure=INSTALL)
    return InputError("bad-header", "Pixel Data cannot be decoded")


@functools.cache
def _has_gdcm() -> bool:
    from importlib.util import find_spec

    return find_spec("gdcm") is not None


def _check_length(frame: Frame, dataset: Any) -> None:
    from pydicom.uid import UID

    keyword = next((k for k in ("PixelData", "FloatPixelData", "DoubleFloatPixelData") if k in dataset), None)
    content = (dataset[keyword].value or b"") if keyword else b""
    found = len(content)
    pixels = (frame.tile[2] * frame.tile[3]) if frame.tile else (frame.rows or 0) * (frame.columns or 0)
    samples = frame.samples or 1
    if frame.photometric == "YBR_FULL_422":  # two chroma samples for two pixels
        wanted = pixels * 2 * frame.frames
    else:
        wanted = pixels * samples * frame.frames * (frame.bits_allocated or 0) // 8
    if found == 0 or (not UID(frame.transfer_syntax).is_encapsulated and found < wanted):
        raise InputError("truncated", f"{found:,} of {wanted:,} bytes of Pixel Data are there")
    if not UID(frame.transfer_syntax).is_encapsulated:
        check_surplus(frame, content[wanted : wanted + PADDING + 1])
    else:
        check_codestreams(content, frame)


def _tiles(picture: NDArray[Any], dataset: Any) -> NDArray[Any]:
    """Return the (count, rows, columns) tiles of a mosaic."""
    mosaic = tiles_of(dataset)
    if mosaic is None:
        raise InputError("unsupported", "the tiles of a mosaic are not stated")
    return unpacked(picture, mosaic)


def _in_colour(pixels: NDArray[Any], dataset: Any) -> NDArray[Any]:
    """Return a palette's colours where there is one; pydicom has converted other colour spaces to RGB."""
    if dataset.PhotometricInterpretation != "PALETTE COLOR":
        return pixels
    from pydicom.pixels import apply_color_lut

    with decoding("the palette"):
        colours: NDArray[Any] = apply_color_lut(pixels, dataset)[..., :3]
        whole = apply_color_lut(np.arange(np.iinfo(pixels.dtype).max + 1).astype(pixels.dtype), dataset)[..., :3]
    # Entries of 16 bits mostly hold colours of 8, in their upper half or in both. One picture may show a few of them.
    factor = next((one for one in (257, 256) if colours.dtype == np.uint16 and not (whole % one).any()), 1)
    return (colours // factor).astype(np.uint8) if factor > 1 else colours
