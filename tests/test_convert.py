"""Converting: every image as NIfTI or DICOM, the same values in the same places, and nobody named."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import phantoms
import pydicom
import pytest

from medvision import io
from medvision.errors import Finding, InputError, OutputError, UsageError
from medvision.geometry import Geometry
from medvision.study import Reading
from medvision.volume import Volume
from medvision.workflows import convert as workflow
from medvision.workflows.convert import Form, convert, plan
from medvision_cli import app, reading

GRID = Geometry(np.array([[-2.0, 0, 0, 9], [0, -1.5, 0, 8], [0, 0, 3.0, -20], [0, 0, 0, 1]]), (5, 6, 4))
VOXELS = phantoms.positional(GRID)
DICOM = Form(to="dicom")


def series(folder: Path, **tags: Any) -> list[Path]:
    return phantoms.write_dicom_series(folder, VOXELS, GRID, **tags)


def time_series(folder: Path, count: int = 3, **tags: Any) -> None:
    """Write an echo-planar series of `count` volumes, each 10 above the last."""
    for n in range(count):
        slices = {k: {"SOPInstanceUID": f"1.2.826.0.1.8.{n}.{k + 1}"} for k in range(4)}
        for file in phantoms.write_dicom_series(
            folder / "part",
            VOXELS + 10 * n,
            GRID,
            modality="MR",
            slices=slices,
            TemporalPositionIdentifier=n + 1,
            NumberOfTemporalPositions=count,
            ScanningSequence="EP",
            RepetitionTime=2500,
            EchoTime=30,
            **tags,
        ):
            file.rename(folder / f"{n}-{file.name}")
    (folder / "part").rmdir()


def side_file(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return content


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """Run the command line in this process, and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["medvision", "convert", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        app.main()
    return int(caught.value.code or 0)


def test_a_dicom_series_becomes_nifti_with_a_side_file(tmp_path: Path) -> None:
    series(tmp_path / "in" / "ct", KVP=120)
    result = convert([tmp_path / "in"], tmp_path / "out")
    (one,) = result.converted
    assert one.files == (tmp_path / "out" / "ct.nii.gz", tmp_path / "out" / "ct.json")
    image = nib.load(one.files[0])
    np.testing.assert_array_equal(np.asarray(image.dataobj), VOXELS)
    np.testing.assert_allclose(image.affine, GRID.affine, atol=1e-6)
    facts = side_file(one.files[1])
    assert (facts["Modality"], facts["KVP"], facts["ConversionSoftware"]) == ("CT", 120, "medvision")
    assert facts["MedvisionFindings"] == []
    assert result.exit_code() == 0


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_dicom_to_nifti_to_dicom_and_back_is_the_same_volume(tmp_path: Path, modality: str) -> None:
    series(tmp_path / "a" / "scan", modality=modality)
    convert([tmp_path / "a"], tmp_path / "b")
    convert([tmp_path / "b" / "scan.nii.gz"], tmp_path / "c", form=Form(to="dicom", modality=modality))
    convert([tmp_path / "c"], tmp_path / "d")
    first, last = (nib.load(tmp_path / name / "scan.nii.gz") for name in ("b", "d"))
    np.testing.assert_array_equal(np.asarray(first.dataobj), np.asarray(last.dataobj))
    np.testing.assert_allclose(first.affine, last.affine, atol=1e-5)


def test_rounded_values_are_told(tmp_path: Path) -> None:
    phantoms.write_nifti(tmp_path / "a.nii.gz", VOXELS / np.float32(7), GRID)
    result = convert([tmp_path / "a.nii.gz"], tmp_path / "out", form=Form(to="dicom", modality="MR"))
    assert [finding.code for finding in result.converted[0].findings] == ["values-rounded"]
    assert len(result.converted[0].files) == 4


def test_a_refused_image_keeps_no_other_from_being_written(tmp_path: Path) -> None:
    series(tmp_path / "in" / "good")
    (tmp_path / "in" / "bad.nii.gz").write_bytes(b"")
    (tmp_path / "in" / "notes.txt").write_text("notes")
    result = convert([tmp_path / "in"], tmp_path / "out")
    assert [one.id for one in result.converted] == ["good"]
    assert [(finding.code, finding.path) for finding in result.rejected] == [
        ("truncated", tmp_path / "in" / "bad.nii.gz")
    ]
    assert len(result.skipped) == 1
    assert result.exit_code() == 4
    told = result.to_json()
    assert told["rejected"][0]["cure"]
    assert told["converted"][0]["id"] == "good"


def test_an_image_that_fails_while_it_is_read_is_refused_with_its_place(tmp_path: Path) -> None:
    file = phantoms.write_nifti(tmp_path / "a.nii.gz", VOXELS, GRID)
    result = convert([file], tmp_path / "out", form=DICOM)  # it states no modality
    assert [(finding.code, finding.path) for finding in result.rejected] == [("modality-unknown", file)]
    assert "--modality" in str(result.rejected[0].cure)
    assert result.exit_code() == 5


def test_exit_code_3_is_for_nothing_found(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert convert([tmp_path / "empty"], tmp_path / "out").exit_code() == 3
    assert workflow.ConvertResult(tmp_path, (), (), ()).exit_code() == 3


def test_a_modality_is_named_for_files_that_state_none_and_contradicts_no_other(tmp_path: Path) -> None:
    file = phantoms.write_nifti(tmp_path / "a.nii.gz", VOXELS, GRID)
    convert([file], tmp_path / "out", form=Form(modality="MR"))
    assert side_file(tmp_path / "out" / "a.json")["Modality"] == "MR"
    series(tmp_path / "in" / "ct")
    result = convert([tmp_path / "in"], tmp_path / "other", form=Form(modality="MR"))
    assert [finding.code for finding in result.rejected] == ["modality-differs"]
    assert convert([tmp_path / "in"], tmp_path / "same", form=Form(modality="CT")).exit_code() == 0


def test_findings_stand_in_the_side_file_without_paths(tmp_path: Path) -> None:
    series(tmp_path / "in" / "ct", SpacingBetweenSlices=7)
    result = convert([tmp_path / "in"], tmp_path / "out")
    (found,) = side_file(tmp_path / "out" / "ct.json")["MedvisionFindings"]
    assert found["code"] == "spacing-differs"
    assert str(tmp_path) not in json.dumps(found)
    assert result.converted[0].findings[0].code == "spacing-differs"


def test_an_existing_output_is_refused_before_any_work_unless_forced(tmp_path: Path) -> None:
    series(tmp_path / "in" / "ct")
    phantoms.write_nifti(tmp_path / "in" / "b.nii.gz", VOXELS, GRID)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "ct.json").write_text("mine")
    with pytest.raises(UsageError) as caught:
        convert([tmp_path / "in"], tmp_path / "out")
    assert (caught.value.code, caught.value.path) == ("output-exists", tmp_path / "out" / "ct.json")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["ct.json"]
    assert convert([tmp_path / "in"], tmp_path / "out", force=True).exit_code() == 0
    assert side_file(tmp_path / "out" / "ct.json")["Modality"] == "CT"
    with pytest.raises(UsageError, match="and 3 more"):
        convert([tmp_path / "in"], tmp_path / "out")


def test_an_output_within_an_input_is_refused(tmp_path: Path) -> None:
    file = phantoms.write_nifti(tmp_path / "in" / "b.nii.gz", VOXELS, GRID)
    for out in (tmp_path / "in", tmp_path / "in" / "out"):
        with pytest.raises(UsageError, match="within an input"):
            plan([tmp_path / "in"], out)
    with pytest.raises(UsageError, match="is an input"):
        convert([file], tmp_path / "in", force=True)


def test_forms_that_contradict_themselves_are_refused() -> None:
    for fields in ({"keep_identity": True}, {"to": "dicom", "split": True}, {"to": "dicom", "descriptions": True}):
        with pytest.raises(UsageError):
            Form(**fields)


def test_identity_is_kept_only_where_asked_for(tmp_path: Path) -> None:
    series(tmp_path / "in" / "ct")
    for name, form in (("new", DICOM), ("kept", Form(to="dicom", keep_identity=True))):
        convert([tmp_path / "in"], tmp_path / name, form=form)
    new, kept = (pydicom.dcmread(tmp_path / name / "ct" / "0001.dcm") for name in ("new", "kept"))
    assert (new.PatientID[:5], len(new.PatientID), kept.PatientID) == ("case-", 17, "PHANTOM-7")
    assert str(new.PatientName) == "Converted^"
    phantoms.write_nifti(tmp_path / "n" / "a.nii.gz", VOXELS, GRID)
    form = Form(to="dicom", modality="MR", keep_identity=True)
    assert convert([tmp_path / "n"], tmp_path / "from-nifti", form=form).exit_code() == 0


def test_a_disk_that_is_full_ends_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    series(tmp_path / "in" / "ct")

    def full(*_: object) -> None:
        raise OutputError("output-unwritable", "No space left on device")

    monkeypatch.setattr(io, "write_volume", full)
    with pytest.raises(OutputError):
        convert([tmp_path / "in"], tmp_path / "out")


def test_a_bug_stops_no_other_image_and_its_words_are_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    series(tmp_path / "in" / "ct")

    def broken(*_: object) -> None:
        raise KeyError("the patient's name")

    monkeypatch.setattr(io, "write_volume", broken)
    (finding,) = convert([tmp_path / "in"], tmp_path / "out").rejected
    assert finding.code == "internal"
    assert finding.message.startswith("KeyError at test_convert.py, line")


def test_volumes_of_one_series_become_one_file(tmp_path: Path) -> None:
    time_series(tmp_path / "in" / "bold")
    result = convert([tmp_path / "in"], tmp_path / "out")
    assert [one.id for one in result.converted] == ["bold"]
    image = nib.load(tmp_path / "out" / "bold.nii.gz")
    assert image.shape == (5, 6, 4, 3)
    for n in range(3):
        np.testing.assert_array_equal(np.asarray(image.dataobj)[..., n], VOXELS + 10 * n)
    assert image.header["pixdim"][4] == 2.5
    facts = side_file(tmp_path / "out" / "bold.json")
    assert (facts["RepetitionTime"], facts["EchoTime"]) == (2.5, 0.03)


def test_volumes_of_one_series_are_apart_where_asked_for_and_in_dicom(tmp_path: Path) -> None:
    time_series(tmp_path / "in" / "bold")
    apart = convert([tmp_path / "in"], tmp_path / "nifti", form=Form(split=True))
    assert [one.id for one in apart.converted] == ["bold-v001", "bold-v002", "bold-v003"]
    again = convert([tmp_path / "in"], tmp_path / "dicom", form=DICOM)
    assert [one.id for one in again.converted] == ["bold-v001", "bold-v002", "bold-v003"]
    studies = {pydicom.dcmread(one.files[0]).StudyInstanceUID for one in again.converted}
    assert len(studies) == 1
    # Files that are named like parts of a series, and are none, stay what they are.
    assert len(convert([tmp_path / "nifti"], tmp_path / "copies").converted) == 3


def test_an_image_named_like_a_volume_of_another_clashes_with_none(tmp_path: Path) -> None:
    volumes = np.stack([VOXELS, VOXELS + 1, VOXELS + 2], axis=-1)
    phantoms.write_nifti(tmp_path / "in" / "bold.nii.gz", volumes, GRID)
    phantoms.write_nifti(tmp_path / "in" / "bold-v001_brain.nii.gz", VOXELS, GRID)
    result = convert([tmp_path / "in"], tmp_path / "out")
    assert [(one.id, nib.load(one.files[0]).shape) for one in result.converted] == [
        ("bold", (5, 6, 4, 3)),
        ("bold-v001_brain", (5, 6, 4)),
    ]


def test_volumes_on_several_grids_become_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    time_series(tmp_path / "in" / "bold", count=2)
    read = io.read_volume

    def moved(case: Any) -> Volume:
        volume = read(case)
        start = (1, 0, 0) if case.id.endswith("2") else (0, 0, 0)
        return Volume(volume.voxels, volume.geometry.cropped(start, np.add(start, GRID.shape).tolist()), "MR")

    monkeypatch.setattr(io, "read_volume", moved)
    (one,) = convert([tmp_path / "in"], tmp_path / "out").converted
    assert [file.name for file in one.files if file.suffix == ".gz"] == ["bold-v001.nii.gz", "bold-v002.nii.gz"]
    (tmp_path / "out" / "bold.json").unlink(missing_ok=True)
    result = convert([tmp_path / "in"], tmp_path / "out")
    assert [finding.code for finding in result.rejected] == ["output-exists"]
    assert convert([tmp_path / "in"], tmp_path / "out", force=True).exit_code() == 0


def test_a_series_and_another_image_of_one_name_are_refused(tmp_path: Path) -> None:
    time_series(tmp_path / "in" / "bold", count=2)
    phantoms.write_nifti(tmp_path / "in" / "bold.nii.gz", VOXELS, GRID)
    with pytest.raises(UsageError) as caught:
        plan([tmp_path / "in"], tmp_path / "out")
    assert caught.value.code == "name-clash"


def test_the_side_file_states_the_unit_of_the_values_that_were_written(tmp_path: Path) -> None:
    volume = Volume(np.ones((1, *GRID.shape)), GRID, "PT", "SUVbw")
    job = plan([phantoms.write_nifti(tmp_path / "a.nii.gz", VOXELS, GRID)], tmp_path / "out").jobs[0]
    assert workflow._facts(job, [volume], Form())["Units"] == "SUVbw"


def test_readings_are_heeded(tmp_path: Path) -> None:
    voxels = VOXELS.astype(np.float32)
    voxels[0, 0, 0] = np.nan
    file = phantoms.write_nifti(tmp_path / "a.nii.gz", voxels, GRID)
    assert [finding.code for finding in convert([file], tmp_path / "none").rejected] == ["not-finite"]
    result = convert([file], tmp_path / "out", reading=Reading(nan_to=-5))
    assert np.asarray(nib.load(result.converted[0].files[0]).dataobj)[0, 0, 0] == -5


def test_the_command_tells_people_and_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    series(tmp_path / "in" / "ct", SpacingBetweenSlices=7)
    (tmp_path / "in" / "bad.nii.gz").write_bytes(b"")
    arguments = (tmp_path / "in", "--out", tmp_path / "out")
    assert command(monkeypatch, *arguments, "--dry-run") == 0
    assert "1 images, 1 refused" in capsys.readouterr().out
    assert command(monkeypatch, *arguments, "--dry-run", "--json") == 0
    assert [job["id"] for job in json.loads(capsys.readouterr().out)["jobs"]] == ["ct"]
    assert not (tmp_path / "out").exists()
    assert command(monkeypatch, *arguments) == 4
    told = capsys.readouterr().out
    assert "1 images written, 1 refused" in told
    assert "[spacing-differs]" in told
    assert "[truncated]" in told
    assert command(monkeypatch, *arguments) == 2
    assert "--force" in capsys.readouterr().err
    assert command(monkeypatch, *arguments, "--json", "--to", "dicom") == 4
    assert json.loads(capsys.readouterr().out)["exit_code"] == 4
    shutil.rmtree(tmp_path / "in" / "ct")
    assert command(monkeypatch, *arguments, "--force") == 5


def test_options_of_reading_make_a_reading() -> None:
    made = reading.reading_of(
        allow_gaps=True, merge_series=False, assume_ras=True, nan_to=0.0, orthogonal=True, bqml=True
    )
    assert made == Reading(allow_gaps=True, assume_ras=True, nan_to=0.0, orthogonal=True, suv=False)


def test_findings_are_told_once(tmp_path: Path) -> None:
    finding = Finding("one-slice", "note", "one slice")
    volumes = [Volume(np.ones((1, *GRID.shape)), GRID, findings=(finding,)) for _ in range(2)]
    assert workflow._distinct(volumes) == (finding,)


def test_real_series_come_back_from_dicom_as_they_went(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "dicom_objects" / "hippocampus_crop_1"
    convert([source], tmp_path / "dicom", form=DICOM)
    first = io.load(source).volumes["hippocampus_crop_1"]
    last = io.load(tmp_path / "dicom").volumes["hippocampus_crop_1"]
    np.testing.assert_array_equal(first.voxels, last.voxels)
    assert np.abs(first.geometry.corners - last.geometry.corners).max() < 1e-3


def test_several_channels_are_refused_with_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = phantoms.write_nifti(tmp_path / "a.nii.gz", VOXELS, GRID)
    monkeypatch.setattr(io, "read_volume", lambda _: Volume(np.ones((2, *GRID.shape)), GRID, "MR"))
    for name, form in (("nifti", Form()), ("dicom", DICOM)):
        (finding,) = convert([file], tmp_path / name, form=form).rejected
        assert "channel" in finding.message


def test_an_error_that_names_a_file_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = phantoms.write_nifti(tmp_path / "a.nii.gz", VOXELS, GRID)

    def refuse(_: object) -> Volume:
        raise InputError("truncated", "too short", path=tmp_path / "elsewhere")

    monkeypatch.setattr(io, "read_volume", refuse)
    (finding,) = convert([file], tmp_path / "out").rejected
    assert finding.path == tmp_path / "elsewhere"


def test_a_folder_with_the_name_of_a_person_does_not_name_the_patient(tmp_path: Path) -> None:
    phantoms.write_dicom_series(tmp_path / "Zzquxly^Jane_19170203", VOXELS, GRID)
    result = convert([tmp_path / "Zzquxly^Jane_19170203"], tmp_path / "out", form=Form(to="dicom"))
    (one,) = result.converted
    for file in one.files:
        assert b"Zzquxly" not in file.read_bytes()


def test_volumes_of_one_file_say_what_orders_them_and_what_each_is(tmp_path: Path) -> None:
    for n, value in enumerate((0.0, 1000.0)):
        tags = {"DiffusionBValue": value, "SOPInstanceUID": f"1.2.{n}"}
        phantoms.write_dicom_series(tmp_path / "in" / str(n), VOXELS + n, GRID, modality="MR", **tags)
    (one,) = convert([tmp_path / "in"], tmp_path / "out").converted
    stated = json.loads(one.files[1].read_text())
    assert stated["MedvisionVolumeOrder"] == "b-value"
    assert nib.load(one.files[0]).shape == (*GRID.shape, 2)


def test_volumes_of_other_types_or_units_are_files_of_their_own(tmp_path: Path) -> None:
    for n, kind in enumerate(("DIFFUSION", "ADC")):
        tags = {"ImageType": ["DERIVED", "PRIMARY", kind], "SOPInstanceUID": f"1.2.{n}"}
        phantoms.write_dicom_series(tmp_path / "in" / str(n), VOXELS + n, GRID, modality="MR", **tags)
    (one,) = convert([tmp_path / "in"], tmp_path / "out").converted
    images = [file for file in one.files if file.suffix == ".gz"]
    assert [nib.load(file).shape for file in images] == [GRID.shape] * 2
