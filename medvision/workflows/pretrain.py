"""Pretrain a pipeline's network on images without labels, and leave weights that a training can start from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from medvision.batch import holding
from medvision.errors import InputError, PipelineError, UsageError
from medvision.files import sha256_of
from medvision.pipeline import SEEN, PipelineFolder
from medvision.progress import Progress, silent
from medvision.training import Fitted, Place, Split, open_logs, optimise, split
from medvision.workflows.fitting.budget import Budget
from medvision.workflows.fitting.machine import Machine
from medvision.workflows.fitting.pacing import paced, seconds_before
from medvision.workflows.fitting.pretext import Method, PretextJob, method_for
from medvision.workflows.fitting.pretext_export import export, pretext_page, sentence_of
from medvision.workflows.fitting.seeds import seeded
from medvision.workflows.fitting.workbench import store_of
from medvision.workflows.training_data.cross_checks import CaseHashes, cross_check
from medvision.workflows.training_data.noticed import cases_of, counted
from medvision.workflows.training_data.unlabelled import PreparedImage, prepare_images, unlabelled
from medvision.workflows.training_folder.claim import claim, refuse_unfinished
from medvision.workflows.training_folder.finished import Finished, identity_of, seconds_of
from medvision.workflows.training_folder.outcome import ids_of, require_whole
from medvision.workflows.training_folder.pretraining_card import PretrainingCard
from medvision.workflows.training_folder.pretraining_result import PretrainingResult as PretrainingResult
from medvision.workflows.training_folder.state import CHECKPOINTS, PRETRAINED, WEIGHTS
from medvision.workflows.training_folder.stretches import arithmetic, begin_stretch

_LABEL = "label-as-image"


def pretrain(
    pipeline: PipelineFolder,
    data: Sequence[Path],
    out: Path,
    *,
    method: str | None = None,
    licence: str | None = None,
    seed: int | None = None,
    budget: Budget | None = None,
    machine: Machine | None = None,
    progress: Progress = silent,
) -> PretrainingResult:
    """Train the pipeline's network on images alone, and leave weights in `out` for a training to start from.

    A pretraining that was stopped goes on where its last epoch ended, when the same command is given again; one that is
    finished is left as it is: its result is returned, and only the licence can be changed.

    Parameters
    ----------
    pipeline
        Its steps, network, patch, batch, optimiser and augmentation are taken; its weights are not.
    data
        Images; see :func:`medvision.io.scan`. No label is looked at, where there are any. Images of the split
        ``"test"`` are left out, and no other may be of their patients; those of ``"val"`` are held out.
    out
        Takes the weights with their card. It is no pipeline, and cannot be run.
    method
        ``"masked"`` for a segmentation, ``"vicreg"`` for all else; None takes the one that fits.
    licence
        The terms for the use of the weights; None: not stated.
    seed
        In place of the one in the settings.
    budget
        The time in which all must be done; None takes the steps that the settings state.
    machine
        Where and how it runs; on one device. `workers` is not used: images are prepared one by one.
    progress
        Told of every image that is prepared, and of every step.

    Raises
    ------
    UsageError
        The method does not fit the network; `out` holds a pipeline; there is no such seed, device or logger; several
        processes are wanted.
    InputError
        Fewer than two patients' images can be used; patients stand on both sides of a split.
    PipelineError
        `out` holds a training of other settings or other data, or what it left is damaged; the loss is not finite; or
        the network has come to give one answer for all images.
    ExtraMissingError, BusyError, OutputError, WorkerError
        See :func:`medvision.workflows.train.train`.
    """
    pipeline, machine = seeded(pipeline, seed), machine or Machine()
    chosen = method_for(pipeline.settings, method)
    _require_no_pipeline(out)
    found = unlabelled(data)
    if all(case.split == "test" for case in found.cases):
        return PretrainingResult(None, chosen, refused=found.rejected, skipped=found.skipped)
    settings = pipeline.settings.train
    place = machine.alone(settings)
    parts = split(found.cases, validation=settings.validation, seed=settings.seed)
    minutes = None if budget is None else budget.asked or budget.minutes
    by_files = identity_of(pipeline, parts, "pretraining", chosen, minutes)
    with holding(out), store_of(out, machine) as store:
        if _finished_and_whole(out, by_files):
            _license(out, licence)
            return PretrainingResult.read(out, refused=found.rejected, skipped=found.skipped)
        prepared, unread = prepare_images([*parts.train, *parts.val], pipeline, store, progress=progress)
        labels = tuple(finding for finding in unread if finding.code == _LABEL)
        refused = (*found.rejected, *(finding for finding in unread if finding.code != _LABEL))
        skipped = (*found.skipped, *labels)
        if not prepared:
            return PretrainingResult(None, chosen, refused=refused, skipped=skipped)
        request = _Request(pipeline, out, chosen, licence, budget, machine, place, progress)
        learned, fitted = _pretrained(request, _of(prepared, parts), prepared, minutes)
        result = replace(learned, refused=refused, skipped=skipped)
        result.write()
        Finished(by_files, fitted.epoch, len(fitted.rows), seconds_of(out), ()).write(out)
    return result


def _finished_and_whole(out: Path, identity: str) -> bool:
    """Return whether the pretraining of this identity lies in `out`, finished.

    Raises
    ------
    PipelineError
        It is finished, and has lost a file, what is kept of it is damaged, or its weights are others than its card's.
    """
    found = Finished.read(out, ()) if (out / PRETRAINED).is_file() else None
    if found is None or found.identity != identity:
        return False
    require_whole(out, "weights.json", SEEN)
    if PretrainingCard.read(out / "weights.json").sha256 != sha256_of(out / WEIGHTS):
        message = "the file is not the one that its card describes (SHA-256)"
        raise PipelineError("weights-mismatch", message, path=out / WEIGHTS, cure="Choose another --out.")
    return True


def _license(out: Path, licence: str | None) -> None:
    """State other terms for the use of the weights; None leaves those that are stated."""
    if licence is not None:
        card = PretrainingCard.read(out / "weights.json")
        replace(card, licence=licence).save(out / "weights.json")


@dataclass(frozen=True, eq=False)
class _Request:
    """What a pretraining was asked for; see :func:`pretrain` for the parameters."""

    pipeline: PipelineFolder
    out: Path
    method: Method
    licence: str | None
    budget: Budget | None
    machine: Machine
    place: Place
    progress: Progress


def _pretrained(
    request: _Request, parts: Split, prepared: Mapping[str, PreparedImage], minutes: float | None
) -> tuple[PretrainingResult, Fitted]:
    """Train, and leave the weights with their card; in `minutes`, of which some have passed, where they are given."""
    job, out = _job(request, parts, prepared), request.out
    digests = {name: f"{image.digest} {image.grid_digest}" for name, image in prepared.items()}
    images = (*job.training, *job.held_out)
    hashes = [CaseHashes(image.case.id, image.digest, None, image.modality) for image in images]
    beside, about = cross_check(parts, hashes, any_modality=job.pipeline.settings.contract.modality is None)
    each = [(image.case.id, entry) for image in images for entry in image.findings]
    noticed, named = (*beside, *counted(each)), {**about, **cases_of(each)}
    identity = claim(out, job.pipeline, parts, digests, "pretraining", job.method, job.method_settings, minutes)
    refuse_unfinished(out)
    checkpoints, over = out / CHECKPOINTS, (out / PRETRAINED).is_file()
    # The network is never cut: a training starts with all of it.
    budget = None if request.budget is None else replace(request.budget, may_cut=False)
    job, pace, timed = paced(job, budget, checkpoints=checkpoints, settings_in=checkpoints, over=over)

    network = job.network()
    page = pretext_page(out, job, parts, minutes=minutes, seconds_before=seconds_before(checkpoints, budget))
    facts = {"pipeline": job.pipeline.name, "method": job.method, "steps": str(job.train.total_steps)}
    begin_stretch(checkpoints, arithmetic(job.place, deterministic=job.deterministic))
    with open_logs(request.machine.log, out, title=out.name, settings=facts, also={"page": page}) as logs:
        fitted = optimise(
            network,
            job.batches(),
            job.objective(),
            job.validate,
            job.train,
            folder=checkpoints,
            identity=identity,
            place=job.place,
            deterministic=job.deterministic,
            pace=pace,
            logs=logs,
            progress=request.progress,
        )
    findings = (*parts.findings, *noticed, *timed, *fitted.findings, *logs.findings)
    results = (sentence_of(job.method, job.require_learned(network).figures, len(job.held_out)),)
    export(out, job, network, fitted, results=results, licence=request.licence)
    page.complete(results, findings)
    return PretrainingResult(out, job.method, results, findings, *ids_of(parts), named), fitted


def _job(request: _Request, parts: Split, prepared: Mapping[str, PreparedImage]) -> PretextJob:
    training, held_out = ([prepared[case.id] for case in side] for side in (parts.train, parts.val))
    deterministic = request.machine.is_deterministic(request.place.device)
    return PretextJob(request.pipeline, request.method, training, held_out, request.place, deterministic)


def _of(prepared: Mapping[str, PreparedImage], parts: Split) -> Split:
    """Return the split without what could not be read.

    Raises
    ------
    InputError
        One side is empty then.
    """
    train, val = (tuple(case for case in side if case.id in prepared) for side in (parts.train, parts.val))
    if not train or not val:
        text = f"{len(train)} images can be read of those to train on, and {len(val)} of those held out"
        raise InputError("too-few-cases", text)
    return replace(parts, train=train, val=val)


def _require_no_pipeline(out: Path) -> None:
    if (out / "pipeline.toml").exists():
        message = "a pipeline lies here, and weights of a pretraining would stand in place of its own"
        raise UsageError("usage", message, path=out, cure="Choose another --out.")
