"""Writing DICOM: what is read back is the volume, the files are valid, and nobody is named."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import phantoms
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from medvision import io
from medvision.errors import Finding, InputError, MedvisionError, OutputError
from medvision.geometry import Geometry
from medvision.io.dicom.write import WrittenSeries, write_dicom_series
from medvision.io.folders import replacing_folder
from medvision.study import Case, Source
from medvision.volume import Volume

SHAPE = (5, 6, 4)
AXIAL = Geometry(np.array([[-2.0, 0, 0, 9], [0, -1.0, 0, 8], [0, 0, 3.0, -20], [0, 0, 0, 1]]), SHAPE)
SHEARED = Geometry(AXIAL.affine @ np.array([[1, 0, 0, 0], [0, 1, 0.8, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), SHAPE)
PET = {"SeriesType": ["DYNAMIC", "IMAGE"], "DecayCorrection": "START", "FrameReferenceTime": 1000}
SECRETS = {
    "PatientName": "Planted^Name",
    "PatientID": "PLANTED-ID",
    "PatientBirthDate": "19610203",
    "OtherPatientIDs": "PLANTED-OTHER",
    "StudyDate": "20110203",
    "AcquisitionDate": "20110203",
    "StudyDescription": "PLANTED study",
    "SeriesDescription": "PLANTED series",
    "ProtocolName": "PLANTED protocol",
    "ImageComments": "PLANTED comment",
    "InstitutionName": "PLANTED hospital",
    "InstitutionAddress": "PLANTED street",
    "StationName": "PLANTEDSTN",
    "DeviceSerialNumber": "PLANTED-1234",
    "OperatorsName": "PLANTED^Operator",
    "ReferringPhysicianName": "PLANTED^Physician",
    "AccessionNumber": "PLANTED99",
    "RequestedProcedureDescription": "PLANTED procedure",
}


def volume_of(voxels: NDArray[Any], grid: Geometry = AXIAL, modality: str | None = "MR", **more: Any) -> Volume:
    return Volume(voxels[None], grid, modality, **more)


def read(files: tuple[Path, ...]) -> Volume:
    return io.read_volume(Case("case", (Source("dicom", files),)))


def along_normal(volume: Volume) -> Volume:
    """Return the volume with k along the normal of rows and columns, as DICOM orders slices."""
    if np.linalg.det(volume.geometry.affine[:3, :3]) > 0:
        return volume
    turn = np.diag([1.0, 1, -1, 1])
    turn[2, 3] = volume.geometry.shape[2] - 1
    grid = Geometry(volume.geometry.affine @ turn, volume.geometry.shape)
    return Volume(volume.voxels[..., ::-1], grid, volume.modality, volume.unit)


def written(folder: Path, voxels: NDArray[Any], grid: Geometry = AXIAL, **more: Any) -> tuple[WrittenSeries, Volume]:
    """Return what was written, and what is read from it."""
    done = write_dicom_series(folder / "out", volume_of(voxels, grid, **more), name="case")
    return done, read(done.files)


def code_of(folder: Path, volume: Volume, **more: Any) -> str:
    with pytest.raises(MedvisionError) as caught:
        write_dicom_series(folder / "out", volume, **{"name": "case", **more})
    assert not (folder / "out").exists()
    return caught.value.code


def fail_within(folder: Path, error: Exception | None) -> None:
    with replacing_folder(folder) as new:
        (new / "a.dcm").write_text("new")
        if error is not None:
            raise error


def pet_files(folder: Path, **tags: Any) -> list[Path]:
    return phantoms.write_dicom_series(folder, phantoms.positional(AXIAL), AXIAL, modality="PT", **{**PET, **tags})


@st.composite
def grids(draw: st.DrawFn) -> Geometry:
    """Draw a turned, flipped grid of small sizes."""
    angles = draw(st.tuples(*[st.floats(0, 6.28)] * 3))
    turn = np.eye(3)
    for axis, angle in enumerate(angles):
        one, other = [n for n in range(3) if n != axis]
        about = np.eye(3)
        about[[one, one, other, other], [one, other, one, other]] = [
            np.cos(angle),
            -np.sin(angle),
            np.sin(angle),
            np.cos(angle),
        ]
        turn = turn @ about
    spacing = draw(st.tuples(*[st.floats(0.1, 9)] * 3))
    flips = draw(st.tuples(*[st.sampled_from([1.0, -1.0])] * 3))
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag(flips) @ np.diag(spacing)
    affine[:3, 3] = draw(st.tuples(*[st.floats(-500, 500)] * 3))
    return Geometry(affine, draw(st.tuples(*[st.integers(1, 4)] * 3)))


def drawn(grid: Geometry, kind: str, seed: int) -> NDArray[Any]:
    generator = np.random.default_rng(seed)
    if kind == "float":
        return (generator.normal(size=grid.shape) * 10.0 ** generator.integers(-6, 6)).astype(np.float32)
    limits = np.iinfo(kind)
    low, high = max(limits.min, -(2**15)), min(limits.max, 2**15 - 1 if limits.min < 0 else 2**16 - 1)
    return generator.integers(low, high, grid.shape, dtype=kind, endpoint=True)


KINDS = st.sampled_from(["int8", "uint8", "int16", "uint16", "int32", "float"])
MODALITIES = st.sampled_from([("MR", None), ("CT", "HU"), ("CT", None)])


@settings(max_examples=40, deadline=None)
@given(grids(), KINDS, MODALITIES, st.integers(0, 99))
def test_what_is_read_is_what_was_written(
    grid: Geometry, kind: str, modality: tuple[str, str | None], seed: int
) -> None:
    voxels = drawn(grid, kind, seed)
    volume = volume_of(voxels, grid, modality[0], unit=modality[1])
    with tempfile.TemporaryDirectory() as folder:
        done = write_dicom_series(Path(folder) / "out", volume, name="case")
        found, wanted = read(done.files), along_normal(volume)
    assert np.abs(found.geometry.corners - wanted.geometry.corners).max() < 1e-6
    assert (found.modality, found.unit) == modality
    apart = np.abs(found.voxels.astype(np.float64) - wanted.voxels).max()
    if kind == "float":
        step = (float(voxels.max()) - float(voxels.min())) / 65535
        assert done.rounded_by <= step / 2 + np.spacing(np.abs(voxels).max())
        assert apart <= done.rounded_by
    else:
        assert (apart, done.rounded_by) == (0, 0)


@pytest.mark.parametrize(
    ("values", "least_bits"),
    [
        ([-32768, 32767], "signed"),
        ([0, 65535], "unsigned"),
        ([1_000_000, 1_065_535], "above an intercept"),
        ([-65535, 0], "above an intercept"),
    ],
)
def test_whole_numbers_that_16_bits_hold_come_back_exactly(tmp_path: Path, values: list[int], least_bits: str) -> None:
    for kind in (np.int32, np.float64):
        voxels = np.resize(np.array(values, dtype=kind), SHAPE)
        done, found = written(tmp_path / kind.__name__, voxels)
        assert done.rounded_by == 0
        np.testing.assert_array_equal(found.voxels[0], voxels)
        header = pydicom.dcmread(done.files[0])
        assert header.PixelRepresentation == (least_bits == "signed")
        assert ("RescaleIntercept" in header) == (least_bits == "above an intercept")


def test_whole_numbers_over_a_wider_range_are_rounded_and_it_is_said(tmp_path: Path) -> None:
    done, found = written(tmp_path, np.arange(120).reshape(SHAPE) * 1000)
    assert 0 < done.rounded_by <= 119_000 / 65535 / 2 * 1.001
    assert np.abs(found.voxels[0] - np.arange(120).reshape(SHAPE) * 1000).max() <= done.rounded_by + 0.01


def test_one_value_everywhere_comes_back_as_it_is(tmp_path: Path) -> None:
    voxels = np.full(SHAPE, 0.1, dtype=np.float32)
    done, found = written(tmp_path, voxels)
    np.testing.assert_array_equal(found.voxels[0], voxels)
    assert done.rounded_by == 0


def test_values_that_are_close_to_each_other_and_far_from_zero_stay_within_their_step(tmp_path: Path) -> None:
    voxels = (1e6 + np.linspace(0, 0.5, 120)).reshape(SHAPE)
    done, _ = written(tmp_path, voxels)
    assert done.rounded_by <= 0.5 / 65535 + np.spacing(np.float32(1e6))


def test_values_beyond_32_bit_floats_are_refused(tmp_path: Path) -> None:
    assert code_of(tmp_path, volume_of(np.full(SHAPE, 1e39))) == "bad-rescale"


def test_pet_has_a_slope_a_slice_and_intercept_0(tmp_path: Path) -> None:
    voxels = np.abs(phantoms.positional(AXIAL)) * np.array([1e-3, 1.1, 7e3, 0.0])
    volume = volume_of(voxels, modality="PT", unit="BQML")
    done = write_dicom_series(tmp_path / "out", volume, name="case", like=pet_files(tmp_path / "in"))
    headers = [pydicom.dcmread(file) for file in done.files]
    for k, header in enumerate(headers):
        stored = header.pixel_array.T * float(header.RescaleSlope)
        assert header.RescaleIntercept == 0
        assert np.abs(stored - voxels[:, :, k]).max() <= voxels[:, :, k].max() / 65535 * 0.5001
    assert [header.ImageIndex for header in headers] == [1, 2, 3, 4]
    assert headers[0].SeriesType == ["STATIC", "IMAGE"]
    assert len({float(header.RescaleSlope) for header in headers}) == 4
    negative = write_dicom_series(
        tmp_path / "negative",
        volume_of(-voxels, modality="PT", unit="BQML"),
        name="case",
        like=pet_files(tmp_path / "in"),
    )
    assert pydicom.dcmread(negative.files[0]).PixelRepresentation == 1


@pytest.mark.parametrize("keyword", ["SeriesType", "DecayCorrection", "FrameReferenceTime"])
@pytest.mark.parametrize("k", [0, 2])
def test_pet_is_not_written_where_one_file_lacks_what_each_slice_states(tmp_path: Path, keyword: str, k: int) -> None:
    files = pet_files(tmp_path / "in", slices={k: {keyword: None}})
    volume = volume_of(np.ones(SHAPE), modality="PT", unit="CNTS")
    with pytest.raises(InputError, match=f"a PET image states {keyword}, which this file") as caught:
        write_dicom_series(tmp_path / "out", volume, name="case", like=files)
    assert (caught.value.code, caught.value.path) == ("unsupported", files[k])


def test_suv_is_stated_as_such(tmp_path: Path) -> None:
    volume = volume_of(np.ones(SHAPE), modality="PT", unit="SUVbw")
    like = pet_files(tmp_path / "in", SeriesType=["WHOLE BODY", "IMAGE"])
    header = pydicom.dcmread(write_dicom_series(tmp_path / "out", volume, name="case", like=like).files[0])
    assert (header.Units, header.SUVType, header.SeriesType[0]) == ("GML", "BW", "WHOLE BODY")
    assert (header.SeriesDate, header.SeriesTime) == ("19000101", "000000")


def test_each_slice_of_a_sheared_volume_states_its_own_position(tmp_path: Path) -> None:
    done, found = written(tmp_path, phantoms.positional(SHEARED), SHEARED)
    assert found.geometry.is_sheared
    assert np.abs(found.geometry.corners - SHEARED.corners).max() < 1e-6
    for k, file in enumerate(done.files):
        x, y, z = SHEARED.to_world((0, 0, k))
        assert [float(value) for value in pydicom.dcmread(file).ImagePositionPatient] == pytest.approx([-x, -y, z])
    header = pydicom.dcmread(done.files[0])
    assert "SpacingBetweenSlices" not in header  # there are two, along the normal and from corner to corner
    assert float(header.SliceThickness) == pytest.approx(3)


def test_a_second_reader_sees_the_same_voxels_in_the_same_places(tmp_path: Path) -> None:
    import SimpleITK

    turned = phantoms.Geometry(AXIAL.affine, SHAPE).reoriented("PIR")
    for name, grid in (("axial", AXIAL), ("turned", turned)):
        volume = along_normal(volume_of(phantoms.positional(grid), grid, "CT", unit="HU"))
        write_dicom_series(tmp_path / name, volume, name="case")
        reader = SimpleITK.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path / name)))
        image = reader.Execute()
        np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image).T, volume.voxels[0])
        for index in ((0, 0, 0), (1, 2, 3)):
            x, y, z = volume.geometry.to_world(index)
            assert image.TransformIndexToPhysicalPoint(index) == pytest.approx((-x, -y, z), abs=1e-6)


def test_the_same_volume_gives_the_same_bytes_and_another_one_other_uids(tmp_path: Path) -> None:
    voxels = phantoms.positional(AXIAL)
    one, same, other = (
        write_dicom_series(tmp_path / name, volume_of(values), name="case").files
        for name, values in (("one", voxels), ("same", voxels), ("other", voxels + 1))
    )
    assert [file.read_bytes() for file in one] == [file.read_bytes() for file in same]
    uids = [pydicom.dcmread(file).SOPInstanceUID for file in (*one, *other)]
    assert len(set(uids)) == len(uids)
    assert all(uid.startswith("2.25.") and len(uid) <= 64 for uid in uids)


def test_the_name_of_a_case_is_written_as_a_hash_that_tells_it_from_others(tmp_path: Path) -> None:
    volume = volume_of(phantoms.positional(AXIAL))
    ids = {
        str(pydicom.dcmread(write_dicom_series(tmp_path / end, volume, name="Jane" + end).files[0]).PatientID)
        for end in ("a", "b")
    }
    assert len(ids) == 2
    assert not any("Jane" in one for one in ids)


def test_facts_of_the_acquisition_are_taken_over_and_nobody_is_named(tmp_path: Path) -> None:
    voxels = phantoms.positional(AXIAL)
    facts = {"EchoTime": 30, "RepetitionTime": 2000, "Manufacturer": "SIEMENS", "ScanningSequence": ["EP", "SE"]}
    own = {0: {"FlipAngle": 10}, 3: {"FlipAngle": 40}}
    like = phantoms.write_dicom_series(
        tmp_path / "in", voxels, AXIAL, modality="MR", slices=own, SliceThickness=2.5, **facts, **SECRETS
    )
    done = write_dicom_series(tmp_path / "out", volume_of(voxels), name="case", like=like)
    headers = [pydicom.dcmread(file) for file in done.files]
    first = headers[0]
    assert (first.EchoTime, first.RepetitionTime, first.Manufacturer) == (30, 2000, "SIEMENS")
    assert (first.SliceThickness, first.SpacingBetweenSlices) == (2.5, 3)
    assert [header.get("FlipAngle") for header in headers] == [10, None, None, 40]
    assert first.PatientID.startswith("case-")
    assert (str(first.PatientName), first.PatientBirthDate, first.StudyDate) == ("Converted^", "", "")
    for file in done.files:
        content = file.read_bytes()
        assert not [value for value in SECRETS.values() if value.encode() in content]
        assert b"PLANTED" not in content.upper()
        assert b"1.2.826.0.1." not in content.replace(b"1.2.826.0.1.3680043", b"")  # that is pydicom's own


def test_words_of_multi_frame_objects_and_empty_sides_become_those_of_single_frames(tmp_path: Path) -> None:
    voxels = phantoms.positional(AXIAL)
    tags = {"InPlanePhaseEncodingDirection": "COLUMN", "BodyPartExamined": "BRAIN"}
    like = phantoms.write_dicom_series(tmp_path / "in", voxels, AXIAL, modality="MR", **tags)
    header = pydicom.dcmread(write_dicom_series(tmp_path / "out", volume_of(voxels), name="case", like=like).files[0])
    assert (header.InPlanePhaseEncodingDirection, header.BodyPartExamined) == ("COL", "BRAIN")
    assert "Laterality" not in header


def test_series_of_one_study_stay_together(tmp_path: Path) -> None:
    voxels = phantoms.positional(AXIAL)
    like = phantoms.write_dicom_series(tmp_path / "in", voxels, AXIAL, modality="MR")
    one, other = (
        pydicom.dcmread(write_dicom_series(tmp_path / name, volume_of(v), name=name, like=like).files[0])
        for name, v in (("one", voxels), ("other", voxels + 1))
    )
    assert one.StudyInstanceUID == other.StudyInstanceUID
    assert one.FrameOfReferenceUID == other.FrameOfReferenceUID
    assert one.SeriesInstanceUID != other.SeriesInstanceUID


def test_identity_is_kept_where_that_is_asked_for(tmp_path: Path) -> None:
    voxels = phantoms.positional(AXIAL)
    like = phantoms.write_dicom_series(
        tmp_path / "in",
        voxels,
        AXIAL,
        modality="MR",
        **{**SECRETS, "SpecificCharacterSet": "ISO_IR 100", "PatientName": "Grün^Jörg"},
    )
    done = write_dicom_series(tmp_path / "out", volume_of(voxels), name="case", like=like, keep_identity=True)
    header = pydicom.dcmread(done.files[0])
    assert (str(header.PatientName), header.PatientID, header.StudyDate) == ("Grün^Jörg", "PLANTED-ID", "20110203")
    assert (header.StudyInstanceUID, header.FrameOfReferenceUID) == ("1.2.826.0.1.1", "1.2.826.0.1.3")
    assert header.SeriesInstanceUID.startswith("2.25.")
    assert code_of(tmp_path / "none", volume_of(voxels), keep_identity=True) == "usage"


def test_the_dose_of_a_pet_series_is_kept_without_its_dates_and_texts(tmp_path: Path) -> None:
    dose = pydicom.Dataset()
    dose.Radiopharmaceutical = "PLANTED tracer"
    dose.RadiopharmaceuticalStartDateTime = "20110203101010"
    dose.RadiopharmaceuticalStartTime = "101010"
    dose.RadionuclideTotalDose = 3.7e8
    dose.RadionuclideHalfLife = 6586.2
    like = pet_files(tmp_path / "in", RadiopharmaceuticalInformationSequence=[dose])
    volume = volume_of(np.ones(SHAPE), modality="PT", unit="CNTS")
    (kept,) = pydicom.dcmread(
        write_dicom_series(tmp_path / "out", volume, name="case", like=like).files[0]
    ).RadiopharmaceuticalInformationSequence
    assert {element.keyword for element in kept} == {
        "RadiopharmaceuticalStartTime",
        "RadionuclideTotalDose",
        "RadionuclideHalfLife",
    }


def test_a_loss_by_compression_stays_known(tmp_path: Path) -> None:
    finding = Finding("lossy-compressed", "warning", "4 of 4 slices were compressed with loss")
    volume = volume_of(phantoms.positional(AXIAL), findings=(finding,))
    done = write_dicom_series(tmp_path / "out", volume, name="case")
    assert pydicom.dcmread(done.files[0]).LossyImageCompression == "01"


def test_what_dicom_cannot_say_truly_is_refused(tmp_path: Path) -> None:
    voxels = np.ones(SHAPE)
    skewed = Geometry(AXIAL.affine @ np.array([[1, 0.3, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), SHAPE)
    assert code_of(tmp_path, volume_of(voxels, modality=None)) == "modality-unknown"
    assert code_of(tmp_path, volume_of(voxels, modality="US")) == "unsupported"
    assert code_of(tmp_path, Volume(np.ones((2, *SHAPE)), AXIAL, "MR")) == "unsupported"
    assert code_of(tmp_path, volume_of(voxels, modality="PT")) == "unsupported"
    assert code_of(tmp_path, volume_of(voxels, modality="PT", unit="BQML")) == "unsupported"
    assert code_of(tmp_path, volume_of(voxels, skewed)) == "bad-geometry"
    assert code_of(tmp_path, Volume(np.ones((1, 4, 4, 1)), Geometry.of_picture(4, 4), "MR")) == "bad-geometry"
    assert code_of(tmp_path, volume_of(voxels), like=pet_files(tmp_path / "in")) == "modality-differs"


def test_a_folder_that_is_there_is_left_alone_unless_forced(tmp_path: Path) -> None:
    volume = volume_of(phantoms.positional(AXIAL))
    write_dicom_series(tmp_path / "out", volume, name="case")
    (tmp_path / "out" / "0009.dcm").write_bytes(b"old")
    with pytest.raises(OutputError) as caught:
        write_dicom_series(tmp_path / "out", volume, name="case")
    assert caught.value.code == "output-exists"
    write_dicom_series(tmp_path / "out", volume, name="case", force=True)
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [f"000{n}.dcm" for n in (1, 2, 3, 4)]
    (tmp_path / "out" / "thesis.doc").write_text("mine")
    with pytest.raises(OutputError) as caught:
        write_dicom_series(tmp_path / "out", volume, name="case", force=True)
    assert caught.value.code == "output-exists"
    assert len(list((tmp_path / "out").iterdir())) == 5
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_fails_half_way_leaves_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.dcm").write_text("old")
    with pytest.raises(InputError, match="in the middle"):
        fail_within(tmp_path / "out", InputError("truncated", "in the middle"))
    assert (tmp_path / "out" / "a.dcm").read_text() == "old"
    with pytest.raises(OutputError, match="writing failed") as caught:
        fail_within(tmp_path / "out", OSError(28, "No space left on device"))
    assert caught.value.code == "output-unwritable"
    (tmp_path / "file").write_text("no folder")
    for place in (tmp_path / "file" / "out", tmp_path / "file"):
        with pytest.raises(OutputError):
            fail_within(place, None)
    assert (tmp_path / "file").read_text() == "no folder"


def test_elements_that_must_be_there_are_there(tmp_path: Path) -> None:
    shared = "SOPClassUID SOPInstanceUID StudyInstanceUID SeriesInstanceUID FrameOfReferenceUID ImageType"
    filled = {
        "CT": "RescaleSlope RescaleIntercept RescaleType",
        "MR": "ScanningSequence SequenceVariant",
        "PT": "SeriesDate SeriesTime Units CountsSource SeriesType NumberOfSlices DecayCorrection RescaleSlope "
        "RescaleIntercept FrameReferenceTime ImageIndex",
    }
    there = {
        "": "PatientName PatientID PatientBirthDate PatientSex StudyDate StudyTime ReferringPhysicianName StudyID "
        "AccessionNumber SeriesNumber Manufacturer PositionReferenceIndicator InstanceNumber SliceThickness",
        "CT": "KVP AcquisitionNumber PatientPosition",
        "MR": "ScanOptions MRAcquisitionType EchoTime EchoTrainLength RepetitionTime PatientPosition",
        "PT": "AcquisitionDate AcquisitionTime CorrectedImage CollimatorType ActualFrameDuration "
        "RadiopharmaceuticalInformationSequence",
    }
    for modality, unit, like in (("CT", "HU", []), ("MR", None, []), ("PT", "BQML", pet_files(tmp_path / "in"))):
        volume = volume_of(phantoms.positional(AXIAL), modality=modality, unit=unit)
        header = pydicom.dcmread(write_dicom_series(tmp_path / modality, volume, name="case", like=like).files[0])
        assert [name for name in f"{shared} {filled[modality]}".split() if header.get(name, "") == ""] == []
        assert [name for name in f"{there['']} {there[modality]}".split() if name not in header] == []


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools is not installed")
def test_a_validator_finds_no_error(tmp_path: Path) -> None:
    like = pet_files(tmp_path / "in", DecayFactor=1.1)
    for modality, unit, files in (("CT", "HU", []), ("CT", None, []), ("MR", None, []), ("PT", "BQML", like)):
        for factor in (1, 0.3):
            folder = tmp_path / f"{modality}{unit}{factor}"
            volume = volume_of(np.abs(phantoms.positional(AXIAL)) * factor, modality=modality, unit=unit)
            for file in write_dicom_series(folder, volume, name="case", like=files).files:
                told = subprocess.run(["dciodvfy", "-new", str(file)], capture_output=True, text=True).stderr
                assert [line for line in told.splitlines() if line.startswith("Error")] == []
