"""Where a training runs, as its command and its workflow choose it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from conftest import SPHERES_TOML, write_sphere_data

from medvision.errors import BusyError, UsageError
from medvision.pipeline import PipelineFolder
from medvision.training import Alone, Training, launch
from medvision.workflows.comparing.ways import Way
from medvision.workflows.crossvalidate import crossvalidate
from medvision.workflows.fitting.machine import Machine
from medvision.workflows.learning_curve import CurveDesign, learning_curve
from medvision.workflows.prove import prove_transfer
from medvision.workflows.starting.start import Start
from medvision.workflows.train import train
from medvision.workflows.training_folder.claim import held
from medvision_cli import shell


@pytest.fixture
def pipeline(tmp_path: Path) -> PipelineFolder:
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings" / "pipeline.toml").write_text(SPHERES_TOML, encoding="utf-8")
    return PipelineFolder.open(tmp_path / "settings")


@pytest.fixture
def unlaunched(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOCAL_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)


def test_one_device_is_this_process_in_the_precision_of_the_settings() -> None:
    assert Machine("cpu").open(Training(precision="bf16")) == Alone("cpu", "bf16")


@pytest.mark.usefixtures("unlaunched")
def test_several_processes_that_nobody_started_are_refused(pipeline: PipelineFolder, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="2 processes on each of 3 machines were not started"):
        train(pipeline, [], tmp_path / "out", machine=Machine(device="cpu", devices=2, nodes=3))
    assert not (tmp_path / "out").exists()


def test_several_processes_do_not_share_folds_or_runs(pipeline: PipelineFolder, tmp_path: Path) -> None:
    several, data = Machine(device="cpu", devices=2), [write_sphere_data(tmp_path / "data")]
    with pytest.raises(UsageError, match="share one training, and not several"):
        crossvalidate(pipeline, data, tmp_path / "folds", count=2, machine=several)
    with pytest.raises(UsageError, match="share one training, and not several"):
        prove_transfer(pipeline, data, tmp_path / "proof", start=Start("a.pt"), machine=several)
    with pytest.raises(UsageError, match="share one training, and not several"):
        learning_curve(pipeline, data, tmp_path / "curve", CurveDesign((2,), 1, (Way("scratch"),)), machine=several)


def test_only_the_first_process_holds_the_output_folder(tmp_path: Path) -> None:
    first, second = Alone(), Alone(rank=1, world=2, is_first=False)
    with held(tmp_path / "out", first), held(tmp_path / "out", second), pytest.raises(BusyError):
        held(tmp_path / "out", first).__enter__()


@pytest.mark.usefixtures("unlaunched")
@pytest.mark.parametrize(
    ("ended", "code", "words"),
    [
        (launch.Ended(0), 0, ""),
        (launch.Ended(7, 0), 7, "medvision: process 0 failed\n"),
        (launch.Ended(-9, 1), 1, "medvision: process 1 was ended by signal 9\n"),
    ],
)
def test_the_command_runs_itself_once_a_device_and_exits_as_the_first_that_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ended: Any, code: int, words: str
) -> None:
    called: list[Any] = []

    def launched_with(command: list[str], processes: int) -> Any:
        called.append((command, processes))
        return ended

    monkeypatch.setattr(launch, "launch", launched_with)
    monkeypatch.setattr(sys, "argv", ["medvision", "train", "a", "--devices", "3"])
    with pytest.raises(typer.Exit) as found:
        shell.launch_once(3)
    assert found.value.exit_code == code
    assert called == [([sys.executable, "-m", "medvision", "train", "a", "--devices", "3"], 3)]
    assert capsys.readouterr().err == words


def test_a_process_that_was_started_goes_on_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    watched: list[bool] = []
    monkeypatch.setattr(launch, "end_with_launcher", lambda: watched.append(True))
    monkeypatch.setenv("LOCAL_RANK", "1")
    shell.launch_once(3)
    assert watched == [True]
