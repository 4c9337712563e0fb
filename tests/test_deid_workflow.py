"""`medvision deid` from folder to folder: what is written, what is refused, and that nothing names anybody."""

from __future__ import annotations

import json
import re
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import EncapsulatedPDFStorage
from test_deid import TRACES, ct, lettered, outputs, smooth, write

from medvision.deid import DeidOptions, Secret
from medvision.errors import InputError, OutputError, UsageError
from medvision.io.located import quiet
from medvision.workflows import deid
from medvision.workflows.deid import REPORT, deidentify
from medvision_cli import app, shell

IDENTITIES = (
    "PatientID AccessionNumber InstitutionName InstitutionAddress ReferringPhysicianTelephoneNumbers SOPInstanceUID "
    "StudyInstanceUID SeriesInstanceUID FrameOfReferenceUID ReferencedSOPInstanceUID Occupation StudyDescription "
    "SecondaryCaptureDeviceID SourceApplicationEntityTitle"
)


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """Run `medvision deid` in this process, and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["medvision", "deid", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        app.main()
    return int(caught.value.code or 0)


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Return a folder of two patients: a series of two, one of one, and a zip archive with another."""
    folder = tmp_path / "Qzxvname"
    write(folder / "a" / "Qzxvname1.dcm", ct())
    write(folder / "a" / "Qzxvname2.dcm", ct(SOPInstanceUID="1.2.3.41", StudyDate="20240311"))
    other = {"PatientID": "7", "PatientName": "Roe^Rick", "StudyInstanceUID": "1.9", "SeriesInstanceUID": "1.9.1"}
    write(folder / "b" / "1.dcm", ct(SOPInstanceUID="1.9.2", **other))
    inner = write(tmp_path / "inner.dcm", ct(SOPInstanceUID="1.9.3", **other))
    with zipfile.ZipFile(folder / "more.zip", "w") as archive:
        archive.write(inner, "Qzxvname/1")
    return folder


def copies(folder: Path) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(path) for path in sorted(folder.rglob("*.dcm"))]


def test_a_folder_becomes_a_folder_a_patient_a_study_and_a_series(scans: Path, tmp_path: Path) -> None:
    result = deidentify([scans], tmp_path / "out")
    assert (result.written, result.refused, result.exit_code()) == (4, (), 0)
    assert len({copy.PatientID for copy in copies(tmp_path / "out")}) == 2
    places = [path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*.dcm")]
    pattern = r"P[A-Z2-7]{12}/study-[0-9a-f]{12}/series-[0-9a-f]{12}/[0-9a-f]{12}\.dcm"
    assert all(re.fullmatch(pattern, place.as_posix()) for place in places)
    assert TRACES.findall(outputs(tmp_path / "out")) == []
    page = (tmp_path / "out" / "deid-report.html").read_text()
    assert "Remaining risk" in page
    assert "4 images were written" in page
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_file()) == ["deid-report.html", REPORT]


def test_the_same_key_gives_the_same_copies_and_another_one_others(scans: Path, tmp_path: Path) -> None:
    options = DeidOptions(frozenset({"retain-dates-modified"}))
    for name, key in (("one", "k1"), ("two", "k1"), ("three", "k2")):
        deidentify([scans], tmp_path / name, options, key=tmp_path / key)
    one, two, three = (sorted(p.read_bytes() for p in (tmp_path / n).rglob("*.dcm")) for n in ("one", "two", "three"))
    assert one == two
    assert not set(one) & set(three)
    key = Secret.read(tmp_path / "k1").key
    written = outputs(tmp_path / "one")
    assert key not in written
    assert key.hex().encode() not in written


def test_dates_of_one_patient_keep_their_distance(scans: Path, tmp_path: Path) -> None:
    deidentify([scans / "a"], tmp_path / "out", DeidOptions(frozenset({"retain-dates-modified"})))
    days = sorted(
        np.datetime64(f"{c.StudyDate[:4]}-{c.StudyDate[4:6]}-{c.StudyDate[6:]}") for c in copies(tmp_path / "out")
    )
    assert (days[1] - days[0]).astype(int) == 10
    full = deidentify([scans / "a"], tmp_path / "full", DeidOptions(frozenset({"retain-dates-full"})))
    assert "Dates are the true ones." in full.summary.risks()
    assert "20240301" not in [copy.StudyDate for copy in copies(tmp_path / "out")]


def test_a_run_is_repeated_with_its_key_alone(scans: Path, tmp_path: Path) -> None:
    out, key = tmp_path / "out", tmp_path / "key"
    deidentify([scans / "a"], out, key=key)
    assert deidentify([scans], out, key=key).written == 4
    assert len(copies(out)) == 4
    for other in (None, tmp_path / "other"):
        with pytest.raises(UsageError, match="without this key"):
            deidentify([scans], out, key=other)
    (out / REPORT).write_text("{}")
    with pytest.raises(UsageError, match="without this key"):
        deidentify([scans], out, key=key)
    assert not (tmp_path / "other").exists()


