"""Networks that give every voxel its label."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

from pydantic import Field, PositiveInt
from pydantic.dataclasses import dataclass

from medvision.frameworks import monai_module
from medvision.networks.deep import deeply_supervised
from medvision.networks.norms import Norm, with_norm
from medvision.parts import Parts
from medvision.strict import STRICT


@dataclass(frozen=True, config=STRICT)
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
    strides
        By how much each stage after the first reduces each axis, 1 or 2; None halves every axis at every stage. For
        voxels that are much longer along one axis than along the others.
    kernels
        Size of each stage's kernels along each axis, 1 or 3; None takes 3.
    norm
        ``"instance"``, ``"batch"``, or ``"group"`` with up to 8 groups.

    Raises
    ------
    ValueError
        `strides` or `kernels` do not fit the number of stages, or the axes.
    """

    tasks: ClassVar[tuple[str, ...]] = ("segmentation",)
    use: Literal["dynunet"] = "dynunet"
    channels: tuple[PositiveInt, ...] = Field(default=(32, 64, 128, 256), min_length=3)
    residual: bool = True
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    strides: tuple[tuple[Literal[1, 2], ...], ...] | None = None
    kernels: tuple[tuple[Literal[1, 3], ...], ...] | None = None
    norm: Norm = "instance"

    def __post_init__(self) -> None:
        stages = len(self.channels)
        for name, rows, wanted in (("strides", self.strides, stages - 1), ("kernels", self.kernels, stages)):
            if rows is not None and (len(rows) != wanted or {len(row) for row in rows} not in ({2}, {3})):
                raise ValueError(f"{name} has {wanted} rows for {stages} stages, each with a number for every axis")

    @property
    def divisor(self) -> int | tuple[int, ...]:
        """The multiple that every side of the input must be; one for each axis where `strides` differ."""
        if self.strides is not None:
            return tuple(math.prod(axis) for axis in zip(*self.strides, strict=True))
        return int(2 ** (len(self.channels) - 1))

    @property
    def parts(self) -> Parts:
        """The stages from stem to head: encoder with bottleneck, decoder, and what gives the logits."""
        depth = len(self.channels) - 2
        down = [(f"encoder {n + 1}", (f"downsamples.{n}",)) for n in range(depth)]
        up = [(f"decoder {n + 1}", (f"upsamples.{n}",)) for n in range(depth + 1)]
        head = ("head", ("output_block", "deep_supervision_heads"))
        encoder = (("stem", ("input_block",)), *down, ("bottleneck", ("bottleneck",)))
        image = ("input_block.conv1.conv.weight", "input_block.conv3.conv.weight")
        return Parts((*encoder, *up, head), encoding=len(encoder), image=image)

    def build(self, *, in_channels: int, out_channels: int, dimensions: int, deep_supervision: bool = False) -> Any:
        """Return the module: (B, in_channels, *spatial) to logits (B, out_channels, *spatial).

        With `deep_supervision`, it gives a list of logits while it is trained, the finest first; see
        :func:`medvision.networks.deep.plain_state` for its weights.
        """
        stages = len(self.channels)
        strides = [[2] * dimensions] * (stages - 1) if self.strides is None else [list(row) for row in self.strides]
        kernels = [[3] * dimensions] * stages if self.kernels is None else [list(row) for row in self.kernels]
        given = {
            "spatial_dims": dimensions,
            "in_channels": in_channels,
            "out_channels": out_channels,
            "kernel_size": kernels,
            "strides": [[1] * dimensions, *strides],
            "upsample_kernel_size": strides,
            "filters": list(self.channels),
            "res_block": self.residual,
            "dropout": self.dropout or None,
            "norm_name": ("INSTANCE", {"affine": True}),
        }
        network = deeply_supervised(given) if deep_supervision else monai_module("networks.nets").DynUNet(**given)
        return with_norm(network, self.norm, dimensions)


@dataclass(frozen=True, config=STRICT)
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
    norm
        ``"group"`` with 8 groups, ``"instance"`` or ``"batch"``.

    Raises
    ------
    ValueError
        `blocks_up` does not have one number fewer than `blocks_down`.
    """

    tasks: ClassVar[tuple[str, ...]] = ("segmentation",)
    use: Literal["segresnet"] = "segresnet"
    channels: int = Field(default=16, ge=8, multiple_of=8)
    blocks_down: tuple[PositiveInt, ...] = Field(default=(1, 2, 2, 4), min_length=2)
    blocks_up: tuple[PositiveInt, ...] = (1, 1, 1)
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    norm: Norm = "group"

    def __post_init__(self) -> None:
        if len(self.blocks_up) != len(self.blocks_down) - 1:
            raise ValueError("blocks_up has one number fewer than blocks_down")

    @property
    def divisor(self) -> int:
        """The multiple that every side of the input must be."""
        return int(2 ** (len(self.blocks_down) - 1))

    @property
    def parts(self) -> Parts:
        """The stages from stem to head: encoder, decoder with the norm behind it, and what gives the logits."""
        down = [(f"encoder {n}", (f"down_layers.{n}",)) for n in range(1, len(self.blocks_down))]
        behind = [()] * (len(self.blocks_up) - 1) + [("conv_final.0",)]
        up = [(f"decoder {n + 1}", (f"up_samples.{n}", f"up_layers.{n}", *further)) for n, further in enumerate(behind)]
        encoder = (("stem", ("convInit", "down_layers.0")), *down)
        stages = (*encoder, *up, ("head", ("conv_final.2",)))
        return Parts(stages, encoding=len(encoder), image=("convInit.conv.weight",))

    def build(self, *, in_channels: int, out_channels: int, dimensions: int) -> Any:
        """Return the module: (B, in_channels, *spatial) to logits (B, out_channels, *spatial)."""
        network = monai_module("networks.nets").SegResNet(
            spatial_dims=dimensions,
            init_filters=self.channels,
            in_channels=in_channels,
            out_channels=out_channels,
            blocks_down=self.blocks_down,
            blocks_up=self.blocks_up,
            dropout_prob=self.dropout or None,
        )
        return with_norm(network, self.norm, dimensions)
