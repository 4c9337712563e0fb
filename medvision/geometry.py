"""Where voxels lie: the one world convention (RAS+, millimetres), and the grids made from it.

World axes point to the patient's Right, Anterior and Superior. Readers convert to it and writers from it;
nothing between them knows another convention. This module needs numpy only.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medvision.errors import GeometryError
from medvision.files import sha256_of_bytes

FloatArray = NDArray[np.float64]
Shape = tuple[int, int, int]
Triple = tuple[float, float, float]

_POSITIVE, _NEGATIVE = "RAS", "LPI"


@dataclass(frozen=True, eq=False)
class Geometry:
    """The grid of a volume: where the centre of voxel (i, j, k) lies.

    Parameters
    ----------
    affine
        (4, 4) float64; maps homogeneous voxel indices to world coordinates, RAS+ in mm. May be sheared.
    shape
        Number of voxels along i, j, k.
    physical
        False for a picture whose file states no size: its axes count pixels, and nothing in mm can be asked.

    Raises
    ------
    GeometryError
        The affine is not finite, is singular, or has a last row other than (0, 0, 0, 1); a size is below 1.

    Examples
    --------
    >>> grid = Geometry.from_spacing((2.0, 1.0, 1.0), (10, 20, 30))
    >>> grid.spacing_mm, grid.orientation, grid.voxel_ml
    ((2.0, 1.0, 1.0), 'RAS', 0.002)
    >>> grid.to_world((1, 0, 0)).tolist()
    [2.0, 0.0, 0.0]
    """

    affine: FloatArray
    shape: Shape
    physical: bool = True

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4):
            raise GeometryError("bad-geometry", f"an affine is 4x4, got {'x'.join(map(str, affine.shape))}")
        if not np.isfinite(affine).all():
            raise GeometryError("bad-geometry", "the affine holds values that are not finite")
        if not np.array_equal(affine[3], (0, 0, 0, 1)):
            raise GeometryError("bad-geometry", f"an affine's last row is 0 0 0 1, got {affine[3].tolist()}")
        lengths = np.linalg.norm(affine[:3, :3], axis=0)
        if not (lengths > 1e-6).all() or abs(np.linalg.det(affine[:3, :3] / lengths)) < 1e-3:
            raise GeometryError("bad-geometry", f"the affine is singular; its spacing is {lengths.tolist()}")
        shape = tuple(int(size) for size in self.shape)
        if len(shape) != 3 or min(shape) < 1:
            raise GeometryError("bad-geometry", f"a grid has three sizes of at least 1, got {self.shape}")
        affine.flags.writeable = False
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "shape", shape)

    @classmethod
    def from_spacing(cls, spacing_mm: Sequence[float], shape: Sequence[int]) -> Geometry:
        """Return an axis-aligned RAS+ grid with its first voxel at the world's origin."""
        i, j, k = shape
        return cls(np.diag([*spacing_mm, 1.0]), (i, j, k))

    @classmethod
    def of_picture(cls, columns: int, rows: int) -> Geometry:
        """Return the grid of a picture without a physical size: i counts columns, j rows (downwards)."""
        return cls(np.eye(4), (columns, rows, 1), physical=False)

    def digest(self) -> str:
        """Return the SHA-256 of where the grid lies, to a ten-thousandth of its unit: writers round in several ways."""
        placed = np.round(self.affine, 4) + 0.0  # no -0.0
        return sha256_of_bytes(repr((self.shape, self.physical)).encode(), placed.tobytes())

    @property
    def spacing(self) -> Triple:
        """Distance between neighbouring voxel centres along i, j, k: mm, or pixels where not `physical`."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return (float(x), float(y), float(z))

    @property
    def spacing_mm(self) -> Triple:
        """Distance between neighbouring voxel centres along i, j, k, in mm; GeometryError where unknown."""
        self._require_physical()
        return self.spacing

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in ml; GeometryError where unknown."""
        self._require_physical()
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    @property
    def extent(self) -> Triple:
        """Size of the field of view along i, j, k: mm, or pixels where not `physical`."""
        x, y, z = (size * step for size, step in zip(self.shape, self.spacing, strict=True))
        return (x, y, z)

    @property
    def directions(self) -> FloatArray:
        """(3, 3) unit vectors of the axes i, j, k in world coordinates, one a column."""
        return np.asarray(self.affine[:3, :3] / np.asarray(self.spacing))

    @property
    def orientation(self) -> str:
        """The nearest world direction of each axis, e.g. ``"RAS"`` or ``"LPS"`` (where the axis points to)."""
        return "".join((_POSITIVE if sign > 0 else _NEGATIVE)[world] for world, sign in _nearest_axes(self.directions))

    @property
    def is_sheared(self) -> bool:
        """Whether axes are not at right angles (cosine above 1e-3), as with a tilted gantry."""
        cosines = self.directions.T @ self.directions - np.eye(3)
        return bool(np.abs(cosines).max() > 1e-3)

    @property
    def corners(self) -> FloatArray:
        """(8, 3) world coordinates of the centres of the corner voxels."""
        ends = [(0, size - 1) for size in self.shape]
        return self.to_world(np.array(list(itertools.product(*ends))))

    def to_world(self, index: ArrayLike) -> FloatArray:
        """Return the world coordinates of voxel indices; (..., 3) in, (..., 3) out, fractions allowed."""
        return _apply(self.affine, index)

    def to_index(self, world: ArrayLike) -> FloatArray:
        """Return the fractional voxel indices of world coordinates; (..., 3) in, (..., 3) out."""
        return _apply(np.linalg.inv(self.affine), world)

    def matches(self, other: Geometry, *, tolerance_mm: float = 1e-3) -> bool:
        """Whether both grids have the same shape and all corners within `tolerance_mm` of each other."""
        same = self.shape == other.shape and self.physical == other.physical
        return same and bool(np.abs(self.corners - other.corners).max() <= tolerance_mm)

    def index_map(self, source: Geometry) -> FloatArray:
        """Return the (4, 4) matrix from this grid's indices to those of `source`."""
        return np.asarray(np.linalg.inv(source.affine) @ self.affine)

    def cropped(self, start: Sequence[int], stop: Sequence[int]) -> Geometry:
        """Return the part from index `start` up to, not including, `stop`; beyond the edges it grows."""
        moved = self.affine.copy()
        moved[:3, 3] = self.to_world(np.array(start, dtype=np.float64))
        i, j, k = (int(b) - int(a) for a, b in zip(start, stop, strict=True))
        return Geometry(moved, (i, j, k), self.physical)

    def reoriented(self, orientation: str) -> Geometry:
        """Return the same voxels in another axis order, e.g. ``"RAS"``; no value changes place in the world.

        Raises
        ------
        GeometryError
            `orientation` is not three letters, one of each pair R/L, A/P, S/I.

        Examples
        --------
        >>> Geometry.from_spacing((1, 2, 3), (4, 5, 6)).reoriented("LPS").to_world((0, 0, 0)).tolist()
        [3.0, 8.0, 0.0]
        """
        wanted = parse_orientation(orientation)
        have = _nearest_axes(self.directions)
        matrix = np.zeros((4, 4))
        matrix[3, 3] = 1.0
        shape = []
        for new_axis, (world, sign) in enumerate(wanted):
            old_axis = next(axis for axis, (found, _) in enumerate(have) if found == world)
            size = self.shape[old_axis]
            same = have[old_axis][1] == sign
            matrix[old_axis, new_axis] = 1.0 if same else -1.0
            matrix[old_axis, 3] = 0.0 if same else size - 1
            shape.append(size)
        return Geometry(self.affine @ matrix, (shape[0], shape[1], shape[2]), self.physical)

    def resampled(self, spacing: Sequence[float], *, from_first: bool = False) -> Geometry:
        """Return a grid of another spacing over the same field of view (outer faces kept, sizes rounded).

        `spacing` is in mm, or pixels where not `physical`. The centre of the field of view stays in place; with
        `from_first` that of the first voxel does, and the centres of the outer voxels are kept instead of their faces.
        """
        steps = np.asarray(spacing, dtype=np.float64)
        if steps.shape != (3,) or not (np.isfinite(steps).all() and (steps > 0).all()):
            raise GeometryError("bad-geometry", f"a spacing is three numbers above 0, got {list(spacing)}")
        matrix = self.directions * steps
        if from_first:
            between = (np.asarray(self.shape) - 1) * np.asarray(self.spacing)
            sizes = np.round(between / steps + 1).astype(int)
            affine = self.affine.copy()
            affine[:3, :3] = matrix
            return Geometry(affine, (int(sizes[0]), int(sizes[1]), int(sizes[2])), self.physical)
        sizes = np.maximum(1, np.round(np.asarray(self.extent) / steps)).astype(int)
        centre = self.to_world((np.asarray(self.shape) - 1) / 2)
        affine = np.eye(4)
        affine[:3, :3] = matrix
        affine[:3, 3] = centre - matrix @ ((sizes - 1) / 2)
        return Geometry(affine, (int(sizes[0]), int(sizes[1]), int(sizes[2])), self.physical)

    def turned(self, signs: Sequence[int]) -> Geometry:
        """Return the grid with the world's axes multiplied by `signs` about the field of view's centre.

        (-1, 1, 1) is the mirror image in the sagittal plane: the same voxels, lying as on the other side.
        """
        flip = np.diag([*map(float, signs), 1.0])
        centre = self.to_world((np.asarray(self.shape) - 1) / 2)
        flip[:3, 3] = centre - flip[:3, :3] @ centre
        return Geometry(flip @ self.affine, self.shape, self.physical)

    def to_json(self) -> dict[str, Any]:
        """Return the grid as JSON values."""
        return {
            "shape": list(self.shape),
            "affine_ras_mm": self.affine.tolist(),
            "orientation": self.orientation,
            "spacing_mm": list(self.spacing) if self.physical else None,
        }

    def _require_physical(self) -> None:
        if not self.physical:
            raise GeometryError(
                "bad-geometry", "this picture states no physical size", cure="Measure in pixels, or give its spacing."
            )


