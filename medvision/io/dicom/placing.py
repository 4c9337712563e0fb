"""Frames placed on a grid by whole voxels, or refused: no mask is interpolated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.errors import GeometryError, InputError
from medvision.geometry import FloatArray, Geometry

_MAX_VOXELS = 2_000_000_000
_ON_GRID = 1e-3  # of a voxel: how far frames may lie off a grid that is given
_EVEN = 0.01  # of a voxel: how far they may lie off the grid that is made of them ...
_ROUNDING_MM = 0.01  # ... or this, for positions are decimal strings, often rounded

Axis = tuple[int, bool]


@dataclass(frozen=True, eq=False)
class Planes:
    """Where parallel frames of one size lie.

    Parameters
    ----------
    positions
        (F, 3) the centre of each frame's first pixel: RAS+, mm.
    steps
        (3, 2) from column to column and from row to row: RAS+, mm.
    shape
        Rows and columns.
    spacing
        The stated distance between slices in mm; None where unknown.
    thickness
        The stated thickness of a slice in mm, which is asked only for a lone plane; None where unknown.
    """

    positions: FloatArray
    steps: FloatArray
    shape: tuple[int, int]
    spacing: float | None = None
    thickness: float | None = None


@dataclass(frozen=True, eq=False)
class Placement:
    """Where frames lie on a grid, in whole voxels.

    Parameters
    ----------
    geometry
        The grid.
    axes
        For the frames' normal, rows downwards and columns across: the axis of the grid, and whether it runs against it.
    places
        (F, 3) the first pixel of each frame along `axes`; a frame may reach beyond the grid.
    """

    geometry: Geometry
    axes: tuple[Axis, Axis, Axis]
    places: NDArray[np.int64]

    def along_frames(self, voxels: NDArray[Any]) -> NDArray[Any]:
        """Return a view of (I, J, K) values whose axes are normal, rows and columns of the frames."""
        turned = voxels.transpose([axis for axis, _ in self.axes])
        return turned[tuple(slice(None, None, -1 if against else 1) for _, against in self.axes)]

    def part(self, number: int, shape: tuple[int, int]) -> tuple[tuple[int, slice, slice], tuple[slice, slice]] | None:
        """Return which part of :meth:`along_frames` a frame fills, and with what of itself; None where it is outside.

        Parameters
        ----------
        number
            The frame, from 0.
        shape
            Its rows and columns.
        """
        plane, *starts = self.places[number].tolist()
        planes, *sizes = (self.geometry.shape[axis] for axis, _ in self.axes)
        on_grid, of_frame = [], []
        for start, length, size in zip(starts, shape, sizes, strict=True):
            first, last = max(start, 0), min(start + length, size)
            if first >= last:
                return None
            on_grid.append(slice(first, last))
            of_frame.append(slice(first - start, last - start))
        if not 0 <= plane < planes:
            return None
        return (plane, on_grid[0], on_grid[1]), (of_frame[0], of_frame[1])


def placed_on(planes: Planes, geometry: Geometry) -> Placement:
    """Return where the frames lie on a grid that is given.

    Raises
    ------
    GeometryError
        ``grid-differs``: their pixels are not its voxels, or lie more than a thousandth of a voxel from these.
    """
    return _placed(planes, geometry, np.full(3, _ON_GRID))


def placed_together(planes: Planes) -> Placement:
    """Return where the frames lie on the smallest grid that holds them all: i columns, j rows, k along the normal.

    Slices that no frame lies at are part of it. The distance of slices is the stated one where all distances are whole
    multiples of it, else the usual smallest distance. Frames that move sideways evenly give a sheared grid.

    Raises
    ------
    InputError
        ``slices-missing``: the distances are whole multiples of neither; ``too-large``.
    GeometryError
        ``bad-geometry``: a lone slice without a stated distance or thickness, or shifted within its plane.

    Examples
    --------
    >>> planes = Planes(np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 6.0]]), np.eye(3)[:, :2], (4, 5), spacing=2.0)
    >>> found = placed_together(planes)
    >>> found.geometry.shape, found.places.tolist()
    ((5, 4, 4), [[0, 0, 0], [3, 0, 0]])
    """
    normal = np.cross(planes.steps[:, 0], planes.steps[:, 1])
    normal /= np.linalg.norm(normal)
    heights = np.sort(planes.positions @ normal)
    gaps = np.diff(heights)
    gaps = gaps[gaps > _ROUNDING_MM]
    if not gaps.size:
        if np.ptp(planes.positions, axis=0).max() > _ROUNDING_MM:
            raise GeometryError("bad-geometry", "frames of one slice are shifted against each other")
        step = planes.spacing or planes.thickness
        if step is None:
            raise GeometryError("bad-geometry", "a lone slice without Spacing Between Slices or Slice Thickness")
        return _grid(planes, planes.positions.mean(axis=0), normal * step, 1)
    usual = float(np.median(gaps[gaps < 1.5 * gaps.min()]))
    for spacing in (planes.spacing, usual):
        fitted = None if spacing is None else _fitted(planes, normal, spacing)
        if fitted is not None:
            return _grid(planes, *fitted)
    raise InputError("slices-missing", f"distances of frames are no whole multiples of {usual:.3f} mm")


def _fitted(planes: Planes, normal: FloatArray, spacing: float) -> tuple[FloatArray, FloatArray, int] | None:
    """Return first position, step and number of slices; None where distances are no multiples of `spacing`."""
    heights = planes.positions @ normal
    numbers = np.rint((heights - heights.min()) / spacing)
    if not 1 <= numbers.max() < _MAX_VOXELS:
        return None
    centred = numbers - numbers.mean()
    middle = planes.positions.mean(axis=0)
    step = centred @ planes.positions / (centred @ centred)
    off = np.linalg.norm(planes.positions - middle - np.outer(centred, step), axis=1)
    if off.max() > max(_EVEN * spacing, _ROUNDING_MM):
        return None
    return middle - numbers.mean() * step, step, int(numbers.max()) + 1


def _grid(planes: Planes, first: FloatArray, step: FloatArray, count: int) -> Placement:
    rows, columns = planes.shape
    if rows * columns * count > _MAX_VOXELS:
        raise InputError("too-large", f"{columns}x{rows}x{count} voxels are more than {_MAX_VOXELS:,}")
    affine = np.eye(4)
    affine[:3, :2], affine[:3, 2], affine[:3, 3] = planes.steps, step, first
    geometry = Geometry(affine, (columns, rows, count))
    within = np.maximum(_EVEN, _ROUNDING_MM / np.asarray(geometry.spacing))
    # Twice as much as the fit allowed: on a sheared grid the same distance is more voxels.
    return _placed(planes, geometry, 2 * within)


def _placed(planes: Planes, geometry: Geometry, within: FloatArray) -> Placement:
    rows, columns = planes.shape
    steps = np.linalg.inv(geometry.affine)[:3, :3] @ planes.steps[:, ::-1]  # rows first
    whole = np.rint(steps)
    if not np.array_equal(np.abs(whole).sum(axis=0), (1, 1)) or np.abs(whole).sum(axis=1).max() > 1:
        raise GeometryError("grid-differs", "pixels of the frames are not voxels of the grid: size or direction differ")
    index = geometry.to_index(planes.positions)
    nearest = np.rint(index)
    off = np.abs(index - nearest).max(axis=0) + np.abs(steps - whole) @ (rows - 1, columns - 1)
    if not (off <= within).all():
        raise GeometryError("grid-differs", f"frames lie up to {off.max():.3f} voxels from those of the grid")
    down, across = (int(np.flatnonzero(whole[:, n])[0]) for n in (0, 1))
    axes = ((3 - down - across, False), (down, bool(whole[down, 0] < 0)), (across, bool(whole[across, 1] < 0)))
    places = [geometry.shape[axis] - 1 - nearest[:, axis] if against else nearest[:, axis] for axis, against in axes]
    return Placement(geometry, axes, np.stack(places, axis=1).astype(np.int64))
