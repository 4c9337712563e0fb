"""Losses by how probable the truth was held."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from medvision.answers import Task
from medvision.strict import STRICT
from medvision.training.losses.sums import (
    PLAIN,
    Weighing,
    log_softmax,
    masked_mean,
    one_hot,
    ratio,
    smoothed,
    weights,
)


@dataclass(frozen=True, config=STRICT)
class CrossEntropy:
    """Cross-entropy of one class of several: the mean of -log p of the true class, weighted where classes are.

    Parameters
    ----------
    use
        ``"cross-entropy"``.
    """

    tasks: ClassVar[tuple[Task, ...]] = ("segmentation", "classification")
    weighs_classes: ClassVar[bool] = True

    use: Literal["cross-entropy"] = "cross-entropy"

    def __call__(self, outputs: Any, targets: Any, weighing: Weighing = PLAIN) -> Any:
        """Return the loss of logits (B, K, ...), given the classes (B, ...) int64."""
        logs, truth = log_softmax(outputs), one_hot(outputs, targets)
        return ratio(smoothed(logs, truth, weighing), weighing)


@dataclass(frozen=True, config=STRICT)
class Focal:
    """Cross-entropy that counts what is already right for less (Lin et al., ICCV 2017), with a softmax.

    The mean over samples or voxels of -(1 - p)^gamma log p, where p is the probability of the true class. It is K times
    MONAI's, whose mean is over the K outputs too.

    Parameters
    ----------
    use
        ``"focal"``.
    gamma
        0 is plain cross-entropy.
    """

    tasks: ClassVar[tuple[Task, ...]] = ("segmentation", "classification")
    weighs_classes: ClassVar[bool] = True

    use: Literal["focal"] = "focal"
    gamma: float = Field(default=2.0, ge=0.0)

    def __call__(self, outputs: Any, targets: Any, weighing: Weighing = PLAIN) -> Any:
        """Return the loss of logits (B, K, ...), given the classes (B, ...) int64."""
        logs, truth = log_softmax(outputs), one_hot(outputs, targets)
        # 1 - p by expm1, which is exact where p is almost 1; the slope of 0 to a power below 1 is endless there
        focused = logs * (-logs.expm1()).clamp_min(1e-7) ** self.gamma if self.gamma else logs
        return ratio(smoothed(focused, truth, weighing), weighing)


@dataclass(frozen=True, config=STRICT)
class BinaryCrossEntropy:
    """Cross-entropy of labels that hold or not, each for itself; unknown ones count nothing.

    Class weights are for the cases where a label holds, as ``pos_weight`` in torch. Label smoothing draws the targets
    towards one half.

    Parameters
    ----------
    use
        ``"binary-cross-entropy"``.
    """

    tasks: ClassVar[tuple[Task, ...]] = ("multilabel",)
    weighs_classes: ClassVar[bool] = True

    use: Literal["binary-cross-entropy"] = "binary-cross-entropy"

    def __call__(self, outputs: Any, targets: Any, weighing: Weighing = PLAIN) -> Any:
        """Return the loss of logits (B, K), given 0 to 1 (B, K) float32; NaN or -1 is unknown.

        It is 0 where nothing is known.
        """
        from torch.nn import functional

        outputs, known = outputs.float(), targets >= 0  # NaN is not
        smoothing = weighing.label_smoothing
        wanted = targets.where(known, 0.0).float() * (1 - smoothing) + smoothing / 2
        terms = functional.binary_cross_entropy_with_logits(
            outputs, wanted, reduction="none", pos_weight=weights(weighing, outputs)
        )
        return masked_mean(terms, known, weighing)
