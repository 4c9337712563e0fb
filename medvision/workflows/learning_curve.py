"""How much more labelled cases would bring: trainings on subsets of rising size, from scratch and from weights."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medvision.batch import holding
from medvision.comparison import Difference, Level
from medvision.errors import UsageError
from medvision.files import replacing, write_json, write_text
from medvision.frameworks import versions
from medvision.pipeline import PipelineFolder
from medvision.progress import Progress, named, silent
from medvision.study import safe_id
from medvision.training import Split
from medvision.workflows.fitting.budget import Budget
from medvision.workflows.fitting.claim import refuse_settings
from medvision.workflows.fitting.paired import Comparable, comparable
from medvision.workflows.fitting.runs import (
    Outcome,
    Run,
    Shared,
    Way,
    Workbench,
    is_done,
    once,
    shared,
    shown_source,
    sides_of,
    with_seed,
)
from medvision.workflows.fitting.subsets import Sizes, subset
from medvision.workflows.train import Machine, store_of


@dataclass(frozen=True)
class Asked:
    """What a learning curve is asked for.

    Parameters
    ----------
    sizes
        Numbers of cases to train on, in rising order; None is all of the training side.
    repeats
        How many subsets of each size, each with a seed of its own.
    ways
        How each is trained; the first is what the others are compared with.
    minutes
        The time of each training; None takes the time that the settings need.

    Raises
    ------
    UsageError
        There is no size, no repeat, or two ways have one name.
    """

    sizes: Sizes
    repeats: int
    ways: tuple[Way, ...]
    minutes: float | None = None

    def __post_init__(self) -> None:
        if not self.sizes or self.repeats < 1 or not self.ways:
            raise UsageError("usage", "a learning curve needs a size, a repeat and a start, or more of each")
        if len({way.name for way in self.ways}) < len(self.ways):
            raise UsageError("usage", "a start is named twice")

    def pinned(self) -> Asked:
        """Return the same, where all repeats of a way start from what the hub has now."""
        return replace(self, ways=tuple(way.pinned() for way in self.ways))


@dataclass(frozen=True)
class Point:
    """One point of a curve.

    Parameters
    ----------
    way
        The name of the way of training.
    cases, patients
        How many were trained on, the mean over repeats.
    level
        How good that is, with its interval over repeats and patients.
    difference
        By how much it is better than the first way on the same cases; None for the first way.
    seconds, steps
        What a training cost, the mean over repeats; what all share, as preparing cases, is not in it.
    """

    way: str
    cases: float
    patients: float
    level: Level
    difference: Difference | None
    seconds: float
    steps: float

    def to_json(self) -> dict[str, Any]:
        """Return the point as JSON values."""
        against = self.difference.to_json() if self.difference else None
        counts = {"way": self.way, "cases": self.cases, "patients": self.patients}
        return {**counts, **self.level.to_json(), "difference": against, "seconds": self.seconds, "steps": self.steps}


@dataclass(frozen=True)
class LearningCurve:
    """A learning curve for each way of training.

    Parameters
    ----------
    folder
        Holds ``curve.csv``, ``curve.json``, ``curve.png`` and the folder of each training.
    figure
        What was measured, e.g. ``"AUC"``.
    points
        Way by way, in rising size.
    ways
        The ways of training.
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
    ways: tuple[Way, ...]
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
            "ways": [{"name": way.name, "source": shown_source(way.source), "tune": way.tune} for way in self.ways],
            "held_out": self.held_out,
            "left_out": self.left_out,
            "shared_seconds": self.shared_seconds,
            "notes": list(self.notes),
            "points": [point.to_json() for point in self.points],
            "versions": dict(versions()),
        }

    def table(self) -> str:
        """Return the points as a table of text."""
        width = max(5, *(len(point.way) for point in self.points))
        wide = max(24, *(len(str(point.level)) for point in self.points))
        lines = [
            f"{'start':<{width}}  {'cases':>6}  {self.figure:<{wide}}  {'seconds':>8}  {'steps':>7}  beside the first"
        ]
        for point in self.points:
            told = str(point.difference) if point.difference else ""
            cost = f"{point.seconds:>8.1f}  {point.steps:>7.0f}"
            lines.append(f"{point.way:<{width}}  {point.cases:>6.0f}  {point.level!s:<{wide}}  {cost}  {told}".rstrip())
        lines.append(
            f"Seconds are those of a training; preparing the cases took {self.shared_seconds:.1f} s more, once."
        )
        return "\n".join([*lines, *self.notes])


