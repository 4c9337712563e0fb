"""What trainings give their loop is refused before it where the network could not take it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from medvision.errors import PipelineError
from medvision.pipeline import PipelineFolder
from medvision.training import Sample
from medvision.training.place import ALONE
from medvision.workflows.fitting.job import Job
from medvision.workflows.fitting.pretext import PretextJob

WHOLE = """
name = "whole"
task = "segmentation"
description = "For tests"
[contract]
shows = "a blob"
[labels]
1 = "blob"
[network]
use = "dynunet"
channels = [4, 4, 4]
[train]
batch = 2
precision = "fp32"
"""


@pytest.fixture
def pipeline(tmp_path: Path) -> PipelineFolder:
    (tmp_path / "pipeline.toml").write_text(WHOLE, encoding="utf-8")
    return PipelineFolder.open(tmp_path)


def entries(*sides: int) -> list[Any]:
    shapes = [(1, side, side, side) for side in sides]
    return [
        SimpleNamespace(sample=Sample(f"c{n}", np.zeros(shape, np.float32), np.zeros(shape[1:], np.uint8)))
        for n, shape in enumerate(shapes)
    ]


def test_a_training_on_whole_images_that_the_network_cannot_take_is_refused(pipeline: PipelineFolder) -> None:
    with pytest.raises(PipelineError, match=r"case c0 is 19 x 19 x 19 voxels .* multiples of 4"):
        Job(pipeline, entries(19, 19), [], ALONE).batches()
    Job(pipeline, entries(20, 20), entries(19), ALONE).batches()  # images held out are predicted, and so padded


@pytest.mark.parametrize(("training", "held_out"), [((19, 19), (20,)), ((20, 20), (19,))])
def test_a_pretraining_on_whole_images_that_the_network_cannot_take_is_refused(
    pipeline: PipelineFolder, training: tuple[int, ...], held_out: tuple[int, ...]
) -> None:
    job = PretextJob(pipeline, "masked", entries(*training), entries(*held_out), ALONE, deterministic=True)
    with pytest.raises(PipelineError, match=r"case c0 is 19 x 19 x 19 voxels .* multiples of 4"):
        job.batches()


def test_a_pretraining_on_whole_images_that_the_network_can_take_is_not_refused(pipeline: PipelineFolder) -> None:
    PretextJob(pipeline, "masked", entries(20, 20), entries(24), ALONE, deterministic=True).batches()
