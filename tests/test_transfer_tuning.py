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
from medvision.networks import (
    NETWORKS,
    DenseNet,
    DynUNet,
    PlainUNet,
    ResEncUNet,
    ResidualUNet,
    ResNet,
    SegResNet,
    SwinUNETR,
    ViT,
)
from medvision.parts import Parts, Stages, parameters_by_stage, stage_of
from medvision.training.optimisers import build_optimiser
from medvision.training.settings import Training
from medvision.transfer.tuning import ByStage, Staged, summary, tuning_of, waiting
from medvision.tuning import Tuning

SMALL: dict[str, Any] = {
    "dynunet": DynUNet(channels=(4, 8, 16, 16)),
    "plain-unet": PlainUNet(channels=(4, 8, 16)),
    "resenc-unet": ResEncUNet(channels=(4, 8, 16), blocks=(1, 2, 1)),
    "residual-unet": ResidualUNet(channels=(4, 8, 16)),
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
    tuning = tuning_of(words, STAGES, epochs=8)
    tuning.prepare(network, seed=0)
    settings = Training(optimiser=optimiser, weight_decay=0.5, learning_rate=0.1)
    optimiser_in_use = build_optimiser(settings, tuning.groups(network))
    network.train()
    tuning.begin_epoch(network, 0.0)
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
    stages = parameters_by_stage(network, settings.parts.stages)
    assert all(stages), "no stage is empty"
    assert sum(map(len, stages)) == len(list(network.parameters()))
    assert any(3 in parameter.shape for parameter in stages[-1].values())
    assert len(dict(settings.parts.stages)) == len(settings.parts.stages), "names are unique"


@pytest.mark.parametrize("name", SMALL)
def test_the_head_of_the_parts_is_the_last_stage_and_the_encoder_the_first_ones(name: str) -> None:
    network = SMALL[name].build(in_channels=1, out_channels=3, dimensions=2)
    parts = SMALL[name].parts
    for number, parameters in enumerate(parameters_by_stage(network, parts.stages)):
        wanted = "head" if number == len(parts.stages) - 1 else "encoder" if number < parts.encoding else "decoder"
        assert {parts.of(parameter) for parameter in parameters} == {wanted}
        assert all(parameter.startswith(parts.head) == (wanted == "head") for parameter in parameters)
    head = [p for name, p in network.named_parameters() if name.startswith(parts.head)]
    assert {len(parameter) for parameter in head} == {3}, "the head has a row for each class, and nothing else"


def test_parts_without_a_head_are_refused() -> None:
    with pytest.raises(PipelineError, match="the last one is the head"):
        Parts(STAGES, encoding=3)


def test_heads_that_only_training_needs_are_of_the_head() -> None:
    settings = SMALL["dynunet"]
    network = settings.build(in_channels=1, out_channels=2, dimensions=2, deep_supervision=True)
    tuning = tuning_of("head", settings.parts.stages, epochs=8)
    (group,) = tuning.groups(network)
    names = {name for name, part in network.named_parameters() if any(part is own for own in group.parameters)}
    assert {name.split(".")[0] for name in names} == {"output_block", "deep_supervision_heads"}
    tuning.begin_epoch(network.train(), 0.0)
    assert len(network(torch.zeros(1, 1, 16, 16))) > 1, "the network as a whole goes on as in training"


@pytest.mark.parametrize("name", SMALL)
def test_stages_are_ordered_as_the_image_passes_them(name: str) -> None:
    settings = SMALL[name]
    network = settings.build(in_channels=1, out_channels=2, dimensions=2).eval()
    order: list[int] = []
    for name_of_part, part in network.named_modules():
        number = stage_of(name_of_part, settings.parts.stages)
        if number is not None and not list(part.children()):
            part.register_forward_hook(lambda *_, number=number: order.append(number))
    network(torch.zeros(1, 1, 64, 64))
    assert sorted(set(order)) == list(range(len(settings.parts.stages)))
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
    tuning_of("head", STAGES, epochs=8).begin_epoch(network, 0.0)
    assert [part.training for part in network] == [False, False, True, False, False, True, True]
    network.train()
    tuning_of("last:2", STAGES, epochs=8).begin_epoch(network, 0.0)
    assert network[4].training


def test_a_gradient_left_from_before_does_not_move_a_frozen_parameter() -> None:
    network = small_network().train()
    nn.functional.cross_entropy(network(torch.randn(4, 1, 4, 4)), torch.tensor([0, 1, 0, 1])).backward()
    tuning_of("head", STAGES, epochs=8).begin_epoch(network, 0.0)
    assert network[0].weight.grad is None
    assert network[6].weight.grad is not None


def test_discriminative_rates_fall_from_head_to_stem() -> None:
    tuning: Tuning = tuning_of("discriminative", STAGES, epochs=8)
    groups = tuning.groups(small_network())
    assert [group.name for group in groups] == ["stem", "body", "head"]
    assert [group.rate for group in groups] == pytest.approx([0.01, 0.1, 1.0])
    assert tuning_of("discriminative:1", STAGES, epochs=8) == tuning_of("full", STAGES, epochs=8)


def test_staged_has_one_stage_more_at_a_time_and_a_stage_joins_with_its_statistics() -> None:
    staged = tuning_of("staged:2", STAGES, epochs=6)
    assert isinstance(staged, Staged)
    assert [staged.trained(epoch / 6) for epoch in range(6)] == [1, 1, 2, 2, 3, 3]
    network = small_network()
    for share, running in [(0.0, [False] * 2), (2 / 6, [False, True]), (4 / 6, [True] * 2), (1 / 6, [False] * 2)]:
        staged.begin_epoch(network.train(), share)
        assert [network[1].training, network[4].training] == running
        assert [network[0].weight.requires_grad, network[3].weight.requires_grad] == running
        assert network[6].weight.requires_grad
    assert len(staged.groups(network)) == 3, "the optimiser knows them all from the start"


@given(st.integers(2, 12), st.integers(2, 200))
def test_staged_starts_with_the_head_and_trains_all_in_the_second_half(stages: int, epochs: int) -> None:
    staged = tuning_of("staged", tuple((f"s{n}", (f"s{n}",)) for n in range(stages)), epochs=epochs)
    assert isinstance(staged, Staged)
    share, counts = 0.0, []
    for epoch in range(epochs):  # as the loop adds it up
        counts.append(staged.trained(share))
        share += (1 - share) / (epochs - epoch)
    assert counts == sorted(counts)
    assert counts[0] == 1
    assert set(counts[(epochs + 1) // 2 :]) == {stages}


@given(st.lists(st.integers(2, 60), min_size=1, max_size=60))
def test_a_stage_that_has_joined_stays_however_often_the_number_of_epochs_is_judged_anew(left: list[int]) -> None:
    staged = tuning_of("staged:3", STAGES, epochs=20)
    assert isinstance(staged, Staged)
    share, counts = 0.0, []
    for epochs_left in left:
        counts.append(staged.trained(share))
        share += (1 - share) / epochs_left
    assert counts == sorted(counts)


@pytest.mark.parametrize(("words", "epochs"), [("staged:3", 6), ("staged", 1)])
def test_a_training_too_short_for_every_stage_is_refused_before_it_begins(words: str, epochs: int) -> None:
    with pytest.raises(UsageError, match=f"the training has {epochs}"):
        tuning_of(words, STAGES, epochs=epochs)
    assert isinstance(tuning_of(words, STAGES, epochs=epochs + 1), Staged)


@pytest.mark.parametrize("each", [0.0, -0.1, 0.5, float("nan")])
def test_shares_that_leave_a_stage_out_are_refused(each: float) -> None:
    with pytest.raises(UsageError, match="never trains all 3 stages"):
        Staged(STAGES, each)


def test_a_network_of_one_stage_is_trained_from_the_start() -> None:
    assert tuning_of("staged", STAGES[2:], epochs=4) == ByStage(STAGES[2:], (1.0,))


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
        tuning_of(words, STAGES, epochs=8)
    assert "last:" in str(caught.value)


@pytest.mark.parametrize("rates", [(1.0, 1.0), (1.0, -1.0, 1.0), (1.0, float("nan"), 1.0)])
def test_rates_that_are_no_rates_are_refused(rates: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match="stem, body, head"):
        ByStage(STAGES, rates)


def test_a_parameter_of_no_stage_is_refused() -> None:
    with pytest.raises(PipelineError, match=r"'3\.weight'"):
        tuning_of("head", (STAGES[0], STAGES[2]), epochs=8).groups(small_network())


def test_what_is_trained_is_told_in_words() -> None:
    network = small_network()
    assert summary(tuning_of("last:2", STAGES, epochs=8), network) == (
        "154 of 202 parameters are trained",
        "body: 136 parameters, rate 1",
        "head: 18 parameters, rate 1",
    )


def test_what_has_not_joined_yet_is_not_told_to_be_trained() -> None:
    network, staged = small_network(), tuning_of("staged:2", STAGES, epochs=6)
    for share, names in ((0.0, ("stem", "body")), (0.5, ("stem",)), (0.9, ())):
        assert waiting(staged, network, share) == names
    assert summary(staged, network, without=("stem", "body")) == (
        "18 of 202 parameters are trained",
        "head: 18 parameters, rate 1",
    )
    for words in ("full", "head", "discriminative"):
        assert waiting(tuning_of(words, STAGES, epochs=6), network, 0.0) == ()


@pytest.mark.parametrize("words", ["head", "staged"])
def test_all_can_be_trained_again_when_the_tuning_has_ended(words: str) -> None:
    network = small_network()
    tuning = tuning_of(words, STAGES, epochs=8)
    tuning.begin_epoch(network, 0.0)
    tuning.finish(network)
    assert all(parameter.requires_grad for parameter in network.parameters())
