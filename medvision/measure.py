"""Figures of a mask: volume, longest diameter, parts, intensity, place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medvision.errors import InputError
from medvision.geometry import FloatArray, Geometry
from medvision.results import Measurement
from medvision.volume import Labels, Volume

if TYPE_CHECKING:
    from skimage.measure._regionprops import RegionProperties

_ROWS_AT_ONCE = 512  # of the distance matrix, which would otherwise grow with the square of the surface


def measure(labels: Labels, volume: Volume) -> tuple[Measurement, ...]:
    """Measure every label that has a name, in the order of the names, also those that were not found.

    Volume, diameter and centroid go through the affine, so that anisotropic, oblique and sheared grids are right.

    - The volume is the number of voxels times the determinant of the affine.
    - The longest diameter is the greatest distance between two vertices of the surface of the largest part. The
      vertices lie halfway between a voxel of the part and a neighbour outside of it, as on a marching-cubes mesh: a
      rod of n voxels is n voxels long. Of parts of equal size the longest counts. (IBSI, feature L0JK,
      arXiv:1612.07003; PyRadiomics: Maximum3DDiameter.)
    - Parts are 26-connected: faces, edges and corners connect.
    - Intensity is that of the first channel; the standard deviation is the population's.
    - An axis of one voxel, as a picture has, does not count as an edge.

    Parameters
    ----------
    labels
        The mask.
    volume
        The image that it was made of, on the same grid.

    Returns
    -------
    One measurement a name. mm and ml are None where the grid is not physical; everything but the counts is None for
    a label without a voxel, save its volume of 0 ml.

    Raises
    ------
    InputError
        Mask and image do not lie on the same grid.

    Examples
    --------
    >>> grid = Geometry.from_spacing((2, 1, 1), (9, 5, 5))
    >>> mask = np.zeros(grid.shape, dtype=np.uint8)
    >>> mask[2:6, 2, 2] = 1
    >>> (rod,) = measure(Labels(mask, grid, {1: "rod"}), Volume(np.ones((1, 9, 5, 5)), grid))
    >>> rod.volume_ml, rod.longest_diameter_mm, rod.components
    (0.008, 8.0, 1)
    """
    if not labels.geometry.matches(volume.geometry):
        raise InputError("grid-differs", f"labels {labels.geometry.shape} and image {volume.geometry.shape} lie apart")
    from skimage.measure import regionprops

    # Ranks instead of the numbers themselves: the search for regions keeps a slot for every number up to the highest.
    numbers = sorted(labels.names)
    ranks = _ranked(labels.voxels, numbers)
    regions = {numbers[region.label - 1]: region for region in regionprops(ranks)}
    return tuple(
        _of_region(number, name, regions[number], volume) if number in regions else _not_found(number, name, volume)
        for number, name in labels.names.items()
    )


def _ranked(voxels: NDArray[Any], numbers: Sequence[int]) -> NDArray[np.unsignedinteger[Any]]:
    """Return for each voxel the place of its label among the numbers, from 1; 0 for background."""
    ranks = np.arange(len(numbers) + 1, dtype=np.min_scalar_type(len(numbers)))
    if numbers and numbers[-1] < voxels.size:
        table = np.zeros(numbers[-1] + 1, dtype=ranks.dtype)
        table[list(numbers)] = ranks[1:]
        return np.asarray(table[voxels])
    return np.asarray(ranks[np.searchsorted([0, *numbers], voxels)])


def _not_found(number: int, name: str, volume: Volume) -> Measurement:
    ml = 0.0 if volume.geometry.physical else None
    return Measurement(number, name, 0, 0, ml, None, None, None, None, touches_edge=False)


def _of_region(number: int, name: str, region: RegionProperties, volume: Volume) -> Measurement:
    geometry, mask = volume.geometry, region.image
    values = volume.voxels[0][region.slice][mask].astype(np.float64)
    components, largest = _largest_parts(mask)
    centroid = None
    if geometry.physical:
        x, y, z = geometry.to_world(region.centroid)
        centroid = (float(x), float(y), float(z))
    return Measurement(
        label=number,
        name=name,
        voxels=len(values),
        components=components,
        volume_ml=len(values) * geometry.voxel_ml if geometry.physical else None,
        longest_diameter_mm=max(_diameter(part, geometry) for part in largest) if geometry.physical else None,
        mean_intensity=float(values.mean()),
        sd_intensity=float(values.std()),
        centroid_ras_mm=centroid,
        touches_edge=_touches_edge(region.slice, geometry),
    )


def _largest_parts(mask: NDArray[np.bool_]) -> tuple[int, list[NDArray[np.bool_]]]:
    """Return the number of connected parts, and the masks of the largest ones, equal masks once."""
    from skimage.measure import label, regionprops

    parts = regionprops(label(mask, connectivity=mask.ndim))
    most = max(part.num_pixels for part in parts)
    largest = (part.image for part in parts if part.num_pixels == most)
    return len(parts), list({(image.shape, image.tobytes()): image for image in largest}.values())


def _diameter(mask: NDArray[np.bool_], geometry: Geometry) -> float:
    """Return the greatest distance between two vertices of the surface, in mm; only corners of the hull can be it."""
    from scipy.spatial import ConvexHull
    from scipy.spatial.distance import cdist

    vertices = geometry.to_world(_surface(mask))
    corners = vertices[ConvexHull(vertices).vertices]
    rows = range(0, len(corners), _ROWS_AT_ONCE)
    return max(float(cdist(corners[row : row + _ROWS_AT_ONCE], corners).max()) for row in rows)


def _surface(mask: NDArray[np.bool_]) -> FloatArray:
    """Return the (N, 3) indices of the outermost vertices on each line of voxels; the others lie between two such."""
    found = []
    for axis, size in enumerate(mask.shape):
        lines = mask.any(axis=axis)
        first = mask.argmax(axis=axis)[lines] - 0.5
        last = size - 0.5 - np.flip(mask, axis).argmax(axis=axis)[lines]
        at = np.argwhere(lines).astype(np.float64)
        found += [np.insert(at, axis, first, axis=1), np.insert(at, axis, last, axis=1)]
    return np.concatenate(found)


def _touches_edge(box: tuple[slice, ...], geometry: Geometry) -> bool:
    sides: list[tuple[Any, int]] = list(zip(box, geometry.shape, strict=True))
    return any(size > 1 and (side.start == 0 or side.stop == size) for side, size in sides)
