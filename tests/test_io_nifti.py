from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from phantoms import positional, write_nifti

from medvision.errors import Finding, MedvisionError
from medvision.geometry import Geometry
from medvision.io import read_volume, scan
from medvision.io.nifti import UNSIZED, read_nifti, volumes_in
from medvision.study import AS_IT_STANDS, Reading

GRID = Geometry(
    np.array([[0.0, -1.5, 0.0, 11.0], [2.0, 0.0, 0.0, -7.0], [0.0, 0.0, 3.0, 5.0], [0.0, 0.0, 0.0, 1.0]]), (5, 6, 4)
)


def refusal_of(path: Path, part: int | None = None, reading: Reading = AS_IT_STANDS) -> Finding:
    with pytest.raises(MedvisionError) as caught:
        read_nifti(path, part, reading)
    assert caught.value.path == path
    return caught.value.finding


def code_of(path: Path, part: int | None = None, reading: Reading = AS_IT_STANDS) -> str:
    return refusal_of(path, part, reading).code


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
    volume = read_nifti(write_nifti(tmp_path / "a.nii", positional(GRID), GRID, xyzt_units=units + 8))  # 8: seconds
    assert np.allclose(volume.geometry.affine[:3], GRID.affine[:3] * factor)
    assert [(f.code, f.grade) for f in volume.findings] == ([] if factor == 1 else [("converted", "note")])


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
        ({"datatype": 1536, "bitpix": 128}, "unsupported"),
        ({"datatype": 1, "bitpix": 1}, "unsupported"),
        ({"datatype": 0, "bitpix": 0}, "bad-header"),
        ({"bitpix": 8}, "bad-header"),
        ({"pixdim": [1, 0, 1, 1, 0, 0, 0, 0]}, "bad-geometry"),
        ({"pixdim": [1, 1, -1, 1, 0, 0, 0, 0]}, "bad-geometry"),
        ({"pixdim": [1, 1, np.nan, 1, 0, 0, 0, 0]}, "bad-geometry"),
        ({"xyzt_units": 5}, "bad-geometry"),
        ({"sform_code": 0, "qform_code": 0}, "bad-geometry"),
        ({"srow_x": [0, 0, 0, 0]}, "bad-geometry"),
        ({"srow_x": [np.nan, 0, 0, 0]}, "bad-geometry"),
        ({"srow_x": [1, 0, 0, 1e30]}, "bad-geometry"),
        ({"sform_code": 0, "qoffset_x": 1e30}, "bad-geometry"),
        ({"sform_code": 0, "qform_code": 1, "quatern_b": np.nan}, "bad-geometry"),
        ({"scl_slope": np.inf}, "bad-rescale"),
        ({"scl_slope": 2, "scl_inter": np.nan}, "bad-rescale"),
        ({"vox_offset": 0}, "bad-header"),
        ({"vox_offset": 2e9}, "bad-header"),
        ({"vox_offset": 352.5}, "bad-header"),
        ({"vox_offset": np.nan}, "bad-header"),
        ({"magic": b"ni1"}, "unsupported"),
        ({"magic": b""}, "unsupported"),  # Analyze 7.5
        ({"magic": b"n+9"}, "not-an-image"),
        ({"dim": [1, 240, 1, 1, 1, 1, 1, 1]}, "bad-header"),
        ({"dim": [7, 32767, 32767, 32767, 32767, 1, 1, 1]}, "too-large"),
        ({"dim": [7, 32767, 32767, 32767, 32767, 32767, 32767, 32767]}, "not-3d"),
        ({"sizeof_hdr": 999}, "not-an-image"),
    ],
)
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_header_that_cannot_be_true_is_refused(
    tmp_path: Path, fields: dict[str, object], code: str, name: str
) -> None:
    assert code_of(write_nifti(tmp_path / name, positional(GRID), GRID, **fields)) == code