def test_a_new_key_refuses_a_folder_that_holds_something(scans: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("notes")
    with pytest.raises(UsageError):
        deidentify([scans], tmp_path / "out", key=tmp_path / "key")


def test_folders_that_lie_in_each_other_and_a_key_among_outputs_are_refused(scans: Path, tmp_path: Path) -> None:
    for out in (scans, scans / "out", tmp_path):
        with pytest.raises(UsageError, match="lie in each other"):
            deidentify([scans], out)
    with pytest.raises(UsageError, match="the key would lie among"):
        deidentify([scans], tmp_path / "out", key=tmp_path / "out" / "key")


def test_a_dry_run_writes_nothing_and_says_the_same(scans: Path, tmp_path: Path) -> None:
    dry = deidentify([scans], tmp_path / "out", key=tmp_path / "key", dry_run=True)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "key").exists()
    wet = deidentify([scans], tmp_path / "out")
    assert dry.summary.to_json()["actions"] == wet.summary.to_json()["actions"]
    assert dry.written == wet.written


def test_the_users_pseudonyms_are_taken_and_a_patient_without_one_is_refused(scans: Path, tmp_path: Path) -> None:
    mapping = tmp_path / "mapping.csv"
    mapping.write_text("patient_id,pseudonym\n987654321,case-01\n")
    result = deidentify([scans], tmp_path / "out", mapping=mapping)
    assert {str(copy.PatientName) for copy in copies(tmp_path / "out")} == {"case-01"}
    assert [finding.code for finding in result.refused] == ["patient-unmapped"] * 2
    assert result.exit_code() == 4


def two_hospitals(folder: Path) -> Path:
    """Return a folder of two files of one Patient ID, from two hospitals."""
    for number, issuer in enumerate(("North", "South")):
        tags = {"IssuerOfPatientID": issuer, "StudyInstanceUID": f"1.9.{number}", "SOPInstanceUID": f"1.9.{number}.1"}
        write(folder / f"{number}.dcm", ct(PatientID="1", **tags))
    return folder


def test_one_id_of_two_hospitals_is_two_patients(tmp_path: Path) -> None:
    folder = two_hospitals(tmp_path / "in")
    assert deidentify([folder], tmp_path / "out", DeidOptions(frozenset({"retain-dates-modified"}))).written == 2
    made = copies(tmp_path / "out")
    assert len({copy.PatientID for copy in made}) == len({copy.StudyDate for copy in made}) == 2
    assert b"North" not in outputs(tmp_path / "out")


def test_a_mapping_names_patients_by_id_and_issuer_and_makes_no_two_one(tmp_path: Path) -> None:
    folder, mapping = two_hospitals(tmp_path / "in"), tmp_path / "mapping.csv"
    mapping.write_text("patient_id,issuer,pseudonym\n1,North,n\n1,South,s\n")
    assert deidentify([folder], tmp_path / "both", mapping=mapping).written == 2
    assert {str(copy.PatientID) for copy in copies(tmp_path / "both")} == {"n", "s"}
    mapping.write_text("patient_id,pseudonym\n1,n\n")
    result = deidentify([folder], tmp_path / "one", mapping=mapping)
    assert (result.written, [finding.code for finding in result.refused]) == (1, ["patient-ambiguous"])
    mapping.write_text("patient_id,issuer,pseudonym\n1,North,n\n")
    result = deidentify([folder], tmp_path / "north", mapping=mapping)
    assert (result.written, [finding.code for finding in result.refused]) == (1, ["patient-unmapped"])


def test_a_file_without_a_patient_id_is_in_no_mapping(tmp_path: Path) -> None:
    write(tmp_path / "in" / "a.dcm", ct(PatientID=""))
    (tmp_path / "mapping.csv").write_text("patient_id,pseudonym\nQzxvname^Jane,n\n")
    (finding,) = deidentify([tmp_path / "in"], tmp_path / "out", mapping=tmp_path / "mapping.csv").refused
    assert finding.code == "patient-unmapped"


def test_one_id_of_two_birth_dates_is_refused(tmp_path: Path) -> None:
    with quiet():  # the old form with points is no valid date
        for number, born in enumerate(("19610417", "1961.04.17", "", "19700101")):
            write(tmp_path / "in" / f"{number}.dcm", ct(SOPInstanceUID=f"1.9.{number}", PatientBirthDate=born))
    result = deidentify([tmp_path / "in"], tmp_path / "out")
    (finding,) = result.refused
    assert (result.written, finding.code, finding.path) == (3, "patient-ambiguous", tmp_path / "in" / "3.dcm")
    assert not re.search(r"1961|1970", finding.message)


