"""How well answers agree with the truth, and how sure that figure is.

Overlap and distance of masks, discrimination of classes, and the bootstrap that gives each of these its interval.
What cannot be known is None: the Dice of two empty masks, the sensitivity without a diseased case, the interval of a
few patients.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medvision.errors import GeometryError, InputError, UsageError
from medvision.intervals import least_patients
from medvision.volume import Labels

Statistic = Callable[..., "float | None"]
_DEFINED = 0.9  # of the resamples: with fewer, the interval would be that of the lucky ones


@dataclass(frozen=True)
class Estimate:
    """A figure and its interval.

    Parameters
    ----------
    value
        The figure; None where it is not defined for these cases.
    low, high
        The interval; None where it cannot be told.
    n
        Number of patients (of what was resampled).
    level
        What part of such intervals holds the true figure, 0 to 1.

    Examples
    --------
    >>> print(Estimate(0.871, 0.865, 0.877, 40))
    0.871 (95 % interval 0.865 to 0.877, n = 40)
    >>> print(Estimate(1.0, None, None, 40))
    1.000 (no interval, n = 40)
    >>> print(Estimate(1.0, None, None, 3))
    1.000 (no interval, n = 3 of 6 needed)
    >>> print(Estimate(None, None, None, 0))
    not defined (n = 0)
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    level: float = 0.95

    def to_json(self) -> dict[str, float | int | None]:
        """Return the estimate as JSON values."""
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n, "level": self.level}

    def __str__(self) -> str:
        if self.value is None:
            return f"not defined (n = {self.n})"
        if self.low is None or self.high is None:
            least = least_patients(self.level)
            few = f" of {least} needed" if self.n < least else ""
            return f"{self.value:.3f} (no interval, n = {self.n}{few})"
        level = f"{100 * self.level:g} % interval {self.low:.3f} to {self.high:.3f}"
        return f"{self.value:.3f} ({level}, n = {self.n})"


def dice(prediction: Labels, truth: Labels) -> dict[str, float | None]:
    """Return the Dice coefficient of each label: 0 where they do not meet or one is empty, None where both are.

    Raises
    ------
    GeometryError
        The two do not lie on the same grid.
    InputError
        They do not have the same names, each once.

    Examples
    --------
    >>> from medvision.geometry import Geometry
    >>> grid = Geometry.from_spacing((1, 1, 1), (4, 1, 1))
    >>> a, b = (Labels(np.array(v).reshape(4, 1, 1), grid, {1: "cyst"}) for v in ([1, 1, 0, 0], [0, 1, 1, 1]))
    >>> dice(a, b)
    {'cyst': 0.4}
    """
    return {name: _dice(found, true) for name, found, true in _masks(prediction, truth)}


def hausdorff95(prediction: Labels, truth: Labels) -> dict[str, float | None]:
    """Return the 95 % Hausdorff distance of each label in mm: the greater of both directions' 95th percentiles.

    Distances are those from the centre of each voxel on one surface to the nearest on the other, in the world, so that
    unequal spacing and shear count. The surface is made of voxels with a neighbour (by a face) outside the mask; the
    edge of the field of view is outside, except along an axis of one voxel.

    Returns
    -------
    None for a label of which one mask is empty, and for all labels of pictures, which state no size.

    Raises
    ------
    GeometryError
        The two do not lie on the same grid.
    InputError
        They do not have the same names, each once.
    """
    grid = truth.geometry
    distances: dict[str, float | None] = {}
    for name, found, true in _masks(prediction, truth):
        known = grid.physical and found.any() and true.any()
        surfaces = [grid.to_world(np.argwhere(_surface(mask))) for mask in (found, true)] if known else None
        distances[name] = max(_reach(*surfaces), _reach(*surfaces[::-1])) if surfaces else None
    return distances


