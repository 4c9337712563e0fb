"""Cases unlike the others: in spacing, size, values and volumes of labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.quality.limits import FAR, LEAST_COHORT, LEAST_FACTOR, LEAST_SHARE, LEAST_SHIFT
from medvision.quality.measured import Measured

_WORLD = ("left-right", "front-back", "foot-head")
_ARRAY = ("i", "j", "k")


@dataclass(frozen=True)
class Outlier:
    """A figure of one case far from those of the cases of its kind.

    Parameters
    ----------
    case
        The id.
    code
        The reason code, e.g. ``"spacing-outlier"``.
    figure
        What was measured, in words, with its unit.
    value, median
        The case's, and that of the cases of its kind.
    distance
        From the median, in robust standard deviations, above 0.
    """

    case: str
    code: str
    figure: str
    value: float
    median: float
    distance: float


def outliers(cohort: Mapping[str, Measured]) -> tuple[Outlier, ...]:
    """Return the outliers, the farthest figure of each case and code.

    Cases are compared with those of the same modality, number of channels and dimensions; kinds with fewer than
    :data:`~medvision.quality.limits.LEAST_COHORT` cases are left alone. Figures above 0 are compared by their
    logarithms, so that a half and a double lie equally far.
    """
    kinds: dict[tuple[object, ...], dict[str, Measured]] = defaultdict(dict)
    for case, entry in sorted(cohort.items()):
        kind = (entry.modality, len(entry.intensities), entry.is_flat, entry.geometry.physical)
        kinds[kind][case] = entry
    farthest: dict[tuple[str, str], Outlier] = {}
    for kindred in kinds.values():
        for found in _of_one_kind(kindred):
            kept = farthest.get((found.case, found.code))
            if kept is None or found.distance > kept.distance:
                farthest[found.case, found.code] = found
    return tuple(farthest[key] for key in sorted(farthest))


def _of_one_kind(kindred: Mapping[str, Measured]) -> Iterator[Outlier]:
    columns: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for case, entry in kindred.items():
        for key, value in _figures(entry):
            columns[key][case] = value
    typical_sd = float(np.median([channel.sd for entry in kindred.values() for channel in entry.intensities]))
    for (code, figure), column in columns.items():
        if len(column) >= LEAST_COHORT:
            values = np.array(list(column.values()))
            if figure.startswith("share"):
                distances = _distances(values, LEAST_SHARE)
            elif (values > 0).all():
                distances = _distances(np.log(values), float(np.log(LEAST_FACTOR)))
            else:
                distances = _distances(values, LEAST_SHIFT * typical_sd)
            for place in np.flatnonzero(distances >= FAR):
                case = list(column)[place]
                yield Outlier(case, code, figure, column[case], float(np.median(values)), float(distances[place]))


def _figures(entry: Measured) -> Iterator[tuple[tuple[str, str], float]]:
    """Yield code and figure with its value; what is not known is left out."""
    grid = entry.geometry
    if grid.physical:
        turned = grid.reoriented("RAS")
        for axis, spacing, extent in zip(_WORLD, turned.spacing, turned.extent, strict=True):
            yield ("spacing-outlier", f"{axis} spacing in mm"), spacing
            yield ("size-outlier", f"{axis} field of view in mm"), extent
    else:
        for axis, size in zip(_ARRAY, grid.shape, strict=True):
            yield ("size-outlier", f"number of voxels along {axis}"), float(size)
    for number, channel in enumerate(entry.intensities, start=1):
        of = f" of channel {number}" if len(entry.intensities) > 1 else ""
        yield ("intensity-outlier", f"median value{of}"), channel.median
        yield ("intensity-outlier", f"99.5th percentile of the values{of}"), channel.high
        yield ("intensity-outlier", f"standard deviation of the values{of}"), channel.sd
        yield ("intensity-outlier", f"share of voxels at the least value{of}"), channel.share_least
    for label, found in (entry.labels or {}).items():
        unit = "voxels" if found.volume_ml is None else "ml"
        value = found.voxels if found.volume_ml is None else found.volume_ml
        yield ("volume-outlier", f"size of label {label} in {unit}"), float(value)


def _distances(values: NDArray[np.float64], least: float) -> NDArray[np.float64]:
    """Return how far the values lie from their median, in robust standard deviations; an outlier lies `least` away."""
    away = np.abs(values - np.median(values))
    spread = max(1.4826 * float(np.median(away)), least / FAR)
    return away / spread if spread > 0 else np.where(away > 0, np.inf, 0.0)
