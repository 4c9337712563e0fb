"""How much more labelled cases would bring: trainings on subsets of rising size, from scratch and from weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from medvision.batch import holding
from medvision.comparison import Difference
from medvision.errors import UsageError
from medvision.pipeline import PipelineFolder, Settings
from medvision.progress import Progress, silent
from medvision.report.wording import many
from medvision.study import safe_id
from medvision.training import Split
from medvision.workflows.comparing.curve import LearningCurve as LearningCurve
from medvision.workflows.comparing.curve import Point
from medvision.workflows.comparing.notes import notes_of_runs, unequal_lengths
from medvision.workflows.comparing.paired import Comparable, comparable
from medvision.workflows.comparing.runs import (
    Outcome,
    Run,
    is_done,
    outcomes_of,
    prepare_shared,
    refuse_unknown,
    sides_of,
    trainer_at,
)
from medvision.workflows.comparing.ways import Way, pin_starts
from medvision.workflows.fitting.budget import Budget
from medvision.workflows.fitting.machine import Machine
from medvision.workflows.fitting.seeds import with_seed
from medvision.workflows.fitting.workbench import Workbench, store_of
from medvision.workflows.training_data.subsets import Sizes, subset
from medvision.workflows.training_folder.claim import refuse_settings


@dataclass(frozen=True)
class CurveDesign:
    """Which trainings make a learning curve.

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
        There is no size, no repeat or no way, the sizes are no numbers above 0 in rising order, each once and all of
        them at the end, or two ways have one name.
    """

    sizes: Sizes
    repeats: int
    ways: tuple[Way, ...]
    minutes: float | None = None

    def __post_init__(self) -> None:
        if not self.sizes or self.repeats < 1 or not self.ways:
            raise UsageError("usage", "a learning curve needs a size, a repeat and a start, or more of each")
        counts = [float("inf") if size is None else size for size in self.sizes]
        if counts != sorted(set(counts)) or counts[0] < 1:
            shown = ", ".join("all" if size is None else str(size) for size in self.sizes)
            raise UsageError("usage", f"sizes are numbers above 0, each once and in rising order, not {shown}")
        names = [way.name for way in self.ways]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            cure = "Name each start once; of two files, give folders of other names."
            raise UsageError("usage", f"a start is named twice: {twice}", cure=cure)
        if self.minutes is not None:
            Budget(self.minutes)  # refuses what is no time


@dataclass(frozen=True)
class PlannedTraining:
    """A training that a learning curve would do.

    Parameters
    ----------
    start
        The name of what it starts from; ``scratch`` is none.
    repeat
        Which repeat it is, counted from 1.
    cases, patients
        How many it trains on.
    done
        Whether it lies there, finished.
    """

    start: str
    repeat: int
    cases: int
    patients: int
    done: bool


class _Key(NamedTuple):
    """Of a training of a curve: the numbers of its way, of its size and of its repeat, from 0."""

    way: int
    size: int
    repeat: int


@dataclass(frozen=True, eq=False)
class _Done:
    """All trainings of a curve, what they came to, and the same as columns, in the order of `runs`."""

    design: CurveDesign
    runs: Mapping[_Key, Run]
    outcomes: Mapping[_Key, Outcome]
    settings: Settings

    @property
    def first(self) -> Run:
        """The first training: the cases held out are those of all, and its seed is that of the curve."""
        return next(iter(self.runs.values()))

    @cached_property
    def compared(self) -> Comparable:
        return comparable([self.outcomes[key].scored for key in self.runs], self.settings)

    def keys(self, way: int, size: int) -> list[_Key]:
        return [_Key(way, size, repeat) for repeat in range(self.design.repeats)]

    def numbers(self, keys: Sequence[_Key]) -> list[int]:
        order = {key: number for number, key in enumerate(self.runs)}
        return [order[key] for key in keys]


def learning_curve(
    pipeline: PipelineFolder,
    data: Sequence[Path],
    out: Path,
    design: CurveDesign,
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
    design
        Sizes, repeats and ways.
    seed
        Decides the split and the subsets, and is the seed of the first repeat; None takes that of the settings.

    Raises
    ------
    UsageError
        A size cannot be drawn; what :func:`medvision.workflows.train.train` refuses; or several processes are wanted.
    InputError
        A case cannot be read, or lacks a label; or weights to start from were trained on cases that are held out.
    PipelineError
        `out` holds trainings of other settings, other data or another start; weights to start from cannot be read or
        fit too little; or a loss is not finite.
    ExtraMissingError, BusyError, OutputError, WorkerError
        See :func:`medvision.workflows.train.train`.
    """
    refuse_settings(pipeline, out)
    machine = machine or Machine()
    with holding(out), store_of(out, machine) as store:
        pipeline, parts = sides_of(pipeline, data, seed=seed)
        design = replace(design, ways=pin_starts(design.ways, out))
        runs = _runs(pipeline, parts, out, design)
        refuse_settings(pipeline, *(run.folder for run in runs.values()))
        work = Workbench(pipeline, parts, store, machine.alone(pipeline.settings.train), machine.workers, progress)
        common = prepare_shared(list(runs.values()), work, out, log=machine.log)
        outcomes = outcomes_of(
            list(runs.values()),
            trainer_at(work, machine),
            budget_of=lambda _: None if design.minutes is None else Budget(design.minutes, may_cut=False),  # all alike
            words_of=_words_of,
            progress=progress,
        )
        words = [f"{_words_of(run)}, repeat {key.repeat + 1}" for key, run in runs.items()]
        notes = (*common.notes, *notes_of_runs(words, outcomes))
        done = _Done(design, runs, dict(zip(runs, outcomes, strict=True)), pipeline.settings)
        found = _curve(out, done, common.seconds, notes)
        found.write()
    return found


