"""The steps `resample` and `resize`: the same field of view in other voxels."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from medvision.errors import GeometryError
from medvision.geometry import Geometry
from medvision.steps.values import as_float32
from medvision.strict import STRICT
from medvision.volume import Volume

Order = Literal[0, 1, 3]
_Step = Annotated[float, Field(gt=0)]
_Size = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Resample:
    """Bring the voxels to a spacing; the outer faces of the field of view stay within half a new voxel.

    Where an axis becomes coarser, values are first blurred against aliasing (not with order 0).

    Parameters
    ----------
    use
        The name of the step.
    spacing_mm
        Distance between voxel centres along i, j and k, in mm: put `reorient` before it where axes may differ.
    order
        0 nearest neighbour, 1 linear, 3 cubic spline (which may overshoot at sharp edges).

    Examples
    --------
    >>> scan = Volume(np.zeros((1, 4, 4, 4)), Geometry.from_spacing((1, 1, 3), (4, 4, 4)))
    >>> Resample(spacing_mm=(2, 2, 2))(scan).geometry.shape
    (2, 2, 6)
    """

    spacing_mm: tuple[_Step, _Step, _Step]
    use: Literal["resample"] = "resample"
    order: Order = 1

    def __call__(self, volume: Volume) -> Volume:
        """Return the volume with the spacing of the settings.

        Raises
        ------
        GeometryError
            The volume is a picture, which states no spacing.
        """
        if not volume.geometry.physical:
            raise GeometryError(
                "bad-geometry", "this picture states no spacing in mm", cure="Use the step `resize` instead."
            )
        return _interpolated(volume, volume.geometry.resampled(self.spacing_mm), self.order)


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Resize:
    """Bring the field of view to a fixed number of voxels, whatever its size; proportions may change.

    Meant for pictures, which state no spacing. A volume keeps its place in the world, and its spacing changes.

    Parameters
    ----------
    use
        The name of the step.
    shape
        Number of voxels along i, j and k; a picture has columns, rows and 1.
    order
        0 nearest neighbour, 1 linear, 3 cubic spline (which may overshoot at sharp edges).

    Examples
    --------
    >>> picture = Volume(np.zeros((1, 200, 100, 1)), Geometry.of_picture(200, 100))
    >>> Resize(shape=(50, 50, 1))(picture).geometry.spacing
    (4.0, 2.0, 1.0)
    """

    shape: tuple[_Size, _Size, _Size]
    use: Literal["resize"] = "resize"
    order: Order = 1

    def __call__(self, volume: Volume) -> Volume:
        """Return the volume with the number of voxels of the settings."""
        spacing = np.asarray(volume.geometry.extent) / self.shape
        return _interpolated(volume, volume.geometry.resampled(spacing.tolist()), self.order)


def _interpolated(volume: Volume, target: Geometry, order: Order) -> Volume:
    # Converted first: a cubic spline of 8-bit values would wrap around where it overshoots.
    return replace(volume, voxels=as_float32(volume.voxels)).onto(target, order=order, smooth=True)
