"""Low-rank adapters: they start as nothing, are all that is trained, and become part of the plain weights exactly."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from medvision.errors import UsageError
from medvision.frameworks import autocast, set_state, small_convolutions_in_fp32, state_of
from medvision.networks import DynUNet, ResNet, ViT
from medvision.parts import Stages
from medvision.transfer.lora import LowRank
from medvision.transfer.tuning import summary, tuning_of

SETTINGS = ResNet(blocks=(1, 1, 1, 1), channels=(8, 8, 16, 16), stem_kernel=3)


def resnet(dimensions: int = 2) -> Any:
    torch.manual_seed(0)
    return SETTINGS.build(in_channels=1, out_channels=3, dimensions=dimensions)


def trained(network: Any, tuning: LowRank, image: Any, steps: int = 3) -> Any:
    """Take steps by plain gradients, in the precision of a CPU that computes in bf16."""
    parameters = [parameter for group in tuning.groups(network) for parameter in group.parameters]
    optimiser = torch.optim.AdamW(parameters, 0.05, weight_decay=0.1)
    with small_convolutions_in_fp32(network):
        for _ in range(steps):
            tuning.begin_epoch(network.train(), 0.0)
            with autocast("cpu", "bf16"):
                answers = network(image)
            answers.float().square().mean().backward()
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
    return network.eval()


@pytest.fixture(scope="module")
def image() -> Any:
    return torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(1))


def test_an_adapter_starts_as_nothing(image: Any) -> None:
    network = resnet().eval()
    before = network(image)
    tuning_of("lora:r=2", SETTINGS.parts.stages, epochs=1).prepare(network, seed=0)
    assert torch.equal(network(image), before)


def test_the_base_stays_to_the_last_bit_and_adapters_and_head_move(image: Any) -> None:
    network, tuning = resnet(), LowRank(SETTINGS.parts.stages, 2, 4.0)
    before = copy.deepcopy(network)
    tuning.prepare(network, seed=0)
    trained(network, tuning, image)
    old = before.state_dict()
    for name, tensor in network.state_dict().items():
        plain = name.replace(".parametrizations.weight.original", ".weight")
        moved = name.startswith("fc.") or plain not in old or not torch.equal(tensor, old[plain])
        assert moved == (name.startswith("fc.") or ".parametrizations.weight.0." in name), name


def test_merged_the_network_is_the_plain_one_and_its_answers_are_the_same_bits(image: Any) -> None:
    network, tuning = resnet(), LowRank(SETTINGS.parts.stages, 2, 4.0)
    plain = resnet()
    tuning.prepare(network, seed=0)
    trained(network, tuning, image)
    adapted, averaged = network(image), copy.deepcopy(network)
    tuning.finish(network)
    assert torch.equal(network(image), adapted)
    assert list(network.state_dict()) == list(plain.state_dict())
    assert [type(part) for part in network.modules()] == [type(part) for part in plain.modules()]
    assert all(parameter.requires_grad for parameter in network.parameters())
    set_state(plain, state_of(network))
    assert torch.equal(plain.eval()(image), adapted)
    assert torch.equal(averaged(image), adapted), "a copy, as that of the running average, keeps its own adapters"
    tuning.finish(averaged)
    assert torch.equal(averaged(image), adapted)


def test_the_change_of_a_weight_has_the_rank_and_the_scale() -> None:
    network, tuning = resnet(), LowRank(SETTINGS.parts.stages, 3, 12.0)
    before = network.layer4[0].conv1.weight.detach().clone()
    tuning.prepare(network, seed=0)
    adapter = network.layer4[0].conv1.parametrizations.weight[0]
    with torch.no_grad():
        adapter.up.normal_()
    wanted = 4.0 * (adapter.up @ adapter.down)
    tuning.finish(network)
    change = (network.layer4[0].conv1.weight.detach() - before).reshape(16, -1)
    assert torch.linalg.matrix_rank(change, rtol=1e-4) == 3
    assert torch.allclose(change, wanted, atol=1e-5)


def test_the_seed_decides_how_adapters_start_and_the_callers_seed_stays() -> None:
    starts = []
    for seed in (0, 0, 1):
        network = resnet()
        torch.manual_seed(7)
        LowRank(SETTINGS.parts.stages, 2, 4.0).prepare(network, seed=seed)
        assert torch.initial_seed() == 7
        starts.append(network.layer1[0].conv1.parametrizations.weight[0].down.detach())
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], starts[2])


def test_a_training_goes_on_from_what_state_of_holds(image: Any) -> None:
    network, tuning = resnet(), LowRank(SETTINGS.parts.stages, 2, 4.0)
    tuning.prepare(network, seed=0)
    trained(network, tuning, image)
    kept = {name: tensor.clone() for name, tensor in state_of(network).items()}
    other = resnet()
    tuning.prepare(other, seed=5)
    set_state(other, kept)
    assert torch.equal(other.eval()(image), network(image))


def test_linear_layers_of_a_transformer_take_adapters() -> None:
    torch.manual_seed(0)
    blocks = [nn.TransformerEncoderLayer(16, 2, 32, batch_first=True) for _ in range(2)]
    network = nn.Sequential(nn.Linear(4, 16), *blocks, nn.Linear(16, 2)).eval()
    stages: Stages = (("stem", ("0",)), ("block 1", ("1",)), ("block 2", ("2",)), ("head", ("3",)))
    tuning, tokens = LowRank(stages, 2, 4.0), torch.randn(2, 5, 4)
    before = network(tokens)
    tuning.prepare(network, seed=0)
    assert torch.allclose(network(tokens), before, atol=1e-6)  # torch fuses a block where it is plain
    adapted = {name.split(".parametrizations")[0] for name, _ in network.named_parameters() if name.endswith("0.up")}
    assert adapted >= {"0", "1.self_attn.out_proj", "1.linear1", "2.linear2"}
    assert "3" not in adapted
    told = summary(tuning, network)
    assert told[1].startswith("adapters: ")
    assert told[2] == "head: 34 parameters, rate 1"
    tuning.finish(network)
    assert torch.equal(network(tokens), before)


def test_a_vision_transformer_takes_adapters_in_its_attention() -> None:
    settings = ViT(image_size=(16, 16), patch_size=(8, 8), channels=12, blocks=1, heads=3)
    torch.manual_seed(0)
    network = settings.build(in_channels=1, out_channels=2, dimensions=2).eval()
    tuning, image = LowRank(settings.parts.stages, 2, 4.0), torch.randn(1, 1, 16, 16)
    before = network(image)
    tuning.prepare(network, seed=0)
    assert torch.equal(network(image), before)
    assert "blocks.0.attn.qkv.parametrizations.weight.0.up" in dict(network.named_parameters())
    tuning.begin_epoch(network.train(), 0.0)
    trained = {name for name, part in network.named_parameters() if part.requires_grad}
    assert all("weight.0." in name or name.startswith("classification_head") for name in trained)
    assert {"classification_head.weight", "classification_head.bias"} <= trained
    tuning.finish(network.eval())
    assert torch.equal(network(image), before)


def test_modules_that_a_unet_holds_twice_are_adapted_and_merged_once() -> None:
    settings = DynUNet(channels=(8, 8, 16))
    torch.manual_seed(0)
    network = settings.build(in_channels=1, out_channels=2, dimensions=2).eval()
    tuning = LowRank(settings.parts.stages, 2, 4.0)
    tuning.prepare(network, seed=0)
    with torch.no_grad():
        network.bottleneck.conv1.conv.parametrizations.weight[0].up.normal_()
    image = torch.randn(1, 1, 16, 16)
    adapted = network(image)
    tuning.finish(network)
    assert torch.equal(network(image), adapted)
    assert not [name for name in network.state_dict() if "parametrizations" in name]


def test_a_rank_that_saves_nothing_is_refused_with_the_ones_that_do() -> None:
    with pytest.raises(UsageError, match=r"Choose lora:r=1 to lora:r=14"):
        LowRank(SETTINGS.parts.stages, 15, 4.0).prepare(resnet(), seed=0)
    LowRank(SETTINGS.parts.stages, 14, 4.0).prepare(resnet(), seed=0)


def test_a_network_without_such_layers_is_refused() -> None:
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Linear(3, 2))
    with pytest.raises(UsageError, match="has none that it fits") as caught:
        LowRank((("norm", ("0",)), ("head", ("1",))), 1, 1.0).prepare(network, seed=0)
    assert "last:N" in str(caught.value)


@pytest.mark.parametrize(("rank", "alpha"), [(0, 1.0), (1, 0.0), (1, float("nan"))])
def test_a_rank_or_scale_that_is_none_is_refused(rank: int, alpha: float) -> None:
    with pytest.raises(UsageError, match="above 0"):
        LowRank(SETTINGS.parts.stages, rank, alpha)
