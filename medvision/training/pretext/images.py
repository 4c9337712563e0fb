"""Images without labels, for a step and held out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from medvision.training.augment import Variation, apply
from medvision.training.place import Place
from medvision.training.samples import Prepared, centre_of

MOST_HELD_OUT = 128
"""Held-out images at most that a validation looks at: enough to see which weights are better, and soon done."""


def generator_of(seed: int, number: int) -> Any:
    """Return a ``torch.Generator`` on the CPU for a step, or for an image, of a seed."""
    import torch

    return torch.Generator().manual_seed(seed * 1_000_003 + number)


def varied(variation: Variation, images: Any, place: Place) -> Any:
    """Return images (B, C, *spatial), varied on the device, in the memory format that convolutions like best."""
    return in_layout(apply(variation, images.to(place.device))[0])


def in_layout(images: Any) -> Any:
    """Return the same images with their channels last in memory."""
    import torch

    layout = torch.channels_last if images.ndim == 4 else torch.channels_last_3d
    return images.contiguous(memory_format=layout)


def held_out_images(samples: Sequence[Prepared], patch: Sequence[int] | None) -> list[Any]:
    """Return the middles of the samples, (C, *patch) tensors: of many samples every second, third and so on."""
    import torch

    every = -(-len(samples) // MOST_HELD_OUT)
    return [torch.from_numpy(np.ascontiguousarray(centre_of(sample, patch))) for sample in samples[::every]]
