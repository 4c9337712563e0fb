"""Steps in a row, what they mean for labels, and the way back to the grid of the input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import NDArray

from medvision.errors import GeometryError
from medvision.geometry import Geometry
from medvision.resampling import resample
from medvision.steps.crop import CropForeground
from medvision.steps.pad import Pad
from medvision.steps.reorient import Reorient
from medvision.steps.resample import Resample, Resize
from medvision.volume import Labels, Volume

BORDERS = (CropForeground, Pad)
"""The steps that cut off or add at the border alone: what lies within looks as before."""
SPATIAL = (Reorient, Resample, Resize, *BORDERS)
"""The steps that change the grid; all others change values only."""


def apply(steps: Sequence[Callable[[Volume], Volume]], volume: Volume) -> Volume:
    """Return the volume after all steps, in their order; without steps, the volume itself.

    The geometry of the result says where its voxels lie: what belongs to a place in the world stays there.
    """
    for step in steps:
        volume = step(volume)
    return volume


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


def undo(values: NDArray[Any], after: Geometry, before: Geometry, *, order: int, fill: float) -> NDArray[Any]:
    """Return values found on the last grid on the grid of the input, whatever steps lie between.

    Reorientation, crops and padding are undone bit by bit; resampling by interpolation.

    Parameters
    ----------
    values
        (I, J, K) on the grid `after`.
    after, before
        The grid after all steps, and that of the input.
    order
        0 nearest neighbour (labels), 1 linear (probabilities), 3 cubic spline.
    fill
        The value where the input reaches beyond `after`, e.g. what a crop left out.

    Returns
    -------
    (I', J', K') on the grid `before`; see :func:`medvision.resampling.resample`.
    """
    return resample(values, after, before, order=order, fill=fill)
