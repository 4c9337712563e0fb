"""The steps `resample` and `resize`: the same field of view in other voxels."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
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

_SAME = 1e-3  # mm: a spacing that is no further from the wanted one is left as it is, where the first voxel is kept


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
    blur
        Whether values are blurred before an axis becomes coarser.
    keeps
        ``"faces"``; or ``"first_voxel"``: the centre of the first voxel stays in place, the last one's within half a
        new voxel, values beyond it are those of the nearest voxel, and an axis whose spacing is within 0.001 mm of the
        wanted one stays as it is. That and no `blur` is what MONAI's ``Spacing`` does.

    Examples
    --------
    >>> scan = Volume(np.zeros((1, 4, 4, 4)), Geometry.from_spacing((1, 1, 3), (4, 4, 4)))
    >>> Resample(spacing_mm=(2, 2, 2))(scan).geometry.shape
    (2, 2, 6)
    """

    spacing_mm: tuple[_Step, _Step, _Step]
    use: Literal["resample"] = "resample"
    order: Order = 1
    blur: bool = True
    keeps: Literal["faces", "first_voxel"] = "faces"

    def __call__(self, volume: Volume) -> Volume:
        """Return the volume with the spacing of the settings.

        Raises
        ------
        GeometryError
            The volume is a picture, which states no spacing.
        """
        return _interpolated(volume, self.grid(volume.geometry), self.order, blur=self.blur)

    def grid(self, geometry: Geometry) -> Geometry:
        """Return the grid that the step leads to; GeometryError for that of a picture."""
        if not geometry.physical:
            raise GeometryError(
                "bad-geometry", "this picture states no spacing in mm", cure="Use the step `resize` instead."
            )
        if self.keeps == "faces":
            return geometry.resampled(self.spacing_mm)
        now, wanted = np.asarray(geometry.spacing), np.asarray(self.spacing_mm)
        steps = np.where(np.abs(now - wanted) <= _SAME, now, wanted)
        return geometry.resampled(steps.tolist(), from_first=True)


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
    blur
        Whether values are blurred before an axis becomes coarser.
    average
        Whether each new voxel is the mean of all old ones that it touches, in place of interpolation and blur.

    Examples
    --------
    >>> picture = Volume(np.zeros((1, 200, 100, 1)), Geometry.of_picture(200, 100))
    >>> Resize(shape=(50, 50, 1))(picture).geometry.spacing
    (4.0, 2.0, 1.0)
    """

    shape: tuple[_Size, _Size, _Size]
    use: Literal["resize"] = "resize"
    order: Order = 1
    blur: bool = True
    average: bool = False

    def __call__(self, volume: Volume) -> Volume:
        """Return the volume with the number of voxels of the settings."""
        target = self.grid(volume.geometry)
        if self.average:
            values = volume.voxels.astype(np.float64)
            for axis, size in enumerate(self.shape, 1):
                values = _averaged(values, axis, size)
            return replace(volume, voxels=as_float32(values), geometry=target)
        return _interpolated(volume, target, self.order, blur=self.blur)

    def grid(self, geometry: Geometry) -> Geometry:
        """Return the grid that the step leads to."""
        return geometry.resampled((np.asarray(geometry.extent) / self.shape).tolist())


def _interpolated(volume: Volume, target: Geometry, order: Order, *, blur: bool) -> Volume:
    # Converted first: a cubic spline of 8-bit values would wrap around where it overshoots.
    return replace(volume, voxels=as_float32(volume.voxels)).onto(target, order=order, fill=None, smooth=blur)


def _averaged(values: NDArray[np.float64], axis: int, size: int) -> NDArray[np.float64]:
    """Return values with `size` entries along `axis`: of each, the mean of all old ones that it touches."""
    old = values.shape[axis]
    starts, stops = np.arange(size) * old // size, -(-np.arange(1, size + 1) * old // size)
    sums = np.insert(np.cumsum(values, axis=axis), 0, 0.0, axis=axis)
    counts = (stops - starts).reshape([-1 if each == axis else 1 for each in range(values.ndim)])
    return np.asarray((sums.take(stops, axis=axis) - sums.take(starts, axis=axis)) / counts)
