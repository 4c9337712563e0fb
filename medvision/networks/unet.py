"""U-Nets as nnU-Net makes them: how deep and wide, with which kernels and strides, a plan says for every stage."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field, PositiveInt
from pydantic.dataclasses import dataclass

from medvision.networks.norms import Norm
from medvision.networks.unet_modules import Plan, unet
from medvision.parts import Parts
from medvision.strict import STRICT

Rows = tuple[tuple[PositiveInt, ...], ...]
Kernels = tuple[tuple[Literal[1, 3, 5, 7], ...], ...]


@dataclass(frozen=True, config=STRICT)
class PlainUNet:
    """The U-Net of nnU-Net (Isensee et al., Nature Methods 2021) as its version 2 builds it, with plain convolutions.

    Parameters
    ----------
    use
        ``"plain-unet"``.
    channels
        Feature maps of each stage, two or more, the first at full resolution.
    convolutions
        How many each stage of the encoder has; None takes 2.
    decoder
        How many convolutions each stage of the decoder has, from the coarsest; None takes 2.
    strides
        By how much each stage after the first reduces each axis; None halves every axis at every stage.
    kernels
        Size of each stage's kernels along each axis, an odd number; None takes 3.
    norm
        ``"instance"``, ``"batch"``, or ``"group"`` with up to 8 groups.
    dropout
        Share of features dropped behind each convolution, 0 to 1.
    bias
        Whether convolutions have a bias.
    slope
        Of the activation for values below 0; 0 is a ReLU.

    Raises
    ------
    ValueError
        A list does not fit the number of stages, or the axes.
    """

    tasks: ClassVar[tuple[str, ...]] = ("segmentation",)
    use: Literal["plain-unet"] = "plain-unet"
    channels: tuple[PositiveInt, ...] = Field(default=(32, 64, 128, 256), min_length=2)
    convolutions: tuple[PositiveInt, ...] | None = None
    decoder: tuple[PositiveInt, ...] | None = None
    strides: Rows | None = None
    kernels: Kernels | None = None
    norm: Norm = "instance"
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    bias: bool = True
    slope: float = Field(default=0.01, ge=0.0, lt=1.0)

    def __post_init__(self) -> None:
        stages = len(self.channels)
        given = (("convolutions", self.convolutions, stages), ("decoder", self.decoder, stages - 1))
        _refuse([*_lengths(given), *_rows(stages, self.strides, self.kernels)])

    @property
    def divisor(self) -> int | tuple[int, ...]:
        """The multiple that every side of the input must be; one for each axis where `strides` are given."""
        return _divisor(len(self.channels), self.strides)

    @property
    def parts(self) -> Parts:
        """The stages from stem to head: encoder, decoder from the coarsest stage, and what gives the logits."""
        stages = len(self.channels)
        encoder = (("stem", ("encoder.0",)), *((f"encoder {n}", (f"encoder.{n}",)) for n in range(1, stages)))
        return _parts(encoder, stages, "encoder.0.0.conv.weight")

    def build(self, *, in_channels: int, out_channels: int, dimensions: int, deep_supervision: bool = False) -> Any:
        """Return the module: (B, in_channels, *spatial) to logits (B, out_channels, *spatial).

        With `deep_supervision`, it gives a list of logits while it is trained, the finest first; see
        :func:`medvision.networks.deep.plain_state` for its weights.
        """
        stages = len(self.channels)
        plan = Plan(
            channels=self.channels,
            blocks=self.convolutions or (2,) * stages,
            decoder=self.decoder or (2,) * (stages - 1),
            strides=_strides(stages, self.strides, dimensions),
            kernels=self.kernels or ((3,) * dimensions,) * stages,
            residual=False,
            norm=self.norm,
            dropout=self.dropout,
            bias=self.bias,
            slope=self.slope,
        )
        return unet(plan, in_channels, out_channels, deep_supervision=deep_supervision)


@dataclass(frozen=True, config=STRICT)
class ResEncUNet:
    """The U-Net with a residual encoder of nnU-Net (Isensee et al., MICCAI 2024): residual blocks down, plain ones up.

    A shortcut of a block with a stride averages, and then a convolution of size 1 changes the number of feature maps
    (He et al., Bag of Tricks, CVPR 2019).

    Parameters
    ----------
    use
        ``"resenc-unet"``.
    channels
        Feature maps of each stage, two or more, the first at full resolution.
    blocks
        How many residual blocks each stage of the encoder has; None takes 1, 3, 4, and 6 for all further ones.
    decoder
        How many convolutions each stage of the decoder has, from the coarsest; None takes 1.
    strides
        By how much each stage after the first reduces each axis; None halves every axis at every stage.
    kernels
        Size of each stage's kernels along each axis, an odd number; None takes 3.
    norm
        ``"instance"``, ``"batch"``, or ``"group"`` with up to 8 groups.
    dropout
        Share of features dropped behind the first convolution of each block, 0 to 1.
    bias
        Whether convolutions have a bias; those of shortcuts have none.
    slope
        Of the activation for values below 0; 0 is a ReLU.

    Raises
    ------
    ValueError
        A list does not fit the number of stages, or the axes.
    """

    tasks: ClassVar[tuple[str, ...]] = ("segmentation",)
    use: Literal["resenc-unet"] = "resenc-unet"
    channels: tuple[PositiveInt, ...] = Field(default=(32, 64, 128, 256), min_length=2)
    blocks: tuple[PositiveInt, ...] | None = None
    decoder: tuple[PositiveInt, ...] | None = None
    strides: Rows | None = None
    kernels: Kernels | None = None
    norm: Norm = "instance"
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    bias: bool = True
    slope: float = Field(default=0.01, ge=0.0, lt=1.0)

    def __post_init__(self) -> None:
        stages = len(self.channels)
        given = (("blocks", self.blocks, stages), ("decoder", self.decoder, stages - 1))
        _refuse([*_lengths(given), *_rows(stages, self.strides, self.kernels)])

    @property
    def divisor(self) -> int | tuple[int, ...]:
        """The multiple that every side of the input must be; one for each axis where `strides` are given."""
        return _divisor(len(self.channels), self.strides)

    @property
    def parts(self) -> Parts:
        """The stages from stem to head: encoder, decoder from the coarsest stage, and what gives the logits."""
        stages = len(self.channels)
        encoder = (("stem", ("stem",)), *((f"encoder {n + 1}", (f"encoder.{n}",)) for n in range(stages)))
        return _parts(encoder, stages, "stem.conv.weight")

    def build(self, *, in_channels: int, out_channels: int, dimensions: int, deep_supervision: bool = False) -> Any:
        """Return the module: (B, in_channels, *spatial) to logits (B, out_channels, *spatial).

        With `deep_supervision`, it gives a list of logits while it is trained, the finest first; see
        :func:`medvision.networks.deep.plain_state` for its weights.
        """
        stages = len(self.channels)
        plan = Plan(
            channels=self.channels,
            blocks=self.blocks or (1, 3, 4, *(6,) * stages)[:stages],
            decoder=self.decoder or (1,) * (stages - 1),
            strides=_strides(stages, self.strides, dimensions),
            kernels=self.kernels or ((3,) * dimensions,) * stages,
            residual=True,
            norm=self.norm,
            dropout=self.dropout,
            bias=self.bias,
            slope=self.slope,
        )
        return unet(plan, in_channels, out_channels, deep_supervision=deep_supervision)


def _refuse(faults: Sequence[str]) -> None:
    if faults:
        raise ValueError("; ".join(faults))


def _lengths(given: Sequence[tuple[str, Sequence[int] | None, int]]) -> Iterator[str]:
    for name, numbers, wanted in given:
        if numbers is not None and len(numbers) != wanted:
            yield f"{name} has {wanted} numbers for as many stages, got {len(numbers)}"


def _rows(stages: int, strides: Rows | None, kernels: Kernels | None) -> Iterator[str]:
    for name, rows, wanted in (("strides", strides, stages - 1), ("kernels", kernels, stages)):
        if rows is not None and (len(rows) != wanted or {len(row) for row in rows} not in ({2}, {3})):
            yield f"{name} has {wanted} rows for {stages} stages, each with a number for every axis"


def _divisor(stages: int, strides: Rows | None) -> int | tuple[int, ...]:
    if strides is not None:
        return tuple(math.prod(axis) for axis in zip(*strides, strict=True))
    return int(2 ** (stages - 1))


def _strides(stages: int, strides: Rows | None, dimensions: int) -> Rows:
    return ((1,) * dimensions, *(strides or ((2,) * dimensions,) * (stages - 1)))


def _parts(encoder: tuple[tuple[str, tuple[str, ...]], ...], stages: int, image: str) -> Parts:
    up = [(f"decoder {n + 1}", (f"up.{n}", f"decoder.{n}")) for n in range(stages - 1)]
    head = ("head", ("head", "deep_supervision_heads"))
    return Parts((*encoder, *up, head), encoding=len(encoder), image=(image,))
