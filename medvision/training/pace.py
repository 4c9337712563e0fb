"""How many epochs a training has left: as many as its settings say, or as many as fit into a time."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from medvision.training.checkpoint import TrainingState

VALIDATIONS_AFTER = 2
"""Validations after the last step: that of the last epoch, and that of the weights that are kept."""
_LAST = 5  # epochs by which the next one is judged
_SEEN_SECONDS = 10.0  # of the near past, by which is judged how busy the machine is
_SLOWEST = 4.0  # a process that waits for something else than its turn is not taken for a slower one


class Pace(Protocol):
    """Says how many epochs are left."""

    def left(self, state: TrainingState) -> int:
        """Return how many epochs are left, this one included; 0 ends the training."""
        ...


@dataclass(frozen=True)
class EveryEpoch:
    """A fixed number of epochs."""

    epochs: int

    def left(self, state: TrainingState) -> int:
        """Return what is missing of the epochs."""
        return max(0, self.epochs - state.epoch)


@dataclass(eq=False)  # it keeps what it has seen of the machine
class UntilDeadline:
    """As many epochs as end before a moment, judged anew after each by how long the last ones took.

    Parameters
    ----------
    deadline
        When all must be done, on `clock`.
    validation_seconds
        What a validation is expected to take before one has been seen.
    first_seconds
        How long an epoch is expected to take before one has been seen.
    writing_seconds
        What is done after the last validation, by a process that has a core for itself. Where other processes take
        turns on the cores, as many times more is kept for it as the last epochs took longer than they computed.
    clock
        Seconds since some moment.
    computed
        Seconds that this process has computed, all its threads together.
    """

    deadline: float
    validation_seconds: float
    first_seconds: float
    writing_seconds: float = 0.0
    clock: Callable[[], float] = time.monotonic
    computed: Callable[[], float] = time.process_time
    _marks: deque[tuple[float, float]] = field(default_factory=deque, init=False, repr=False)

    def left(self, state: TrainingState) -> int:
        """Return how many epochs fit into the time that is left, or one; 0 after the deadline, or at a share of 1.

        The last but one is the last where two such as the slowest of late would not fit.
        """
        if state.share >= 1:
            return 0
        rows = state.rows[-_LAST:]
        each = [row["seconds_data"] + row["seconds_network"] for row in rows] or [self.first_seconds]
        left = self.deadline - self._after(state) - self.clock()
        if rows and left <= 0:
            return 0
        # One at least, so that the learning rate comes to its end; and there is nothing to keep before the first.
        fit = max(1, int(left / statistics.median(each)))
        return 1 if fit == 2 and 2 * max(each) > left else fit

    def _after(self, state: TrainingState) -> float:
        """Return what the last validations and the writing will take."""
        seen = [row["seconds_validation"] for row in state.rows if row.get("seconds_validation")]
        validation = max(seen[-2:]) if seen else self.validation_seconds
        return VALIDATIONS_AFTER * validation + self.writing_seconds * self._slowness()

    def _slowness(self) -> float:
        """Return how many times longer things have taken of late than if this process had had a core for itself."""
        now = (self.clock(), self.computed())
        self._marks.append(now)
        while now[0] - self._marks[0][0] > _SEEN_SECONDS and len(self._marks) > 2:
            self._marks.popleft()
        passed, computed = (end - start for end, start in zip(now, self._marks[0], strict=True))
        return min(_SLOWEST, max(1.0, passed / computed)) if computed > 0 else 1.0
