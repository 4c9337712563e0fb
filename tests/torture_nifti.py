"""Torture: NIfTI files, legal, odd and broken."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.nifti1 import Nifti1Extension
from torture import Expect, Lattice, Truth, add, lattice, refused, right, torture, value_at, warned

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
GRID = lattice((0.8, 0.6, 0, -0.6, 0.8, 0), origin=(11, 7, 20))
SHEARED = lattice(origin=(11, 7, 20), step=(0, 0.8, 3.0))


def _image(grid: Lattice = GRID, kind: str = "f4", *, offset: float = 0.0, second: bool = False, **more: Any) -> Any:
    values = value_at(grid.points()) + offset
    data = np.round(values).astype(kind) if np.dtype(kind).kind in "iu" else values.astype(kind)
    affine = LPS_TO_RAS @ grid.affine
    image = (nib.Nifti2Image if second else nib.Nifti1Image)(
        more.get("data", data), affine, dtype=more.get("data", data).dtype
    )
    image.header.set_xyzt_units("mm", "sec")
    image.set_sform(affine, code=1)
    if not more.get("sheared"):
        image.set_qform(affine, code=1)
    return image


def _legal(folder: Path, kind: str, name: str, *, second: bool) -> Expect:
    nib.save(_image(kind=kind, second=second), folder / name)
    return right(Truth(GRID, tolerance=0.01 if kind[-2] == "f" else 0.51))


for _kind in ("i2", "u2", "i4", "u4", "i8", "f4", "f8"):
    add(f"nifti_{_kind}", partial(_legal, kind=_kind, name="image.nii.gz", second=False))
add("nifti_not_compressed", partial(_legal, kind="<f4", name="image.nii", second=False))
add("nifti_2", partial(_legal, kind="<f4", name="image.nii.gz", second=True))
add("nifti_with_capitals", partial(_legal, kind="<f4", name="IMAGE.NII.GZ", second=False))


@torture
def nifti_big_endian(folder: Path) -> Expect:
    image = _image(kind=">f4")
    swapped = nib.Nifti1Image(image.get_fdata().astype(">f4"), image.affine, image.header.as_byteswapped(">"))
    swapped.set_data_dtype(">f4")
    nib.save(swapped, folder / "big.nii.gz")
    return right(Truth(GRID, tolerance=0.01))


def _8_bit(folder: Path, kind: str, intercept: float) -> Expect:
    data = np.round((value_at(GRID.points()) - intercept) / 8).astype(kind)
    fields = {"scl_slope": 8.0, "scl_inter": intercept}
    return _saved(folder, _image(data=data), fields, right(Truth(GRID, tolerance=4.01)))


add("nifti_i1_with_a_slope", partial(_8_bit, kind="i1", intercept=500.0))
add("nifti_u1_with_a_slope", partial(_8_bit, kind="u1", intercept=-100.0))


def _saved(folder: Path, image: Any, fields: dict[str, Any], expect: Expect, name: str = "image.nii") -> Expect:
    """Save by hand: nibabel changes what is asked of it."""
    header = image.header.copy()
    header["vox_offset"], header["magic"] = 352, b"n+1"
    for field, value in fields.items():
        header[field] = value
    data = np.asarray(image.dataobj)
    content = header.binaryblock + bytes(4) + data.tobytes(order="F")
    (folder / name).write_bytes(gzip.compress(content, mtime=0) if name.endswith("gz") else content)
    return expect


def _with(folder: Path, fields: dict[str, Any], expect: Expect, **image: Any) -> Expect:
    return _saved(folder, _image(**image), fields, expect)


_T = Truth(GRID, tolerance=0.01)
_READ = right(_T)
_NOT_READ = refused("bad-header", "unsupported", "not-an-image", "too-large", "truncated", "not-3d")
_NO_PLACE = refused("bad-geometry", "bad-header")
_DIM = [3, 12, 10, 8, 1, 1, 1, 1]
_PIXDIM = [1.0, 2.0, 1.5, 3.0, 0, 0, 0, 0]
_NAN = float("nan")
_FIELDS: dict[str, tuple[dict[str, Any], Expect]] = {
    "of_four_sizes_the_last_1": ({"dim": [4, 12, 10, 8, 1, 1, 1, 1]}, _READ),
    "of_seven_sizes_the_last_1": ({"dim": [7, 12, 10, 8, 1, 1, 1, 1]}, _READ),
    "slope_zero_means_none": ({"scl_slope": 0.0, "scl_inter": 7.0}, _READ),
    "slope_nan_means_none": ({"scl_slope": _NAN, "scl_inter": _NAN}, _READ),
    "slope_and_intercept": (
        {"scl_slope": 0.5, "scl_inter": -3.0},
        right(Truth(GRID, scale=0.5, offset=-6, tolerance=0.01)),
    ),
    "slope_infinite": ({"scl_slope": np.inf}, refused("bad-rescale", "bad-header", "not-finite")),
    "intercept_nan": ({"scl_slope": 2.0, "scl_inter": _NAN}, refused("bad-rescale", "bad-header", "not-finite")),
    "sform_alone": ({"qform_code": 0}, _READ),
    "qform_alone": ({"sform_code": 0}, right(Truth(GRID, tolerance=0.02))),
    "sform_code_4": ({"sform_code": 4, "qform_code": 2}, _READ),
    "neither_sform_nor_qform": ({"sform_code": 0, "qform_code": 0}, _NO_PLACE),
    "qform_elsewhere": ({"qoffset_x": 55.0}, warned(_T, codes=("forms-differ",))),
    "qform_elsewhere_by_a_hair": ({"qoffset_x": float(-11 + 0.01)}, _READ),
    "qform_mirrored": ({"pixdim": [-1.0, 2.0, 1.5, 3.0, 0, 0, 0, 0]}, warned(_T, codes=("forms-differ",))),
    "sform_zero": ({"srow_x": [0] * 4, "srow_y": [0] * 4, "srow_z": [0] * 4, "qform_code": 0}, _NO_PLACE),
    "sform_nan": ({"srow_x": [_NAN] * 4, "qform_code": 0}, _NO_PLACE),
    "sform_singular": ({"srow_y": [-1.6, -0.9, 0, -11], "srow_x": [-1.6, -0.9, 0, -11], "qform_code": 0}, _NO_PLACE),
    "spacing_zero": ({"pixdim": [1, 0, 1.5, 3, 0, 0, 0, 0], "sform_code": 0}, _NO_PLACE),
    "spacing_negative": ({"pixdim": [1, 2, 1.5, -3, 0, 0, 0, 0], "sform_code": 0}, _NO_PLACE),
    "spacing_negative_beside_a_good_sform": (
        {"pixdim": [1, 2, 1.5, -3, 0, 0, 0, 0]},
        right(_T, warning="free").or_refused("bad-geometry"),
    ),
    "spacing_nan": ({"pixdim": [1, 2, _NAN, 3, 0, 0, 0, 0], "sform_code": 0}, _NO_PLACE),
    "spacing_of_sform_and_pixdim_differ": ({"pixdim": [1, 2, 1.5, 5, 0, 0, 0, 0]}, warned(_T)),
    "quaternion_impossible": ({"quatern_b": 3.0, "sform_code": 0}, _NO_PLACE),
    "unit_unknown": ({"xyzt_units": 0}, right(_T, warning="free")),
    "unit_impossible": ({"xyzt_units": 7}, _NO_PLACE.or_refused("bad-geometry")),
    "description_in_no_charset": ({"descrip": b"\xff\xfe caf\xe9"}, _READ),
    "wrong_magic": ({"magic": b"xyz"}, _NOT_READ),
    "of_no_sizes": ({"dim": [0, *_DIM[1:]]}, _NOT_READ),
    "of_nine_sizes": ({"dim": [9, *_DIM[1:]]}, _NOT_READ),
    "of_a_negative_size": ({"dim": [3, 12, -10, 8, 1, 1, 1, 1]}, _NOT_READ),
    "of_a_size_zero": ({"dim": [3, 12, 0, 8, 1, 1, 1, 1]}, _NOT_READ),
    "sizes_larger_than_the_data": ({"dim": [3, 12, 10, 9, 1, 1, 1, 1]}, _NOT_READ),
    "sizes_smaller_than_the_data": ({"dim": [3, 12, 10, 7, 1, 1, 1, 1]}, _NOT_READ),
    "datatype_unknown": ({"datatype": 77}, _NOT_READ),
    "datatype_zero": ({"datatype": 0}, _NOT_READ),
    "bits_contradict_the_datatype": ({"bitpix": 8}, _NOT_READ),
    "header_size_wrong": ({"sizeof_hdr": 349}, _NOT_READ),
    "voxels_within_the_header": ({"vox_offset": 100}, _NOT_READ),
    "voxels_beyond_the_file": ({"vox_offset": 1 << 20}, _NOT_READ),
    "voxels_at_nan": ({"vox_offset": _NAN}, _NOT_READ),
    "voxels_4_bytes_early": ({"vox_offset": 348}, _NOT_READ),
}
for _name, (_fields, _expect) in _FIELDS.items():
    add(f"nifti_{_name}", partial(_with, fields=_fields, expect=_expect))
add(
    "nifti_sheared",
    partial(_with, fields={"qform_code": 0}, expect=right(SHEARED, warning="free"), grid=SHEARED, sheared=True),
)


def _unit(folder: Path, factor: float, unit: str) -> Expect:
    """The same place in another unit of length."""
    image = _image()
    affine = np.diag([factor] * 3 + [1.0]) @ image.affine
    scaled = nib.Nifti1Image(np.asarray(image.dataobj), affine)
    scaled.header.set_xyzt_units(unit, "sec")
    scaled.set_qform(affine, code=1)
    nib.save(scaled, folder / "image.nii.gz")
    return right(Truth(GRID, tolerance=0.02), warning="free")


add("nifti_in_micrometres", partial(_unit, factor=1e3, unit="micron"))
add("nifti_in_metres", partial(_unit, factor=1e-3, unit="meter"))


def _filled(folder: Path, data: np.ndarray, expect: Expect) -> Expect:
    image = nib.Nifti1Image(data, LPS_TO_RAS @ GRID.affine)
    image.header.set_xyzt_units("mm")
    nib.save(image, folder / "image.nii.gz")
    return expect


def _values(kind: str = "f4") -> np.ndarray:
    return np.asarray(value_at(GRID.points()).astype(kind))


def _spoilt(value: float) -> np.ndarray:
    data = _values()
    data[3, 4, 5] = value
    return data


_TIMES = np.stack([_values() + 100 * t for t in range(3)], axis=-1)
_COLOURS = np.zeros(GRID.shape, [("R", "u1"), ("G", "u1"), ("B", "u1")])
_FLAT = Truth(None, pixels=np.full((1, *GRID.shape), 7.0))
_DATA: dict[str, tuple[np.ndarray, Expect]] = {
    "of_three_times": (_TIMES, right(*(Truth(GRID, offset=100 * t, tolerance=0.01) for t in range(3)), ordered=True)),
    "of_five_sizes": (np.stack([_TIMES, _TIMES], axis=-1), refused("not-3d", "unsupported")),
    "of_a_vector_field": (_TIMES[:, :, :, None], refused("not-3d", "unsupported")),
    "in_colour": (_COLOURS, refused("unsupported")),
    "of_complex_numbers": (_values("c8"), refused("unsupported")),
    "with_nan": (_spoilt(_NAN), refused("not-finite")),
    "with_infinity": (_spoilt(np.inf), refused("not-finite")),
    "constant": (np.full(GRID.shape, 7, "f4"), right(_FLAT, warning=("constant-image",))),
    "of_one_slice": (_values()[:, :, :1], right(Truth(GRID.part(0, 1), tolerance=0.01))),
    "of_two_sizes": (
        _values()[:, :, 0],
        right(Truth(GRID.part(0, 1), tolerance=0.01), warning="free").or_refused("not-3d", "bad-geometry"),
    ),
}
for _name, (_array, _expect) in _DATA.items():
    add(f"nifti_{_name}", partial(_filled, data=_array, expect=_expect))


@torture
def nifti_with_an_extension(folder: Path) -> Expect:
    image = _image()
    image.header.extensions.append(Nifti1Extension("comment", b"a remark " * 50))
    nib.save(image, folder / "image.nii.gz")
    return _READ


@torture
def nifti_claims_an_extension_of_2_gb(folder: Path) -> Expect:
    _with(folder, {"vox_offset": 2.0**31}, _READ)
    content = bytearray((folder / "image.nii").read_bytes())
    content[348:352] = b"\1\0\0\0"
    content[352:360] = struct.pack("<ii", 2**31 - 16, 6)
    (folder / "image.nii").write_bytes(bytes(content))
    return _NOT_READ


@torture
def nifti_integers_above_2_to_24(folder: Path) -> Expect:
    data = np.arange(960, dtype="i4").reshape(GRID.shape) + (1 << 25)
    return _filled(folder, data, right(Truth(None, pixels=data[None], tolerance=0)))


@torture
def nifti_as_a_pair(folder: Path) -> Expect:
    nib.save(nib.Nifti1Pair(_values(), LPS_TO_RAS @ GRID.affine), folder / "image.hdr")
    return right(_T).or_refused("unsupported", "no-image")


def _mangled(folder: Path, change: Callable[[bytes], bytes], expect: Expect, name: str = "image.nii.gz") -> Expect:
    nib.save(_image(), folder / "good.nii.gz")
    content = gzip.decompress((folder / "good.nii.gz").read_bytes())
    (folder / "good.nii.gz").unlink()
    (folder / name).write_bytes(change(gzip.compress(content, mtime=0) if name.endswith(".gz") else content))
    return expect


def _wrong_sum(content: bytes) -> bytes:
    return content[:-8] + bytes([content[-8] ^ 1]) + content[-7:]


_CUT = refused("truncated", "bad-header", "not-an-image")
add("nifti_cut", partial(_mangled, change=lambda c: c[:-100], expect=_CUT, name="image.nii"))
add("nifti_cut_by_one_byte", partial(_mangled, change=lambda c: c[:-1], expect=_CUT, name="image.nii"))
add("nifti_header_alone", partial(_mangled, change=lambda c: c[:352], expect=_CUT, name="image.nii"))
add("nifti_cut_header", partial(_mangled, change=lambda c: c[:200], expect=_CUT, name="image.nii"))
add("nifti_gzip_cut", partial(_mangled, change=lambda c: c[: len(c) // 2], expect=_CUT))
add("nifti_gzip_without_its_trailer", partial(_mangled, change=lambda c: c[:-8], expect=_CUT))
add("nifti_gzip_with_half_its_trailer", partial(_mangled, change=lambda c: c[:-4], expect=_CUT))
add("nifti_gzip_of_a_wrong_checksum", partial(_mangled, change=_wrong_sum, expect=refused("damaged")))
add("nifti_gzip_of_a_wrong_length", partial(_mangled, change=lambda c: c[:-4] + b"\1\0\0\0", expect=refused("damaged")))
_BEHIND = warned(_T, codes=("trailing-bytes",)).or_refused("bad-header")
add("nifti_with_bytes_behind", partial(_mangled, change=lambda c: c + b"more", expect=_BEHIND, name="image.nii"))
add("nifti_gzip_with_junk_behind", partial(_mangled, change=lambda c: c + b"junk" * 9, expect=_BEHIND))
add(
    "nifti_of_two_gzip_members",
    partial(
        _mangled,
        change=lambda c: gzip.compress(gzip.decompress(c)[:999]) + gzip.compress(gzip.decompress(c)[999:]),
        expect=_READ,
    ),
)
add("nifti_gzip_called_nii", partial(_mangled, change=lambda c: gzip.compress(c), expect=_READ, name="image.nii"))
add("nifti_called_gz_but_is_not", partial(_mangled, change=lambda c: gzip.decompress(c), expect=_READ))
_NO_NIFTI = refused("not-an-image", "truncated", "no-image", "bad-header")
add("nifti_that_is_a_web_page", partial(_mangled, change=lambda c: b"<!DOCTYPE html>" + b" " * 900, expect=_NO_NIFTI))
add("nifti_that_is_empty", partial(_mangled, change=lambda c: b"", expect=_NO_NIFTI))
add("nifti_that_is_empty_gzip", partial(_mangled, change=lambda c: gzip.compress(b""), expect=_NO_NIFTI))
