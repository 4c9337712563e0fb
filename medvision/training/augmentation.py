"""How samples are varied: the ``[train.augmentation]`` table of a pipeline."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from medvision.strict import STRICT


@dataclass(frozen=True, config=STRICT)
class Probabilities:
    """How often each kind of variation is applied, 0 to 1.

    The defaults are nnU-Net's (version 2), the mean over channels where it leaves channels out by chance; those of
    `shift`, `elastic` and `erase`, which it does not use, are ours.

    Parameters
    ----------
    rotation
        Of a sample.
    scale
        Of a sample.
    shift
        Of a sample.
    elastic
        Of a sample.
    mirror
        Of each of the `mirror_axes`, for each sample.
    noise
        Of a sample.
    blur
        Of each channel of a sample.
    brightness
        Of a sample.
    contrast
        Of a sample.
    low_resolution
        Of each channel of a sample.
    gamma_inverted
        Of a sample; gamma on the values turned over, which stretches the other end of their range.
    gamma
        Of a sample.
    erase
        Of a sample.

    References
    ----------
    Isensee et al., nnU-Net, Nature Methods 18, 203-211, 2021, supplementary note 2, and its code, version 2.
    """

    rotation: float = Field(default=0.2, ge=0.0, le=1.0)
    scale: float = Field(default=0.2, ge=0.0, le=1.0)
    shift: float = Field(default=0.5, ge=0.0, le=1.0)
    elastic: float = Field(default=0.2, ge=0.0, le=1.0)
    mirror: float = Field(default=0.5, ge=0.0, le=1.0)
    noise: float = Field(default=0.1, ge=0.0, le=1.0)
    blur: float = Field(default=0.1, ge=0.0, le=1.0)
    brightness: float = Field(default=0.15, ge=0.0, le=1.0)
    contrast: float = Field(default=0.15, ge=0.0, le=1.0)
    low_resolution: float = Field(default=0.125, ge=0.0, le=1.0)
    gamma_inverted: float = Field(default=0.1, ge=0.0, le=1.0)
    gamma: float = Field(default=0.3, ge=0.0, le=1.0)
    erase: float = Field(default=0.25, ge=0.0, le=1.0)


@dataclass(frozen=True, config=STRICT)
class Augmentation:
    """How samples are varied; every parameter is drawn anew for each sample.

    The defaults are near nnU-Net's for volumes.

    Parameters
    ----------
    strength
        How much of all of it: 0 varies nothing, 1 is what the other settings say. Amounts (degrees, shares,
        deviations) are multiplied by it; a relative change r becomes 1 - (1 - r)^strength, and a probability p becomes
        1 - (1 - p)^strength, as if there were so many chances. Only mirroring never becomes more frequent.
    rotation_degrees
        Largest rotation about each axis.
    rotation_axes
        Axes (0, 1, 2) of the network's grid about which a volume is turned; None takes all. Where slices are thick,
        only their normal.
    scale
        Largest relative change of size; 0.2 draws from 0.8 to 1 or from 1 to 1 / 0.8, either half of the time.
    scale_each_axis
        Whether the size of each axis changes on its own.
    shift
        Largest shift along each axis, as a share of the sample's side.
    elastic
        Largest displacement of the knots of a smooth deformation, as a share of their distance, a quarter of the
        sample's side. Up to 0.4 nothing is folded over (Choi & Lee, Statistica Sinica 10, 2000).
    mirror_axes
        Axes (0, 1, 2) along each of which samples are mirrored. Never the left-right axis where labels have sides.
    noise
        Largest standard deviation of added Gaussian noise, in units of the network's input.
    blur
        Largest standard deviation of a Gaussian blur, in voxels; the least is half of it. Each axis has its own.
    brightness
        Largest relative change of all values; 0.2 draws from 0.8 to 1.2.
    contrast
        Largest relative change of the values' distance to their channel's mean; 0.2 draws from 0.8 to 1.2.
    contrast_keeps_range
        Whether values that leave their channel's range by it are set to the range's end.
    low_resolution
        Largest share of an axis' voxels that is lost: a channel is sampled down by nearest neighbour, and up again
        linearly.
    gamma
        Largest relative change of the exponent on values scaled to 0 to 1, drawn like `scale`.
    gamma_keeps_statistics
        Whether the mean and the standard deviation of each channel are restored after it.
    erase
        Largest side of a box, as a share of the sample's side, that is filled with its channel's mean. What it
        hides of a segmentation is still asked for.
    probabilities
        How often each of them is applied.
    probability
        One number in place of all `probabilities` but that of mirroring; None leaves them as they are.

    Raises
    ------
    ValueError
        Both `probability` and `probabilities` are given.

    Examples
    --------
    >>> Augmentation(rotation_degrees=20, scale=0.5, strength=2).resolved().rotation_degrees
    40.0
    >>> Augmentation(scale=0.5, strength=2).resolved().scale
    0.75
    """

    strength: float = Field(default=1.0, ge=0.0, le=5.0)
    rotation_degrees: float = Field(default=30.0, ge=0.0, le=180.0)
    rotation_axes: tuple[Literal[0, 1, 2], ...] | None = None
    scale: float = Field(default=0.3, ge=0.0, lt=1.0)
    scale_each_axis: bool = False
    shift: float = Field(default=0.0, ge=0.0, le=0.5)
    elastic: float = Field(default=0.0, ge=0.0, le=0.4)
    mirror_axes: tuple[Literal[0, 1, 2], ...] = ()
    noise: float = Field(default=0.1, ge=0.0)
    blur: float = Field(default=1.0, ge=0.0, le=10.0)
    brightness: float = Field(default=0.25, ge=0.0, lt=1.0)
    contrast: float = Field(default=0.25, ge=0.0, lt=1.0)
    contrast_keeps_range: bool = True
    low_resolution: float = Field(default=0.5, ge=0.0, lt=1.0)
    gamma: float = Field(default=0.3, ge=0.0, lt=1.0)
    gamma_keeps_statistics: bool = True
    erase: float = Field(default=0.0, ge=0.0, lt=1.0)
    probabilities: Probabilities = Field(default_factory=Probabilities)
    probability: float | None = Field(default=None, ge=0.0, le=1.0)

    def __post_init__(self) -> None:
        if self.probability is not None and self.probabilities != Probabilities(mirror=self.probabilities.mirror):
            raise ValueError("`probability` stands in place of `probabilities`: give one of the two")

    def resolved(self) -> Augmentation:
        """Return the same variation said in amounts and `probabilities` alone: of strength 1, without `probability`."""
        if self.strength == 1.0 and self.probability is None:
            return self
        grown: dict[str, Any] = {name: _grown(getattr(self, name), self.strength) for name in _RELATIVE}
        times: dict[str, Any] = {
            name: min(self.strength * getattr(self, name), limit) for name, limit in _AMOUNTS.items()
        }
        chances = self._probabilities()
        return replace(self, **grown, **times, probabilities=chances, probability=None, strength=1.0)

    def turns_across(self, axis: int, dimensions: int) -> bool:
        """Return whether rotations can bring one end of an axis to the side of the other, 90 degrees or more away.

        Rotations about an axis leave it where it is. Those about the two others add up so that neither alone may reach
        90 degrees; the middle axis (1) moves by all three when they come together (see
        :func:`medvision.training.augment.draw` for their order), and crosses at about 49 degrees each.
        """
        degrees = self.resolved().rotation_degrees
        about = (0, 1, 2) if self.rotation_axes is None else self.rotation_axes
        about = about if dimensions == 3 else (2,)
        if degrees >= 90:
            return any(other != axis for other in about)
        angle = math.radians(degrees)
        return axis == 1 and len(set(about)) == 3 and math.cos(angle) ** 2 <= math.sin(angle) ** 3

    def _probabilities(self) -> Probabilities:
        """Return those of the strength; mirroring, which has no amount, becomes rarer below 1 and no more frequent."""
        chances = {field.name: getattr(self.probabilities, field.name) for field in fields(Probabilities)}
        mirror = chances.pop("mirror") * min(self.strength, 1.0)
        if self.probability is not None:
            chances = dict.fromkeys(chances, self.probability)
        return Probabilities(mirror=mirror, **{name: _grown(p, self.strength) for name, p in chances.items()})


_AMOUNTS = {"rotation_degrees": 180.0, "shift": 0.5, "elastic": 0.4, "noise": math.inf, "blur": 10.0}
"""What is multiplied by the strength, and the limit of each."""

_RELATIVE = ("scale", "brightness", "contrast", "low_resolution", "gamma", "erase")
"""Relative changes, which stay below 1."""


def _grown(share: float, strength: float) -> float:
    """Return 1 - (1 - share)^strength, never less of it for more strength, however small the share or its rest."""
    if strength in (0.0, 1.0) or share == 1:
        return share if strength else 0.0
    grown = -math.expm1(strength * math.log1p(-share))
    return min(grown, share) if strength < 1 else max(min(grown, math.nextafter(1, 0)), share)
