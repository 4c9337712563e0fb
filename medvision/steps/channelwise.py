"""The step `normalise`: the values of each channel brought to a scale in a way of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from medvision.errors import InputError
from medvision.steps.nonzero import object_of
from medvision.steps.values import as_float32, mapped, moments, of_channels
from medvision.strict import STRICT
from medvision.volume import Volume

_LEAST_SD = 1e-8  # nnU-Net's: equal values become 0, and are not divided by it


@dataclass(frozen=True, config=STRICT, kw_only=True)
class ByOwnMean:
    """Bring the channel's mean to 0 and its standard deviation to 1; a channel of one value becomes 0.

    Parameters
    ----------
    use
        ``"own"``.
    object_only
        Whether both are those of the object alone, and only its voxels are changed: of all that is not 0 in some
        channel, and what that encloses.
    """

    use: Literal["own"] = "own"
    object_only: bool = False

    def of(self, channel: NDArray[Any], inside: NDArray[np.bool_] | None) -> NDArray[np.float32]:
        """Return the values (I, J, K) on the new scale; `inside` is the object, where it is asked for."""
        counted = moments(channel if inside is None else channel[inside].reshape(-1, 1, 1))
        scaled = mapped(channel, lambda values: (values - counted.mean) / max(counted.sd, _LEAST_SD))
        if inside is not None:
            np.copyto(scaled, channel, where=~inside, casting="same_kind")
        return scaled


@dataclass(frozen=True, config=STRICT, kw_only=True)
class ByKnownMean:
    """Limit the values to a range, subtract a mean and divide by a standard deviation, the same for all images.

    Parameters
    ----------
    use
        ``"known"``.
    low, high
        The range, in the unit of the volume.
    mean, sd
        In the unit of the volume.

    Raises
    ------
    ValueError
        `low` is not below `high`.
    """

    low: float
    high: float
    mean: float
    sd: Annotated[float, Field(gt=0)]
    use: Literal["known"] = "known"

    @model_validator(mode="after")
    def _in_order(self) -> ByKnownMean:
        if self.low >= self.high:
            raise ValueError(f"low is below high, got {self.low:g} and {self.high:g}")
        return self

    def of(self, channel: NDArray[Any]) -> NDArray[np.float32]:
        """Return the values (I, J, K) on the new scale."""
        return mapped(channel, lambda values: (np.clip(values, self.low, self.high) - self.mean) / self.sd)


@dataclass(frozen=True, config=STRICT, kw_only=True)
class ByOwnRange:
    """Map the channel's smallest value to 0 and its largest to 1; a channel of one value becomes 0.

    Parameters
    ----------
    use
        ``"range"``.
    """

    use: Literal["range"] = "range"

    def of(self, channel: NDArray[Any]) -> NDArray[np.float32]:
        """Return the values (I, J, K) on the new scale."""
        least, most = float(channel.min()), float(channel.max())
        return mapped(channel, lambda values: (values - least) / max(most - least, _LEAST_SD))


@dataclass(frozen=True, config=STRICT, kw_only=True)
class OfBytes:
    """Divide by 255, for a channel of colour with values from 0 to 255; others are refused.

    Parameters
    ----------
    use
        ``"bytes"``.
    """

    use: Literal["bytes"] = "bytes"

    def of(self, channel: NDArray[Any]) -> NDArray[np.float32]:
        """Return the values (I, J, K) on the new scale."""
        least, greatest = float(channel.min()), float(channel.max())
        if least < 0 or greatest > 255:
            message = f"the values of a colour go from 0 to 255, here from {least:g} to {greatest:g}"
            raise InputError("values-outside", message)
        return mapped(channel, lambda values: values / 255)


@dataclass(frozen=True, config=STRICT, kw_only=True)
class AsStored:
    """Leave the channel's values as they are.

    Parameters
    ----------
    use
        ``"stored"``.
    """

    use: Literal["stored"] = "stored"

    def of(self, channel: NDArray[Any]) -> NDArray[np.float32]:
        """Return the values (I, J, K)."""
        return as_float32(channel)


Scale = Annotated[ByOwnMean | ByKnownMean | ByOwnRange | OfBytes | AsStored, Field(discriminator="use")]


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Normalise:
    """Bring the values of each channel to a scale in a way of its own, as nnU-Net does.

    Before any other step that changes values: `object_only` asks which voxels are 0.

    Parameters
    ----------
    use
        The name of the step.
    channels
        A table for each channel, whose `use` names the way: ``"own"`` (mean and standard deviation of the channel; with
        `object_only` those of what is not 0), ``"known"`` (`low`, `high`, `mean` and `sd` of the training data),
        ``"range"`` (smallest and largest value to 0 and 1), ``"bytes"`` (0 to 255 to 0 and 1), ``"stored"`` (as it is).

    Examples
    --------
    >>> from medvision.geometry import Geometry
    >>> scan = Volume(np.array([-9.0, 40, 80]).reshape(1, 3, 1, 1), Geometry.from_spacing((1, 1, 1), (3, 1, 1)))
    >>> Normalise(channels=(ByKnownMean(low=0, high=60, mean=40, sd=20),))(scan).voxels.ravel().tolist()
    [-2.0, 0.0, 1.0]
    """

    channels: Annotated[tuple[Scale, ...], Field(min_length=1)]
    use: Literal["normalise"] = "normalise"

    def __call__(self, volume: Volume) -> Volume:
        """Return the volume with the values of each channel on its scale.

        Raises
        ------
        InputError
            The volume has another number of channels, or values of a colour are none.
        """
        if len(self.channels) != volume.channels:
            message = f"the step normalise is for {len(self.channels)} channels, the image has {volume.channels}"
            raise InputError("channels-differ", message)
        return of_channels(volume, list(self._scaled(volume)))

    def _scaled(self, volume: Volume) -> Iterator[NDArray[np.float32]]:
        masked = [isinstance(scale, ByOwnMean) and scale.object_only for scale in self.channels]
        inside = object_of(volume.voxels) if any(masked) else None
        for scale, channel, is_masked in zip(self.channels, volume.voxels, masked, strict=True):
            yield (
                scale.of(channel, inside if is_masked else None) if isinstance(scale, ByOwnMean) else scale.of(channel)
            )
