"""What is measured of one case: a few kilobytes, however large the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Base64Bytes, TypeAdapter

from medvision.files import sha256_of_text
from medvision.geometry import Geometry, Shape, Triple, parse_orientation
from medvision.intensities import Intensity, Slab, intensity, slabs
from medvision.volume import Labels, Volume

SAMPLED = 1000
"""Voxels of a case and channel that stand for it where the values of all cases are put together."""

PROBED = 20_000
"""Voxels of a channel at which edges are looked for: enough for a mean to 0.01 standard deviations."""

Target = Labels | int | Sequence[float | None]
"""Labels of a segmentation, the class, which of several labels a case has (0 or 1 each), or the values to predict; None
or NaN for what is not known of the latter two."""


@dataclass(frozen=True)
class Values:
    """The values of one channel of one case, over the whole image or the foreground.

    Parameters
    ----------
    intensity
        Their figures.
    share_zero
        Share of them that are exactly 0.
    sample
        (N,) float32 as bytes, at most `SAMPLED` of them, drawn by the case's id; see `drawn`.
    edge_z
        See :class:`~medvision.fingerprint.value.PerCase`; 0 for a foreground, whose neighbours are not known.
    """

    intensity: Intensity
    share_zero: float
    sample: Base64Bytes = field(repr=False)
    edge_z: float = 0.0

    @property
    def drawn(self) -> NDArray[np.float32]:
        """(N,) the sample."""
        return np.frombuffer(self.sample, dtype="<f4")

    def z(self, value: float) -> float:
        """Return how far a value lies from the mean, in standard deviations; 0 where all values are the same."""
        return (value - self.intensity.mean) / self.intensity.sd if self.intensity.sd > 0 else 0.0


@dataclass(frozen=True)
class LabelMeasure:
    """One label of one case; boxes are those of its largest connected part, in the order of `CaseFigures.shape`.

    `volume_ml`, `box_mm` and `centroid_ras_mm` are None where not physical.
    """

    voxels: int
    volume_ml: float | None
    parts: int
    box: Shape
    box_mm: Triple | None
    centroid_ras_mm: Triple | None


@dataclass(frozen=True)
class CaseFigures:
    """What one case is like, to train on or to be judged.

    Parameters
    ----------
    modality, unit
        As the image states them; None where it does not.
    physical
        Whether it states its size in mm.
    flat
        Whether it is one slice or picture.
    orientation
        The order of axes as stored; None where not physical.
    shape, spacing_mm, extent_mm
        Along the world's x, y and z (i, j, k where not physical, and then the latter are None).
    whole
        The values of each channel.
    eight_bits
        Whether all values are whole numbers of 0 to 255.
    slabs
        Axis (0 to 2: i, j, k) and place of slices of one value that look cut out of a full image.
    foreground
        The values of each channel where any label is; empty where there is no label image, or nothing in it.
    labels
        The labels that occur, by number; None where there is no label image.
    names
        The names of all labels.
    all_labels
        All labels taken together; None where there are none.
    target
        The target, where it is no label image.
    patient
        What keeps a patient's cases together; it is counted, and never written.
    """

    modality: str | None
    unit: str | None
    physical: bool
    flat: bool
    orientation: str | None
    shape: Shape
    spacing_mm: Triple | None
    extent_mm: Triple | None
    whole: tuple[Values, ...]
    eight_bits: bool
    slabs: tuple[tuple[int, Slab], ...]
    foreground: tuple[Values, ...] = ()
    labels: Mapping[int, LabelMeasure] | None = None
    names: Mapping[int, str] = field(default_factory=dict)
    all_labels: LabelMeasure | None = None
    target: tuple[float | None, ...] | None = None
    patient: str | None = field(default=None, repr=False)

    @property
    def plane(self) -> tuple[int, ...]:
        """The axes that the image shows: all of a volume's, of a flat image all but the thin one."""
        return plane_of(self.shape, flat=self.flat)

    def to_text(self) -> str:
        """Return the figures as a line of JSON, to be kept beside a prepared case; without the patient."""
        return _adapter().dump_json(replace(self, patient=None)).decode()

    @classmethod
    def from_text(cls, text: str, *, patient: str | None = None) -> CaseFigures:
        """Return the figures that :meth:`to_text` gave; ValueError where the text is damaged."""
        return replace(_adapter().validate_json(text), patient=patient)


