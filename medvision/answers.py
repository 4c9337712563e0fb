"""What a network is asked, and what it says of an image as a whole: a class, several labels at once, or values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from medvision.errors import InputError

Task = Literal["segmentation", "classification", "multilabel", "regression"]
"""What is asked of a network: a label for each voxel, one of several classes, each of several labels, or values."""


@dataclass(frozen=True)
class Classification:
    """The probability of each class; they sum to 1.

    Raises
    ------
    InputError
        A probability lies outside 0 to 1, or they do not sum to 1.
    """

    probabilities: Mapping[str, float]

    def __post_init__(self) -> None:
        values = list(self.probabilities.values())
        if not values or not min(values) >= 0 or not abs(sum(values) - 1) <= 1e-3:  # so worded, NaN is refused too
            raise InputError("not-finite", f"probabilities lie in 0 to 1 and sum to 1, got {values}")

    @property
    def predicted(self) -> str:
        """The most probable class."""
        return max(self.probabilities, key=lambda name: self.probabilities[name])


@dataclass(frozen=True)
class MultiLabel:
    """The probability of each of several labels that can hold at once, and from which on it is taken for present.

    Parameters
    ----------
    probabilities, thresholds
        By label name, 0 to 1; probabilities need not sum to 1.

    Raises
    ------
    InputError
        A probability lies outside 0 to 1, or a label has no threshold.

    Examples
    --------
    >>> MultiLabel({"mass": 0.7, "nodule": 0.6}, {"mass": 0.5, "nodule": 0.8}).positives
    ('mass',)
    """

    probabilities: Mapping[str, float]
    thresholds: Mapping[str, float]

    def __post_init__(self) -> None:
        values = list(self.probabilities.values())
        if not values or not all(0 <= value <= 1 for value in values):  # so worded, NaN is refused too
            raise InputError("not-finite", f"probabilities lie in 0 to 1, got {values}")
        if self.probabilities.keys() != self.thresholds.keys():
            raise InputError("bad-labels", "each label has a probability and a threshold")

    @property
    def positives(self) -> tuple[str, ...]:
        """The labels that are taken for present."""
        return tuple(name for name, value in self.probabilities.items() if value >= self.thresholds[name])


@dataclass(frozen=True)
class Value:
    """One value that a regression gives.

    Parameters
    ----------
    name
        What it is, e.g. ``"age"``.
    value, unit
        The value and its unit; ``"1"`` for a plain number.
    known
        The least and the greatest value that the network has seen in its training; None where not stated.

    Raises
    ------
    InputError
        The value is not finite.
    """

    name: str
    value: float
    unit: str
    known: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise InputError("not-finite", f"the value of {self.name} is no finite number")

    @property
    def is_known(self) -> bool:
        """Whether the network has seen such values in its training, as far as that is stated."""
        return self.known is None or self.known[0] <= self.value <= self.known[1]


@dataclass(frozen=True)
class Regression:
    """The values that a network gives to an image as a whole, in the order of the pipeline's labels."""

    values: tuple[Value, ...]
