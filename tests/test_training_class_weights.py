"""What is rare counts for more, by numbers that can be counted by hand, and no weight of 0 makes a loss undefined."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import SPHERES_TOML, write_sphere_data
from torch import nn

from medvision.pipeline import PipelineFolder
from medvision.training import Batch, Sample, Store, Supervised, class_weights, default_loss
from medvision.workflows.train import train


def segmented(name: str, foreground: int, *, label: int = 1) -> Sample:
    """A case of 50 voxels, so many of them labelled."""
    target = np.zeros(50, np.uint8)
    target[:foreground] = label
    return Sample(name, np.zeros((1, 5, 10), np.float32), target.reshape(5, 10))


def whole(name: str, target: Any) -> Sample:
    return Sample(name, np.zeros((1, 2, 2), np.float32), target)


def test_of_a_segmentation_voxels_are_counted_and_background_is_a_class(tmp_path: Path) -> None:
    """Of 100 voxels 90 are background: 100 / (2 * 90) and 100 / (2 * 10); their mean over the voxels is 1."""
    samples = [segmented("a", 10), segmented("b", 0)]
    assert class_weights(samples, 2).tolist() == pytest.approx([100 / 180, 5.0])
    assert class_weights([*samples, segmented("c", 50, label=3)], 4).tolist() == pytest.approx([150 / 270, 5.0, 0, 1.0])
    stored = [Store(tmp_path).put(sample.id * 2, sample, {}) for sample in samples]
    opened = [Store(tmp_path).get(sample.id * 2) for sample in samples]
    for each in (stored, opened):
        assert class_weights(each, 2).tolist() == pytest.approx([100 / 180, 5.0])  # type: ignore[arg-type]


def test_of_classes_cases_are_counted() -> None:
    samples = [whole(str(n), int(n == 0)) for n in range(4)]
    assert class_weights(samples, 3).tolist() == pytest.approx([4 / 6, 2.0, 0.0])


def test_of_several_labels_those_without_are_set_against_those_with() -> None:
    """The first: 1 of 4 has it. The second: 1 of 2 known. All have the third, none the fourth, the fifth is unknown."""
    nan = np.nan
    rows = [[1, nan, 1, 0, nan], [0, nan, 1, 0, nan], [0, 1, 1, 0, nan], [0, 0, 1, 0, nan]]
    samples = [whole(str(n), np.array(row, np.float32)) for n, row in enumerate(rows)]
    assert class_weights(samples, 5).tolist() == [3.0, 1.0, 1.0, 1.0, 1.0]


def test_a_weighed_label_is_learnt_as_much_from_those_with_it_as_from_those_without() -> None:
    """At even odds, the gradient of one case with the label is that of three without it, taken together."""
    samples = [whole(str(n), np.array([n == 0], np.float32)) for n in range(4)]
    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    targets = torch.tensor([[1.0], [0.0], [0.0], [0.0]])
    for weights, expected in ((None, 0.25), (class_weights(samples, 1), 0.0)):
        network.zero_grad()
        Supervised(default_loss("multilabel"), weights)(network, Batch(torch.ones(4, 1), targets)).backward()
        assert float(network.weight.grad) == pytest.approx(expected)


def test_a_segmentation_with_class_weights_is_trained_on_patches_of_background_too(tmp_path: Path) -> None:
    (tmp_path / "settings").mkdir()
    text = SPHERES_TOML.replace("epochs = 4", "epochs = 1\nclass_weights = true\nforeground = 0.0")
    text = text.replace("steps_per_epoch = 40", "steps_per_epoch = 12").replace("batch = 2", "batch = 1")
    text = text.replace("patch = [16, 16, 16]", "patch = [8, 8, 8]").replace("[16, 16, 16]", "[8, 8, 8]")
    (tmp_path / "settings" / "pipeline.toml").write_text(text, encoding="utf-8")
    pipeline = PipelineFolder.open(tmp_path / "settings")
    assert pipeline.settings.train.class_weights
    result = train(pipeline, [write_sphere_data(tmp_path / "data")], tmp_path / "out")
    table = (tmp_path / "out" / "curves.csv").read_text().splitlines()
    assert np.isfinite(float(table[1].split(",")[2]))
    assert len(result.train) == 6
