"""A norm that is chosen is there in every layer, and changes no other weight."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from medvision.frameworks import monai_module, state_of
from medvision.networks import NETWORKS
from medvision.networks.norms import with_norm

TINY: dict[str, dict[str, Any]] = {
    "dynunet": {"channels": (4, 6, 8)},
    "plain-unet": {"channels": (4, 6, 8)},
    "resenc-unet": {"channels": (4, 6, 8), "blocks": (1, 1, 1)},
    "residual-unet": {"channels": (4, 6, 8)},
    "segresnet": {"channels": 8, "blocks_down": (1, 1), "blocks_up": (1,)},
    "resnet": {"blocks": (1, 1, 1, 1), "channels": (4, 6, 8, 12), "stem_kernel": 3, "stem_stride": 1},
    "densenet": {"blocks": (1, 1), "channels": 4, "growth": 3},
}
KINDS: dict[str, dict[int, Any]] = {
    "instance": {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d},
    "batch": {2: nn.BatchNorm2d, 3: nn.BatchNorm3d},
    "group": {2: nn.GroupNorm, 3: nn.GroupNorm},
}
DEFAULT = {
    "dynunet": "instance",
    "plain-unet": "instance",
    "resenc-unet": "instance",
    "residual-unet": "batch",
    "segresnet": "group",
    "resnet": "batch",
    "densenet": "batch",
}


def built(name: str, dimensions: int = 2, **given: Any) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        settings: Any = NETWORKS[name](**TINY[name], **given)
        return settings.build(in_channels=1, out_channels=2, dimensions=dimensions)


def norms(network: Any) -> list[Any]:
    return [part for part in network.modules() if "Norm" in type(part).__name__]


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("norm", sorted(KINDS))
@pytest.mark.parametrize("name", sorted(TINY))
def test_every_norm_of_a_network_is_of_the_kind_chosen(name: str, norm: str, dimensions: int) -> None:
    network = built(name, dimensions, norm=norm)
    assert {type(part) for part in norms(network)} == {KINDS[norm][dimensions]}
    image = torch.rand(2, 1, *(32, 16, 16)[:dimensions])
    assert network.train()(image).isfinite().all()
    assert network.eval()(image).isfinite().all()


@pytest.mark.parametrize("name", sorted(TINY))
def test_the_norm_of_the_architecture_is_the_default_and_left_as_it_was_made(name: str) -> None:
    plain, chosen = built(name), built(name, norm=DEFAULT[name])
    assert getattr(NETWORKS[name](**TINY[name]), "norm", None) == DEFAULT[name]
    assert state_of(plain).keys() == state_of(chosen).keys()
    image = torch.rand(1, 1, 16, 16)
    assert torch.equal(plain.eval()(image), chosen.eval()(image))


@pytest.mark.parametrize("name", sorted(TINY))
def test_the_other_weights_are_the_same_whichever_norm_is_chosen(name: str) -> None:
    states = [state_of(built(name, norm=norm)) for norm in KINDS]
    learnt = [{key for key in state if "running" not in key and "batches" not in key} for state in states]
    assert learnt[0] == learnt[1] == learnt[2]
    for key in learnt[0]:
        assert torch.equal(states[0][key], states[1][key]), key
        assert torch.equal(states[0][key], states[2][key]), key


def test_groups_are_8_or_as_many_as_divide_8_and_the_channels() -> None:
    layers = [nn.BatchNorm2d(channels) for channels in (16, 12, 6, 7)]
    network = with_norm(nn.Sequential(*layers), "group", 2)
    assert [part.num_groups for part in network] == [8, 4, 2, 1]


def test_a_norm_that_modules_share_stays_shared() -> None:
    inner = nn.Sequential(nn.BatchNorm2d(4))
    shared = nn.BatchNorm2d(4)
    network = with_norm(nn.ModuleList([inner, inner, nn.Sequential(shared), nn.Sequential(shared)]), "instance", 2)
    assert network[0][0] is network[1][0]
    assert network[2][0] is network[3][0]
    assert network[0][0] is not network[2][0]


def test_norms_of_tokens_stay() -> None:
    network = with_norm(nn.Sequential(nn.LayerNorm(4), nn.BatchNorm2d(4)), "instance", 2)
    assert isinstance(network[0], nn.LayerNorm)
    assert isinstance(network[1], nn.InstanceNorm2d)


def test_monai_gives_the_norm_of_a_resnet_to_its_first_layer_alone() -> None:
    # the reason why the layers are replaced; when this fails, MONAI's own argument can be used
    theirs = monai_module("networks.nets").ResNet(
        block="basic", layers=[1] * 4, block_inplanes=[4] * 4, spatial_dims=2, norm=("group", {"num_groups": 2})
    )
    assert {type(part) for part in norms(theirs)} == {nn.GroupNorm, nn.BatchNorm2d}
