from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from phantoms import positional, write_nifti

from medvision.errors import MedvisionError
from medvision.geometry import Geometry
from medvision.io.nifti import UNSIZED, read_nifti

GRID = Geometry(
    np.array([[0.0, -1.5, 0.0, 11.0], [2.0, 0.0, 0.0, -7.0], [0.0, 0.0, 3.0, 5.0], [0.0, 0.0, 0.0, 1.0]]), (5, 6, 4)
)


def code_of(path: Path) -> str:
    with pytest.raises(MedvisionError) as caught:
        read_nifti(path)
    assert caught.value.path == path
    return caught.value.code


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_voxels_lie_where_their_values_say(tmp_path: Path, name: str) -> None:
    volume = read_nifti(write_nifti(tmp_path / name, positional(GRID), GRID))
    assert volume.geometry.matches(GRID)
    assert np.array_equal(volume.voxels[0], positional(volume.geometry))
    assert volume.voxels.dtype == np.int16
    assert volume.findings == ()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["u1", "i2", "u2", "i4", "f4", "i8"])
def test_every_type_is_read_in_the_machines_byte_order(tmp_path: Path, kind: str, order: str) -> None:
    import nibabel as nib

    values = np.arange(24).reshape(2, 3, 4).astype(order + kind)
    header = nib.Nifti1Header(endianness=order)
    header.set_data_dtype(values.dtype)
    header.set_data_shape(values.shape)
    header.set_sform(np.eye(4), code=1)
    header["vox_offset"] = 352
    (tmp_path / "a.nii").write_bytes(header.binaryblock + bytes(4) + values.tobytes(order="F"))
    voxels = read_nifti(tmp_path / "a.nii").voxels[0]
    assert np.array_equal(voxels, values)
    assert voxels.dtype == np.dtype(kind)


def test_nifti_2_is_read(tmp_path: Path) -> None:
    import nibabel as nib

    image = nib.Nifti2Image(positional(GRID), GRID.affine)
    image.header.set_sform(GRID.affine, code=1)
    nib.save(image, tmp_path / "a.nii")
    volume = read_nifti(tmp_path / "a.nii")
    assert np.array_equal(volume.voxels[0], positional(GRID))
    assert volume.geometry.matches(GRID)


