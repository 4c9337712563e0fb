"""Networks that give an image as a whole its class, its labels or its values."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, PositiveInt
from pydantic.dataclasses import dataclass

from medvision.frameworks import monai_module
from medvision.networks.norms import Norm, with_norm
from medvision.parts import Parts
from medvision.strict import STRICT


@dataclass(frozen=True, config=STRICT)
class ResNet:
    """A residual network (He et al., CVPR 2016), in 2D or 3D (MONAI ``ResNet``).

    With `block` ``"bottleneck"``, `blocks` (3, 4, 6, 3) and no `shortcut_bias` it is torchvision's ResNet-50, name by
    name, with the stride in the middle convolution of a block.

    Parameters
    ----------
    use
        ``"resnet"``.
    blocks
        Residual blocks of each of the four stages; (2, 2, 2, 2) is ResNet-18.
    channels
        Feature maps of each of the four stages; blocks of the kind bottleneck give four times as many on.
    stem_kernel, stem_stride
        Size and stride of the first convolution; 3 and 1 suit pictures below 64 pixels.
    stem_pool
        Whether a max pooling of stride 2 follows the stem, as in the original.
    block
        ``"basic"``: two convolutions of size 3; ``"bottleneck"``: one of size 3 between two of size 1.
    shortcut_bias
        Whether the convolutions of the shortcuts have a bias, as MONAI's; the original and torchvision have none.
    norm
        ``"batch"``, ``"instance"``, or ``"group"`` with up to 8 groups.
    dropout
        Share of features dropped before the last layer, 0 to 1.
    """

    tasks: ClassVar[tuple[str, ...]] = ("classification", "multilabel", "regression")
    divisor: ClassVar[int] = 1
    use: Literal["resnet"] = "resnet"
    blocks: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (2, 2, 2, 2)
    channels: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (64, 128, 256, 512)
    stem_kernel: int = Field(default=7, ge=1)
    stem_stride: int = Field(default=2, ge=1)
    stem_pool: bool = True
    block: Literal["basic", "bottleneck"] = "basic"
    shortcut_bias: bool = True
    norm: Norm = "batch"
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)

    @property
    def parts(self) -> Parts:
        """The stages from stem to head; all before the head are the encoder."""
        inner = ((f"stage {n}", (f"layer{n}",)) for n in range(1, 5))
        stages = (("stem", ("conv1", "bn1")), *inner, ("head", ("fc",)))
        return Parts(stages, encoding=5, image=("conv1.weight",))

    def build(self, *, in_channels: int, out_channels: int, dimensions: int) -> Any:
        """Return the module: (B, in_channels, *spatial) to logits (B, out_channels)."""
        network = monai_module("networks.nets").ResNet(
            block=self.block,
            layers=list(self.blocks),
            block_inplanes=list(self.channels),
            spatial_dims=dimensions,
            n_input_channels=in_channels,
            conv1_t_size=self.stem_kernel,
            conv1_t_stride=self.stem_stride,
            no_max_pool=not self.stem_pool,
            num_classes=out_channels,
            bias_downsample=self.shortcut_bias,
        )
        if self.dropout:
            network.avgpool = _with_dropout(network.avgpool, self.dropout)
        return with_norm(network, self.norm, dimensions)


@dataclass(frozen=True, config=STRICT)
class DenseNet:
    """A densely connected network (Huang et al., CVPR 2017), in 2D or 3D (MONAI ``DenseNet``).

    Parameters
    ----------
    use
        ``"densenet"``.
    blocks
        Layers of each dense block; (6, 12, 24, 16) is DenseNet-121.
    channels
        Feature maps of the first convolution.
    growth
        Feature maps that each layer adds.
    dropout
        Share of features dropped in each layer, 0 to 1.
    norm
        ``"batch"``, ``"instance"``, or ``"group"`` with up to 8 groups.
    """

    tasks: ClassVar[tuple[str, ...]] = ("classification", "multilabel", "regression")
    divisor: ClassVar[int] = 1
    use: Literal["densenet"] = "densenet"
    blocks: tuple[PositiveInt, ...] = Field(default=(6, 12, 24, 16), min_length=1)
    channels: int = Field(default=64, ge=1)
    growth: int = Field(default=32, ge=1)
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    norm: Norm = "batch"

    @property
    def parts(self) -> Parts:
        """The stages from stem to head, the encoder before it; what is behind a dense block is of its stage."""
        last = len(self.blocks)
        behind = [f"transition{n}" for n in range(1, last)] + ["norm5"]
        blocks = [(f"block {n}", (f"features.denseblock{n}", f"features.{behind[n - 1]}")) for n in range(1, last + 1)]
        stages = (("stem", ("features.conv0", "features.norm0")), *blocks, ("head", ("class_layers",)))
        return Parts(stages, encoding=last + 1, image=("features.conv0.weight",))

    def build(self, *, in_channels: int, out_channels: int, dimensions: int) -> Any:
        """Return the module: (B, in_channels, *spatial) to logits (B, out_channels)."""
        network = monai_module("networks.nets").DenseNet(
            spatial_dims=dimensions,
            in_channels=in_channels,
            out_channels=out_channels,
            init_features=self.channels,
            growth_rate=self.growth,
            block_config=self.blocks,
            dropout_prob=self.dropout,
        )
        return with_norm(network, self.norm, dimensions)


def _with_dropout(pool: Any, share: float) -> Any:
    """Return a layer that pools and drops: behind the pool it needs no name of its own in the head's weights."""
    from torch import nn

    return nn.Sequential(pool, nn.Dropout(share))
