"""The figures of a cross-validation: those of all held-out cases together, and rankings within each fold.

An AUC says how well cases are ranked, and only the cases of one fold are ranked by one network. Those of all folds
together are ranked by several networks, each with its own calibration: pooled, the AUC can fall below that of each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medvision.evaluate import Estimate
from medvision.intervals import least_patients
from medvision.workflows.scoring.figures import Ranking
from medvision.workflows.scoring.scored import Scored
from medvision.workflows.scoring.scores import counts, estimates, left_out, rankings

MEAN = ", mean of folds"
POOLED = ", pooled over folds"
_RESAMPLES, _LEVEL = 2000, 0.95
_DEFINED = 0.9  # share of the resamples in which a figure is to be defined, as for every other interval


def fold_estimates(folds: Sequence[Sequence[Scored]], *, seed: int | None) -> dict[str, Estimate]:
    """Return every figure of a cross-validation by name, with its interval over patients.

    As :func:`medvision.workflows.scoring.scores.estimates` of all cases together, but for AUC, which comes twice: as
    the mean of that of each fold, weighted by the fold's patients, which is what a network trained like these reaches;
    and pooled, which is what one threshold for all of them reaches. For the mean, patients are drawn within their
    folds. Draws from a fold of n patients spread as if there were n - 1, and of one patient not at all: these numbers
    together must be as large as with the least patients of one fold that have an interval.
    Folds in which it is not defined, for want of a kind of case, are left out of it and of its patients, in each
    resample too.

    Parameters
    ----------
    folds
        What was said of the held-out cases of each fold.
    seed
        Of the resamples; None: no intervals.
    """
    pooled = estimates([entry for fold in folds for entry in fold], seed=seed)
    within = [rankings(fold) for fold in folds]
    told: dict[str, Estimate] = {}
    for title, figure in pooled.items():
        if title in within[0]:
            told[title + MEAN] = _mean(folds, [each[title] for each in within], seed)
            told[title + POOLED] = figure
        else:
            told[title] = figure
    return told


def fold_counts(folds: Sequence[Sequence[Scored]]) -> dict[str, int]:
    """Return over how many cases each figure of :func:`fold_estimates` is, where it is not over all of them."""
    found = counts([entry for fold in folds for entry in fold])
    ranked = {title + how: found[title] for title in rankings(folds[0]) if title in found for how in (MEAN, POOLED)}
    return found | ranked


def fold_notes(folds: Sequence[Sequence[Scored]]) -> tuple[str, ...]:
    """Return what :func:`medvision.workflows.scoring.scores.left_out` says and in how many folds AUC is missing."""
    told = list(left_out([entry for fold in folds for entry in fold]))
    within = [rankings(fold) for fold in folds]
    for title in within[0]:
        defined = sum(statistic(*columns) is not None for columns, _, statistic in (each[title] for each in within))
        if 0 < defined < len(folds):
            told.append(
                f"{title} is not defined in {len(folds) - defined} of {len(folds)} folds, which its mean leaves out"
            )
    return tuple(told)


def _mean(
    folds: Sequence[Sequence[Scored]],
    within: Sequence[Ranking],
    seed: int | None,
) -> Estimate:
    """Return the mean of a figure over folds, each of which gives its columns, the rows of its cases, and itself."""
    grouped = [_by_patient(fold, rows) for fold, (_, rows, _) in zip(folds, within, strict=True)]
    patients = [len(groups) for groups in grouped]

    def mean_of(draws: Sequence[NDArray[np.intp]]) -> float | None:
        values = [
            statistic(*(column[draw] for column in columns)) if len(draw) else None
            for (columns, _, statistic), draw in zip(within, draws, strict=True)
        ]
        known = [(value, count) for value, count in zip(values, patients, strict=True) if value is not None]
        total = sum(count for _, count in known)
        return sum(float(value) * count for value, count in known) / total if total else None

    value = mean_of([np.arange(len(rows)) for _, rows, _ in within])
    pairs = zip(within, patients, strict=True)
    ranked = [count for (columns, _, statistic), count in pairs if statistic(*columns) is not None]
    n = sum(ranked) or sum(patients)
    if value is None or seed is None or n - len(ranked) < least_patients(_LEVEL) - 1:
        return Estimate(value, None, None, n)
    generator = np.random.default_rng(seed)
    drawn = [mean_of([_drawn(groups, generator) for groups in grouped]) for _ in range(_RESAMPLES)]
    known = [each for each in drawn if each is not None]
    if len(known) < _DEFINED * _RESAMPLES or min(known) == max(known):
        return Estimate(value, None, None, n)
    low, high = np.quantile(known, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2]).tolist()
    return Estimate(value, low, high, n, _LEVEL)


def _by_patient(fold: Sequence[Scored], rows: Sequence[int]) -> list[NDArray[np.intp]]:
    """Return the places of each patient's cases among those that count."""
    places: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        places.setdefault(fold[row].patient, []).append(place)
    return [np.array(each) for each in places.values()]


def _drawn(groups: Sequence[NDArray[np.intp]], generator: np.random.Generator) -> NDArray[np.intp]:
    if not groups:
        return np.array([], dtype=np.intp)
    return np.concatenate([groups[index] for index in generator.integers(0, len(groups), len(groups))])
