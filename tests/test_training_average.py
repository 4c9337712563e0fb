"""The running average follows the weights, and is a network of its own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from medvision.frameworks import state_of
from medvision.training.average import averaged, update_average


def network(value: float) -> Any:
    made = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.fill_(value)
    return made


def test_an_average_starts_as_a_copy_and_shares_nothing() -> None:
    trained = network(1.0)
    kept = averaged(trained)
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.fill_(2.0)
    assert all(float(p.detach()) == 1.0 for p in kept.parameters())


def test_the_decay_rises_with_the_steps_to_the_one_asked_for() -> None:
    # (1 + step) / (10 + step): 0.1 at step 0, 0.5 at step 8, and 0.9 at step 80 and after it
    for step, share in ((0, 0.9), (8, 0.5), (80, 0.1), (10**6, 0.1)):
        kept, trained = network(0.0), network(1.0)
        update_average(kept, trained, decay=0.9, step=step)
        assert [float(p.detach()) for p in kept.parameters()] == pytest.approx([share] * 4)
        assert all(float(p.detach()) == 1.0 for p in trained.parameters())


def test_statistics_of_norms_are_averaged_and_counts_are_copied() -> None:
    kept, trained = network(0.0), network(0.0)
    trained[1].running_mean.fill_(4.0)
    trained[1].num_batches_tracked.fill_(7)
    update_average(kept, trained, decay=0.5, step=100)
    assert float(kept[1].running_mean) == 2.0
    assert int(kept[1].num_batches_tracked) == 7


def test_what_is_followed_is_no_part_of_a_graph() -> None:
    kept, trained = network(0.0), network(1.0)
    update_average(kept, trained, decay=0.5, step=0)
    assert all(p.grad_fn is None and p.requires_grad for p in kept.parameters())


def test_a_network_that_is_kept_itself_stays_as_it_is() -> None:
    trained = network(1.0)
    before = {name: tensor.clone() for name, tensor in state_of(trained).items()}
    update_average(trained, trained, decay=0.5, step=0)
    assert all(torch.equal(before[name], tensor) for name, tensor in state_of(trained).items())


def test_tensors_that_two_modules_share_are_moved_once() -> None:
    kept, trained = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        kept.weight.fill_(0.0)
        trained.weight.fill_(1.0)
    both = nn.Sequential(kept, kept), nn.Sequential(trained, trained)
    update_average(*both, decay=0.5, step=100)
    assert float(kept.weight.detach()) == 0.5
