"""What is made small, and how unequal classes are made up for."""

from __future__ import annotations

from medvision.fingerprint import Fingerprint
from medvision.planning.decision import Decision

UNEQUAL = 1.5
"""Cases of the most frequent class for each of the rarest, above which classes are drawn alike."""

FEW = 2000
"""Cases below which labels are smoothed more."""


def loss_of(data: Fingerprint) -> tuple[Decision, ...]:
    """Return the settings of the loss; which loss it is follows from the task."""
    if data.task == "segmentation":
        why = "Dice and cross-entropy: Dice counts a small label like a large one, so that none needs a weight."
        coarse = "Coarser outputs learn too, so that early stages have a near goal (nnU-Net)."
        return (
            Decision("train.loss", None, why),
            Decision("train.deep_supervision", True, coarse),
        )
    if data.task == "regression":
        return (Decision("train.loss", None, "Huber: few wrong values do not pull the rest."),)
    if data.task == "multilabel":
        return (Decision("train.loss", None, "Binary cross-entropy: each label is a question of its own."),)
    return (*_balance(data), _smoothing(data))


def _balance(data: Fingerprint) -> tuple[Decision, ...]:
    ratio = data.imbalance or 1.0
    if ratio <= UNEQUAL:
        return (Decision("train.balanced", False, f"The classes are alike: {ratio:.2g} to 1 at most."),)
    why = f"Classes are unequal, {ratio:.2g} to 1: each is drawn equally often."
    return (Decision("train.balanced", True, why),)


def _smoothing(data: Fingerprint) -> Decision:
    smoothed = 0.1 if data.cases < FEW else 0.05
    why = f"{data.cases} cases: a network that may not be certain learns fewer of them by heart."
    return Decision("train.label_smoothing", smoothed, why)
