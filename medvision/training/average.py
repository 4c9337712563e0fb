"""A running average of a network's weights, which is validated and kept in place of the weights themselves."""

from __future__ import annotations

import copy
from typing import Any

from medvision.frameworks import state_of


def averaged(network: Any) -> Any:
    """Return a copy of `network` to hold the average; it shares no tensor with it."""
    return copy.deepcopy(network)


def update_average(kept: Any, network: Any, *, decay: float, step: int) -> None:
    """Move the average, in place, towards the weights after a step; early on it follows faster.

    Buffers are averaged too, as the statistics of norms; whole numbers, as how many batches were seen, are copied.

    Parameters
    ----------
    kept
        What :func:`averaged` returned; as it was, where it is `network` itself.
    decay
        The share of itself that the average keeps in a step, 0 to below 1, after Tarvainen & Valpola (NeurIPS 2017);
        at an early step no more than (1 + step) / (10 + step), so that the weights at the start are soon forgotten.
    step
        The step's number, from 0.
    """
    import torch

    if kept is network:
        return
    share = 1 - min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        for old, new in zip(state_of(kept).values(), state_of(network).values(), strict=True):
            if old.is_floating_point():
                old.lerp_(new, share)
            else:
                old.copy_(new)
