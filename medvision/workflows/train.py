"""Train a pipeline: cases, split, steps, the loop, and a folder that `run` takes."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medvision import io
from medvision.errors import Finding, InputError, PipelineError, UsageError
from medvision.frameworks import versions
from medvision.pipeline import SEEN, PipelineFolder, read_settings
from medvision.progress import Progress, silent
from medvision.report.wording import many
from medvision.study import Case
from medvision.training import Fitted, Logs, Pace, Place, Split, Store, open_logs, optimise, seconds_spent, split
from medvision.workflows.fitting.budget import Budget
from medvision.workflows.fitting.choice import choice_of
from medvision.workflows.fitting.claim import claim, refuse_settings, write_settings
from medvision.workflows.fitting.export import Export
from medvision.workflows.fitting.finished import CHECKPOINTS as CHECKPOINTS
from medvision.workflows.fitting.finished import Finished, identity_of, seconds_of
from medvision.workflows.fitting.held_out import score
from medvision.workflows.fitting.job import Job
from medvision.workflows.fitting.label_names import require_same_names
from medvision.workflows.fitting.labelled import require_sides_apart
from medvision.workflows.fitting.machine import Machine as Machine
from medvision.workflows.fitting.noticed import Noticed, notice
from medvision.workflows.fitting.outcome import Trained as Trained
from medvision.workflows.fitting.outcome import TrainingResult as TrainingResult
from medvision.workflows.fitting.outcome import done, ids_of, is_done
from medvision.workflows.fitting.pacing import paced
from medvision.workflows.fitting.placing import held, open_place
from medvision.workflows.fitting.prepare import PreparedCase, prepare
from medvision.workflows.fitting.seen import Seen, seen_by_start, start_findings
from medvision.workflows.fitting.start import Start as Start
from medvision.workflows.fitting.start import identity_of_start, refuse_options, started
from medvision.workflows.fitting.targets import with_scaling
from medvision.workflows.fitting.training_page import TrainingPage, page_of
from medvision.workflows.weights import Started


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
    InputError
        A case cannot be read, or lacks a label; patients stand on both sides of a split.
    PipelineError
        `out` holds a training of other settings or other data, or the loss is not finite.
    """
    refuse_settings(pipeline, out)
    pipeline, machine = seeded(pipeline, seed), machine or Machine()
    settings, freezes = pipeline.settings.train, start is not None and start.tune != "full"
    with (
        open_place(machine.device, machine.devices, machine.nodes, settings, freezes=freezes) as place,
        held(out, place),
        store_of(out, machine, kept=not place.is_first) as store,
    ):
        progress = progress if place.is_first else silent
        cases, task = labelled_cases(data, pipeline.settings.labels), pipeline.settings.task
        parts = split(cases, validation=settings.validation, seed=settings.seed, task=task)
        pipeline = replace(pipeline, settings=with_scaling(pipeline.settings, parts.train))

        def prepared() -> Mapping[str, PreparedCase]:
            with place.in_turn():  # the others find the cases that the first has stored
                workers = machine.workers if place.is_first else 0
                return prepare([*parts.train, *parts.val], pipeline, store, workers=workers, progress=progress)

        trained = train_on(
            parts, prepared, pipeline, out, start=start, budget=budget, machine=machine, place=place, progress=progress
        )
    return trained.result


