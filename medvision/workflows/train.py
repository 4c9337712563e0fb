"""Train a pipeline: cases, split, steps, the loop, and a folder that `run` takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from medvision.pipeline import PipelineFolder
from medvision.progress import Progress, silent
from medvision.training import split
from medvision.workflows.cases.targets import with_scaling
from medvision.workflows.fitting.budget import Budget
from medvision.workflows.fitting.fit import Terms, fit
from medvision.workflows.fitting.machine import Machine as Machine
from medvision.workflows.fitting.seeds import seeded
from medvision.workflows.fitting.workbench import Workbench, store_of
from medvision.workflows.starting.start import Start as Start
from medvision.workflows.training_data.labelled import labelled_cases
from medvision.workflows.training_folder.claim import held, refuse_settings
from medvision.workflows.training_folder.outcome import TrainingResult as TrainingResult


def train(
    pipeline: PipelineFolder,
    data: Sequence[Path],
    out: Path,
    *,
    start: Start | None = None,
    seed: int | None = None,
    budget: Budget | None = None,
    machine: Machine | None = None,
    progress: Progress = silent,
) -> TrainingResult:
    """Train the pipeline's network on `data`, and leave a complete pipeline folder in `out`.

    A training that was stopped goes on where its last epoch ended, when the same command is given again.

    Parameters
    ----------
    pipeline
        Its settings are taken, its weights are not.
    data
        Data sets with labels; see :func:`medvision.io.scan`.
    out
        The new pipeline folder.
    start
        What it starts from; None starts from fresh weights.
    seed
        In place of the one in the settings.
    budget
        The time in which all must be done; None takes the time that the settings need.
    machine
        Where and how it runs.
    progress
        Told of every case that is prepared, and of every step.

    Raises
    ------
    UsageError
        The settings themselves lie in `out`; there is no such seed, device, logger or way of tuning, or it does not fit
        the network; or nobody has started the processes.
    InputError
        A case cannot be read, or lacks a label; patients stand on both sides of a split.
    PipelineError
        `out` holds a training of other settings or other data, the weights to start from cannot be read or fit too
        little, or the loss is not finite.
    ExtraMissingError
        A logger, or a training in several processes, needs a package that is not installed.
    BusyError
        Another process holds `out`.
    OutputError
        `out` cannot be written.
    WorkerError, ProcessLostError
        A process that prepared a case, or one that shared the training, was lost.
    """
    refuse_settings(pipeline, out)
    pipeline, machine = seeded(pipeline, seed), machine or Machine()
    settings, freezes = pipeline.settings.train, start is not None and start.tune != "full"
    with (
        machine.open(settings, freezes=freezes) as place,
        held(out, place),
        store_of(out, machine, kept=not place.is_first) as store,
    ):
        progress = progress if place.is_first else silent
        cases, task = labelled_cases(data, pipeline.settings.labels), pipeline.settings.task
        parts = split(cases, validation=settings.validation, seed=settings.seed, task=task)
        pipeline = replace(pipeline, settings=with_scaling(pipeline.settings, parts.train))
        work = Workbench(pipeline, parts, store, place, machine.workers, progress)
        terms = Terms(start, budget, machine, progress=progress)
        return fit(work, parts, pipeline, out, terms).result
