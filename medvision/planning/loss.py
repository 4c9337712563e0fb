"""What is made small, and how unequal classes are made up for."""

from __future__ import annotations

from medvision.fingerprint import Fingerprint
from medvision.planning.decision import Decision
from medvision.report.wording import many
from medvision.training import default_loss

UNEQUAL = 1.5
"""Cases of the most frequent class for each of the rarest, above which classes are drawn alike."""

FEW = 2000
"""Cases below which labels are smoothed more."""


def loss_of(data: Fingerprint) -> tuple[Decision, ...]:
    """Return the loss, which follows from the task, and its settings."""
    if data.task == "segmentation":
        why = "Dice counts a small label like a large one, so that none needs a weight (nnU-Net)."
        coarse = "Coarser outputs learn too, so that early stages have a near goal (nnU-Net)."
        return (
            _loss(data, why),
            Decision("train.deep_supervision", True, coarse),
        )
    if data.task == "regression":
        return (_loss(data, "Few wrong values do not pull the rest, as they would by their squares."),)
    if data.task == "multilabel":
        return (_loss(data, "Each label is a question of its own."),)
    return (_loss(data, "One class of several."), *_balance(data), _smoothing(data))


def _loss(data: Fingerprint, why: str) -> Decision:
    """Return the one that the task has by default, by its name."""
    return Decision("train.loss", {"use": default_loss(data.task).use}, why)


def _balance(data: Fingerprint) -> tuple[Decision, ...]:
    ratio = data.imbalance or 1.0
    if ratio <= UNEQUAL:
        return (Decision("train.balanced", False, f"The classes are alike: {ratio:.2g} to 1 at most."),)
    why = f"Classes are unequal, {ratio:.2g} to 1: each is drawn equally often; probabilities are as if it were so."
    return (Decision("train.balanced", True, why),)


def _smoothing(data: Fingerprint) -> Decision:
    smoothed = 0.1 if data.cases < FEW else 0.05
    why = f"{many(data.cases, 'case')}: a network that may not be certain learns fewer of them by heart."
    return Decision("train.label_smoothing", smoothed, why)
