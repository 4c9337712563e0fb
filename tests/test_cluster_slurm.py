"""A batch in jobs of a real Slurm comes to what one process comes to, whatever becomes of a job."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster_processes import done_in, search_path, slurm, until
from fault_runs import command, make_images, make_pipeline, tree

CASES = 6


@pytest.fixture(scope="module", autouse=True)
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with slurm(tmp_path_factory.mktemp("slurm")):
        yield


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pipeline(tmp_path_factory.mktemp("pipeline") / "blobs").folder


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_images(tmp_path_factory.mktemp("images"), CASES)


@pytest.fixture(scope="module")
def whole(pipeline: Path, images: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the hashes of what one process writes."""
    out = tmp_path_factory.mktemp("whole") / "out"
    subprocess.run(command("run", pipeline, images, "--out", out, "--workers", "1"), check=True, capture_output=True)
    return tree(out)


def results(out: Path) -> dict[str, str]:
    return {name: value for name, value in tree(out).items() if not name.startswith("logs/")}


def jobs(*states: str) -> list[str]:
    """Return the ids of jobs in some states, or of all that have not ended."""
    chosen = ["--states", ",".join(states)] if states else []
    shown = subprocess.run(["squeue", "-h", "-r", "-o", "%A", *chosen], capture_output=True, text=True, check=True)
    return shown.stdout.split()


def test_an_array_of_four_shards_of_which_one_is_killed_and_run_again_is_merged_to_the_same(
    pipeline: Path, images: Path, whole: dict[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = command("run", pipeline, images, "--out", out, "--workers", "1", "--shard")
    submit = ["sbatch", "--array", "1-4", "--output", f"{tmp_path}/%a.txt", "--export", "ALL,FAULT_RUNS_SECONDS=1"]
    submit += ["--wrap", f"{shlex.join(words)} $SLURM_ARRAY_TASK_ID/4"]
    subprocess.run(submit, check=True, capture_output=True)
    until((out / "ledger-1-of-4.sqlite").exists)
    until(lambda: done_in(out) > 0)
    os.kill(json.loads((out / ".lock-1-of-4").read_text())["pid"], signal.SIGKILL)
    until(lambda: not jobs())
    unmerged = subprocess.run(command("merge", out), capture_output=True, text=True)
    assert unmerged.returncode == 2
    assert "1-of-4 is not complete" in unmerged.stderr
    subprocess.run(submit, check=True, capture_output=True)
    until(lambda: not jobs())
    subprocess.run(command("merge", out), check=True, capture_output=True)
    assert results(out) == whole


def test_a_run_in_slurm_jobs_of_which_one_is_cancelled_comes_to_the_same(
    pipeline: Path, images: Path, whole: dict[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    options = ("--slurm", "2", "--slurm-cores", "1", "--slurm-memory", "1.5", "--slurm-hours", "0.1")
    process = subprocess.Popen(
        command("run", pipeline, images, "--out", out, *options, "--slurm-partition", "cpu"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": search_path(), "FAULT_RUNS_SECONDS": "2"},
    )
    until(lambda: done_in(out) > 0 and len(jobs("RUNNING")) == 2)
    (keys,) = out.glob(".medvision-????????")
    assert sorted(path.name for path in keys.iterdir()) == ["certificate", "key"]
    assert keys.stat().st_mode & 0o077 == 0, "for nobody else"
    subprocess.run(["scancel", jobs("RUNNING")[0]], check=True)
    shown, said = process.communicate(timeout=90)
    assert process.returncode == 0, said
    assert f"{CASES} cases: {CASES} analysed now" in shown
    assert "is lost" in (out / "logs" / "run.log").read_text()
    assert results(out) == whole
    assert not list(out.glob(".medvision-*"))
    until(lambda: not jobs())


def test_jobs_that_slurm_does_not_take_are_refused_in_its_words(pipeline: Path, images: Path, tmp_path: Path) -> None:
    words = ("run", pipeline, images, "--out", tmp_path / "out", "--slurm", "1")
    for options, reason in (
        (("--slurm-partition", "gpu"), "Invalid partition name specified"),
        (("--slurm-memory", "4000"), "Requested node configuration is not available"),
    ):
        refused = subprocess.run(command(*words, *options), capture_output=True, text=True)
        assert refused.returncode == 2
        assert f"Slurm takes no such job: {reason} [slurm-refused]" in refused.stderr
    assert not jobs()
