"""The U-Net of residual units that many published bundles use."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

from pydantic import Field, PositiveInt
from pydantic.dataclasses import dataclass

from medvision.frameworks import monai_module
from medvision.networks.norms import Norm, with_norm
from medvision.parts import Parts
from medvision.strict import STRICT


@dataclass(frozen=True, config=STRICT)
class ResidualUNet:
    """A U-Net of residual units with strided convolutions (Kerfoot et al., STACOM 2018; MONAI ``UNet``).

    Parameters
    ----------
    use
        ``"residual-unet"``.
    channels
        Feature maps of each stage, two or more; the last one is the bottleneck.
    strides
        By how much each stage but the last reduces each axis; None halves every axis at every stage.
    units
        Convolutions of each residual unit of the encoder.
    activation
        ``"prelu"`` (its slope is learnt), ``"relu"`` or ``"leakyrelu"``.
    norm
        ``"batch"``, ``"instance"``, ``"group"`` with up to 8 groups, or ``"instance-plain"`` without scale and shift.
    dropout
        Share of features dropped behind each convolution, 0 to 1.
    bias
        Whether convolutions have a bias.

    Raises
    ------
    ValueError
        `strides` do not fit the number of stages, or the axes.
    """

    tasks: ClassVar[tuple[str, ...]] = ("segmentation",)
    use: Literal["residual-unet"] = "residual-unet"
    channels: tuple[PositiveInt, ...] = Field(default=(16, 32, 64, 128, 256), min_length=2)
    strides: tuple[tuple[PositiveInt, ...], ...] | None = None
    units: int = Field(default=2, ge=1)
    activation: Literal["prelu", "relu", "leakyrelu"] = "prelu"
    norm: Norm | Literal["instance-plain"] = "batch"
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    bias: bool = True

    def __post_init__(self) -> None:
        stages, rows = len(self.channels), self.strides
        if rows is not None and (len(rows) != stages - 1 or {len(row) for row in rows} not in ({2}, {3})):
            raise ValueError(f"strides has {stages - 1} rows for {stages} stages, each with a number for every axis")

    @property
    def divisor(self) -> int | tuple[int, ...]:
        """The multiple that every side of the input must be; one for each axis where `strides` are given."""
        if self.strides is not None:
            return tuple(math.prod(axis) for axis in zip(*self.strides, strict=True))
        return int(2 ** (len(self.channels) - 1))

    @property
    def parts(self) -> Parts:
        """The stages from stem to head: encoder with bottleneck, decoder, and what gives the logits."""
        depth = len(self.channels) - 1
        levels = ["model" + ".1.submodule" * level for level in range(depth + 1)]
        down = [(f"encoder {level}", (f"{levels[level]}.0",)) for level in range(1, depth)]
        up = [(f"decoder {depth - level}", (f"{levels[level]}.2",)) for level in range(depth - 1, 0, -1)]
        encoder = (("stem", ("model.0",)), *down, ("bottleneck", (levels[depth],)))
        stages = (*encoder, *up, (f"decoder {depth}", ("model.2.0",)), ("head", ("model.2.1",)))
        return Parts(stages, encoding=len(encoder), image=("model.0.conv.unit0.conv.weight", "model.0.residual.weight"))

    def build(self, *, in_channels: int, out_channels: int, dimensions: int) -> Any:
        """Return the module: (B, in_channels, *spatial) to logits (B, out_channels, *spatial)."""
        plain = self.norm == "instance-plain"
        network = monai_module("networks.nets").UNet(
            spatial_dims=dimensions,
            in_channels=in_channels,
            out_channels=out_channels,
            channels=self.channels,
            strides=[2] * (len(self.channels) - 1) if self.strides is None else [list(row) for row in self.strides],
            num_res_units=self.units,
            act=self.activation,
            norm="INSTANCE" if plain else "BATCH",
            dropout=self.dropout,
            bias=self.bias,
        )
        return network if self.norm == "instance-plain" else with_norm(network, self.norm, dimensions)
