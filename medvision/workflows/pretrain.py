"""Pretrain a pipeline's network on images without labels, and leave weights that a training can start from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from medvision.batch import holding
from medvision.errors import InputError, PipelineError, UsageError
from medvision.files import sha256_of, sha256_of_text, write_json
from medvision.fingerprint import Spread
from medvision.frameworks import versions
from medvision.networks import save_weights
from medvision.pipeline import PRETRAINING, SEEN, PipelineFolder
from medvision.progress import Progress, silent
from medvision.report import TrainingValues
from medvision.report.wording import flattened
from medvision.training import Fitted, Place, Split, open_logs, optimise, split
from medvision.workflows.fitting.budget import Budget
from medvision.workflows.fitting.machine import Machine
from medvision.workflows.fitting.pacing import paced, seconds_before
from medvision.workflows.fitting.pretext import METHODS, Method, PretextJob, method_for
from medvision.workflows.fitting.seeds import seeded
from medvision.workflows.fitting.training_page import TrainingPage
from medvision.workflows.fitting.workbench import store_of
from medvision.workflows.starting.seen import Seen
from medvision.workflows.training_data.cross_checks import CaseHashes, cross_check
from medvision.workflows.training_data.noticed import cases_of, counted
from medvision.workflows.training_data.unlabelled import PreparedImage, prepare_images, unlabelled
from medvision.workflows.training_folder.claim import claim, refuse_unfinished
from medvision.workflows.training_folder.finished import Finished, identity_of, seconds_of
from medvision.workflows.training_folder.outcome import require_whole
from medvision.workflows.training_folder.pretrained import PretrainingResult
from medvision.workflows.training_folder.state import CHECKPOINTS, PRETRAINED, WEIGHTS, state_in
from medvision.workflows.training_folder.stretches import arithmetic, begin_stretch, how_it_ran

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
    done is told again, and takes no more than a new `licence`.

    Parameters
    ----------
    pipeline
        Its steps, network, patch, batch, optimiser and augmentation are taken; its weights are not.
    data
        Images; see :func:`medvision.io.scan`. No label is looked at, where there are any. Images of the split
        ``"test"`` are left out, those of ``"val"`` held out.
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
    if not found.cases:
        return PretrainingResult(None, chosen, refused=found.rejected, skipped=found.skipped)
    settings = pipeline.settings.train
    place = machine.alone(settings)
    parts = split(found.cases, validation=settings.validation, seed=settings.seed)
    minutes = None if budget is None else budget.asked or budget.minutes
    identity = identity_of(pipeline, parts, "pretraining", chosen, minutes)
    with holding(out), store_of(out, machine) as store:
        if _is_done(out, identity):
            _license(out, licence)
            return PretrainingResult.read(out, refused=found.rejected, skipped=found.skipped)
        prepared, unread = prepare_images([*parts.train, *parts.val], pipeline, store, progress=progress)
        labels = tuple(finding for finding in unread if finding.code == _LABEL)
        refused = (*found.rejected, *(finding for finding in unread if finding.code != _LABEL))
        skipped = (*found.skipped, *labels)
        if not prepared:
            return PretrainingResult(None, chosen, refused=refused, skipped=skipped)
        asked = _Asked(pipeline, out, chosen, licence, budget, machine, place, progress)
        learned, fitted = _pretrained(asked, _of(prepared, parts), prepared, minutes)
        result = replace(learned, refused=refused, skipped=skipped)
        result.write(out)
        Finished(identity, fitted.epoch, len(fitted.rows), seconds_of(out), ()).write(out)
    return result


def _is_done(out: Path, identity: str) -> bool:
    """Return whether that pretraining lies in `out`, done and whole."""
    found = Finished.read(out, ()) if (out / PRETRAINED).is_file() else None
    if found is None or found.identity != identity:
        return False
    require_whole(out, "weights.json", SEEN)
    with state_in(out / "weights.json") as card:
        as_described = card["sha256"] == sha256_of(out / WEIGHTS)
    if not as_described:
        message = "the file is not the one that its card describes (SHA-256)"
        raise PipelineError("weights-mismatch", message, path=out / WEIGHTS, cure="Choose another --out.")
    return True


def _license(out: Path, licence: str | None) -> None:
    """State other terms for the use of the weights; None leaves those that are stated."""
    if licence is not None:
        with state_in(out / "weights.json") as card:
            write_json(out / "weights.json", {**card, "licence": licence})


@dataclass(frozen=True, eq=False)
class _Asked:
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
    asked: _Asked, parts: Split, prepared: Mapping[str, PreparedImage], minutes: float | None
) -> tuple[PretrainingResult, Fitted]:
    """Train, and leave the weights with their card; in `minutes`, of which some have passed, where they are given."""
    job, out = _job(asked, parts, prepared), asked.out
    digests = {name: image.digest for name, image in prepared.items()}
    images = (*job.training, *job.held_out)
    hashes = [CaseHashes(image.case.id, image.digest, None, image.modality) for image in images]
    beside, about = cross_check(parts, hashes, any_modality=job.pipeline.settings.contract.modality is None)
    each = [(image.case.id, entry) for image in images for entry in image.findings]
    noticed, named = (*beside, *counted(each)), {**about, **cases_of(each)}
    training = claim(out, job.pipeline, parts, digests, "pretraining", job.method, job.method_settings, minutes)
    refuse_unfinished(out)
    checkpoints, over = out / CHECKPOINTS, (out / PRETRAINED).is_file()
    budget = None if asked.budget is None else replace(asked.budget, may_cut=False)  # a training starts with all of it
    job, pace, timed = paced(job, budget, checkpoints=checkpoints, settings_in=checkpoints, over=over)

    network = job.network()
    page = _page_of(out, job, parts, minutes=minutes, seconds_before=seconds_before(checkpoints, budget))
    facts = {"pipeline": job.pipeline.name, "method": job.method, "steps": str(job.train.total_steps)}
    begin_stretch(checkpoints, arithmetic(job.place, deterministic=job.deterministic))
    with open_logs(asked.machine.log, out, title=out.name, settings=facts, also={"page": page}) as logs:
        fitted = optimise(
            network,
            job.batches(),
            job.objective(),
            job.validate,
            job.train,
            folder=checkpoints,
            identity=training,
            place=job.place,
            deterministic=job.deterministic,
            pace=pace,
            logs=logs,
            progress=asked.progress,
        )
    findings = (*parts.findings, *noticed, *timed, *fitted.findings, *logs.findings)
    results = (_sentence(job.method, job.require_learned(network).figures, len(job.held_out)),)
    steps = len(fitted.rows) * job.train.steps_per_epoch
    _write_card(asked, job, network, results, steps=steps)
    page.complete(results, findings)
    train, val = (tuple(case.id for case in side) for side in (parts.train, parts.val))
    return PretrainingResult(out, job.method, results, findings, train, val, named), fitted


def _job(asked: _Asked, parts: Split, prepared: Mapping[str, PreparedImage]) -> PretextJob:
    training, held_out = ([prepared[case.id] for case in side] for side in (parts.train, parts.val))
    deterministic = asked.machine.is_deterministic(asked.place.device)
    return PretextJob(asked.pipeline, asked.method, training, held_out, asked.place, deterministic)


def _write_card(asked: _Asked, job: PretextJob, network: Any, results: tuple[str, ...], *, steps: int) -> None:
    """Write the weights without the layer that answered the pretext, and what they are; never one with the other's."""
    out, settings = asked.out, job.pipeline.settings
    now = arithmetic(job.place, deterministic=job.deterministic)
    ran = how_it_ran(out / CHECKPOINTS, now, epochs=steps // job.train.steps_per_epoch)
    parameters = {"steps": str(steps), "seed": str(job.train.seed), **ran}
    everything = settings.to_json()
    head = settings.network.parts.head
    (out / "weights.json").unlink(missing_ok=True)
    sha256 = save_weights(out / WEIGHTS, job.encoder(network), without=head)
    card = {
        "schema": f"{PRETRAINING}1",
        "sha256": sha256,
        "licence": asked.licence,
        "method": job.method,
        "method_settings": job.method_settings,
        "pipeline": job.pipeline.name,
        "left_out": list(head),
        **{key: everything[key] for key in ("network", "steps")},
        "contract": {key: everything["contract"][key] for key in ("dimensions", "channels", "modality", "side")},
        "data": _data_facts([*job.training, *job.held_out], trained_on=len(job.training)),
        "results": list(results),
        "trained_with": {**versions(), **parameters},
    }
    write_json(out / "weights.json", card)
    seen = Seen.of(unlabelled=(image.digest for image in (*job.training, *job.held_out)))
    seen.write(out / SEEN, weights_sha256=sha256)


def _data_facts(images: Sequence[PreparedImage], *, trained_on: int) -> dict[str, Any]:
    """Return what the images are like, without naming any: counts, modalities, sizes and spacings as stored."""
    spacings = [image.spacing_mm for image in images if image.spacing_mm is not None]
    modalities = Counter(image.modality or "not stated" for image in images)
    return {
        "images": len(images),
        "trained_on": trained_on,
        "patients": len({image.case.patient_key for image in images}),
        "modalities": dict(sorted(modalities.items())),
        "size": [asdict(Spread.of(axis)) for axis in zip(*(image.size for image in images), strict=True)],
        "spacing_mm": [asdict(Spread.of(axis)) for axis in zip(*spacings, strict=True)] or None,
        "images_sha256": sha256_of_text(sorted(image.digest for image in images)),
    }


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


def _sentence(method: Method, figures: Mapping[str, float], held_out: int) -> str:
    if method == "masked":
        share = figures["explained share"]
        return f"Of what is hidden of {held_out} held-out images, {share:.1%} of the variance is told."
    return (
        f"On {held_out} held-out images the embeddings spread by {figures['spread']:.2f} (1 is asked for) over"
        f" {figures['effective rank']:.1f} axes; the loss is {figures['held-out loss']:.3f}."
    )


def _page_of(out: Path, job: PretextJob, parts: Split, *, minutes: float | None, seconds_before: float) -> TrainingPage:
    settings, train = job.pipeline.settings, job.train
    shown = {key: getattr(train, key) for key in ("epochs", "steps_per_epoch", "batch", "patch", "optimiser", "seed")}
    stated = {"network": asdict(settings.network), job.method: job.method_settings, **shown}
    patients = len({case.patient_key for case in (*parts.train, *parts.val)})
    images = f"{len(parts.train)} for training, {len(parts.val)} held out; {patients} patients"
    values = TrainingValues(
        name=f"{settings.name}, pretraining",
        description=f"Learned without labels: {METHODS[job.method]}",
        state="running",
        epochs=train.epochs,
        rows=(),
        settings=tuple(flattened({key: value for key, value in stated.items() if value is not None})),
        data=(("Images", images), ("Modality", settings.contract.modality or "any")),
        seconds_budget=None if minutes is None else 60 * minutes,
    )
    return TrainingPage(out, values, seconds_before=seconds_before)


def _require_no_pipeline(out: Path) -> None:
    if (out / "pipeline.toml").exists():
        message = "a pipeline lies here, and weights of a pretraining would stand in place of its own"
        raise UsageError("usage", message, path=out, cure="Choose another --out.")
