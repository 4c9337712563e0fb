"""NIfTI-1 and NIfTI-2 files: header first, then size and geometry, then voxels, then the checksum."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from medvision.errors import Finding, GeometryError, InputError
from medvision.geometry import FloatArray, Geometry, Shape
from medvision.io.located import decoding, located
from medvision.volume import Volume

MAX_BYTES = 8_000_000_000
UNSIZED = "no physical size: axes count pixels"  # what `write` puts into `descrip` for a picture
_MAX_EXTENSIONS = 64 << 20
_FORMS_APART_MM = 0.1
_NUMBERS = "iuf"
_MM_PER_UNIT = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # unknown, metre, millimetre, micrometre (NIFTI_UNITS_*)


@dataclass(frozen=True, eq=False)
class NiftiImage:
    """A NIfTI file's content before scaling.

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


def read_nifti(path: Path) -> Volume:
    """Return the image in a NIfTI file.

    Integers stay what they are when the header scales them by nothing; all else becomes float32.

    Raises
    ------
    InputError, GeometryError
        As :func:`open_nifti`; also ``not-finite``.
    """
    image = open_nifti(path)
    voxels = image.stored
    with located(path), np.errstate(over="ignore"):  # a value beyond float32 becomes infinite, and is refused as such
        if voxels.dtype.kind == "f":
            voxels = voxels.astype(np.float32)
        if image.scaling is not None:
            slope, intercept = image.scaling
            voxels = (image.stored * np.float64(slope) + intercept).astype(np.float32)
        return Volume(voxels[None], image.geometry, findings=image.findings)


def open_nifti(path: Path) -> NiftiImage:
    """Return a NIfTI file's content, checked to the last byte.

    The sform places the voxels, the qform where there is no sform. One 3D volume of real numbers is accepted.

    Raises
    ------
    InputError
        ``truncated``, ``bad-header`` (sizes, types, bytes too many, a wrong checksum), ``too-large`` (above 8 GB),
        ``not-3d``, ``unsupported`` (pairs of files, colour, complex numbers), ``bad-rescale``.
    GeometryError
        ``bad-geometry``: no sform and no qform, a singular affine, voxel sizes of zero or less.
    """
    with located(path), path.open("rb") as raw:
        is_gzip = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        content = _inflating(raw) if is_gzip else cast(BinaryIO, raw)
        header = _header(content)
        shape, kind = _shape(header), _type(header)
        scaling = _scaling(header)
        geometry, findings = _geometry(header, shape, path)
        if path.name.lower().endswith(".gz") != is_gzip:
            findings += (Finding("converted", "note", "the name and the compression do not agree", path),)
        stored = _stored(content, header, shape, kind)
    return NiftiImage(stored, scaling, geometry, findings)


def _inflating(raw: io.BufferedReader) -> BinaryIO:
    from isal import igzip

    return cast(BinaryIO, igzip.GzipFile(fileobj=raw, mode="rb"))


def _header(content: BinaryIO) -> Any:
    """Return nibabel's header, with nothing of it trusted yet; the stream stands behind it."""
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    start = _read(content, 348)
    for kind, size in ((Nifti1Header, 348), (Nifti2Header, 540)):
        for order, little in (("<", "little"), (">", "big")):
            if int.from_bytes(start[:4], little) == size:  # type: ignore[arg-type]
                block = bytes(start + _read(content, size - 348))
                header = kind(block, endianness=order, check=False)
                if bytes(header["magic"])[:3] == b"ni1":
                    raise InputError("unsupported", "a pair of .hdr and .img is not read")
                return header
    raise InputError("not-an-image", "this is no NIfTI header")


def _shape(header: Any) -> Shape:
    dims = [int(size) for size in header["dim"]]
    used = dims[1 : dims[0] + 1] if 1 <= dims[0] <= 7 else []
    if len(used) < 2 or min(used) < 1:
        raise InputError("bad-header", f"the sizes are impossible: dim is {dims}")
    if max(used[3:], default=1) > 1:
        raise InputError("not-3d", f"the sizes are {'x'.join(map(str, used))}: more than one volume")
    i, j, k = (*used, 1)[:3]
    return (i, j, k)


def _type(header: Any) -> np.dtype[Any]:
    code = int(header["datatype"])
    if code in (32, 1792, 2048, 128, 2304):
        raise InputError("unsupported", f"datatype {code}: complex numbers and colours are not read")
    with decoding("the datatype"):
        kind: np.dtype[Any] = header.get_data_dtype()
    if kind.kind not in _NUMBERS or kind.itemsize > 8 or kind.itemsize * 8 != int(header["bitpix"]):
        raise InputError("bad-header", f"datatype {code} of {int(header['bitpix'])} bits is not a type of number")
    return kind


