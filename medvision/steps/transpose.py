"""The step `transpose`: the axes of the voxels in another order, as they are stored."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import AfterValidator
from pydantic.dataclasses import dataclass

from medvision.geometry import Geometry
from medvision.strict import STRICT
from medvision.volume import Volume

_Axis = Literal[0, 1, 2]


def _each_once(axes: tuple[_Axis, _Axis, _Axis]) -> tuple[_Axis, _Axis, _Axis]:
    if sorted(axes) != [0, 1, 2]:
        raise ValueError(f"each of 0, 1 and 2 stands there once, got {list(axes)}")
    return axes


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Transpose:
    """Put the stored axes into another order, wherever in the body they point to; no axis is flipped.

    Values are neither copied nor converted. For a network of slices that lie along another axis than the last. To fix
    where axes point to, use `reorient`.

    Parameters
    ----------
    use
        The name of the step.
    axes
        Which of the volume's axes each new one is.

    Examples
    --------
    >>> import numpy as np
    >>> scan = Volume(np.zeros((1, 4, 5, 6)), Geometry.from_spacing((1, 1, 2), (4, 5, 6)))
    >>> Transpose(axes=(1, 2, 0))(scan).geometry.shape
    (5, 6, 4)
    """

    axes: Annotated[tuple[_Axis, _Axis, _Axis], AfterValidator(_each_once)]
    use: Literal["transpose"] = "transpose"

    def __call__(self, volume: Volume) -> Volume:
        """Return the volume with its axes in the order of the settings."""
        voxels = volume.voxels.transpose(0, *(axis + 1 for axis in self.axes))
        return replace(volume, voxels=voxels, geometry=self.grid(volume.geometry))

    def grid(self, geometry: Geometry) -> Geometry:
        """Return the grid that the step leads to."""
        (i, j, k), shape = self.axes, geometry.shape
        return Geometry(geometry.affine[:, [i, j, k, 3]], (shape[i], shape[j], shape[k]), geometry.physical)
