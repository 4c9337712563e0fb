"""A learning curve: its points, and how it is shown as a table, a file and a picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medvision.comparison import Difference, Level
from medvision.files import write_figure, write_json, write_text
from medvision.frameworks import versions
from medvision.workflows.comparing.ways import Way


@dataclass(frozen=True)
class Point:
    """One point of a curve.

    Parameters
    ----------
    start
        The name of what the trainings start from; ``scratch`` is none.
    cases, patients
        How many were trained on, the mean over repeats.
    level
        How good that is, with its interval over repeats and patients.
    difference
        By how much it is better than the first start on the same cases; None for the first.
    seconds, steps
        What a training cost, the mean over repeats; what all share, as preparing cases, is not in it.
    """

    start: str
    cases: float
    patients: float
    level: Level
    difference: Difference | None
    seconds: float
    steps: float

    def to_json(self) -> dict[str, Any]:
        """Return the point as JSON values."""
        return {
            "start": self.start,
            "cases": self.cases,
            "patients": self.patients,
            "level": self.level.to_json(),
            "difference": self.difference.to_json() if self.difference else None,
            "seconds": self.seconds,
            "steps": self.steps,
        }


@dataclass(frozen=True)
class LearningCurve:
    """A learning curve for each start.

    Parameters
    ----------
    folder
        Holds ``curve.csv``, ``curve.json``, ``curve.png`` and the folder of each training.
    figure
        What was measured, e.g. ``"AUC"``.
    points
        Start by start, in rising size.
    starts
        What the trainings start from.
    held_out, left_out
        How many cases were held out, and how many of them are left out, because the figure is not defined for them.
    bounds
        The smallest and the greatest figure that there can be; None where there is no smallest.
    shared_seconds
        What preparing all cases cost, once for all points.
    notes
        What must be said of the comparison, a sentence each.
    """

    folder: Path
    figure: str
    points: tuple[Point, ...]
    starts: tuple[Way, ...]
    held_out: int
    left_out: int
    bounds: tuple[float | None, float]
    shared_seconds: float = 0.0
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the curve as JSON values."""
        return {
            "schema": "medvision.learning-curve/1",
            "figure": self.figure,
            "starts": [start.to_json() for start in self.starts],
            "held_out": self.held_out,
            "left_out": self.left_out,
            "shared_seconds": self.shared_seconds,
            "notes": list(self.notes),
            "points": [point.to_json() for point in self.points],
            "versions": dict(versions()),
        }

    def write(self) -> None:
        """Write ``curve.json``, ``curve.csv`` and ``curve.png``."""
        write_json(self.folder / "curve.json", self.to_json())
        write_text(self.folder / "curve.csv", _csv(self))
        _write_picture(self, self.folder / "curve.png")

    def table(self) -> str:
        """Return the points as a table of text."""
        width = max(5, *(len(point.start) for point in self.points))
        wide = max(24, *(len(str(point.level)) for point in self.points))
        lines = [
            f"{'start':<{width}}  {'cases':>6}  {self.figure:<{wide}}  {'seconds':>8}  {'steps':>7}  beside the first"
        ]
        for point in self.points:
            told = str(point.difference) if point.difference else ""
            cost = f"{point.seconds:>8.1f}  {point.steps:>7.0f}"
            lines.append(
                f"{point.start:<{width}}  {point.cases:>6.0f}  {point.level!s:<{wide}}  {cost}  {told}".rstrip()
            )
        lines.append(
            f"Seconds are those of a training; preparing the cases took {self.shared_seconds:.1f} s more, once."
        )
        return "\n".join([*lines, *self.notes])


def _csv(curve: LearningCurve) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    titles = ["start", "cases", "patients", curve.figure, "low", "high", "runs", "seconds", "steps"]
    writer.writerow([*titles, "difference", "difference_low", "difference_high", "verdict"])
    for point in curve.points:
        level, other = point.level, point.difference
        figures = [level.value, level.low, level.high]
        gain = [other.value, other.low, other.high] if other else [None] * 3
        counts = [len(level.runs), point.seconds, point.steps]
        cells = [point.start, point.cases, point.patients, *map(_cell, figures), *counts, *map(_cell, gain)]
        writer.writerow([*cells, other.verdict if other else ""])
    return text.getvalue()


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"


def _write_picture(curve: LearningCurve, path: Path) -> None:
    """Draw a line a start, with the interval over repeats and patients, over the number of cases."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for number, start in enumerate(curve.starts):
        own = [point for point in curve.points if point.start == start.name]
        known = [(point.cases, point.level.value) for point in own if point.level.value is not None]
        axes.plot(*_columns(known, 2), marker="o", color=f"C{number}", label=start.name)
        edges = [(point.cases, point.level.low, point.level.high) for point in own]
        wide = [(cases, low, high) for cases, low, high in edges if low is not None and high is not None]
        cases, lows, highs = _columns(wide, 3)
        axes.fill_between(cases, lows, highs, color=f"C{number}", alpha=0.15, linewidth=0)
    ticks = sorted({point.cases for point in curve.points})
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set(xlabel="cases to train on", ylabel=curve.figure, title=f"{curve.held_out} held-out cases")
    axes.set_ylim(*_shown(axes.get_ylim(), curve.bounds))
    axes.legend()
    write_figure(path, figure)


def _shown(limits: tuple[float, float], bounds: tuple[float | None, float]) -> tuple[float, float]:
    """Return the ends of an axis that shows no figure that there cannot be.

    >>> _shown((-0.1, 1.1), (0.0, 1.0)), _shown((-3.2, 0.1), (None, 0.0)), _shown((0.6, 0.9), (0.0, 1.0))
    ((0.0, 1.0), (-3.2, 0.0), (0.6, 0.9))
    """
    return (limits[0] if bounds[0] is None else max(limits[0], bounds[0])), min(limits[1], bounds[1])


def _columns(rows: Sequence[tuple[float, ...]], count: int) -> list[list[float]]:
    return [[row[column] for row in rows] for column in range(count)]
