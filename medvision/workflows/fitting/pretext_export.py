"""What a pretraining hands on: weights without their last layer, a card, the images seen, a sentence and a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from medvision.files import sha256_of_text
from medvision.fingerprint import Spread
from medvision.frameworks import versions
from medvision.networks import save_weights
from medvision.pipeline import SEEN
from medvision.report import TrainingValues
from medvision.report.wording import flattened, many
from medvision.training import Fitted, Split
from medvision.workflows.fitting.choice import choice_of
from medvision.workflows.fitting.pretext import METHODS, Method, PretextJob
from medvision.workflows.fitting.training_page import TrainingPage
from medvision.workflows.starting.seen import Seen
from medvision.workflows.training_data.unlabelled import PreparedImage
from medvision.workflows.training_folder.pretraining_card import PretrainingCard
from medvision.workflows.training_folder.state import CHECKPOINTS, WEIGHTS
from medvision.workflows.training_folder.stretches import arithmetic, how_it_ran

_CONTRACT = ("dimensions", "channels", "modality", "side")  # what of it says what the network sees


def export(
    out: Path, job: PretextJob, network: Any, fitted: Fitted, *, results: tuple[str, ...], licence: str | None
) -> None:
    """Write the weights without the layer that answered the pretext, what they are, and what they have seen.

    A card never lies beside other weights than its own, whenever this is stopped.

    Parameters
    ----------
    out
        The folder of the pretraining.
    network
        It has been trained.
    fitted
        What the training did: where images held out chose its weights, or its end, the weights have seen them too.
    results
        See :func:`sentence_of`.
    licence
        The terms for the use of the weights; None: not stated.

    Raises
    ------
    OutputError
        The folder cannot be written.
    """
    images, settings = (*job.training, *job.held_out), job.pipeline.settings
    everything, head = settings.to_json(), settings.network.parts.head
    (out / "weights.json").unlink(missing_ok=True)
    sha256 = save_weights(out / WEIGHTS, job.encoder(network), without=head)
    PretrainingCard(
        sha256=sha256,
        licence=licence,
        method=job.method,
        method_settings=job.method_settings,
        pipeline=job.pipeline.name,
        left_out=tuple(head),
        network=everything["network"],
        steps=everything["steps"],
        contract={key: everything["contract"][key] for key in _CONTRACT},
        data=_data_facts(images, trained_on=len(job.training)),
        results=results,
        trained_with=_trained_with(out, job, len(fitted.rows)),
    ).save(out / "weights.json")
    chosen = choice_of(fitted, keeps_best=job.train.keep == "best").optimistic
    seen = images if chosen else job.training
    Seen.of(unlabelled=(image.digest for image in seen)).write(out / SEEN, weights_sha256=sha256)


def _trained_with(out: Path, job: PretextJob, epochs: int) -> dict[str, str]:
    now = arithmetic(job.place, deterministic=job.deterministic)
    parameters = {"steps": str(epochs * job.train.steps_per_epoch), "seed": str(job.train.seed)}
    return {**versions(), **parameters, **how_it_ran(out / CHECKPOINTS, now, epochs=epochs)}


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


def sentence_of(method: Method, figures: Mapping[str, float], held_out: int) -> str:
    """Return in words what was measured on the images held out.

    Parameters
    ----------
    figures
        By their names; those of :class:`medvision.training.Validation`.
    held_out
        How many images there are.

    >>> sentence_of("masked", {"explained share": 0.417}, 2)
    'Of what is hidden of 2 held-out images, 41.7% of the variance is told.'
    """
    images = many(held_out, "held-out image")
    if method == "masked":
        return f"Of what is hidden of {images}, {figures['explained share']:.1%} of the variance is told."
    return (
        f"On {images} the embeddings spread by {figures['spread']:.2f} (1 is asked for) over"
        f" {figures['effective rank']:.1f} axes; the loss is {figures['held-out loss']:.3f}."
    )


def pretext_page(
    out: Path, job: PretextJob, parts: Split, *, minutes: float | None, seconds_before: float
) -> TrainingPage:
    """Return the page of a pretraining that is about to begin.

    Parameters
    ----------
    out
        The folder of the pretraining.
    parts
        Who trains and who is held out.
    minutes
        That it may take; None for as long as its settings need.
    seconds_before
        What it has taken before its loop begins, in seconds: in earlier calls, and of its time in this one.
    """
    settings, train = job.pipeline.settings, job.train
    shown = {key: getattr(train, key) for key in ("epochs", "steps_per_epoch", "batch", "patch", "optimiser", "seed")}
    stated = {"network": asdict(settings.network), job.method: job.method_settings, **shown}
    patients = len({case.patient_key for case in (*parts.train, *parts.val)})
    images = f"{len(parts.train)} for training, {len(parts.val)} held out; {many(patients, 'patient')}"
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
