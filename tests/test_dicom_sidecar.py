"""The JSON side file: numbers in the units of BIDS, nothing guessed, nobody named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import phantoms
import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, EnhancedMRImageStorage

from medvision.errors import InputError
from medvision.geometry import Geometry
from medvision.io.dicom import content
from medvision.io.dicom.facts import stated
from medvision.io.dicom.sidecar import sidecar, volume_step_s
from medvision.io.located import quiet

SECRETS = {
    "PatientName": "Planted^Name",
    "PatientID": "PLANTED-ID",
    "PatientBirthDate": "19610203",
    "PatientComments": "PLANTED remark",
    "StudyDate": "20110203",
    "StudyDescription": "PLANTED study",
    "SeriesDescription": "PLANTED series",
    "ProtocolName": "PLANTED protocol",
    "ImageComments": "PLANTED comment",
    "InstitutionName": "PLANTED hospital",
    "InstitutionAddress": "PLANTED street",
    "InstitutionalDepartmentName": "PLANTED ward",
    "StationName": "PLANTEDSTN",
    "DeviceSerialNumber": "PLANTED-1234",
    "OperatorsName": "PLANTED^Operator",
    "ReferringPhysicianName": "PLANTED^Physician",
    "AccessionNumber": "PLANTED99",
    "SequenceName": "planted",
}
GRID = Geometry.from_spacing((1, 1, 3), (3, 4, 4))
EPI = {
    "Manufacturer": "SIEMENS",
    "ManufacturerModelName": "Prisma",
    "MagneticFieldStrength": 3,
    "EchoTime": 30,
    "RepetitionTime": 2000,
    "InversionTime": 900,
    "FlipAngle": 77,
    "ScanningSequence": "EP",
    "InPlanePhaseEncodingDirection": "COL",
}
TIMES = {k: {"AcquisitionTime": f"{time:06d}.25"} for k, time in enumerate((101000, 101001, 100959, 101000))}


def files(folder: Path, modality: str = "MR", **more: Any) -> list[Path]:
    return phantoms.write_dicom_series(folder, phantoms.positional(GRID), GRID, modality=modality, **more)


def test_times_are_in_seconds_and_other_numbers_as_they_are(tmp_path: Path) -> None:
    found = sidecar(files(tmp_path, **EPI))
    assert {name: found[name] for name in ("EchoTime", "RepetitionTime", "InversionTime")} == {
        "EchoTime": 0.03,
        "RepetitionTime": 2.0,
        "InversionTime": 0.9,
    }
    assert (found["MagneticFieldStrength"], found["FlipAngle"], found["SliceThickness"]) == (3, 77, 3)
    assert (found["Modality"], found["Manufacturer"], found["ManufacturersModelName"]) == ("MR", "SIEMENS", "Prisma")
    assert found["ImageType"] == ["ORIGINAL", "PRIMARY", "AXIAL"]
    json.dumps(found, allow_nan=False)


def test_ct_states_its_kernel_and_exposure(tmp_path: Path) -> None:
    found = sidecar(files(tmp_path, "CT", KVP=120, ExposureTime=500, ConvolutionKernel=["B30f", "3"], Exposure=90))
    assert (found["KVP"], found["ExposureTime"], found["XRayExposure"]) == (120, 0.5, 90)
    assert found["ConvolutionKernel"] == "B30f, 3"


def test_what_files_do_not_agree_on_is_left_out(tmp_path: Path) -> None:
    found = sidecar(files(tmp_path, **EPI, slices={1: {"EchoTime": 60}, 2: {"FlipAngle": None}}))
    assert "EchoTime" not in found
    assert "FlipAngle" not in found
    assert found["RepetitionTime"] == 2


def test_what_cannot_be_understood_is_left_out(tmp_path: Path) -> None:
    written = files(tmp_path, **EPI)
    for file in written:  # as long as what stands there, so that no length changes
        file.write_bytes(file.read_bytes().replace(b"2000", b"2o00").replace(b"SIEMENS ", b"        "))
    found = sidecar(written)
    assert "RepetitionTime" not in found
    assert "Manufacturer" not in found
    assert found["EchoTime"] == 0.03


def test_the_sign_of_the_phase_encoding_is_not_guessed(tmp_path: Path) -> None:
    found = sidecar(files(tmp_path / "col", **EPI))
    assert found["PhaseEncodingAxis"] == "j"
    assert "PhaseEncodingDirection" not in found
    along_rows = sidecar(files(tmp_path / "row", InPlanePhaseEncodingDirection="ROW"))
    assert along_rows["PhaseEncodingAxis"] == "i"


def test_slice_times_of_echo_planar_images_are_from_the_first_of_them(tmp_path: Path) -> None:
    found = sidecar(files(tmp_path, slices=TIMES, **{**EPI, "RepetitionTime": 2500}))
    assert found["SliceTiming"] == [1.0, 2.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("slices", "tags"),
    [
        (TIMES, {"RepetitionTime": 1500}),  # they lie further apart than a volume takes
        (TIMES, {"ScanningSequence": "SE"}),
        (TIMES, {"RepetitionTime": None}),
        ({**TIMES, 2: {"AcquisitionTime": "noon"}}, {}),
        ({}, {"AcquisitionTime": "101000"}),  # one time for all is that of the volume
    ],
)
def test_slice_times_that_cannot_be_told_are_left_out(tmp_path: Path, slices: Any, tags: dict[str, Any]) -> None:
    with quiet():
        written = files(tmp_path, slices=slices, **{**EPI, "RepetitionTime": 2500, **tags})
    assert "SliceTiming" not in sidecar(written)


def test_pet_states_unit_dose_and_decay(tmp_path: Path) -> None:
    nuclide = pydicom.Dataset()
    nuclide.CodeValue, nuclide.CodingSchemeDesignator, nuclide.CodeMeaning = "C-111A1", "SRT", "PLANTED"
    dose = pydicom.Dataset()
    dose.RadionuclideTotalDose, dose.RadionuclideHalfLife = 3.7e8, 6586.2
    dose.RadionuclideCodeSequence = [nuclide]
    tags = {"DecayCorrection": "START", "ActualFrameDuration": 120000}
    found = sidecar(files(tmp_path, "PT", RadiopharmaceuticalInformationSequence=[dose], **tags))
    assert (found["Units"], found["TracerRadionuclide"], found["ImageDecayCorrected"]) == ("Bq/mL", "F18", True)
    assert (found["InjectedRadioactivity"], found["InjectedRadioactivityUnits"]) == (370, "MBq")
    assert (found["RadionuclideHalfLife"], found["FrameDuration"]) == (6586.2, [120])
    bare = sidecar(files(tmp_path / "bare", "PT"))
    assert "InjectedRadioactivityUnits" not in bare
    assert "TracerRadionuclide" not in bare


def test_nothing_that_identifies_is_written_unless_descriptions_are_asked_for(tmp_path: Path) -> None:
    with quiet():  # a name where codes stand is no valid value
        written = files(tmp_path, **EPI, **SECRETS, ImageType=["ORIGINAL", "Planted name"])
    text = json.dumps(sidecar(written))
    assert not [value for value in SECRETS.values() if value in text]
    assert "planted" not in text.lower()
    asked = sidecar(written, descriptions=True)
    assert (asked["SeriesDescription"], asked["ProtocolName"]) == ("PLANTED series", "PLANTED protocol")


@pytest.mark.parametrize(
    ("times", "step_s"),
    [
        (["101000", "101002.01", "101003.99"], 2.0),
        (["101000", "101000", "101000"], 2.0),  # that of the series
        (["101000", None, "101004"], 2.0),
        (["101000", "101002", "101014"], None),  # a pause
        (["101000", "101004", "101008"], None),  # two shots a volume
    ],
)
def test_the_repetition_time_is_the_step_of_a_series_unless_its_times_say_otherwise(
    tmp_path: Path, times: list[str | None], step_s: float | None
) -> None:
    slices = {k: {"AcquisitionTime": time} for k, time in enumerate(times)}
    written = files(tmp_path, slices=slices, **EPI)[: len(times)]
    facts = {"RepetitionTime": 2.0, "ScanningSequence": ["EP"]}
    assert volume_step_s(facts, written) == step_s
    assert volume_step_s({"RepetitionTime": 2.0, "ScanningSequence": "GR"}, written) is None
    assert volume_step_s({"ScanningSequence": "EP"}, written) is None


def enhanced(folder: Path, echo_times: list[float]) -> Path:
    """Write a header with functional groups: shared ones, and one a frame with its echo time."""
    timing = pydicom.Dataset()
    timing.RepetitionTime = 500
    timing.EchoPlanarPulseSequence = "YES"
    timing.InPlanePhaseEncodingDirection = "COLUMN"
    shared = pydicom.Dataset()
    shared.MRTimingAndRelatedParametersSequence = [timing]
    frames = []
    for time in echo_times:
        echo, frame = pydicom.Dataset(), pydicom.Dataset()
        echo.EffectiveEchoTime = time
        frame.MREchoSequence = [echo]
        frames.append(frame)
    dataset = phantoms.slice_of(phantoms.positional(GRID)[:, :, 0], GRID, 0, "MR")
    dataset.SOPClassUID = EnhancedMRImageStorage
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = frames
    dataset.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    folder.mkdir()
    dataset.save_as(folder / "a.dcm", enforce_file_format=True)
    return folder / "a.dcm"


def test_multi_frame_files_state_what_their_frames_share(tmp_path: Path) -> None:
    file = enhanced(tmp_path / "one", [25.0, 25.0])
    one = sidecar([file])
    assert (one["RepetitionTime"], one["EchoTime"], one["PhaseEncodingAxis"]) == (0.5, 0.025, "j")
    assert volume_step_s(one, [file]) == 0.5
    two = sidecar([enhanced(tmp_path / "two", [25.0, 50.0])])
    assert two["RepetitionTime"] == 0.5
    assert "EchoTime" not in two


def test_a_file_that_is_no_dicom_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        stated(tmp_path / "missing.dcm", ["Modality"])
    assert caught.value.code == "unreadable"
    assert caught.value.path == tmp_path / "missing.dcm"


def test_the_header_of_a_deflated_file_is_read_within_its_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file, *_) = phantoms.write_dicom_series(tmp_path, phantoms.positional(GRID), GRID, KVP=120)
    dataset = pydicom.dcmread(file)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(file, enforce_file_format=True)
    monkeypatch.setattr(content, "_LEAST_CAP", 10)
    monkeypatch.setattr(content, "_RATIO", 1)
    with pytest.raises(InputError) as caught:
        stated(file, ["KVP"])
    assert (caught.value.code, caught.value.path) == ("too-large", file)
    monkeypatch.undo()
    assert stated(file, ["KVP"]) == {"KVP": 120}
