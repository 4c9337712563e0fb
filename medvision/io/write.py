"""NIfTI-1 files that are whole, and the same bytes for the same values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.errors import InputError, UsageError
from medvision.files import write_bytes
from medvision.geometry import Geometry
from medvision.io.nifti import UNSIZED
from medvision.volume import Labels, Volume

# 1, "scanner anatomical": coordinates are those of the input. 2 would claim that the image was aligned to another one.
_SCANNER = 1
_UNKNOWN = 0
_TYPES = {np.dtype(kind) for kind in ("u1", "i1", "i2", "u2", "i4", "u4", "f4", "f8")}  # what all NIfTI tools know
_SHORTER = {"i": (np.int16, np.int32), "u": (np.uint8, np.uint16, np.uint32)}


def write_labels(path: Path, labels: Labels) -> None:
    """Write a mask as ``.nii.gz`` in the smallest unsigned type that holds its numbers.

    Raises
    ------
    OutputError
        The file cannot be written; an older one is intact.
    """
    most = int(labels.voxels.max())
    _write(path, labels.voxels.astype(np.min_scalar_type(most)), labels.geometry)


def write_map(path: Path, values: NDArray[np.float32], geometry: Geometry) -> None:
    """Write (I, J, K) values on the grid `geometry` as ``.nii.gz`` in float32.

    Raises
    ------
    InputError
        The values do not fit the grid.
    OutputError
        As :func:`write_labels`.
    """
    if values.shape != geometry.shape:
        raise InputError("bad-header", f"values {values.shape} do not fit the grid {geometry.shape}", path=path)
    _write(path, values.astype(np.float32), geometry)


def write_volume(path: Path, volume: Volume) -> None:
    """Write a volume of one channel as ``.nii.gz``, in its own type where NIfTI tools know it.

    Raises
    ------
    UsageError
        The volume has several channels.
    OutputError
        As :func:`write_labels`.
    """
    if volume.channels != 1:
        raise UsageError("usage", f"a file holds one channel, the volume has {volume.channels}", path=path)
    _write(path, _known_type(volume.voxels[0]), volume.geometry)


def _known_type(voxels: NDArray[Any]) -> NDArray[Any]:
    if voxels.dtype.newbyteorder("=") in _TYPES:
        return voxels
    if voxels.dtype.kind == "f":  # float16
        return voxels.astype(np.float32)
    least, most = int(voxels.min()), int(voxels.max())
    for kind in _SHORTER[voxels.dtype.kind]:
        if np.iinfo(kind).min <= least and most <= np.iinfo(kind).max:
            return voxels.astype(kind)
    raise InputError("too-large", f"values of {least} to {most} need 64 bits, which few tools read")


def _write(path: Path, voxels: NDArray[Any], geometry: Geometry) -> None:
    from isal import igzip
    from nibabel.nifti1 import Nifti1Image

    image = Nifti1Image(voxels, geometry.affine, dtype=voxels.dtype)
    image.header.set_sform(geometry.affine, code=_SCANNER)
    if geometry.is_sheared:  # a quaternion cannot hold a shear: better none than another place
        image.header.set_qform(None, code=_UNKNOWN)
    else:
        image.header.set_qform(geometry.affine, code=_SCANNER)
    image.header.set_xyzt_units("mm" if geometry.physical else "unknown")
    if not geometry.physical:
        image.header["descrip"] = UNSIZED.encode()
    # No time and no file name in the gzip header, so that equal values are equal bytes.
    write_bytes(path, igzip.compress(image.to_bytes(), 3, mtime=0))
