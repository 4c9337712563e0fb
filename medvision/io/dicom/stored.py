"""Real values as the 16 bits of a DICOM image, and the decimal strings that say how to come back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.errors import InputError
from medvision.geometry import FloatArray
from medvision.volume import Volume

_STEPS = 65535
_EXACT = 10**15  # whole numbers that a decimal string of 16 characters holds, with their sign
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, eq=False)
class Stored:
    """The stored values of a volume; the real value is stored x slope + intercept.

    Parameters
    ----------
    pixels
        (I, J, K) int16 or uint16.
    slopes
        One a slice.
    intercept
        One for all.
    rounded_by
        The largest difference to the real values as 32-bit floats, 0 where there is none.
    """

    pixels: NDArray[Any]
    slopes: tuple[float, ...]
    intercept: float = 0.0
    rounded_by: float = 0.0

    @property
    def is_plain(self) -> bool:
        """Whether the stored values are the real ones."""
        return self.intercept == 0 and set(self.slopes) == {1.0}


def stored(volume: Volume) -> Stored:
    """Return the values of a volume of one channel in 16 bits.

    Whole numbers stay what they are where 16 bits hold them or their distance to the least of them. Other values are
    rounded to 65,535 steps between the least and the largest; for PET, whose intercept is 0 (PS3.3, C.8.9.4), to steps
    from 0 to the largest of each slice.

    Raises
    ------
    InputError
        ``bad-rescale``: values beyond what 32-bit floats hold.
    """
    voxels = volume.voxels[0]
    least, most = voxels.min().item(), voxels.max().item()
    if max(abs(least), abs(most)) > _LARGEST:
        raise InputError("bad-rescale", "there are values beyond the range of 32-bit floats")
    is_whole = voxels.dtype.kind in "iu" or np.array_equal(voxels, np.round(voxels))
    kind = np.int16 if least < 0 else np.uint16
    if is_whole and np.iinfo(kind).min <= least and most <= np.iinfo(kind).max:
        return Stored(voxels.astype(kind), (1.0,) * voxels.shape[2])
    if volume.modality == "PT":
        return _by_slice(voxels, kind)
    if is_whole and most - least <= _STEPS and max(abs(least), abs(most)) < _EXACT:
        above = (voxels.astype(np.int64) - int(least)).astype(np.uint16)
        return Stored(above, (1.0,) * voxels.shape[2], float(least))
    return _by_series(voxels, float(least), float(most))


def decimal(number: float) -> str:
    """Return a decimal string (PS3.5, VR of DS) of at most 16 characters.

    >>> decimal(-0.1 - 0.2), decimal(3.0), decimal(-0.0)
    ('-0.3000000000000', '3', '0')
    """
    from pydicom.valuerep import format_number_as_ds

    return str(int(number)) if number == int(number) and abs(number) < _EXACT else format_number_as_ds(float(number))


def _by_series(voxels: NDArray[Any], least: float, most: float) -> Stored:
    """Return steps between the ends; one value in all voxels is the intercept alone."""
    slope = _at_least((most - least) / _STEPS) if most > least else 1.0
    intercept = float(decimal(least))
    pixels = np.empty(voxels.shape, dtype=np.uint16)
    apart = 0.0
    for k in range(voxels.shape[2]):
        pixels[:, :, k], rounded = _steps(voxels[:, :, k], slope, intercept, np.uint16)
        apart = max(apart, rounded)
    return Stored(pixels, (slope,) * voxels.shape[2], intercept, apart)


def _by_slice(voxels: NDArray[Any], kind: type[np.int16] | type[np.uint16]) -> Stored:
    pixels = np.empty(voxels.shape, dtype=kind)
    slopes, apart = [], 0.0
    for k in range(voxels.shape[2]):
        largest = float(np.abs(voxels[:, :, k].astype(np.float64)).max())
        slopes.append(_at_least(largest / np.iinfo(kind).max) if largest else 1.0)
        pixels[:, :, k], rounded = _steps(voxels[:, :, k], slopes[k], 0.0, kind)
        apart = max(apart, rounded)
    return Stored(pixels, tuple(slopes), 0.0, apart)


def _steps(
    values: NDArray[Any], slope: float, intercept: float, kind: type[np.int16] | type[np.uint16]
) -> tuple[NDArray[Any], float]:
    """Return the nearest steps to the values, and the largest distance to them, both taken as 32-bit floats."""
    real: FloatArray = values.astype(np.float64)
    limits = np.iinfo(kind)
    nearest = np.clip(np.round((real - intercept) / slope), limits.min, limits.max)
    back = (nearest * slope + intercept).astype(np.float32)
    return nearest.astype(kind), float(np.abs(back - real.astype(np.float32)).max())


def _at_least(number: float) -> float:
    """Return the least number of a decimal string that is not below `number`, or a billionth above it."""
    rounded = float(decimal(number))
    return rounded if rounded >= number else float(decimal(number * (1 + 1e-9)))
