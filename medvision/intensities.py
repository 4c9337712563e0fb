"""The values of one channel in a few figures, and slices of one value: for data sets, and for new cases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Place = Literal["start", "inside", "end"]

ABRUPT = 0.5
"""Content beside a constant slab, as a share of a typical slice's, above which the slab looks cut out.

A zero-filled rest stands beside a full slice; a structure that ends (a brain without its skull) thins out.
"""

FILLED = 0.2
"""Share of a typical slice that is not of the slab's value, below which no slab looks cut out: small structures on
nothing end abruptly. Half of the shapes (see :mod:`medvision.quality.limits`) would be reported, which fill some 4 % of
a slice; none is."""


@dataclass(frozen=True)
class Intensity:
    """The values of one channel, in the unit of the image.

    Parameters
    ----------
    least, low, median, high, greatest
        The minimum, the percentiles 0.5, 50 and 99.5, and the maximum.
    mean, sd
        Mean and standard deviation over all voxels.
    share_least
        Share of the voxels that have the least value, 0 to 1.
    """

    least: float
    low: float
    median: float
    high: float
    greatest: float
    mean: float
    sd: float
    share_least: float


@dataclass(frozen=True)
class Slab:
    """Neighbouring slices (along k) of one channel that are each of a single value.

    Parameters
    ----------
    channel, first, last
        Indices, from 0; `last` belongs to it.
    place
        Whether it holds the first slice of the image, the last, or lies between others.
    beside
        Share of voxels that differ from the slab's value in the slices next to it (the fuller of two; the emptier side
        of an inner slab), divided by `typical`: near 0 where a structure ends, near 1 where one is cut.
    typical
        Median share of voxels that differ from the slab's value, over the slices that are not constant.
    """

    channel: int
    first: int
    last: int
    place: Place
    beside: float
    typical: float

    @property
    def looks_cut(self) -> bool:
        """Whether it looks cut out of a full image, rather than lying beyond the end of a structure."""
        return self.beside >= ABRUPT and self.typical >= FILLED

    def __str__(self) -> str:
        where = {"start": "the first of the image", "inside": "between others", "end": "the last of the image"}
        if self.first == self.last:
            return f"slice {self.first + 1}, {where[self.place]}, holds one value only, unlike those beside it"
        several = f"slices {self.first + 1} to {self.last + 1}, {where[self.place]}"
        return f"{several}, hold one value each, unlike those beside them"


def intensity(voxels: NDArray[Any]) -> Intensity:
    """Return the figures of the values of one channel, (I, J, K) or any other shape.

    >>> intensity(np.arange(4.0)).median
    1.5
    """
    least, greatest = voxels.min(), voxels.max()
    low, median, high = np.percentile(voxels, (0.5, 50, 99.5)).tolist()
    mean = float(voxels.mean(dtype=np.float64))
    # Plane by plane: a large volume is not copied as floats.
    squares = sum(float(np.square(plane.astype(np.float64) - mean).sum()) for plane in voxels)
    return Intensity(
        float(least),
        low,
        median,
        high,
        float(greatest),
        mean,
        (squares / voxels.size) ** 0.5,
        float(np.count_nonzero(voxels == least) / voxels.size),
    )


def slabs(voxels: NDArray[Any], channel: int = 0) -> list[Slab]:
    """Return the constant slices along the last axis of (I, J, K), where not all of them are constant."""
    least, greatest = voxels.min(axis=(0, 1)), voxels.max(axis=(0, 1))
    constant = least == greatest
    if constant.all():
        return []
    count = len(constant)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], constant, [False])).astype(np.int8)))
    # All slabs mostly have one value: each value is compared with all voxels once.
    differing = {value: np.count_nonzero(voxels != value, axis=(0, 1)) for value in set(least[edges[::2]].tolist())}
    found = []
    for first, stop in edges.reshape(-1, 2).tolist():
        place: Place = "start" if first == 0 else "end" if stop == count else "inside"
        content = differing[least[first].item()]
        sides = [content[max(first - 2, 0) : first], content[stop : stop + 2]]
        fuller = [float(side.max()) for side in sides if side.size]
        typical = float(np.median(content[~constant]))
        found.append(Slab(channel, first, stop - 1, place, min(fuller) / typical, typical / voxels[:, :, 0].size))
    return found
