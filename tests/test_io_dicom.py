from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from phantoms import positional, slice_of, world, write_dicom_series
from PIL import Image

from medvision.errors import MedvisionError
from medvision.geometry import Geometry
from medvision.io.dicom.read import read_dicom
from medvision.study import Reading
from medvision.volume import Volume

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
AXIAL = Geometry(np.array([[-2.0, 0, 0, 9], [0, -1.0, 0, 8], [0, 0, 3.0, -20], [0, 0, 0, 1]]), (5, 6, 7))


def turned(degrees: float) -> Geometry:
    """Return an oblique grid: AXIAL turned about two axes."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    about_x = np.array([[1, 0, 0, 0], [0, c, -s, 0], [0, s, c, 0], [0, 0, 0, 1]])
    about_z = np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    return Geometry(about_x @ about_z @ AXIAL.affine, AXIAL.shape)


GRIDS = {
    "axial": AXIAL,
    "feet first": Geometry(np.diag([-1.0, -1, -1, 1]) @ AXIAL.affine, AXIAL.shape),
    "sagittal": Geometry(np.array([[0, 0, 3.0, 1], [-2.0, 0, 0, 2], [0, -1.0, 0, 3], [0, 0, 0, 1]]), AXIAL.shape),
    "coronal": Geometry(np.array([[-2.0, 0, 0, 1], [0, 0, 3.0, 2], [0, -1.0, 0, 3], [0, 0, 0, 1]]), AXIAL.shape),
    "oblique": turned(20),
}


def written(folder: Path, grid: Geometry = AXIAL, **tags: Any) -> list[Path]:
    return write_dicom_series(folder, positional(grid), grid, **tags)


def code_of(files: list[Path]) -> str:
    with pytest.raises(MedvisionError) as caught:
        read_dicom(files)
    assert caught.value.path is not None
    assert "PHANTOM" not in str(caught.value)
    assert "1.2.826" not in str(caught.value)
    return caught.value.code


def by_simpleitk(folder: Path) -> Volume:
    import SimpleITK

    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return Volume(SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0)[None], Geometry(LPS @ affine, image.GetSize()))


@pytest.mark.parametrize("name", GRIDS)
def test_voxels_lie_where_their_values_say_and_where_simpleitk_puts_them(tmp_path: Path, name: str) -> None:
    volume = read_dicom(sorted(written(tmp_path, GRIDS[name])))
    rounding = 1 if name == "oblique" else 0  # values at a half go either way where coordinates are no whole numbers
    assert np.abs(volume.voxels[0] - positional(volume.geometry)).max() <= rounding
    other = by_simpleitk(tmp_path)
    same = other.onto(volume.geometry, order=0)
    assert np.array_equal(volume.voxels, same.voxels)
    assert volume.geometry.matches(other.geometry.reoriented(volume.geometry.orientation), tolerance_mm=1e-3)
    assert (volume.modality, volume.unit, volume.findings) == ("CT", "HU", ())
    assert volume.voxels.dtype == np.int16


def test_the_order_of_files_does_not_matter(tmp_path: Path) -> None:
    files = written(tmp_path)
    first, second = read_dicom(files), read_dicom(files[::-1])
    assert np.array_equal(first.voxels, second.voxels)
    assert np.array_equal(first.geometry.affine, second.geometry.affine)


@pytest.mark.parametrize("case", ["hippocampus_crop_1", "hippocampus_crop_2"])
def test_real_series_equal_simpleitk(shared_data: Path, case: str) -> None:
    folder = shared_data / "dicom_objects" / case
    volume, other = read_dicom(sorted(folder.glob("*.dcm"))), by_simpleitk(folder)
    assert np.array_equal(volume.voxels, other.voxels)
    assert np.allclose(volume.geometry.affine, other.geometry.affine, atol=1e-6)
    assert (volume.modality, volume.unit) == ("MR", None)


def test_jitter_of_positions_is_averaged_without_a_finding(tmp_path: Path) -> None:
    moved = {k: {"ImagePositionPatient": [-9, -8, -20 + 3 * k + (-1) ** k * 0.005]} for k in range(7)}
    volume = read_dicom(written(tmp_path, slices=moved))
    assert volume.findings == ()
    assert volume.geometry.spacing_mm[2] == pytest.approx(3.0, abs=2e-3)


def test_a_lone_slice_takes_its_thickness_with_a_note(tmp_path: Path) -> None:
    volume = read_dicom(written(tmp_path)[:1])
    assert volume.geometry.spacing_mm == (2.0, 1.0, 3.0)
    assert [f.code for f in volume.findings] == ["one-slice"]
    assert code_of(written(tmp_path, SliceThickness=None)[:1]) == "bad-geometry"


def test_positions_win_over_a_stated_spacing_with_a_note(tmp_path: Path) -> None:
    volume = read_dicom(written(tmp_path, SpacingBetweenSlices=5))
    assert volume.geometry.spacing_mm[2] == pytest.approx(3)
    assert [(f.code, f.grade) for f in volume.findings] == [("spacing-differs", "note")]


def test_each_slice_is_rescaled_by_its_own_slope(tmp_path: Path) -> None:
    slopes = {k: {"RescaleSlope": k + 0.5} for k in range(7)}
    volume = read_dicom(written(tmp_path, modality="PT", slices=slopes))
    assert np.allclose(volume.voxels[0], positional(AXIAL) * (np.arange(7) + 0.5))
    assert (volume.voxels.dtype, volume.unit) == (np.float32, "BQML")


def test_an_intercept_keeps_integers(tmp_path: Path) -> None:
    volume = read_dicom(written(tmp_path, RescaleIntercept=-1024, BitsStored=12, HighBit=11))
    assert volume.voxels.dtype == np.int16
    assert np.array_equal(volume.voxels[0], positional(AXIAL) - 1024)


@pytest.mark.parametrize(("bits", "low", "kind"), [(16, 0, np.uint16), (8, 0, np.uint8)])
def test_unsigned_values_are_read_in_the_smallest_type(tmp_path: Path, bits: int, low: int, kind: type) -> None:
    values = np.random.default_rng(0).integers(low, 1 << bits, AXIAL.shape, np.uint16)
    files = write_dicom_series(tmp_path, values, AXIAL, modality="MR", BitsStored=bits, HighBit=bits - 1)
    volume = read_dicom(files)
    assert volume.voxels.dtype == kind
    assert np.array_equal(volume.voxels[0], values)


def test_an_intercept_beyond_integers_is_read_as_float(tmp_path: Path) -> None:
    assert read_dicom(written(tmp_path, RescaleIntercept="1e20")).voxels.dtype == np.float32


def test_junk_in_unused_bits_is_cleared_with_a_note_and_signs_are_extended(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(-2048, 2048, AXIAL.shape, np.int16)
    junk = ((values & 0x0FFF) | 0x5000).astype(np.int16)
    volume = read_dicom(write_dicom_series(tmp_path, junk, AXIAL, BitsStored=12, HighBit=11))
    assert np.array_equal(volume.voxels[0], values)
    (note,) = volume.findings
    assert (note.code, note.grade) == ("converted", "note")
    assert f" {values.size} voxels" in note.message


@pytest.mark.parametrize("tag", [-2000, 63536])
def test_padding_becomes_the_least_other_value_with_a_note(tmp_path: Path, tag: int) -> None:
    values = positional(AXIAL)
    values[0, 0, :] = -2000
    files = write_dicom_series(tmp_path, values, AXIAL)
    for file in files:
        dataset = pydicom.dcmread(file)
        dataset.add_new(0x00280120, "SS" if tag < 0 else "US", tag)
        dataset.save_as(file)
    volume = read_dicom(files)
    assert volume.voxels.min() == positional(AXIAL)[1:].min()
    assert [(f.code, f.message) for f in volume.findings] == [("padding-replaced", "7 voxels were padding")]


def test_a_range_of_padding_is_replaced_and_padding_alone_is_left(tmp_path: Path) -> None:
    values = np.full(AXIAL.shape, 100, np.uint16)
    values[0], values[1] = 10, 12
    tags = {"PixelPaddingValue": 10, "PixelPaddingRangeLimit": 12}
    files = write_dicom_series(tmp_path, values, AXIAL, **tags)
    assert np.unique(read_dicom(files).voxels).tolist() == [100]
    alone = write_dicom_series(tmp_path, np.full(AXIAL.shape, 10, np.uint16), AXIAL, **tags)
    assert np.unique(read_dicom(alone).voxels).tolist() == [10]


def test_padding_outside_the_stored_bits_is_refused(tmp_path: Path) -> None:
    values = np.ones(AXIAL.shape, np.uint16)
    files = write_dicom_series(tmp_path, values, AXIAL, BitsStored=12, HighBit=11, PixelPaddingValue=63536)
    assert code_of(files) == "bad-header"


def test_padding_of_one_slice_concerns_that_slice(tmp_path: Path) -> None:
    values = np.full(AXIAL.shape, 10, np.uint16)
    values[0] = 50
    files = write_dicom_series(tmp_path, values, AXIAL, slices={2: {"PixelPaddingValue": 50}})
    assert read_dicom(files).voxels[0, 0, 0].tolist() == [50, 50, 10, 50, 50, 50, 50]


def test_lossy_compression_is_a_warning(tmp_path: Path) -> None:
    volume = read_dicom(written(tmp_path, LossyImageCompression="01"))
    assert [(f.code, f.grade) for f in volume.findings] == [("lossy-compressed", "warning")]


def test_one_instance_uid_for_all_slices_is_a_warning(tmp_path: Path) -> None:
    volume = read_dicom(written(tmp_path, SOPInstanceUID="1.2.3"))
    assert [(f.code, f.grade) for f in volume.findings] == [("bad-header", "warning")]


@pytest.mark.parametrize(("stated", "unit"), [("HU", "HU"), (None, "HU"), ("US", None), ("MGML", "MGML")])
def test_the_unit_of_ct_is_hu_unless_another_is_stated(tmp_path: Path, stated: str | None, unit: str | None) -> None:
    tags = {} if stated is None else {"RescaleType": stated}
    assert read_dicom(written(tmp_path, **tags)).unit == unit


def test_monochrome1_of_a_slice_leaves_its_values(tmp_path: Path) -> None:
    volume = read_dicom(written(tmp_path, PhotometricInterpretation="MONOCHROME1"))
    assert np.array_equal(volume.voxels[0], positional(AXIAL))


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ({"ImagePositionPatient": None}, "bad-geometry"),
        ({"ImagePositionPatient": [1, 2]}, "bad-geometry"),
        ({"ImageOrientationPatient": None}, "bad-geometry"),
        ({"ImageOrientationPatient": [1, 0, 0, 0.01, 1, 0]}, "bad-geometry"),
        ({"PixelSpacing": None}, "bad-geometry"),
        ({"PixelSpacing": [0, 1]}, "bad-geometry"),
        ({"ImagePositionPatient": [0, 0, 0]}, "slices-duplicate"),
        ({"RescaleSlope": 0}, "bad-rescale"),
        ({"RescaleSlope": None}, "bad-rescale"),
        ({"RescaleSlope": None, "RescaleIntercept": None}, "bad-rescale"),
        ({"Rows": None}, "bad-header"),
        ({"BitsStored": 17}, "bad-header"),
        ({"HighBit": 12}, "bad-header"),
        ({"PixelRepresentation": None}, "bad-header"),
        ({"PixelRepresentation": 3}, "bad-header"),
        ({"Modality": "MR"}, "bad-header"),
        ({"SOPClassUID": None}, "bad-header"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.77.1.6"}, "unsupported"),
        ({"NumberOfFrames": 3}, "truncated"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "bad-header"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PixelRepresentation": 0}, "unsupported"),
        ({"SamplesPerPixel": 2}, "bad-header"),
        ({"PhotometricInterpretation": "CMYK"}, "unsupported"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "unsupported"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "MOSAIC"]}, "unsupported"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "unsupported"),
        ({"ModalityLUTSequence": []}, "bad-rescale"),
        ({"Rows": 60000, "Columns": 60000}, "truncated"),
        ({"Rows": 65535, "Columns": 65535}, "too-large"),
        ({"PixelData": None}, "truncated"),
    ],
)
def test_a_series_that_cannot_be_read_right_is_refused(tmp_path: Path, tags: dict[str, Any], code: str) -> None:
    assert code_of(written(tmp_path, **tags)) == code


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"PatientID": "OTHER"}, "series-mixed"),
        ({"StudyInstanceUID": "1.2.3"}, "series-mixed"),
        ({"FrameOfReferenceUID": "1.2.3"}, "series-mixed"),
        ({"PixelSpacing": [1, 2.01]}, "series-mixed"),
        ({"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}, "not-3d"),
        ({"ImageOrientationPatient": [1, 0.01, 0, -0.01, 1, 0]}, "series-mixed"),
        ({"ImageOrientationPatient": None}, "series-mixed"),
        ({"PixelRepresentation": 0}, "series-mixed"),
        ({"BitsStored": 12, "HighBit": 11}, "series-mixed"),
        ({"RescaleType": "US"}, "series-mixed"),
        ({"Rows": 3}, "series-mixed"),
        ({"ImagePositionPatient": [-9, -8, -20 + 3 * 3 + 0.2]}, "slices-uneven"),
        ({"ImagePositionPatient": [-9, -8, -20 + 3 * 4]}, "slices-duplicate"),
        ({"ImagePositionPatient": [-9, -7.5, -20 + 3 * 3]}, "bad-geometry"),
        ({"RescaleSlope": None}, "bad-rescale"),
    ],
)
def test_one_slice_unlike_the_others_refuses_the_series(tmp_path: Path, change: dict[str, Any], code: str) -> None:
    assert code_of(written(tmp_path, slices={3: change})) == code


def test_a_slice_of_mr_without_the_slope_of_the_others_is_refused(tmp_path: Path) -> None:
    slopes = {k: {"RescaleSlope": 1, "RescaleIntercept": 0} for k in range(6)}
    assert code_of(written(tmp_path, modality="MR", slices=slopes)) == "bad-rescale"


def test_a_foreign_slice_is_named_and_no_identity_is_told(tmp_path: Path) -> None:
    files = written(tmp_path, slices={3: {"PatientID": "OTHER-9"}})
    with pytest.raises(MedvisionError) as caught:
        read_dicom(files)
    assert caught.value.path == files[3]
    assert "Patient ID" in str(caught.value)
    assert "OTHER-9" not in str(caught.value)


def test_missing_slices_are_told_by_their_numbers(tmp_path: Path) -> None:
    files = written(tmp_path)
    with pytest.raises(MedvisionError, match=r"3-4: 6\.00 mm") as caught:
        read_dicom(files[:3] + files[4:])
    assert caught.value.code == "slices-missing"


@pytest.mark.parametrize("degrees", [0.6, 18.5])
def test_a_tilted_gantry_keeps_its_shear_with_a_warning(tmp_path: Path, degrees: float) -> None:
    affine = AXIAL.affine.copy()
    affine[1, 2] = 3 * np.tan(np.radians(degrees))
    volume = read_dicom(written(tmp_path, Geometry(affine, AXIAL.shape)))
    assert np.abs(volume.voxels[0] - positional(volume.geometry)).max() <= 1
    assert np.allclose(volume.geometry.affine, affine, atol=1e-5)
    assert [(f.code, f.grade) for f in volume.findings] == [("gantry-tilt", "warning")]
    assert f"{degrees} degrees" in volume.findings[0].message


def test_a_tilt_is_resampled_to_right_angles_on_request_and_recorded(tmp_path: Path) -> None:
    affine = np.diag([-1.0, -1.0, 2.0, 1.0])
    affine[1, 2] = 2 * np.tan(np.radians(20))
    grid = Geometry(affine, (12, 14, 9))
    files = written(tmp_path, grid)
    volume = read_dicom(files, reading=Reading(orthogonal=True))
    assert not volume.geometry.is_sheared
    assert {"gantry-tilt", "resampled"} <= {f.code for f in volume.findings if f.grade == "warning"}
    inside = grid.to_index(world(volume.geometry))
    held = np.all((inside >= 0) & (inside <= np.array(grid.shape) - 1), axis=-1)
    assert held.mean() > 0.5
    assert np.abs(volume.voxels[0] - positional(volume.geometry))[held].max() <= 1.01
    # Every corner of what was measured lies on the new grid.
    corners = volume.geometry.to_index(grid.corners)
    assert (corners > -0.01).all()
    assert (corners < np.array(volume.geometry.shape) - 0.99).all()


def test_uneven_slices_are_interpolated_where_that_is_allowed(tmp_path: Path) -> None:
    files = written(tmp_path)
    volume = read_dicom(files[:3] + files[4:], reading=Reading(allow_gaps=True))
    assert np.array_equal(np.round(volume.voxels[0]), positional(AXIAL))
    assert volume.geometry.matches(AXIAL)
    assert [(f.code, f.grade) for f in volume.findings] == [("slices-missing", "warning")]
    assert "3-4: 6.00 mm" in volume.findings[0].message


def test_slices_a_little_off_an_even_grid_are_a_warning(tmp_path: Path) -> None:
    volume = read_dicom(written(tmp_path, slices={3: {"ImagePositionPatient": [-9, -8, -20 + 3 * 3 + 0.1]}}))
    assert [(f.code, f.grade) for f in volume.findings] == [("slices-uneven", "warning")]


def test_a_cut_slice_refuses_the_series_and_is_named(tmp_path: Path) -> None:
    large = Geometry(AXIAL.affine, (40, 40, 4))
    files = written(tmp_path, large)
    content = files[2].read_bytes()
    for part in (len(content) - 300, 3300, 700, 200, 140, 0):
        files[2].write_bytes(content[:part])
        with pytest.raises(MedvisionError) as caught:
            read_dicom(files)
        assert caught.value.path == files[2]


@pytest.mark.parametrize(
    ("syntax", "code"),
    [("1.2.840.10008.1.2.4.70", "codec-missing"), ("1.2.3.4", "unsupported"), ("1.2.840.10008.1.2.4.90", "bad-header")],
)
def test_compression_that_cannot_be_undone_is_refused(
    tmp_path: Path, syntax: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pydicom.encaps import encapsulate

    if code == "codec-missing":
        monkeypatch.setattr("medvision.io.dicom.admission.has_decoder", lambda _: False)
    dataset = slice_of(positional(AXIAL)[:, :, 0], AXIAL, 0)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate([b"no image"])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    pydicom.dcmwrite(tmp_path / "a.dcm", dataset, implicit_vr=False, little_endian=True)
    with pytest.raises(MedvisionError) as caught:
        read_dicom([tmp_path / "a.dcm"])
    assert caught.value.code == code
    assert code != "codec-missing" or "codecs" in str(caught.value)


def test_a_decoder_that_fails_where_a_better_one_is_not_installed_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medvision.io.dicom.decode._has_gdcm", lambda: False)
    test_compression_that_cannot_be_undone_is_refused(tmp_path, "1.2.840.10008.1.2.4.90", "codec-missing", monkeypatch)


@pytest.mark.parametrize(
    "syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.5"]
)
def test_other_transfer_syntaxes_give_the_same_values(tmp_path: Path, syntax: str) -> None:
    files = written(tmp_path)
    for file in files:
        dataset = pydicom.dcmread(file)
        if syntax.endswith("5"):
            dataset.compress(syntax)
        else:
            if syntax.endswith(".2.2"):
                dataset.PixelData = np.frombuffer(dataset.PixelData, "<i2").astype(">i2").tobytes()
            dataset.file_meta.TransferSyntaxUID = syntax
        implicit, little = syntax == "1.2.840.10008.1.2", not syntax.endswith(".2.2")
        pydicom.dcmwrite(file, dataset, implicit_vr=implicit, little_endian=little)
    assert np.array_equal(read_dicom(files).voxels[0], positional(AXIAL))


def test_a_file_without_preamble_is_read_and_one_without_transfer_syntax_where_that_is_safe(tmp_path: Path) -> None:
    files = written(tmp_path)
    for file in files:
        file.write_bytes(file.read_bytes()[132:])
    assert np.array_equal(read_dicom(files).voxels[0], positional(AXIAL))
    dataset = slice_of(positional(AXIAL)[:, :, 0], AXIAL, 0)
    del dataset.file_meta
    pydicom.dcmwrite(tmp_path / "bare.dcm", dataset, implicit_vr=False, little_endian=True, enforce_file_format=False)
    volume = read_dicom([tmp_path / "bare.dcm"])
    assert np.array_equal(volume.voxels[0], positional(AXIAL)[:, :, :1])
    assert ("converted", "note") in [(f.code, f.grade) for f in volume.findings]
    dataset.PixelData += bytes(100)
    pydicom.dcmwrite(tmp_path / "bare.dcm", dataset, implicit_vr=False, little_endian=True, enforce_file_format=False)
    assert code_of([tmp_path / "bare.dcm"]) == "bad-header"


def test_nothing_of_a_patient_is_warned_or_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = written(tmp_path)
    for file in files:
        content = file.read_bytes().replace(b"19700101", b"SECRET-D")
        file.write_bytes(content.replace(b"PHANTOM-7 ", b"PHANTOM-\xff "))
    with caplog.at_level(logging.DEBUG):
        read_dicom(files)
    assert caplog.text == ""
    assert logging.getLogger("pydicom").isEnabledFor(logging.ERROR)


def radiograph(folder: Path, **tags: Any) -> list[Path]:
    flat = Geometry.from_spacing((0.2, 0.3, 1), (5, 6, 1))
    gone = dict.fromkeys(("ImagePositionPatient", "ImageOrientationPatient", "SliceThickness", "FrameOfReferenceUID"))
    own = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1", "Modality": "DX", "PatientOrientation": ["L", "F"]}
    return write_dicom_series(folder, np.arange(30, dtype=np.uint16).reshape(5, 6, 1), flat, **{**gone, **own, **tags})


def test_a_radiograph_lies_as_its_patient_orientation_says(tmp_path: Path) -> None:
    volume = read_dicom(radiograph(tmp_path))
    assert volume.geometry.orientation == "LIP"
    assert volume.geometry.spacing_mm == pytest.approx((0.2, 0.3, 1))
    assert volume.voxels[0, 1, 0, 0] == 6
    assert (volume.modality, volume.unit) == ("DX", None)
    assert [(f.code, f.grade) for f in volume.findings] == [("spacing-source", "note"), ("one-slice", "note")]


@pytest.mark.parametrize("letters", [["L", "X"], ["L", "R"], ["L"]])
def test_a_radiograph_with_impossible_directions_is_refused(tmp_path: Path, letters: list[str]) -> None:
    assert code_of(radiograph(tmp_path, PatientOrientation=letters)) == "bad-geometry"


def test_a_radiograph_without_directions_is_taken_as_hung_with_a_warning(tmp_path: Path) -> None:
    volume = read_dicom(radiograph(tmp_path, PatientOrientation=None))
    assert volume.geometry.orientation[:2] == "LI"
    assert ("orientation-assumed", "warning") in [(f.code, f.grade) for f in volume.findings]


def test_the_spacing_attribute_of_a_radiograph_is_named(tmp_path: Path) -> None:
    volume = read_dicom(radiograph(tmp_path, PixelSpacing=None, ImagerPixelSpacing=[0.4, 0.5]))
    assert volume.geometry.spacing_mm == pytest.approx((0.5, 0.4, 1))
    assert ("spacing-source", "warning") in [(f.code, f.grade) for f in volume.findings]
    assert "0018,1164" in volume.findings[0].message
    unsized = read_dicom(radiograph(tmp_path / "b", PixelSpacing=None))
    assert not unsized.geometry.physical
    assert [(f.code, f.grade) for f in unsized.findings] == [("spacing-source", "warning")]
    assert code_of(radiograph(tmp_path / "c", PixelSpacing=[0, 1])) == "bad-geometry"


def test_a_radiograph_stored_bright_to_dark_is_inverted_once_and_recorded(tmp_path: Path) -> None:
    volume = read_dicom(radiograph(tmp_path, PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11))
    assert volume.voxels[0, 1, 0, 0] == 4095 - 6
    assert ("inverted", "note") in [(f.code, f.grade) for f in volume.findings]


def test_two_radiographs_are_no_volume(tmp_path: Path) -> None:
    files = radiograph(tmp_path / "a") + radiograph(tmp_path / "b")
    assert code_of(files) == "not-3d"


def test_a_compressed_slice_of_another_size_than_stated_is_refused(tmp_path: Path) -> None:
    from pydicom.encaps import encapsulate

    packed = io.BytesIO()
    Image.new("L", (5, 4)).save(packed, "JPEG")
    pixels = np.zeros((5, 6), np.uint16)
    dataset = slice_of(pixels, AXIAL, 0)
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.50"
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelData = encapsulate([packed.getvalue()])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert code_of([tmp_path / "a.dcm"]) == "bad-header"


def test_a_series_above_the_limit_is_refused_before_its_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medvision.io.dicom.read.MAX_BYTES", 400)
    assert code_of(written(tmp_path)) == "too-large"


def test_slices_of_several_series_are_joined_where_that_is_allowed_with_a_warning(tmp_path: Path) -> None:
    files = written(tmp_path, slices={k: {"SeriesInstanceUID": f"1.2.{k + 1}"} for k in range(7)})
    assert code_of(files) == "series-mixed"
    volume = read_dicom(files, reading=Reading(merge_series=True))
    assert np.array_equal(volume.voxels[0], positional(AXIAL))
    assert [(f.code, f.grade) for f in volume.findings] == [("series-mixed", "warning")]


def test_zeros_behind_the_pixels_are_a_warning(tmp_path: Path) -> None:
    files = written(tmp_path)
    dataset = pydicom.dcmread(files[2])
    dataset.PixelData += bytes(100)
    dataset.save_as(files[2])
    volume = read_dicom(files)
    assert np.array_equal(volume.voxels[0], positional(AXIAL))
    assert [(f.code, f.grade) for f in volume.findings] == [("trailing-bytes", "warning")]


@pytest.mark.parametrize(("part", "told"), [(None, "2 volumes lie"), (2, "volume 2 of 2"), (-1, "volume -1 of 2")])
def test_one_of_several_volumes_has_to_be_named_by_a_number_that_is_there(
    tmp_path: Path, part: int | None, told: str
) -> None:
    files = [
        file
        for time in (1, 2)
        for file in written(tmp_path / str(time), modality="MR", TemporalPositionIdentifier=time)
    ]
    with pytest.raises(MedvisionError, match=told) as caught:
        read_dicom(files, part)
    assert caught.value.code == "not-3d"
    assert read_dicom(files, 1).geometry.matches(AXIAL)


def test_a_private_class_is_read_by_its_geometry_with_a_warning(tmp_path: Path) -> None:
    volume = read_dicom(written(tmp_path, modality="MR", SOPClassUID="1.2.3.4"))
    assert np.array_equal(volume.voxels[0], positional(AXIAL))
    assert [(f.code, f.grade) for f in volume.findings] == [("object-unknown", "warning")]


def test_colours_are_three_channels_with_a_note(tmp_path: Path) -> None:
    tags = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0, "BitsAllocated": 8}
    pixels = np.arange(90, dtype=np.uint8).reshape(6, 5, 3)
    more = {"BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0, "PixelData": pixels.tobytes()}
    files = radiograph(tmp_path, SOPClassUID="1.2.840.10008.5.1.4.1.1.7", Modality="OT", **tags, **more)
    volume = read_dicom(files)
    assert np.array_equal(volume.voxels[..., 0], pixels.transpose(2, 1, 0))
    assert ("converted", "note") in [(f.code, f.grade) for f in volume.findings]
