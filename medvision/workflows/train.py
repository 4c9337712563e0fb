"""Train a pipeline: cases, split, steps, the loop, and a folder that `run` takes."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from medvision import io
from medvision.errors import Finding, InputError, PipelineError, UsageError
from medvision.files import write_json
from medvision.frameworks import versions
from medvision.pipeline import PipelineFolder, read_settings
from medvision.progress import Progress, silent
from medvision.study import Case
from medvision.training import (
    Alone,
    EveryEpoch,
    Logs,
    Pace,
    Place,
    Split,
    Store,
    UntilDeadline,
    checkpoint,
    copies,
    find_copies,
    open_logs,
    optimise,
    seconds_spent,
    split,
)
from medvision.workflows.fitting.budget import EXPORT_SECONDS, VALIDATIONS_AFTER, Budget
from medvision.workflows.fitting.claim import claim, refuse_settings, write_settings
from medvision.workflows.fitting.export import Export
from medvision.workflows.fitting.finished import CHECKPOINTS as CHECKPOINTS
from medvision.workflows.fitting.finished import Finished, identity_of, seconds_of
from medvision.workflows.fitting.fit_time import fitting
from medvision.workflows.fitting.held_out import score
from medvision.workflows.fitting.job import Job
from medvision.workflows.fitting.labelled import label_findings, require_sides_apart
from medvision.workflows.fitting.machine import Machine as Machine
from medvision.workflows.fitting.noticed import cases_of, counted
from medvision.workflows.fitting.placing import held, open_place
from medvision.workflows.fitting.prepare import PreparedCase, prepare
from medvision.workflows.fitting.start import Start as Start
from medvision.workflows.fitting.start import identity_of_start, started
from medvision.workflows.fitting.targets import with_scaling
from medvision.workflows.fitting.training_page import page_of
from medvision.workflows.scoring.scores import Scored


@dataclass(frozen=True)
class TrainingResult:
    """What a training found and left.

    Parameters
    ----------
    folder
        The new pipeline folder.
    results
        What was measured on the held-out cases, with intervals; a sentence each.
    findings
        What was noticed about the data and the training.
    train, val
        Ids of the cases on each side of the split.
    named
        Ids by the code of a finding: the cases that it is about; for ``split-leak`` each copy and what it is one of.
        They come from names of files, and so stand in no card.
    """

    folder: Path
    results: tuple[str, ...]
    findings: tuple[Finding, ...]
    train: tuple[str, ...]
    val: tuple[str, ...]
    named: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {
            "schema": "medvision.training/1",
            "folder": str(self.folder),
            "results": list(self.results),
            "findings": [finding.unplaced().to_json() for finding in self.findings],
            "split": {"train": list(self.train), "val": list(self.val)},
            "named": {code: list(ids) for code, ids in self.named.items()},
        }


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
        cases, task = labelled_cases(data), pipeline.settings.task
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


@dataclass(frozen=True, eq=False)
class Trained:
    """A training that is done.

    Parameters
    ----------
    result
        Its result.
    scored
        What it says of each held-out case.
    pipeline
        Its folder.
    epoch, epochs
        The epoch whose weights were kept, and how many were done.
    seconds
        The time that it took, interruptions left out.
    """

    result: TrainingResult
    scored: Sequence[Scored]
    pipeline: PipelineFolder
    epoch: int
    epochs: int
    seconds: float


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
    place = place or _alone(machine, pipeline)
    minutes = None if budget is None else budget.asked or budget.minutes
    further = [minutes, place.from_first(lambda: identity_of_start(start, out / CHECKPOINTS))]
    identity = place.from_first(lambda: identity_of(pipeline, parts, *further))
    if place.from_first(lambda: _is_done(out, parts, identity)):
        return _done(out, parts)
    prepared = prepare_cases()
    training, held_out = ([prepared[case.id] for case in side] for side in (parts.train, parts.val))
    digests = {name: entry.digest for name, entry in prepared.items()}
    noticed = [(entry.case.id, finding) for entry in (*training, *held_out) for finding in entry.findings]
    require_sides_apart(training, pipeline.settings)
    findings = [*parts.findings, *find_copies(parts, digests), *counted(noticed)]
    findings += label_findings(training, held_out, pipeline.settings)
    leaks = copies(parts, digests)
    named: dict[str, Sequence[Any]] = {**({"split-leak": leaks} if leaks else {}), **cases_of(noticed)}
    if place.is_first:
        claim(out, pipeline, parts, digests, *further)
    if place.from_first(lambda: _is_done(out, parts)):  # the same voxels in other files
        return _done(out, parts)

    job = Job(pipeline, training, held_out, place)
    pace: Pace | None = None
    if budget is not None:
        with place.in_turn():  # by the first, alone with the whole batch; the others read what it found
            alone = replace(job, place=Alone(place.device, place.precision))
            kept = out / CHECKPOINTS / "timed.json"
            timed = fitting(alone, out, budget, kept=kept, keep_network=start is not None)
        job, findings = job.changed(timed.settings), [*findings, *timed.findings]
        each = timed.step_seconds * timed.settings.train.steps_per_epoch
        spent = seconds_spent(out / CHECKPOINTS)
        after = VALIDATIONS_AFTER * timed.validation_seconds
        pace = UntilDeadline(budget.without(spent).deadline - EXPORT_SECONDS, after, each)
        if (out / _RESULT).is_file() and checkpoint.begun(
            out / CHECKPOINTS
        ):  # it came to its end, and is not trained further in what time was left over
            pace = EveryEpoch(0)
    if place.is_first:
        write_settings(out, job.pipeline)

    settings = job.pipeline.settings
    network = job.pipeline.build_network(training=True)
    begun, tuning, trained = started(network, start, job.pipeline, place, out / CHECKPOINTS)
    findings += begun.findings if begun else ()
    if trained:
        progress(0, 0, trained[0])
    spent = seconds_spent(out / CHECKPOINTS) + (time.monotonic() - budget.started if budget else 0.0)
    page = page_of(
        out,
        settings,
        parts,
        place,
        minutes=None if budget is None else budget.minutes,
        seconds_before=spent,
        decisions=(*(finding.message for finding in findings if finding.code.startswith("budget")), *trained),
    )
    facts = {"pipeline": job.pipeline.name, "steps": str(settings.train.total_steps)}
    logs = open_logs(machine.log, out, title=out.name, settings=facts, also={"page": page})
    with logs if place.is_first else Logs({}) as logs, job.ahead() as batches:
        fitted = optimise(
            network,
            batches,
            job.objective(),
            job.validate if held_out else None,
            settings.train,
            folder=out / CHECKPOINTS,
            place=place,
            deterministic=place.device == "cpu" if machine.deterministic is None else machine.deterministic,
            tuning=tuning,
            pace=pace,
            logs=logs,
            progress=progress,
        )
    train_ids, val_ids = (tuple(case.id for case in side) for side in (parts.train, parts.val))
    if not place.is_first:
        place.barrier()
        place.from_first(lambda: None)  # until the first has written everything
        return Trained(
            TrainingResult(out, (), tuple(findings), train_ids, val_ids), (), job.pipeline, fitted.epoch, 0, 0.0
        )
    if tuning is not None:
        tuning.finish(network)
    findings += [*fitted.findings, *logs.findings]
    scored = score(network, held_out, settings)
    trained_with = {
        **versions(),
        "device": place.device,
        "precision": place.precision,
        "steps": str(len(fitted.rows) * settings.train.steps_per_epoch),
        "seed": str(settings.train.seed),
        **(begun.facts if begun else {}),
        **({"tune": start.tune, "trained": "; ".join(trained)} if start else {}),
    }
    export = Export(job.pipeline, network, parts, [entry.figures for entry in training], scored, results, trained_with)
    card = export.write(out, findings, begun)
    result = TrainingResult(out, card.results, tuple(findings), train_ids, val_ids, named)
    write_json(out / _RESULT, result.to_json() | {"folder": "."})
    page.complete(card.results, findings)
    seconds, epochs = seconds_of(out), len(fitted.rows)
    place.barrier()  # nobody reads the checkpoints any more
    Finished(identity, fitted.epoch, epochs, seconds, tuple(scored)).write(out)
    place.from_first(lambda: None)
    return Trained(result, scored, PipelineFolder.open(out), fitted.epoch, epochs, seconds)


def _is_done(out: Path, parts: Split, identity: str | None = None) -> bool:
    found = Finished.read(out, parts.val) if (out / _RESULT).is_file() else None
    return found is not None and identity in (None, found.identity)


def _done(out: Path, parts: Split) -> Trained:
    """Return the training that lies in `out`, done."""
    found, told = Finished.read(out, parts.val), json.loads((out / _RESULT).read_text(encoding="utf-8"))
    if found is None:
        raise PipelineError("weights-missing", "the training that lay here is gone", path=out)
    findings = tuple(
        Finding(each["code"], each["grade"], each["message"], cure=each["cure"]) for each in told["findings"]
    )
    train_ids, val_ids = (tuple(case.id for case in side) for side in (parts.train, parts.val))
    result = TrainingResult(out, tuple(told["results"]), findings, train_ids, val_ids, told["named"])
    return Trained(result, found.scored, PipelineFolder.open(out), found.epoch, found.epochs, found.seconds)


def _alone(machine: Machine, pipeline: PipelineFolder) -> Place:
    if machine.devices * machine.nodes > 1:
        cure = "Give --devices to a training that is neither a fold nor one of several runs."
        raise UsageError("usage", "several processes share one training, and not several", cure=cure)
    return open_place(machine.device, 1, 1, pipeline.settings.train, freezes=False)


def labelled_cases(data: Sequence[Path]) -> list[Case]:
    """Return all cases; for a training, anything that cannot be used is an error, so that nothing is missed."""
    found = io.scan(data)
    if found.rejected:
        first = found.rejected[0]
        message = f"{len(found.rejected)} of the files named cannot be used, first: {first.message}"
        raise InputError(first.code, message, path=first.path)
    unlabelled = [case.id for case in found.cases if case.label is None]
    if unlabelled or not found.cases:
        message = f"{len(unlabelled)} of {len(found.cases)} cases have no label, first: {(unlabelled or ['none'])[0]}"
        raise InputError("label-missing", message, path=data[0])
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


_RESULT = "training.json"
_PREPARED = "prepared"
