"""A training that is killed at any moment, and begun again each time, ends bit by bit as one that was left alone."""

from __future__ import annotations

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

_KILLS = 20


def trained_in_a_child(settings: Path, data: Path, out: Path, *, seconds: float | None) -> bool:
    """Train in a forked process, which is killed after `seconds`; return whether it came to its end."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            train(PipelineFolder.open(settings), [data], out)
            code = 0
        finally:
            os._exit(code)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    assert os.WEXITSTATUS(status) == 0
    return True


@pytest.mark.slow
def test_twenty_kills_at_random_moments_change_no_bit_of_the_weights(tmp_path: Path) -> None:
    """Forked, so that a kill falls into the training and not into the import of torch."""
    (tmp_path / "settings").mkdir()
    text = SPHERES_TOML.replace("epochs = 4", "epochs = 30").replace("steps_per_epoch = 40", "steps_per_epoch = 2")
    text = text.replace("learning_rate = 0.01", "learning_rate = 0.01\naverage = 0.9\nvalidate_every = 3")
    (tmp_path / "settings" / "pipeline.toml").write_text(text, encoding="utf-8")
    data = write_sphere_data(tmp_path / "data")
    began = time.monotonic()
    assert trained_in_a_child(tmp_path / "settings", data, tmp_path / "whole", seconds=None)
    whole = time.monotonic() - began
    moments, kills, done = random.Random(4), 0, False
    while not done:
        # Long enough that the training goes on a little each time, and short enough that it needs many kills.
        seconds = moments.uniform(0.05, whole / 5) if kills < _KILLS else None
        done = trained_in_a_child(tmp_path / "settings", data, tmp_path / "killed", seconds=seconds)
        kills += not done
    assert kills >= 5, "the training was killed before it could end"
    names = ("weights.safetensors", "weights.json", "card.md", "curves.csv", "validation.csv")
    for name in names:
        assert sha256_of(tmp_path / "killed" / name) == sha256_of(tmp_path / "whole" / name), name
