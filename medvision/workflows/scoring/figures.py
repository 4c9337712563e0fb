"""The figures of several labels at once and of values, each with its interval over patients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.agreement import bias, f1, limits_of_agreement, mean_absolute_error, pearson, root_mean_square_error
from medvision.evaluate import Estimate, accuracy, auc, bootstrap_interval
from medvision.workflows.scoring.scored import Scored

Statistic = Callable[..., float | None]
Ranking = tuple[tuple[NDArray[Any], ...], list[int], Statistic]
"""The columns of a figure, the cases that their rows are, and the figure as a function of the columns."""
_UNKNOWN = -1


def estimate(
    columns: tuple[NDArray[Any], ...], patients: Sequence[str], statistic: Statistic, seed: int | None
) -> Estimate:
    """Return a figure with its bootstrap interval over patients; without a seed, without an interval."""
    if seed is None:
        value = statistic(*columns)
        return Estimate(None if value is None else float(value), None, None, len(set(patients)))
    return bootstrap_interval(columns, patients, statistic, seed=seed)


def title_of(figure: str, name: str, unit: str) -> str:
    """Return the name of a figure of a value, with its unit.

    >>> title_of("MAE", "age", "years"), title_of("bias", "score", "1")
    ('MAE age (years)', 'bias score')
    """
    return f"{figure} {name}" if unit == "1" else f"{figure} {name} ({unit})"


def of_labels(scored: Sequence[Scored], seed: int | None) -> dict[str, Estimate]:
    """Return AUC, accuracy and F1 as means over labels, then of each label; undefined ones are left out.

    A case counts for a label where its truth is known. A mean is over the labels for which the figure is defined, in
    each resample too.
    """
    names, marks, chances = _label_table(scored)
    found = chances >= np.array([scored[0].thresholds[name] for name in names])
    patients = [entry.patient for entry in scored]
    kinds: tuple[tuple[str, NDArray[Any], Statistic], ...] = (
        ("AUC", chances, auc),
        ("accuracy", found, accuracy),
        ("F1", found, f1),
    )
    figures = {title: estimate((said, marks), patients, _over_labels(each), seed) for title, said, each in kinds}
    for number, name in enumerate(names):
        rows = np.flatnonzero(marks[:, number] != _UNKNOWN)
        those = [patients[row] for row in rows]
        for title, said, each in kinds:
            columns = (said[rows, number], marks[rows, number])
            figures[f"{title} {name}"] = estimate(columns, those, each, seed)
    return {title: figure for title, figure in figures.items() if figure.value is not None}


def rankings_of_labels(scored: Sequence[Scored]) -> dict[str, Ranking]:
    """Return the AUC of several labels, as their mean and of each; see ``scores.rankings``."""
    names, marks, chances = _label_table(scored)
    found: dict[str, Ranking] = {"AUC": ((chances, marks), list(range(len(scored))), _over_labels(auc))}
    for number, name in enumerate(names):
        rows = np.flatnonzero(marks[:, number] != _UNKNOWN).tolist()
        found[f"AUC {name}"] = ((chances[rows, number], marks[rows, number]), rows, auc)
    return found


def of_values(scored: Sequence[Scored], seed: int | None) -> dict[str, Estimate]:
    """Return error, bias, limits of agreement and correlation of each value, where its truth is known."""
    figures = {}
    for name in scored[0].values:
        known = [entry for entry in scored if entry.truths[name] is not None]
        columns = (np.array([entry.values[name] for entry in known]), np.array([entry.truths[name] for entry in known]))
        patients = [entry.patient for entry in known]
        unit = scored[0].units[name]
        for figure, statistic, its in (
            ("MAE", mean_absolute_error, unit),
            ("RMSE", root_mean_square_error, unit),
            ("bias", bias, unit),
            ("lower limit of agreement", _limit(0), unit),
            ("upper limit of agreement", _limit(1), unit),
            ("Pearson's r", pearson, "1"),
        ):
            if known:
                figures[title_of(figure, name, its)] = estimate(columns, patients, statistic, seed)
    return {title: figure for title, figure in figures.items() if figure.value is not None}


def _label_table(scored: Sequence[Scored]) -> tuple[list[str], NDArray[np.int_], NDArray[np.float64]]:
    """Return the labels, and (case, label) whether it holds (1, 0, or unknown) and the probability said of it."""
    names = list(scored[0].marks)
    marks = np.array([[_mark(entry.marks[name]) for name in names] for entry in scored])
    chances = np.array([[(entry.probabilities or {})[name] for name in names] for entry in scored])
    return names, marks, chances


def _mark(mark: bool | None) -> int:
    return _UNKNOWN if mark is None else int(mark)


def _over_labels(statistic: Statistic) -> Statistic:
    """Return the mean over labels, each over the cases of which it is known."""

    def mean(said: NDArray[Any], marks: NDArray[Any]) -> float | None:
        values = []
        for number in range(marks.shape[1]):
            known = marks[:, number] != _UNKNOWN
            values.append(statistic(said[known, number], marks[known, number]))
        defined = [value for value in values if value is not None]
        return float(np.mean(defined)) if defined else None

    return mean


def _limit(side: int) -> Statistic:
    def limit(found: NDArray[Any], truth: NDArray[Any]) -> float | None:
        both = limits_of_agreement(found, truth)
        return None if both is None else both[side]

    return limit
