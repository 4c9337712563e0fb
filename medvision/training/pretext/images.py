"""The images that a pretraining holds out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from medvision.training.samples import Prepared, centre_of

MOST_HELD_OUT = 128
"""Held-out images at most that a validation looks at: enough to see which weights are better, and soon done."""


def held_out_images(samples: Sequence[Prepared], patch: Sequence[int] | None) -> list[Any]:
    """Return the middles of the samples, (C, *patch) tensors: of many samples every second, third and so on."""
    import torch

    every = -(-len(samples) // MOST_HELD_OUT)
    return [torch.from_numpy(np.ascontiguousarray(centre_of(sample, patch))) for sample in samples[::every]]
