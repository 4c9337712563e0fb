"""The pixel data of a de-identified file: nothing beside the pixels goes along, and lettering is found or blanked.

Compressed frames are not decoded here but by a `Decoder` that the caller brings: decoders of damaged frames can end the
process, and whoever reads files knows how to keep them apart.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from medvision.deid.codestreams import scrubbed
from medvision.deid.lettering import Box, find_lettering
from medvision.errors import InputError

_DAMAGE = (ValueError, TypeError, AttributeError, LookupError, RuntimeError, OverflowError)
_LIMIT = 8_000_000_000  # bytes of all frames, decoded
_SMALL, _MOST_RATIO = 256 << 20, 1000  # bytes; more than that no compression reaches
_RLE_RATIO = 64  # two bytes stand for 128 at most (PS3.5, G.3.1)
_JPEGS = "1.2.840.10008.1.2.4."  # JPEG, JPEG-LS, JPEG 2000, HTJ2K: by what follows
_CODESTREAMS = ("50", "51", "57", "70", "80", "81", "90", "91", "92", "93", "201", "202", "203")
_RLE = "1.2.840.10008.1.2.5"
_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_EXPLICIT = "1.2.840.10008.1.2.1"
_PALETTE = (0x00281199, *range(0x00281101, 0x00281104), *range(0x00281201, 0x00281204), *range(0x00281221, 0x00281224))

Decoder = Callable[[], Iterable[npt.NDArray[Any]]]
"""Gives the frames of the source as they are shown: (rows, columns), or (rows, columns, 3) as red, green and blue.

It raises InputError where the frames are not whole or cannot be decoded.
"""


def tidy(dataset: Any) -> None:
    """Leave in Pixel Data what belongs to the pixels: no bytes after the last frame, no comments in compressed frames.

    Pixels are not changed. RLE is unpacked, since what follows its last run cannot be told from padding.

    Raises
    ------
    InputError
        ``truncated``; ``unsupported``: a video, or a Transfer Syntax whose frames cannot be looked through;
        ``bad-header``: the frames cannot be told apart; ``too-large``.
    """
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    length = _frame_bits(dataset)
    _check_size(dataset, length * _count(dataset) // 8)
    if syntax == _RLE:
        _unpack_runs(dataset)
    elif syntax.startswith(_JPEGS) and syntax.removeprefix(_JPEGS) in _CODESTREAMS:
        _scrub(dataset)
    elif dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        raise InputError("unsupported", f"Transfer Syntax {syntax} cannot be looked through for hidden text")
    else:
        _cut(dataset, length)


def lettering(dataset: Any, decode: Decoder) -> tuple[Box, ...]:
    """Return the boxes of lettering in all frames, as they are shown.

    Raises
    ------
    InputError
        What `decode` raises; ``bad-header``: a frame cannot be understood, and so not be looked at.
    """
    return tuple(sorted({box for frame in _frames(dataset, decode) for box in find_lettering(frame)}))


def blanked(dataset: Any, boxes: Sequence[Box], decode: Decoder) -> int:
    """Make boxes blank in every frame, and store the frames uncompressed (Explicit VR Little Endian).

    The value is the one that a frame shows darkest. Parts of boxes outside the image have no effect.

    Returns
    -------
    int
        How many boxes changed a pixel; where one was blank already, nothing was there to be removed.

    Raises
    ------
    InputError
        ``blank-outside``: a box holds no pixel of the image; ``unsupported``: pixels of a kind that is not written;
        ``bad-header``: they cannot be understood; what `decode` raises.
    """
    _check_inside(boxes, int(dataset.Rows), int(dataset.Columns))
    if dataset.BitsAllocated not in (8, 16, 32) or str(dataset.file_meta.TransferSyntaxUID) == _BIG_ENDIAN:
        raise InputError("unsupported", "pixels of one bit, or stored big-endian, are not made blank")
    if (
        str(dataset.PhotometricInterpretation).startswith("YBR")
        and not dataset.file_meta.TransferSyntaxUID.is_compressed
    ):
        raise InputError("unsupported", "uncompressed pixels in YBR colour are not made blank")
    frames = _stored(dataset, decode)
    changed = np.zeros(len(boxes), dtype=bool)
    for frame in frames:
        blank = frame.max(axis=(0, 1)) if dataset.PhotometricInterpretation == "MONOCHROME1" else frame.min(axis=(0, 1))
        parts = [frame[box.y : box.y + box.height, box.x : box.x + box.width] for box in boxes]
        changed |= [bool((part != blank).any()) for part in parts]
        for part in parts:
            part[...] = blank
    if dataset.get("SamplesPerPixel", 1) > 1:
        dataset.PlanarConfiguration = 0
    content = frames.tobytes()
    dataset.PixelData = content + b"\0" * (len(content) % 2)
    dataset["PixelData"].VR = "OW" if dataset.BitsAllocated > 8 else "OB"
    dataset.file_meta.TransferSyntaxUID = type(dataset.file_meta.TransferSyntaxUID)(_EXPLICIT)
    return int(changed.sum())


def plane_is_clear(dataset: Any, group: int) -> bool:
    """Return whether an overlay plane (PS3.3, C.9.2) holds no lettering; False where it cannot be looked at."""
    try:
        plane = np.atleast_3d(np.asarray(dataset.overlay_array(group), dtype=np.uint8) * 255)
        frames = plane if plane.shape[-1] != 1 else plane[None, ..., 0]
        return not any(find_lettering(frame) for frame in frames)
    except (InputError, *_DAMAGE):
        return False


def _check_inside(boxes: Sequence[Box], rows: int, columns: int) -> None:
    for number, box in enumerate(boxes, 1):
        if box.x >= columns or box.y >= rows:
            text = f"box {number} of {len(boxes)} lies outside the image of {columns} columns and {rows} rows"
            raise InputError("blank-outside", text)


def _frame_bits(dataset: Any) -> int:
    try:
        rows, columns, bits = int(dataset.Rows), int(dataset.Columns), int(dataset.BitsAllocated)
        samples = int(dataset.get("SamplesPerPixel") or 1)
        subsampled = str(dataset.get("PhotometricInterpretation") or "") == "YBR_FULL_422"
    except (*_DAMAGE, EOFError):
        raise InputError("bad-header", "Rows, Columns or Bits Allocated is missing or damaged") from None
    if min(rows, columns, bits, samples) <= 0:
        raise InputError("bad-header", "Rows, Columns or Bits Allocated is zero")
    return rows * columns * bits * (2 if subsampled else samples)


def _count(dataset: Any) -> int:
    return max(int(dataset.get("NumberOfFrames") or 1), 1)


def _check_size(dataset: Any, claimed: int) -> None:
    """Compare what the header claims with what is there, before memory is taken for it."""
    if claimed > _LIMIT:
        raise InputError("too-large", f"the header claims {claimed:,} bytes of pixels, {_LIMIT:,} are accepted")
    syntax, there = dataset.file_meta.TransferSyntaxUID, len(dataset.PixelData or b"")
    if syntax == _RLE and claimed > there * _RLE_RATIO:
        raise InputError("truncated", f"{there:,} bytes of run lengths are too few for {claimed:,} bytes of pixels")
    if syntax.is_encapsulated and claimed > _SMALL and claimed > there * _MOST_RATIO:
        text = f"{there:,} bytes claim to hold {claimed:,} bytes of pixels, which no compression reaches"
        raise InputError("too-large", text)


def _cut(dataset: Any, bits: int) -> None:
    wanted = (bits * _count(dataset) + 7) // 8
    there = len(dataset.PixelData)
    if there < wanted:
        raise InputError("truncated", f"{wanted:,} bytes of pixels are promised, {there:,} are there")
    padded = wanted + wanted % 2  # big-endian words can hold the last byte of an odd number after the padding
    if there > padded:
        dataset["PixelData"].value = dataset.PixelData[:padded]


def _scrub(dataset: Any) -> None:
    from pydicom.encaps import encapsulate, generate_frames

    try:
        frames = list(generate_frames(dataset.PixelData, number_of_frames=_count(dataset)))
        if len(frames) != _count(dataset):
            raise ValueError(len(frames))
        dataset.PixelData = encapsulate([scrubbed(frame) for frame in frames])
    except InputError:
        raise
    except _DAMAGE as error:
        raise InputError("bad-header", f"the frames cannot be told apart ({type(error).__name__})") from None
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True


def _unpack_runs(dataset: Any) -> None:
    """Unpack RLE by the decoder that is Python; it warns of runs that are too long or too short, which are refused."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            dataset.decompress(as_rgb=False, generate_instance_uid=False, decoding_plugin="pydicom")
    except (Warning, *_DAMAGE) as error:
        raise _undecoded(error) from None


