"""Values moved from one grid to another, exactly where the grids allow it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.geometry import FloatArray, Geometry, Shape

_EXACT = 1e-4  # of a voxel: below it, a value is moved, not interpolated
_TURNED = 1e-9  # of the main part of a row: below it, it is the noise of an affine


def resample(
    values: NDArray[Any],
    source: Geometry,
    target: Geometry,
    *,
    order: int = 1,
    fill: float | None = 0.0,
    smooth: bool = False,
) -> NDArray[Any]:
    """Return `values` on the grid `target`.

    Grids that differ by an axis order, flips and whole voxels exchange their values bit by bit; all others are
    interpolated in the world's coordinates, shear included.

    Parameters
    ----------
    values
        (I, J, K) on the grid `source`.
    order
        0 nearest neighbour, 1 linear, 3 cubic spline.
    fill
        The value outside the field of view of `source`; None for that of the nearest voxel.
    smooth
        Blur before going to a coarser grid, against aliasing: Gaussian of (ratio - 1) / 2 voxels (as scikit-image).

    Returns
    -------
    (I', J', K') in the type of `values`; float32 where float values are interpolated.
    """
    matrix = target.index_map(source)
    moved = _moved_exactly(values, matrix, target.shape, fill)
    if moved is not None:
        return moved
    from scipy import ndimage

    kind = np.float32 if order else values.dtype
    if smooth and order:
        ratio = np.linalg.norm(matrix[:3, :3], axis=1)
        sigma = np.maximum(0.0, (ratio - 1) / 2)
        values = ndimage.gaussian_filter(values.astype(np.float32, copy=False), sigma, mode="nearest")
    linear, offset = _snapped(matrix)
    # The field of view ends at the faces of the outer voxels, half a voxel beyond their centres: "nearest" carries
    # the values there, and what lies further out is filled.
    result: NDArray[Any] = ndimage.affine_transform(
        values, linear, offset, target.shape, order=order, mode="nearest", output=kind, prefilter=order > 1
    )
    if fill is None:
        return result
    _fill_outside(result, matrix, source.shape, fill)
    return result


def _moved_exactly(values: NDArray[Any], matrix: FloatArray, shape: Shape, fill: float | None) -> NDArray[Any] | None:
    """Return the values moved by slicing, or None where the grids are not whole voxels apart.

    Without a value to fill with, also None where the target reaches beyond the source.
    """
    linear, offset = matrix[:3, :3], matrix[:3, 3]
    whole = np.round(linear)
    if np.abs(np.abs(whole).sum(axis=0) - 1).any() or np.abs(np.abs(whole).sum(axis=1) - 1).any():
        return None
    drift = np.abs(linear - whole) @ np.asarray(shape) + np.abs(offset - np.round(offset))
    if drift.max() > _EXACT:
        return None
    axes = [int(np.flatnonzero(whole[:, new])[0]) for new in range(3)]
    moved = values.transpose(axes)
    take, put = [], []
    for new, old in enumerate(axes):
        sign, first, size = int(whole[old, new]), round(offset[old]), values.shape[old]
        at = first + sign * np.arange(shape[new])
        inside = (at >= 0) & (at < size)
        take.append(at[inside])
        put.append(np.flatnonzero(inside))
    if fill is None and tuple(map(len, put)) != tuple(shape):
        return None
    result = np.full(shape, 0.0 if fill is None else fill, dtype=values.dtype)
    if all(len(axis) for axis in put):
        result[np.ix_(*put)] = moved[np.ix_(*take)]
    return result


def _snapped(matrix: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return linear part and offset with rounding noise removed, the diagonal as a vector where it is one."""
    linear = np.where(np.abs(matrix[:3, :3]) < 1e-9, 0.0, matrix[:3, :3])
    diagonal = np.diag(linear)
    return (diagonal if np.array_equal(linear, np.diag(diagonal)) else linear), matrix[:3, 3]


def _fill_outside(result: NDArray[Any], matrix: FloatArray, source: Shape, fill: float) -> None:
    """Set the voxels of the target to `fill` whose centre is outside the source's outer faces."""
    for row, size in enumerate(source):
        along = np.flatnonzero(np.abs(matrix[row, :3]) > _TURNED * np.abs(matrix[row, :3]).max())
        # Only these axes of the target move along this one of the source: mostly one, and its planes are in or out.
        at: Any = matrix[row, 3]
        for axis in along:
            line = matrix[row, axis] * np.arange(result.shape[axis])
            at = at + line.reshape([-1 if number == axis else 1 for number in range(3)])
        outside = (at < -0.5 - _EXACT) | (at > size - 0.5 + _EXACT)
        if not outside.any():
            continue
        if len(along) == 1:
            result[tuple(outside.ravel() if axis == along[0] else slice(None) for axis in range(3))] = fill
        else:
            result[np.broadcast_to(outside, result.shape)] = fill
