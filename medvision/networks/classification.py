"""Networks that give an image its class."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field, PositiveInt
from pydantic.dataclasses import dataclass

from medvision.frameworks import monai_module


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class ResNet:
    """A residual network (He et al., CVPR 2016) with basic blocks, in 2D or 3D (MONAI ``ResNet``).

    Parameters
    ----------
    use
        ``"resnet"``.
    blocks
        Residual blocks of each of the four stages; (2, 2, 2, 2) is ResNet-18.
    channels
        Feature maps of each of the four stages.
    stem_kernel, stem_stride
        Size and stride of the first convolution; 3 and 1 suit pictures below 64 pixels.
    stem_pool
        Whether a max pooling of stride 2 follows the stem, as in the original.
    """

    task: ClassVar[str] = "classification"
    divisor: ClassVar[int] = 1

    use: Literal["resnet"] = "resnet"
    blocks: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (2, 2, 2, 2)
    channels: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (64, 128, 256, 512)
    stem_kernel: int = Field(default=7, ge=1)
    stem_stride: int = Field(default=2, ge=1)
    stem_pool: bool = True

    def build(self, *, in_channels: int, out_channels: int, dimensions: int) -> Any:
        """Return the module: (B, in_channels, *spatial) to logits (B, out_channels)."""
        return monai_module("networks.nets").ResNet(
            block="basic",
            layers=list(self.blocks),
            block_inplanes=list(self.channels),
            spatial_dims=dimensions,
            n_input_channels=in_channels,
            conv1_t_size=self.stem_kernel,
            conv1_t_stride=self.stem_stride,
            no_max_pool=not self.stem_pool,
            num_classes=out_channels,
        )


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
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
    """

    task: ClassVar[str] = "classification"
    divisor: ClassVar[int] = 1

    use: Literal["densenet"] = "densenet"
    blocks: tuple[PositiveInt, ...] = Field(default=(6, 12, 24, 16), min_length=1)
    channels: int = Field(default=64, ge=1)
    growth: int = Field(default=32, ge=1)
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)

    def build(self, *, in_channels: int, out_channels: int, dimensions: int) -> Any:
        """Return the module: (B, in_channels, *spatial) to logits (B, out_channels)."""
        return monai_module("networks.nets").DenseNet(
            spatial_dims=dimensions,
            in_channels=in_channels,
            out_channels=out_channels,
            init_features=self.channels,
            growth_rate=self.growth,
            block_config=self.blocks,
            dropout_prob=self.dropout,
        )
