"""From one grid to another, plane by plane: which neighbours a voxel lies between, and how near to each.

For grids whose axes are parallel, in any order and direction, as all steps of a pipeline leave them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from medvision.errors import GeometryError
from medvision.geometry import Geometry, Shape

_EXACT = 1e-4  # of a voxel: below it, a value is moved, not interpolated
_NOISE = 1e-6  # so that the rounding of an affine does not choose between two voxels that are equally near
_Scalar = TypeVar("_Scalar", bound=np.generic)


@dataclass(frozen=True, eq=False)
class Line:
    """How the voxels along one axis of the target lie on an axis of the source.

    Parameters
    ----------
    axis
        Of the target.
    lower, upper
        The neighbours of each voxel of the target, as indices of the source; the same where it lies on a voxel.
    share
        How much the upper neighbour counts, 0 to below 1.
    inside
        Whether it lies within the source's field of view, half a voxel beyond the outer centres.
    """

    axis: int
    lower: NDArray[np.intp]
    upper: NDArray[np.intp]
    share: NDArray[np.float32]
    inside: NDArray[np.bool_]

    @property
    def moves(self) -> bool:
        """Whether every voxel of the target lies on one of the source."""
        return bool((self.lower == self.upper).all())


@dataclass(frozen=True, eq=False)
class Placing:
    """From a source grid to a target grid with parallel axes.

    Parameters
    ----------
    source, target
        The shapes of the grids.
    lines
        One for each axis of the source.
    """

    source: Shape
    target: Shape
    lines: tuple[Line, Line, Line]

    @classmethod
    def between(cls, source: Geometry, target: Geometry, orders: Sequence[Literal[0, 1]] = (1, 1, 1)) -> Placing:
        """Return how voxels of `target` lie on `source`.

        Parameters
        ----------
        orders
            For each axis of the source: 1 takes both neighbours by their distance, 0 the nearest alone.

        Raises
        ------
        GeometryError
            ``bad-geometry``: the axes of the grids are not parallel.
        """
        matrix = target.index_map(source)
        linear = matrix[:3, :3]
        axes = [int(np.abs(linear[axis]).argmax()) for axis in range(3)]
        others = linear.copy()
        others[range(3), axes] = 0
        if sorted(axes) != [0, 1, 2] or np.abs(others @ np.asarray(target.shape)).max() > _EXACT:
            raise GeometryError("bad-geometry", "the axes of two grids are not parallel")
        lines = [
            _line(axis, linear[number, axis] * np.arange(target.shape[axis]) + matrix[number, 3], size, order)
            for number, (axis, size, order) in enumerate(zip(axes, source.shape, orders, strict=True))
        ]
        return cls(source.shape, target.shape, (lines[0], lines[1], lines[2]))

    def planes_first(self, values: NDArray[_Scalar], axis: int) -> NDArray[_Scalar]:
        """Return a view of values (I, J, K) of the target: along the source's `axis` first, then its other axes."""
        return values.transpose([self.lines[number].axis for number in self.order(axis)])

    @staticmethod
    def order(axis: int) -> tuple[int, int, int]:
        """Return the source's axes, `axis` first.

        >>> Placing.order(1)
        (1, 0, 2)
        """
        first, second = (number for number in range(3) if number != axis)
        return (axis, first, second)


def blend(values: NDArray[Any], lines: Sequence[Line | None], parts: Sequence[slice]) -> NDArray[np.float32]:
    """Return values on the source brought to a part of the target, linearly along one axis after another.

    Parameters
    ----------
    values
        (A, B, C), with the source's axes in the order of `lines`.
    lines
        None for an axis along which nothing changes.
    parts
        Which voxels of the target are wanted along each axis.
    """
    for number, (line, part) in enumerate(zip(lines, parts, strict=True)):
        if line is None:
            continue
        low = values.take(line.lower[part], axis=number)
        if (line.lower[part] == line.upper[part]).all():
            values = low
            continue
        share = line.share[part].reshape([-1 if axis == number else 1 for axis in range(3)])
        high = values.take(line.upper[part], axis=number)
        values = low + (high - low) * share
    return np.asarray(values, dtype=np.float32)


def _line(axis: int, at: NDArray[np.float64], size: int, order: int) -> Line:
    whole = np.rint(at)
    at = np.where(np.abs(at - whole) <= _EXACT, whole, at)
    inside = (at >= -0.5 - _EXACT) & (at <= size - 0.5 + _EXACT)
    if order == 0:
        at = np.floor(at + 0.5 + _NOISE)
    at = np.clip(at, 0, size - 1)
    lower = np.floor(at).astype(np.intp)
    share = (at - lower).astype(np.float32)
    return Line(axis, lower, np.where(share > 0, np.minimum(lower + 1, size - 1), lower), share, inside)
