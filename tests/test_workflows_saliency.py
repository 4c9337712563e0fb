"""A map explains the answer that was given: where mirrored images answer together, it is the mean of theirs."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medvision.explain import ExplainedMap, Region
from medvision.workflows.cases.saliency import explained_by

RAMP = np.arange(6, dtype=np.float32).reshape(2, 3)  # what a network sees differs from end to end
IMAGE = torch.tensor([[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]])


def seen(network: Any, image: Any, target: Any, *, spacing_mm: Any) -> ExplainedMap:
    """Return the image as a network sees it that weighs its places by the ramp; of a region, what is in it."""
    inside: NDArray[Any] = target.mask if isinstance(target, Region) else np.ones((2, 3), bool)
    values = image[0, 0].numpy() * RAMP * inside
    return ExplainedMap(values.astype(np.float32), {"score": float(values.sum())})


def test_without_mirrors_the_map_is_that_of_the_image() -> None:
    found = explained_by(seen, torch.nn.Identity(), IMAGE, 0, spacing_mm=None)
    assert found.values.tolist() == (IMAGE[0, 0].numpy() * RAMP).tolist()
    assert found.parameters == {"score": 0 + 2 + 6 + 12 + 20 + 30}


def test_maps_of_mirrored_images_are_mirrored_back_before_their_mean() -> None:
    image = IMAGE[0, 0].numpy()
    found = explained_by(seen, torch.nn.Identity(), IMAGE, 0, spacing_mm=None, mirror_axes=(1,))
    assert found.values.tolist() == (image * (RAMP + RAMP[:, ::-1]) / 2).tolist()
    assert found.parameters == {"score": float(found.values.sum()), "mirrored": 2}
    both = explained_by(seen, torch.nn.Identity(), IMAGE, 0, spacing_mm=None, mirror_axes=(0, 1))
    assert both.values.tolist() == (image * RAMP.mean()).tolist()
    assert both.parameters["mirrored"] == 4


def test_each_mirrored_image_is_padded_at_its_own_far_end_as_for_the_answer() -> None:
    """Of rows of 3, padded to 4 with their edge: the mean of 1 2 3 3, and of 3 2 1 1, is not the same."""

    def mean_of_all(network: Any, image: Any, target: Any, *, spacing_mm: Any) -> ExplainedMap:
        values = image[0, 0].numpy()
        shown.append(values[0].tolist())
        masks.append(target.mask[0].tolist())
        return ExplainedMap(values * 0 + values[0].mean(), {"score": float(values[0].mean())})

    shown: list[list[float]] = []
    masks: list[list[bool]] = []
    region = Region(np.array([[True, False, False], [False, False, False]]))
    found = explained_by(
        mean_of_all, torch.nn.Identity(), IMAGE, region, spacing_mm=None, mirror_axes=(1,), divisor=(1, 4)
    )
    assert shown == [[1, 2, 3, 3], [3, 2, 1, 1]]
    assert masks == [[True, False, False, False], [False, False, True, False]]
    assert found.values.tolist() == [[(2.25 + 1.75) / 2] * 3] * 2


def test_a_region_is_mirrored_with_its_image() -> None:
    mask = np.array([[True, False, False], [False, False, True]])
    found = explained_by(seen, torch.nn.Identity(), IMAGE, Region(mask), spacing_mm=None, mirror_axes=(0, 1))
    assert found.values.tolist() == (IMAGE[0, 0].numpy() * RAMP.mean() * mask).tolist()