def test_the_qform_serves_where_there_is_no_sform(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii", positional(GRID), GRID, sform_code=0)
    assert read_nifti(path).geometry.matches(GRID, tolerance_mm=1e-3)


def test_a_sheared_sform_is_kept(tmp_path: Path) -> None:
    affine = GRID.affine.copy()
    affine[1, 2] = 1.0
    sheared = Geometry(affine, GRID.shape)
    assert read_nifti(write_nifti(tmp_path / "a.nii", positional(sheared), sheared, qform_code=0)).geometry.is_sheared


def test_forms_apart_by_more_than_a_tenth_of_a_millimetre_are_a_warning_and_the_sform_is_used(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii", positional(GRID), GRID, qoffset_x=GRID.affine[0, 3] + 4)
    volume = read_nifti(path)
    assert [(f.code, f.grade) for f in volume.findings] == [("forms-differ", "warning")]
    assert "4.00 mm" in volume.findings[0].message
    assert volume.geometry.matches(GRID)


def test_an_impossible_qform_is_a_warning_beside_an_sform_and_a_refusal_without_one(tmp_path: Path) -> None:
    bad = {"quatern_b": 1.0, "quatern_c": 1.0, "quatern_d": 1.0}
    volume = read_nifti(write_nifti(tmp_path / "a.nii", positional(GRID), GRID, **bad))
    assert [f.code for f in volume.findings] == ["forms-differ"]
    assert code_of(write_nifti(tmp_path / "b.nii", positional(GRID), GRID, sform_code=0, **bad)) == "bad-geometry"


@pytest.mark.parametrize(("units", "factor"), [(0, 1.0), (1, 1000.0), (2, 1.0), (3, 0.001)])
def test_units_of_length_become_millimetres(tmp_path: Path, units: int, factor: float) -> None:
    geometry = read_nifti(write_nifti(tmp_path / "a.nii", positional(GRID), GRID, xyzt_units=units)).geometry
    assert np.allclose(geometry.spacing_mm, np.array(GRID.spacing_mm) * factor)


def test_scaling_is_applied_in_float32(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii", positional(GRID), GRID, scl_slope=0.5, scl_inter=-3)
    voxels = read_nifti(path).voxels[0]
    assert voxels.dtype == np.float32
    assert np.array_equal(voxels, positional(GRID) * 0.5 - 3)


@pytest.mark.parametrize(("slope", "inter"), [(1, 0), (0, 7), (np.nan, np.nan)])
def test_scaling_by_nothing_leaves_integers(tmp_path: Path, slope: float, inter: float) -> None:
    path = write_nifti(tmp_path / "a.nii", positional(GRID), GRID, scl_slope=slope, scl_inter=inter)
    assert np.array_equal(read_nifti(path).voxels[0], positional(GRID))


def test_a_2d_image_has_one_slice_and_a_fourth_axis_of_one_is_dropped(tmp_path: Path) -> None:
    flat = Geometry.from_spacing((2, 3, 1), (4, 5, 1))
    assert read_nifti(write_nifti(tmp_path / "a.nii", np.ones((4, 5), np.int16), flat)).voxels.shape == (1, 4, 5, 1)
    assert read_nifti(write_nifti(tmp_path / "b.nii", np.ones((4, 5, 1, 1), "i2"), flat)).voxels.shape == (1, 4, 5, 1)


def test_content_decides_over_the_name_with_a_note(tmp_path: Path) -> None:
    plain = write_nifti(tmp_path / "a.nii", positional(GRID), GRID)
    packed = tmp_path / "b.nii"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    unpacked = tmp_path / "c.nii.gz"
    unpacked.write_bytes(plain.read_bytes())
    for path in (packed, unpacked):
        volume = read_nifti(path)
        assert np.array_equal(volume.voxels[0], positional(GRID))
        assert [f.code for f in volume.findings] == ["converted"]


def test_a_picture_without_a_size_stays_one(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii", positional(GRID), GRID, descrip=UNSIZED.encode())
    assert not read_nifti(path).geometry.physical


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"dim": [3, 5, 6, 0, 1, 1, 1, 1]}, "bad-header"),
        ({"dim": [9, 5, 6, 4, 1, 1, 1, 1]}, "bad-header"),
        ({"dim": [3, 5, 6, -4, 1, 1, 1, 1]}, "bad-header"),
        ({"dim": [4, 5, 6, 2, 2, 1, 1, 1]}, "not-3d"),
        ({"dim": [5, 5, 6, 2, 1, 2, 1, 1]}, "not-3d"),
        ({"dim": [3, 5, 6, 5, 1, 1, 1, 1]}, "truncated"),
        ({"dim": [3, 5, 6, 3, 1, 1, 1, 1]}, "bad-header"),
        ({"dim": [3, 32767, 32767, 32767, 1, 1, 1, 1]}, "too-large"),
        ({"datatype": 128, "bitpix": 24}, "unsupported"),
        ({"datatype": 32, "bitpix": 64}, "unsupported"),
        ({"datatype": 999}, "bad-header"),
        ({"datatype": 1536, "bitpix": 128}, "bad-header"),
        ({"bitpix": 8}, "bad-header"),
        ({"pixdim": [1, 0, 1, 1, 0, 0, 0, 0]}, "bad-geometry"),
        ({"pixdim": [1, 1, -1, 1, 0, 0, 0, 0]}, "bad-geometry"),
        ({"pixdim": [1, 1, np.nan, 1, 0, 0, 0, 0]}, "bad-geometry"),
        ({"xyzt_units": 5}, "bad-geometry"),
        ({"sform_code": 0, "qform_code": 0}, "bad-geometry"),
        ({"srow_x": [0, 0, 0, 0]}, "bad-geometry"),
        ({"srow_x": [np.nan, 0, 0, 0]}, "bad-geometry"),
        ({"scl_slope": np.inf}, "bad-rescale"),
        ({"scl_slope": 2, "scl_inter": np.nan}, "bad-rescale"),
        ({"vox_offset": 0}, "bad-header"),
        ({"vox_offset": 2e9}, "bad-header"),
        ({"magic": b"ni1"}, "unsupported"),
        ({"sizeof_hdr": 999}, "not-an-image"),
    ],
)
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_header_that_cannot_be_true_is_refused(
    tmp_path: Path, fields: dict[str, object], code: str, name: str
) -> None:
    assert code_of(write_nifti(tmp_path / name, positional(GRID), GRID, **fields)) == code


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_values_that_are_not_finite_in_float32_are_refused(tmp_path: Path, bad: float) -> None:
    values = np.zeros((3, 3, 3))
    values[1, 1, 1] = bad
    assert code_of(write_nifti(tmp_path / "a.nii", values)) == "not-finite"


@pytest.mark.parametrize("part", [0.05, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_cut_file_is_refused(tmp_path: Path, name: str, part: float) -> None:
    path = write_nifti(tmp_path / name, np.random.default_rng(0).integers(0, 9999, (20, 20, 20), np.int16))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    assert code_of(path) in ("truncated", "not-an-image")


def test_a_truncated_file_is_refused_with_its_sizes(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii", positional(GRID), GRID)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(MedvisionError, match="200 of 240 bytes"):
        read_nifti(path)


def test_a_wrong_checksum_is_refused_after_intact_data(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii.gz", positional(GRID), GRID)
    content = bytearray(path.read_bytes())
    content[-8] ^= 0xFF
    path.write_bytes(content)
    assert code_of(path) == "bad-header"


@pytest.mark.parametrize("tail", [b"more", b"a longer tail of forty bytes or even more"])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_bytes_behind_the_data_are_refused(tmp_path: Path, name: str, tail: bytes) -> None:
    path = write_nifti(tmp_path / name, positional(GRID), GRID)
    path.write_bytes(path.read_bytes() + tail)
    assert code_of(path) in ("bad-header", "truncated")  # four bytes can be taken for a further part that is cut


def test_a_file_that_is_gone_is_refused(tmp_path: Path) -> None:
    assert code_of(tmp_path / "none.nii") == "unreadable"


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 351), st.integers(0, 255), st.booleans())
def test_a_changed_byte_of_the_header_is_refused_or_read_without_another_error(
    tmp_path: Path, place: int, value: int, packed: bool
) -> None:
    path = write_nifti(tmp_path / "a.nii", positional(GRID), GRID)
    content = bytearray(path.read_bytes())
    content[place] = value
    path.write_bytes(gzip.compress(content, 1) if packed else content)
    refused, voxels = None, 0
    try:
        voxels = read_nifti(path).voxels.size
    except MedvisionError as error:
        refused = error.path
    assert refused == path or 0 < voxels <= 240
