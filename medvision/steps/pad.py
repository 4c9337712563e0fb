"""The step `pad`: voxels added around the field of view."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from medvision.geometry import Geometry
from medvision.steps.values import as_float32
from medvision.strict import STRICT
from medvision.volume import Volume

_Size = Annotated[int, Field(ge=1)]
_ONES = (1, 1, 1)


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Pad:
    """Add voxels on both sides, as evenly as can be (an odd one at the end), until the sizes suit a network.

    Parameters
    ----------
    use
        The name of the step.
    multiple
        Each size becomes a multiple of this, along i, j and k.
    minimum
        Each size becomes at least this, along i, j and k.
    value
        The value of the added voxels, in the unit that the volume has at this step.

    Examples
    --------
    >>> from medvision.geometry import Geometry
    >>> scan = Volume(np.zeros((1, 5, 8, 3)), Geometry.from_spacing((1, 1, 1), (5, 8, 3)))
    >>> Pad(multiple=(4, 4, 1), minimum=(1, 1, 6))(scan).geometry.shape
    (8, 8, 6)
    """

    use: Literal["pad"] = "pad"
    multiple: tuple[_Size, _Size, _Size] = _ONES
    minimum: tuple[_Size, _Size, _Size] = _ONES
    value: float = 0.0

    def __call__(self, volume: Volume) -> Volume:
        """Return the volume with sizes that suit the settings."""
        return replace(volume, voxels=as_float32(volume.voxels)).onto(self.grid(volume.geometry), fill=self.value)

    def grid(self, geometry: Geometry) -> Geometry:
        """Return the grid that the step leads to."""
        shape, multiple = np.asarray(geometry.shape), np.asarray(self.multiple)
        wanted = -(-np.maximum(shape, self.minimum) // multiple) * multiple
        before = (wanted - shape) // 2
        return geometry.cropped((-before).tolist(), (wanted - before).tolist())