def train_on(
    parts: Split,
    prepare_cases: Callable[[], Mapping[str, PreparedCase]],
    pipeline: PipelineFolder,
    out: Path,
    *,
    start: Start | None = None,
    budget: Budget | None = None,
    machine: Machine,
    place: Place | None = None,
    results: tuple[str, ...] = (),
    progress: Progress = silent,
) -> Trained:
    """Train on one split of prepared cases, and leave a complete pipeline folder in `out`.

    A training that lies there finished is returned as it is.

    Parameters
    ----------
    parts
        Who trains and who is held out; where nobody is held out, nothing is measured.
    prepare_cases
        Gives the cases of both sides, by id; it is not asked where the training is done.
    place
        Where it runs; of several processes, the first alone writes and measures. None: in this process.
    results
        Sentences for the card where nobody is held out, e.g. those of a cross-validation.

    Raises
    ------
    UsageError
        Several processes are wanted, and no place of theirs is given: they share one training, and not several.
    """
    place = place or alone(machine, pipeline)
    minutes = None if budget is None else budget.asked or budget.minutes
    further = [minutes, place.from_first(lambda: identity_of_start(start, out / CHECKPOINTS))]
    identity = place.from_first(lambda: identity_of(pipeline, parts, *further))
    if place.from_first(lambda: is_done(out, parts, identity)):
        return done(out, parts)
    refuse_options(start, machine.log, pipeline, place, out / CHECKPOINTS, timed=budget is not None)
    prepared = prepare_cases()
    training, held_out = ([prepared[case.id] for case in side] for side in (parts.train, parts.val))
    require_sides_apart(training, pipeline.settings)
    noticed = notice(parts, training, held_out, pipeline.settings)
    if place.is_first:
        claim(out, pipeline, parts, {name: entry.digest for name, entry in prepared.items()}, *further)
    if place.from_first(lambda: is_done(out, parts)):  # the same voxels in other files
        return done(out, parts)
    whole = Job(pipeline, training, held_out, place)
    job, pace, cut = paced(whole, out, budget, keep_network=start is not None)
    if place.is_first:
        write_settings(out, job.pipeline)
    fit = _fit(job, parts, out, (*noticed.findings, *cut), start, budget, pace, machine, progress)
    if not place.is_first:
        place.barrier()
        seconds: float = place.from_first(lambda: seconds_of(out))  # when the first has written everything
        result = TrainingResult(out, (), fit.findings, *ids_of(parts))
        return Trained(result, (), job.pipeline, fit.fitted.epoch, len(fit.fitted.rows), seconds)
    return _left(fit, noticed, results, identity)


@dataclass(frozen=True, eq=False)
class _Fit:
    """A network that has been trained: on what and where, what the loop did, and what is to be said of it."""

    job: Job
    parts: Split
    out: Path
    network: Any
    fitted: Fitted
    findings: tuple[Finding, ...]
    page: TrainingPage
    start: Start | None
    started: Started | None
    trained: tuple[str, ...]
    seen: Seen | None


def _fit(
    job: Job,
    parts: Split,
    out: Path,
    findings: tuple[Finding, ...],
    start: Start | None,
    budget: Budget | None,
    pace: Pace | None,
    machine: Machine,
    progress: Progress,
) -> _Fit:
    """Train the job's network, from where it starts or was stopped."""
    settings, place, folder = job.pipeline.settings, job.place, out / CHECKPOINTS
    network = job.pipeline.build_network(training=True)
    begun, tuning, trained = started(network, start, job.pipeline, place, folder)
    findings += begun.findings if begun else ()
    seen = seen_by_start(start.source if start else None, folder) if place.is_first else None
    findings += start_findings(seen, [entry.digest for entry in job.held_out])
    if trained:
        progress(0, 0, trained[0])
    page = page_of(
        out,
        settings,
        parts,
        place,
        minutes=None if budget is None else budget.minutes,
        seconds_before=seconds_spent(folder) + (time.monotonic() - budget.started if budget else 0.0),
        decisions=(*(finding.message for finding in findings if finding.code.startswith("budget")), *trained),
    )
    facts = {"pipeline": job.pipeline.name, "steps": str(settings.train.total_steps)}
    logs = open_logs(machine.log, out, title=out.name, settings=facts, also={"page": page})
    with logs if place.is_first else Logs({}) as logs, job.ahead() as batches:
        fitted = optimise(
            network,
            batches,
            job.objective(),
            job.validate if job.held_out else None,
            settings.train,
            folder=folder,
            place=place,
            deterministic=machine.is_deterministic(place.device),
            tuning=tuning,
            pace=pace,
            logs=logs,
            progress=progress,
        )
    if tuning is not None and place.is_first:
        tuning.finish(network)
    findings += (*fitted.findings, *logs.findings) if place.is_first else ()
    return _Fit(job, parts, out, network, fitted, findings, page, start, begun, trained, seen)


