"""Strip plots of a batch: every case a dot that leads to its page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medvision.report.columns import Column
from medvision.report.facts import CohortRow
from medvision.report.wording import brief

WIDTH, HEIGHT = 340, 112
_LEFT, _RIGHT = 14, 326
_MIDDLE, _REACH = 44, 34  # of the dots, downwards
_DOT = 3.2


@dataclass(frozen=True)
class Dot:
    """One case: where its dot lies, what it says, and where it leads."""

    x: float
    y: float
    page: str | None
    words: str
    review: bool


@dataclass(frozen=True)
class Strip:
    """One plot; x in pixels. The box spans the middle half of the cases, its line is the median."""

    title: str
    unit: str
    dots: tuple[Dot, ...]
    ticks: tuple[tuple[float, str], ...]
    quartiles: tuple[float, float, float]
    alt: str


def strip_of(column: Column, rows: Sequence[CohortRow]) -> Strip | None:
    """Return the plot of one column, or None where no case has a figure."""
    known = [(value, row) for row in rows if row.record is not None and (value := column.of(row.record)) is not None]
    if not known:
        return None
    known.sort(key=lambda pair: (pair[0], pair[1].id))
    values = [value for value, _ in known]
    ticks = _ticks(values[0], values[-1])
    low, high = min(ticks[0], values[0]), max(ticks[-1], values[-1])
    unit = f" {column.unit}" if column.unit else ""
    first, median, third = (float(q) for q in np.percentile(values, [25, 50, 75]))
    dots = tuple(
        Dot(x, y, row.page, f"{row.id}: {column.words(value)}{unit}", row.verdict == "review")
        for (value, row), (x, y) in zip(known, _swarm([_place(value, low, high) for value, _ in known]), strict=True)
    )
    return Strip(
        title=column.title,
        unit=column.unit,
        dots=dots,
        ticks=tuple((_place(tick, low, high), _tick(column, tick)) for tick in ticks),
        quartiles=(_place(first, low, high), _place(median, low, high), _place(third, low, high)),
        alt=f"{column.title} of {len(known)} cases: median {column.words(median)}{unit}, middle half "
        f"{column.words(first)} to {column.words(third)}{unit}",
    )


def _ticks(low: float, high: float) -> list[float]:
    """Return about four round numbers that enclose `low` and `high`."""
    from matplotlib.ticker import MaxNLocator

    if low == high:  # one case, or all the same: any width will do
        low, high = low - (abs(low) or 1.0) / 10, high + (abs(high) or 1.0) / 10
    return [float(tick) for tick in MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(low, high)]


def _tick(column: Column, value: float) -> str:
    if column.kind == "probability":
        return f"{100 * value:.0f} %"
    return brief(value)


def _place(value: float, low: float, high: float) -> float:
    return _LEFT + (value - low) / (high - low) * (_RIGHT - _LEFT)


def _swarm(places: Sequence[float]) -> list[tuple[float, float]]:
    """Return each place with a height such that dots lie side by side; where they are too many, they overlap."""
    bins = [int(place // (2 * _DOT)) for place in places]
    counts, taken = Counter(bins), Counter[int]()
    found = []
    for place, at in zip(places, bins, strict=True):
        step = min(2 * _DOT, 2 * _REACH / counts[at])
        found.append((place, _MIDDLE + step * (taken[at] - (counts[at] - 1) / 2)))
        taken[at] += 1
    return found
