"""The steps `rescale`, `zscore` and `percentile`: values brought to a common scale, each channel on its own."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from medvision.errors import InputError
from medvision.steps.foreground import require_foreground
from medvision.steps.values import mapped, moments, of_channels
from medvision.strict import STRICT
from medvision.volume import Volume

_Percent = Annotated[float, Field(ge=0, le=100)]


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Rescale:
    """Map a range of values linearly to another; nothing is clipped.

    Parameters
    ----------
    use
        The name of the step.
    low, high
        What the range is mapped to.
    source
        The range that is mapped, in the unit of the volume, e.g. 0 and 255; None for each image's own smallest and
        largest value.

    Raises
    ------
    ValueError
        `low` is not below `high`, or the first number of `source` not below the second.

    Examples
    --------
    >>> from medvision.geometry import Geometry
    >>> picture = Volume(np.array([0, 51, 255]).reshape(1, 3, 1, 1), Geometry.of_picture(3, 1))
    >>> Rescale(source=(0, 255))(picture).voxels.ravel().round(3).tolist()
    [0.0, 0.20000000298023224, 1.0]
    """

    use: Literal["rescale"] = "rescale"
    low: float = 0.0
    high: float = 1.0
    source: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Rescale:
        if self.low >= self.high:
            raise ValueError(f"low is below high, got {self.low:g} and {self.high:g}")
        if self.source is not None and self.source[0] >= self.source[1]:
            raise ValueError(f"source is a smaller and a larger number, got {list(self.source)}")
        return self

    def __call__(self, volume: Volume) -> Volume:
        """Return the volume with its values on the new scale.

        Raises
        ------
        InputError
            No `source` is given, and all values of a channel are the same.
        """
        return of_channels(volume, [self._mapped(channel) for channel in volume.voxels])

    def _mapped(self, channel: NDArray[Any]) -> NDArray[np.float32]:
        bottom, top = self.source or (float(channel.min()), float(channel.max()))
        if bottom == top:
            raise InputError("constant-image", "all voxels are the same: there is no range to rescale")
        return mapped(channel, lambda values: self.low + (values - bottom) * ((self.high - self.low) / (top - bottom)))


@dataclass(frozen=True, config=STRICT, kw_only=True)
class ZScore:
    """Bring the mean to 0 and the standard deviation to 1, measured over the foreground or over all voxels.

    Parameters
    ----------
    use
        The name of the step.
    threshold
        Mean and deviation are those of a channel's voxels above it, in the unit of the volume; None for all voxels.
        All voxels are transformed either way.

    Examples
    --------
    >>> from medvision.geometry import Geometry
    >>> scan = Volume(np.array([0.0, 4.0, 6.0]).reshape(1, 3, 1, 1), Geometry.from_spacing((1, 1, 1), (3, 1, 1)))
    >>> ZScore(threshold=0)(scan).voxels.ravel().tolist()
    [-5.0, -1.0, 1.0]
    """

    use: Literal["zscore"] = "zscore"
    threshold: float | None = None

    def __call__(self, volume: Volume) -> Volume:
        """Return the volume with its values in standard deviations from the mean.

        Raises
        ------
        InputError
            The voxels that count are all the same, or there are none.
        """
        return of_channels(volume, [self._scaled(channel) for channel in volume.voxels])

    def _scaled(self, channel: NDArray[Any]) -> NDArray[np.float32]:
        threshold = self.threshold
        if threshold is None:
            counted = moments(channel)
        else:
            require_foreground(channel, threshold)
            counted = moments(channel, lambda values: values > threshold)
        # Compared by the range: the deviation of equal values is not always 0 in floating point.
        if counted.least == counted.most:
            raise InputError("constant-image", "all voxels that count are the same: the deviation is 0")
        return mapped(channel, lambda values: (values - counted.mean) / counted.sd)


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Percentile:
    """Map two percentiles of the image to 0 and 1, and clip what lies beyond; robust against single bright voxels.

    Parameters
    ----------
    use
        The name of the step.
    lower, upper
        The percentiles, 0 to 100.

    Raises
    ------
    ValueError
        `lower` is not below `upper`.

    Examples
    --------
    >>> from medvision.geometry import Geometry
    >>> scan = Volume(np.arange(101.0).reshape(1, 101, 1, 1), Geometry.from_spacing((1, 1, 1), (101, 1, 1)))
    >>> Percentile(lower=10, upper=90)(scan).voxels.ravel()[[0, 10, 50, 90, 100]].tolist()
    [0.0, 0.0, 0.5, 1.0, 1.0]
    """

    use: Literal["percentile"] = "percentile"
    lower: _Percent = 0.5
    upper: _Percent = 99.5

    @model_validator(mode="after")
    def _in_order(self) -> Percentile:
        if self.lower >= self.upper:
            raise ValueError(f"lower is below upper, got {self.lower:g} and {self.upper:g}")
        return self

    def __call__(self, volume: Volume) -> Volume:
        """Return the volume with values from 0 to 1.

        Raises
        ------
        InputError
            Both percentiles are the same value.
        """
        return of_channels(volume, [self._mapped(channel) for channel in volume.voxels])

    def _mapped(self, channel: NDArray[Any]) -> NDArray[np.float32]:
        values = channel.astype(np.float64)
        bottom, top = map(float, np.percentile(values, (self.lower, self.upper), overwrite_input=True))
        del values
        if bottom == top:
            raise InputError(
                "constant-image", f"percentiles {self.lower:g} and {self.upper:g} are the same value, {bottom:g}"
            )
        return mapped(channel, lambda values: np.clip((values - bottom) / (top - bottom), 0, 1))