def plane_of(sizes: Sequence[float], *, flat: bool) -> tuple[int, ...]:
    """Return the axes that an image of these sizes shows: all, or of a flat one all but the last of the thinnest.

    >>> plane_of((64, 1, 48), flat=True), plane_of((1, 30, 1), flat=True), plane_of((64, 1, 48), flat=False)
    ((0, 2), (0, 1), (0, 1, 2))
    """
    thin = min(range(3), key=lambda axis: (sizes[axis], -axis)) if flat else None
    return tuple(axis for axis in range(3) if axis != thin)


def measure_case(
    volume: Volume,
    target: Target | None = None,
    *,
    id: str = "",  # noqa: A002  # the name of the field of a case
    patient: str | None = None,
    modality: str | None = None,
) -> CaseFigures:
    """Return what a case is like.

    Parameters
    ----------
    volume
        The image (C, I, J, K), as stored: no step has been applied.
    target
        What a network is to learn of it; None for a case that is to be judged.
    id
        The case's; it seeds the choice of the voxels that stand for the case, and is not kept.
    patient
        The case's patient; None where unknown.
    modality
        What the data set states where the image does not.

    Examples
    --------
    >>> grid = Geometry.from_spacing((1, 1, 2), (4, 4, 4))
    >>> labels = Labels((np.arange(64) > 47).reshape(4, 4, 4).astype(int), grid, {1: "end"})
    >>> figures = measure_case(Volume(np.arange(64).reshape(1, 4, 4, 4), grid), labels)
    >>> figures.extent_mm, figures.labels[1].box_mm, figures.foreground[0].intensity.least
    ((4.0, 4.0, 8.0), (1.0, 4.0, 8.0), 48.0)
    """
    grid = volume.geometry
    known = grid.physical
    generator = np.random.default_rng(int(sha256_of_text([id])[:16], 16))
    i, j, k = (int(size) for size in _in_world(grid.shape, grid))
    figures = CaseFigures(
        modality=volume.modality or modality,
        unit=volume.unit,
        physical=known,
        flat=grid.shape[2] == 1,
        orientation=grid.orientation if known else None,
        shape=(i, j, k),
        spacing_mm=_in_world(grid.spacing, grid) if known else None,
        extent_mm=_in_world(grid.extent, grid) if known else None,
        whole=tuple(_whole(channel, generator) for channel in volume.voxels),
        eight_bits=_is_eight_bits(volume.voxels),
        slabs=tuple(_cut(volume)),
        patient=patient,
    )
    if target is None:
        return figures
    if not isinstance(target, Labels):
        numbers = [target] if isinstance(target, int) else target
        given = [None if number is None or np.isnan(number) else float(number) for number in numbers]
        return replace(figures, target=tuple(given))
    mask = target.voxels > 0
    return replace(
        figures,
        foreground=tuple(_values(channel[mask], generator) for channel in volume.voxels) if mask.any() else (),
        labels=_labels(target),
        names=dict(target.names),
        all_labels=_label(mask, grid) if mask.any() else None,
    )


@cache
def _adapter() -> TypeAdapter[CaseFigures]:
    return TypeAdapter(CaseFigures)


def _in_world(values: Sequence[float], grid: Geometry) -> Triple:
    """Return figures of i, j, k in the order of the world's axes; as they are where not physical."""
    axes = [world for world, _ in parse_orientation(grid.orientation)] if grid.physical else [0, 1, 2]
    x, y, z = (values[axes.index(world)] for world in range(3))
    return (x, y, z)


