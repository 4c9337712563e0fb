"""Losses by how much of the true and of the predicted voxels agree."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from medvision.answers import Task
from medvision.strict import STRICT
from medvision.training.losses.sums import (
    PLAIN,
    SMOOTH,
    Weighing,
    first,
    gathered,
    log_softmax,
    one_hot,
    overlaps,
    smoothed,
)


@dataclass(frozen=True, config=STRICT)
class DiceCE:
    """Soft Dice plus cross-entropy, as in nnU-Net (Isensee et al., Nature Methods 2021).

    For each class, Dice is 2 Σ p y / (Σ p + Σ y), its sums taken over the whole batch (Milletari et al., 3DV 2016); the
    loss is 1 minus its mean over the classes. Class weights are for the cross-entropy: Dice counts classes alike as it
    is.

    Parameters
    ----------
    use
        ``"dice-ce"``.
    dice, cross_entropy
        Weights of the two.
    background
        Whether background, class 0, is one of the classes of the Dice.

    Raises
    ------
    ValueError
        Both weights are 0.
    """

    tasks: ClassVar[tuple[Task, ...]] = ("segmentation",)

    use: Literal["dice-ce"] = "dice-ce"
    dice: float = Field(default=1.0, ge=0.0)
    cross_entropy: float = Field(default=1.0, ge=0.0)
    background: bool = False

    def __post_init__(self) -> None:
        if not self.dice + self.cross_entropy:
            raise ValueError("dice and cross_entropy are both 0")

    @property
    def weighs_classes(self) -> bool:
        """Whether class weights and label smoothing say anything here: they are for the cross-entropy."""
        return self.cross_entropy > 0

    def __call__(self, outputs: Any, targets: Any, weighing: Weighing = PLAIN) -> Any:
        """Return the loss of logits (B, K, *spatial), given the classes (B, *spatial) int64."""
        logs, truth = log_softmax(outputs), one_hot(outputs, targets)
        weighted = smoothed(logs, truth, weighing)
        (both, predicted, true), entropy = gathered(overlaps(logs.exp(), truth), weighted, weighing)
        dice = (2 * both + SMOOTH) / (predicted + true + SMOOTH)
        return self.dice * (1 - dice[first(background=self.background) :]).mean() + self.cross_entropy * entropy


@dataclass(frozen=True, config=STRICT)
class Tversky:
    """1 minus the Tversky index, which weighs false alarms and misses apart (Salehi et al., MLMI 2017).

    For each class, the index is TP / (TP + alpha FP + beta FN), its sums taken over the whole batch. Greater beta finds
    more of small structures, at the price of false alarms.

    Parameters
    ----------
    use
        ``"tversky"``.
    alpha, beta
        Weights of false alarms and of misses; 0.5 and 0.5 are Dice.
    exponent
        Of each class's loss; 0.75 is the focal Tversky loss with its gamma of 4/3 (Abraham & Khan, ISBI 2019).
    cross_entropy
        Weight of a cross-entropy to be added; class weights and label smoothing are for it.
    background
        Whether background, class 0, is one of the classes.

    Raises
    ------
    ValueError
        Both `alpha` and `beta` are 0.
    """

    tasks: ClassVar[tuple[Task, ...]] = ("segmentation",)

    use: Literal["tversky"] = "tversky"
    alpha: float = Field(default=0.3, ge=0.0)
    beta: float = Field(default=0.7, ge=0.0)
    exponent: float = Field(default=1.0, gt=0.0)
    cross_entropy: float = Field(default=0.0, ge=0.0)
    background: bool = False

    def __post_init__(self) -> None:
        if not self.alpha + self.beta:
            raise ValueError("alpha and beta are both 0")

    @property
    def weighs_classes(self) -> bool:
        """Whether class weights and label smoothing say anything here: they are for the cross-entropy."""
        return self.cross_entropy > 0

    def __call__(self, outputs: Any, targets: Any, weighing: Weighing = PLAIN) -> Any:
        """Return the loss of logits (B, K, *spatial), given the classes (B, *spatial) int64."""
        logs, truth = log_softmax(outputs), one_hot(outputs, targets)
        weighted = smoothed(logs, truth, weighing)
        (both, predicted, true), entropy = gathered(overlaps(logs.exp(), truth), weighted, weighing)
        wrong = self.alpha * (predicted - both) + self.beta * (true - both)
        missing = 1 - (both + SMOOTH) / (both + wrong + SMOOTH)
        # an exponent below 1 has an endless slope at 0, where nothing is left to learn
        losses = missing if self.exponent == 1 else missing.clamp_min(1e-6) ** self.exponent
        return losses[first(background=self.background) :].mean() + self.cross_entropy * entropy
