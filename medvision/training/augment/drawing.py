"""Parameters of a variation, drawn from settings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from medvision.training.augment.spatial import KNOTS, affine_matrices
from medvision.training.augment.variation import Variation
from medvision.training.augmentation import Augmentation


def draw(
    settings: Augmentation,
    batch: int,
    shape: Sequence[int],
    generator: Any,
    *,
    channels: int = 1,
) -> Variation:
    """Draw the parameters for a batch.

    What is drawn for one kind of variation does not depend on the settings of another. A volume is turned about axis
    2, then 1, then 0.

    Parameters
    ----------
    settings
        What to draw from.
    batch
        Number of samples; of a training on several devices, that of all of them together.
    shape
        Their 2 or 3 spatial sizes.
    generator
        A ``torch.Generator`` on the CPU.
    channels
        Number of channels that get their own brightness, contrast, gamma, blur and resolution; 1 treats all alike.
    """
    import torch

    settings = settings.resolved()
    chances, dimensions = settings.probabilities, len(shape)
    of = _Draws(batch, generator)
    mirrorable = torch.tensor([axis in settings.mirror_axes for axis in range(dimensions)])
    mirrored = of.chosen(chances.mirror, dimensions) & mirrorable

    angles = of.within(math.radians(settings.rotation_degrees), chances.rotation, 3)
    angles = angles * _turning(settings, dimensions)
    zoom = of.ratio(settings.scale, chances.scale, dimensions)
    zoom = zoom if settings.scale_each_axis else zoom[:, :1].expand(-1, dimensions)
    shifts = of.within(settings.shift, chances.shift, dimensions)

    noise = of.within(settings.noise, chances.noise).abs()
    seeds = torch.randint(2**62, (batch,), generator=generator)
    blurred = of.chosen(chances.blur, channels, 1)
    blur = settings.blur * (0.5 + of.share(channels, dimensions) / 2) * blurred
    brightness = 1 + of.within(settings.brightness, chances.brightness, channels)
    contrast = 1 + of.within(settings.contrast, chances.contrast, channels)
    lost = settings.low_resolution * of.share(channels) * of.chosen(chances.low_resolution, channels)
    inverted = of.ratio(settings.gamma, chances.gamma_inverted, channels)
    gamma = of.ratio(settings.gamma, chances.gamma, channels)
    return Variation(
        mirrored=mirrored,
        matrices=affine_matrices(angles, zoom, shifts, shape),
        noise=noise,
        seeds=seeds,
        blur=blur,
        brightness=brightness,
        contrast=contrast,
        low_resolution=1 - lost,
        gamma_inverted=inverted,
        gamma=gamma,
        erased=_boxes(of, settings, dimensions),
        knots=_knots(of, settings, dimensions),
        keeps_range=settings.contrast_keeps_range,
        keeps_statistics=settings.gamma_keeps_statistics,
    )


@dataclass(frozen=True)
class _Draws:
    """Random numbers for a batch. A value is drawn whether it is used or not, so that none moves those after it."""

    batch: int
    generator: Any

    def share(self, *size: int) -> Any:
        """Return (B, *size) numbers from 0 to below 1."""
        import torch

        return torch.rand(self.batch, *size, generator=self.generator)

    def chosen(self, probability: float, *size: int) -> Any:
        """Return (B, *size) truth values."""
        return self.share(*size) < probability

    def within(self, reach: float, probability: float, *size: int) -> Any:
        """Return (B, *size) numbers from -reach to reach, or 0 for the samples that are not chosen."""
        chosen = self.chosen(probability, *[1] * len(size))
        return (2 * self.share(*size) - 1) * reach * chosen

    def ratio(self, change: float, probability: float, *size: int) -> Any:
        """Return (B, *size) factors, half of them from 1 - change to 1 and half from 1 to its inverse, or 1."""
        import torch

        chosen = self.chosen(probability, *[1] * len(size))
        below, share = self.chosen(0.5, *size), self.share(*size)
        factor = torch.where(below, 1 - change * share, 1 + (1 / (1 - change) - 1) * share)
        return torch.where(chosen, factor, 1.0)


def _turning(settings: Augmentation, dimensions: int) -> Any:
    """Return (3,) 1 for each axis to turn about and 0 for the others; pictures turn about the one across them."""
    import torch

    about: Sequence[int] = (0, 1, 2) if settings.rotation_axes is None else settings.rotation_axes
    about = about if dimensions == 3 else (2,)
    return torch.tensor([float(axis in about) for axis in range(3)])


def _boxes(of: _Draws, settings: Augmentation, dimensions: int) -> Any:
    """Return (B, d, 2): start and length of the boxes to erase, whose sides are a quarter of the largest or more."""
    import torch

    chosen = of.chosen(settings.probabilities.erase, 1)
    length = settings.erase * (0.25 + 0.75 * of.share(dimensions))
    start = of.share(dimensions) * (1 - length)
    return torch.stack([start * chosen, length * chosen], dim=-1)


def _knots(of: _Draws, settings: Augmentation, dimensions: int) -> Any | None:
    if not settings.elastic:
        return None
    return of.within(settings.elastic, settings.probabilities.elastic, dimensions, *[KNOTS] * dimensions)
