"""A walk tells of everything below a folder or in an archive: read, refused or passed over, each once."""

from __future__ import annotations

import json
import os
import socket
import stat
import time
import zipfile
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medvision import archives
from medvision.errors import Finding, InputError
from medvision.io.datasets import is_dataset
from medvision.io.pictures import read_picture
from medvision.io.walk import refuse_results, walk

DICOM = bytes(128) + b"DICM" + bytes(200)


def file(path: Path, content: bytes = DICOM) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def zipped(path: Path, *names: str, content: bytes = DICOM) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, content)
    return path


def images(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path, _ in walk(folder).images]


def told(findings: tuple[Finding, ...], folder: Path) -> list[tuple[str, str]]:
    return [(f.code, f.path.relative_to(folder).as_posix()) for f in findings if f.path]


def test_archives_are_entered_like_folders_wherever_the_walk_starts(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "in" / "a.zip", "b/2", "b/c/3", "1")
    file(tmp_path / "in" / "z")
    assert images(tmp_path) == ["in/a.zip/1", "in/a.zip/b/2", "in/a.zip/b/c/3", "in/z"]
    assert images(archive) == ["1", "b/2", "b/c/3"]
    assert images(archive / "b") == ["2", "c/3"]
    found = walk(tmp_path)
    assert found.rejected == found.skipped == ()
    assert {archives.read_bytes(path) for path, _ in found.images} == {DICOM}


