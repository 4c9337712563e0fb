"""The voxels of one DICOM series, in real values."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.errors import Finding, InputError
from medvision.io.dicom.grid import Stack, stacked
from medvision.io.dicom.header import Header, read_header
from medvision.io.located import decoding, located, quiet
from medvision.volume import Volume

_MAX_BYTES = 8_000_000_000
_INTEGERS = (np.uint8, np.int16, np.uint16, np.int32, np.int64)
_LOSSY = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.81")


def read_dicom(files: Sequence[Path]) -> Volume:
    """Return the volume of one series of single-frame CT, MR or PET slices, or of one radiograph.

    Values are rescaled slice by slice (PS3.3, C.11.1 and C.8); CT is in HU. Integers stay integers where every slope is
    1. Padding is set to the least of the other values.

    Raises
    ------
    InputError, GeometryError
        As :func:`medvision.io.dicom.grid.stacked`; also ``truncated``, ``bad-rescale``, ``too-large``.
    """
    with quiet():
        stack = stacked([read_header(file) for file in files])
        folder = files[0] if len(files) == 1 else files[0].parent
        with located(folder):
            kind = _result_type(stack.headers)
            size = kind.itemsize * int(np.prod(stack.geometry.shape, dtype=object))
            if size > _MAX_BYTES:
                raise InputError("too-large", f"the headers claim {size:,} bytes, {_MAX_BYTES:,} are accepted")
            values, padding = _values(stack, kind)
            findings = (*stack.findings, *_remarks(stack, folder), *_without_padding(values, padding, folder))
            first = stack.headers[0]
            return Volume(
                _narrowed(values).transpose(2, 1, 0)[None], stack.geometry, first.modality, _unit(first), findings
            )


def _result_type(headers: Sequence[Header]) -> np.dtype[Any]:
    """Return the smallest integer type that holds every rescaled value, float32 where a slope is not 1."""
    ends = []
    for header in headers:
        slope, intercept = _rescale(header, headers)
        if slope != 1 or intercept != int(intercept):
            return np.dtype(np.float32)
        bits = header.bits_stored or 0
        low = -(1 << (bits - 1)) if header.pixel_representation else 0
        ends += [low + int(intercept), low + (1 << bits) - 1 + int(intercept)]
    fitting = (np.dtype(kind) for kind in _INTEGERS if _holds(np.iinfo(kind), min(ends), max(ends)))
    return next(fitting, np.dtype(np.float32))


def _holds(limits: np.iinfo[Any], least: int, most: int) -> bool:
    return limits.min <= least and most <= limits.max


def _rescale(header: Header, headers: Sequence[Header]) -> tuple[float, float]:
    slope, intercept = header.slope, header.intercept
    if slope is None and intercept is None:
        if header.modality == "CT":
            raise InputError(
                "bad-rescale", "Rescale Slope and Intercept are missing: HU are not known", path=header.file
            )
        if any(other.slope is not None for other in headers):
            raise InputError("bad-rescale", "other slices have a Rescale Slope, this one has none", path=header.file)
        return 1.0, 0.0
    if slope is None or intercept is None or not np.isfinite([slope, intercept]).all() or slope == 0:
        raise InputError("bad-rescale", f"Rescale Slope {slope} and Intercept {intercept}", path=header.file)
    return slope, intercept


def _values(stack: Stack, kind: np.dtype[Any]) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """Return (slices, rows, columns) real values, and where they are padding."""
    headers = stack.headers
    columns, rows, count = stack.geometry.shape
    values = np.empty((count, rows, columns), dtype=kind)
    is_padded = any(header.padding is not None for header in headers)
    padding = np.zeros(values.shape, dtype=bool) if is_padded else None
    for n, header in enumerate(headers):
        stored = _pixels(header)
        slope, intercept = _rescale(header, headers)
        if kind.kind == "f":
            values[n] = stored * slope + intercept
        else:
            values[n] = stored.astype(np.int64) + int(intercept)
        if padding is not None:
            padding[n] = _is_padding(stored, header)
    return values, padding


def _pixels(header: Header) -> NDArray[Any]:
    """Return (rows, columns) stored values of one file."""
    from pydicom import dcmread

    with located(header.file):
        with decoding("the file"):
            dataset = dcmread(header.file, force=True)
        found = len(dataset.get("PixelData", b""))
        wanted = (header.rows or 0) * (header.columns or 0) * (header.bits_allocated or 0) // 8
        compressed = dataset.file_meta.TransferSyntaxUID.is_encapsulated
        if found == 0 or (not compressed and found < wanted):
            raise InputError("truncated", f"{found:,} of {wanted:,} bytes of Pixel Data are there")
        with decoding("Pixel Data"):  # pydicom gives (Rows, Columns), or refuses
            pixels: NDArray[Any] = dataset.pixel_array
        return pixels


def _is_padding(stored: NDArray[Any], header: Header) -> NDArray[np.bool_]:
    """Return where pixels are padding (PS3.3, C.7.5.1.1.2); the tag may hold a signed value as an unsigned one."""
    if header.padding is None:
        return np.zeros(stored.shape, dtype=bool)
    ends = [header.padding, header.padding if header.padding_limit is None else header.padding_limit]
    allocated, stored_bits = header.bits_allocated or 0, header.bits_stored or 0
    if header.pixel_representation:
        ends = [end - (1 << allocated) if end >= 1 << (allocated - 1) else end for end in ends]
    low = -(1 << (stored_bits - 1)) if header.pixel_representation else 0
    if not all(low <= end < low + (1 << stored_bits) for end in ends):
        # Such values stand outside the bits that hold the image, and are cut to other ones when these are read.
        raise InputError("bad-header", "Pixel Padding Value lies outside Bits Stored", path=header.file)
    return np.asarray((stored >= min(ends)) & (stored <= max(ends)))


def _without_padding(values: NDArray[Any], padding: NDArray[np.bool_] | None, path: Path) -> tuple[Finding, ...]:
    """Set padding to the least other value, in place; it is no measurement and must not enter a statistic."""
    if padding is None or not padding.any() or padding.all():
        return ()
    values[padding] = values[~padding].min()
    return (Finding("padding-replaced", "note", f"{int(padding.sum())} voxels were padding", path),)


def _narrowed(values: NDArray[Any]) -> NDArray[Any]:
    """Return 32-bit integers as 16-bit ones where these hold them: CT of 16 bits mostly uses 12 of them."""
    if values.dtype == np.int32 and _holds(np.iinfo(np.int16), int(values.min()), int(values.max())):
        return values.astype(np.int16)
    return values


def _unit(header: Header) -> str | None:
    if header.modality == "PT":
        return header.units
    stated = header.rescale_type if header.rescale_type != "US" else None  # US: unspecified
    return stated or ("HU" if header.modality == "CT" and header.rescale_type is None else None)


def _remarks(stack: Stack, path: Path) -> tuple[Finding, ...]:
    found = []
    lossy = sum(header.is_lossy or header.transfer_syntax in _LOSSY for header in stack.headers)
    if lossy:
        text = f"{lossy} of {len(stack.headers)} slices were compressed with loss"
        found.append(Finding("lossy-compressed", "warning", text, path))
    instances = [header.sop_instance for header in stack.headers]
    if len(set(instances)) < len(instances):
        text = "slices share one SOP Instance UID; their positions differ, and all are used"
        found.append(Finding("bad-header", "warning", text, path))
    return tuple(found)
