"""How good ways of training are, and whether one is better, on the same patients; and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from medvision.errors import InputError, UsageError
from medvision.intervals import least_patients

Verdict = Literal["helped", "hurt", "made no difference", "cannot be told"]
Columns = tuple[NDArray[Any], ...]
"""What one run says of every case: (N, ...) arrays with a row a case, e.g. scores and truth."""

_DEFINED = 0.9  # of the resamples: with fewer, the interval would be that of the lucky ones
_DRAWS = 20  # of the spread of runs for each resample of patients: the tails of t are long


@dataclass(frozen=True)
class Difference:
    """By how much a second way is better than a first one.

    Parameters
    ----------
    value
        The second's figure less the first's, the mean over runs; None where it is not defined.
    low, high
        The interval; None where it cannot be told.
    runs
        The difference of each run.
    patients
        How many patients were compared.
    level
        What part of such intervals holds the true difference, 0 to 1.
    withheld
        Why the figures do not answer whether the second way is better, whatever they are; None where they do.

    Examples
    --------
    >>> print(Difference(0.012, 0.003, 0.021, (0.01, 0.014), 40))
    helped by 0.012 (0.003 to 0.021)
    >>> print(Difference(-0.012, -0.021, -0.003, (-0.012,), 40))
    hurt by 0.012 (0.003 to 0.021)
    >>> print(Difference(0.004, -0.003, 0.011, (0.004,), 40))
    made no difference: 0.004 (-0.003 to 0.011)
    >>> print(Difference(0.2, 0.1, 0.3, (0.2,), 40, withheld="the trainings are of unequal length"))
    cannot be told: 0.200 (the trainings are of unequal length)
    """

    value: float | None
    low: float | None
    high: float | None
    runs: tuple[float, ...]
    patients: int
    level: float = 0.95
    withheld: str | None = None

    @property
    def verdict(self) -> Verdict:
        """What the interval says; where it holds 0, no difference is shown, which is not to say that there is none."""
        if self.withheld is not None:
            return "cannot be told"
        if self.low is None or self.high is None:
            return "made no difference" if self.runs and not any(self.runs) else "cannot be told"
        if self.low > 0:
            return "helped"
        return "hurt" if self.high < 0 else "made no difference"

    def to_json(self) -> dict[str, Any]:
        """Return the difference as JSON values."""
        figures = {"value": self.value, "low": self.low, "high": self.high, "level": self.level}
        counts = {"runs": list(self.runs), "patients": self.patients}
        return {"verdict": self.verdict, **figures, **counts, "withheld": self.withheld}

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.verdict}: not defined"
        if self.withheld is not None:
            return f"{self.verdict}: {self.value:.3f} ({self.withheld})"
        if self.low is None or self.high is None:
            return f"{self.verdict}: {self.value:.3f} ({_without(self.patients, self.level)})"
        if self.verdict == "helped":
            return f"helped by {self.value:.3f} ({self.low:.3f} to {self.high:.3f})"
        if self.verdict == "hurt":
            return f"hurt by {-self.value:.3f} ({-self.high:.3f} to {-self.low:.3f})"
        return f"made no difference: {self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class Level:
    """How good one way is, the mean over its runs.

    Parameters
    ----------
    value
        The figure; None where it is not defined.
    low, high
        The interval; None where it cannot be told.
    runs
        The figure of each run.
    patients
        How many patients it was measured on.
    level
        What part of such intervals holds the true figure, 0 to 1.

    Examples
    --------
    >>> print(Level(0.871, 0.865, 0.877, (0.87, 0.872), 40))
    0.871 (0.865 to 0.877)
    """

    value: float | None
    low: float | None
    high: float | None
    runs: tuple[float, ...]
    patients: int
    level: float = 0.95

    def to_json(self) -> dict[str, Any]:
        """Return the figure as JSON values."""
        figures = {"value": self.value, "low": self.low, "high": self.high, "level": self.level}
        return {**figures, "runs": list(self.runs), "patients": self.patients}

    def __str__(self) -> str:
        if self.value is None:
            return "not defined"
        if self.low is None or self.high is None:
            return f"{self.value:.3f} ({_without(self.patients, self.level)})"
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def paired_difference(
    first: Sequence[Columns],
    second: Sequence[Columns],
    patients: Sequence[Hashable],
    statistic: Callable[..., float | None],
    *,
    seed: int,
    resamples: int = 2000,
    level: float = 0.95,
) -> Difference:
    """Return the statistic of `second` less that of `first`, with an interval over patients and runs.

    Both ways, and all runs, are drawn the same patients, each with all cases: what is hard for both cancels out
    (Davison & Hinkley: Bootstrap methods and their application, 1997). To each resample is added a draw of how far the
    mean of so few runs may lie from that of many, by Student's t of their spread. Resampling the runs themselves would
    not do: of three, no resample reaches beyond the best and the worst, and an interval between these holds the truth
    in 3 of 4 cases, not in 19 of 20. The spread of runs holds some of that of patients, too, so that the interval is
    a little too wide rather than too narrow. Fewer patients than ``intervals.least_patients`` says have no
    interval. One run says nothing about others: its interval is for that run alone.

    Parameters
    ----------
    first, second
        What each run says of the cases; run by run they belong together (same seed), and all have the same cases.
    patients
        (N,) the patient of each case.
    statistic
        Of the columns of one run; None (or NaN) where it is not defined. More is better.
    seed, resamples
        Of the bootstrap.
    level
        Part of such intervals that hold the true difference in the long run, 0 to 1.

    Raises
    ------
    UsageError
        `level` or `resamples` makes no sense, or there are not as many runs of one as of the other.
    InputError
        Runs differ in the number of cases, or there is none.

    Examples
    --------
    >>> scratch = np.array([0.70, 0.80, 0.75, 0.85, 0.72, 0.78])
    >>> transfer = np.array([0.74, 0.83, 0.77, 0.90, 0.75, 0.82])
    >>> print(paired_difference([(scratch,)], [(transfer,)], "abcdef", np.mean, seed=0))
    helped by 0.035 (0.028 to 0.043)
    """
    if len(first) != len(second):
        raise UsageError("usage", f"runs are compared in pairs, got {len(first)} and {len(second)}")

    def differences(draw: Any) -> list[float | None]:
        pairs = zip(_figures(first, statistic, draw), _figures(second, statistic, draw), strict=True)
        return [None if one is None or other is None else other - one for one, other in pairs]

    _check((*first, *second), patients, resamples, level)
    return Difference(*_with_interval(differences, patients, seed, resamples, level), level)


def mean_over_runs(
    runs: Sequence[Columns],
    patients: Sequence[Hashable],
    statistic: Callable[..., float | None],
    *,
    seed: int,
    resamples: int = 2000,
    level: float = 0.95,
) -> Level:
    """Return the mean of a statistic over runs, with an interval over patients and runs.

    For the parameters and errors, see :func:`paired_difference`, which tells two ways apart far better than two such
    intervals side by side.
    """
    _check(runs, patients, resamples, level)
    found = _with_interval(lambda draw: _figures(runs, statistic, draw), patients, seed, resamples, level)
    return Level(*found, level)


def _with_interval(
    figures: Callable[[Any], list[float | None]], patients: Sequence[Hashable], seed: int, resamples: int, level: float
) -> tuple[float | None, float | None, float | None, tuple[float, ...], int]:
    """Return the mean over runs with its interval, each run, and the number of patients.

    `figures` gives the figure of each run for some rows.
    """
    rows = _rows_of(patients)
    each = figures(slice(None))
    found = [figure for figure in each if figure is not None]
    if len(found) < len(each):
        return None, None, None, (), len(rows)
    value, runs = float(np.mean(found)), tuple(found)
    generator = np.random.default_rng(seed)
    drawn = _resampled(figures, rows, resamples, generator)
    if len(rows) < least_patients(level) or len(drawn) < _DEFINED * resamples:
        return value, None, None, runs, len(rows)
    if len(runs) > 1:
        error = np.std(runs, ddof=1) / np.sqrt(len(runs))
        many = np.repeat(drawn, _DRAWS)
        drawn = many + error * generator.standard_t(len(runs) - 1, len(many))
    if np.ptp(drawn) == 0:
        return value, None, None, runs, len(rows)
    low, high = (float(edge) for edge in np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2]))
    return value, low, high, runs, len(rows)


def _without(patients: int, level: float) -> str:
    """Return in words that there is no interval, and why where there are too few patients."""
    least = least_patients(level)
    return f"no interval: {patients} of {least} patients needed" if patients < least else "no interval"


def _check(runs: Sequence[Columns], patients: Sequence[Hashable], resamples: int, level: float) -> None:
    if not 0 < level < 1 or resamples < 1:
        raise UsageError("usage", f"a level between 0 and 1 and resamples above 0 are needed: {level}, {resamples}")
    lengths = {len(column) for run in runs for column in run} | {len(patients)}
    if not runs or len(lengths) != 1 or lengths == {0}:
        raise InputError("bad-labels", f"all runs have the same cases, and one at least; got {sorted(lengths)}")


def _rows_of(patients: Sequence[Hashable]) -> list[NDArray[np.intp]]:
    """Return the rows of each patient, patients in the order in which they come up."""
    rows: dict[Hashable, list[int]] = {}
    for row, patient in enumerate(patients):
        rows.setdefault(patient, []).append(row)
    return [np.array(places) for places in rows.values()]


def _figures(runs: Sequence[Columns], statistic: Callable[..., float | None], draw: Any) -> list[float | None]:
    """Return the figure of each run on some rows."""
    found = [statistic(*(column[draw] for column in run)) for run in runs]
    return [None if figure is None or not np.isfinite(figure) else float(figure) for figure in found]


def _resampled(
    figures: Callable[[Any], list[float | None]],
    rows: Sequence[NDArray[np.intp]],
    resamples: int,
    generator: np.random.Generator,
) -> NDArray[np.float64]:
    """Return the mean over runs of resampled patients, without those where it is not defined."""
    known = []
    for _ in range(resamples):
        draw = np.concatenate([rows[patient] for patient in generator.integers(0, len(rows), len(rows))])
        found = figures(draw)
        runs = [figure for figure in found if figure is not None]
        if len(runs) == len(found):
            known.append(float(np.mean(runs)))
    return np.array(known)
