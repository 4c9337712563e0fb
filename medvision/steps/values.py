"""Voxel values as numbers to compute with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.volume import Volume

Values = NDArray[np.float64]
_AT_ONCE = 1 << 21  # voxels that are held as float64


def as_float32(voxels: NDArray[Any]) -> NDArray[np.float32]:
    """Return the values as float32, uncopied where they are; what float32 cannot hold becomes infinite.

    Infinite values do not go further: :class:`medvision.volume.Volume` refuses them as ``"not-finite"``.
    """
    with np.errstate(over="ignore"):
        return voxels.astype(np.float32, copy=False)


def channels(volume: Volume) -> list[NDArray[np.float64]]:
    """Return each channel of a volume as (I, J, K) float64, in which no sum of voxels loses digits."""
    return [np.asarray(channel, dtype=np.float64) for channel in volume.voxels]


def of_channels(volume: Volume, parts: Sequence[NDArray[np.floating[Any]]]) -> Volume:
    """Return the volume with the (I, J, K) arrays as its channels, float32 and without a unit."""
    return volume.with_voxels(as_float32(parts[0][None] if len(parts) == 1 else np.stack(parts)))


def mapped(channel: NDArray[Any], function: Callable[[Values], Values]) -> NDArray[np.float32]:
    """Return what a function makes of each voxel of (I, J, K), computed in float64, a few planes at a time.

    Parameters
    ----------
    function
        Of values of any shape, each for itself.
    """
    result = np.empty(channel.shape, dtype=np.float32)
    for part in _planes(channel):
        result[part] = as_float32(function(np.asarray(channel[part], dtype=np.float64)))
    return result


@dataclass(frozen=True)
class Moments:
    """What the values of a channel are like.

    Parameters
    ----------
    count
        How many there are.
    mean, sd
        Their mean, and the standard deviation about it; NaN where there is no value.
    least, most
        The smallest and the largest; infinite where there is none.
    """

    count: int
    mean: float
    sd: float
    least: float
    most: float


def moments(channel: NDArray[Any], counts: Callable[[Values], NDArray[np.bool_]] | None = None) -> Moments:
    """Return what the values of (I, J, K) are like, in float64, a few planes at a time.

    Parameters
    ----------
    counts
        Returns which of some values count; None: all.
    """
    parts = [_counted(channel[part], counts) for part in _planes(channel)]
    count = sum(part.size for part in parts)
    if not count:
        return Moments(0, float("nan"), float("nan"), float("inf"), float("-inf"))
    mean = float(np.sum([part.sum(dtype=np.float64) for part in parts])) / count
    squares = [np.square(part.astype(np.float64) - mean).sum() for part in parts]
    filled = [part for part in parts if part.size]
    least, most = min(float(part.min()) for part in filled), max(float(part.max()) for part in filled)
    return Moments(count, mean, float(np.sqrt(np.sum(squares) / count)), least, most)


def _counted(values: NDArray[Any], counts: Callable[[Values], NDArray[np.bool_]] | None) -> NDArray[Any]:
    return values if counts is None else values[counts(values)]


def _planes(channel: NDArray[Any]) -> Iterator[slice]:
    """Yield parts of the first axis that have about as many voxels as are computed with at once."""
    step = max(1, _AT_ONCE // max(1, channel[:1].size))
    for first in range(0, len(channel), step):
        yield slice(first, first + step)