def _undecoded(error: Exception) -> InputError:
    return InputError("bad-header", f"the pixels cannot be decoded ({type(error).__name__})")


def _decoded(dataset: Any, decode: Decoder) -> Iterator[npt.NDArray[Any]]:
    """Give each frame of compressed pixels, once it has the size and the number that the header states."""
    count = 0
    for frame in decode():
        if frame.shape[:2] != (dataset.Rows, dataset.Columns):
            raise InputError("bad-header", "a compressed frame has another size than Rows and Columns")
        count += 1
        yield frame
    if count != _count(dataset):
        raise InputError("bad-header", f"{count} frames were decoded, {_count(dataset)} are stated")


def _frames(dataset: Any, decode: Decoder) -> Iterator[npt.NDArray[Any]]:
    """Give each frame as it is shown, (rows, columns) or (rows, columns, samples)."""
    from pydicom.pixels import apply_color_lut, iter_pixels

    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        yield from _decoded(dataset, decode)
        return
    has_palette = dataset.PhotometricInterpretation == "PALETTE COLOR"
    try:
        for frame in iter_pixels(dataset):
            yield apply_color_lut(frame, dataset) if has_palette else frame
    except _DAMAGE as error:
        raise _undecoded(error) from None


def _stored(dataset: Any, decode: Decoder) -> npt.NDArray[Any]:
    """Return the stored values that can be written to, (frames, rows, columns) or with samples at the end."""
    from pydicom.pixels import pixel_array

    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return _restated(dataset, np.stack(list(_decoded(dataset, decode))))
    try:
        pixels = np.array(pixel_array(dataset, raw=True))
    except _DAMAGE as error:
        raise _undecoded(error) from None
    return pixels if _count(dataset) > 1 else pixels[None]


def _restated(dataset: Any, frames: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Let the header state pixels as they were decoded: colours are red, green and blue, and a palette is applied."""
    if frames.ndim == 4:
        if dataset.PhotometricInterpretation == "PALETTE COLOR":
            dataset.BitsStored = 8 * frames.dtype.itemsize
            for tag in _PALETTE:
                dataset.pop(tag, None)
        dataset.PhotometricInterpretation, dataset.SamplesPerPixel = "RGB", frames.shape[3]
    dataset.BitsAllocated = 8 * frames.dtype.itemsize
    dataset.BitsStored = min(dataset.BitsStored, dataset.BitsAllocated)
    dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, int(frames.dtype.kind == "i")
    return frames
