"""Voxel values as numbers to compute with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.volume import Volume


def as_float32(voxels: NDArray[Any]) -> NDArray[np.float32]:
    """Return the values as float32, uncopied where they are; what float32 cannot hold becomes infinite.

    Infinite values do not go further: :class:`medvision.volume.Volume` refuses them as ``"not-finite"``.
    """
    with np.errstate(over="ignore"):
        return voxels.astype(np.float32, copy=False)


def channels(volume: Volume) -> list[NDArray[np.float64]]:
    """Return each channel of a volume as (I, J, K) float64, in which no sum of voxels loses digits."""
    return [np.asarray(channel, dtype=np.float64) for channel in volume.voxels]


def of_channels(volume: Volume, parts: list[NDArray[np.float64]]) -> Volume:
    """Return the volume with the (I, J, K) arrays as its channels, float32 and without a unit."""
    return volume.with_voxels(as_float32(np.stack(parts)))
