"""Whatever is killed of a batch on real Dask workers, the same command comes to what one process comes to."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster_processes import DaskCluster, done_in, lines, log, run_with, until
from fault_runs import command, harmful, lightly_opened, make_image, make_images, make_pipeline, tree

from medvision.pipeline import PipelineFolder
from medvision.workflows import run as run_module
from medvision.workflows.run import Limits, run

CASES = 6


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> PipelineFolder:
    return make_pipeline(tmp_path_factory.mktemp("pipeline") / "blobs")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_images(tmp_path_factory.mktemp("images"), CASES)
    (folder / "notes.dcm").write_text("no DICOM file")
    return folder


@pytest.fixture
def frail(tmp_path: Path) -> Iterator[DaskCluster]:
    """Start a scheduler alone, for workers that come to harm."""
    cluster = DaskCluster(tmp_path / "dask")
    yield cluster
    cluster.close()


@pytest.fixture(autouse=True)
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "opened", lightly_opened)


@pytest.fixture(scope="module")
def whole(pipeline: PipelineFolder, images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what one process writes."""
    out = tmp_path_factory.mktemp("whole") / "out"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(run_module, "opened", lightly_opened)
        run(pipeline, [images], out, limits=Limits(workers=1))
    return out


def test_a_worker_that_is_killed_costs_time_and_nothing_else(
    frail: DaskCluster, pipeline: PipelineFolder, images: Path, whole: Path, tmp_path: Path
) -> None:
    frail.start("one", "two", FAULT_RUNS_SECONDS="1.5")
    out = tmp_path / "out"
    words = ("run", pipeline.folder, images, "--out", out, "--scheduler", frail.address)
    process = subprocess.Popen(command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(lambda: done_in(out) > 0)
    time.sleep(0.3)
    frail.workers["one"].kill()
    frail.start("three")
    shown, said = process.communicate(timeout=60)
    assert process.returncode == 4, said  # of the file that is none
    assert f"{CASES + 1} cases: {CASES} analysed now, 1 refused" in shown
    assert "the Dask worker one is lost" in log(out)
    assert log(out).count("it is tried once more") == 1
    assert tree(out) == tree(whole)
    assert lines(out) == lines(whole)


def test_a_case_that_takes_two_workers_with_it_has_failed_and_the_others_are_done(
    frail: DaskCluster, pipeline: PipelineFolder, images: Path, tmp_path: Path
) -> None:
    frail.start("one", "two", nanny=True)
    bad = [harmful(make_image(tmp_path / "bad.nii.gz"), "kill-parent")]
    result = run_with(pipeline, [images / "case0.nii.gz", images / "case1.nii.gz"], tmp_path / "out", bad, frail)
    (problem,) = [entry.problem for entry in result.entries if entry.problem]
    assert problem.code == "worker-lost"
    assert problem.message.startswith("case kill-parent: the Dask worker ")
    assert problem.message.endswith(" was lost while it worked on it")
    assert result.count("done") == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_ended_leaves_idle_workers_and_the_same_command_goes_on(
    frail: DaskCluster, pipeline: PipelineFolder, images: Path, whole: Path, tmp_path: Path, number: int
) -> None:
    begun = tmp_path / "begun"
    frail.start("one", "two", FAULT_RUNS_SECONDS="60", FAULT_RUNS_BEGUN=str(begun))
    out = tmp_path / "out"
    words = command("run", pipeline.folder, images, "--out", out, "--scheduler", frail.address)
    process = subprocess.Popen(
        words,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    until(begun.exists)
    assert any(helpers(each.pid) for each in frail.workers.values())
    process.send_signal(number)
    _, said = process.communicate(timeout=20)
    until(lambda: not any(helpers(each.pid) for each in frail.workers.values()), 10)
    assert all(each.poll() is None for each in frail.workers.values())
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert "The same command goes on where this one stopped." in said
        assert "Traceback" not in said
        assert not list(out.rglob(".medvision-*"))
        assert not [path for path in (out / "cases").glob("*/*") if path.is_file()]
    for worker in frail.workers.values():
        worker.terminate()
        worker.wait()
    frail.start("three")
    subprocess.run(words, check=False, capture_output=True)
    assert tree(out) == tree(whole)
    assert lines(out) == lines(whole)


def test_a_scheduler_that_ends_ends_the_run_and_what_is_done_stays(
    frail: DaskCluster, pipeline: PipelineFolder, images: Path, tmp_path: Path
) -> None:
    frail.start("one", FAULT_RUNS_SECONDS="1")
    out = tmp_path / "out"
    words = ("run", pipeline.folder, images, "--out", out, "--scheduler", frail.address)
    process = subprocess.Popen(command(*words), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    until(lambda: done_in(out) > 0)
    frail.scheduler.kill()
    _, said = process.communicate(timeout=40)
    assert process.returncode == 5
    assert "the Dask scheduler is no more, or cannot be reached any more [scheduler-unreachable]" in said
    assert lines(out)


def helpers(pid: int) -> list[str]:
    """Return the processes that a worker has started for its cases."""
    try:
        return Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split() + [
            child
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text(encoding="ascii").split()
        ]
    except OSError:
        return []
