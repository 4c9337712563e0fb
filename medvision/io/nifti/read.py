"""From a NIfTI file to voxels, checked to the last byte."""

from __future__ import annotations

import copy
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.archives import archive_of, opened, read_bytes, size_of
from medvision.errors import Finding, InputError
from medvision.geometry import Geometry
from medvision.io.kept import Kept
from medvision.io.located import located
from medvision.io.nifti.content import MOST_INFLATED, Content, check_count, content_of, read, require
from medvision.io.nifti.header import NiftiHeader, check_extensions, fields_of, header_of, sizes_of
from medvision.study import AS_IT_STANDS, Reading
from medvision.volume import Volume

_GZIP = b"\x1f\x8b"
_HEAD = 1 << 16
_MOST_EXCESS = 1 << 18
_FLOAT32_MOST, _FLOAT32_LEAST = float(np.finfo(np.float32).max), float(np.finfo(np.float32).tiny)
_FLOAT32_ROUNDS = 2.0**-24  # of the value, at most
_ROUNDED = 1e-4  # of the range of values
_MOST_KEPT = 2_000_000_000  # bytes of the volumes of one file, which are unpacked at once
_SIZE_OF_NOTE = 1_000  # bytes, about, of knowing why a file's volumes are not kept


@dataclass(frozen=True, eq=False)
class NiftiImage:
    """One volume of a NIfTI file, before scaling.

    Parameters
    ----------
    stored
        (I, J, K) numbers as stored, in the machine's byte order.
    scaling
        (slope, intercept) to the real values; None where the stored values are the real ones.
    geometry
        The grid, RAS+ in mm.
    findings
        What was noticed.
    """

    stored: NDArray[Any]
    scaling: tuple[float, float] | None
    geometry: Geometry
    findings: tuple[Finding, ...]


def volumes_in(path: Path) -> int:
    """Return how many volumes (time points, echoes, ...) a NIfTI file holds, from its header alone.

    Raises
    ------
    InputError
        ``truncated``, ``not-an-image``, ``unsupported``, ``bad-header``; ``not-3d`` for more than four axes.
        ``truncated`` also where the file is too small for its volumes: they are not refused one by one.
    """
    with located(path):
        head = read_bytes(path, _HEAD)
        fields = fields_of(content_of(io.BytesIO(head)))
        shape, count = sizes_of(fields)
        claimed = count * int(np.prod(shape, dtype=object)) * int(fields["bitpix"]) // 8
        there = size_of(path)
        if claimed > there * (MOST_INFLATED if head.startswith(_GZIP) else 1):
            text = f"the header claims {claimed:,} bytes of {count:,} volumes, the file has {there:,} bytes"
            raise InputError("truncated", text)
        return count


def read_nifti(path: Path, part: int | None = None, reading: Reading = AS_IT_STANDS) -> Volume:
    """Return the image in a NIfTI file.

    Integers stay what they are when the header scales them by nothing; all else becomes float32. It becomes float64
    where float32 would round by more than a ten thousandth of the range of values, or round all of them to zero.

    Parameters
    ----------
    path
        The file, plain or compressed by gzip.
    part
        Which of the volumes along the fourth axis, from 0; None where there is one.
    reading
        ``assume_ras`` and ``nan_to`` are heeded.

    Raises
    ------
    InputError, GeometryError
        As :func:`open_nifti`; also ``not-finite``: NaN, infinite, or beyond float32.
    """
    image = open_nifti(path, part, reading)
    with located(path):
        voxels, findings = _real(image, reading.nan_to, path)
        return Volume(voxels[None], image.geometry, findings=image.findings + findings)


def open_nifti(path: Path, part: int | None = None, reading: Reading = AS_IT_STANDS) -> NiftiImage:
    """Return one volume of a NIfTI file as stored; the file is checked to its last byte.

    The sform places the voxels, the qform where there is no sform. Bytes behind the voxels are told; so many that
    they could be voxels which the header has forgotten are refused.

    Parameters
    ----------
    path
        The file, plain or compressed by gzip: its content decides, not its name.
    part
        Which of the volumes along the fourth axis, from 0; None where there is one.
    reading
        Of which ``assume_ras`` is heeded.

    Raises
    ------
    InputError
        ``truncated``, ``damaged`` (a wrong checksum), ``bad-header`` (sizes, types, bytes too many), ``too-large``
        (above 8 GB), ``not-3d``, ``unsupported`` (pairs of files, colour, complex numbers), ``bad-rescale``.
    GeometryError
        ``bad-geometry``: no sform and no qform, a singular affine, voxel sizes of zero or less.
    """
    with located(path):
        found = None if part is None else _KEPT.of((path,), reading)
        if found is None:
            found = _volumes_of(path, part, reading, only=True)
        if isinstance(found, InputError):
            raise copy.copy(found)
        number = _which(found.header, part)
        if number == found.header.volumes - 1:
            _KEPT.forget((path,))
        stored = found.stored[..., number - found.first]
        if found.stored.shape[3] > 1:
            stored = stored.copy(order="F")
    return NiftiImage(stored, found.header.scaling, found.header.geometry, found.findings)


@dataclass(frozen=True, eq=False)
class _Volumes:
    """Volumes of a file: (I, J, K, V) numbers as stored, the first of them being number `first` of the file."""

    header: NiftiHeader
    stored: NDArray[Any]
    first: int
    findings: tuple[Finding, ...]


def _volumes_of(path: Path, part: int | None, reading: Reading, *, only: bool) -> _Volumes:
    """Return the volume `part` alone, or all of them."""
    with opened(path) as raw:
        content = content_of(raw)
        fields = fields_of(content)
        header = header_of(fields, path, reading)
        first = _which(header, part) if only else 0
        check_extensions(read(content, header.offset), fields)
        stored = _stored(content, header, first, 1 if only else header.volumes)
        findings = header.findings + _excess(content, header, path)
    if path.name.lower().endswith(".gz") != content.is_packed:
        findings += (Finding("converted", "note", "the name and the compression do not agree", path),)
    return _Volumes(header, stored, first, findings)


