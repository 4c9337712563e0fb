"""A network that is supervised at several depths is, once trained, the plain one."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from medvision.frameworks import set_state, state_of
from medvision.networks import DynUNet, load_weights, plain_state, save_weights


def built(*channels: int, deep: bool = True, dimensions: int = 2, **given: Any) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        settings = DynUNet(channels=channels, **given)
        return settings.build(in_channels=1, out_channels=3, dimensions=dimensions, deep_supervision=deep)


def image(size: int = 32, dimensions: int = 2) -> Any:
    return torch.rand(2, 1, *[size] * dimensions, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("channels", "sides"),
    [((4,) * 3, [32, 16]), ((4,) * 4, [32, 16]), ((4,) * 5, [32, 16, 8]), ((4,) * 6, [64, 32, 16, 8])],
)
def test_every_stage_of_the_decoder_answers_but_the_coarsest(channels: tuple[int, ...], sides: list[int]) -> None:
    answers = built(*channels).train()(image(sides[0]))
    assert [tuple(answer.shape) for answer in answers] == [(2, 3, side, side) for side in sides]


def test_an_axis_that_a_stage_leaves_alone_stays_in_its_answer() -> None:
    network = built(4, 4, 4, 4, dimensions=3, strides=((2, 2, 1), (2, 2, 2), (2, 2, 2)))
    answers = network.train()(torch.rand(1, 1, 16, 16, 8))
    assert [tuple(answer.shape[2:]) for answer in answers] == [(16, 16, 8), (8, 8, 8)]


@pytest.mark.parametrize("norm", ["instance", "batch", "group"])
@pytest.mark.parametrize("residual", [False, True])
def test_its_finest_answer_is_that_of_the_plain_network_with_the_same_seed(norm: Any, residual: bool) -> None:
    deep, plain = (built(4, 6, 8, 8, deep=deep, norm=norm, residual=residual) for deep in (True, False))
    assert torch.equal(deep.train()(image())[0], plain.train()(image()))
    assert torch.equal(deep.eval()(image()), plain.eval()(image()))


def test_every_head_is_trained_and_all_gradients_are_there() -> None:
    network = built(4, 4, 4, 4, 4).train()
    sum(answer.square().mean() for answer in network(image())).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_its_weights_without_the_heads_are_those_of_the_plain_network_one_by_one() -> None:
    deep, plain = built(4, 6, 8, 8), built(4, 6, 8, 8, deep=False)
    state = plain_state(deep)
    assert state.keys() == state_of(plain).keys() == plain_state(plain).keys()
    assert len(state_of(deep)) == len(state) + 2, "the weight and the bias of the only head"
    assert all(torch.equal(state[name], tensor) for name, tensor in state_of(plain).items())
    set_state(plain, state)


def test_what_is_saved_of_it_is_the_plain_network(tmp_path: Path) -> None:
    deep, plain = built(4, 6, 8, 8).train(), built(4, 6, 8, 8, deep=False)
    with torch.no_grad():
        for parameter in deep.parameters():
            parameter.add_(0.1)
    sha256 = save_weights(tmp_path / "w.safetensors", deep)
    load_weights(tmp_path / "w.safetensors", plain, sha256=sha256)
    assert torch.equal(deep.eval()(image()), plain.eval()(image()))


def test_a_copy_made_in_the_middle_of_a_training_is_a_network_of_its_own() -> None:
    network = built(4, 4, 4).train()
    network(image())[1].mean().backward()
    other = copy.deepcopy(network)
    assert type(other) is type(network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    assert float(other(image())[1].detach().abs().sum()) > 0
