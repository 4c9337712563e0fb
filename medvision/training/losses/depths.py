"""The loss of a network that answers at several depths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from medvision.training.losses.sums import PLAIN, Weighing


class BatchLoss(Protocol):
    """A loss as those of this package are."""

    def __call__(self, outputs: Any, targets: Any, weighing: Weighing = PLAIN) -> Any:
        """Return the loss, a scalar."""
        ...


def supervised(loss: BatchLoss, outputs: Any, targets: Any, weighing: Weighing = PLAIN) -> Any:
    """Return the loss of all outputs of a network that is supervised at several depths, or of its only one.

    Each output has half the weight of the next finer one, and all weights together are 1, as in nnU-Net. The targets of
    a coarser output are its nearest voxels, each the first of those that its own covers: where the grid is halved,
    voxel i has the class of voxel 2i, on which the strided convolutions of the encoder are centred.

    Parameters
    ----------
    outputs
        Logits (B, K, ...), or several of them, the finest first.
    targets
        As `loss` takes them, on the grid of the finest output.
    """
    each = list(outputs) if isinstance(outputs, Sequence) else [outputs]
    shares = [0.5**depth for depth in range(len(each))]
    parts = [
        loss(output, _nearest(targets, output.shape[2:]), weighing) * (share / sum(shares))
        for output, share in zip(each, shares, strict=True)
    ]
    return sum(parts[1:], start=parts[0])


def _nearest(targets: Any, size: Sequence[int]) -> Any:
    """Return targets (B, *spatial) on a coarser grid; as they are where there is none."""
    import torch

    for axis, (length, whole) in enumerate(zip(size, targets.shape[1:], strict=False), 1):
        if length != whole:
            places = torch.arange(length, device=targets.device) * whole // length
            targets = targets.index_select(axis, places)
    return targets