def _all_of_packed(files: tuple[Path], reading: Reading) -> tuple[_Volumes | InputError | None, int]:
    """Return all volumes of a file that has to be unpacked as a whole for each, or why it is refused; else None."""
    (path,) = files
    with opened(path) as raw:
        content = content_of(raw)
        header = header_of(fields_of(content), path, reading)
        is_packed = content.is_packed or archive_of(path) is not None
    size = header.volume_bytes * header.volumes
    if not is_packed or size > _MOST_KEPT:
        return None, _SIZE_OF_NOTE
    try:
        return _volumes_of(path, None, reading, only=False), size
    except InputError as error:
        return error, _SIZE_OF_NOTE
    except MemoryError:  # for one of them it may suffice
        return None, _SIZE_OF_NOTE


_KEPT = Kept(_all_of_packed, most_bytes=_MOST_KEPT)


def _which(header: NiftiHeader, part: int | None) -> int:
    if part is None and header.volumes > 1:
        sizes = "x".join(map(str, header.shape))
        raise InputError("not-3d", f"the file holds {header.volumes} volumes of {sizes} voxels, and none is named")
    if part is not None and not 0 <= part < header.volumes:
        text = f"volume {part} is asked for, the file holds {header.volumes}, counted from 0"
        raise InputError("not-3d", text, cure="Name one of them.")
    return part or 0


def _stored(content: Content, header: NiftiHeader, first: int, count: int) -> NDArray[Any]:
    """Return volumes (I, J, K, V), read with all others: each byte and checksum of the file has been looked at."""
    one, everything = header.volume_bytes, header.volume_bytes * header.volumes
    require(content, everything)
    before = content.skip(first * one)
    stored = np.empty(count * one, np.uint8)
    found = before + content.fill(stored.data)
    check_count(found + content.skip(everything - (first + count) * one), everything)
    voxels = stored.view(header.kind).reshape((*header.shape, count), order="F")
    return voxels if header.kind.isnative else voxels.byteswap(inplace=True).view(header.kind.newbyteorder("="))


def _excess(content: Content, header: NiftiHeader, path: Path) -> tuple[Finding, ...]:
    """Return what is to be told of bytes behind the voxels; as many as a plane of voxels has are refused."""
    most = min(header.plane_bytes - 1, _MOST_EXCESS)
    tail = bytearray(most + 1)
    count = content.fill(memoryview(tail))
    if count > most:
        text = f"more than {most:,} bytes follow the {header.volume_bytes * header.volumes:,} of the voxels"
        raise InputError("bad-header", f"{text}: the header's sizes or type may be wrong")
    findings: list[Finding] = []
    if count:
        grade: Any = "warning" if any(tail) else "note"
        findings.append(Finding("trailing-bytes", grade, f"{count:,} bytes follow the voxels", path))
    if content.behind():
        findings.append(Finding("trailing-bytes", "warning", "bytes that are no gzip follow the compressed data", path))
    return tuple(findings)


def _real(image: NiftiImage, nan_to: float | None, path: Path) -> tuple[NDArray[Any], tuple[Finding, ...]]:
    """Return the real values, and what is to be told of those that are none."""
    stored = image.stored
    bad: NDArray[np.bool_] | None = None
    findings: tuple[Finding, ...] = ()
    if stored.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            is_finite = bool(np.isfinite((stored.min(), stored.max())).all())
        if not is_finite:
            bad = ~np.isfinite(stored)
            findings = (_replaced(bad, nan_to, path),)
            stored = np.where(bad, stored.dtype.type(0), stored)
    voxels = _scaled(stored, image.scaling)
    if bad is not None:
        voxels = np.array(voxels, order="F")
        voxels[bad] = nan_to
    return voxels, findings


def _replaced(bad: NDArray[np.bool_], nan_to: float | None, path: Path) -> Finding:
    text = f"{int(bad.sum()):,} of {bad.size:,} voxels are NaN or infinite"
    if nan_to is None:
        raise InputError("not-finite", text)
    return Finding("not-finite", "warning", f"{text}; they were read as {nan_to:g}", path)


def _scaled(stored: NDArray[Any], scaling: tuple[float, float] | None) -> NDArray[Any]:
    """Return the real values of stored ones, all finite; plane by plane, as a step in float64 takes much memory."""
    if scaling is None and stored.dtype != np.float64:
        return stored
    slope, intercept = scaling or (1.0, 0.0)
    ends = [float(end) * slope + intercept for end in (stored.min(), stored.max())]
    kind = _float_for(*ends)
    if scaling is None:
        return stored.astype(kind, copy=False)
    voxels = np.empty(stored.shape, kind, order="F")
    for k in range(stored.shape[2]):
        voxels[..., k] = stored[..., k] * np.float64(slope) + intercept
    return voxels


def _float_for(one: float, other: float) -> np.dtype[np.floating[Any]]:
    """Return the shortest type that holds values between two ends, and tells them apart."""
    largest, span = max(abs(one), abs(other)), abs(one - other)
    if not largest <= _FLOAT32_MOST:
        text = f"values go up to {largest:g}, float32 to {_FLOAT32_MOST:.3g}"
        raise InputError("not-finite", text, cure="Scale the values in the source.")
    is_flat = 0 < span < largest * _FLOAT32_ROUNDS / _ROUNDED
    is_tiny = 0 < largest < _FLOAT32_LEAST
    return np.dtype(np.float64 if is_flat or is_tiny else np.float32)
