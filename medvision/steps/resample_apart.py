"""The step `resample_apart`: another spacing, with thick slices resampled each by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from medvision.errors import GeometryError
from medvision.geometry import Geometry
from medvision.steps.resample import Order
from medvision.steps.values import as_float32
from medvision.strict import STRICT
from medvision.volume import Volume

_LEAST_WEIGHT = 1e-8
_AT_ONCE = 1 << 21  # voxels
_Step = Annotated[float, Field(gt=0)]
Orders = tuple[Literal[0, 1], Literal[0, 1], Literal[0, 1]]
"""Order of the interpolation along each axis: 0 nearest neighbour, 1 linear."""


@dataclass(frozen=True, config=STRICT, kw_only=True)
class ResampleApart:
    """Bring the voxels to about a spacing, slices apart from each other where they are thick, as nnU-Net does.

    The outer faces of the field of view stay in place: sizes are rounded to whole voxels, and the spacing with them.
    Nothing is blurred, and values stay within those of the image (of the slice, where slices are apart). Along the axis
    of slices that are apart, each new slice is the nearest old one. Results are brought back in the same way.

    Parameters
    ----------
    use
        The name of the step.
    spacing_mm
        Distance between voxel centres, in mm, along the first two axes or all; with two numbers the last axis stays.
    order
        0 nearest neighbour, 1 linear, 3 cubic spline.
    back
        The same for results on their way back to the image's grid, 0 or 1.
    apart
        ``"thick"``: slices are apart along the axis with the longest voxels, where these are more than `ratio` times as
        long as along the axis with the shortest ones, before or after the step; ``"always"``: along the image's longest
        axis; ``"never"``. Never where two axes are the longest.
    ratio
        See `apart`.

    Examples
    --------
    >>> from medvision.geometry import Geometry
    >>> scan = Volume(np.zeros((1, 4, 4, 4)), Geometry.from_spacing((1, 1, 4), (4, 4, 4)))
    >>> ResampleApart(spacing_mm=(2, 2, 2))(scan).geometry.shape
    (2, 2, 8)
    >>> ResampleApart(spacing_mm=(2, 2, 2)).orders_back((1, 1, 4))
    (1, 1, 0)
    """

    spacing_mm: tuple[_Step, _Step, _Step] | tuple[_Step, _Step]
    use: Literal["resample_apart"] = "resample_apart"
    order: Order = 3
    back: Literal[0, 1] = 1
    apart: Literal["thick", "always", "never"] = "thick"
    ratio: Annotated[float, Field(ge=1)] = 3.0

    def __call__(self, volume: Volume) -> Volume:
        """Return the volume with the spacing of the settings.

        Raises
        ------
        GeometryError
            The volume is a picture, which states no spacing.
        """
        target = self.grid(volume.geometry)
        if target.shape == volume.geometry.shape:
            return replace(volume, voxels=as_float32(volume.voxels))
        now = _as_stored(volume.geometry.spacing)
        axis = self._axis_apart(now, self._wanted(now))
        parts = [_resized(as_float32(channel), target.shape, self.order, axis) for channel in volume.voxels]
        resized = parts[0][None] if len(parts) == 1 else np.stack(parts)
        return replace(volume, voxels=resized, geometry=target)

    def grid(self, geometry: Geometry) -> Geometry:
        """Return the grid that the step leads to; GeometryError for that of a picture."""
        if not geometry.physical:
            raise GeometryError(
                "bad-geometry", "this picture states no spacing in mm", cure="Use the step `resize` instead."
            )
        now = _as_stored(geometry.spacing)
        rows = zip(now, self._wanted(now), geometry.shape, strict=True)
        shape = tuple(max(1, round(old / new * size)) for old, new, size in rows)
        if shape == geometry.shape:
            return geometry
        return geometry.resampled([extent / size for extent, size in zip(geometry.extent, shape, strict=True)])

    def orders_back(self, spacing: Sequence[float]) -> Orders:
        """Return how results go back to a grid of `spacing` along each axis of the step's own grid."""
        now = _as_stored(spacing)
        axis = self._axis_apart(self._wanted(now), now)
        i, j, k = (0 if number == axis else self.back for number in range(3))
        return (i, j, k)

    def _wanted(self, now: Sequence[float]) -> tuple[float, float, float]:
        i, j, k = (*self.spacing_mm, now[2])[:3]
        return (i, j, k)

    def _axis_apart(self, before: Sequence[float], after: Sequence[float]) -> int | None:
        """Return the axis of slices that are apart from each other; None where they are not."""
        if self.apart == "never":
            return None
        thick = (
            [before]
            if self.apart == "always"
            else [spacing for spacing in (before, after) if max(spacing) / min(spacing) > self.ratio]
        )
        longest = [axis for axis, length in enumerate(thick[0]) if length == max(thick[0])] if thick else []
        return longest[0] if len(longest) == 1 else None


