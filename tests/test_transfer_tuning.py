"""Which stages are trained, how fast and from when on; frozen ones stay as they are, to the last bit."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from medvision.errors import PipelineError, UsageError
from medvision.networks import NETWORKS, DenseNet, DynUNet, ResNet, SegResNet, SwinUNETR, ViT
from medvision.parameters import Stages, parameters_by_stage, stage_of
from medvision.training.optimisers import build_optimiser
from medvision.training.settings import Training
from medvision.training.tuned import Tuned
from medvision.transfer.tuning import ByStage, Staged, summary, tuning_of

SMALL: dict[str, Any] = {
    "dynunet": DynUNet(channels=(4, 8, 16, 16)),
    "segresnet": SegResNet(channels=8, blocks_down=(1, 1, 2), blocks_up=(1, 1)),
    "resnet": ResNet(blocks=(1, 1, 1, 1), channels=(4, 4, 8, 8)),
    "densenet": DenseNet(blocks=(1, 2, 1), channels=8, growth=4, dropout=0.5),
    "vit": ViT(image_size=(64, 64), channels=12, blocks=2, heads=3),
    "swin-unetr": SwinUNETR(channels=12, blocks=(1, 1, 1, 1), heads=(1, 2, 2, 2)),
}
STAGES: Stages = (("stem", ("0", "1")), ("body", ("3", "4")), ("head", ("6",)))


def small_network() -> Any:
    """Return a network of three stages with batch norm and dropout, (B, 1, 4, 4) to (B, 2)."""
    torch.manual_seed(0)
    body = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 8, 2), nn.Dropout(0.5), nn.Flatten()]
    return nn.Sequential(*body, nn.Linear(8, 2))


def trained(network: Any, words: str, optimiser: str = "sgd", steps: int = 3) -> Any:
    """Take steps of one epoch, of two, with a strong weight decay."""
    tuning = tuning_of(words, STAGES)
    tuning.prepare(network, seed=0)
    settings = Training(optimiser=optimiser, weight_decay=0.5, learning_rate=0.1)
    optimiser_in_use = build_optimiser(settings, tuning.groups(network))
    network.train()
    tuning.begin_epoch(network, 0, 8)
    for step in range(steps):
        images = torch.randn(6, 1, 4, 4, generator=torch.Generator().manual_seed(step)) + 3
        nn.functional.cross_entropy(network(images), torch.tensor([0, 1, 0, 1, 0, 1])).backward()
        optimiser_in_use.step()
        optimiser_in_use.zero_grad(set_to_none=True)
    return network


def changed(before: Any, after: Any) -> set[str]:
    """Return the names of the tensors, buffers included, that differ in any bit."""
    old = before.state_dict()
    return {name for name, tensor in after.state_dict().items() if not torch.equal(tensor, old[name])}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_states_a_stage_for_each_of_its_parameters_and_the_last_gives_the_logits(name: str) -> None:
    if name not in SMALL:
        pytest.fail(f"give a small {name} to this test")
    settings = SMALL[name]
    network = settings.build(in_channels=1, out_channels=3, dimensions=2)
    stages = parameters_by_stage(network, settings.stages)
    assert all(stages), "no stage is empty"
    assert sum(map(len, stages)) == len(list(network.parameters()))
    assert any(3 in parameter.shape for parameter in stages[-1].values())
    assert len(dict(settings.stages)) == len(settings.stages), "names are unique"


def test_heads_that_only_training_needs_are_of_the_head() -> None:
    settings = SMALL["dynunet"]
    network = settings.build(in_channels=1, out_channels=2, dimensions=2, deep_supervision=True)
    tuning = tuning_of("head", settings.stages)
    (group,) = tuning.groups(network)
    names = {name for name, part in network.named_parameters() if any(part is own for own in group.parameters)}
    assert {name.split(".")[0] for name in names} == {"output_block", "deep_supervision_heads"}
    tuning.begin_epoch(network.train(), 0, 2)
    assert len(network(torch.zeros(1, 1, 16, 16))) > 1, "the network as a whole goes on as in training"


@pytest.mark.parametrize("name", SMALL)
def test_stages_are_ordered_as_the_image_passes_them(name: str) -> None:
    settings = SMALL[name]
    network = settings.build(in_channels=1, out_channels=2, dimensions=2).eval()
    order: list[int] = []
    for name_of_part, part in network.named_modules():
        number = stage_of(name_of_part, settings.stages)
        if number is not None and not list(part.children()):
            part.register_forward_hook(lambda *_, number=number: order.append(number))
    network(torch.zeros(1, 1, 64, 64))
    assert sorted(set(order)) == list(range(len(settings.stages)))
    assert [n for k, n in enumerate(order) if n not in order[:k]] == sorted(set(order))


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_frozen_stages_keep_weights_and_statistics_to_the_last_bit_whatever_the_decay(optimiser: str) -> None:
    network = small_network()
    before = copy.deepcopy(network)
    assert changed(before, trained(network, "head", optimiser)) == {"6.weight", "6.bias"}
    network = small_network()
    names = {"3.weight", "3.bias", "6.weight", "6.bias"}
    assert changed(before, trained(network, "last:2", optimiser)) == names


def test_in_full_all_is_trained_and_statistics_are_gathered() -> None:
    network = small_network()
    before = copy.deepcopy(network)
    assert changed(before, trained(network, "full")) == set(network.state_dict())


def test_dropout_of_frozen_stages_is_off_and_that_of_trained_ones_on() -> None:
    network = small_network().train()
    tuning_of("head", STAGES).begin_epoch(network, 0, 2)
    assert [part.training for part in network] == [False, False, True, False, False, True, True]
    network.train()
    tuning_of("last:2", STAGES).begin_epoch(network, 0, 2)
    assert network[4].training


def test_a_gradient_left_from_before_does_not_move_a_frozen_parameter() -> None:
    network = small_network().train()
    nn.functional.cross_entropy(network(torch.randn(4, 1, 4, 4)), torch.tensor([0, 1, 0, 1])).backward()
    tuning_of("head", STAGES).begin_epoch(network, 0, 2)
    assert network[0].weight.grad is None
    assert network[6].weight.grad is not None


def test_discriminative_rates_fall_from_head_to_stem() -> None:
    tuned: Tuned = tuning_of("discriminative", STAGES)
    groups = tuned.groups(small_network())
    assert [group.name for group in groups] == ["stem", "body", "head"]
    assert [group.rate for group in groups] == pytest.approx([0.01, 0.1, 1.0])
    assert tuning_of("discriminative:1", STAGES) == tuning_of("full", STAGES)


def test_staged_has_one_stage_more_at_a_time_and_a_stage_joins_with_its_statistics() -> None:
    staged = tuning_of("staged:2", STAGES)
    assert isinstance(staged, Staged)
    assert [staged.trained(epoch, 6) for epoch in range(6)] == [1, 1, 2, 2, 3, 3]
    network = small_network()
    for epoch, running in [(0, [False] * 2), (2, [False, True]), (4, [True] * 2), (1, [False] * 2)]:
        staged.begin_epoch(network.train(), epoch, 6)
        assert [network[1].training, network[4].training] == running
        assert [network[0].weight.requires_grad, network[3].weight.requires_grad] == running
        assert network[6].weight.requires_grad
    assert len(staged.groups(network)) == 3, "the optimiser knows them all from the start"


@given(st.integers(2, 12), st.integers(2, 200))
def test_staged_starts_with_the_head_and_trains_all_in_the_second_half(stages: int, epochs: int) -> None:
    staged = Staged(tuple((f"s{n}", (f"s{n}",)) for n in range(stages)))
    counts = [staged.trained(epoch, epochs) for epoch in range(epochs)]
    assert counts == sorted(counts)
    assert counts[0] == 1
    assert set(counts[(epochs + 1) // 2 :]) == {stages}


@pytest.mark.parametrize(("words", "epochs"), [("staged:3", 6), ("staged", 1)])
def test_a_training_too_short_for_every_stage_is_refused(words: str, epochs: int) -> None:
    with pytest.raises(UsageError, match=f"the training has {epochs}"):
        tuning_of(words, STAGES).begin_epoch(small_network(), 0, epochs)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("last:9", "3 stages: stem, body, head"),
        ("last:0", "whole number above 0"),
        ("last", "whole number above 0"),
        ("last:two", "'two'"),
        ("half", "no such way"),
        ("head:2", "no such way"),
        ("full:1", "no such way"),
        ("discriminative:0", "above 0"),
        ("discriminative:2", "1 at most"),
        ("discriminative:x", "a number is wanted"),
        ("staged:0", "whole number"),
        ("lora", "lora takes r"),
        ("lora:8", "lora takes r"),
        ("lora:r=8,beta=1", "lora takes r"),
        ("lora:r=0", "whole number"),
        ("lora:r=8,alpha=0", "alpha"),
        ("lora:r=8,alpha=inf", "a number is wanted"),
    ],
)
def test_what_is_not_meant_or_does_not_fit_is_refused_with_the_choices(words: str, told: str) -> None:
    with pytest.raises(UsageError, match=told) as caught:
        tuning_of(words, STAGES)
    assert "last:" in str(caught.value)


@pytest.mark.parametrize("rates", [(1.0, 1.0), (1.0, -1.0, 1.0), (1.0, float("nan"), 1.0)])
def test_rates_that_are_no_rates_are_refused(rates: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match="stem, body, head"):
        ByStage(STAGES, rates)


def test_a_parameter_of_no_stage_is_refused() -> None:
    with pytest.raises(PipelineError, match=r"'3\.weight'"):
        tuning_of("head", (STAGES[0], STAGES[2])).groups(small_network())


def test_what_is_trained_is_told_in_words() -> None:
    network = small_network()
    assert summary(tuning_of("last:2", STAGES), network) == (
        "154 of 202 parameters are trained",
        "body: 136 parameters, rate 1",
        "head: 18 parameters, rate 1",
    )


@pytest.mark.parametrize("words", ["head", "staged"])
def test_all_can_be_trained_again_when_the_tuning_has_ended(words: str) -> None:
    network = small_network()
    tuning = tuning_of(words, STAGES)
    tuning.begin_epoch(network, 0, 8)
    tuning.finish(network)
    assert all(parameter.requires_grad for parameter in network.parameters())
