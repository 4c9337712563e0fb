"""The modules of a U-Net whose every stage is planned: plain or residual on the way down, plain on the way up."""

from __future__ import annotations

import functools
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from medvision.networks.norms import Norm, with_norm

Row = tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """What each stage is like, from full resolution to the coarsest.

    Parameters
    ----------
    channels, blocks, strides, kernels
        Of each stage: its feature maps; how many convolutions, or residual blocks, it has; by how much its first one
        reduces each axis; the size of its kernels.
    decoder
        How many convolutions each stage of the decoder has, from the coarsest.
    residual
        Whether the encoder has residual blocks, behind a stem of one convolution.
    norm, dropout, bias, slope
        See :class:`medvision.networks.PlainUNet`.
    """

    channels: Row
    blocks: Row
    decoder: Row
    strides: tuple[Row, ...]
    kernels: tuple[Row, ...]
    residual: bool
    norm: Norm
    dropout: float
    bias: bool
    slope: float

    @property
    def dimensions(self) -> int:
        """Number of spatial axes."""
        return len(self.kernels[0])

    @property
    def once(self) -> Row:
        """A kernel of one voxel, or no stride."""
        return (1,) * self.dimensions


def unet(plan: Plan, in_channels: int, out_channels: int, *, deep_supervision: bool) -> Any:
    """Return the module with fresh weights: (B, in_channels, *spatial) to logits (B, out_channels, *spatial).

    With `deep_supervision`, all stages of the decoder but the coarsest give logits while it is trained, the finest
    first; of a decoder of two, both do. Their heads are drawn last, so that all other weights are the same without.
    """
    network = with_norm(_unet_class()(plan, in_channels, out_channels), plan.norm, plan.dimensions)
    _draw_weights(network, plan)
    stages = len(plan.channels)
    heads = max(stages - 3, min(stages - 2, 1)) if deep_supervision else 0
    if heads:
        _draw_weights(network.supervise(plan, out_channels, heads), plan)
    return network


def _draw_weights(network: Any, plan: Plan) -> None:
    """Draw all weights (He et al., ICCV 2015); the last scale of a residual block is 0, so that it is its shortcut."""
    from torch import nn

    for part in network.modules():
        if isinstance(part, nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d):
            nn.init.kaiming_normal_(part.weight, a=plan.slope)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, _residual_class()):
            nn.init.zeros_(part.second.norm.weight)


