"""The one figure by which trainings are compared, in the form that the bootstrap takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from medvision.comparison import Columns, Difference, Level, mean_over_runs, paired_difference
from medvision.errors import InputError
from medvision.pipeline import Settings
from medvision.workflows.scoring.scored import Scored
from medvision.workflows.scoring.scores import case_figures, rankings

Scores = Sequence[Scored]
_RESAMPLES = 2000


@dataclass(frozen=True, eq=False)
class Comparable:
    """Runs on the same held-out cases, brought into columns.

    Parameters
    ----------
    name
        Of the figure; more of it is better.
    runs
        The columns of each run.
    patients
        The patient of each case.
    statistic
        Of the columns of one run.
    left_out
        How many cases are left out, because the figure is not defined for them in some run.
    least, most
        The smallest and the greatest figure that there can be: an interval of few runs ends there. None: no end.
    """

    name: str
    runs: tuple[Columns, ...]
    patients: tuple[str, ...]
    statistic: Callable[..., float | None]
    left_out: int = 0
    least: float | None = 0.0
    most: float = 1.0

    def of_run(self, number: int) -> float | None:
        """Return the figure of one run; None where it is not defined."""
        value = self.statistic(*self.runs[number])
        return None if value is None or not np.isfinite(value) else float(value)

    def level(self, numbers: Sequence[int], *, seed: int) -> Level:
        """Return the mean of the runs of these numbers, with its interval."""
        runs = [self.runs[n] for n in numbers]
        level = mean_over_runs(runs, self.patients, self.statistic, seed=seed, resamples=_RESAMPLES)
        if level.low is None or level.high is None:
            return level
        low = level.low if self.least is None else max(level.low, self.least)
        return replace(level, low=low, high=min(level.high, self.most))

    def difference(self, first: Sequence[int], second: Sequence[int], *, seed: int) -> Difference:
        """Return by how much the `second` runs are better than the `first`, pair by pair."""
        one, other = [self.runs[n] for n in first], [self.runs[n] for n in second]
        found = paired_difference(one, other, self.patients, self.statistic, seed=seed, resamples=_RESAMPLES)
        if self.least is None or found.low is None or found.high is None:
            return found
        most = self.most - self.least
        return replace(found, low=max(found.low, -most), high=min(found.high, most))


def comparable(runs: Sequence[Scores], settings: Settings) -> Comparable:
    """Return the runs by the figure that decides; see :func:`medvision.workflows.scoring.scores.deciding`.

    A case without Dice in any run (no voxel of any label in truth and mask) is left out of all, and counted.

    Raises
    ------
    InputError
        No case is left.
    """
    patients = tuple(entry.patient for entry in runs[0])
    if settings.task == "regression":
        scales = [each.sd or 1.0 for each in settings.regression]
        columns = tuple(_errors(scored, scales) for scored in runs)
        return Comparable("error in SD, negative", columns, patients, _less_error, least=None, most=0.0)
    if runs[0][0].probabilities is not None:
        ranked = [rankings(scored)["AUC"] for scored in runs]
        statistic = ranked[0][2]
        return Comparable("AUC", tuple(columns for columns, *_ in ranked), patients, statistic)
    return _by_dice(runs, patients)


def _by_dice(runs: Sequence[Scores], patients: tuple[str, ...]) -> Comparable:
    rows = [[figures["mean Dice"] for figures in case_figures(scored)] for scored in runs]
    table = np.array(rows, dtype=np.float64)  # what is not defined becomes NaN
    known = np.asarray(np.isfinite(table).all(axis=0))
    if not known.any():
        raise InputError("too-few-cases", "Dice is defined for no held-out case in all runs")
    kept = tuple(patient for patient, defined in zip(patients, known, strict=True) if defined)
    return Comparable("mean Dice", tuple((row[known],) for row in table), kept, np.mean, int((~known).sum()))


def _errors(scored: Scores, scales: Sequence[float]) -> Columns:
    """Return how far each value is off, in standard deviations of the training cases; NaN where truth is not known."""
    names = list(scored[0].truths)
    errors = [
        [np.nan if (true := entry.truths[name]) is None else abs(entry.values[name] - true) for name in names]
        for entry in scored
    ]
    return (np.array(errors, dtype=np.float64) / np.array(scales),)


def _less_error(errors: NDArray[np.float64]) -> float | None:
    columns = [column[np.isfinite(column)] for column in errors.T]
    defined = [float(column.mean()) for column in columns if column.size]
    return -float(np.mean(defined)) if defined else None
