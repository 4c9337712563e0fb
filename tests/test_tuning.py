"""What is trained: by default everything, in one group."""

from __future__ import annotations

import pytest
from torch import nn

from medvision.errors import PipelineError
from medvision.tuning import Group, Tuning, Whole


def test_the_whole_network_is_one_group_of_every_parameter_once() -> None:
    shared = nn.Linear(2, 2)
    network = nn.Sequential(shared, nn.BatchNorm1d(2), shared)
    tuning: Tuning = Whole()
    (group,) = tuning.groups(network)
    assert (group.name, group.rate) == ("all", 1.0)
    assert [id(p) for p in group.parameters] == [id(p) for p in network.parameters()]
    assert len(group.parameters) == 4


def test_the_whole_network_has_nothing_frozen_in_any_epoch() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).train()
    Whole().begin_epoch(network, 0.0)
    assert all(part.training for part in network.modules())
    assert all(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("rate", [-0.1, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(PipelineError, match="the rate of 'stem'") as caught:
        Group("stem", (), rate)
    assert caught.value.code == "pipeline-invalid"


def test_a_rate_of_0_is_a_rate() -> None:
    assert Group("stem", (), 0.0).rate == 0.0