def parse_orientation(orientation: str) -> list[tuple[int, int]]:
    """Return for each letter of e.g. ``"LPS"`` the world axis (0, 1, 2) and the sign along it.

    >>> parse_orientation("LPS")
    [(0, -1), (1, -1), (2, 1)]
    """
    axes = []
    for letter in orientation:
        if letter in _POSITIVE:
            axes.append((_POSITIVE.index(letter), 1))
        elif letter in _NEGATIVE:
            axes.append((_NEGATIVE.index(letter), -1))
    if len(orientation) != 3 or sorted(axis for axis, _ in axes) != [0, 1, 2]:
        raise GeometryError(
            "bad-geometry", f"an orientation is three letters, one of R/L, A/P and S/I each; got {orientation!r}"
        )
    return axes


def _nearest_axes(directions: FloatArray) -> list[tuple[int, int]]:
    """Return for each voxel axis the nearest world axis and sign, each world axis taken once."""
    order = max(
        itertools.permutations(range(3)),
        key=lambda worlds: sum(abs(directions[world, axis]) for axis, world in enumerate(worlds)),
    )
    return [(world, 1 if directions[world, axis] >= 0 else -1) for axis, world in enumerate(order)]


def _apply(matrix: NDArray[np.floating[Any]], points: ArrayLike) -> FloatArray:
    points = np.asarray(points, dtype=np.float64)
    return np.asarray(points @ matrix[:3, :3].T + matrix[:3, 3])
