"""Stored pixels: decoded whole or refused, with bits that hold no image cleared."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.archives import stamp_of
from medvision.errors import InputError
from medvision.files import sha256_of_bytes
from medvision.io.dicom.content import opened
from medvision.io.dicom.decode import PADDING, check_surplus, decoded
from medvision.io.dicom.frame import Frame
from medvision.io.dicom.header import read_frames
from medvision.io.located import located

_PLAIN = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99")
_PIXEL_DATA = 0x7FE00010


def stored_pixels(frames: Sequence[Frame], cleared: dict[int, int] | None = None) -> Iterator[tuple[int, NDArray[Any]]]:
    """Give the place of each frame in `frames`, and its (rows, columns) or (rows, columns, 3) stored values.

    Each file is opened once. Colours are RGB, whatever they are stored as; a palette is expanded.

    Parameters
    ----------
    frames
        Of any files.
    cleared
        Is filled: by its place, in how many pixels of a frame bits above Bits Stored were set, other than signs.

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
            found = iter([_read_plain(members[0])]) if _is_plain(members[0]) else decoded(members)
            for place, pixels in zip(places, found, strict=True):
                if cleared is not None and (count := _count_set_above(pixels, frames[place])):
                    cleared[place] = count
                yield place, _clean(pixels, frames[place])


def same_pixels(one: Frame, other: Frame) -> bool:
    """Whether the stored pixels of two frames are equal."""
    return _fingerprint(one) == _fingerprint(other)


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
        behind = content.read(min(stated - wanted, PADDING + 1)) if stated > wanted else b""
    if len(found) < wanted or len(found) + len(behind) < min(stated, wanted + PADDING + 1) or stated < wanted:
        there = min(len(found), stated)
        raise InputError("truncated", f"{there:,} of {wanted:,} bytes of Pixel Data are there")
    check_surplus(frame, behind)
    kind = np.dtype(f"<{'i' if frame.pixel_representation else 'u'}{allocated // 8}")
    return np.frombuffer(found, dtype=kind).reshape(rows, columns)


def _clean(pixels: NDArray[Any], frame: Frame) -> NDArray[Any]:
    """Return pixels with the bits above Bits Stored cleared, or filled with the sign (PS3.5, 8.1.1)."""
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    if pixels.shape[:2] != (frame.rows, frame.columns):
        raise InputError("bad-header", f"Pixel Data is {pixels.shape[:2]}, the header says {frame.rows, frame.columns}")
    unused = _unused_bits(pixels, frame)
    if not unused:
        return pixels
    if not pixels.flags.writeable:
        pixels = pixels.copy()
    pixels <<= unused
    pixels >>= unused
    return pixels


def _unused_bits(pixels: NDArray[Any], frame: Frame) -> int:
    """Return how many bits of a pixel lie above Bits Stored, where these hold whole grey values."""
    if pixels.ndim != 2 or frame.bits_stored in (None, 1) or pixels.dtype.kind not in "iu":
        return 0
    return max(pixels.dtype.itemsize * 8 - (frame.bits_stored or 0), 0)


def _count_set_above(pixels: NDArray[Any], frame: Frame) -> int:
    """Return in how many pixels bits above Bits Stored are set that are no signs; they may hold an overlay, or junk."""
    stored = frame.bits_stored or 0
    if not _unused_bits(pixels, frame):
        return 0
    low = -(1 << (stored - 1)) if pixels.dtype.kind == "i" else 0
    high = low + (1 << stored) - 1
    if low <= pixels.min() and pixels.max() <= high:
        return 0
    outside = (pixels < low) | (pixels > high)
    return int((outside & (pixels >> stored != 0)).sum())


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