def _as_stored(spacing: Sequence[float]) -> list[float]:
    """Return a spacing as NIfTI stores it, in 32 bits, without the noise of an affine that it was computed from."""
    return [float(np.float32(length)) for length in spacing]


def _resized(channel: NDArray[np.float32], shape: Sequence[int], order: int, apart: int | None) -> NDArray[np.float32]:
    """Return (I, J, K) on another number of voxels over the same field of view."""
    values = channel
    within = [axis for axis in range(3) if axis != apart]
    for axis in sorted(within, key=lambda axis: shape[axis] / channel.shape[axis]):  # what shrinks first saves work
        if values.shape[axis] != shape[axis]:
            values = _along(values, axis, _weights(values.shape[axis], shape[axis], order))
    if order == 3 and values is not channel:  # a spline overshoots at edges
        least, most = (edge(axis=tuple(within), keepdims=True) for edge in (channel.min, channel.max))
        np.clip(values, least, most, out=values)
    if apart is not None and values.shape[apart] != shape[apart]:
        values = values.take(_nearest(values.shape[apart], shape[apart]), axis=apart)
    return values


def _along(values: NDArray[np.float32], axis: int, weights: Any) -> NDArray[np.float32]:
    """Return values whose lines along an axis are multiplied by `weights`, (new size, old size)."""
    result = np.empty([weights.shape[0] if n == axis else size for n, size in enumerate(values.shape)], np.float32)
    first = np.moveaxis(values, axis, 0)
    onto = np.moveaxis(result, axis, 0)
    planes = max(1, _AT_ONCE // max(1, first[:, :1].size))
    for start in range(0, first.shape[1], planes):
        part = np.ascontiguousarray(first[:, start : start + planes])
        # sparse, and not the faster matrices of BLAS, whose sums depend on the number of threads
        lines = weights @ part.reshape(part.shape[0], -1)
        onto[:, start : start + planes] = lines.reshape(-1, *part.shape[1:])
    return result


def _weights(size: int, wanted: int, order: int) -> Any:
    """Return what each of `size` voxels of a line counts in each of `wanted` ones, as a sparse array (wanted, size).

    A spline on a grid is one along its lines, axis after axis; the weight of a voxel falls by 0.27 with its distance.
    """
    from scipy import ndimage, sparse

    shares = np.stack(
        [ndimage.zoom(one, wanted / size, order=order, mode="nearest", grid_mode=True) for one in np.eye(size)], axis=1
    )
    return sparse.csr_array(np.where(np.abs(shares) < _LEAST_WEIGHT, 0, shares).astype(np.float32))


def _nearest(size: int, wanted: int) -> NDArray[np.intp]:
    """Return the nearest of `size` slices for each of `wanted` ones; of two equally near ones the later."""
    at = (np.arange(wanted) + 0.5) * (size / wanted) - 0.5
    return np.asarray(np.clip(np.floor(at + 0.5), 0, size - 1), dtype=np.intp)
