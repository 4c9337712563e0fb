"""The sums over a batch of which losses are made, each an amount that several processes can add up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

Task = Literal["segmentation", "classification", "multilabel", "regression"]
"""What a network is asked for; see `fingerprint`."""

Gather = Callable[[Any], Any]
"""Adds up a tensor over the processes that share a batch, with a gradient; None stands for a single process."""

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


def weights(given: Any, outputs: Any) -> Any:
    """Return (K,) weights as a tensor beside `outputs`; None where there are none."""
    import torch

    return None if given is None else torch.as_tensor(given, dtype=torch.float32, device=outputs.device)


def overlaps(probabilities: Any, truth: Any) -> Any:
    """Return (3, K) sums over the batch: of what is both, predicted, and true."""
    import torch

    return torch.stack([_by_class(probabilities * truth), _by_class(probabilities), _by_class(truth)])


def smoothed(logs: Any, truth: Any, class_weights: Any, label_smoothing: float) -> Any:
    """Return (2,), whose ratio is the cross-entropy: what the targets lack in sum, and the sum of their weights.

    As in torch, a sample weighs what its true class does, and the share of the target that is spread over all classes
    weighs what each of them does.
    """
    import torch

    per_class = weights(class_weights, logs)
    factors = torch.ones(logs.shape[1], device=logs.device) if per_class is None else per_class
    lacking = _by_class(logs * truth)
    if label_smoothing:
        lacking = (1 - label_smoothing) * lacking + label_smoothing / logs.shape[1] * _by_class(logs)
    return torch.stack([-(factors * lacking).sum(), (factors * _by_class(truth)).sum()])


def ratio(sums: Any, gather: Gather | None) -> Any:
    """Return the first of two sums by the second, both over all processes."""
    both = gather(sums) if gather else sums
    return both[0] / both[1]


def gathered(first_sums: Any, second_sums: Any, gather: Gather | None) -> tuple[Any, Any]:
    """Return sums over all processes, and the ratio of two others, of one call of `gather`."""
    import torch

    everything = torch.cat([first_sums.flatten(), second_sums])
    everything = gather(everything) if gather else everything
    return everything[:-2].reshape(first_sums.shape), everything[-2] / everything[-1]


def masked_mean(terms: Any, known: Any, gather: Gather | None) -> Any:
    """Return the mean of the terms that are known, over all processes; 0 where none is."""
    import torch

    sums = torch.stack([terms.where(known, 0.0).sum(), known.sum().float()])
    sums = gather(sums) if gather else sums
    return sums[0] / sums[1].clamp_min(1.0)


def first(*, background: bool) -> int:
    """Return the first class whose overlap counts."""
    return 0 if background else 1


def _by_class(values: Any) -> Any:
    """Return (K,) sums in fp32 of values (B, K, ...)."""
    import torch

    return values.sum([axis for axis in range(values.ndim) if axis != 1], dtype=torch.float32)