@pytest.mark.parametrize("kind", ["f4", "f8"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused_or_replaced_with_a_warning(
    tmp_path: Path, bad: float, kind: str
) -> None:
    values = np.arange(27, dtype=kind).reshape(3, 3, 3)
    values[1, 1, 1] = values[2, 0, 1] = bad
    path = write_nifti(tmp_path / "a.nii", values, scl_slope=2, scl_inter=1)
    refused = refusal_of(path)
    assert refused.code == "not-finite"
    assert "2 of 27" in refused.message
    assert "--nan-to" in str(refused.cure)
    volume = read_nifti(path, reading=Reading(nan_to=-5))
    assert np.array_equal(volume.voxels[0], np.where(np.isfinite(values), values * 2 + 1, -5))
    assert [(f.code, f.grade) for f in volume.findings] == [("not-finite", "warning")]
    assert "2 of 27" in volume.findings[0].message
    assert volume.voxels.dtype == np.float32


@pytest.mark.parametrize(("kind", "slope"), [("f8", 1e300), ("f4", 3e38), ("i2", 3e38), ("f8", -1e308)])
def test_values_beyond_float32_are_refused_even_where_nan_is_replaced(tmp_path: Path, kind: str, slope: float) -> None:
    values = np.zeros((3, 3, 3), kind)
    values[1, 1, 1] = 2 if kind != "f8" else slope
    path = write_nifti(tmp_path / "a.nii", values, **({} if kind == "f8" else {"scl_slope": slope}))
    assert code_of(path, reading=Reading(nan_to=0)) == "not-finite"


def test_float64_is_kept_where_float32_would_merge_values(tmp_path: Path) -> None:
    steps = np.arange(27.0).reshape(3, 3, 3)
    for values, kind in ((steps + 1e3, "f4"), (steps + 1e9, "f8"), (steps * 1e-45, "f8"), (steps * 0 + 1e9, "f4")):
        voxels = read_nifti(write_nifti(tmp_path / "a.nii", values)).voxels[0]
        assert voxels.dtype == np.dtype(kind)
        assert np.allclose(voxels, values, rtol=1e-7, atol=0)
    path = write_nifti(tmp_path / "a.nii", steps.astype("i2"), scl_slope=1, scl_inter=2.0**30)
    assert np.array_equal(read_nifti(path).voxels[0], steps + 2**30)


def test_whole_numbers_scaled_by_whole_numbers_stay_whole(tmp_path: Path) -> None:
    values = np.arange(-1200, 3000, 35, dtype=np.int16).reshape(4, 5, 6)
    path = write_nifti(tmp_path / "a.nii", values, scl_slope=-3, scl_inter=-1024)
    assert np.array_equal(read_nifti(path).voxels[0], values.astype(int) * -3 - 1024)


@pytest.mark.parametrize("kind", ["i8", "u8"])
def test_integers_of_64_bits_are_exact(tmp_path: Path, kind: str) -> None:
    values = np.array([np.iinfo(kind).min, np.iinfo(kind).max, 2**53 + 1], kind).reshape(3, 1, 1)
    assert np.array_equal(read_nifti(write_nifti(tmp_path / "a.nii", values)).voxels[0], values)


def times(count: int = 3) -> np.ndarray:
    return np.stack([positional(GRID) + 1000 * n for n in range(count)], axis=-1)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_volumes_of_a_series_are_counted_and_read_one_by_one(tmp_path: Path, name: str) -> None:
    path = write_nifti(tmp_path / name, times(), GRID)
    assert volumes_in(path) == 3
    for part in range(3):
        volume = read_nifti(path, part)
        assert np.array_equal(volume.voxels[0], positional(GRID) + 1000 * part)
        assert volume.geometry.matches(GRID)
    assert "3 volumes of 5x6x4" in refusal_of(path).message
    assert [code_of(path, part) for part in (None, -1, 3)] == ["not-3d"] * 3


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_file_of_one_volume_is_its_first(tmp_path: Path, name: str) -> None:
    path = write_nifti(tmp_path / name, positional(GRID), GRID)
    assert volumes_in(path) == 1
    assert np.array_equal(read_nifti(path, 0).voxels[0], positional(GRID))


@pytest.mark.parametrize(("code", "word"), [(1007, "vectors"), (1005, "symmetric matrices"), (0, "more than four")])
def test_more_than_four_axes_are_refused_by_what_they_mean(tmp_path: Path, code: int, word: str) -> None:
    values = np.zeros((4, 4, 4, 1, 3), np.float32)
    path = write_nifti(tmp_path / "a.nii", values, intent_code=code)
    assert word in refusal_of(path).message
    with pytest.raises(MedvisionError, match="not-3d"):
        volumes_in(path)


@pytest.mark.parametrize(
    ("kind", "bits", "word"),
    [
        (1, 1, "1-bit"),
        (32, 64, "complex"),
        (1792, 128, "complex"),
        (2048, 256, "complex"),
        (128, 24, "RGB24"),
        (2304, 32, "RGBA32"),
        (1536, 128, "float128"),
    ],
)
def test_what_is_no_real_number_is_refused_by_its_name(tmp_path: Path, kind: int, bits: int, word: str) -> None:
    path = write_nifti(tmp_path / "a.nii", positional(GRID), GRID, datatype=kind, bitpix=bits)
    assert word in refusal_of(path).message


def test_voxels_without_a_place_are_refused_or_assumed_to_be_ras_with_a_warning(tmp_path: Path) -> None:
    grid = Geometry.from_spacing((2, 0.5, 3), (5, 6, 4))
    path = write_nifti(tmp_path / "a.nii", positional(grid), grid, sform_code=0, qform_code=0, xyzt_units=3)
    refused = refusal_of(path)
    assert refused.code == "bad-geometry"
    assert "--assume-ras" in str(refused.cure)
    volume = read_nifti(path, reading=Reading(assume_ras=True))
    assert np.allclose(volume.geometry.affine, np.diag([0.002, 0.0005, 0.003, 1]))
    assert [f.code for f in volume.findings] == ["converted", "orientation-assumed"]
    assert volume.findings[1].grade == "warning"
    flat = write_nifti(
        tmp_path / "b.nii", np.ones((4, 5), "u1"), sform_code=0, qform_code=0, pixdim=[1, 2, 3, 0, *[0] * 4]
    )
    assert read_nifti(flat, reading=Reading(assume_ras=True)).geometry.spacing_mm == (2, 3, 1)


def test_a_place_that_is_stated_needs_no_assumption(tmp_path: Path) -> None:
    volume = read_nifti(write_nifti(tmp_path / "a.nii", positional(GRID), GRID), reading=Reading(assume_ras=True))
    assert volume.geometry.matches(GRID)
    assert volume.findings == ()


@pytest.mark.parametrize(("qfac", "factor"), [(0, 1), (1, 1), (-1, -1)])
def test_the_third_axis_turns_round_with_the_sign_of_qfac(tmp_path: Path, qfac: float, factor: float) -> None:
    grid = Geometry.from_spacing((1, 2, 3), (5, 6, 4))
    path = write_nifti(tmp_path / "a.nii", positional(grid), grid, sform_code=0, pixdim=[qfac, 1, 2, 3, 0, 0, 0, 0])
    assert np.allclose(read_nifti(path).geometry.affine, np.diag([1, 2, 3 * factor, 1]))
    path = write_nifti(tmp_path / "b.nii", positional(grid), grid, sform_code=0, pixdim=[0.5, 1, 2, 3, 0, 0, 0, 0])
    assert code_of(path) == "bad-geometry"


def test_a_pixdim_beside_the_sform_that_differs_is_a_note(tmp_path: Path) -> None:
    fields = {"qform_code": 0, "pixdim": [1, 2, 1.5, 4, 0, 0, 0, 0]}
    volume = read_nifti(write_nifti(tmp_path / "a.nii", positional(GRID), GRID, **fields))
    assert [(f.code, f.grade) for f in volume.findings] == [("spacing-differs", "note")]
    assert volume.geometry.spacing_mm == (2, 1.5, 3)


def test_the_tests_of_nibabel_are_read_as_nibabel_reads_them() -> None:
    import nibabel as nib

    folder = Path(nib.__file__).parent / "tests" / "data"
    files = sorted(file for file in folder.glob("*.nii*") if "dconn" not in file.name)
    if not files:
        pytest.skip("nibabel is installed without its tests")
    for file in files:
        image = nib.load(file)
        wanted = np.nan_to_num(np.asarray(image.dataobj), posinf=0, neginf=0)  # type: ignore[attr-defined]
        for part in range(volumes_in(file)):
            volume = read_nifti(file, part, Reading(nan_to=0))
            assert np.allclose(volume.voxels[0], wanted if wanted.ndim == 3 else wanted[..., part], rtol=1e-6)
            assert np.allclose(volume.geometry.affine, image.affine, atol=1e-6)  # type: ignore[attr-defined]


def test_more_volumes_than_a_file_has_room_for_are_one_refusal(tmp_path: Path) -> None:
    path = tmp_path / "a.nii"
    content = bytearray(write_nifti(path, np.zeros((2, 2, 2, 3), np.uint8)).read_bytes())
    content[48:50] = (32_000).to_bytes(2, "little")
    path.write_bytes(content)
    (case,) = scan([path]).cases
    with pytest.raises(MedvisionError):
        read_volume(case)
    with pytest.raises(MedvisionError, match="256,000 bytes of 32,000 volumes"):
        volumes_in(path)
