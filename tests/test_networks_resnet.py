"""A ResNet can be the one that published weights are of, and drops features where it is told to."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from medvision.frameworks import state_of
from medvision.networks import ResNet

NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def published(blocks: tuple[int, ...], convolutions: int) -> set[str]:
    """The names of torchvision's ResNet, of which the first stage of a bottleneck has a shortcut too."""
    names = {"conv1.weight", "fc.weight", "fc.bias", *(f"bn1.{part}" for part in NORM)}
    for stage, count in enumerate(blocks, 1):
        for block in range(count):
            for n in range(1, convolutions + 1):
                names |= {f"layer{stage}.{block}.conv{n}.weight"}
                names |= {f"layer{stage}.{block}.bn{n}.{part}" for part in NORM}
        if stage > 1 or convolutions == 3:
            names |= {f"layer{stage}.0.downsample.0.weight"}
            names |= {f"layer{stage}.0.downsample.1.{part}" for part in NORM}
    return names


@pytest.mark.parametrize(
    ("settings", "convolutions", "parameters"),
    [
        (ResNet(shortcut_bias=False), 2, 11_689_512),
        (ResNet(block="bottleneck", blocks=(3, 4, 6, 3), shortcut_bias=False), 3, 25_557_032),
    ],
    ids=["ResNet-18", "ResNet-50"],
)
def test_names_and_number_of_parameters_are_those_of_the_published_networks(
    settings: ResNet, convolutions: int, parameters: int
) -> None:
    with torch.device("meta"):
        network = settings.build(in_channels=3, out_channels=1000, dimensions=2)
    assert state_of(network).keys() == published(settings.blocks, convolutions)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_the_stride_of_a_bottleneck_is_in_its_middle_convolution() -> None:
    network = small(block="bottleneck")
    assert network.layer2[0].conv1.stride == (1, 1)
    assert network.layer2[0].conv2.stride == (2, 2)
    assert network.fc.in_features == 4 * 4


def test_shortcuts_have_a_bias_as_the_shipped_weights_do_unless_it_is_not_wanted() -> None:
    assert "layer2.0.downsample.0.bias" in state_of(small())
    assert "layer2.0.downsample.0.bias" not in state_of(small(shortcut_bias=False))


def test_dropout_before_the_last_layer_changes_no_name_and_nothing_in_evaluation() -> None:
    plain, dropping, image = small().eval(), small(dropout=0.5).eval(), torch.rand(2, 1, 16, 16)
    assert state_of(plain).keys() == state_of(dropping).keys()
    assert torch.equal(plain(image), dropping(image))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        pooled = dropping.train().avgpool(torch.ones(64, 4, 2, 2))
    assert set(pooled.unique().tolist()) == {0.0, 2.0}
    assert 0.4 < float((pooled == 0).float().mean()) < 0.6


def small(**given: Any) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        settings = ResNet(blocks=(1, 1, 1, 1), channels=(4, 4, 4, 4), stem_kernel=3, stem_stride=1, **given)
        return settings.build(in_channels=1, out_channels=2, dimensions=2)
