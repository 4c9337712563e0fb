"""What a data set is checked by: a few figures a case, so that ten thousand cases fit in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.geometry import Geometry
from medvision.intensities import Intensity, Slab, intensity, slabs
from medvision.quality.thumbnail import thumbnail
from medvision.volume import Labels, Volume


@dataclass(frozen=True)
class LabelSize:
    """How much of an image has one label; `volume_ml` is None where the image has no physical size."""

    voxels: int
    volume_ml: float | None
    touches_edge: bool


@dataclass(frozen=True, eq=False)
class Measured:
    """The figures of one case.

    Parameters
    ----------
    geometry
        The grid: shape, spacing, orientation.
    modality
        The DICOM modality; None where unknown.
    intensities
        One entry a channel.
    slabs
        Constant slices, where the image is not constant as a whole.
    labels
        The numbers above 0 that occur, with their sizes; None where there is no label image.
    digest
        The SHA-256 of the image's shape and values.
    labels_digest
        The SHA-256 of the labels' shape and values; None where there are none.
    thumbnail
        (16, 16, 16), or (32, 32, 1) for a picture; see :func:`medvision.quality.thumbnail.thumbnail`.
    """

    geometry: Geometry
    modality: str | None
    intensities: tuple[Intensity, ...]
    slabs: tuple[Slab, ...]
    labels: Mapping[int, LabelSize] | None
    digest: str
    labels_digest: str | None
    thumbnail: NDArray[np.float16]

    @property
    def is_flat(self) -> bool:
        """Whether it is one slice or picture."""
        return self.geometry.shape[2] == 1


def measured(volume: Volume, labels: Labels | None = None) -> Measured:
    """Return the figures of a case.

    Parameters
    ----------
    volume
        The image (C, I, J, K), as stored: not resampled, not normalised.
    labels
        Its labels, on the same grid.

    Examples
    --------
    >>> grid = Geometry.from_spacing((1, 1, 2), (4, 4, 4))
    >>> figures = measured(Volume(np.arange(64).reshape(1, 4, 4, 4), grid))
    >>> figures.intensities[0].median, figures.slabs, figures.labels
    (31.5, (), None)
    """
    intensities = tuple(intensity(channel) for channel in volume.voxels)
    return Measured(
        geometry=volume.geometry,
        modality=volume.modality,
        intensities=intensities,
        slabs=tuple(slab for number, channel in enumerate(volume.voxels) for slab in slabs(channel, number)),
        labels=None if labels is None else MappingProxyType(_label_sizes(labels)),
        digest=volume.digest(),
        labels_digest=None if labels is None else labels.digest(),
        thumbnail=thumbnail(volume, [_range(channel) for channel in intensities]),
    )


def _range(channel: Intensity) -> tuple[float, float]:
    """Return what a thumbnail shows: without the rarest values, unless nothing else differs."""
    return (channel.low, channel.high) if channel.low < channel.high else (channel.least, channel.greatest)


def _label_sizes(labels: Labels) -> dict[int, LabelSize]:
    numbers, counts = np.unique(labels.voxels, return_counts=True)
    edge = _at_edge(labels.voxels)
    voxel_ml = labels.geometry.voxel_ml if labels.geometry.physical else None
    return {
        number: LabelSize(count, None if voxel_ml is None else count * voxel_ml, number in edge)
        for number, count in zip(numbers.tolist(), counts.tolist(), strict=True)
        if number
    }


def _at_edge(voxels: NDArray[Any]) -> set[int]:
    """Return the numbers on the outer faces; axes of one voxel have none."""
    axes = [axis for axis, size in enumerate(voxels.shape) if size > 1]
    return {int(n) for axis in axes for end in (0, -1) for n in np.unique(voxels.take(end, axis=axis))}
