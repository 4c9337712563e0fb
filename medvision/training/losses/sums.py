"""The sums over a batch of which losses are made, each an amount that several processes can add up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Gather = Callable[[Any], Any]
"""Adds up a tensor over the processes that share a batch, with a gradient; None stands for a single process."""


@dataclass(frozen=True, eq=False)
class Weighing:
    """What counts how much in a loss, and over which processes.

    Parameters
    ----------
    class_weights
        (K,) numbers, one a class or label; None counts all alike.
    label_smoothing
        Share of the target that is spread over all classes.
    gather
        Adds up over the processes that share a batch.
    """

    class_weights: Any = None
    label_smoothing: float = 0.0
    gather: Gather | None = None


PLAIN = Weighing()
"""All classes alike, nothing smoothed, in a single process."""

SMOOTH = 1e-5
"""Added above and below in overlaps, so that a class that is neither there nor predicted counts as found."""


def log_softmax(outputs: Any) -> Any:
    """Return log-probabilities in fp32, of logits (B, K, ...)."""
    return outputs.float().log_softmax(1)


def one_hot(outputs: Any, targets: Any) -> Any:
    """Return truth (B, K, ...), of classes (B, ...)."""
    import torch

    classes = torch.arange(outputs.shape[1], device=outputs.device)
    return targets.unsqueeze(1) == classes.reshape(1, -1, *[1] * (targets.ndim - 1))


def weights(weighing: Weighing, outputs: Any) -> Any:
    """Return (K,) weights as a tensor beside `outputs`; None where there are none."""
    import torch

    given = weighing.class_weights
    return None if given is None else torch.as_tensor(given, dtype=torch.float32, device=outputs.device)


def overlaps(probabilities: Any, truth: Any) -> Any:
    """Return (3, K) sums over the batch: of what is both, predicted, and true."""
    import torch

    return torch.stack([_by_class(probabilities * truth), _by_class(probabilities), _by_class(truth)])


def smoothed(logs: Any, truth: Any, weighing: Weighing) -> Any:
    """Return (2,), whose ratio is the cross-entropy: what the targets lack in sum, and the sum of their weights.

    As in torch, a sample weighs what its true class does, and the share of the target that is spread over all classes
    weighs what each of them does.
    """
    import torch

    per_class, smoothing = weights(weighing, logs), weighing.label_smoothing
    factors = torch.ones(logs.shape[1], device=logs.device) if per_class is None else per_class
    lacking = _by_class(logs * truth)
    if smoothing:
        lacking = (1 - smoothing) * lacking + smoothing / logs.shape[1] * _by_class(logs)
    return torch.stack([-(factors * lacking).sum(), (factors * _by_class(truth)).sum()])


def ratio(sums: Any, weighing: Weighing) -> Any:
    """Return the first of two sums by the second, both over all processes."""
    both = _over_all(sums, weighing)
    return both[0] / both[1]


def gathered(first_sums: Any, second_sums: Any, weighing: Weighing) -> tuple[Any, Any]:
    """Return sums over all processes, and the ratio of two others, of one call of its `gather`."""
    import torch

    everything = _over_all(torch.cat([first_sums.flatten(), second_sums]), weighing)
    return everything[:-2].reshape(first_sums.shape), everything[-2] / everything[-1]


def masked_mean(terms: Any, known: Any, weighing: Weighing) -> Any:
    """Return the mean of the terms that are known, over all processes; 0 where none is."""
    import torch

    sums = _over_all(torch.stack([terms.where(known, 0.0).sum(), known.sum().float()]), weighing)
    return sums[0] / sums[1].clamp_min(1.0)


def first(*, background: bool) -> int:
    """Return the first class whose overlap counts."""
    return 0 if background else 1


def _over_all(sums: Any, weighing: Weighing) -> Any:
    """Return sums over all processes."""
    return weighing.gather(sums) if weighing.gather else sums


def _by_class(values: Any) -> Any:
    """Return (K,) sums in fp32 of values (B, K, ...)."""
    import torch

    return values.sum([axis for axis in range(values.ndim) if axis != 1], dtype=torch.float32)
