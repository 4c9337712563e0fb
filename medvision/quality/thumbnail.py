"""A small picture of an image by which copies are found."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.geometry import parse_orientation
from medvision.volume import Volume

FLAT_SIDE, SIDE = 32, 16


def thumbnail(volume: Volume, ranges: list[tuple[float, float]]) -> NDArray[np.float16]:
    """Return the image averaged over blocks: (32, 32, 1) for a picture, (16, 16, 16) for a volume.

    The values have mean 0 and standard deviation 1, so that rescaling changes nothing; the axes point to R, A and S
    where they are known to, so that the order of storage changes nothing. All zeros for a constant image.

    Parameters
    ----------
    volume
        (C, I, J, K); the channels count alike.
    ranges
        For each channel the least and the greatest value; beyond them it is clipped.
    """
    flat = volume.geometry.shape[2] == 1
    sides = (FLAT_SIDE, FLAT_SIDE, 1) if flat else (SIDE, SIDE, SIDE)
    channels = zip(volume.voxels, ranges, strict=True)
    small = sum((_normalised(_averaged(voxels, sides, *ends)) for voxels, ends in channels), np.zeros(sides))
    if volume.geometry.physical and not flat:
        small = _as_ras(small, volume.geometry.orientation)
    return np.ascontiguousarray(_normalised(small), dtype=np.float16)


def _averaged(voxels: NDArray[Any], sides: tuple[int, int, int], low: float, high: float) -> NDArray[np.float64]:
    """Return (I, J, K) averaged over blocks to `sides`, plane by plane: a large volume is not copied as floats."""
    along_i, along_j, along_k = (_blocks(size, side) for size, side in zip(voxels.shape, sides, strict=True))
    planes = [along_j @ np.clip(plane.astype(np.float32), low, high) @ along_k.T for plane in voxels]
    return np.tensordot(along_i, np.stack(planes), axes=1)


@lru_cache(maxsize=16)
def _blocks(size: int, side: int) -> NDArray[np.float32]:
    """Return (side, size) the weights that average `size` values over `side` blocks of equal width."""
    ends = np.linspace(0, size, side + 1)
    index = np.arange(size)
    shared = np.minimum(ends[1:, None], index + 1) - np.maximum(ends[:-1, None], index)
    weights = np.clip(shared, 0, None)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)


def _normalised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = values - values.mean()
    spread = centred.std()
    # What rounding leaves of a constant image is no picture.
    return centred / spread if spread > 1e-6 * np.abs(values).max() else np.zeros_like(centred)


def _as_ras(values: NDArray[np.float64], orientation: str) -> NDArray[np.float64]:
    axes = parse_orientation(orientation)
    pointing = values[tuple(slice(None, None, sign) for _, sign in axes)]
    return pointing.transpose(np.argsort([world for world, _ in axes]))
