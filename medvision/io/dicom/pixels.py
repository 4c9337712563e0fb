"""Stored pixels: decoded whole or refused, with bits that hold no image cleared."""

from __future__ import annotations

import functools
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.archives import stamp_of
from medvision.errors import InputError
from medvision.files import sha256_of_bytes
from medvision.io.dicom.codestream import check_codestreams
from medvision.io.dicom.content import opened
from medvision.io.dicom.frame import Frame
from medvision.io.dicom.header import read_dataset, read_frames
from medvision.io.dicom.mosaic import tiles_of, unpacked
from medvision.io.located import decoding, located

_PLAIN = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99")
_PIXEL_DATA = 0x7FE00010
_RLE, _EXTENDED = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.51"
_NOT_GDCM = tuple(f"1.2.840.10008.1.2.4.{number}" for number in (50, 80, 81, 90, 91))
_PADDING = 1024  # bytes; some writers fill up a block
INSTALL = "pip install 'medvision-toolkit[codecs]' (python-gdcm and pyjpegls)"
"""How to get the decoders that are not installed by default."""


def stored_pixels(frames: Sequence[Frame]) -> Iterator[tuple[int, NDArray[Any]]]:
    """Give the place of each frame in `frames`, and its (rows, columns) or (rows, columns, 3) stored values.

    Each file is opened once. Colours are RGB, whatever they are stored as; a palette is expanded.

    Raises
    ------
    InputError
        ``truncated``, ``bad-header``: the pixels are not whole or cannot be decoded; ``codec-missing``.
    """
    of_file: dict[Path, list[int]] = defaultdict(list)
    for place, frame in enumerate(frames):
        of_file[frame.file].append(place)
    for file, places in of_file.items():
        members = [frames[place] for place in places]
        with located(file):
            if _is_plain(members[0]):
                yield places[0], _clean(_read_plain(members[0]), members[0])
                continue
            for place, pixels in zip(places, _decoded(members), strict=True):
                yield place, _clean(pixels, frames[place])


def same_pixels(one: Frame, other: Frame) -> bool:
    """Whether the stored pixels of two frames are equal."""
    return _fingerprint(one) == _fingerprint(other)


@functools.cache
def has_decoder(transfer_syntax: str) -> bool:
    """Whether pixels of a Transfer Syntax can be decoded here.

    Raises
    ------
    InputError
        ``unsupported``: the syntax is not known.
    """
    from pydicom.pixels import get_decoder

    try:
        return bool(get_decoder(transfer_syntax).is_available)
    except NotImplementedError:
        raise InputError("unsupported", f"Transfer Syntax {transfer_syntax} is not read") from None


def _is_plain(frame: Frame) -> bool:
    """Whether the pixels are one grey frame of whole bytes that can be taken as they stand in the file."""
    return (
        frame.pixels is not None
        and frame.pixels[0] == _PIXEL_DATA
        and frame.pixels[2] is not None
        and frame.transfer_syntax in _PLAIN
        and frame.frames == 1
        and frame.samples in (1, None)
        and frame.photometric in ("MONOCHROME1", "MONOCHROME2")
        and frame.bits_allocated in (8, 16, 32)
        and frame.tile is None
    )


def _read_plain(frame: Frame) -> NDArray[Any]:
    _, offset, length = frame.pixels or (0, 0, 0)
    rows, columns, allocated = frame.rows or 0, frame.columns or 0, frame.bits_allocated or 0
    wanted = rows * columns * allocated // 8
    with opened(frame.file) as content:
        content.seek(offset)
        found = bytearray(content.read(wanted))
        stated = length or 0
        behind = content.read(min(stated - wanted, _PADDING + 1)) if stated > wanted else b""
    if len(found) < wanted or len(found) + len(behind) < min(stated, wanted + _PADDING + 1) or stated < wanted:
        there = min(len(found), stated)
        raise InputError("truncated", f"{there:,} of {wanted:,} bytes of Pixel Data are there")
    _check_surplus(frame, behind)
    kind = np.dtype(f"<{'i' if frame.pixel_representation else 'u'}{allocated // 8}")
    return np.frombuffer(found, dtype=kind).reshape(rows, columns)


