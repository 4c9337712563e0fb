"""How far an engine's outputs are from those of torch in fp32, in the terms of the task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from medvision.answers import Task
from medvision.engines.protocol import Array
from medvision.strict import STRICT


@dataclass(frozen=True, config=STRICT)
class Closeness:
    """How far outputs are from those that are wanted.

    Parameters
    ----------
    labels
        Share of voxels, or of inputs, with the same label; of several labels at once, share of them that are present or
        absent in both, by a probability of 0.5. None of values.
    largest
        The largest difference of a probability, or of a standardised value.
    mean
        The mean difference.
    """

    labels: float | None
    largest: float
    mean: float

    def within(self, *, labels: float, probability: float) -> bool:
        """Return whether at least the share `labels` is the same and no difference is above `probability`.

        >>> Closeness(labels=0.999, largest=0.02, mean=0.001).within(labels=0.99, probability=0.01)
        False
        """
        return (self.labels is None or self.labels >= labels) and self.largest <= probability

    def __str__(self) -> str:
        same = "" if self.labels is None else f"{100 * self.labels:.7g} % of labels are the same, "
        return f"{same}largest difference {self.largest:.2g}"


def closeness(found: Sequence[Array], wanted: Sequence[Array], task: Task) -> Closeness | None:
    """Return how far outputs are from those that are wanted; None where they are not all finite.

    Parameters
    ----------
    found, wanted
        Outputs (K, *spatial) or (K,), the same number of each.
    task
        What the outputs are of: logits of classes, of labels that can hold at once, or values.

    Examples
    --------
    >>> logits = np.array([[2.0, 0.0], [0.0, 2.0]], np.float32)
    >>> closeness([logits], [logits[:, ::-1]], "segmentation").labels
    0.0
    """
    same = count = total = largest = 0.0
    known = True
    for ours, theirs in zip(found, wanted, strict=True):
        if not np.isfinite(ours).all():
            return None
        first, second = _answers(ours, task), _answers(theirs, task)
        difference = np.abs(first - second)
        largest = max(largest, float(difference.max()))
        total += float(difference.mean(dtype=np.float64))
        labels, others = _labels(first, task), _labels(second, task)
        known = labels is not None and others is not None
        if labels is not None and others is not None:
            same, count = same + int((labels == others).sum()), count + labels.size
    return Closeness(labels=same / count if known else None, largest=largest, mean=total / len(wanted))


def _answers(output: Array, task: Task) -> Array:
    """Return probabilities of logits (K, ...); values as they are."""
    if task == "regression":
        return output
    if task == "multilabel":
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * output)))  # the logistic function, which cannot overflow so
    shares = np.exp(output - output.max(0))
    return np.asarray(shares / shares.sum(0))


def _labels(answers: Array, task: Task) -> NDArray[Any] | None:
    if task == "regression":
        return None
    return np.asarray(answers >= 0.5 if task == "multilabel" else answers.argmax(0))
