"""A training that is killed at any moment, and begun again each time, ends bit by bit as one that was left alone."""

from __future__ import annotations

import csv
import os
import random
import signal
import time
from pathlib import Path

import pytest
from conftest import SPHERES_TOML, write_sphere_data

from medvision.files import sha256_of
from medvision.pipeline import PipelineFolder
from medvision.workflows.train import train

_FILES = ("weights.safetensors", "weights.json", "card.md", "training.json", "validation.csv")
_MOST_STEPS = 3  # that a child does before it is killed
_MOST_SECONDS = 0.1  # from a step to the kill: about what a step, a validation or a checkpoint takes


def trained_in_a_child(settings: Path, data: Path, out: Path, *, kill_after: tuple[int, float] | None = None) -> bool:
    """Train in a forked process, which is killed so many steps and seconds after its start; say whether it ended."""
    heard, told = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(heard)
            train(PipelineFolder.open(settings), [data], out, progress=lambda *_: os.write(told, b"."))
            code = 0
        finally:
            os._exit(code)
    os.close(told)
    if kill_after is not None:
        steps, seconds = kill_after
        for _ in range(steps):
            os.read(heard, 1)  # nothing, at once, where the child has ended
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(heard)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    assert os.WEXITSTATUS(status) == 0
    return True


def killed_as_undisturbed(tmp_path: Path, changes: dict[str, str], *, kills: int, seed: int) -> None:
    """Train once undisturbed, and once with so many kills, and compare all that is left.

    The first training is this process's own: what it imports, its children need not, and kills fall into trainings.
    """
    text = SPHERES_TOML
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings" / "pipeline.toml").write_text(text, encoding="utf-8")
    data = write_sphere_data(tmp_path / "data")
    train(PipelineFolder.open(tmp_path / "settings"), [data], tmp_path / "whole")
    moments, cases = random.Random(seed), 8
    for number in range(kills):
        # Progress is told of each of the cases first: the first kills fall into their preparation.
        steps = moments.randint(0, cases) if number < 2 else cases + moments.randint(0, _MOST_STEPS)
        moment = steps, moments.uniform(0, _MOST_SECONDS)
        ended = trained_in_a_child(tmp_path / "settings", data, tmp_path / "killed", kill_after=moment)
        assert not ended, f"the training came to its end before kill {number + 1}"
    assert trained_in_a_child(tmp_path / "settings", data, tmp_path / "killed")
    for name in _FILES:
        assert sha256_of(tmp_path / "killed" / name) == sha256_of(tmp_path / "whole" / name), name
    assert figures(tmp_path / "killed") == figures(tmp_path / "whole")


def figures(folder: Path) -> list[dict[str, str]]:
    """Return the rows of the curves without their durations."""
    with (folder / "curves.csv").open(newline="") as file:
        return [{name: cell for name, cell in row.items() if "seconds" not in name} for row in csv.DictReader(file)]


@pytest.mark.slow
def test_twenty_kills_at_random_moments_change_no_bit_of_the_weights(tmp_path: Path) -> None:
    changes = {
        "epochs = 4": "epochs = 60",
        "steps_per_epoch = 40": "steps_per_epoch = 2",
        'optimiser = "adamw"\nlearning_rate = 0.01': 'optimiser = "sgd"\nlearning_rate = 0.01\naverage = 0.9',
        'precision = "fp32"': 'precision = "fp32"\nvalidate_every = 12',
    }
    killed_as_undisturbed(tmp_path, changes, kills=20, seed=4)


@pytest.mark.slow
def test_kills_change_no_bit_of_what_drops_units_and_keeps_its_best_epoch(tmp_path: Path) -> None:
    """Every epoch is validated, the first ones are often the best so far, and dropout draws at every step."""
    changes = {
        "epochs = 4": "epochs = 16",
        "steps_per_epoch = 40": "steps_per_epoch = 2",
        "channels = [8, 8, 8]": "channels = [8, 8, 8]\ndropout = 0.2",
        'precision = "fp32"': 'precision = "fp32"\nvalidate_every = 1\nkeep = "best"',
    }
    killed_as_undisturbed(tmp_path, changes, kills=6, seed=5)
