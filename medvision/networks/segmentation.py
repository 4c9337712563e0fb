"""Networks that give every voxel its label."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field, PositiveInt
from pydantic.dataclasses import dataclass

from medvision.frameworks import monai_module


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class DynUNet:
    """The U-Net of nnU-Net (Isensee et al., Nature Methods 2021), here with residual blocks (MONAI ``DynUNet``).

    Parameters
    ----------
    use
        ``"dynunet"``.
    channels
        Feature maps of each stage, three or more, the first at full resolution; every further stage halves the grid.
    residual
        Residual instead of plain double convolutions.
    dropout
        Share of features dropped in each block, 0 to 1.
    """

    task: ClassVar[str] = "segmentation"

    use: Literal["dynunet"] = "dynunet"
    channels: tuple[PositiveInt, ...] = Field(default=(32, 64, 128, 256), min_length=3)
    residual: bool = True
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)

    @property
    def divisor(self) -> int:
        """The multiple that every side of the input must be."""
        return int(2 ** (len(self.channels) - 1))

    def build(self, *, in_channels: int, out_channels: int, dimensions: int) -> Any:
        """Return the module: (B, in_channels, *spatial) to logits (B, out_channels, *spatial)."""
        stages = len(self.channels)
        return monai_module("networks.nets").DynUNet(
            spatial_dims=dimensions,
            in_channels=in_channels,
            out_channels=out_channels,
            kernel_size=[3] * stages,
            strides=[1] + [2] * (stages - 1),
            upsample_kernel_size=[2] * (stages - 1),
            filters=list(self.channels),
            res_block=self.residual,
            dropout=self.dropout or None,
            norm_name=("INSTANCE", {"affine": True}),
        )


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class SegResNet:
    """The encoder-decoder of Myronenko (BrainLes 2018) without its autoencoder branch (MONAI ``SegResNet``).

    Parameters
    ----------
    use
        ``"segresnet"``.
    channels
        Feature maps of the first stage; every further stage doubles them and halves the grid.
    blocks_down, blocks_up
        Residual blocks of each encoder and each decoder stage.
    dropout
        Share of features dropped after the first convolution, 0 to 1.
    """

    task: ClassVar[str] = "segmentation"

    use: Literal["segresnet"] = "segresnet"
    channels: int = Field(default=16, ge=8, multiple_of=8)
    blocks_down: tuple[PositiveInt, ...] = Field(default=(1, 2, 2, 4), min_length=2)
    blocks_up: tuple[PositiveInt, ...] = (1, 1, 1)
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)

    def __post_init__(self) -> None:
        if len(self.blocks_up) != len(self.blocks_down) - 1:
            raise ValueError("blocks_up has one number fewer than blocks_down")

    @property
    def divisor(self) -> int:
        """The multiple that every side of the input must be."""
        return int(2 ** (len(self.blocks_down) - 1))

    def build(self, *, in_channels: int, out_channels: int, dimensions: int) -> Any:
        """Return the module: (B, in_channels, *spatial) to logits (B, out_channels, *spatial)."""
        return monai_module("networks.nets").SegResNet(
            spatial_dims=dimensions,
            init_filters=self.channels,
            in_channels=in_channels,
            out_channels=out_channels,
            blocks_down=self.blocks_down,
            blocks_up=self.blocks_up,
            dropout_prob=self.dropout or None,
        )
