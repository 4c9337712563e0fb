"""Stored pixels gathered slice by slice into one volume of real values, in the smallest type that keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.errors import Finding, InputError
from medvision.io.dicom.frame import Frame
from medvision.io.dicom.mapping import Linear, Mapping, Table
from medvision.io.dicom.objects import image_kind

_INTEGERS = (np.uint8, np.int16, np.uint16, np.int32, np.int64)
_SHORT = (np.int16, np.uint16)


class Values:
    """The real values of a volume in the making.

    Parameters
    ----------
    frames
        The frames in order.
    mappings
        How stored values become real ones, one a frame.
    """

    def __init__(self, frames: Sequence[Frame], mappings: Sequence[Mapping]) -> None:
        self._frames = frames
        self._mappings = mappings
        self._keeps = all(isinstance(one, Linear) and one.keeps_integers for one in mappings)
        self._values: NDArray[Any] | None = None
        self._padding: dict[int, NDArray[np.bool_]] = {}
        self._inverted = 0
        self._unmapped = 0

    def put(self, number: int, pixels: NDArray[Any]) -> None:
        """Take the stored pixels, (rows, columns) or (rows, columns, 3), of a frame."""
        frame = self._frames[number]
        padding = _is_padding(pixels, frame) if pixels.ndim == 2 else None
        if padding is not None and padding.any():
            self._padding[number] = padding
        mapping = self._mappings[number]
        if isinstance(mapping, Linear) and mapping.stated_for is not None:
            outside = (pixels < mapping.stated_for[0]) | (pixels > mapping.stated_for[1])
            self._unmapped += int((outside if padding is None else outside & ~padding).sum())
        if _is_negative(frame):
            pixels = _inverted(pixels, frame)
            self._inverted += 1
        if isinstance(mapping, Table):
            index = np.clip(pixels.astype(np.int64) - mapping.first, 0, len(mapping.entries) - 1)
            pixels = mapping.entries[index]
        elif not self._keeps:
            pixels = pixels * np.float64(mapping.slope) + mapping.intercept
        if self._values is None:
            kind = pixels.dtype if self._keeps or isinstance(mapping, Table) else np.dtype(np.float32)
            self._values = np.empty((len(self._frames), *pixels.shape), dtype=kind)
        self._values[number] = pixels

    def finished(self, path: Path) -> tuple[NDArray[Any], tuple[Finding, ...]]:
        """Return (slices, rows, columns) or (slices, rows, columns, 3) real values, and what was done to them."""
        values = self._values
        if values is None:
            raise InputError("truncated", "there are no pixels", path=path)
        if self._keeps and values.dtype.kind in "iu":
            values = self._shifted(values)
        findings = self._without_padding(values, path)
        if self._inverted:
            text = "stored bright to dark (MONOCHROME1): grey values were inverted"
            findings += (Finding("inverted", "note", text, path),)
        if self._unmapped:
            text = f"{self._unmapped} voxels lie outside the range for which the Real World Value Mapping is stated"
            cure = "Do not trust these voxels: what they mean is not stated."
            findings += (Finding("bad-rescale", "warning", text, path, cure),)
        if any(_is_doubtful(frame) for frame in self._frames):
            text = "Presentation LUT Shape is INVERSE beside MONOCHROME2: whether dark is air is not certain"
            findings += (Finding("bad-header", "warning", text, path, "Look whether bone is bright."),)
        return values, findings

    def _shifted(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return integers with their intercepts added, in the type of the header's bits, shorter where that holds."""
        shifts = np.array([int(one.intercept) for one in self._mappings if isinstance(one, Linear)], dtype=object)
        ends = [_limits(frame, values.dtype) for frame in self._frames]
        least = min(low + shift for (low, _), shift in zip(ends, shifts, strict=True))
        most = max(high + shift for (_, high), shift in zip(ends, shifts, strict=True))
        if most - least > np.iinfo(np.int16).max * 2 or values.dtype.itemsize > 2:
            least = min(int(part.min()) + shift for part, shift in zip(values, shifts, strict=True))
            most = max(int(part.max()) + shift for part, shift in zip(values, shifts, strict=True))
            kinds: tuple[Any, ...] = (*_SHORT, np.int32, np.int64)
        else:
            kinds = _INTEGERS
        kind = next((np.dtype(one) for one in kinds if _holds(np.iinfo(one), least, most)), None)
        if kind is None:
            shift = shifts.astype(np.float64).reshape(-1, *[1] * (values.ndim - 1))
            return (values + shift).astype(np.float32)
        # In the same number of bits, sums wrap round and end where they fit.
        values = values.view(kind) if kind.itemsize == values.dtype.itemsize else values.astype(kind)
        for part, shift in zip(values, shifts, strict=True):
            if shift:
                wrapped = np.array(shift % (1 << kind.itemsize * 8), dtype=f"u{kind.itemsize}").view(kind)
                np.add(part, wrapped, out=part)
        return values

    def _without_padding(self, values: NDArray[Any], path: Path) -> tuple[Finding, ...]:
        """Set padding to the least other value, in place; it is no measurement and must not enter a statistic."""
        if not self._padding:
            return ()
        others = [
            part[~self._padding[number]] if number in self._padding else part for number, part in enumerate(values)
        ]
        smallest = [part.min() for part in others if part.size]
        if not smallest:
            return ()
        for number, padding in self._padding.items():
            values[number][padding] = min(smallest)
        count = sum(int(padding.sum()) for padding in self._padding.values())
        return (Finding("padding-replaced", "note", f"{count} voxels were padding", path),)


