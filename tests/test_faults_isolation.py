"""What one case does to its process costs that case alone, and its cause is told."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from fault_runs import harmful, lightly_opened, make_image, make_images, make_pipeline, tree

from medvision import io
from medvision.batch import Ledger
from medvision.errors import PipelineError, UsageError
from medvision.pipeline import PipelineFolder
from medvision.study import Case, Collection
from medvision.workflows import run as run_module
from medvision.workflows.run import BatchResult, Limits, run


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> PipelineFolder:
    return make_pipeline(tmp_path_factory.mktemp("pipeline") / "blobs")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_images(tmp_path_factory.mktemp("images"), 3)


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Analyse without a network, where it is of no matter."""
    monkeypatch.setattr(run_module, "opened", lightly_opened)


@pytest.fixture(scope="module")
def alone(pipeline: PipelineFolder, images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what a run without any bad case has written, in one process."""
    out = tmp_path_factory.mktemp("alone") / "out"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(run_module, "opened", lightly_opened)
        assert run(pipeline, [images], out, limits=Limits(workers=1)).exit_code() == 0
    return out


def run_with(
    pipeline: PipelineFolder, images: Path, out: Path, bad: Sequence[Case], limits: Limits, seen: pytest.MonkeyPatch
) -> BatchResult:
    """Run over the images and over cases that do harm, which no scan could find."""
    scan = io.scan

    def found(*arguments: object) -> Collection:
        return scan(*arguments).merged([Collection(tuple(bad))])  # type: ignore[arg-type]

    with seen.context() as patched:
        patched.setattr(run_module.io, "scan", found)
        return run(pipeline, [images], out, limits=limits)


def survivors(folder: Path) -> dict[str, str]:
    return {name: value for name, value in tree(folder).items() if name.startswith("cases/case")}


@pytest.mark.usefixtures("light")
def test_cases_that_end_their_process_cost_themselves_alone_and_the_cause_is_told(
    pipeline: PipelineFolder, images: Path, alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = make_image(tmp_path / "bad.nii.gz")
    kinds = ["kill", "late-kill", "crash", "exit", "bug", "refuse"]
    bad = [harmful(image, kind) for kind in kinds]
    result = run_with(pipeline, images, tmp_path / "out", bad, Limits(workers=2), monkeypatch)
    causes = {
        entry.id: (entry.state, entry.problem.code, entry.problem.message) for entry in result.entries if entry.problem
    }
    assert sorted(causes) == sorted(kinds)
    assert {name: causes[name][:2] for name in kinds} == {
        "kill": ("failed", "worker-lost"),
        "late-kill": ("failed", "worker-lost"),
        "crash": ("failed", "worker-lost"),
        "exit": ("failed", "worker-lost"),
        "bug": ("failed", "internal"),
        "refuse": ("refused", "truncated"),
    }
    assert "case kill: the process that worked on it was ended by signal 9 (SIGKILL)" in causes["kill"][2]
    assert "signal 11 (SIGSEGV, a library touched memory that is not its own)" in causes["crash"][2]
    assert "ended by itself with exit code 3" in causes["exit"][2]
    assert causes["bug"][2].startswith("KeyError at fault_runs.py")
    assert (result.count("done"), result.exit_code()) == (3, 4)
    assert survivors(tmp_path / "out") == survivors(alone), "the same bytes as without the bad ones, and by one process"
    written = [path for path in (tmp_path / "out" / "cases").rglob("*") if path.is_file()]
    assert {path.parent.name for path in written} == {"case0", "case1", "case2"}, "no half result stands"
    log = (tmp_path / "out" / "logs" / "run.log").read_text()
    assert log.count("it is tried once more, alone") == 4
    everything = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert b"Doe^Jane" not in everything


@pytest.mark.usefixtures("light")
def test_a_case_whose_process_is_lost_once_is_done_in_a_fresh_one(
    pipeline: PipelineFolder, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = [harmful(make_image(tmp_path / "bad.nii.gz"), "late-kill", once=tmp_path / "marker")]
    result = run_with(pipeline, images, tmp_path / "out", bad, Limits(workers=2), monkeypatch)
    assert (result.count("done"), result.exit_code()) == (4, 0)
    log = (tmp_path / "out" / "logs" / "run.log").read_text().splitlines()
    assert "late-kill done" in log[-2], "after all others"


@pytest.mark.usefixtures("light")
def test_a_case_that_takes_more_memory_or_time_than_it_may_is_ended_and_the_others_go_on(
    pipeline: PipelineFolder, images: Path, alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = make_image(tmp_path / "bad.nii.gz")
    bad = [harmful(image, "allocate"), harmful(image, "no-memory"), harmful(image, "hang")]
    limits = Limits(workers=1, memory_gb=2.0, case_minutes=0.2)
    result = run_with(pipeline, images, tmp_path / "out", bad, limits, monkeypatch)
    causes = {entry.id: entry.problem for entry in result.entries if entry.problem}
    assert {name: problem.code for name, problem in causes.items()} == {
        "allocate": "out-of-memory",
        "no-memory": "out-of-memory",
        "hang": "timed-out",
    }
    assert causes["allocate"].message.endswith("GB; 2 GB is the limit")
    assert causes["hang"].message == "case hang: it took more than 0.2 minutes, which is the limit"
    assert {entry.state for entry in result.entries if entry.problem} == {"failed"}
    assert survivors(tmp_path / "out") == survivors(alone)


def test_weights_that_are_refused_and_an_engine_that_is_not_there_stop_the_run_with_the_cause(
    pipeline: PipelineFolder, images: Path, tmp_path: Path
) -> None:
    import shutil

    with pytest.raises(UsageError, match="there is no engine 'tpu'"):
        run(pipeline, [images], tmp_path / "engine", engine="tpu")
    spoilt = tmp_path / "spoilt"
    shutil.copytree(pipeline.folder, spoilt)
    weights = bytearray((spoilt / "weights.safetensors").read_bytes())
    weights[-1] ^= 1
    (spoilt / "weights.safetensors").write_bytes(weights)
    with pytest.raises(PipelineError) as caught:
        run(PipelineFolder.open(spoilt), [images], tmp_path / "out")
    assert caught.value.code == "weights-mismatch"
    with Ledger(tmp_path / "out") as ledger:
        assert ledger.entries() == {}


def test_the_process_that_keeps_the_ledger_never_loads_a_framework(
    pipeline: PipelineFolder, images: Path, tmp_path: Path
) -> None:
    script = (
        "import sys; from pathlib import Path; from medvision.pipeline import PipelineFolder as P;"
        "from medvision.workflows.run import run;"
        "result = run(P.open(sys.argv[1]), [Path(sys.argv[2])], Path(sys.argv[3]));"
        "heavy = {'torch', 'monai', 'openvino', 'onnxruntime', 'matplotlib.pyplot'};"
        "print(result.exit_code(), sorted(heavy & set(sys.modules)))"
    )
    command = [sys.executable, "-c", script, str(pipeline.folder), str(images / "case0.nii.gz"), str(tmp_path / "out")]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert shown == "0 []\n"


def test_how_many_workers_there_are_changes_no_byte(pipeline: PipelineFolder, images: Path, tmp_path: Path) -> None:
    for workers in (0, 1, 2):
        assert run(pipeline, [images], tmp_path / str(workers), limits=Limits(workers=workers)).exit_code() == 0
    assert tree(tmp_path / "0") == tree(tmp_path / "1") == tree(tmp_path / "2")
