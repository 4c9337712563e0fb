"""NIfTI files that are whole, and the same bytes for the same values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from medvision.errors import GeometryError, InputError, UsageError
from medvision.files import replacing
from medvision.geometry import Geometry
from medvision.io.nifti import UNSIZED
from medvision.volume import Labels, Volume

# 1, "scanner anatomical": coordinates are those of the input. 2 would claim that the image was aligned to another one.
_SCANNER = 1
_UNKNOWN = 0
_TYPES = {np.dtype(kind) for kind in ("u1", "i1", "i2", "u2", "i4", "u4", "f4", "f8")}  # what all NIfTI tools know
_SHORTER = {"i": (np.int16, np.int32), "u": (np.uint8, np.uint16, np.uint32)}
_MOST_NIFTI_1 = 32767  # voxels along an axis, or volumes
_MOVED = 1e-3  # of a voxel, and mm: what rounding may move a corner by
_TURNED = 1e-2  # the same, for the qform, whose quaternion rounds more
_LEVEL = 2  # of ISA-L's 0 to 3: 3 takes longer, and makes masks twice as large
_CHUNK = 1 << 20  # the compressed bytes depend on it
_AT_ONCE = 32 << 20  # bytes that are put into NIfTI's order


def write_labels(path: Path, labels: Labels) -> None:
    """Write a mask as ``.nii.gz`` in the smallest unsigned type that holds its numbers.

    Raises
    ------
    OutputError
        The file cannot be written; an older one is intact.
    """
    most = int(labels.voxels.max())
    _write(path, [labels.voxels.astype(np.min_scalar_type(most), copy=False)], labels.geometry)


def write_map(path: Path, values: NDArray[np.float32], geometry: Geometry) -> None:
    """Write (I, J, K) values on the grid `geometry` as ``.nii.gz`` in float32.

    Raises
    ------
    GeometryError
        ``grid-differs``: the values do not fit the grid.
    OutputError
        As :func:`write_labels`.
    """
    if values.shape != geometry.shape:
        raise GeometryError("grid-differs", f"values {values.shape} do not fit the grid {geometry.shape}", path=path)
    _write(path, [values.astype(np.float32, copy=False)], geometry)


def write_probabilities(path: Path, values: NDArray[np.uint8], geometry: Geometry) -> None:
    """Write (classes, I, J, K) probabilities, of which 255 is 1, as ``.nii.gz`` with the classes along a fourth axis.

    The header states the scale, so that other tools read 0 to 1. Classes are written one after another.

    Raises
    ------
    GeometryError
        ``grid-differs``: the values do not fit the grid.
    OutputError
        As :func:`write_labels`.
    """
    if values.shape[1:] != geometry.shape:
        raise GeometryError("grid-differs", f"values {values.shape} do not fit the grid {geometry.shape}", path=path)
    _write(path, list(values), geometry, slope=1 / 255)


def write_volume(path: Path, volume: Volume) -> None:
    """Write a volume of one channel as ``.nii.gz``, in its own type where NIfTI tools know it.

    Corners stay within a thousandth of a millimetre, and of a voxel: where the header of NIfTI-1 cannot state the place
    so well, or not the size, the file is NIfTI-2.

    Raises
    ------
    UsageError
        The volume has several channels.
    InputError
        ``too-large``: integers that need 64 bits.
    OutputError
        As :func:`write_labels`.
    """
    write_volumes(path, [volume], None)


def write_volumes(path: Path, volumes: Sequence[Volume], step_s: float | None) -> None:
    """Write volumes of one channel on one grid as ``.nii.gz``, one after another along a fourth axis.

    Parameters
    ----------
    path
        The file.
    volumes
        One or more, in their order.
    step_s
        The time in seconds from one to the next; None where they are not ordered by time, or unevenly.

    Raises
    ------
    UsageError
        There is no volume, one has several channels, or `step_s` is no time above zero.
    GeometryError
        ``grid-differs``.
    InputError, OutputError
        As :func:`write_volume`.
    """
    if not volumes or any(volume.channels != 1 for volume in volumes):
        counts = [volume.channels for volume in volumes]
        raise UsageError("usage", f"volumes of one channel are written, there are {counts} channels", path=path)
    if step_s is not None and not 0 < step_s < np.inf:
        raise UsageError("usage", f"the time between volumes is above zero, got {step_s:g} s", path=path)
    geometry = volumes[0].geometry
    if not all(volume.geometry.matches(geometry) for volume in volumes):
        raise GeometryError("grid-differs", "the volumes do not lie on one grid, and a file has one", path=path)
    kind = _kind_for([volume.voxels for volume in volumes], path)
    _write(path, [volume.voxels[0].astype(kind, copy=False) for volume in volumes], geometry, step_s)


def _kind_for(parts: Sequence[NDArray[Any]], path: Path) -> np.dtype[Any]:
    """Return a type that holds the values of all parts exactly, and that NIfTI tools know."""
    return _known(np.result_type(*(_known(part.dtype, [part], path) for part in parts)), parts, path)


def _known(kind: np.dtype[Any], parts: Sequence[NDArray[Any]], path: Path) -> np.dtype[Any]:
    if kind.newbyteorder("=") in _TYPES:
        return kind.newbyteorder("=")
    if kind.kind == "f":  # float16
        return np.dtype(np.float32)
    least, most = min(int(part.min()) for part in parts), max(int(part.max()) for part in parts)
    for shorter in _SHORTER[kind.kind]:
        if np.iinfo(shorter).min <= least and most <= np.iinfo(shorter).max:
            return np.dtype(shorter)
    raise InputError("too-large", f"values of {least} to {most} need 64 bits, which few tools read", path=path)


def _write(
    path: Path, parts: Sequence[NDArray[Any]], geometry: Geometry, step_s: float | None = None, *, slope: float = 1
) -> None:
    header = _header(parts[0].dtype, geometry, len(parts), step_s)
    header["scl_slope"] = slope
    with replacing(path) as temporary, temporary.open("wb") as file:
        _compress(file, [header.binaryblock + bytes(4)], *map(_bytes_of, parts))


def _header(kind: np.dtype[Any], geometry: Geometry, volumes: int, step_s: float | None) -> Any:
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    sizes = geometry.shape if volumes == 1 else (*geometry.shape, volumes)
    is_plain = max(sizes) <= _MOST_NIFTI_1 and _is_at(geometry, geometry.affine.astype(np.float32), _MOVED)
    header = (Nifti1Header if is_plain else Nifti2Header)(endianness="<")
    header.set_data_dtype(kind)
    header.set_data_shape(sizes)
    header.set_data_offset(int(header["sizeof_hdr"]) + 4)
    header["scl_inter"] = 0
    header["pixdim"][4] = step_s or 0
    _place(header, geometry)
    header.set_xyzt_units("mm" if geometry.physical else "unknown", "sec" if step_s else "unknown")
    if not geometry.physical:
        header["descrip"] = UNSIZED.encode()
    return header


def _place(header: Any, geometry: Geometry) -> None:
    """State the place as sform; as qform too where its quaternion can hold it: better none than another place."""
    header["pixdim"][1:4] = geometry.spacing
    header.set_sform(geometry.affine, code=_SCANNER)
    turned = header.copy()
    turned.set_qform(geometry.affine, code=_SCANNER, strip_shears=True)
    if _is_at(geometry, turned.get_qform(), _TURNED):
        header.set_qform(geometry.affine, code=_SCANNER)
    else:
        header.set_qform(None, code=_UNKNOWN)


def _is_at(geometry: Geometry, affine: NDArray[np.floating[Any]], tolerance: float) -> bool:
    """Whether `affine` leaves the corners where they are, within `tolerance` mm and voxels."""
    try:
        rounded = Geometry(affine.astype(np.float64), geometry.shape, geometry.physical)
    except GeometryError:
        return False
    return rounded.matches(geometry, tolerance_mm=tolerance * min(1.0, *geometry.spacing))


def _bytes_of(voxels: NDArray[Any]) -> Iterator[bytes | memoryview]:
    """Yield (I, J, K) voxels as NIfTI stores them: i fastest, least significant byte first; some planes at a time."""
    planes = max(1, _AT_ONCE // max(1, voxels[..., :1].nbytes))
    for first in range(0, voxels.shape[2], planes):
        part = voxels[..., first : first + planes]
        ordered = np.asfortranarray(part, dtype=part.dtype.newbyteorder("<"))
        yield ordered.T.reshape(-1).view(np.uint8).data


def _compress(file: BinaryIO, *contents: Iterable[bytes | memoryview]) -> None:
    """Write a gzip file with neither time nor name in its header, so that equal values are equal bytes."""
    from isal import isal_zlib

    packer = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, 31)
    for content in contents:
        for part in _chunks(content):
            file.write(packer.compress(part))
    file.write(packer.flush())


def _chunks(content: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    """Yield a content in pieces of one size but for the last, however it is parted."""
    left = b""
    for part in content:
        first = _CHUNK - len(left) if left else 0
        if len(part) < first:
            left += part
            continue
        if left:
            yield left + part[:first]
        whole = first + (len(part) - first) // _CHUNK * _CHUNK
        for start in range(first, whole, _CHUNK):
            yield part[start : start + _CHUNK]
        left = bytes(part[whole:])
    if left:
        yield left