def plan_of_curve(
    pipeline: PipelineFolder, data: Sequence[Path], out: Path, design: CurveDesign, *, seed: int | None = None
) -> tuple[PlannedTraining, ...]:
    """Return the trainings that :func:`learning_curve` would do, and which of them are done; nothing is written.

    Raises
    ------
    UsageError
        A size cannot be drawn, or there is no such seed.
    InputError
        A case has no label, patients stand on both sides of a split, or a value of a regression is known of no case of
        a subset.
    PipelineError
        `out` holds trainings of other settings, other data or another start, or what was kept of them is damaged;
        weights to start from cannot be read.
    """
    pipeline, parts = sides_of(pipeline, data, seed=seed)
    runs = _runs(pipeline, parts, out, replace(design, ways=pin_starts(design.ways, out, keep=False)))
    refuse_unknown(list(runs.values()))
    return tuple(
        PlannedTraining(run.way.name, key.repeat + 1, len(run.parts.train), _patients(run), is_done(run))
        for key, run in runs.items()
    )


def _words_of(run: Run) -> str:
    return f"{run.way.name}, {many(len(run.parts.train), 'case')}"


def _runs(pipeline: PipelineFolder, parts: Split, out: Path, design: CurveDesign) -> dict[_Key, Run]:
    """Return the trainings by way, size and repeat, the small ones first: a curve that is stopped early shows most."""
    first = pipeline.settings.train.seed
    runs = {}
    for size_number, size in enumerate(design.sizes):
        for repeat in range(design.repeats):
            cases = subset(parts.train, size, seed=first, repeat=repeat, task=pipeline.settings.task)
            some = Split(cases, parts.val, parts.findings)
            for way_number, way in enumerate(design.ways):
                name = f"{safe_id(way.name) or 'start'}-{way_number + 1}_{size or 'all'}_{repeat + 1}"
                seeded_pipeline = with_seed(pipeline, first + repeat)
                run = Run(way, some, seeded_pipeline, out / "runs" / name, design.minutes)
                runs[_Key(way_number, size_number, repeat)] = run
    return runs


def _curve(out: Path, done: _Done, shared_seconds: float, notes: tuple[str, ...]) -> LearningCurve:
    design, compared = done.design, done.compared
    return LearningCurve(
        folder=out,
        figure=compared.name,
        points=tuple(_point(done, way, size) for way in range(len(design.ways)) for size in range(len(design.sizes))),
        starts=design.ways,
        held_out=len(done.first.parts.val),
        left_out=compared.left_out,
        bounds=(compared.least, compared.most),
        shared_seconds=round(shared_seconds, 1),
        notes=notes,
    )


def _point(done: _Done, way: int, size: int) -> Point:
    keys = done.keys(way, size)
    runs, outcomes = [done.runs[key] for key in keys], [done.outcomes[key] for key in keys]
    return Point(
        start=done.design.ways[way].name,
        cases=fmean(len(run.parts.train) for run in runs),
        patients=fmean(map(_patients, runs)),
        level=done.compared.level(done.numbers(keys), seed=done.first.seed),
        difference=_difference(done, done.keys(0, size), keys) if way else None,
        seconds=round(fmean(outcome.seconds for outcome in outcomes), 1),
        steps=fmean(outcome.steps for outcome in outcomes),
    )


def _difference(done: _Done, first: Sequence[_Key], second: Sequence[_Key]) -> Difference:
    found = done.compared.difference(done.numbers(first), done.numbers(second), seed=done.first.seed)
    return replace(found, withheld=unequal_lengths([done.outcomes[key] for key in (*first, *second)]))


def _patients(run: Run) -> int:
    return len({case.patient_key for case in run.parts.train})
