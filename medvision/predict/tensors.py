"""Voxels as tensors, for what needs a network in torch: saliency maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.predict.sliding import divided


def to_tensor(voxels: NDArray[Any], *, dimensions: int, device: str) -> Any:
    """Return voxels (C, I, J, K) as the network's input (1, C, I, J, K), or (1, C, I, J) for two dimensions."""
    import torch

    values = np.ascontiguousarray(voxels if dimensions == 3 else voxels[..., 0], dtype=np.float32)
    tensor = torch.from_numpy(values.copy()).unsqueeze(0)
    layout = torch.channels_last if dimensions == 2 else torch.channels_last_3d
    return tensor.to(device).contiguous(memory_format=layout)


def from_tensor(values: Any, *, dimensions: int) -> NDArray[np.float32]:
    """Return (K, I, J, K') or (K, I, J) values as an array with three spatial axes."""
    array = values.detach().float().cpu().numpy()
    return np.ascontiguousarray(array if dimensions == 3 else array[..., None], dtype=np.float32)


def parts_of(voxels: NDArray[Any], *, dimensions: int) -> list[NDArray[Any]]:
    """Return what a network sees at once of (..., I, J, K): everything, or for two dimensions each slice, of K = 1.

    >>> [part.shape for part in parts_of(np.zeros((1, 4, 5, 3)), dimensions=2)]
    [(1, 4, 5, 1), (1, 4, 5, 1), (1, 4, 5, 1)]
    """
    return [voxels] if dimensions == 3 else np.split(voxels, voxels.shape[-1], axis=-1)


def padded_to(image: Any, divisor: int | Sequence[int]) -> Any:
    """Return (1, C, *spatial) padded at the far ends with its edge values, so that `divisor` divides every side."""
    from torch.nn import functional

    missing = [-size % n for size, n in zip(image.shape[2:], divided(divisor, image.ndim - 2), strict=True)]
    if not any(missing):
        return image
    ends = [value for size in reversed(missing) for value in (0, size)]
    return functional.pad(image, ends, mode="replicate")