def _convolution(
    plan: Plan, channels: tuple[int, int], kernel: Row, stride: Row, *, bias: bool, dropout: float = 0.0
) -> Any:
    """Return a convolution that keeps the grid where it has no stride, then dropout where there is any, and a norm."""
    from torch import nn

    flat = plan.dimensions == 2
    same = [side // 2 for side in kernel]
    layers = OrderedDict(conv=(nn.Conv2d if flat else nn.Conv3d)(*channels, kernel, stride, same, bias=bias))
    if dropout:
        layers["drop"] = (nn.Dropout2d if flat else nn.Dropout3d)(dropout)
    layers["norm"] = (nn.InstanceNorm2d if flat else nn.InstanceNorm3d)(channels[1], affine=True)
    return nn.Sequential(layers)


def _active(plan: Plan, channels: tuple[int, int], kernel: Row, stride: Row) -> Any:
    """Return a convolution with norm and activation."""
    from torch import nn

    layers = _convolution(plan, channels, kernel, stride, bias=plan.bias, dropout=plan.dropout)
    layers.add_module("active", nn.LeakyReLU(plan.slope, inplace=True))
    return layers


def _stage(plan: Plan, block: Any, channels: tuple[int, int], blocks: int, kernel: Row, stride: Row) -> Any:
    """Return blocks in a row, of which the first widens and reduces."""
    from torch import nn

    wide = (channels[1], channels[1])
    rest = [block(plan, wide, kernel, plan.once) for _ in range(blocks - 1)]
    return nn.Sequential(block(plan, channels, kernel, stride), *rest)


def _point(plan: Plan, in_channels: int, out_channels: int) -> Any:
    """Return the convolution of size 1 that gives logits."""
    from torch import nn

    return (nn.Conv2d if plan.dimensions == 2 else nn.Conv3d)(in_channels, out_channels, 1)


# The classes are made late since torch is, and once, so that copies are of one type.


@functools.cache
def _residual_class() -> Any:
    from torch import nn

    class Residual(nn.Module):  # type: ignore[misc]
        """Two convolutions beside a shortcut, which averages where there is a stride."""

        def __init__(self, plan: Plan, channels: tuple[int, int], kernel: Row, stride: Row) -> None:
            super().__init__()
            wide = (channels[1], channels[1])
            self.first = _active(plan, channels, kernel, stride)
            self.second = _convolution(plan, wide, kernel, plan.once, bias=plan.bias)
            shortcut = OrderedDict()
            if max(stride) > 1:
                shortcut["pool"] = (nn.AvgPool2d if plan.dimensions == 2 else nn.AvgPool3d)(stride, stride)
            if channels[0] != channels[1]:
                shortcut.update(_convolution(plan, channels, plan.once, plan.once, bias=False).named_children())
            self.shortcut = nn.Sequential(shortcut)
            self.active = nn.LeakyReLU(plan.slope, inplace=True)

        def forward(self, features: Any) -> Any:
            return self.active(self.second(self.first(features)) + self.shortcut(features))

    return Residual


@functools.cache
def _unet_class() -> Any:
    import torch
    from torch import nn

    class UNet(nn.Module):  # type: ignore[misc]
        def __init__(self, plan: Plan, in_channels: int, out_channels: int) -> None:
            super().__init__()
            width = in_channels
            self.stem = nn.Identity()
            if plan.residual:
                self.stem = _active(plan, (width, plan.channels[0]), plan.kernels[0], plan.once)
                width = plan.channels[0]
            self.encoder, self.up, self.decoder = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
            block = _residual_class() if plan.residual else _active
            down = zip(plan.channels, plan.blocks, plan.kernels, plan.strides, strict=True)
            for wide, blocks, kernel, stride in down:
                self.encoder.append(_stage(plan, block, (width, wide), blocks, kernel, stride))
                width = wide
            transposed = nn.ConvTranspose2d if plan.dimensions == 2 else nn.ConvTranspose3d
            up = zip(plan.channels[-2::-1], plan.decoder, plan.kernels[-2::-1], plan.strides[::-1], strict=False)
            for wide, blocks, kernel, stride in up:
                self.up.append(transposed(width, wide, stride, stride, bias=plan.bias))
                self.decoder.append(_stage(plan, _active, (2 * wide, wide), blocks, kernel, plan.once))
                width = wide
            self.head = _point(plan, width, out_channels)

        def supervise(self, plan: Plan, out_channels: int, heads: int) -> Any:
            """Add what gives logits of the coarser stages, and return it."""
            coarser = [_point(plan, wide, out_channels) for wide in plan.channels[1 : heads + 1]]
            self.deep_supervision_heads = nn.ModuleList(coarser)
            return self.deep_supervision_heads

        def forward(self, image: Any) -> Any:
            features = self.stem(image)
            ways = []
            for stage in self.encoder:
                features = stage(features)
                ways.append(features)
            answers = ways[-1:]
            for up, stage, way in zip(self.up, self.decoder, reversed(ways[:-1]), strict=True):
                answers.append(stage(torch.cat((up(answers[-1]), way), 1)))
            if not self.training or not hasattr(self, "deep_supervision_heads"):
                return self.head(answers[-1])
            coarser = zip(self.deep_supervision_heads, reversed(answers[:-1]), strict=False)
            return [self.head(answers[-1]), *(head(features) for head, features in coarser)]

    return UNet
