"""How much more labelled cases would bring: trainings on subsets of rising size, from scratch and from weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medvision.batch import holding
from medvision.errors import UsageError
from medvision.pipeline import PipelineFolder
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
    Shared,
    is_done,
    outcomes_of,
    shared,
    sides_of,
    trainer_at,
)
from medvision.workflows.comparing.ways import Way, pinned
from medvision.workflows.fitting.budget import Budget
from medvision.workflows.fitting.machine import Machine
from medvision.workflows.fitting.seeds import with_seed
from medvision.workflows.fitting.workbench import Workbench, store_of
from medvision.workflows.training_data.subsets import Sizes, subset
from medvision.workflows.training_folder.claim import refuse_settings


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
        asked = replace(asked, ways=pinned(asked.ways, out))
        runs = _runs(pipeline, parts, out, asked)
        refuse_settings(pipeline, *(run.folder for run in runs.values()))
        work = Workbench(pipeline, parts, store, machine.alone(pipeline.settings.train), machine.workers, progress)
        common = shared(list(runs.values()), work, out, log=machine.log)
        outcomes = outcomes_of(
            list(runs.values()),
            trainer_at(work, machine),
            budget_of=lambda _: None if asked.minutes is None else Budget(asked.minutes, may_cut=False),  # all alike
            words_of=_words_of,
            progress=progress,
        )
        words = [f"{_words_of(run)}, repeat {repeat + 1}" for (_, _, repeat), run in runs.items()]
        common = replace(common, notes=(*common.notes, *notes_of_runs(words, outcomes)))
        found = _curve(out, asked, runs, dict(zip(runs, outcomes, strict=True)), len(parts.val), common)
        found.write()
    return found


def plan_of_curve(
    pipeline: PipelineFolder, data: Sequence[Path], out: Path, asked: Asked, *, seed: int | None = None
) -> tuple[Planned, ...]:
    """Return the trainings that :func:`learning_curve` would do, and which of them are done; nothing is written.

    Raises
    ------
    UsageError
        A size cannot be drawn, or there is no such seed.
    InputError
        A case has no label, or patients stand on both sides of a split.
    PipelineError
        `out` holds trainings of other settings, other data or another start, or what was kept of them is damaged;
        weights to start from cannot be read.
    """
    pipeline, parts = sides_of(pipeline, data, seed=seed)
    runs = _runs(pipeline, parts, out, replace(asked, ways=pinned(asked.ways, out, keep=False)))
    return tuple(
        Planned(run.way.name, repeat, len(run.parts.train), _patients(run), is_done(run))
        for (_, _, repeat), run in runs.items()
    )


def _words_of(run: Run) -> str:
    return f"{run.way.name}, {many(len(run.parts.train), 'case')}"


_Key = tuple[int, int, int]
"""Of a training: the numbers of its way, of its size and of its repeat."""


def _runs(pipeline: PipelineFolder, parts: Split, out: Path, asked: Asked) -> dict[_Key, Run]:
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
    runs: Mapping[_Key, Run],
    outcomes: Mapping[_Key, Outcome],
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
    runs: Mapping[_Key, Run],
    outcomes: Mapping[_Key, Outcome],
    compared: Comparable,
    numbers: Mapping[_Key, int],
) -> Point:
    places = [(way, size, repeat) for repeat in range(asked.repeats)]
    own = [numbers[place] for place in places]
    seed = next(iter(runs.values())).seed
    difference = None
    if way:
        first = [numbers[(0, size, repeat)] for repeat in range(asked.repeats)]
        pairs = [outcomes[(which, size, repeat)] for which in (0, way) for repeat in range(asked.repeats)]
        difference = replace(compared.difference(first, own, seed=seed), withheld=unequal_lengths(pairs))
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
