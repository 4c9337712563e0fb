"""A batch is held by one process, and what its ledger calls done is done."""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from medvision.batch import Entry, Ledger, forget_peak_memory, holding, peak_memory_mb, require_writable
from medvision.errors import BusyError, Finding, OutputError
from medvision.files import replacing
from medvision.study import Case, Reading, Source

HOLD = """
import sys, time
from pathlib import Path
from medvision.batch import Ledger
with Ledger(Path(sys.argv[1])) as ledger:
    if len(sys.argv) > 2:
        import subprocess
        keeper = [sys.executable, "-c", f"import time; time.sleep({sys.argv[2]})"]
        subprocess.Popen(keeper, pass_fds=ledger.held, stdout=subprocess.DEVNULL)
    print("held", flush=True)
    time.sleep(600)
"""


@contextmanager
def held_by_another_process(folder: Path, *, keeper_seconds: float = 0.0) -> Iterator[subprocess.Popen[str]]:
    """Hold a folder; with a keeper, a child of that process holds it for some seconds, too."""
    more = [str(keeper_seconds)] if keeper_seconds else []
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder), *more], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def case_in(folder: Path, name: str = "a", content: bytes = b"voxels") -> Case:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    return Case(name, (Source("nifti", (folder / name,)),))


def done(ledger: Ledger, case: Case, *, pipeline: str = "p", names: tuple[str, ...] = ("mask", "page")) -> Entry:
    """Write files for a case and enter it as done."""
    paths = [ledger.folder / "cases" / case.id / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)
    entry = Entry(
        case.id, "done", case.path, pipeline, case.images, case.digest(), "accept", files=ledger.hashes(paths)
    )  # fmt: skip
    ledger.enter(entry)
    return entry


def refusal(name: str, state: Any, problem: Finding) -> Entry:
    return Entry(name, state, problem.path or Path(name).absolute(), "p", problem=problem, files={})


def rows(folder: Path, question: str) -> list[Any]:
    database = sqlite3.connect(folder / "ledger.sqlite")
    try:
        return database.execute(question).fetchall()
    finally:
        database.close()


def alter(folder: Path, *commands: str) -> None:
    database = sqlite3.connect(folder / "ledger.sqlite")
    try:
        for command in commands:
            database.execute(command)
        database.commit()
    finally:
        database.close()


