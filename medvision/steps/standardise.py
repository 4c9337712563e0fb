"""The steps `standardise` and `zscore_nonzero`: deviations from a mean that is stated, or the object's."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from medvision.errors import InputError
from medvision.steps.values import channels, of_channels
from medvision.strict import STRICT
from medvision.volume import Volume


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Standardise:
    """Subtract a mean and divide by a standard deviation that are stated, the same for all images.

    Parameters
    ----------
    use
        The name of the step.
    mean, sd
        One number for all channels, or one for each, in the unit of the volume.

    Raises
    ------
    ValueError
        `mean` and `sd` are not as many.

    Examples
    --------
    >>> from medvision.geometry import Geometry
    >>> scan = Volume(np.array([100.0, 140.0]).reshape(1, 2, 1, 1), Geometry.from_spacing((1, 1, 1), (2, 1, 1)))
    >>> Standardise(mean=(100.0,), sd=(20.0,))(scan).voxels.ravel().tolist()
    [0.0, 2.0]
    """

    mean: Annotated[tuple[float, ...], Field(min_length=1)]
    sd: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)]
    use: Literal["standardise"] = "standardise"

    @model_validator(mode="after")
    def _as_many(self) -> Standardise:
        if len(self.mean) != len(self.sd):
            raise ValueError(f"mean and sd have as many numbers, got {len(self.mean)} and {len(self.sd)}")
        return self

    def __call__(self, volume: Volume) -> Volume:
        """Return the volume with its values in the stated deviations from the stated mean.

        Raises
        ------
        InputError
            There are several means, and not one for each channel.
        """
        if len(self.mean) not in (1, volume.channels):
            message = f"the step standardise has {len(self.mean)} means, the image {volume.channels} channels"
            raise InputError("channels-differ", message)
        means, sds = (each * volume.channels if len(each) == 1 else each for each in (self.mean, self.sd))
        return of_channels(volume, [(c - m) / s for c, m, s in zip(channels(volume), means, sds, strict=True)])


@dataclass(frozen=True, config=STRICT, kw_only=True)
class ZScoreNonzero:
    """Bring mean and deviation of each channel's voxels other than 0 to 0 and 1; voxels that are 0 stay 0.

    For images of which all but the object was set to 0, as after the removal of the skull.

    Parameters
    ----------
    use
        The name of the step.

    Examples
    --------
    >>> from medvision.geometry import Geometry
    >>> scan = Volume(np.array([0.0, 4.0, 6.0]).reshape(1, 3, 1, 1), Geometry.from_spacing((1, 1, 1), (3, 1, 1)))
    >>> ZScoreNonzero()(scan).voxels.ravel().tolist()
    [0.0, -1.0, 1.0]
    """

    use: Literal["zscore_nonzero"] = "zscore_nonzero"

    def __call__(self, volume: Volume) -> Volume:
        """Return the volume with the values that are not 0 in standard deviations from their mean.

        Raises
        ------
        InputError
            All voxels of a channel are 0, or all others the same.
        """
        return of_channels(volume, [_scaled(channel) for channel in channels(volume)])


def _scaled(channel: NDArray[np.float64]) -> NDArray[np.float64]:
    counted = channel[channel != 0]
    if not counted.size:
        raise InputError("constant-image", "all voxels are 0: there is none to measure")
    if counted.min() == counted.max():
        raise InputError("constant-image", "all voxels that are not 0 are the same: the deviation is 0")
    return np.where(channel != 0, (channel - counted.mean()) / counted.std(), 0.0)
