"""NIfTI headers: what they claim about size, numbers and place, checked before a voxel is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.errors import Finding, GeometryError, InputError
from medvision.geometry import FloatArray, Geometry, Shape
from medvision.io.nifti.content import Content, read
from medvision.study import Reading

MAX_BYTES = 8_000_000_000
"""What the voxels of one file, all its volumes together, may take."""
UNSIZED = "no physical size: axes count pixels"
"""What :mod:`medvision.io.write` puts into `descrip` for a picture."""

_MAX_EXTENSIONS = 64 << 20
_FORMS_APART_MM = 0.1
_STEPS_APART = 0.01
_FAR_MM = 1e9
_MAGIC = {348: b"n+1\0", 540: b"n+2\0\r\n\x1a\n"}
_UNIT_NAMES = {0: "unknown", 1: "metre", 2: "millimetre", 3: "micrometre"}  # NIFTI_UNITS_*
_MM_PER_UNIT = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
_OTHER_TYPES = {
    1: "1-bit voxels",
    32: "complex numbers (complex64)",
    128: "colours (RGB24)",
    1536: "128-bit numbers (float128)",
    1792: "complex numbers (complex128)",
    2048: "complex numbers (complex256)",
    2304: "colours (RGBA32)",
}
_INTENTS = {
    1004: "matrices",
    1005: "symmetric matrices",
    1006: "displacement vectors",
    1007: "vectors",
    1010: "quaternions",
    2003: "colours",
    2004: "colours",
}


@dataclass(frozen=True, eq=False)
class NiftiHeader:
    """What a header says about its voxels.

    Parameters
    ----------
    shape
        The sizes of one volume along i, j, k.
    volumes
        How many of them follow each other.
    kind
        The type and byte order of the numbers.
    scaling
        (slope, intercept) to the real values; None where the stored values are the real ones.
    offset
        Bytes between the header and the voxels.
    geometry
        The grid of each volume, RAS+ in mm.
    findings
        What was noticed.
    """

    shape: Shape
    volumes: int
    kind: np.dtype[Any]
    scaling: tuple[float, float] | None
    offset: int
    geometry: Geometry
    findings: tuple[Finding, ...]

    @property
    def volume_bytes(self) -> int:
        """The bytes of one volume."""
        i, j, k = self.shape
        return i * j * k * self.kind.itemsize

    @property
    def plane_bytes(self) -> int:
        """The bytes of the smallest plane of voxels: a size that is one too small leaves at least these over."""
        return self.volume_bytes // max(self.shape)


def fields_of(content: Content) -> Any:
    """Return nibabel's header, with nothing of it trusted yet; the content stands behind it.

    Raises
    ------
    InputError
        ``truncated``, ``not-an-image``, ``unsupported``: a pair of .hdr and .img, Analyze 7.5.
    """
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    start = read(content, 348)
    for kind, size in ((Nifti1Header, 348), (Nifti2Header, 540)):
        for order, little in (("<", "little"), (">", "big")):
            if int.from_bytes(start[:4], little) == size:  # type: ignore[arg-type]
                block = start + read(content, size - 348)
                _check_magic(block[344:348] if size == 348 else block[4:12], size)
                return kind(block, endianness=order, check=False)
    raise InputError("not-an-image", "this is no NIfTI header")


def _check_magic(magic: bytes, size: int) -> None:
    if magic[:3] in (b"ni1", b"ni2"):
        raise InputError("unsupported", "a pair of .hdr and .img is not read")
    if size == 348 and magic == bytes(4):
        raise InputError("unsupported", "an Analyze 7.5 header does not tell left from right")
    if magic != _MAGIC[size]:
        raise InputError("not-an-image", "this is no NIfTI header: its magic number is wrong")


def sizes_of(fields: Any) -> tuple[Shape, int]:
    """Return the sizes along i, j, k and the number of volumes along the fourth axis.

    Raises
    ------
    InputError
        ``bad-header``: sizes that cannot be; ``not-3d``: a fifth axis or more.
    """
    dims = [int(size) for size in fields["dim"]]
    used = dims[1 : dims[0] + 1] if 1 <= dims[0] <= 7 else []
    if len(used) < 2 or min(used) < 1:
        raise InputError("bad-header", f"the sizes are impossible: dim is {dims}")
    if max(used[4:], default=1) > 1:
        code = int(fields["intent_code"])
        meant = f": each voxel holds {_INTENTS[code]} (intent code {code})" if code in _INTENTS else ""
        raise InputError("not-3d", f"the sizes are {'x'.join(map(str, used))}, on more than four axes{meant}")
    i, j, k, volumes = (*used, 1, 1)[:4]
    return (i, j, k), volumes


def header_of(fields: Any, path: Path, reading: Reading) -> NiftiHeader:
    """Return what a header says, checked.

    Raises
    ------
    InputError
        ``bad-header``, ``too-large``, ``not-3d``, ``unsupported``, ``bad-rescale``.
    GeometryError
        ``bad-geometry``.
    """
    shape, volumes = sizes_of(fields)
    kind = _type(fields)
    claimed = int(np.prod((*shape, volumes), dtype=object)) * kind.itemsize
    if claimed > MAX_BYTES:
        raise InputError("too-large", f"the header claims {claimed:,} bytes of voxels, {MAX_BYTES:,} are accepted")
    scaling = _scaling(fields)
    offset = _offset(fields)
    with np.errstate(all="ignore"):  # what overflows or is NaN is refused as a result
        geometry, findings = _geometry(fields, shape, path, reading)
    return NiftiHeader(shape, volumes, kind, scaling, offset, geometry, findings)


def check_extensions(block: bytes, fields: Any) -> None:
    """Refuse extensions that claim more bytes than lie between header and voxels.

    Parameters
    ----------
    block
        All bytes between header and voxels: four, of which the first says whether extensions follow, then for each
        its size, its code and its content.
    fields
        The header before them.

    Raises
    ------
    InputError
        ``bad-header``.
    """
    start = 4
    while block[0] and start + 8 <= len(block):
        size = int(np.frombuffer(block, f"{fields.endianness}i4", 1, start)[0])
        if size == 0:  # padding up to the voxels
            return
        if not 8 <= size <= len(block) - start:
            raise InputError("bad-header", f"an extension claims {size:,} of {len(block) - start:,} bytes")
        start += size


def _type(fields: Any) -> np.dtype[Any]:
    code, bits = int(fields["datatype"]), int(fields["bitpix"])
    if code in _OTHER_TYPES:
        raise InputError("unsupported", f"{_OTHER_TYPES[code]} are not read (datatype {code})")
    kind = np.dtype(_TYPES.get(code, "V0"))
    if kind.itemsize * 8 != bits or not bits:
        raise InputError("bad-header", f"datatype {code} of {bits} bits is not a type of number")
    return kind.newbyteorder(fields.endianness)


def _scaling(fields: Any) -> tuple[float, float] | None:
    slope, intercept = float(fields["scl_slope"]), float(fields["scl_inter"])
    if slope == 0 or np.isnan(slope):  # nifti1.h: no scaling is meant; NaN is how nibabel says the same
        return None
    if not (np.isfinite(slope) and np.isfinite(intercept)):
        raise InputError("bad-rescale", f"scl_slope {slope} and scl_inter {intercept} give no numbers")
    return None if (slope, intercept) == (1.0, 0.0) else (slope, intercept)


def _offset(fields: Any) -> int:
    offset, size = float(fields["vox_offset"]), int(fields["sizeof_hdr"])
    if not size + 4 <= offset <= size + _MAX_EXTENSIONS or offset != int(offset):
        raise InputError("bad-header", f"vox_offset is {offset:g}, the header has {size} bytes")
    return int(offset) - size


def _geometry(fields: Any, shape: Shape, path: Path, reading: Reading) -> tuple[Geometry, tuple[Finding, ...]]:
    steps = np.array(fields["pixdim"][1 : 1 + min(3, int(fields["dim"][0]))], dtype=np.float64)
    if not all(np.isfinite(steps) & (steps > 0)):
        raise GeometryError("bad-geometry", f"voxel sizes are above zero, pixdim is {steps.tolist()}")
    to_mm, findings = _to_mm(fields, path)
    physical = bytes(fields["descrip"]).rstrip(b"\0") != UNSIZED.encode()
    has_sform, has_qform = int(fields["sform_code"]) > 0, int(fields["qform_code"]) > 0
    if not (has_sform or has_qform):
        affine, assumed = _assumed(steps, path, reading)
        return Geometry(_near(to_mm @ affine), shape, physical), (*findings, assumed)
    if not has_sform:
        return Geometry(_near(to_mm @ _qform(fields)), shape, physical), findings
    sform = np.asarray(fields.get_sform(), dtype=np.float64)
    geometry = Geometry(_near(to_mm @ sform), shape, physical)
    if has_qform:
        return geometry, findings + _forms_apart(geometry, lambda: _near(to_mm @ _qform(fields)), path)
    return geometry, findings + _steps_apart(sform, steps, path)


def _near(affine: FloatArray) -> FloatArray:
    """Refuse places so far away that lengths overflow, or that no voxel has: a header of float64 can state them."""
    if not np.abs(affine).max() <= _FAR_MM:
        raise GeometryError("bad-geometry", f"the affine is not finite, or goes beyond {_FAR_MM:g} mm")
    return affine


def _to_mm(fields: Any, path: Path) -> tuple[FloatArray, tuple[Finding, ...]]:
    code = int(fields["xyzt_units"]) & 7
    if code not in _MM_PER_UNIT:
        raise GeometryError("bad-geometry", f"xyzt_units {int(fields['xyzt_units'])} is no unit of length")
    factor = _MM_PER_UNIT[code]
    text = f"lengths are stated in {_UNIT_NAMES[code]}s, read in mm"
    findings = () if factor == 1 else (Finding("converted", "note", text, path),)
    return np.diag([factor, factor, factor, 1.0]), findings


def _assumed(steps: NDArray[np.float64], path: Path, reading: Reading) -> tuple[FloatArray, Finding]:
    """Return the affine of voxels stored as RAS+ with the first one at the origin, where that is allowed."""
    text = "neither sform nor qform is set, so that left and right are not known"
    if not reading.assume_ras:
        cure = "Set the sform in its source, or read it as stored from left to right with --assume-ras."
        raise GeometryError("bad-geometry", text, cure=cure)
    affine = np.eye(4)
    affine[range(len(steps)), range(len(steps))] = steps
    return affine, Finding("orientation-assumed", "warning", f"{text}: taken as stored in RAS+", path)


def _qform(fields: Any) -> FloatArray:
    from nibabel.spatialimages import HeaderDataError

    fields = fields.copy()
    if fields["pixdim"][0] == 0:  # nifti1.h: qfac 0 counts as 1
        fields["pixdim"][0] = 1
    try:
        return np.asarray(fields.get_qform(), dtype=np.float64)
    except (HeaderDataError, ValueError):
        raise GeometryError("bad-geometry", "the qform's quaternion or its sign (pixdim[0]) is impossible") from None


def _forms_apart(geometry: Geometry, qform: Callable[[], FloatArray], path: Path) -> tuple[Finding, ...]:
    """Return a warning where sform and qform place a corner differently."""
    try:
        apart = float(np.abs(Geometry(qform(), geometry.shape).corners - geometry.corners).max())
    except GeometryError:
        return (Finding("forms-differ", "warning", "the qform is impossible, the sform is used", path),)
    if apart <= _FORMS_APART_MM:
        return ()
    return (Finding("forms-differ", "warning", f"sform and qform lie up to {apart:.2f} mm apart", path),)


def _steps_apart(sform: FloatArray, steps: NDArray[np.float64], path: Path) -> tuple[Finding, ...]:
    """Return a note where `pixdim`, which some tools take the spacing from, is not that of the sform."""
    lengths = np.linalg.norm(sform[:3, : len(steps)], axis=0)
    if (np.abs(lengths - steps) <= _STEPS_APART * lengths).all():
        return ()
    have, want = (" x ".join(f"{step:.4g}" for step in each) for each in (steps, lengths))
    return (Finding("spacing-differs", "note", f"pixdim is {have}, the sform's spacing is {want}", path),)
