"""How a network normalises its features, whichever way its architecture was first written."""

from __future__ import annotations

import math
from typing import Any, Literal

Norm = Literal["instance", "batch", "group"]
"""Over each image's voxels, over those of the batch, or over those of each image and of a group of its channels."""

_GROUPS = 8


def with_norm(network: Any, norm: Norm, dimensions: int) -> Any:
    """Return `network` with every norm of its features of the kind `norm`; layer norms of transformers stay.

    MONAI's networks take a norm, but not all pass it on: its ``ResNet`` gives it to the first layer alone. So fresh
    layers take the place of those there are, under the same names. All have a scale and a shift to be learnt, and none
    draws a number, so the other weights are the same whichever norm is chosen. A group norm has 8 groups, or the
    greatest number that divides 8 and the channels.
    """
    fresh: dict[int, Any] = {}
    for module in list(network.modules()):
        for name, child in module.named_children():
            channels = _channels(child, norm)
            if channels is not None:
                # a layer that two modules share stays shared: its name must not lead to two sets of weights
                setattr(module, name, fresh.setdefault(id(child), _layer(norm, channels, dimensions)))
    return network


def _channels(layer: Any, norm: Norm) -> int | None:
    """Return the channels of a norm that is of another kind than `norm`; None for every other layer."""
    from torch import nn

    kinds: dict[Norm, Any] = {
        "instance": nn.InstanceNorm2d | nn.InstanceNorm3d,
        "batch": nn.BatchNorm2d | nn.BatchNorm3d,
        "group": nn.GroupNorm,
    }
    kind = next((name for name, types in kinds.items() if isinstance(layer, types)), None)
    if kind is None or kind == norm:
        return None
    return int(layer.num_channels if kind == "group" else layer.num_features)


def _layer(norm: Norm, channels: int, dimensions: int) -> Any:
    from torch import nn

    if norm == "group":
        return nn.GroupNorm(math.gcd(_GROUPS, channels), channels)
    if norm == "instance":
        return (nn.InstanceNorm2d if dimensions == 2 else nn.InstanceNorm3d)(channels, affine=True)
    return (nn.BatchNorm2d if dimensions == 2 else nn.BatchNorm3d)(channels)
