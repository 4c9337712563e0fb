"""Siemens mosaics: the slices of one MR volume, tiled into one picture.

Only the private CSA header says how many tiles there are and which way they run. What it leaves open is refused, for
a mirrored volume looks as good as a right one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.errors import GeometryError, InputError
from medvision.geometry import FloatArray
from medvision.io.dicom.csa import Csa, csa_header, private_value, protocol_centres
from medvision.io.located import decoding

_MAX_TILES = 1024
_ORTHONORMAL_WITHIN = 1e-3
_PARALLEL = 0.9999  # cosine of the angle between the stated normal and that of the orientation, 0.8 degrees
_SPACING_WITHIN = 0.01


@dataclass(frozen=True, eq=False)
class Mosaic:
    """How a volume is tiled into a picture: tile 0 top left, then to the right, row by row.

    Parameters
    ----------
    count
        Number of tiles that hold a slice.
    rows, columns
        Size of one tile in pixels.
    across
        Number of tiles in a row of the picture, and number of such rows.
    positions
        (count, 3) where the centre of each tile's first pixel lies: LPS, mm; what Image Position (Patient) would be
        if the slice were a file of its own.

    Raises
    ------
    InputError
        ``bad-header``: the tiles do not fit the picture.
    GeometryError
        ``bad-geometry``: a position is not finite.
    """

    count: int
    rows: int
    columns: int
    across: int
    positions: FloatArray

    def __post_init__(self) -> None:
        if min(self.count, self.rows, self.columns) < 1 or not self.count <= self.across**2:
            raise InputError("bad-header", f"{self.count} tiles do not fit a mosaic of {self.across}x{self.across}")
        positions = np.array(self.positions, dtype=np.float64)
        if positions.shape != (self.count, 3):
            raise InputError("bad-header", f"{self.count} tiles have as many positions, got {positions.shape}")
        if not np.isfinite(positions).all():
            raise GeometryError("bad-geometry", "the positions of the mosaic's tiles are not finite")
        positions.flags.writeable = False
        object.__setattr__(self, "positions", positions)


def tiles_of(dataset: Any) -> Mosaic | None:
    """Return how a data set's picture is tiled; None where it is no mosaic. Pixels need not be there.

    Parameters
    ----------
    dataset
        A pydicom ``Dataset`` with its private elements.

    Returns
    -------
    Size, order and positions of the tiles. Image Position of a mosaic is that of a single slice with as many rows and
    columns as the whole picture, about the same centre; it is moved accordingly (NiBabel, "Siemens mosaic format").
    Tiles follow ``SliceNormalVector``, which is not always the cross product of Image Orientation: sagittal, coronal
    and head-to-feet mosaics run against it.

    Raises
    ------
    InputError
        ``unsupported``: there is no CSA header (newer scanners, anonymised files), or it leaves the number, the
        distance or the direction of the tiles open. ``bad-header``: it is damaged or contradicts the picture.
    GeometryError
        ``bad-geometry``: position, orientation or spacing is missing or impossible, or what the header says of the
        tiles lies elsewhere than the slices that the protocol asked for.
    """
    with decoding("the header of the mosaic"), np.errstate(all="ignore"):  # what overflows is refused as not finite
        public = private_value(dataset, 0x19, "SIEMENS MR HEADER", 0x0A)
        if "MOSAIC" in _texts(dataset, "ImageType"):
            return _tiles(dataset, public)
        if public is not None and int(public) > 1:
            raise InputError("bad-header", "a private element counts tiles, Image Type (0008,0008) states no mosaic")
        return None


def unpacked(pixels: NDArray[Any], mosaic: Mosaic) -> NDArray[Any]:
    """Return the slices of a tiled picture.

    Parameters
    ----------
    pixels
        (Rows, Columns) of the whole picture.
    mosaic
        How it is tiled.

    Returns
    -------
    (count, rows, columns) in the order of the tiles.

    Raises
    ------
    InputError
        ``bad-header``: the picture has another size, or the tiles beyond the last slice are not empty (one value
        throughout), so that their number cannot be true.

    Examples
    --------
    >>> mosaic = Mosaic(3, 1, 2, 2, np.zeros((3, 3)))
    >>> unpacked(np.array([[1, 1, 2, 2], [3, 3, 0, 0]]), mosaic)[:, 0].tolist()
    [[1, 1], [2, 2], [3, 3]]
    """
    across, rows, columns = mosaic.across, mosaic.rows, mosaic.columns
    if pixels.shape != (across * rows, across * columns):
        wanted = f"{across * rows}x{across * columns}"
        raise InputError("bad-header", f"the mosaic has {wanted} pixels, got {'x'.join(map(str, pixels.shape))}")
    tiles = pixels.reshape(across, rows, across, columns).swapaxes(1, 2).reshape(across**2, rows, columns)
    rest = tiles[mosaic.count :]
    if rest.size and (rest != rest[0, 0, 0]).any():
        raise InputError("bad-header", f"the mosaic has {mosaic.count} slices by its header, and more by its pixels")
    return np.ascontiguousarray(tiles[: mosaic.count])


def _tiles(dataset: Any, public: Any) -> Mosaic:
    csa = csa_header(dataset, "image")
    if csa is None:
        raise InputError("unsupported", "it is a mosaic without the private CSA header that says how it is tiled")
    count = _count(csa, public)
    across = math.isqrt(count - 1) + 1
    rows, columns = (_tile_size(dataset, keyword, across) for keyword in ("Rows", "Columns"))
    axes = _axes(dataset)
    corner = np.array(_numbers(dataset, "ImagePositionPatient", 3))
    first = corner + axes @ [columns * (across - 1) / 2, rows * (across - 1) / 2]
    step = _step(dataset, csa, first + axes @ [columns / 2, rows / 2], axes * [columns, rows], count)
    return Mosaic(count, rows, columns, across, first + np.outer(np.arange(count), step))


def _count(csa: Csa, public: Any) -> int:
    stated = [int(value) for value in csa.get("NumberOfImagesInMosaic", ())[:1]]
    stated += [] if public is None else [int(public)]
    if not stated:
        raise InputError("unsupported", "its private header does not say of how many tiles the mosaic is made")
    if len(set(stated)) > 1 or not 1 <= stated[0] <= _MAX_TILES:
        raise InputError("bad-header", f"the mosaic is made of 1 to {_MAX_TILES} tiles, {stated} are stated")
    return stated[0]


def _tile_size(dataset: Any, keyword: str, across: int) -> int:
    size = int(dataset.get(keyword) or 0)
    if size < 1 or size % across:
        raise InputError("bad-header", f"{keyword} is {size}, which {across} tiles do not share evenly")
    return size // across


def _axes(dataset: Any) -> FloatArray:
    """Return (3, 2) the steps from column to column and from row to row: LPS, mm."""
    cosines = np.reshape(_numbers(dataset, "ImageOrientationPatient", 6), (2, 3))
    if np.abs(cosines @ cosines.T - np.eye(2)).max() > _ORTHONORMAL_WITHIN:
        raise GeometryError("bad-geometry", "Image Orientation is not two unit vectors at right angles")
    between_rows, between_columns = _numbers(dataset, "PixelSpacing", 2)
    if min(between_rows, between_columns) <= 0:
        raise GeometryError("bad-geometry", "Pixel Spacing is not above zero")
    return np.stack([cosines[0] * between_columns, cosines[1] * between_rows], axis=1)


def _step(dataset: Any, csa: Csa, centre: FloatArray, sides: FloatArray, count: int) -> FloatArray:
    """Return the vector from tile to tile.

    Parameters
    ----------
    centre
        (3,) the middle of tile 0.
    sides
        (3, 2) the sides of a tile.
    """
    asked = protocol_centres(csa_header(dataset, "series") or {})
    cross = np.cross(sides[:, 0], sides[:, 1])
    normal = cross / np.linalg.norm(cross)
    spacing = _spacing(dataset, asked, count)
    stated = _stated_sign(csa, normal)
    signs = [stated] if stated is not None else [1, -1]
    if asked is not None:
        middle = np.mean(asked, axis=0)
        offsets = {sign: middle - centre - normal * (sign * spacing * (count - 1) / 2) for sign in signs}
        box = np.column_stack([sides, normal * spacing * max(count - 1, 1)])
        signs = [sign for sign in signs if np.abs(np.linalg.solve(box, offsets[sign])).max() < 0.5]
        if not signs:
            raise GeometryError("bad-geometry", "the mosaic's tiles lie elsewhere than the slices of its protocol")
    if len(signs) > 1 and count > 1:
        raise InputError("unsupported", "its private header does not say which way the mosaic's tiles run")
    return normal * (signs[0] * spacing)


def _spacing(dataset: Any, asked: FloatArray | None, count: int) -> float:
    """Return the distance between slices, stated or else that of the protocol; Slice Thickness leaves out the gap."""
    by_protocol = None
    if asked is not None and len(asked) == count > 1:
        by_protocol = float(np.linalg.norm(asked[-1] - asked[0])) / (count - 1)
    spacing = by_protocol
    if dataset.get("SpacingBetweenSlices") is not None:
        (spacing,) = _numbers(dataset, "SpacingBetweenSlices", 1)
    if spacing is None:
        raise InputError("unsupported", "nothing states the distance between the mosaic's slices")
    if spacing <= 0:
        raise GeometryError("bad-geometry", "Spacing Between Slices is not above zero")
    if by_protocol is not None and abs(by_protocol - spacing) > _SPACING_WITHIN * spacing:
        text = f"Spacing Between Slices is {spacing:.3f} mm, the slices of the protocol are {by_protocol:.3f} mm apart"
        raise GeometryError("bad-geometry", text)
    return spacing


def _stated_sign(csa: Csa, normal: FloatArray) -> int | None:
    """Return 1 where the tiles run along the cross product of the orientation, -1 against it, None where unknown."""
    stated = csa.get("SliceNormalVector", ())
    if not stated:
        return None
    vector = np.array([float(part) for part in stated])
    cosine = float(vector @ normal / np.linalg.norm(vector))
    if not abs(cosine) >= _PARALLEL:
        raise GeometryError("bad-geometry", "SliceNormalVector is not at right angles to Image Orientation")
    return 1 if cosine > 0 else -1


def _numbers(dataset: Any, keyword: str, count: int) -> tuple[float, ...]:
    with decoding(keyword):
        value = dataset.get(keyword)
        parts = () if value is None or value == "" else (value,) if count == 1 else tuple(value)
        numbers = tuple(float(part) for part in parts)
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise GeometryError("bad-geometry", f"{keyword} is {count} finite numbers, {len(numbers)} are there")
    return numbers


def _texts(dataset: Any, keyword: str) -> tuple[str, ...]:
    value = dataset.get(keyword)
    return () if value is None else (value,) if isinstance(value, str) else tuple(map(str, value))
