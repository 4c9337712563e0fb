"""Plots of a training: lines over epochs, and the figures of all cases fold by fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medvision.report.axes import Axis, swarm
from medvision.report.facts import CaseFigures, Figure, FoldFacts
from medvision.report.wording import brief, figure, listed, significant

CHART = (400, 220)
"""Width and height of a chart of lines, in pixels."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 386, 10, 192
_MOST_POINTS = 500  # of a line: more than a chart has pixels
_FOLDS_WIDTH, _FOLDS_LEFT, _FOLDS_RIGHT = 720, 78, 700
_ROW, _REACH = 46, 15  # height of a fold, and how far its dots reach from its middle


@dataclass(frozen=True)
class Line:
    """One line of a chart: its points as an SVG path, each single point, and the last value in words."""

    name: str
    path: str
    last: str
    single: tuple[float, float] | None


@dataclass(frozen=True)
class Chart:
    """Lines over epochs; `best_at` is where the best epoch lies, None where it is not to be shown."""

    title: str
    lines: tuple[Line, ...]
    x_marks: tuple[tuple[float, str], ...]
    y_marks: tuple[tuple[float, str], ...]
    best_at: float | None
    alt: str


@dataclass(frozen=True)
class FoldRow:
    """One row of a plot by folds: dots, the box of their middle half with the median, and the figure's interval."""

    name: str
    middle: float
    dots: tuple[tuple[float, float, str], ...]
    quartiles: tuple[float, float, float] | None
    figure: tuple[float, float, float] | None
    words: str


@dataclass(frozen=True)
class FoldPlot:
    """One figure in every fold and, in the last row, in all of them."""

    title: str
    rows: tuple[FoldRow, ...]
    marks: tuple[tuple[float, str], ...]
    size: tuple[int, int]
    alt: str


def chart_of(
    title: str, names: Sequence[str], rows: Sequence[Mapping[str, float]], *, epochs: int, best_epoch: int | None = None
) -> Chart | None:
    """Return the lines of some figures over epochs, or None where no row has any of them.

    Parameters
    ----------
    names
        Of the figures, at most six.
    rows
        What was measured, with ``epoch``.
    epochs
        Of the whole training: the chart leaves room for those to come.
    best_epoch
        To be marked.
    """
    found = {name: [(row["epoch"], row[name]) for row in rows if name in row] for name in names}
    found = {name: points for name, points in found.items() if points}
    if not found:
        return None
    values = [value for points in found.values() for _, value in points]
    across = _epoch_axis(max(epochs, int(max(row["epoch"] for row in rows))))
    upwards = Axis.around(min(values), max(values), _BOTTOM, _TOP)
    lines = tuple(_line(name, points, across, upwards) for name, points in found.items())
    return Chart(
        title=title,
        lines=lines,
        x_marks=across.marks,
        y_marks=upwards.marks,
        best_at=None if best_epoch is None else across.at(best_epoch),
        alt=f"{title} over {brief(rows[-1]['epoch'])} epochs, last: "
        + listed([f"{line.name} {line.last}" for line in lines]),
    )


def fold_plot(
    title: str, folds: Sequence[FoldFacts], cases: Sequence[CaseFigures], pooled: Mapping[str, Figure]
) -> FoldPlot | None:
    """Return the figure called `title` in every fold and in all, or None where nobody measured it."""
    groups: list[tuple[str, list[CaseFigures], Figure | None]] = [
        (f"Fold {fold.number}", [case for case in cases if case.fold == fold.number], fold.figures.get(title))
        for fold in folds
    ]
    groups.append(("All", list(cases), pooled.get(title)))
    values = [value for case in cases if (value := case.values.get(title)) is not None]
    for *_, found in groups:
        values += [value for value in (found.value, found.low, found.high) if value is not None] if found else []
    if not values:
        return None
    axis = Axis.around(min(values), max(values), _FOLDS_LEFT, _FOLDS_RIGHT)
    rows = [_fold_row(name, title, members, found, axis, place) for place, (name, members, found) in enumerate(groups)]
    return FoldPlot(
        title=title,
        rows=tuple(rows),
        marks=axis.marks,
        size=(_FOLDS_WIDTH, _ROW * len(rows) + 24),
        alt=f"{title} by fold. " + " ".join(f"{row.name}: {row.words}." for row in rows),
    )


def _epoch_axis(last: int) -> Axis:
    """Return an axis of whole epochs that ends with the last one."""
    step = next(step * power for power in (10**n for n in range(12)) for step in (1, 2, 5) if last <= 6 * step * power)
    return Axis(0.0, float(last), _LEFT, _RIGHT, tuple(float(tick) for tick in range(0, last + 1, step)))


def _line(name: str, points: list[tuple[float, float]], across: Axis, upwards: Axis) -> Line:
    every = max(1, -(-len(points) // _MOST_POINTS))
    kept = points[:-1:every] + points[-1:]
    places = [(across.at(epoch), upwards.at(value)) for epoch, value in kept]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    return Line(name, path, significant(points[-1][1]), places[0] if len(places) == 1 else None)


def _fold_row(
    name: str, title: str, cases: Sequence[CaseFigures], found: Figure | None, axis: Axis, place: int
) -> FoldRow:
    middle = _ROW * place + _ROW / 2
    known = sorted((value, case.case) for case in cases if (value := case.values.get(title)) is not None)
    places = swarm([axis.at(value) for value, _ in known], middle=middle, reach=_REACH)
    dots = tuple((x, y, f"{case}: {figure(value)}") for (x, y), (value, case) in zip(places, known, strict=True))
    quartiles = None
    if len(known) > 1:
        first, median, third = (axis.at(float(q)) for q in np.percentile([value for value, _ in known], [25, 50, 75]))
        quartiles = (first, median, third)
    return FoldRow(name, middle, dots, quartiles, _placed(found, axis), _words(found, len(known)))


def _placed(found: Figure | None, axis: Axis) -> tuple[float, float, float] | None:
    if found is None or found.value is None:
        return None
    low = found.value if found.low is None else found.low
    high = found.value if found.high is None else found.high
    return axis.at(low), axis.at(found.value), axis.at(high)


def _words(found: Figure | None, cases: int) -> str:
    counted = f", {cases} cases" if cases else ""
    return "not measured" if found is None or found.value is None else f"{found.words}{counted}"