@dataclass(frozen=True)
class Planned:
    """A training that a learning curve would do.

    Parameters
    ----------
    way, repeat
        How it is trained, and which repeat it is.
    cases, patients
        How many it trains on.
    done
        Whether it lies there, finished.
    """

    way: str
    repeat: int
    cases: int
    patients: int
    done: bool


def learning_curve(
    pipeline: PipelineFolder,
    data: Sequence[Path],
    out: Path,
    asked: Asked,
    *,
    seed: int | None = None,
    machine: Machine | None = None,
    progress: Progress = silent,
) -> LearningCurve:
    """Train on subsets of rising size, each way of training on the same ones, and measure on the same held-out cases.

    Subsets are drawn by patient, with every class in its share, each within the next larger one of its repeat. A curve
    that was stopped goes on where it was, when the same command is given again.

    Parameters
    ----------
    pipeline, data, machine, progress
        See :func:`medvision.workflows.train.train`.
    out
        Takes the curve, and in ``runs`` the folder of each training.
    asked
        Sizes, repeats and ways.
    seed
        Decides the split and the subsets, and is the seed of the first repeat; None takes that of the settings.

    Raises
    ------
    UsageError
        A size is greater than the training side.
    InputError
        A case cannot be read, or lacks a label; or weights to start from were trained on cases that are held out.
    PipelineError
        `out` holds trainings of other settings, other data or another start.
    """
    refuse_settings(pipeline, out)
    machine = machine or Machine()
    with holding(out), store_of(out, machine) as store:
        pipeline, parts = sides_of(pipeline, data, seed=seed)
        asked = asked.pinned()
        runs = _runs(pipeline, parts, out, asked)
        refuse_settings(pipeline, *(run.folder for run in runs.values()))
        work = Workbench(pipeline, parts, store, machine, progress)
        common = shared(list(runs.values()), work, out)
        outcomes = {}
        for number, (place, run) in enumerate(runs.items()):
            budget = None if asked.minutes is None else Budget(asked.minutes, may_cut=False)  # all ways alike
            words = f"{run.way.name}, {len(run.parts.train)} cases ({number + 1} of {len(runs)})"
            outcomes[place] = once(run, work, budget=budget, progress=named(words, progress))
        found = _curve(out, asked, runs, outcomes, len(parts.val), common)
        write_json(out / "curve.json", found.to_json())
        write_text(out / "curve.csv", _csv(found))
        _write_picture(found, out / "curve.png")
    return found


def plan_of_curve(
    pipeline: PipelineFolder, data: Sequence[Path], out: Path, asked: Asked, *, seed: int | None = None
) -> tuple[Planned, ...]:
    """Return the trainings that :func:`learning_curve` would do, and which of them are done; nothing is written."""
    pipeline, parts = sides_of(pipeline, data, seed=seed)
    runs = _runs(pipeline, parts, out, asked.pinned())
    return tuple(
        Planned(run.way.name, repeat, len(run.parts.train), _patients(run), is_done(run))
        for (_, _, repeat), run in runs.items()
    )


_Place = tuple[int, int, int]
"""The numbers of the way, of the size and of the repeat."""


