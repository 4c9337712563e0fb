"""An ensemble says the mean of what its members say, worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from medvision.networks import ensemble_of, members_of
from medvision.networks.ensemble import joined, parted


class Says(nn.Module):  # type: ignore[misc]
    """A network that says the same of every image."""

    def __init__(self, *outputs: float, grid: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.outputs = nn.Parameter(torch.tensor(outputs).reshape(1, -1, *(1 for _ in grid)).repeat(1, 1, *grid))

    def forward(self, image: Any) -> Any:
        return self.outputs.to(torch.bfloat16).to(image.dtype) if image.dtype == torch.bfloat16 else self.outputs


IMAGE = torch.zeros(1, 1, 4, 4)


def test_classes_have_the_mean_probability_not_that_of_the_mean_logit() -> None:
    """0.8 and 0.2, and 0.5 and 0.5: the mean is 0.65 and 0.35; of the logits it were 2/3 and 1/3."""
    network = ensemble_of([Says(math.log(4), 0.0), Says(3.0, 3.0)], "classification")
    assert torch.softmax(network(IMAGE), 1)[0].tolist() == pytest.approx([0.65, 0.35], abs=1e-6)


def test_voxels_have_the_mean_probability_too() -> None:
    members = [Says(math.log(4), 0.0, grid=(4, 4)), Says(0.0, math.log(9), grid=(4, 4))]
    found = torch.softmax(ensemble_of(members, "segmentation")(IMAGE), 1)
    assert found.shape == (1, 2, 4, 4)
    assert torch.allclose(found[0, 0], torch.full((4, 4), (0.8 + 0.1) / 2))


def test_each_of_several_labels_has_its_own_mean() -> None:
    network = ensemble_of([Says(math.log(4), 0.0), Says(-math.log(4), math.log(9))], "multilabel")
    assert network(IMAGE).sigmoid()[0].tolist() == pytest.approx([0.5, 0.7], abs=1e-6)


def test_values_are_averaged_as_they_are() -> None:
    network = ensemble_of([Says(1.0, -2.0), Says(4.0, 0.0), Says(1.0, 5.0)], "regression")
    assert network(IMAGE)[0].tolist() == pytest.approx([2.0, 1.0])


def test_sure_members_give_finite_logits() -> None:
    for task in ("classification", "multilabel"):
        found = ensemble_of([Says(500.0, -500.0), Says(500.0, -500.0)], task)(IMAGE)
        assert bool(found.isfinite().all())
        assert found[0, 0] > found[0, 1]


@pytest.mark.parametrize("task", ["classification", "multilabel", "regression"])
def test_one_member_says_what_it_says_alone(task: str) -> None:
    network = ensemble_of([Says(0.5, -1.5, 2.0)], task)
    squash = {"classification": lambda x: x.softmax(1), "multilabel": torch.sigmoid, "regression": lambda x: x}[task]
    assert torch.allclose(squash(network(IMAGE)), squash(Says(0.5, -1.5, 2.0)(IMAGE)), atol=1e-6)


def test_members_in_evaluation_mode_stay_there_and_are_found_again() -> None:
    members = [nn.Dropout(0.5), nn.Dropout(0.5)]
    network = ensemble_of(members, "regression")
    assert not network.training
    assert not any(member.training for member in members)
    assert members_of(network) == members
    assert members_of(members[0]) == [members[0]]


def test_an_ensemble_of_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match="one member or more"):
        ensemble_of([], "classification")


def test_more_than_ten_members_are_told_apart_by_their_names() -> None:
    states = [{"weight": number, "norm.bias": -number} for number in range(12)]
    assert parted(joined(states), 12) == states
