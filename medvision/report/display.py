"""How a grid is laid out for looking: radiological planes through the nearest RAS order, and boxes in it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.geometry import Geometry, parse_orientation

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]

_MARGIN = 0.6  # of the labels' longest side, on each side: enough of the surroundings to judge a border
_LEAST_MARGIN_MM = 10.0
_OBLIQUE_DEGREES = 0.5


@dataclass(frozen=True)
class Plane:
    """A direction of cutting.

    Parameters
    ----------
    name
        As anatomists say it.
    axis
        The axis of the display's grid that is cut.
    symbol
        The name of that world axis; empty for a picture.
    edges
        The letters at the left, right, top and bottom; empty for a picture.
    """

    name: str
    axis: int
    symbol: str
    edges: str

    @property
    def sides(self) -> tuple[int, int]:
        """The axes that run along the columns (width) and rows (height) of the cut."""
        first, second = (axis for axis in range(3) if axis != self.axis)
        return first, second


# Radiological convention: seen from the feet, from the front, and from the patient's left.
AXIAL = Plane("axial", 2, "z", "RLAP")
CORONAL = Plane("coronal", 1, "y", "RLSI")
SAGITTAL = Plane("sagittal", 0, "x", "APSI")
PICTURE = Plane("picture", 2, "", "")


@dataclass(frozen=True)
class Display:
    """A grid seen in RAS order; a picture is seen as it is stored.

    Parameters
    ----------
    source
        The grid as it came.
    """

    source: Geometry

    @cached_property
    def geometry(self) -> Geometry:
        """The grid in the order in which it is shown."""
        return self.source.reoriented("RAS") if self.source.physical else self.source

    @cached_property
    def planes(self) -> tuple[Plane, ...]:
        """The planes in which there is something to see; a single slice has one."""
        if not self.source.physical:
            return (PICTURE,)
        shape = self.geometry.shape
        seen = [p for p in (AXIAL, CORONAL, SAGITTAL) if all(shape[side] > 1 for side in p.sides)]
        return tuple(seen or [AXIAL])

    @property
    def tilt_degrees(self) -> float:
        """The largest angle between an axis of the grid and the world axis that it is named after."""
        return math.degrees(math.acos(min(1.0, float(np.diag(self.geometry.directions).min()))))

    @property
    def is_tilted(self) -> bool:
        """Whether the letters at the edges are only the nearest directions."""
        return self.source.physical and self.tilt_degrees > _OBLIQUE_DEGREES

    def view(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return (I, J, K) values of the source's grid in the display's order, without a copy."""
        if not self.source.physical:
            return values
        axes = parse_orientation(self.source.orientation)
        order = sorted(range(3), key=lambda axis: axes[axis][0])
        return values.transpose(order)[tuple(slice(None, None, axes[axis][1]) for axis in order)]

    def cut(self, view: NDArray[Any], plane: Plane, index: int, box: Box) -> NDArray[Any]:
        """Return one cut of a view as (rows, columns), rows downwards, columns to the image's right."""
        ranges: list[Any] = [slice(*side) for side in box]
        ranges[plane.axis] = index
        cut: NDArray[Any] = view[tuple(ranges)]
        return cut.T if plane is PICTURE else cut[::-1, ::-1].T

    def size(self, plane: Plane, box: Box) -> tuple[float, float]:
        """Return width and height of a cut: mm, or pixels for a picture."""
        width, height = ((box[side][1] - box[side][0]) * self.geometry.spacing[side] for side in plane.sides)
        return width, height

    def position_mm(self, plane: Plane, index: int, box: Box) -> float:
        """Return the world coordinate of the middle of a cut along the axis that it is named after."""
        middle = [(start + stop - 1) / 2 for start, stop in box]
        middle[plane.axis] = index
        return float(self.geometry.to_world(middle)[plane.axis])

    @property
    def whole(self) -> Box:
        """The box of the whole field of view."""
        i, j, k = self.geometry.shape
        return (0, i), (0, j), (0, k)

    def middle(self) -> Box:
        """Return the box that leaves out a fifth of the field of view on each side."""
        return _box([(size // 5, size - size // 5) for size in self.geometry.shape])

    def around(self, box: Box) -> Box:
        """Return `box` with its surroundings, within the field of view."""
        spacing = self.geometry.spacing
        longest = max((stop - start) * step for (start, stop), step in zip(box, spacing, strict=True))
        margin = max(_MARGIN * longest, _LEAST_MARGIN_MM)
        sides = []
        for (start, stop), step, size in zip(box, spacing, self.geometry.shape, strict=True):
            extra = math.ceil(margin / step)
            sides.append((max(0, start - extra), min(size, stop + extra)))
        return _box(sides)


def box_of(mask: NDArray[np.bool_]) -> Box | None:
    """Return the bounding box of a mask, or None where it is empty."""
    sides = []
    for axis in range(3):
        found = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        if not len(found):
            return None
        sides.append((int(found[0]), int(found[-1]) + 1))
    return _box(sides)


def including(box: Box, index: tuple[int, ...]) -> Box:
    """Return the smallest box that holds `box` and the voxel `index`.

    >>> including(((2, 4), (2, 4), (2, 4)), (0, 3, 9))
    ((0, 4), (2, 4), (2, 10))
    """
    return _box([(min(a, at), max(b, at + 1)) for (a, b), at in zip(box, index, strict=True)])


def spread(start: int, stop: int, count: int) -> list[int]:
    """Return at most `count` indices spread evenly over `start` up to, not including, `stop`.

    >>> spread(0, 9, 3), spread(4, 6, 7)
    ([1, 4, 7], [4, 5])
    """
    places = start + (np.arange(count) + 0.5) * (stop - start) / count
    return [int(place) for place in np.unique(np.floor(places))]


def _box(sides: list[tuple[int, int]]) -> Box:
    first, second, third = sides
    return first, second, third
