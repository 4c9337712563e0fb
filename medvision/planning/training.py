"""How long a network is trained, and by which optimiser."""

from __future__ import annotations

import math

from medvision.fingerprint import Fingerprint
from medvision.planning.decision import Decision, Request
from medvision.planning.grid import Grid
from medvision.report.wording import many

PASSES = {"voxels": 100, "images": 30}
"""How often each voxel of a segmentation, or each image of another task, is seen in a training. The first release of
mr-hippocampus was trained for 43 passes, and that of cxr-pneumonia for 33."""

LEAST_STEPS = {"voxels": 2000, "images": 1000}
MOST_STEPS = 25_000
"""Steps at least, and at most: a tenth of nnU-Net's 250,000. `--max-minutes` fits them to a time."""

STEPS_PER_EPOCH = (20, 250)
"""An epoch is one pass over the cases, within these limits: the greater one is nnU-Net's."""

VALIDATIONS = 10
"""How often a network is validated in a training."""

AVERAGED = 15
"""The running average of the weights reaches back over one part in this many of the training: the first shipped
pipelines' 12 to 16."""

HELD_OUT = 0.2
MANY_PATIENTS = 10_000
"""A fifth of patients is held out, as in five folds; of so many patients, half of that gives narrow intervals."""

_KEPT = (
    "Rate and average have settled by then. Held-out cases choose no epoch, so that figures on them are not optimistic."
)

FEW_PATIENTS = 25
"""Patients below which a fifth held out says little, and folds are the way to measure."""


def training_of(data: Fingerprint, grid: Grid, request: Request, *, batch: int, voxels: int) -> tuple[Decision, ...]:
    """Return the length of the training, its optimiser, and what is held out.

    Parameters
    ----------
    batch
        Samples a step.
    voxels
        Of a sample.
    """
    seen = "voxels" if data.task == "segmentation" else "images"
    cases = max(1, data.cases if request.fixed_split else data.cases - round(_share(data) * data.cases))
    pass_steps = cases * math.prod(grid.shape) / (batch * voxels)
    wanted, least = PASSES[seen] * pass_steps, LEAST_STEPS[seen]
    steps = min(MOST_STEPS, max(least, round(wanted)))
    low, high = STEPS_PER_EPOCH
    per_epoch = min(high, max(low, round(pass_steps)))
    epochs = max(1, round(steps / per_epoch))
    said = f"{PASSES[seen]} passes over {many(cases, 'case')} to train on are {wanted:,.0f} steps"
    limits = f", and {least:,} the least" if wanted < least else f", and {MOST_STEPS:,} the most"
    said += limits if steps != round(wanted) else ""
    average = round(min(0.999, 1 - AVERAGED / (epochs * per_epoch)), 3)
    why = f"The running average of the weights reaches back over a {AVERAGED}th of the training."
    return (
        Decision("train.epochs", epochs, f"{said}: {many(epochs, 'epoch')} of {per_epoch}."),
        Decision("train.steps_per_epoch", per_epoch, f"About one pass over the cases, {low} to {high} steps."),
        *_optimiser(dense=seen == "voxels"),
        Decision("train.average", average, why),
        Decision("train.keep", "last", _KEPT),
        *_held_out(data, request),
        Decision("train.validate_every", max(1, epochs // VALIDATIONS), f"{VALIDATIONS} times in the training."),
    )


def _optimiser(*, dense: bool) -> tuple[Decision, ...]:
    if dense:
        why = (
            "A U-Net: AdamW; in trainings this short it learns more than by nnU-Net's SGD. The rate falls by a cosine."
        )
        return (Decision("train.optimiser", "adamw", why), Decision("train.learning_rate", 0.001, why))
    why = "A network for whole images: AdamW, less sensitive to its rate than SGD; the rate falls by a cosine."
    return (
        Decision("train.optimiser", "adamw", why),
        Decision("train.learning_rate", 0.001, why),
        Decision("train.weight_decay", 0.01, "AdamW's usual decay; the default is that of SGD."),
        Decision("train.warmup", 0.05, "Adam's averages are of few steps at first."),
    )


def _held_out(data: Fingerprint, request: Request) -> tuple[Decision, ...]:
    if request.fixed_split:
        return (
            Decision("train.validation", None, "The data set fixes which cases are held out, and no share is drawn."),
        )
    share = _share(data)
    who = "case" if data.patients == data.cases else "patient"
    why = f"Held out: {max(1, round(share * data.patients)):,} of {many(data.patients, who)}."
    if data.patients < FEW_PATIENTS:
        why += " They are too few to tell good from bad: train with --folds 5 to measure on all."
    return (Decision("train.validation", share, why),)


def _share(data: Fingerprint) -> float:
    return HELD_OUT / 2 if data.patients >= MANY_PATIENTS else HELD_OUT