def _scaling(header: Any) -> tuple[float, float] | None:
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or np.isnan(slope):  # the standard: no scaling is meant
        return None
    if not (np.isfinite(slope) and np.isfinite(intercept)):
        raise InputError("bad-rescale", f"scl_slope {slope} and scl_inter {intercept} give no numbers")
    return None if (slope, intercept) == (1.0, 0.0) else (slope, intercept)


def _geometry(header: Any, shape: Shape, path: Path) -> tuple[Geometry, tuple[Finding, ...]]:
    steps = [float(size) for size in header["pixdim"][1 : 1 + min(3, int(header["dim"][0]))]]
    if not all(np.isfinite(step) and step > 0 for step in steps):
        raise GeometryError("bad-geometry", f"voxel sizes are above zero, pixdim is {steps}")
    unit = _MM_PER_UNIT.get(int(header["xyzt_units"]) & 7)
    if unit is None:
        raise GeometryError("bad-geometry", f"xyzt_units {int(header['xyzt_units'])} is no unit of length")
    to_mm = np.diag([unit, unit, unit, 1.0])
    physical = bytes(header["descrip"]).rstrip(b"\0") != UNSIZED.encode()
    has_sform, has_qform = int(header["sform_code"]) > 0, int(header["qform_code"]) > 0
    if not (has_sform or has_qform):
        raise GeometryError("bad-geometry", "neither sform nor qform is set, so that left and right are not known")
    if not has_sform:
        return Geometry(to_mm @ _qform(header), shape, physical), ()
    geometry = Geometry(to_mm @ header.get_sform(), shape, physical)
    return geometry, _compared(geometry, lambda: to_mm @ _qform(header), path) if has_qform else ()


def _qform(header: Any) -> FloatArray:
    from nibabel.spatialimages import HeaderDataError

    try:
        return np.asarray(header.get_qform(), dtype=np.float64)
    except (HeaderDataError, ValueError):
        raise GeometryError("bad-geometry", "the qform's quaternion is impossible") from None


def _compared(geometry: Geometry, qform: Callable[[], FloatArray], path: Path) -> tuple[Finding, ...]:
    """Return a warning where sform and qform place a corner differently."""
    try:
        apart = float(np.abs(Geometry(qform(), geometry.shape).corners - geometry.corners).max())
    except GeometryError:
        return (Finding("forms-differ", "warning", "the qform is impossible, the sform is used", path),)
    if apart <= _FORMS_APART_MM:
        return ()
    return (Finding("forms-differ", "warning", f"sform and qform lie up to {apart:.2f} mm apart", path),)


def _stored(content: BinaryIO, header: Any, shape: Shape, kind: np.dtype[Any]) -> NDArray[Any]:
    """Return the voxels, read to the end of the stream so that gzip's checksum has been compared."""
    size = int(np.prod(shape, dtype=object)) * kind.itemsize
    if size > MAX_BYTES:
        raise InputError("too-large", f"the header claims {size:,} bytes of voxels, {MAX_BYTES:,} are accepted")
    offset, header_size = float(header["vox_offset"]), int(header["sizeof_hdr"])
    if not header_size + 4 <= offset <= header_size + _MAX_EXTENSIONS or offset != int(offset):
        raise InputError("bad-header", f"vox_offset is {offset:g}, the header has {header_size} bytes")
    _read(content, int(offset) - header_size)
    voxels = np.frombuffer(_read(content, size), dtype=kind).reshape(shape, order="F")
    if _read_up_to(content, 1):
        raise InputError("bad-header", f"more bytes follow than the header's {size:,} bytes of voxels")
    return voxels.astype(kind.newbyteorder("="), copy=False)


def _read(content: BinaryIO, count: int) -> bytearray:
    found = _read_up_to(content, count)
    if len(found) < count:
        raise InputError("truncated", f"{len(found):,} of {count:,} bytes are there")
    return found


def _read_up_to(content: BinaryIO, count: int) -> bytearray:
    """Read in pieces: a header that lies about its size costs no more memory than the file has content."""
    from isal import igzip, isal_zlib

    parts = bytearray()
    try:
        while len(parts) < count:
            part = content.read(min(count - len(parts), 16 << 20))
            if not part:
                break
            parts += part
    except EOFError:
        raise InputError("truncated", f"the compressed file ends early; {len(parts):,} bytes came out") from None
    except (igzip.BadGzipFile, isal_zlib.IsalError):  # type: ignore[misc]  # the stub calls it an instance
        raise InputError("bad-header", "the compressed file is damaged: its checksum or structure is wrong") from None
    return parts
