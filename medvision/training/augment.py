"""Variation of a batch of samples: first the parameters are drawn, then they are applied.

Drawn apart, the parameters of any step can be looked at, and a step can be made again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from medvision.training.settings import Augmentation


@dataclass(frozen=True, eq=False)
class Variation:
    """The parameters drawn for a batch of B samples; all tensors have B rows.

    Parameters
    ----------
    matrices
        (B, d, d + 1) from normalised output to normalised input coordinates, as ``affine_grid`` takes them.
    noise, brightness, contrast, gamma
        (B,) standard deviation, factor, factor, exponent.
    """

    matrices: Any
    noise: Any
    brightness: Any
    contrast: Any
    gamma: Any


def draw(settings: Augmentation, batch: int, shape: tuple[int, ...], generator: Any) -> Variation:
    """Draw the parameters for `batch` samples of a spatial `shape` (2 or 3 sizes)."""
    import torch

    def uniform(largest: float, *size: int) -> Any:
        on = torch.rand(batch, generator=generator) < settings.probability
        value = (2 * torch.rand(batch, *size, generator=generator) - 1) * largest
        return value * on.reshape(batch, *[1] * len(size))

    dimensions = len(shape)
    angles = uniform(math.radians(settings.rotation_degrees), 1 if dimensions == 2 else 3)
    linear = _rotations(angles) * (1 + uniform(settings.scale)).reshape(batch, 1, 1)
    mirrored = torch.ones(batch, dimensions)
    for axis in settings.mirror_axes:
        mirrored[:, axis] = 1.0 - 2.0 * (torch.rand(batch, generator=generator) < 0.5).float()
    linear = linear * mirrored.unsqueeze(1)
    shifts = 2 * uniform(settings.shift, dimensions)
    return Variation(
        matrices=_normalised(linear, shifts, shape),
        noise=uniform(settings.noise).abs(),
        brightness=1 + uniform(settings.brightness),
        contrast=1 + uniform(settings.contrast),
        gamma=1 + uniform(settings.gamma),
    )


def apply(variation: Variation, images: Any, labels: Any | None, generator: Any) -> tuple[Any, Any | None]:
    """Return the varied batch.

    Parameters
    ----------
    images
        (B, C, *spatial) float32.
    labels
        (B, *spatial) int64, moved along with the images by nearest neighbour; None for a classification.
    generator
        Draws the noise.
    """
    import torch
    from torch.nn import functional

    grid = functional.affine_grid(variation.matrices, list(images.shape), align_corners=False)
    images = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    if labels is not None:
        floats = labels.unsqueeze(1).float()
        labels = functional.grid_sample(floats, grid, mode="nearest", padding_mode="zeros", align_corners=False)
        labels = labels.squeeze(1).round().long()
    column = [len(images)] + [1] * (images.ndim - 1)
    mean = images.flatten(1).mean(1).reshape(column)
    images = (images - mean) * variation.contrast.reshape(column) + mean
    images = images * variation.brightness.reshape(column)
    images = _gamma(images, variation.gamma.reshape(column))
    images = images + variation.noise.reshape(column) * torch.randn(images.shape, generator=generator)
    return images, labels


def _gamma(images: Any, exponents: Any) -> Any:
    """Raise values, scaled to 0 to 1 by each sample's range, to `exponents`."""
    column = [len(images)] + [1] * (images.ndim - 1)
    low = images.flatten(1).amin(1).reshape(column)
    span = (images.flatten(1).amax(1).reshape(column) - low).clamp_min(1e-6)
    return ((images - low) / span).clamp(0, 1) ** exponents * span + low


def _rotations(angles: Any) -> Any:
    """Return (B, d, d) rotation matrices for (B, 1) angles in the plane, or (B, 3) angles about three axes."""
    import torch

    batch, count = angles.shape
    dimensions = 2 if count == 1 else 3
    planes = [(0, 1)] if count == 1 else [(1, 2), (0, 2), (0, 1)]
    total = torch.eye(dimensions).repeat(batch, 1, 1)
    for (a, b), angle in zip(planes, angles.unbind(1), strict=True):
        turn = torch.eye(dimensions).repeat(batch, 1, 1)
        turn[:, a, a] = turn[:, b, b] = angle.cos()
        turn[:, a, b] = -angle.sin()
        turn[:, b, a] = angle.sin()
        total = total @ turn
    return total


def _normalised(linear: Any, shifts: Any, shape: tuple[int, ...]) -> Any:
    """Return matrices for ``affine_grid``, whose axes run last first and from -1 to 1 whatever their length."""
    import torch

    sizes = torch.tensor(shape, dtype=torch.float32)
    scaled = linear * sizes.reshape(1, 1, -1) / sizes.reshape(1, -1, 1)
    return torch.cat([scaled.flip((1, 2)), shifts.flip(1).unsqueeze(-1)], dim=2)