def _whole(voxels: NDArray[Any], generator: np.random.Generator) -> Values:
    values = _values(voxels, generator)
    return replace(values, edge_z=_edge(voxels, generator) / values.intensity.sd if values.intensity.sd > 0 else 0.0)


def _edge(voxels: NDArray[Any], generator: np.random.Generator) -> float:
    """Return how much brighter voxels at the steeper half of the edges are than the others, on the average."""
    if voxels.size > PROBED:
        places = [generator.integers(0, size, PROBED) for size in voxels.shape]
    else:
        places = [axis.ravel() for axis in np.indices(voxels.shape)]
    squares = np.zeros(len(places[0]))
    for axis, size in enumerate(voxels.shape):
        before, after = (np.clip(places[axis] + step, 0, size - 1) for step in (-1, 1))
        ends = [voxels[(*places[:axis], end, *places[axis + 1 :])].astype(np.float64) for end in (before, after)]
        squares += np.square((ends[1] - ends[0]) / np.maximum(after - before, 1))
    steep = squares > np.median(squares)
    if not steep.any():
        return 0.0
    values = voxels[tuple(places)].astype(np.float64)
    return float(values[steep].mean() - values[~steep].mean())


def _values(voxels: NDArray[Any], generator: np.random.Generator) -> Values:
    places = tuple(generator.integers(0, size, SAMPLED) for size in voxels.shape)
    sample = voxels[places] if voxels.size > SAMPLED else voxels.ravel()
    return Values(
        intensity(voxels if voxels.ndim > 1 else voxels[None]),
        float(1 - np.count_nonzero(voxels) / voxels.size),
        sample.astype("<f4").tobytes(),
    )


def _is_eight_bits(voxels: NDArray[Any]) -> bool:
    if voxels.dtype == np.uint8:
        return True
    if voxels.min() < 0 or voxels.max() > 255:
        return False
    return voxels.dtype.kind in "iu" or all(bool((plane == np.round(plane)).all()) for c in voxels for plane in c)


def _cut(volume: Volume) -> list[tuple[int, Slab]]:
    """Return the slabs along each axis that look cut out; a picture has none, for its frame is of one value."""
    if volume.geometry.shape[2] == 1:
        return []
    return [
        (axis, slab)
        for number, channel in enumerate(volume.voxels)
        for axis in range(3)
        for slab in slabs(np.moveaxis(channel, axis, 2), number)
        if slab.looks_cut
    ]


def _labels(labels: Labels) -> dict[int, LabelMeasure]:
    numbers = [number for number in np.unique(labels.voxels).tolist() if number]
    return {number: _label(labels.voxels == number, labels.geometry) for number in numbers}


def _label(mask: NDArray[np.bool_], grid: Geometry) -> LabelMeasure:
    from scipy import ndimage

    # Only the box around the label is searched for parts: their numbers take four bytes a voxel.
    sides = [np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    inside = mask[tuple(slice(side[0], side[-1] + 1) for side in sides)]
    parts, count = ndimage.label(inside, structure=np.ones((3, 3, 3)))
    largest = ndimage.find_objects(parts)[int(np.bincount(parts.ravel())[1:].argmax())]
    box = [part.stop - part.start for part in largest]
    i, j, k = (int(size) for size in _in_world(box, grid))
    voxels = int(np.count_nonzero(inside))
    if not grid.physical:
        return LabelMeasure(voxels, None, count, (i, j, k), None, None)
    middle = [float(side[0]) + float(_mean_place(inside, axis)) for axis, side in enumerate(sides)]
    x, y, z = grid.to_world(middle).tolist()
    lengths = [size * step for size, step in zip(box, grid.spacing, strict=True)]
    return LabelMeasure(voxels, voxels * grid.voxel_ml, count, (i, j, k), _in_world(lengths, grid), (x, y, z))


def _mean_place(mask: NDArray[np.bool_], axis: int) -> float:
    counts = mask.sum(axis=tuple({0, 1, 2} - {axis}))
    return float(np.average(np.arange(len(counts)), weights=counts))
