"""Pretrain a pipeline's network on images without labels, and leave weights that a training can start from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from medvision.batch import holding
from medvision.errors import Finding, InputError, UsageError, nothing_there
from medvision.files import sha256_of_text, write_json
from medvision.fingerprint import Spread
from medvision.frameworks import versions
from medvision.networks import save_weights
from medvision.pipeline import PRETRAINING, SEEN, PipelineFolder
from medvision.progress import Progress, silent
from medvision.report import TrainingValues
from medvision.report.wording import flattened
from medvision.training import (
    Place,
    Split,
    find_copies,
    open_logs,
    optimise,
    split,
)
from medvision.workflows.fitting.budget import Budget
from medvision.workflows.fitting.machine import Machine
from medvision.workflows.fitting.pacing import paced, seconds_before
from medvision.workflows.fitting.pretext import METHODS, Method, PretextJob, method_for
from medvision.workflows.fitting.seeds import seeded
from medvision.workflows.fitting.training_page import TrainingPage
from medvision.workflows.fitting.workbench import store_of
from medvision.workflows.starting.seen import Seen
from medvision.workflows.training_data.noticed import counted
from medvision.workflows.training_data.unlabelled import PreparedImage, prepare_images, unlabelled
from medvision.workflows.training_folder.claim import claim

_CHECKPOINTS = "checkpoints"
_RESULT = "pretraining.json"
_LABEL = "label-as-image"


@dataclass(frozen=True)
class PretrainingResult:
    """What a pretraining found and left.

    Parameters
    ----------
    folder
        Holds the weights, to be given to ``--from``; None where no image could be used, and nothing was written.
    method
        How it was trained.
    results
        What was measured on the images held out; a sentence each.
    findings
        What was noticed about the images and the training.
    train, val
        Ids of the images on each side.
    refused
        What was meant as an image, and could not be used.
    skipped
        What is no image: passed over, label images among it.
    """

    folder: Path | None
    method: Method
    results: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    train: tuple[str, ...] = ()
    val: tuple[str, ...] = ()
    refused: tuple[Finding, ...] = ()
    skipped: tuple[Finding, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 all good, 3 no image found, 4 some images refused, 5 all of them."""
        if self.folder is not None:
            return 4 if self.refused else 0
        return 3 if nothing_there(self.refused) else 5

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {
            "schema": "medvision.pretraining-run/1",
            "folder": None if self.folder is None else str(self.folder),
            "method": self.method,
            "results": list(self.results),
            "findings": [finding.unplaced().to_json() for finding in self.findings],
            "refused": [finding.to_json() for finding in self.refused],
            "skipped": [finding.to_json() for finding in self.skipped],
            "split": {"train": list(self.train), "val": list(self.val)},
        }


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

    A pretraining that was stopped goes on where its last epoch ended, when the same command is given again.

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
        `out` holds a training of other settings or other data; the loss is not finite; or the network has come to give
        one answer for all images.
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
    with holding(out), store_of(out, machine) as store:
        prepared, unread = prepare_images([*parts.train, *parts.val], pipeline, store, progress=progress)
        labels = tuple(finding for finding in unread if finding.code == _LABEL)
        refused = (*found.rejected, *(finding for finding in unread if finding.code != _LABEL))
        skipped = (*found.skipped, *labels)
        if not prepared:
            return PretrainingResult(None, chosen, refused=refused, skipped=skipped)
        asked = _Asked(pipeline, out, chosen, licence, budget, machine, place, progress)
        result = replace(_pretrained(asked, _of(prepared, parts), prepared), refused=refused, skipped=skipped)
        placed = {"folder": ".", "refused": _unplaced(refused), "skipped": _unplaced(skipped)}
        write_json(out / _RESULT, result.to_json() | placed)
    return result


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

    @property
    def minutes(self) -> float | None:
        """The time that was named, before what passed until now was taken off."""
        return None if self.budget is None else self.budget.asked or self.budget.minutes


def _pretrained(asked: _Asked, parts: Split, prepared: Mapping[str, PreparedImage]) -> PretrainingResult:
    job, out = _job(asked, parts, prepared), asked.out
    digests = {name: image.digest for name, image in prepared.items()}
    images = (*job.training, *job.held_out)
    noticed = counted([(image.case.id, entry) for image in images for entry in image.findings])
    claim(out, job.pipeline, parts, digests, "pretraining", job.method, job.method_settings, asked.minutes)
    checkpoints, over = out / _CHECKPOINTS, (out / _RESULT).is_file()
    budget = None if asked.budget is None else replace(asked.budget, may_cut=False)  # a training starts with all of it
    job, pace, timed = paced(job, budget, checkpoints=checkpoints, settings_in=checkpoints, over=over)

    network = job.network()
    page = _page_of(out, job, parts, minutes=asked.minutes, seconds_before=seconds_before(checkpoints, budget))
    facts = {"pipeline": job.pipeline.name, "method": job.method, "steps": str(job.train.total_steps)}
    with open_logs(asked.machine.log, out, title=out.name, settings=facts, also={"page": page}) as logs:
        fitted = optimise(
            network,
            job.batches(),
            job.objective(),
            job.validate,
            job.train,
            folder=out / _CHECKPOINTS,
            place=job.place,
            deterministic=job.deterministic,
            pace=pace,
            logs=logs,
            progress=asked.progress,
        )
    findings = (*parts.findings, *find_copies(parts, digests), *noticed, *timed, *fitted.findings, *logs.findings)
    results = (_sentence(job.method, job.require_learned(network).figures, len(job.held_out)),)
    steps = len(fitted.rows) * job.train.steps_per_epoch
    _write_card(asked, job, network, results, steps=steps)
    page.complete(results, findings)
    train, val = (tuple(case.id for case in side) for side in (parts.train, parts.val))
    return PretrainingResult(out, job.method, results, findings, train, val)


def _job(asked: _Asked, parts: Split, prepared: Mapping[str, PreparedImage]) -> PretextJob:
    training, held_out = ([prepared[case.id] for case in side] for side in (parts.train, parts.val))
    deterministic = asked.machine.is_deterministic(asked.place.device)
    return PretextJob(asked.pipeline, asked.method, training, held_out, asked.place, deterministic)


def _write_card(asked: _Asked, job: PretextJob, network: Any, results: tuple[str, ...], *, steps: int) -> None:
    """Write the weights without the layer that answered the pretext, and what they are; never one with the other's."""
    out, settings, place = asked.out, job.pipeline.settings, job.place
    parameters = {
        "steps": str(steps), "seed": str(job.train.seed), "device": place.device, "precision": place.precision
    }  # fmt: skip
    everything = settings.to_json()
    head = settings.network.parts.head
    (out / "weights.json").unlink(missing_ok=True)
    sha256 = save_weights(out / "weights.safetensors", job.encoder(network), without=head)
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


def _unplaced(findings: Sequence[Finding]) -> list[dict[str, str | None]]:
    return [finding.unplaced().to_json() for finding in findings]