def _check_surplus(frame: Frame, behind: bytes) -> None:
    """Refuse pixels that are more than Rows and Columns make, but for zeros that fill up a block.

    The header may not describe the pixels: what is left would be shifted from row to row.
    """
    if len(behind) > 1 and (frame.is_assumed or len(behind) > _PADDING or any(behind)):
        text = f"{len(behind):,} bytes of Pixel Data are more than Rows {frame.rows} and Columns {frame.columns} make"
        raise InputError("bad-header", text)


def _decoded(frames: Sequence[Frame]) -> Iterator[NDArray[Any]]:
    """Give the pixels of frames of one file, by pydicom and its decoders."""
    first = frames[0]
    with opened(first.file) as content:
        dataset = read_dataset(content, with_pixels=True)
    if first.is_assumed:
        dataset.file_meta.TransferSyntaxUID = first.transfer_syntax
    _check_length(first, dataset)
    if first.tile is not None:
        tiles = _tiles(_pixel_array(dataset, first), dataset)
        yield from (tiles[frame.number] for frame in frames)
        return
    for plugin in dict.fromkeys((_decoder(first.transfer_syntax), "")):
        try:
            yield from [_in_colour(pixels, dataset) for pixels in _by_plugin(frames, dataset, plugin)]
            return
        except (InputError, Warning):
            continue
    raise _as_missing(first)


def _by_plugin(frames: Sequence[Frame], dataset: Any, plugin: str) -> Iterator[NDArray[Any]]:
    from pydicom.pixels import iter_pixels

    numbers = [frame.number for frame in frames] if frames[0].frames > 1 else None
    with decoding("Pixel Data"), warnings.catch_warnings():
        if frames[0].transfer_syntax == _RLE:  # of runs that are too long or too short, pydicom only warns
            warnings.simplefilter("error")
        yield from iter_pixels(dataset, indices=numbers, decoding_plugin=plugin)


@functools.cache
def _decoder(transfer_syntax: str) -> str:
    """Return the decoder to use, empty for any: GDCM, which pydicom prefers, can end the process on damage."""
    from pydicom.pixels import get_decoder

    plugins = get_decoder(transfer_syntax).available_plugins if transfer_syntax in _NOT_GDCM else ()
    return next((name for name in ("pyjpegls", "pylibjpeg", "pillow") if name in plugins), "")


def _as_missing(frame: Frame) -> InputError:
    """Return why pixels could not be decoded: damage, or a decoder that knows the encoding better is not there."""
    if frame.transfer_syntax == _EXTENDED and (frame.bits_stored or 0) > 8:
        text = "JPEG Extended of 12 bits has no decoder here"
        return InputError("codec-missing", text, cure="Have the archive send it uncompressed.")
    if frame.transfer_syntax not in _PLAIN and not _has_gdcm():
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
        _check_surplus(frame, content[wanted : wanted + _PADDING + 1])
    else:
        check_codestreams(content, frame)


def _pixel_array(dataset: Any, frame: Frame) -> NDArray[Any]:
    try:
        with decoding("Pixel Data"):
            pixels: NDArray[Any] = dataset.pixel_array
    except InputError:
        raise _as_missing(frame) from None
    return pixels


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


def _clean(pixels: NDArray[Any], frame: Frame) -> NDArray[Any]:
    """Return pixels with the bits above Bits Stored cleared, or filled with the sign (PS3.5, 8.1.1)."""
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    if pixels.shape[:2] != (frame.rows, frame.columns):
        raise InputError("bad-header", f"Pixel Data is {pixels.shape[:2]}, the header says {frame.rows, frame.columns}")
    unused = pixels.dtype.itemsize * 8 - (frame.bits_stored or 0)
    if pixels.ndim != 2 or unused <= 0 or frame.bits_stored in (None, 1) or pixels.dtype.kind not in "iu":
        return pixels
    if not pixels.flags.writeable:
        pixels = pixels.copy()
    pixels <<= unused
    pixels >>= unused
    return pixels


def _fingerprint(frame: Frame) -> str:
    with located(frame.file):
        return _fingerprints(frame.file, *stamp_of(frame.file))[frame.number]


@functools.lru_cache(maxsize=4096)
def _fingerprints(file: Path, size: int, changed_ns: int) -> tuple[str, ...]:
    """Return the hash of each frame's pixels; all frames at once, and once until the file changes."""
    return tuple(
        sha256_of_bytes(str(pixels.shape).encode(), np.ascontiguousarray(pixels).tobytes())
        for _, pixels in stored_pixels(read_frames(file))
    )
