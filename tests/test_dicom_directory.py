"""A DICOMDIR names files; none of them may lie outside its folder, and one that is missing is told."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset

from medvision import archives
from medvision.errors import InputError
from medvision.io.dicom import directory
from medvision.io.dicom.directory import read_directory
from medvision.io.located import quiet
from medvision.io.walk import walk

MEDIUM = Path(str(get_testdata_file("DICOMDIR"))).parent


def dicomdir(folder: Path, *names: str | Sequence[str], in_use: int | None = 0xFFFF) -> Path:
    """Write a DICOMDIR with a record for each name, as it stands."""
    folder.mkdir(parents=True, exist_ok=True)
    with quiet():  # names that the standard does not allow
        dataset = Dataset()
        dataset.DirectoryRecordSequence = [Dataset() for _ in names]
        for record, name in zip(dataset.DirectoryRecordSequence, names, strict=True):
            record.DirectoryRecordType = "IMAGE"
            record.PatientName = "Doe^Jane"
            record.RecordInUseFlag = in_use
            record.add_new(0x00041500, "CS", name if isinstance(name, str) else list(name))
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
        dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
        dataset.save_as(folder / "DICOMDIR", enforce_file_format=True)
    return folder / "DICOMDIR"


def file(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(128) + b"DICM")
    return path


@pytest.mark.parametrize("name", ["DICOMDIR", "DICOMDIR-bigEnd", "DICOMDIR-implicit", "DICOMDIR-nopatient"])
def test_a_medium_gives_all_its_files_in_the_order_of_its_records(name: str) -> None:
    found = read_directory(MEDIUM / name)
    assert len(found.files) == 31
    assert found.findings == ()
    assert all(path.is_relative_to(MEDIUM) and path.is_file() for path in found.files)
    records = pydicom.dcmread(MEDIUM / name).DirectoryRecordSequence
    wanted = [MEDIUM.joinpath(*record.ReferencedFileID) for record in records if "ReferencedFileID" in record]
    assert list(found.files) == wanted


def test_a_medium_in_an_archive_gives_the_same_files(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "cd.zip", "w") as archive:
        for path in MEDIUM.rglob("*"):
            archive.write(path, Path("cd") / path.relative_to(MEDIUM))
    found = read_directory(tmp_path / "cd.zip" / "cd" / "DICOMDIR")
    wanted = read_directory(MEDIUM / "DICOMDIR").files
    assert [p.relative_to(tmp_path / "cd.zip" / "cd") for p in found.files] == [p.relative_to(MEDIUM) for p in wanted]
    assert archives.read_bytes(found.files[0]) == wanted[0].read_bytes()


@pytest.mark.parametrize("stored", ["in/im1", "IN/IM1;1", "In/Im1.;1", "IN/IM1."])
def test_names_match_whatever_the_copy_did_to_capitals_and_versions(tmp_path: Path, stored: str) -> None:
    wanted = file(tmp_path / stored)
    assert read_directory(dicomdir(tmp_path, ["IN", "IM1"])).files == (wanted,)
    assert read_directory(dicomdir(tmp_path, "./IN/IM1")).files == (wanted,)


def test_a_name_that_fits_two_files_is_taken_as_it_stands_or_not_at_all(tmp_path: Path) -> None:
    wanted = file(tmp_path / "IM1")
    file(tmp_path / "im1")
    assert read_directory(dicomdir(tmp_path, "IM1")).files == (wanted,)
    assert read_directory(dicomdir(tmp_path, "Im1")).files == ()


def test_files_that_are_not_there_are_counted_and_an_unused_record_is_none(tmp_path: Path) -> None:
    wanted = file(tmp_path / "IM1")
    found = read_directory(dicomdir(tmp_path, "IM1", "IM2", ["IN", "IM3"], ["IM1", "IM4"]))
    assert found.files == (wanted,)
    (finding,) = found.findings
    assert (finding.code, finding.grade, finding.path) == ("not-found", "error", tmp_path / "DICOMDIR")
    assert "names 4 files, and 3 of them are not there" in finding.message
    assert read_directory(dicomdir(tmp_path, "IM1", in_use=0)).files == ()
    assert read_directory(dicomdir(tmp_path, "IM1", in_use=None)).files == (wanted,)


@pytest.mark.parametrize(
    "name",
    [["..", "IM1"], "../IM1", ["IN", "..", "..", "IM1"], "/etc/passwd", ["", "ETC"], "C:/IM1", "c:im1", ".", "IM\x001"],
)
def test_a_name_that_leads_out_of_the_folder_is_refused_and_not_quoted(tmp_path: Path, name: str | list[str]) -> None:
    file(tmp_path / "IM1")
    path = dicomdir(tmp_path / "cd", name)
    with pytest.raises(InputError) as caught:
        read_directory(path)
    assert (caught.value.code, caught.value.path) == ("unsafe-path", path)
    assert "Jane" not in str(caught.value)
    assert [finding.code for finding in walk(tmp_path / "cd").rejected] == ["unsafe-path"]


def test_a_link_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    file(tmp_path / "secret" / "IM1")
    path = dicomdir(tmp_path / "cd", ["IN", "IM1"], "IM2")
    file(tmp_path / "cd" / "IM2")
    (tmp_path / "cd" / "IN").symlink_to(tmp_path / "secret")
    with pytest.raises(InputError) as caught:
        read_directory(path)
    assert caught.value.code == "unsafe-path"


def test_a_directory_without_records_or_of_nonsense_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = dicomdir(tmp_path, "IM1").read_bytes()
    for content in (whole[:250], b"\x08\x00" * 90, bytes(128) + b"DICM" + b"\xff" * 90):
        (tmp_path / "x").write_bytes(content)
        with pytest.raises(InputError) as caught:
            read_directory(tmp_path / "x")
        assert caught.value.code in ("bad-header", "truncated")
    monkeypatch.setattr(directory, "_MAX_BYTES", 100)
    with pytest.raises(InputError) as caught:
        read_directory(tmp_path / "DICOMDIR")
    assert caught.value.code == "too-large"


def test_a_walk_reads_what_is_there_and_compares_it_with_the_dicomdir(tmp_path: Path) -> None:
    shutil.copytree(MEDIUM, tmp_path / "cd", ignore=shutil.ignore_patterns("DICOMDIR-*"))
    gone = next(path for path in read_directory(tmp_path / "cd" / "DICOMDIR").files if path.parent.name == "CT2")
    gone.unlink()
    found = walk(tmp_path)
    assert len(found.images) == 80
    assert [(f.code, f.path) for f in found.rejected] == [("not-found", tmp_path / "cd" / "DICOMDIR")]
    notes = [finding for finding in found.skipped if finding.path == tmp_path / "cd" / "DICOMDIR"]
    assert [finding.code for finding in notes] == ["not-analysed-here"]


def test_a_damaged_dicomdir_keeps_no_file_from_being_read(tmp_path: Path) -> None:
    image = file(tmp_path / "IM1")
    path = dicomdir(tmp_path, "IM1")
    path.write_bytes(path.read_bytes()[:250])
    found = walk(tmp_path)
    assert found.images == ((image, "dicom"),)
    assert found.rejected == ()
    assert [finding.path for finding in found.skipped] == [path]