def _left(fit: _Fit, noticed: Noticed, results: tuple[str, ...], identity: str) -> Trained:
    """Measure the network, and leave the pipeline folder; the first process does."""
    job, parts, out, fitted = fit.job, fit.parts, fit.out, fit.fitted
    settings, place, epochs = job.pipeline.settings, job.place, len(fitted.rows)
    scored = score(fit.network, job.held_out, settings)
    trained_with = {
        **versions(),
        "device": place.device,
        "precision": place.precision,
        "steps": str(epochs * settings.train.steps_per_epoch),
        "seed": str(settings.train.seed),
        **(fit.started.facts if fit.started else {}),
        **({"tune": fit.start.tune, "trained": "; ".join(fit.trained)} if fit.start else {}),
    }
    choice = choice_of(fitted, keeps_best=settings.train.keep == "best")
    figures = [entry.figures for entry in job.training]
    export = Export(job.pipeline, fit.network, parts, figures, scored, choice.sentence, results, trained_with)
    findings = list(fit.findings)
    card = export.write(out, findings, fit.started)
    job.seen().and_also(fit.seen).write(out / SEEN, weights_sha256=card.sha256)
    result = TrainingResult(
        out, card.results, tuple(findings), *ids_of(parts), noticed.named, epochs_before=fitted.before
    )
    result.write()
    fit.page.complete(card.results, findings)
    seconds = seconds_of(out)
    place.barrier()  # nobody reads the checkpoints any more
    Finished(identity, fitted.epoch, epochs, seconds, tuple(scored), choice.hopeful).write(out)
    place.from_first(lambda: seconds)
    return Trained(result, scored, PipelineFolder.open(out), fitted.epoch, epochs, seconds, choice.hopeful)


def alone(machine: Machine, pipeline: PipelineFolder) -> Place:
    """Return this process as the place of a training; UsageError where several processes are wanted."""
    if machine.devices * machine.nodes > 1:
        cure = "Give --devices to a training that is neither a fold nor one of several runs."
        raise UsageError("usage", "several processes share one training, and not several", cure=cure)
    return open_place(machine.device, 1, 1, pipeline.settings.train, freezes=False)


def labelled_cases(data: Sequence[Path], labels: Mapping[int, str] | None = None) -> list[Case]:
    """Return all cases; for a training, anything that cannot be used is an error, so that nothing is missed.

    Parameters
    ----------
    labels
        The names that are meant by the numbers; None where no training is to take them for these.

    Raises
    ------
    InputError
        A file cannot be used, there is no case, one has no label, or labels have plainly other names in the data.
    """
    found = io.scan(data)
    if found.rejected:
        first = found.rejected[0]
        message = f"{len(found.rejected)} of the files named cannot be used, first: {first.message}"
        raise InputError(first.code, message, path=first.path)
    if not found.cases:
        raise InputError("label-missing", "there is no case in the data", path=data[0])
    unlabelled = [case.id for case in found.cases if case.label is None]
    if unlabelled:
        have = "has" if len(unlabelled) == 1 else "have"
        message = f"{len(unlabelled)} of {many(len(found.cases), 'case')} {have} no label, first: {unlabelled[0]}"
        raise InputError("label-missing", message, path=data[0])
    require_same_names(found.cases, labels or {})
    return list(found.cases)


def seeded(pipeline: PipelineFolder, seed: int | None) -> PipelineFolder:
    """Return the pipeline with another seed, where one is given.

    Raises
    ------
    PipelineError
        The pipeline's file does not say what is in force: it has changed since it was opened.
    """
    file = pipeline.folder / "pipeline.toml"
    if read_settings(file) != pipeline.settings:
        cure = "Open the pipeline again, or write the settings to its file."
        raise PipelineError("pipeline-invalid", "the file does not say what is in force", path=file, cure=cure)
    if seed is None:
        return pipeline
    return with_seed(pipeline, seed)


def with_seed(pipeline: PipelineFolder, seed: int) -> PipelineFolder:
    """Return the pipeline with another seed of its training; UsageError where it is none."""
    if not 0 <= seed < 2**32:
        raise UsageError("usage", f"a seed is a whole number from 0 to {2**32 - 1}, got {seed}")
    return replace(pipeline, settings=replace(pipeline.settings, train=replace(pipeline.settings.train, seed=seed)))


@contextlib.contextmanager
def store_of(out: Path, machine: Machine, *, kept: bool = False) -> Iterator[Store]:
    """Give the store of prepared cases; one within `out` is removed when the training has come to its end.

    It would only take space there, and holds images: a pipeline folder is made to be given away.
    """
    yield Store(machine.cache or out / _PREPARED)
    if machine.cache is None and not kept:
        shutil.rmtree(out / _PREPARED, ignore_errors=True)


_PREPARED = "prepared"
