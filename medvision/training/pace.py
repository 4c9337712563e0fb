"""How many epochs a training has left: as many as its settings say, or as many as fit into a time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from medvision.training.checkpoint import Progressed


class Pace(Protocol):
    """Says how many epochs are left."""

    def left(self, state: Progressed) -> int:
        """Return how many epochs are left, this one included; 0 ends the training."""
        ...


@dataclass(frozen=True)
class EveryEpoch:
    """A fixed number of epochs."""

    epochs: int

    def left(self, state: Progressed) -> int:
        """Return what is missing of the epochs."""
        return max(0, self.epochs - state.epoch)


@dataclass(frozen=True)
class UntilDeadline:
    """As many epochs as end before a moment, judged anew after each by how long the last ones took.

    Parameters
    ----------
    deadline
        When the last epoch must have ended, on `clock`.
    validation_seconds
        What the validation after the last epoch takes.
    first_seconds
        How long an epoch is expected to take before one has been seen.
    clock
        Seconds since some moment.
    """

    deadline: float
    validation_seconds: float
    first_seconds: float
    clock: Callable[[], float] = time.monotonic

    def left(self, state: Progressed) -> int:
        """Return how many epochs fit into the time that is left, or one; 0 after the deadline, or at a share of 1."""
        if state.share >= 1:
            return 0
        rows = state.rows[-5:]
        each = [row["seconds_data"] + row["seconds_network"] for row in rows] or [self.first_seconds]
        left = self.deadline - self.validation_seconds - self.clock()
        if rows and left <= 0:
            return 0
        # One at least, so that the learning rate comes to its end; and there is nothing to keep before the first.
        return max(1, int(left / statistics.median(each)))