def test_a_folder_is_made_and_held_until_the_block_ends(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "out"
    with Ledger(folder), pytest.raises(BusyError) as caught, Ledger(folder):
        pass
    assert (caught.value.code, caught.value.path) == ("busy", folder)
    with Ledger(folder):
        pass


def test_a_folder_that_another_process_holds_is_refused_and_two_folders_are_not(tmp_path: Path) -> None:
    with held_by_another_process(tmp_path / "out"):
        with pytest.raises(BusyError, match="another run"), Ledger(tmp_path / "out"):
            pass
        with pytest.raises(BusyError), holding(tmp_path / "out"):
            pass
        with Ledger(tmp_path / "other"):
            pass


def test_a_process_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    with held_by_another_process(tmp_path) as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        with Ledger(tmp_path) as ledger:
            assert ledger.entries() == {}


def test_a_block_that_fails_frees_the_folder(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), Ledger(tmp_path):
        raise RuntimeError
    with Ledger(tmp_path):
        pass


def test_a_case_is_done_when_input_pipeline_and_files_are_as_they_were(tmp_path: Path) -> None:
    case = case_in(tmp_path / "in")
    with Ledger(tmp_path / "out") as ledger:
        assert not ledger.is_done(case, case.digest(), {"p"})
        done(ledger, case)
        assert ledger.is_done(case, case.digest(), {"p"})
    with Ledger(tmp_path / "out") as ledger:
        assert ledger.is_done(case, case.digest(), {"p"}), "and still in a later run"


def test_a_case_of_another_input_or_pipeline_is_not_done(tmp_path: Path) -> None:
    case = case_in(tmp_path / "in")
    with Ledger(tmp_path / "out") as ledger:
        done(ledger, case)
        assert not ledger.is_done(case, "another input", {"p"})
        assert not ledger.is_done(case, case.digest(), {"another pipeline"})
        case_in(tmp_path / "in", content=b"changed")
        assert not ledger.is_done(case, case.digest(), {"p"})


@pytest.mark.parametrize("name", ["mask", "page"])
@pytest.mark.parametrize("change", ["changed", "vanished", "a folder"])
def test_a_case_of_which_any_file_changed_or_vanished_is_not_done(tmp_path: Path, name: str, change: str) -> None:
    case = case_in(tmp_path / "in")
    with Ledger(tmp_path / "out") as ledger:
        done(ledger, case)
        path = tmp_path / "out" / "cases" / "a" / name
        path.unlink()
        if change == "changed":
            path.write_text("other")
        elif change == "a folder":
            path.mkdir()
        assert not ledger.is_done(case, case.digest(), {"p"})


@pytest.mark.parametrize("state", ["refused", "failed"])
def test_a_case_that_was_refused_or_failed_is_not_done(tmp_path: Path, state: Any) -> None:
    case = case_in(tmp_path / "in")
    with Ledger(tmp_path / "out") as ledger:
        entry = done(ledger, case)
        ledger.enter(Entry(case.id, state, case.path, "p", case.images, case.digest(), files=entry.files))
        assert not ledger.is_done(case, case.digest(), {"p"})


def test_a_case_that_wrote_nothing_is_not_done(tmp_path: Path) -> None:
    case = case_in(tmp_path / "in")
    with Ledger(tmp_path / "out") as ledger:
        ledger.enter(Entry(case.id, "done", case.path, "p", case.images, case.digest()))
        assert not ledger.is_done(case, case.digest(), {"p"})


def test_entries_come_back_as_they_were(tmp_path: Path) -> None:
    slices = tuple(tmp_path / "süß, 'quoted'" / f"{n}.dcm" for n in range(2))
    entries = [
        Entry(
            "a", "done", tmp_path / "a", "p",
            (Source("dicom", slices, part=2, reading=Reading(suv=False)), Source("npz", (tmp_path / "b",), ("x", 3))),
            "0" * 64, "review", files={"cases/a/mask": "1"}, seconds=0.1 + 0.2, peak_memory_mb=12.5,
        ),
        refusal("b", "refused", Finding("truncated", "error", "cut", tmp_path / "b", "copy")),
        refusal("c", "failed", Finding("internal", "error", "bug", tmp_path / "c")),
        refusal("d", "skipped", Finding("not-read", "note", "a text", tmp_path / "d")),
    ]  # fmt: skip
    with Ledger(tmp_path / "out") as ledger:
        for entry in reversed(entries):
            ledger.enter(entry)
    with Ledger(tmp_path / "out") as ledger:
        assert list(ledger.entries().values()) == entries, "in the order of ids"
        assert list(ledger.entries("b").values()) == entries[1:2]
        assert ledger.entries("none") == {}


def test_sources_are_kept_as_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Ledger(tmp_path) as ledger:
        ledger.enter(Entry("a", "done", Path("in"), "p", (Source("nifti", (Path("a.nii"),)),)))
        assert ledger.entries()["a"].images == (Source("nifti", (tmp_path / "a.nii",)),)
        assert ledger.entries()["a"].source == tmp_path / "in"


def test_a_later_entry_replaces_the_earlier(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.enter(Entry("a", "failed", Path("x"), "p", problem=Finding("internal", "error", "bug")))
        ledger.enter(Entry("a", "done", Path("x"), "q"))
        (entry,) = ledger.entries().values()
    assert (entry.state, entry.pipeline_sha256, entry.problem) == ("done", "q", None)


def test_problems_within_the_inputs_are_forgotten_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Ledger(tmp_path / "out") as ledger:
        for name, state, source in (
            ("deep", "refused", "in/sub/a.nii"),
            ("same", "failed", "in"),
            ("good", "done", "in/b.nii"),
            ("other", "refused", "elsewhere/c.nii"),
            ("alike", "refused", "in2/d.nii"),
        ):
            ledger.enter(Entry(name, state, Path(source), "p"))  # type: ignore[arg-type]
        ledger.forget([tmp_path / "in"], [])
        assert list(ledger.entries()) == ["alike", "good", "other"]
        ledger.forget([Path("in2/d.nii"), Path("elsewhere")], [])
        assert list(ledger.entries()) == ["good"]


def test_results_of_an_input_that_is_now_rejected_are_taken_out_with_their_files(tmp_path: Path) -> None:
    with Ledger(tmp_path / "out") as ledger:
        spoilt, kept = case_in(tmp_path / "in"), case_in(tmp_path / "in", "b")
        done(ledger, spoilt)
        done(ledger, kept)
        ledger.forget([], [spoilt.path])
        assert list(ledger.entries()) == ["b"]
        assert not [path for path in (tmp_path / "out" / "cases" / "a").glob("*") if path.is_file()]


def test_lines_are_written_all_or_none(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.enter(*(Entry(name, "refused", Path("x"), "p") for name in "abc"))
        assert list(ledger.entries()) == ["a", "b", "c"]


def test_what_an_earlier_run_wrote_for_a_case_is_removed_and_nothing_else(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        done(ledger, case_in(tmp_path / "in"))
        done(ledger, case_in(tmp_path / "in", "b"))
        (tmp_path / "cases" / "a" / "notes").write_text("mine")
        (tmp_path / "cases" / "a" / "mask").unlink()
        ledger.remove_files("a")
        ledger.remove_files("unknown")
        left = sorted(path.relative_to(tmp_path / "cases").as_posix() for path in (tmp_path / "cases").glob("*/*"))
    assert left == ["a/notes", "b/mask", "b/page"]


@pytest.mark.parametrize("name", ["../mine", "/etc/../tmp/medvision-no-such-file", "cases/../../mine"])
def test_a_ledger_that_names_a_file_outside_its_folder_removes_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / "mine").write_text("keep")
    with Ledger(tmp_path / "out") as ledger:
        ledger.enter(Entry("a", "done", Path("in"), "p", files={name: "0"}))
        with pytest.raises(OutputError, match="outside its folder"):
            ledger.remove_files("a")
    assert (tmp_path / "mine").read_text() == "keep"


def test_a_file_that_cannot_be_removed_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with Ledger(tmp_path) as ledger, pytest.raises(OutputError, match="cannot be removed") as caught:
        ledger.remove([tmp_path / "folder"])
    assert caught.value.path == tmp_path / "folder"


def test_a_run_is_entered_with_its_command_its_versions_and_its_time(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger, ledger.run("medvision run x", {"torch": "2"}):
        assert rows(tmp_path, "SELECT seconds FROM runs") == [(None,)]
        time.sleep(0.01)
    ((started, command, versions, seconds),) = rows(tmp_path, "SELECT started, command, versions, seconds FROM runs")
    assert (command, versions) == ("medvision run x", '{"torch": "2"}')
    assert started.endswith("Z")
    assert len(started) == 20
    assert 0.01 <= seconds < 60


def test_a_run_that_broke_off_has_no_time(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), Ledger(tmp_path) as ledger, ledger.run("x", {}):
        raise KeyboardInterrupt
    assert rows(tmp_path, "SELECT command, seconds FROM runs") == [("x", None)]


@pytest.mark.parametrize("content", [b"no database at all, but words" * 50, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_ledger_file_that_is_none_is_an_error_and_stays(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(content)
    with pytest.raises(OutputError, match="the ledger cannot be used") as caught, Ledger(tmp_path):
        pass
    assert (caught.value.code, caught.value.path) == ("output-unwritable", tmp_path / "ledger.sqlite")
    assert (tmp_path / "ledger.sqlite").read_bytes() == content
    with holding(tmp_path):
        pass  # the folder is free again


def test_a_ledger_whose_place_is_taken_by_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").mkdir()
    with pytest.raises(OutputError, match="unable to open"), Ledger(tmp_path):
        pass


@pytest.mark.parametrize(
    "damage",
    [
        "DROP TABLE cases; CREATE TABLE cases (id TEXT)",
        "UPDATE cases SET images = 'no JSON'",
        "UPDATE cases SET images = '[{}]'",
        "UPDATE cases SET images = '[[]]'",
        """UPDATE cases SET images = '[{"kind": "nifti", "files": [], "member": null}]'""",
        "UPDATE cases SET seconds = 'long'",
        "UPDATE cases SET code = 'no-such-code'",
        "PRAGMA user_version = 3",
    ],
)
def test_a_ledger_with_damaged_lines_or_of_another_version_is_an_error(tmp_path: Path, damage: str) -> None:
    with Ledger(tmp_path) as ledger:
        done(ledger, case_in(tmp_path / "in"))
    alter(tmp_path, *damage.split(";"))
    with pytest.raises(OutputError, match="the ledger cannot be used"), Ledger(tmp_path):
        pass
    with holding(tmp_path):
        pass


def test_a_ledger_that_cannot_take_a_line_is_an_output_error_and_keeps_the_old_one(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.enter(Entry("a", "done", Path("x"), "p"))
        full = "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
        alter(tmp_path, f"CREATE TRIGGER full BEFORE INSERT ON cases {full}")
        with pytest.raises(OutputError, match="disk is full"):
            ledger.enter(Entry("a", "failed", Path("x"), "q"))
        assert ledger.entries()["a"].pipeline_sha256 == "p"


@pytest.mark.parametrize("name", ["file", "file/out"])
def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    for held in (Ledger(tmp_path / name), holding(tmp_path / name)):
        with pytest.raises(OutputError, match="cannot write here") as caught, held:
            pass
        assert caught.value.path == tmp_path / name


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_that_has_no_locks_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def flock(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(OutputError, match=os.strerror(number)), holding(tmp_path):
        pass


def test_what_a_killed_process_left_half_written_is_removed_and_nothing_of_the_users(tmp_path: Path) -> None:
    (tmp_path / "cases").mkdir()
    left = []
    for name in ("a.json", "b.nii.gz", "plain"):
        with replacing(tmp_path / "cases" / name) as temporary:
            left.append(temporary)
    mine = [
        ".part",
        "a.part.json",
        ".abcdefgh.part.json",  # as other programs write beside us
        ".medvision-abcdefgh.partition",
        ".medvision-abc.part.json",
        ".medvision-abcdefgh.json",
    ]
    assert all(path.name.startswith(".medvision-") for path in left)
    for path in [*left, *(tmp_path / "cases" / name for name in mine)]:
        path.write_text("x")
    (tmp_path / ".medvision-abcdefgh.part.d").mkdir()
    with holding(tmp_path):
        assert not any(path.exists() for path in left)
    assert all((tmp_path / "cases" / name).exists() for name in mine)
    assert (tmp_path / ".medvision-abcdefgh.part.d").is_dir()


def test_the_greatest_memory_of_this_process_is_some_megabytes() -> None:
    found = peak_memory_mb()
    assert found is not None
    assert 10 < found < 1e6


def test_the_greatest_memory_can_be_measured_anew() -> None:
    held = bytearray(b"\1" * (64 << 20))
    with_it = peak_memory_mb()
    del held
    forget_peak_memory()
    without = peak_memory_mb()
    assert with_it is not None
    assert without is not None
    assert without < with_it - 60


def test_a_system_that_does_not_tell_its_memory_gives_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(*_: object, **__: object) -> str:
        raise OSError

    monkeypatch.setattr(Path, "read_text", unreadable)
    monkeypatch.setattr(Path, "write_text", unreadable)
    forget_peak_memory()
    found = peak_memory_mb()
    assert found is not None
    assert 10 < found < 1e6, "of the whole time, which any system tells"
    monkeypatch.setitem(sys.modules, "resource", None)
    assert peak_memory_mb() is None


def test_the_holder_of_a_folder_is_named_while_it_is_held(tmp_path: Path) -> None:
    with held_by_another_process(tmp_path) as process:
        with pytest.raises(BusyError) as caught, holding(tmp_path):
            pass
        words = caught.value.finding.message
        assert words.startswith(
            f"another run holds this output folder: process {process.pid} on {socket.gethostname()}"
        )
        assert re.search(r"since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", words)
    with holding(tmp_path):
        pass
    assert (tmp_path / ".lock").read_text() == "", "and forgotten when it is free"


def test_a_folder_that_a_child_of_a_killed_run_still_holds_is_waited_for(tmp_path: Path) -> None:
    with held_by_another_process(tmp_path, keeper_seconds=1.5) as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        began = time.monotonic()
        with holding(tmp_path):
            assert time.monotonic() - began > 0.3


@pytest.mark.parametrize("content", ["", "no JSON", "[1]", '{"pid": "x"}', '{"pid": 1, "host": "elsewhere"}'])
def test_a_holder_of_which_nothing_or_nonsense_is_known_is_told_as_far_as_it_is(tmp_path: Path, content: str) -> None:
    with held_by_another_process(tmp_path):
        (tmp_path / ".lock").write_text(content)
        with pytest.raises(BusyError, match="another run holds this output folder"), holding(tmp_path):
            pass


def test_shards_hold_a_folder_together_and_none_beside_a_whole_run(tmp_path: Path) -> None:
    with holding(tmp_path, "1-of-2"), holding(tmp_path, "2-of-2"):
        with (
            pytest.raises(BusyError, match=r"another run holds shard 1-of-2: process \d+"),
            holding(tmp_path, "1-of-2"),
        ):
            pass
        with pytest.raises(BusyError, match=r"this output folder: process \d+ on .*; process \d+"), holding(tmp_path):
            pass
    with holding(tmp_path), pytest.raises(BusyError, match="this output folder"), holding(tmp_path, "1-of-2"):
        pass


def test_the_parts_of_other_shards_are_left_alone(tmp_path: Path) -> None:
    part = tmp_path / ".medvision-abcdefgh.part.json"
    part.touch()
    with holding(tmp_path, "1-of-2"):
        assert part.exists()
    with holding(tmp_path):
        assert not part.exists()


def test_whether_a_folder_can_be_written_is_known_without_making_it(tmp_path: Path) -> None:
    require_writable(tmp_path / "new" / "out")
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(OutputError, match="Not a directory") as caught:
            require_writable(place)
        assert caught.value.path == place


def test_a_folder_that_may_not_be_written_is_told_from_a_disk_that_is_read_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OutputError, match="Permission denied"):
        require_writable(tmp_path)
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=os.ST_RDONLY))
    with pytest.raises(OutputError, match="Read-only file system"):
        require_writable(tmp_path)


def test_the_ledger_holds_no_patient(tmp_path: Path) -> None:
    images = (Source("nifti", (tmp_path / "a.nii",)),)
    case = Case("a", images, patient="PAT-7", attributes={"sex": "F-SECRET"})
    with Ledger(tmp_path) as ledger:
        ledger.enter(Entry(case.id, "done", case.path, "p", case.images))
    content = (tmp_path / "ledger.sqlite").read_bytes()
    assert b"PAT-7" not in content
    assert b"SECRET" not in content