def _holds(limits: np.iinfo[Any], least: int, most: int) -> bool:
    return bool(limits.min <= least and most <= limits.max)


def _limits(frame: Frame, kind: np.dtype[Any]) -> tuple[int, int]:
    """Return the least and the greatest value that Bits Stored can hold; a palette's colours fill their type."""
    if frame.photometric == "PALETTE COLOR":
        return 0, int(np.iinfo(kind).max)
    bits = frame.bits_stored or 0
    low = -(1 << (bits - 1)) if frame.pixel_representation else 0
    return low, low + (1 << bits) - 1


def _is_negative(frame: Frame) -> bool:
    """Whether a picture is stored bright to dark; slices hold measurements, which MONOCHROME1 does not change."""
    return frame.photometric == "MONOCHROME1" and _is_picture(frame)


def _is_doubtful(frame: Frame) -> bool:
    """Whether a picture states both orders: MONOCHROME2 goes with IDENTITY (PS3.3, C.8.11.3.1.2)."""
    return frame.photometric == "MONOCHROME2" and frame.presentation == "INVERSE" and _is_picture(frame)


def _is_picture(frame: Frame) -> bool:
    kind = image_kind(frame.sop_class)
    return kind is not None and kind.form in ("projection", "frames")


def _inverted(pixels: NDArray[Any], frame: Frame) -> NDArray[Any]:
    low, high = _limits(frame, pixels.dtype)
    return (np.int64(low + high) - pixels).astype(pixels.dtype)


def _is_padding(stored: NDArray[Any], frame: Frame) -> NDArray[np.bool_] | None:
    """Return where pixels are padding (PS3.3, C.7.5.1.1.2, C.7.6.26); None where nothing says so."""
    if not frame.has_float_pixels:
        return None if frame.padding is None else _is_whole_padding(stored, frame, frame.padding)
    if frame.float_padding is None:
        return None
    low, high = sorted(frame.float_padding)
    return np.asarray(np.isnan(stored) if np.isnan(low + high) else (stored >= low) & (stored <= high))


def _is_whole_padding(stored: NDArray[Any], frame: Frame, value: int) -> NDArray[np.bool_]:
    """Return where whole numbers are padding; the tag may hold a signed value as an unsigned one."""
    ends = [value, value if frame.padding_limit is None else frame.padding_limit]
    allocated = frame.bits_allocated or 0
    low, high = _limits(frame, stored.dtype)
    if frame.pixel_representation:
        ends = [end - (1 << allocated) if end >= 1 << (allocated - 1) else end for end in ends]
    if not all(low <= end <= high for end in ends):
        # Such values stand outside the bits that hold the image, and are cut to other ones when these are read.
        raise InputError("bad-header", "Pixel Padding Value lies outside Bits Stored", path=frame.file)
    return np.asarray((stored >= min(ends)) & (stored <= max(ends)))
