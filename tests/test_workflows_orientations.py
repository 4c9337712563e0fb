"""A volume stored in any of the 48 orders of axes gets the same mask in the world, bit by bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from phantoms import ORIENTATIONS, spheres

from medvision.geometry import Geometry
from medvision.pipeline import PipelineFolder
from medvision.predict import Prediction
from medvision.study import Case, Source
from medvision.training import Augmentation
from medvision.volume import Volume
from medvision.workflows.cases.network import ReadyNetwork
from medvision.workflows.cases.segment import segment

GRID = Geometry(
    np.array([[1.92, -0.56, 0.0, 12.0], [0.56, 1.92, 0.0, -30.0], [0.0, 0.0, 2.0, 5.0], [0.0, 0.0, 0.0, 1.0]]),
    (24, 17, 12),
)
CASE = Case("a", (Source("nifti", (Path("a.nii"),)),))
HOWS = {
    "windows": Prediction(window=(16, 16, 16)),
    "mirrored": Prediction(window=(16, 8, 8), mirror_axes=(1,), combine="logits"),
    "whole": Prediction(),
}


@pytest.mark.parametrize("how", HOWS)
def test_the_mask_is_the_same_in_the_world_for_every_order_of_axes(sphere_pipeline: Path, how: str) -> None:
    pipeline = PipelineFolder.open(sphere_pipeline)
    training = replace(pipeline.settings.train, augmentation=Augmentation(mirror_axes=(1,)))
    settings = replace(pipeline.settings, predict=HOWS[how], explain=(), train=training)
    network = ReadyNetwork.in_torch(pipeline.load_network())
    image, truth = spheres(GRID, noise=5, seed=1)
    stored = Volume(image[None], GRID)
    wanted = segment(stored, CASE, settings, network).segmentation
    assert (wanted.labels.voxels == truth).mean() > 0.95
    assert set(np.unique(wanted.labels.voxels)) == {0, 1, 2}, "the two differ, so that a mirrored mask would show"
    for orientation in ORIENTATIONS:
        turned = stored.onto(GRID.reoriented(orientation))
        found = segment(turned, CASE, settings, network).segmentation
        assert found.labels.geometry.orientation == orientation
        assert np.array_equal(found.labels.onto(GRID).voxels, wanted.labels.voxels), orientation
        assert found.confidence == wanted.confidence, orientation
        entropy = Volume(found.entropy.values[None], turned.geometry).onto(GRID)
        assert np.array_equal(entropy.voxels[0], wanted.entropy.values), orientation
