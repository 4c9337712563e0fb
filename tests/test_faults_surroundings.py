"""Nothing around a run changes what it comes to: streams, locale, clock, order of files, inputs that change."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fault_runs import command, lightly_opened, make_image, make_images, make_pipeline, tree

from medvision.batch import Entry, Ledger
from medvision.errors import Finding, OutputError, UsageError
from medvision.geometry import Geometry
from medvision.pipeline import PipelineFolder
from medvision.study import Case
from medvision.workflows import run as run_module
from medvision.workflows.batching import job
from medvision.workflows.batching.limits import Limits, rerun_of
from medvision.workflows.run import run
from medvision_cli import pace, streams

CASES = 3
HERE = Limits(workers=0)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> PipelineFolder:
    return make_pipeline(tmp_path_factory.mktemp("pipeline") / "blobs")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return make_images(tmp_path / "in", CASES)


@pytest.fixture(autouse=True)
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Analyse without a network, within this process."""
    monkeypatch.setattr(job, "analyse", job.analyse)  # put back what the next line changes for good
    monkeypatch.setattr(run_module, "opened", lightly_opened)


@pytest.mark.parametrize(
    ("script", "environment"),
    [
        ('"$@" | head -c 1 > /dev/null; exit ${PIPESTATUS[0]}', {}),
        ('"$@" 2>&1 | head -c 1 > /dev/null; exit ${PIPESTATUS[0]}', {}),
        ('"$@" < /dev/null >&- 2>&-', {}),
        ('"$@" > /dev/null', {"LC_ALL": "C", "TZ": "Asia/Kathmandu"}),
    ],
)
def test_who_listens_and_in_which_language_changes_no_byte_and_no_exit_code(
    pipeline: PipelineFolder, images: Path, tmp_path: Path, script: str, environment: dict[str, str]
) -> None:
    shutil.copy(images / "case0.nii.gz", images / "Köpfe.nii.gz")
    (images / "Kopf.nii.gz").write_bytes(b"no image")
    words = command("run", pipeline.folder, images, "--out", tmp_path / "out", "--workers", "1")
    done = subprocess.run(["bash", "-c", script, "bash", *words], env=os.environ | environment, capture_output=True)
    assert done.returncode == 4
    assert b"Traceback" not in done.stderr
    run(pipeline, [images], tmp_path / "one", limits=HERE)
    assert tree(tmp_path / "out") == tree(tmp_path / "one")


def test_a_summary_that_a_full_disk_does_not_take_is_an_error_and_the_results_are_whole(
    pipeline: PipelineFolder, images: Path, tmp_path: Path
) -> None:
    words = command("run", pipeline.folder, images, "--out", tmp_path / "out", "--json")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 6
    assert "stdout cannot be written: No space left on device" in done.stderr
    assert "Exception ignored" not in done.stderr
    assert (tmp_path / "out" / "index.html").exists()


def test_an_output_error_within_what_is_printed_stays_itself() -> None:
    with pytest.raises(OutputError, match="mine"), streams.heard_or_not():
        raise OutputError("output-unwritable", "mine")