@pytest.mark.parametrize(
    "text",
    [
        "id,name\n1,a\n",
        "patient_id,pseudonym\nQzxvname,a b\n",
        "patient_id,pseudonym\nQzxvname\n",
        "patient_id,pseudonym\nQzxvname,a\nQzxvname,b\n",
        "patient_id,pseudonym\nQzxvname,a\nQzxvname2,a\n",
        "patient_id,pseudonym\n\xff",
    ],
)
def test_a_mapping_that_cannot_be_used_is_refused_and_not_quoted(text: str, scans: Path, tmp_path: Path) -> None:
    (tmp_path / "mapping.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError) as caught:
        deidentify([scans], tmp_path / "out", mapping=tmp_path / "mapping.csv")
    assert caught.value.code in ("bad-manifest", "bad-header")
    assert "Qzxv" not in caught.value.finding.message


def test_what_is_no_dicom_image_is_refused_and_what_is_no_image_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    write(folder / "report.dcm", ct(SOPClassUID=EncapsulatedPDFStorage))
    Image.new("L", (9, 9)).save(folder / "picture.png")
    (folder / "notes.txt").write_text("notes")
    (folder / "cut.dcm").write_bytes(bytes(128) + b"DICM" + b"\2\0\0\0UL\4\0\0\1\0\0")
    (folder / "empty.dcm").write_bytes(b"")
    result = deidentify([folder, tmp_path / "nowhere"], tmp_path / "out")
    codes = sorted(finding.code for finding in result.refused)
    assert codes == ["bad-header", "not-deidentifiable", "not-deidentifiable", "not-found", "truncated"]
    assert (result.written, result.summary.passed_over, result.exit_code()) == (0, 1, 5)


def test_a_file_that_is_named_is_read_and_another_one_refused(scans: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("notes")
    result = deidentify([scans / "b" / "1.dcm", scans / "more.zip", tmp_path / "notes.txt"], tmp_path / "out")
    assert (result.written, [finding.code for finding in result.refused]) == (2, ["no-image"])


class Stop(BaseException):
    """What ends a run from outside."""


def stopping_at(count: int) -> Any:
    def progress(number: int, total: int, words: str) -> None:
        if number == count:
            raise Stop

    return progress


def test_a_run_that_is_cut_off_has_said_whose_its_copies_are(scans: Path, tmp_path: Path) -> None:
    out, key = tmp_path / "out", tmp_path / "key"
    for place, secret in ((out, key), (tmp_path / "lost", None)):
        with pytest.raises(Stop):
            deidentify([scans], place, key=secret, progress=stopping_at(1))
        report = json.loads((place / REPORT).read_text())
        assert (report["written"], report["finished"]) == (1, False)
        assert "not finished" in (place / "deid-report.html").read_text()
    assert json.loads((out / REPORT).read_text())["key"] == Secret.read(key).fingerprint()
    assert deidentify([scans], out, key=key).written == 4
    assert json.loads((out / REPORT).read_text())["finished"] is True
    with pytest.raises(UsageError, match="its secret is gone"):
        deidentify([scans], tmp_path / "lost")


def test_the_first_copy_is_written_after_the_report(scans: Path, tmp_path: Path) -> None:
    with pytest.raises(Stop):
        deidentify([scans], tmp_path / "out", progress=stopping_at(0))
    assert json.loads((tmp_path / "out" / REPORT).read_text())["written"] == 0


def test_a_file_that_nobody_foresaw_ends_no_run_and_is_not_quoted(
    scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = deid.patient_key

    def odd(source: Any) -> str:
        if source.PatientID == "7":
            raise AssertionError(source.PatientName)
        return real(source)

    monkeypatch.setattr(deid, "patient_key", odd)
    result = deidentify([scans], tmp_path / "out")
    assert (result.written, [finding.code for finding in result.refused]) == (2, ["internal"] * 2)
    assert all(re.fullmatch(r"AssertionError at test_deid_workflow.py, line \d+", f.message) for f in result.refused)
    assert result.refused[0].path == scans / "b" / "1.dcm"


def test_an_empty_folder_is_exit_code_3(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    assert deidentify([tmp_path / "in"], tmp_path / "out").exit_code() == 3


def test_no_image_at_all_is_exit_code_3(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("notes")
    assert deidentify([tmp_path / "in"], tmp_path / "out").exit_code() == 3


def test_the_second_file_of_one_instance_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / "in" / f"{name}.dcm", ct())
    result = deidentify([tmp_path / "in"], tmp_path / "out")
    (finding,) = result.refused
    assert (result.written, finding.code, finding.path) == (1, "name-clash", tmp_path / "in" / "b.dcm")


def test_a_directory_of_a_medium_is_passed_over(tmp_path: Path) -> None:
    source = Path(str(pydicom.data.get_testdata_file("DICOMDIR", download=False)))
    (tmp_path / "in").mkdir()
    shutil.copy(source, tmp_path / "in" / "DICOMDIR")
    result = deidentify([tmp_path / "in" / "DICOMDIR"], tmp_path / "out")
    assert (result.written, result.refused, result.summary.passed_over) == (0, (), 1)


def test_an_output_that_cannot_be_written_ends_the_run(scans: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError):
        deidentify([scans], tmp_path / "out")


def test_another_reader_finds_the_same_pixels_and_places(tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK")
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    write(tmp_path / "in" / "a.dcm", ct())
    deidentify([tmp_path / "in"], tmp_path / "out")
    (copy,) = (tmp_path / "out").rglob("*.dcm")
    before, after = sitk.ReadImage(str(tmp_path / "in" / "a.dcm")), sitk.ReadImage(str(copy))
    assert np.array_equal(sitk.GetArrayFromImage(before), sitk.GetArrayFromImage(after))
    for place in ("GetOrigin", "GetSpacing", "GetDirection"):
        assert getattr(before, place)() == getattr(after, place)()


# the command


def test_the_command_tells_what_it_did_where_the_key_is_and_what_risk_remains(
    scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(scans / "c" / "text.dcm", ct(lettered(smooth()), SOPInstanceUID="1.2.3.77"))
    arguments = (scans, "--out", tmp_path / "out", "--key", tmp_path / "key", "--option", "clean-descriptors")
    assert command(monkeypatch, *arguments) == 4
    said = capsys.readouterr()
    assert "4 images written, 1 refused" in said.out
    assert "What remains a risk:" in said.out
    assert "[burned-in-suspected]" in said.err
    assert "keep it apart" in said.err
    assert command(monkeypatch, *arguments, "--blank", "0,0,256,40") == 0
    assert "keep it apart" not in capsys.readouterr().err
    assert command(monkeypatch, *arguments, "--blank-detected", "--dry-run", "--json") == 0
    assert json.loads(capsys.readouterr().out)["written"] == 5


def test_the_command_says_that_a_secret_was_thrown_away(
    scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (scans / "notes.txt").write_text("notes")
    assert command(monkeypatch, scans, "--out", tmp_path / "out", "--accept-burned-in") == 0
    said = capsys.readouterr()
    assert "thrown away" in said.err
    assert "1 files passed over" in said.out
    assert "Pixels were not looked at" in said.out


@pytest.mark.parametrize(("more", "words"), [([], "The secret is gone"), (["--key", "key"], "starts over.")])
def test_an_interrupted_command_says_what_the_next_one_can_do(
    more: list[str],
    words: str,
    scans: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted(*arguments: Any, **settings: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(deid, "deidentify", interrupted)
    assert command(monkeypatch, scans, "--out", tmp_path / "out", *more) == 130
    said = capsys.readouterr().err
    assert words in said
    assert "goes on" not in said


@pytest.mark.parametrize(
    ("resumes", "words"), [(True, "goes on where"), (False, "same command starts over."), ("Own words.", "Own words.")]
)
def test_an_interruption_is_told_in_the_words_of_the_command(
    resumes: bool | str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KeyboardInterrupt), shell.progress("working", resumes=resumes):
        raise KeyboardInterrupt
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("box", ["1,2,3", "a,b,c,d", "-1,0,5,5", "0,0,0,5"])
def test_a_box_that_is_none_is_wrong_usage(
    box: str, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, scans, "--out", tmp_path / "out", "--blank", box) == 2
    assert "four whole numbers" in capsys.readouterr().err


# real data


def test_none_of_the_identities_of_real_files_is_left_in_any_tag(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "dicom_phi"
    result = deidentify([folder], tmp_path / "out", DeidOptions(blank_detected=True))
    assert (result.written, result.refused) == (2, ())
    written = outputs(tmp_path / "out").lower()
    sources = sorted(folder.glob("*.dcm"))
    assert len(sources) == 2
    checked = 0
    for element in (element for file in sources for element in pydicom.dcmread(file).iterall()):
        value = str(element.value).strip().lower()
        if (element.VR in ("PN", "DA", "DT") or element.keyword in IDENTITIES.split()) and len(value) > 3:
            checked += 1
            assert value.encode() not in written
            words = re.findall(r"\w{4,}", value) if element.VR == "PN" else []
            assert [word for word in words if re.search(rf"\b{word}\b".encode(), written)] == []
    assert checked > 20
