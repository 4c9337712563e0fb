"""The steps `clip` and `window`: values limited to a range that is known beforehand."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from medvision.steps.values import mapped, of_channels
from medvision.strict import STRICT
from medvision.volume import Volume


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Clip:
    """Set values below `low` to `low` and above `high` to `high`; the unit stays.

    Parameters
    ----------
    use
        The name of the step.
    low, high
        The range, in the unit of the volume, e.g. HU.

    Raises
    ------
    ValueError
        `low` is not below `high`.

    Examples
    --------
    >>> from medvision.geometry import Geometry
    >>> scan = Volume(np.array([-2000.0, 40.0]).reshape(1, 2, 1, 1), Geometry.from_spacing((1, 1, 1), (2, 1, 1)))
    >>> Clip(low=-1000, high=1000)(scan).voxels.ravel().tolist()
    [-1000.0, 40.0]
    """

    low: float
    high: float
    use: Literal["clip"] = "clip"

    @model_validator(mode="after")
    def _in_order(self) -> Clip:
        if self.low >= self.high:
            raise ValueError(f"low is below high, got {self.low:g} and {self.high:g}")
        return self

    def __call__(self, volume: Volume) -> Volume:
        """Return the volume with its values within the range."""
        # In float64: NumPy refuses limits that an integer type cannot hold.
        clipped = [mapped(channel, lambda values: np.clip(values, self.low, self.high)) for channel in volume.voxels]
        return replace(of_channels(volume, clipped), unit=volume.unit)


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Window:
    """Map the window to 0..1: its lower edge to 0, its upper edge to 1, what lies beyond to the nearer edge.

    The edges are ``center - width / 2`` and ``center + width / 2`` (DICOM PS3.3 C.11.2.1.3.2, LINEAR_EXACT).

    Parameters
    ----------
    use
        The name of the step.
    center, width
        Middle and width of the window, in the unit of the volume, e.g. 40 and 400 HU for soft tissue.

    Examples
    --------
    >>> from medvision.geometry import Geometry
    >>> scan = Volume(np.array([-1000.0, 40.0]).reshape(1, 2, 1, 1), Geometry.from_spacing((1, 1, 1), (2, 1, 1)))
    >>> Window(center=40, width=400)(scan).voxels.ravel().tolist()
    [0.0, 0.5]
    """

    center: float
    width: Annotated[float, Field(gt=0)]
    use: Literal["window"] = "window"

    def __call__(self, volume: Volume) -> Volume:
        """Return the volume with values from 0 to 1."""
        low = self.center - self.width / 2
        parts = [
            mapped(channel, lambda values: np.clip((values - low) / self.width, 0, 1)) for channel in volume.voxels
        ]
        return of_channels(volume, parts)
