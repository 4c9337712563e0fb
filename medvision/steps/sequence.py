"""Steps in a row, what they mean for labels, and the way back to the grid of the input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.errors import GeometryError
from medvision.geometry import Geometry
from medvision.placing import Placing, blend
from medvision.resampling import resample
from medvision.steps.crop import CropForeground
from medvision.steps.nonzero import CropNonzero
from medvision.steps.pad import Pad
from medvision.steps.reorient import Reorient
from medvision.steps.resample import Resample, Resize
from medvision.steps.resample_apart import Orders, ResampleApart
from medvision.steps.transpose import Transpose
from medvision.volume import Labels, Volume

BORDERS = (CropForeground, CropNonzero, Pad)
"""The steps that cut off or add at the border alone: what lies within looks as before."""
SPATIAL = (Reorient, Transpose, Resample, ResampleApart, Resize, *BORDERS)
"""The steps that change the grid; all others change values only."""
_KNOWN = (Reorient, Transpose, Resample, ResampleApart, Resize, Pad)  # what they lead to depends on no voxel


def apply(steps: Sequence[Callable[[Volume], Volume]], volume: Volume) -> Volume:
    """Return the volume after all steps, in their order; without steps, the volume itself.

    The geometry of the result says where its voxels lie: what belongs to a place in the world stays there.
    """
    for step in steps:
        volume = step(volume)
    return volume


def grid_after(steps: Sequence[Callable[[Volume], Volume]], geometry: Geometry) -> Geometry:
    """Return the grid to which steps lead from one, without any voxel; of a crop the whole, which it is at most.

    Raises
    ------
    GeometryError
        A step cannot take the grid: that of a picture.
    """
    for step in steps:
        if isinstance(step, _KNOWN):
            geometry = step.grid(geometry)
    return geometry


def apply_to_labels(steps: Sequence[Callable[[Volume], Volume]], labels: Labels, like: Geometry) -> Labels:
    """Return labels on the grid to which the steps brought their image, by nearest neighbour.

    Labels are moved once, straight to the last grid, however many steps led there.

    Parameters
    ----------
    steps
        What the image went through.
    labels
        The labels on the image's first grid.
    like
        The grid of the image after the steps. It is asked for because a crop depends on the image's values.

    Raises
    ------
    GeometryError
        No step changes the grid, and yet labels and image lie on different ones.
    """
    if any(isinstance(step, SPATIAL) for step in steps):
        return labels.onto(like)
    if not labels.geometry.matches(like):
        raise GeometryError("grid-differs", f"labels {labels.geometry.shape} do not lie on the image {like.shape}")
    return labels


def orders_back(steps: Sequence[Callable[[Volume], Volume]], after: Geometry, before: Geometry) -> Orders:
    """Return in which order results are interpolated along each axis of `after`, on their way back to `before`.

    That is 1, linear, but for a step that states otherwise: slices that it took apart go back each to the nearest one.

    Parameters
    ----------
    steps
        What the image went through.
    after, before
        The grid after all steps, and that of the input; their axes run alike, in any order.
    """
    stated = [step for step in steps if isinstance(step, ResampleApart)]
    if not stated:
        return (1, 1, 1)
    along = np.abs(after.index_map(before)[:3, :3]).argmax(axis=0)  # which of the input's axes each one is
    return stated[-1].orders_back([before.spacing[axis] for axis in along])


def undo(values: NDArray[Any], after: Geometry, before: Geometry, *, order: int | Orders, fill: float) -> NDArray[Any]:
    """Return values found on the last grid on the grid of the input, whatever steps lie between.

    Reorientation, crops and padding are undone bit by bit; resampling by interpolation.

    Parameters
    ----------
    values
        (I, J, K) on the grid `after`.
    after, before
        The grid after all steps, and that of the input.
    order
        0 nearest neighbour (labels), 1 linear (probabilities), 3 cubic spline; or 0 or 1 for each axis of `after`, as
        :func:`orders_back` states them.
    fill
        The value where the input reaches beyond `after`, e.g. what a crop left out.

    Returns
    -------
    (I', J', K') on the grid `before`; see :func:`medvision.resampling.resample`. float32 with an order for each axis.
    """
    if isinstance(order, int):
        return resample(values, after, before, order=order, fill=fill)
    placing = Placing.between(after, before, order)
    result = np.full(before.shape, fill, dtype=np.float32)
    there = np.ix_(*(np.flatnonzero(line.inside) for line in placing.lines))
    placing.planes_first(result, 0)[there] = blend(values, placing.lines, [slice(None)] * 3)[there]
    return result
