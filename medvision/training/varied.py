"""Samples varied where they are used, by numbers that the step alone decides."""

from __future__ import annotations

from typing import Any

from medvision.training.augment import Variation, apply
from medvision.training.place import Place


def generator_of(seed: int, number: int) -> Any:
    """Return a ``torch.Generator`` on the CPU for a step, or for an image, of a seed."""
    import torch

    return torch.Generator().manual_seed(seed * 1_000_003 + number)


def varied(variation: Variation, images: Any, targets: Any | None, place: Place) -> tuple[Any, Any | None]:
    """Return images (B, C, *spatial) and targets, varied on the device; see :func:`medvision.training.augment.apply`.

    The images are in the memory format that convolutions like best.
    """
    on_device = None if targets is None else targets.to(place.device)
    images, targets = apply(variation, images.to(place.device), on_device)
    return in_layout(images), targets


def in_layout(images: Any) -> Any:
    """Return the same images with their channels last in memory."""
    import torch

    layout = torch.channels_last if images.ndim == 4 else torch.channels_last_3d
    return images.contiguous(memory_format=layout)
