"""Which grid the network sees: order of axes, spacing, or a fixed size."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from medvision.errors import UsageError
from medvision.fingerprint import Fingerprint
from medvision.planning.decision import Decision
from medvision.report.wording import many

ANISOTROPIC = 3.0
"""Spacing of one axis over that of another, above which voxels count as thick (nnU-Net's threshold)."""

MOST_SIDE = {2: 224, 3: 64}
"""Longest side of an image that a classifier sees whole, in voxels, by dimensions: 224 is that of ImageNet networks;
64 cubed is five times as many voxels as 224 squared."""


@dataclass(frozen=True)
class Grid:
    """The grid of the network's input.

    Parameters
    ----------
    shape
        Voxels of a typical image along the network's axes, 2 or 3.
    spacing_mm
        Distance of voxels along them; 1 where it is not known.
    fixed
        Whether every image has that shape.
    decisions
        The steps that lead there.
    """

    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    fixed: bool
    decisions: tuple[Decision, ...]

    @property
    def anisotropic(self) -> bool:
        """Whether voxels are much longer along one axis than along another."""
        return max(self.spacing_mm) / min(self.spacing_mm) > ANISOTROPIC


def grid_of(data: Fingerprint) -> Grid:
    """Return the grid for these data."""
    if data.task == "segmentation":
        return _resampled(data) if data.physical and data.dimensions == 3 else _stored(data)
    return _resized(data)


def target_spacing_mm(data: Fingerprint) -> tuple[float, float, float]:
    """Return the spacing along x, y and z: the median of each, and a finer one where slices are thick.

    The slices of an axis are thick where its median spacing is more than `ANISOTROPIC` times the finest one's and the
    axis has less than a third of the voxels. It then takes the 10th percentile, as in nnU-Net, so that most cases are
    not robbed of slices, but never less than the next finer axis.

    Raises
    ------
    UsageError
        The images state no spacing.
    """
    if data.spacing_mm is None:
        raise UsageError("usage", "these images state no spacing", cure="Plan for their own voxels.")
    x, y, z = data.spacing_mm
    spacing = [x.p50, y.p50, z.p50]
    sizes = [side.p50 for side in data.shape]
    thick = max(range(3), key=lambda axis: spacing[axis])
    others = [axis for axis in range(3) if axis != thick]
    finest = min(spacing[axis] for axis in others)
    few = all(sizes[thick] < sizes[axis] / ANISOTROPIC for axis in others)
    if spacing[thick] / finest > ANISOTROPIC and few:
        spacing[thick] = max((x, y, z)[thick].p10, max(spacing[axis] for axis in others))
    i, j, k = (float(f"{step:.3g}") for step in spacing)
    return (i, j, k)


def _resampled(data: Fingerprint) -> Grid:
    spacing = target_spacing_mm(data)
    extent = [side.p50 for side in data.extent_mm or ()]
    shape = tuple(max(1, round(side / step)) for side, step in zip(extent, spacing, strict=True))
    return Grid(shape, spacing, False, tuple(_spatial_steps(data, spacing)))


def _spatial_steps(data: Fingerprint, spacing: tuple[float, ...]) -> Iterator[Decision]:
    yield _reoriented(data)
    x, y, z = (axis.p50 for axis in data.spacing_mm or ())
    median = f"the median of the cases is {x:.3g} x {y:.3g} x {z:.3g} mm"
    if any(step < known * 0.999 - 0.0005 * known for step, known in zip(spacing, (x, y, z), strict=True)):
        median += ", and the axis of thick slices takes the 10th percentile, so that few cases lose slices"
    why = f"{median}; linear, as cubic splines overshoot at edges"
    yield Decision("steps.resample", {"spacing_mm": list(spacing)}, f"One spacing for all: {why}.")


def _reoriented(data: Fingerprint) -> Decision:
    stored = ", ".join(f"{name} ({many(count, 'case')})" for name, count in data.orientations.items())
    why = f"Stored are {stored}; the network sees one order of axes."
    return Decision("steps.reorient", {"orientation": "RAS"}, why)


def _stored(data: Fingerprint) -> Grid:
    axes = data.plane
    shape = tuple(round(data.shape[axis].p50) for axis in axes)
    fixed = all(data.shape[axis].least == data.shape[axis].greatest for axis in axes)
    spacing = tuple(data.spacing_mm[axis].p50 for axis in axes) if data.spacing_mm else (1.0,) * len(axes)
    why = "flat images are taken at their own pixels" if data.physical else "the images state no spacing to resample to"
    return Grid(shape, spacing, fixed, (Decision("steps.resample", None, f"Not used: {why}."),))


def _resized(data: Fingerprint) -> Grid:
    axes = data.plane
    sides = [(data.extent_mm or data.shape)[axis].p50 for axis in axes]
    stored = [round(data.shape[axis].p50) for axis in axes]
    # Voxels as coarse as the coarsest axis of a typical case would lose detail: the finest axis decides.
    finest = min(side / count for side, count in zip(sides, stored, strict=True))
    voxel = max(finest, max(sides) / MOST_SIDE[data.dimensions])
    shape = [max(1, math.floor(side / voxel + 0.5)) for side in sides]
    spacing = (voxel if data.physical else 1.0,) * len(axes)
    steps = [_reoriented(data)] if data.physical and data.dimensions == 3 else []
    given = " x ".join(map(str, stored))
    limit = f", and at most {MOST_SIDE[data.dimensions]} voxels a side" if voxel > finest else ""
    why = f"A {data.task} sees whole images, and all of one size: typical are {given} voxels{limit}."
    steps.append(Decision("steps.resize", {"shape": [*shape, 1][:3]}, why))
    return Grid(tuple(shape), spacing, True, tuple(steps))
