"""An optimiser trains the groups it is given, each at its rate, and decays what should decay."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from medvision.errors import PipelineError
from medvision.training import Training
from medvision.training.optimisers import build_optimiser, decays, set_learning_rate
from medvision.tuning import Group, Whole


def network() -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 2))


def parameter(*shape: int) -> Any:
    return nn.Parameter(torch.ones(shape))


def test_only_weights_of_convolutions_and_linear_layers_decay() -> None:
    assert [decays(p) for p in network().parameters()] == [True, False, False, False, True, False]
    attention = nn.MultiheadAttention(4, 2)
    kept = {name for name, p in attention.named_parameters() if decays(p)}
    assert kept == {"in_proj_weight", "out_proj.weight"}
    assert not decays(parameter(1, 1, 8)), "a class token"
    assert not decays(parameter(1, 64, 8)), "a position embedding"
    assert decays(parameter(1, 1, 3, 3, 3)), "a convolution from one map to one map"


def test_adamw_moves_what_decays_towards_0_and_leaves_the_rest_where_the_gradient_is_0() -> None:
    whole = network()
    before = [p.detach().clone() for p in whole.parameters()]
    optimiser = build_optimiser(Training(optimiser="adamw", learning_rate=0.1, weight_decay=0.5), Whole().groups(whole))
    set_learning_rate(optimiser, 0.1)
    for p in whole.parameters():
        p.grad = torch.zeros_like(p)
    optimiser.step()
    for old, new in zip(before, whole.parameters(), strict=True):
        assert torch.allclose(new, old * (1 - 0.1 * 0.5) if decays(new) else old)
    assert [part["name"] for part in optimiser.param_groups] == ["all", "all, no decay"]


def test_sgd_decays_everything_as_nnunet_does() -> None:
    whole = network()
    before = [p.detach().clone() for p in whole.parameters()]
    settings = Training(optimiser="sgd", momentum=0.0, weight_decay=0.5)
    optimiser = build_optimiser(settings, Whole().groups(whole))
    set_learning_rate(optimiser, 0.1)
    for p in whole.parameters():
        p.grad = torch.zeros_like(p)
    optimiser.step()
    for old, new in zip(before, whole.parameters(), strict=True):
        assert torch.allclose(new, old * (1 - 0.1 * 0.5))


def test_two_steps_of_nesterov_momentum_are_those_computed_by_hand() -> None:
    weight = parameter(1)
    settings = Training(optimiser="sgd", momentum=0.5, weight_decay=0.0)
    optimiser = build_optimiser(settings, [Group("all", (weight,))])
    set_learning_rate(optimiser, 0.1)
    # velocity v = 0.5 v + g, step g + 0.5 v; with g = 1: v = 1, 1.5 and steps 1.5, 1.75
    for expected in (1 - 0.15, 1 - 0.15 - 0.175):
        weight.grad = torch.ones(1)
        optimiser.step()
        assert float(weight.detach()) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_each_group_learns_at_its_own_rate(name: Any) -> None:
    slow, fast, still = parameter(2, 2), parameter(2, 2), parameter(2)
    settings = Training(optimiser=name, momentum=0.0, weight_decay=0.0)
    groups = [Group("stem", (slow,), 0.1), Group("head", (fast,)), Group("still", (still,), 0.0), Group("none", ())]
    optimiser = build_optimiser(settings, groups)
    set_learning_rate(optimiser, 0.01)
    for p in (slow, fast, still):
        p.grad = torch.ones_like(p)
    optimiser.step()
    moved = [float((1 - p).detach().mean()) for p in (slow, fast, still)]
    assert moved == pytest.approx([0.001, 0.01, 0.0], rel=1e-3)
    assert [part["rate"] for part in optimiser.param_groups] == [0.1, 1.0, 0.0]


def test_what_has_no_gradient_stays_though_it_would_decay() -> None:
    frozen, trained = parameter(2, 2), parameter(2, 2)
    optimiser = build_optimiser(
        Training(optimiser="adamw", weight_decay=0.5), [Group("frozen", (frozen,)), Group("trained", (trained,))]
    )
    trained.grad = torch.ones(2, 2)
    optimiser.step()
    assert torch.equal(frozen.detach(), torch.ones(2, 2))
    assert not torch.equal(trained.detach(), torch.ones(2, 2))


def test_a_state_that_was_saved_goes_on_as_if_it_had_not_been() -> None:
    def steps(weight: Any, optimiser: Any, count: int) -> None:
        for _ in range(count):
            weight.grad = weight.detach() * 0.5 + 0.1
            optimiser.step()

    settings = Training(optimiser="adamw", weight_decay=0.1)
    whole, first, second = parameter(2, 2), parameter(2, 2), parameter(2, 2)
    steps(whole, build_optimiser(settings, [Group("all", (whole,))]), 5)
    before = build_optimiser(settings, [Group("all", (first,))])
    steps(first, before, 2)
    second.data.copy_(first.detach())
    after = build_optimiser(settings, [Group("all", (second,))])
    after.load_state_dict({**after.state_dict(), "state": before.state_dict()["state"]})
    steps(second, after, 3)
    assert torch.equal(whole.detach(), second.detach())


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_a_training_of_nothing_is_refused(name: Any) -> None:
    with pytest.raises(PipelineError, match="no parameter"):
        build_optimiser(Training(optimiser=name), [Group("all", ())])


def test_a_parameter_in_two_groups_is_refused() -> None:
    shared = parameter(2)
    with pytest.raises(PipelineError, match="two groups"):
        build_optimiser(Training(), [Group("one", (shared,)), Group("two", (shared,))])
