"""Losses by how far a value is from the true one."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from medvision.answers import Task
from medvision.strict import STRICT
from medvision.training.losses.sums import PLAIN, Weighing, masked_mean


@dataclass(frozen=True, config=STRICT)
class Huber:
    """Squared error where it is small, absolute error where it is large (Huber, 1964); unknown values count nothing.

    Parameters
    ----------
    use
        ``"huber"``.
    delta
        Where the one goes over into the other, in standard deviations of the targets.
    """

    tasks: ClassVar[tuple[Task, ...]] = ("regression",)
    weighs_classes: ClassVar[bool] = False

    use: Literal["huber"] = "huber"
    delta: float = Field(default=1.0, gt=0.0)

    def __call__(self, outputs: Any, targets: Any, weighing: Weighing = PLAIN) -> Any:
        """Return the loss of values (B, K), given standardised values (B, K) float32; NaN is unknown."""
        from torch.nn import functional

        known = ~targets.isnan()
        terms = functional.huber_loss(
            outputs.float(), targets.where(known, 0.0).float(), reduction="none", delta=self.delta
        )
        return masked_mean(terms, known, weighing)


@dataclass(frozen=True, config=STRICT)
class MeanSquared:
    """The mean of squared errors; unknown values count nothing.

    Parameters
    ----------
    use
        ``"mean-squared"``.
    """

    tasks: ClassVar[tuple[Task, ...]] = ("regression",)
    weighs_classes: ClassVar[bool] = False

    use: Literal["mean-squared"] = "mean-squared"

    def __call__(self, outputs: Any, targets: Any, weighing: Weighing = PLAIN) -> Any:
        """Return the loss of values (B, K), given standardised values (B, K) float32; NaN is unknown."""
        known = ~targets.isnan()
        return masked_mean((outputs.float() - targets.where(known, 0.0).float()) ** 2, known, weighing)
