"""Strip plots of a batch: every case a dot that leads to its page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medvision.report.axes import Axis, swarm
from medvision.report.columns import Column
from medvision.report.facts import CohortRow

WIDTH, HEIGHT = 340, 112
_LEFT, _RIGHT = 14, 326
_MIDDLE, _REACH = 44, 34  # of the dots, downwards


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
    axis = Axis.around(values[0], values[-1], _LEFT, _RIGHT)
    unit = f" {column.unit}" if column.unit else ""
    first, median, third = (float(q) for q in np.percentile(values, [25, 50, 75]))
    dots = tuple(
        Dot(x, y, row.page, f"{row.id}: {column.words(value)}{unit}", row.verdict == "review")
        for (value, row), (x, y) in zip(
            known, swarm([axis.at(value) for value in values], middle=_MIDDLE, reach=_REACH), strict=True
        )
    )
    return Strip(
        title=column.title,
        unit=column.unit,
        dots=dots,
        ticks=_ticks(column, axis),
        quartiles=(axis.at(first), axis.at(median), axis.at(third)),
        alt=f"{column.title} of {len(known)} cases: median {column.words(median)}{unit}, middle half "
        f"{column.words(first)} to {column.words(third)}{unit}",
    )


def _ticks(column: Column, axis: Axis) -> tuple[tuple[float, str], ...]:
    if column.kind == "probability":
        return tuple((axis.at(tick), f"{100 * tick:.6g} %") for tick in axis.ticks)
    return axis.marks