def _runs(pipeline: PipelineFolder, parts: Split, out: Path, asked: Asked) -> dict[_Place, Run]:
    """Return the trainings by way, size and repeat, the small ones first: a curve that is stopped early shows most."""
    first = pipeline.settings.train.seed
    runs = {}
    for size_number, size in enumerate(asked.sizes):
        for repeat in range(asked.repeats):
            cases = subset(parts.train, size, seed=first, repeat=repeat, task=pipeline.settings.task)
            some = Split(cases, parts.val, parts.findings)
            for way_number, way in enumerate(asked.ways):
                name = f"{safe_id(way.name) or 'start'}-{way_number + 1}_{size or 'all'}_{repeat + 1}"
                seeded_pipeline = with_seed(pipeline, first + repeat)
                run = Run(way, some, seeded_pipeline, out / "runs" / name, asked.minutes)
                runs[(way_number, size_number, repeat)] = run
    return runs


def _curve(
    out: Path,
    asked: Asked,
    runs: Mapping[_Place, Run],
    outcomes: Mapping[_Place, Outcome],
    held_out: int,
    common: Shared,
) -> LearningCurve:
    compared = comparable(
        [outcome.scored for outcome in outcomes.values()], next(iter(runs.values())).pipeline.settings
    )
    numbers = {place: number for number, place in enumerate(outcomes)}
    points = tuple(
        _point(way, size, asked, runs, outcomes, compared, numbers)
        for way in range(len(asked.ways))
        for size in range(len(asked.sizes))
    )
    bounds = (compared.least, compared.most)
    known = (held_out, compared.left_out, bounds, round(common.seconds, 1), common.notes)
    return LearningCurve(out, compared.name, points, asked.ways, *known)


def _point(
    way: int,
    size: int,
    asked: Asked,
    runs: Mapping[_Place, Run],
    outcomes: Mapping[_Place, Outcome],
    compared: Comparable,
    numbers: Mapping[_Place, int],
) -> Point:
    places = [(way, size, repeat) for repeat in range(asked.repeats)]
    own = [numbers[place] for place in places]
    seed = next(iter(runs.values())).seed
    difference = None
    if way:
        first = [numbers[(0, size, repeat)] for repeat in range(asked.repeats)]
        difference = compared.difference(first, own, seed=seed)
    return Point(
        way=asked.ways[way].name,
        cases=_mean(len(runs[place].parts.train) for place in places),
        patients=_mean(_patients(runs[place]) for place in places),
        level=compared.level(own, seed=seed),
        difference=difference,
        seconds=round(_mean(outcomes[place].seconds for place in places), 1),
        steps=_mean(outcomes[place].steps for place in places),
    )


def _patients(run: Run) -> int:
    return len({case.patient_key for case in run.parts.train})


def _mean(values: Any) -> float:
    known = list(values)
    return float(sum(known) / len(known))


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
        cells = [point.way, point.cases, point.patients, *map(_cell, figures), *counts, *map(_cell, gain)]
        writer.writerow([*cells, other.verdict if other else ""])
    return text.getvalue()


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"


def _write_picture(curve: LearningCurve, path: Path) -> None:
    """Draw a line a way, with the interval over repeats and patients, over the number of cases."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for number, way in enumerate(curve.ways):
        own = [point for point in curve.points if point.way == way.name]
        known = [(point.cases, point.level.value) for point in own if point.level.value is not None]
        axes.plot(*_columns(known, 2), marker="o", color=f"C{number}", label=way.name)
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
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120, metadata={"Software": None})


def _shown(limits: tuple[float, float], bounds: tuple[float | None, float]) -> tuple[float, float]:
    """Return the ends of an axis that shows no figure that there cannot be.

    >>> _shown((-0.1, 1.1), (0.0, 1.0)), _shown((-3.2, 0.1), (None, 0.0)), _shown((0.6, 0.9), (0.0, 1.0))
    ((0.0, 1.0), (-3.2, 0.0), (0.6, 0.9))
    """
    return (limits[0] if bounds[0] is None else max(limits[0], bounds[0])), min(limits[1], bounds[1])


def _columns(rows: Sequence[tuple[float, ...]], count: int) -> list[list[float]]:
    return [[row[column] for row in rows] for column in range(count)]