def auc(scores: ArrayLike, truth: ArrayLike) -> float | None:
    """Return the area under the ROC curve: how often a positive case scores higher than a negative, ties by half.

    Parameters
    ----------
    scores
        (N,) higher for the positive class.
    truth
        (N,) True for positive cases.

    Returns
    -------
    None without positive or without negative cases.

    Raises
    ------
    InputError
        Scores that are not finite, truth other than 0 and 1, or another number of both.

    References
    ----------
    H. B. Mann, D. R. Whitney: On a test of whether one of two random variables is stochastically larger than the
    other. Ann. Math. Stat. 18 (1947).

    Examples
    --------
    >>> auc([0.1, 0.4, 0.4, 0.8], [0, 0, 1, 1])
    0.875
    """
    values, positive = _column(scores, "scores"), _boolean(truth, "truth")
    _require_same_length(values, positive)
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        return None
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return float((rank[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def multiclass_auc(scores: ArrayLike, truth: ArrayLike) -> float | None:
    """Return the mean over classes of the area under the ROC curve of that class against all others.

    Parameters
    ----------
    scores
        (N, K) one column a class.
    truth
        (N,) the number of each case's class, 0 to K - 1.

    Returns
    -------
    None where a class has no case.

    Raises
    ------
    InputError
        Scores that are not finite, a class without a column, or another number of both.
    """
    table = np.asarray(scores, dtype=np.float64)
    classes = _whole(truth, "truth")
    if table.ndim != 2:
        raise InputError("bad-labels", f"scores are a table (cases, classes), got {table.shape}")
    _require_same_length(table, classes)
    if classes.size and not 0 <= classes.min() <= classes.max() < table.shape[1]:
        raise InputError("bad-labels", f"a class lies outside 0 to {table.shape[1] - 1}")
    areas = [auc(column, classes == number) for number, column in enumerate(table.T)]
    known = [area for area in areas if area is not None]
    return float(np.mean(known)) if areas and len(known) == len(areas) else None


def accuracy(predicted: ArrayLike, truth: ArrayLike) -> float | None:
    """Return the part of cases whose class was found; None without cases.

    >>> accuracy([0, 2, 1, 1], [0, 2, 2, 1])
    0.75
    """
    found, true = _whole(predicted, "predicted"), _whole(truth, "truth")
    _require_same_length(found, true)
    return float(np.mean(found == true)) if found.size else None


def sensitivity(predicted: ArrayLike, truth: ArrayLike) -> float | None:
    """Return the part of positive cases that were found; None without positive cases.

    >>> sensitivity([True, False, True, False], [True, True, True, False])
    0.6666666666666666
    """
    found, positive = _boolean(predicted, "predicted"), _boolean(truth, "truth")
    _require_same_length(found, positive)
    return float(np.mean(found[positive])) if positive.any() else None


def specificity(predicted: ArrayLike, truth: ArrayLike) -> float | None:
    """Return the part of negative cases that were left alone; None without negative cases.

    >>> specificity([True, False, True, False], [True, True, False, False])
    0.5
    """
    return sensitivity(~_boolean(predicted, "predicted"), ~_boolean(truth, "truth"))


def bootstrap_interval(
    values: NDArray[Any] | tuple[NDArray[Any], ...],
    groups: Sequence[Hashable | None] | None,
    statistic: Statistic,
    *,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int,
) -> Estimate:
    """Return a statistic of cases with the percentile interval over resampled patients.

    Cases of a patient resemble each other, so patients are drawn, each with all cases. The interval is None for fewer
    patients than :func:`medvision.intervals.least_patients` says (6 for a level of 0.95), where over a tenth of the
    resamples are not defined, and where all give the same: of 20 hits in 20 the bootstrap would claim certainty.
    (Davison & Hinkley: Bootstrap methods and their application, 1997.)

    Parameters
    ----------
    values
        (N, ...) one row a case, or several such arrays, e.g. scores and truth; handed to `statistic` one by one.
    groups
        The patient of each case; None for a case, or for all, that is a patient of its own.
    statistic
        Gives None (or NaN) where it is not defined.
    resamples, seed
        Number of resamples, and the seed that they are drawn with.
    level
        Part of such intervals that hold the true figure in the long run, 0 to 1.

    Raises
    ------
    UsageError
        `level` or `resamples` makes no sense.
    InputError
        Arrays and groups differ in length, or values are not finite.

    Examples
    --------
    >>> values = np.array([0.8, 0.9, 0.8, 0.9, 0.6, 0.7, 0.9])
    >>> print(bootstrap_interval(values, ["a", "a", "b", "c", "d", "e", "f"], np.mean, seed=0))
    0.800 (95 % interval 0.700 to 0.871, n = 6)
    """
    if not 0 < level < 1 or resamples < 1:
        raise UsageError("usage", f"a level between 0 and 1 and resamples above 0 are needed: {level}, {resamples}")
    columns = [np.asarray(column) for column in (values if isinstance(values, tuple) else (values,))]
    rows = _rows_of_groups(columns, groups)
    value = _defined(statistic(*columns)) if rows else None
    low, high = None, None
    if value is not None and len(rows) >= least_patients(level):
        known = _resampled(columns, rows, statistic, resamples, np.random.default_rng(seed))
        if len(known) >= _DEFINED * resamples and min(known) < max(known):
            low, high = (float(edge) for edge in np.quantile(known, [(1 - level) / 2, (1 + level) / 2]))
    return Estimate(value, low, high, len(rows), level)


def _masks(prediction: Labels, truth: Labels) -> Iterator[tuple[str, NDArray[np.bool_], NDArray[np.bool_]]]:
    """Give for each name the mask found and the true one, in the order of the truth's names."""
    if not prediction.geometry.matches(truth.geometry):
        raise GeometryError(
            "grid-differs",
            f"prediction {prediction.geometry.shape} and truth {truth.geometry.shape} do not lie on the same grid",
        )
    numbers = {name: number for number, name in prediction.names.items()}
    same = sorted(prediction.names.values()) == sorted(truth.names.values())
    if not same or len(numbers) < len(truth.names):
        raise InputError("bad-labels", f"names differ or repeat: {sorted(numbers)}, {sorted(truth.names.values())}")
    for number, name in truth.names.items():
        yield name, prediction.voxels == numbers[name], truth.voxels == number


def _dice(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> float | None:
    total = int(found.sum()) + int(true.sum())
    return 2 * int((found & true).sum()) / total if total else None


def _surface(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the voxels of a mask that have a face neighbour outside it, or outside the field of view."""
    inner = mask.copy()
    for axis, size in enumerate(mask.shape):
        if size > 1:
            line = np.moveaxis(mask, axis, 0)
            kept = np.moveaxis(inner, axis, 0)
            kept[1:-1] &= line[2:] & line[:-2]
            kept[[0, -1]] = False
    return mask & ~inner


def _reach(points: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    """Return the 95th percentile of the distances from points to the nearest of the others."""
    from scipy.spatial import cKDTree

    distance, _ = cKDTree(others).query(points)
    return float(np.percentile(distance, 95))


def _rows_of_groups(
    columns: Sequence[NDArray[Any]], groups: Sequence[Hashable | None] | None
) -> list[NDArray[np.intp]]:
    """Return the rows of each group, groups in the order of their names."""
    for column in columns:
        _require_same_length(columns[0], column)
        if column.dtype.kind not in "biuf" or not np.isfinite(column).all():
            raise InputError("not-finite", "values are finite numbers: leave out cases for which none is defined")
    if groups is None:
        return [np.array([row]) for row in range(len(columns[0]))]
    if len(groups) != len(columns[0]):
        raise InputError("bad-labels", f"{len(columns[0])} cases, but {len(groups)} groups")
    rows: dict[str, list[int]] = {}
    for row, group in enumerate(groups):
        rows.setdefault(f"case {row}" if group is None else repr(group), []).append(row)
    return [np.array(rows[group]) for group in sorted(rows)]


def _resampled(
    columns: Sequence[NDArray[Any]],
    rows: Sequence[NDArray[np.intp]],
    statistic: Statistic,
    resamples: int,
    generator: np.random.Generator,
) -> list[float]:
    """Return the statistic of resampled groups, without the resamples for which it is not defined."""
    known = []
    for _ in range(resamples):
        draw = np.concatenate([rows[group] for group in generator.integers(0, len(rows), len(rows))])
        value = _defined(statistic(*(column[draw] for column in columns)))
        if value is not None:
            known.append(value)
    return known


def _defined(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)


def _column(values: ArrayLike, name: str) -> NDArray[np.float64]:
    column = np.asarray(values, dtype=np.float64)
    if column.ndim != 1 or not np.isfinite(column).all():
        raise InputError("not-finite", f"{name}: a row of finite numbers is needed, got {column.shape}")
    return column


def _whole(values: ArrayLike, name: str) -> NDArray[np.int64]:
    column = _column(values, name)
    if (column != np.round(column)).any():
        raise InputError("bad-labels", f"{name}: whole numbers are needed")
    return column.astype(np.int64)


def _boolean(values: ArrayLike, name: str) -> NDArray[np.bool_]:
    column = _column(values, name)
    if not np.isin(column, (0, 1)).all():
        raise InputError("bad-labels", f"{name}: only True and False (or 1 and 0) are allowed")
    return column.astype(bool)


def _require_same_length(one: NDArray[Any], other: NDArray[Any]) -> None:
    if len(one) != len(other):
        raise InputError("bad-labels", f"{len(one)} and {len(other)} cases cannot be compared")