def test_neither_the_order_of_files_nor_their_folder_changes_a_byte(
    pipeline: PipelineFolder, images: Path, tmp_path: Path
) -> None:
    run(pipeline, [images], tmp_path / "one", limits=HERE)
    other = tmp_path / "elsewhere"
    other.mkdir()
    for path in sorted(images.iterdir(), reverse=True):
        shutil.copy(path, other)
    run(pipeline, sorted(other.iterdir(), reverse=True), tmp_path / "two", limits=HERE)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_a_clock_that_is_set_back_confuses_neither_durations_nor_the_next_run(
    pipeline: PipelineFolder, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shifts = iter([0, 3600, -86400, -86400, 7200])
    clock, calendar = time.time, time.gmtime

    def moved() -> float:
        return clock() + next(shifts, -86400)

    monkeypatch.setattr(time, "time", moved)
    monkeypatch.setattr(time, "time_ns", lambda: int(moved() * 1e9))
    monkeypatch.setattr(time, "gmtime", lambda seconds=None: calendar(moved() if seconds is None else seconds))
    first = run(pipeline, [images], tmp_path / "out", limits=HERE)
    assert first.exit_code() == 0
    assert all(0 <= entry.seconds < 60 for entry in first.entries)
    assert run(pipeline, [images], tmp_path / "out", limits=HERE).analysed == 0


@pytest.mark.parametrize("how", ["rewritten", "deleted", "spoilt"])
def test_an_input_that_changes_while_it_is_read_is_refused_as_that_and_leaves_no_result(
    pipeline: PipelineFolder, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    victim = images / "case1.nii.gz"
    read = job.io.read_volume

    def reading(case: Case) -> object:
        if case.id == "case1" and how == "spoilt":
            victim.write_bytes(victim.read_bytes()[:200])  # it cannot be read any more, which is not the cause
        volume = read(case)
        if case.id == "case1":
            victim.unlink()
            if how == "rewritten":
                make_image(victim, seed=99)
        return volume

    monkeypatch.setattr(job.io, "read_volume", reading)
    result = run(pipeline, [images], tmp_path / "out", limits=HERE)
    problems = {entry.id: entry.problem for entry in result.entries if entry.problem}
    assert list(problems) == ["case1"]
    assert problems["case1"].code == "input-changed"
    assert ("vanished" in problems["case1"].message) == (how == "deleted")
    assert not list((tmp_path / "out" / "cases").glob("case1/*"))
    assert result.count("done") == CASES - 1


def test_only_what_failed_is_done_again_where_that_is_asked_for(
    pipeline: PipelineFolder, images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(pipeline, [images], out, limits=HERE)
    with Ledger(out) as ledger:
        known = ledger.entries()
        for id_, state in (("case0", "failed"), ("case1", "refused")):
            why = Finding("internal", "error", "for the test")
            ledger.enter(Entry(id_, state, known[id_].source, "p", known[id_].images, problem=why))  # type: ignore[arg-type]
    make_image(images / "new.nii.gz", seed=9)
    first = run(pipeline, [images], out, limits=HERE, rerun="failed")
    assert (first.analysed, first.done_before, first.count("refused")) == (1, 1, 1)
    assert run(pipeline, [images], out, limits=HERE, rerun="refused").analysed == 1
    assert run(pipeline, [images], out, limits=HERE, rerun="refused").analysed == 0
    assert run(pipeline, [images], out, limits=HERE, rerun="all").analysed == CASES + 1
    assert run(pipeline, [images], out, limits=HERE).analysed == 0


def test_a_word_for_what_is_done_again_is_one_of_three() -> None:
    assert [rerun_of(word) for word in (None, "failed", "refused", "all")] == [None, "failed", "refused", "all"]
    with pytest.raises(UsageError, match="choose failed, refused, all"):
        rerun_of("done")


def test_the_log_says_what_happened_and_nothing_of_a_header(pipeline: PipelineFolder, tmp_path: Path) -> None:
    import numpy as np
    import pydicom
    from phantoms import write_dicom_series

    tokens = {"PatientName": "TOKENNAME^A", "PatientID": "TOKENID7", "InstitutionName": "TOKENPLACE"}
    grid = Geometry.from_spacing((2, 2, 2), (12, 10, 8)).reoriented("LPS")
    write_dicom_series(tmp_path / "in" / "series", np.zeros((12, 10, 8), dtype=np.int16), grid, modality="MR")
    for path in (tmp_path / "in").rglob("*.dcm"):
        header = pydicom.dcmread(path)
        for name, value in tokens.items():
            setattr(header, name, value)
        header.save_as(path)
    (tmp_path / "in" / "cut.nii.gz").write_bytes(b"\x1f\x8bTOKENID7")
    result = run(pipeline, [tmp_path / "in"], tmp_path / "out", limits=HERE)
    assert (result.count("done"), result.count("refused")) == (1, 1)
    log = (tmp_path / "out" / "logs" / "run.log").read_text()
    assert "series done in" in log
    assert "the run is complete" in log
    for path in (tmp_path / "out").rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        for token in tokens.values():
            assert token.encode() not in content, path
            assert token not in str(path)


def test_the_pace_is_that_since_the_first_note_and_says_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    found = pace.Pace()
    found.note(40)
    assert (found.rate(), found.words(100)) == ("", "")
    now[0] += 10
    found.note(60)
    assert (found.rate(), found.words(100)) == ("2.0/s", "(2.0/s, 20 s left)")
    now[0] += 3590
    found.note(61)
    assert found.words(100) == "(21.0/h, 1 h 51 min left)"
    assert found.words(61) == ""
    found.note(0)
    assert found.rate() == "", "other work has begun"


def test_a_stream_that_is_closed_leads_nowhere_and_takes_no_file_s_place() -> None:
    script = (
        "import os; from medvision_cli import streams; streams.open_all();"
        "os.write(3, os.readlink('/proc/self/fd/1').encode())"
    )
    read, write = os.pipe()
    words = ["bash", "-c", f'exec 3>&{write} 1>&-; exec "$@"', "bash", sys.executable, "-c", script]
    subprocess.run(words, pass_fds=[write], check=True)
    os.close(write)
    assert os.read(read, 100) == b"/dev/null"
    os.close(read)