def test_what_is_no_image_in_an_archive_is_told_as_in_a_folder(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("1.dcm", b"text")
        archive.writestr("2.dcm", b"")
        archive.writestr("IM3", b"")
        archive.writestr("notes.txt", b"text")
        archive.writestr(".DS_Store", b"text")
        archive.writestr(".trash/4", DICOM)
        archive.writestr("__MACOSX/._1.dcm", b"text")
        archive.writestr("inner.zip", zipped(tmp_path / "inner" / "b.zip", "5").read_bytes())
        archive.writestr("pictures.npz", b"PK\3\4" + bytes(90))
    found = walk(tmp_path / "a.zip")
    assert found.images == ()
    assert told(found.rejected, tmp_path / "a.zip") == [
        ("not-an-image", "1.dcm"),
        ("truncated", "2.dcm"),
        ("unsupported", "pictures.npz"),
    ]
    assert told(found.skipped, tmp_path / "a.zip") == [
        ("not-read", ".DS_Store"),
        ("not-read", ".trash"),
        ("truncated", "IM3"),
        ("not-read", "inner.zip"),
        ("not-read", "notes.txt"),
    ]


def test_an_archive_that_is_refused_is_told_and_leaves_the_others(tmp_path: Path) -> None:
    file(tmp_path / "1")
    file(tmp_path / "cut.zip", zipped(tmp_path / "whole" / "b.zip", "2").read_bytes()[:-30])
    zipped(tmp_path / "slip.zip", "../3")
    zipped(tmp_path / "empty.zip")
    zipped(tmp_path / "bomb.zip", "4", content=bytes(10_000_001))
    found = walk(tmp_path)
    assert images(tmp_path) == ["1", "whole/b.zip/2"]
    assert told(found.rejected, tmp_path) == [
        ("too-large", "bomb.zip/4"),
        ("truncated", "cut.zip"),
        ("empty-folder", "empty.zip"),
        ("unsafe-path", "slip.zip"),
    ]
    with pytest.raises(InputError, match="leads out"):
        walk(tmp_path / "slip.zip")


def test_documents_are_not_entered(tmp_path: Path) -> None:
    zipped(tmp_path / "report.docx", "1")
    found = walk(tmp_path)
    assert found.images == ()
    assert told(found.skipped, tmp_path) == [("not-read", "report.docx")]


def test_results_and_data_sets_in_an_archive_are_not_taken_for_cases(tmp_path: Path) -> None:
    names = ("run/ledger.sqlite", "run/cases/1", "set/dataset.json", "set/labels/2", "3")
    archive = zipped(tmp_path / "a.zip", *names)

    def is_apart(folder: Path) -> bool:
        return archives.exists(folder / "dataset.json")

    found = walk(tmp_path, is_apart=is_apart)
    assert [path.name for path, _ in found.images] == ["3"]
    assert told(found.rejected, archive) == [("unsupported", "set")]
    assert told(found.skipped, archive) == [("not-read", "run")]
    with pytest.raises(InputError, match="results of a medvision run"):
        refuse_results(archive / "run")
    refuse_results(archive)
    assert walk(zipped(tmp_path / "in" / "b.zip", "ledger.sqlite", "1").parent).images == ()
    found = walk(zipped(tmp_path / "c.zip", "dataset.json", "1"), is_apart=is_apart)
    assert (found.images, told(found.rejected, tmp_path)) == ((), [("unsupported", "c.zip")])


def test_a_list_of_a_data_set_in_an_archive_is_known_as_one(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("set/dataset.json", json.dumps({"training": []}))
        archive.writestr("set/labels/1", DICOM)
        archive.writestr("other/dataset.json", "{}")
    found = walk(tmp_path, is_apart=lambda folder: is_dataset(folder / "dataset.json"))
    assert found.images == ()
    assert told(found.rejected, tmp_path) == [("unsupported", "a.zip/set")]


def test_pictures_are_read_from_archives(tmp_path: Path) -> None:
    grey = np.arange(12, dtype=np.uint16).reshape(3, 4) * 999
    Image.fromarray(grey).save(tmp_path / "x.png")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tmp_path / "x.png", "in/x.png")
    ((inside, kind),) = walk(tmp_path / "a.zip").images
    assert kind == "picture"
    assert np.array_equal(read_picture(inside).voxels, read_picture(tmp_path / "x.png").voxels)
    assert np.array_equal(read_picture(inside).voxels[0, :, :, 0].T, grey)


def test_a_hidden_folder_is_passed_over_unless_it_is_named(tmp_path: Path) -> None:
    file(tmp_path / ".git" / "annex" / "1")
    (tmp_path / "2").symlink_to(tmp_path / ".git" / "annex" / "1")
    found = walk(tmp_path)
    assert [path.name for path, _ in found.images] == ["2"]
    assert told(found.skipped, tmp_path) == [("not-read", ".git")]
    assert images(tmp_path / ".git") == ["annex/1"]


def test_a_linked_file_is_read_once_under_its_own_name(tmp_path: Path) -> None:
    file(tmp_path / "z" / "1")
    outside = file(tmp_path.parent / f"{tmp_path.name}-outside" / "2")
    (tmp_path / "a").symlink_to(tmp_path / "z" / "1")
    (tmp_path / "b").symlink_to(outside)
    (tmp_path / "c").symlink_to(outside)
    (tmp_path / "d").symlink_to("/dev/zero")
    found = walk(tmp_path)
    assert images(tmp_path) == ["b", "z/1"]
    assert told(found.skipped, tmp_path) == [("not-read", "a"), ("not-read", "c"), ("not-read", "d")]
    assert [f.message for f in found.skipped][:2] == ["a link to a file that was read already"] * 2


def test_a_link_to_a_hidden_file_is_read_and_a_hidden_link_is_not(tmp_path: Path) -> None:
    file(tmp_path / ".1")
    outside = file(tmp_path.parent / f"{tmp_path.name}-outside" / "2")
    (tmp_path / "a").symlink_to(tmp_path / ".1")
    (tmp_path / ".b").symlink_to(outside)
    (tmp_path / "c").symlink_to(outside)
    assert images(tmp_path) == ["a", "c"]
    assert told(walk(tmp_path).skipped, tmp_path) == [("not-read", ".1"), ("not-read", ".b")]


def test_an_entry_of_which_the_system_does_not_tell_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Entry:
        name = "1"

        def is_symlink(self) -> bool:
            return False

        def inode(self) -> int:
            return 1

        def is_dir(self) -> bool:
            raise PermissionError(13, "Permission denied")

        is_file = is_dir

    monkeypatch.setattr(os, "scandir", lambda _: nullcontext([Entry()]))
    assert told(walk(tmp_path).skipped, tmp_path) == [("not-read", "1")]


def test_loops_pipes_sockets_and_broken_links_are_told_at_once(tmp_path: Path) -> None:
    file(tmp_path / "z" / "1")
    (tmp_path / "z" / "loop").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    (tmp_path / "gone.dcm").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as plug:
        plug.bind(str(tmp_path / "plug"))
        started = time.monotonic()
        found = walk(tmp_path)
    assert time.monotonic() - started < 2
    assert [path.name for path, _ in found.images] == ["1"]
    assert told(found.rejected, tmp_path) == [("not-found", "gone.dcm")]
    assert told(found.skipped, tmp_path) == [("not-read", name) for name in ("pipe", "plug", "self", "z/loop")]


@pytest.mark.parametrize(
    "name", [b"Caf\xe9 \xff", b"\x1b$B;3ED", b"two\nlines", b"-rf", b"quote'\"[1] $(x)`", b"\x1b[2J"]
)
def test_any_name_is_read_and_told_in_one_line_of_plain_text(tmp_path: Path, name: bytes) -> None:
    folder = tmp_path / os.fsdecode(name)
    file(folder / "1")
    bad = file(folder / os.fsdecode(name + b".dcm"), b"text")
    found = walk(tmp_path)
    assert [path.parent for path, _ in found.images] == [folder]
    (finding,) = found.rejected
    assert finding.path == bad
    assert str(finding).isprintable()
    str(finding).encode()
    with pytest.raises(InputError) as caught:
        raise InputError("truncated", "x", path=bad)
    str(caught.value).encode()


def deep_folder(start: Path, length: int, letter: str = "a") -> None:
    """Make a folder with a file whose path may be longer than the system follows, step by step."""
    here = os.open(start, os.O_RDONLY)
    for _ in range((length - len(str(start))) // 201 + 1):
        os.mkdir(letter * 200, dir_fd=here)
        there = os.open(letter * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = there
    with os.fdopen(os.open("1", os.O_CREAT | os.O_WRONLY, dir_fd=here), "wb") as made:
        made.write(DICOM)
    os.close(here)


def test_a_path_of_3500_characters_is_read_and_one_that_is_too_long_is_told(tmp_path: Path) -> None:
    deep_folder(tmp_path, 3500)
    found = walk(tmp_path)
    assert len(found.images) == 1
    assert found.rejected == ()
    deep_folder(tmp_path, 4300, "b")
    found = walk(tmp_path)
    assert len(found.images) == 1
    assert {finding.code for finding in found.rejected} == {"unreadable"}


def test_a_file_that_cannot_be_opened_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file(tmp_path / "1")
    for path in (file(tmp_path / "2"), zipped(tmp_path / "3.zip", "4")):
        path.chmod(0)
        if os.access(path, os.R_OK):  # for an administrator nothing is locked

            def refuse(at: Path, *rest: object) -> bytes:
                raise PermissionError(13, "Permission denied")

            monkeypatch.setattr(archives, "read_bytes", refuse)
    assert {(f.code, f.grade) for f in walk(tmp_path).rejected} == {("unreadable", "error")}
    (tmp_path / "2").chmod(stat.S_IRWXU)


def test_a_list_of_cases_and_an_empty_slice_are_told_apart_from_other_files(tmp_path: Path) -> None:
    for name in ("list.csv", "IM1", "1.2.840.113", "notes.txt"):
        file(tmp_path / name, b"")
    found = walk(tmp_path)
    assert told(found.skipped, tmp_path) == [
        ("truncated", "1.2.840.113"),
        ("truncated", "IM1"),
        ("not-read", "list.csv"),
        ("not-read", "notes.txt"),
    ]


def test_folders_without_a_file_are_rejected_at_their_top(tmp_path: Path) -> None:
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    file(tmp_path / "d" / "1")
    assert told(walk(tmp_path).rejected, tmp_path) == [("empty-folder", "a")]
    assert told(walk(tmp_path / "a").rejected, tmp_path) == [("empty-folder", "a")]


def test_thousands_of_files_are_walked_in_seconds(tmp_path: Path) -> None:
    first = file(tmp_path / "1")
    for n in range(1000):
        os.link(first, tmp_path / f"a{n}")
    zipped(tmp_path / "z.zip", *(f"in/{n}" for n in range(2000)))
    started = time.monotonic()
    assert len(walk(tmp_path).images) == 3001
    assert time.monotonic() - started < 10


def test_every_file_of_the_real_archives_is_found(shared_data: Path) -> None:
    folder = shared_data / "dicom_series"
    found = walk(folder)
    found_in = Counter(path.relative_to(folder).parts[0] for path, kind in found.images if kind == "dicom")
    archives = sorted(folder.glob("*.zip"))
    assert len(archives) > 2
    for archive in archives:
        with zipfile.ZipFile(archive) as oracle:
            wanted = sum(oracle.read(name)[128:132] == b"DICM" for name in oracle.namelist())
        assert found_in[archive.name] == wanted > 2
    assert found.rejected == ()
