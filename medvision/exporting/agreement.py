"""How far a network that was written for another program agrees with ours, after it was written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.errors import PipelineError

LARGEST = 1e-3
"""The largest difference that an export may have, as a share of the largest output; some millionths are usual."""

_SEED = 0


@dataclass(frozen=True)
class Agreement:
    """What the other program's network says of an input, beside ours.

    Parameters
    ----------
    program
        Which one.
    largest_difference
        Of any of the outputs.
    largest_output
        Of ours, without its sign.
    shape
        Of the input.
    """

    program: str
    largest_difference: float
    largest_output: float
    shape: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.program} differs by {self.largest_difference:.2g} where outputs reach {self.largest_output:.3g}"


def drawn_input(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the input that exports are checked on: normal numbers, the same each time.

    >>> drawn_input((1, 2)).tolist() == drawn_input((1, 2)).tolist()
    True
    """
    return np.random.default_rng(_SEED).normal(size=shape).astype(np.float32)


def agreement(program: str, said: NDArray[Any], wanted: NDArray[Any], shape: tuple[int, ...] = ()) -> Agreement:
    """Return how far two outputs agree.

    Raises
    ------
    PipelineError
        ``not-convertible``: their shapes differ, or their numbers by more than :data:`LARGEST` of the largest.
    """
    cure = "Nothing was written. Export to another format."
    if said.shape != wanted.shape:
        message = f"{program} gives {said.shape} where the network gives {wanted.shape}"
        raise PipelineError("not-convertible", message, cure=cure)
    found = Agreement(program, float(np.abs(said - wanted).max()), float(np.abs(wanted).max()), shape)
    if not found.largest_difference <= LARGEST * max(found.largest_output, 1e-6):  # so worded, NaN is refused too
        message = f"{program} differs from the network by {found.largest_difference:.3g} on one input"
        raise PipelineError("not-convertible", message, cure=cure)
    return found
