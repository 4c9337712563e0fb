"""How the grids of an image and its labels differ, and whether a known slip explains it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from medvision.geometry import Geometry

_TOLERANCE = 1e-2  # of a voxel: headers hold positions in 32 bits
_WORLD = ("left and right", "front and back", "head and foot")


@dataclass(frozen=True)
class GridDifference:
    """How two grids differ.

    Parameters
    ----------
    apart
        The greatest distance of two corners with the same place in the arrays, in mm (pixels for pictures).
    explanation
        What would make the grids agree, in words; None where nothing known does.
    """

    apart: float
    explanation: str | None


def compare_grids(labels: Geometry, image: Geometry) -> GridDifference:
    """Return how far a label's grid lies from its image's, and what explains it.

    Known slips are: the same voxels stored in another order of axes; a mirrored world (LPS written as RAS), about the
    world's origin or about the middle of the image; a lost position (identity affine); a shift; another spacing or
    another field of view at the same place. That the grids can be brought to agree does not say that the labels then
    lie on what they name: a wrong header of either shows only in the picture.

    Examples
    --------
    >>> image = Geometry.from_spacing((1, 1, 2), (10, 12, 8))
    >>> compare_grids(image.reoriented("LPS"), image).explanation
    'the same voxels, stored as LPS instead of RAS'
    """
    apart = float(np.linalg.norm(labels.corners - image.corners, axis=1).max())
    explanations = itertools.chain(
        _orders(labels, image), _lost(labels), _mirrors(labels, image), _moved(labels, image)
    )
    return GridDifference(apart, next(explanations, None))


def _same(one: Geometry, other: Geometry) -> bool:
    return one.matches(other, tolerance_mm=_TOLERANCE * max(other.spacing))


def _orders(labels: Geometry, image: Geometry) -> Iterator[str]:
    if _same(labels, image):
        yield "the grids agree"
    elif _same(labels, image.reoriented(labels.orientation)):
        yield f"the same voxels, stored as {labels.orientation} instead of {image.orientation}"


def _lost(labels: Geometry) -> Iterator[str]:
    if np.array_equal(labels.affine, np.eye(4)) and labels.physical:
        yield "the label's header states no position (an identity affine)"


def _mirrors(labels: Geometry, image: Geometry) -> Iterator[str]:
    for count, signs in sorted((s.count(-1), s) for s in itertools.product((1, -1), repeat=3)):
        about_origin = Geometry(np.diag([*map(float, signs), 1.0]) @ image.affine, image.shape, image.physical)
        for mirrored, where in ((about_origin, "the world's origin"), (image.turned(signs), "the image's middle")):
            if count and _same(labels, mirrored.reoriented(labels.orientation)):
                axes = " and ".join(name for name, sign in zip(_WORLD, signs, strict=True) if sign < 0)
                yield f"mirrored about {where}: {axes} are exchanged"


def _moved(labels: Geometry, image: Geometry) -> Iterator[str]:
    turned = image.reoriented(labels.orientation)
    parallel = np.allclose(labels.directions, turned.directions, atol=1e-4)
    alike = np.allclose(labels.spacing, turned.spacing, rtol=1e-4)
    extent = np.allclose(labels.extent, turned.extent, atol=max(*labels.spacing, *turned.spacing))
    if not parallel:
        return
    if alike and labels.shape == turned.shape:
        shift = labels.affine[:3, 3] - turned.affine[:3, 3]
        unit = "mm" if image.physical else "pixels"
        yield f"shifted by {', '.join(f'{s:.4g}' for s in shift)} {unit} to the right, the front and the head"
    elif alike:
        yield "the same spacing, and another field of view"
    elif extent:
        yield "the same field of view, and another spacing"
