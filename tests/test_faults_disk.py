"""A disk that is full or read-only is told, before or in the work; nothing is half written, and the rest is whole."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_runs import command, make_images, make_pipeline, tree

from medvision.batch import Entry
from medvision.errors import OutputError
from medvision.study import Case, Source
from medvision.workflows.batching import room

CASES = 4


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pipeline(tmp_path_factory.mktemp("pipeline") / "blobs").folder


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_images(tmp_path_factory.mktemp("images"), CASES)


class Disk:
    """A small disk of its own: a tmpfs of which the test may choose the size, and whether it can be written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "medvision-test", str(folder)], check=True)

    def become(self, options: str) -> None:
        """Change it, e.g. ``"size=200k"`` or ``"ro"``."""
        subprocess.run(["mount", "-o", f"remount,{options}", str(self.folder)], check=True)

    def leave_free(self, size: int) -> None:
        """Fill it with other files until so many bytes are free."""
        with (self.folder / "filler").open("wb") as file:
            file.write(bytes(max(0, shutil.disk_usage(self.folder).free - size)))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Return a small disk; a machine that mounts none cannot show what a full one does, and fails here."""
    made = Disk(tmp_path / "disk")
    yield made
    subprocess.run(["umount", str(made.folder)], check=True)


def run(*words: str | Path, said: list[str] | None = None, **environment: str) -> int:
    done = subprocess.run(command("run", *words), capture_output=True, text=True, env=os.environ | environment)
    if said is not None:
        said.append(done.stderr)
    assert "Traceback" not in done.stderr
    return done.returncode


def ledger_is_whole(out: Path) -> bool:
    database = sqlite3.connect(out / "ledger.sqlite")
    try:
        return database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    finally:
        database.close()


def test_a_disk_that_gets_full_is_told_with_the_need_and_what_is_there_stays_whole(
    pipeline: Path, images: Path, tmp_path: Path, disk: Disk
) -> None:
    assert run(pipeline, images, "--out", tmp_path / "whole") == 0
    out, said = disk.folder / "out", []
    assert run(pipeline, images / "case0.nii.gz", "--out", out) == 0
    before = tree(out)
    page = sum(path.stat().st_size for path in (out / "cases").rglob("*.html"))
    filling = {"FAULT_RUNS_FILLS": str(disk.folder), "FAULT_RUNS_LEAVES": str(int(1.5 * page))}
    assert run(pipeline, images, "--out", out, "--workers", "1", said=said, **filling) == 6
    assert "No space left on device; 3 cases need about 0." in said[0] or "disk is full; 3 cases need" in said[0]
    assert "MB are free [disk-full]" in said[0]
    assert ledger_is_whole(out)
    assert {name: value for name, value in tree(out).items() if name in before} == before, "the old files are intact"
    assert not list(out.rglob(".medvision-*"))
    assert not (out / "cases" / "case3").exists() or not list((out / "cases" / "case3").iterdir())
    (disk.folder / "filler").unlink()
    assert run(pipeline, images, "--out", out) == 0
    assert tree(out) == tree(tmp_path / "whole")


def test_a_disk_without_room_is_told_before_any_work(pipeline: Path, images: Path, disk: Disk) -> None:
    out, said = disk.folder / "out", []
    assert run(pipeline, images / "case0.nii.gz", "--out", out) == 0
    disk.leave_free(150_000)
    before = tree(out)
    assert run(pipeline, images, "--out", out, said=said) == 6
    assert "3 cases need about 0." in said[0]
    assert "0.1 MB are free [disk-full]" in said[0]
    assert tree(out) == before
    assert "to analyse" in (out / "logs" / "run.log").read_text().splitlines()[-2]


def test_a_disk_without_a_byte_of_room_is_an_error_and_leaves_no_result(
    pipeline: Path, images: Path, disk: Disk
) -> None:
    said: list[str] = []
    disk.leave_free(0)
    assert run(pipeline, images, "--out", disk.folder / "out", said=said) == 6
    assert "[disk-full]" in said[0] or "[output-unwritable]" in said[0]
    assert not (disk.folder / "out" / "cases").exists()


def test_a_read_only_disk_is_refused_before_anything_is_read(pipeline: Path, images: Path, disk: Disk) -> None:
    disk.become("ro")
    said: list[str] = []
    words = ["run", pipeline, images, "--out", disk.folder / "out"]
    before = os.times()
    done = subprocess.run(command(*words), capture_output=True, text=True)
    after = os.times()
    said.append(done.stderr)
    assert done.returncode == 6
    assert "cannot write here: Read-only file system [output-unwritable]" in said[0]
    taken = after.children_user + after.children_system - before.children_user - before.children_system
    assert taken < 2.0, "processor time: the machine may be busy with other tests"


def case_of(folder: Path, size: int) -> Case:
    (folder / "a.nii").write_bytes(bytes(size))
    return Case("a", (Source("nifti", (folder / "a.nii",)),))


def test_what_is_needed_is_what_cases_took_before_or_the_least_that_they_can(tmp_path: Path) -> None:
    case = case_of(tmp_path, 1_000_000)
    assert room.needed_bytes([case] * 3, [], tmp_path) == 3 * 120_000
    assert room.needed_bytes([], [], tmp_path) == 0
    (tmp_path / "b").write_bytes(bytes(700))
    done = [Entry("b", "done", Path("b"), "p", files={"b": "0", "gone": "1"})]
    assert room.needed_bytes([case] * 3, done, tmp_path) == 2100


def test_a_disk_that_has_less_than_is_needed_is_named_with_both(tmp_path: Path) -> None:
    room.require_room(tmp_path / "new" / "out", 1, 1)
    with pytest.raises(OutputError, match=r"7 cases need about 1000000000\.0 GB, and .* GB are free") as caught:
        room.require_room(tmp_path, 10**18, 7)
    assert (caught.value.code, caught.value.path) == ("disk-full", tmp_path)
