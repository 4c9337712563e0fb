"""The number whose origin a map shows: a margin between classes, an output by itself, or the logits of a region.

Logits, never probabilities: the gradient of a softmax vanishes where the network is sure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medvision.errors import UsageError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class Region:
    """Where, and for which label, a segmentation is to be explained.

    Parameters
    ----------
    mask
        (I, J[, K]) bool on the grid of the network's input, e.g. one connected part of what it found.
    label
        The channel of the logits; with a single logit, 1 for the structure and 0 for the background. None for
        whichever label but the background is most likely at each voxel: why anything was found here.
    """

    mask: NDArray[np.bool_]
    label: int | None = None


@dataclass(frozen=True)
class Output:
    """An output that answers a question of its own: one of several labels that can hold at once, or a value.

    Parameters
    ----------
    number
        Of the output, from 0.
    """

    number: int


def runner_up(logits: torch.Tensor, target: int | Output) -> int | None:
    """Return the most likely class other than `target`; None where there is one logit only, or nothing to compare.

    Parameters
    ----------
    logits
        (1, classes): one case.

    Raises
    ------
    UsageError
        The network gave something else or values that are not finite, or there is no such class.
    """
    _require_logits(logits, target, dimensions=2)
    if isinstance(target, Output) or logits.shape[1] == 1:
        return None
    others = logits[0].detach().clone()
    others[target] = -np.inf
    return int(others.argmax())


def margin(logits: torch.Tensor, target: int | Output, rival: int | None) -> torch.Tensor:
    """Return the logit of `target` less that of `rival`; for a single logit, its value for 1 and less it for 0.

    Of an :class:`Output`, the output itself.

    Parameters
    ----------
    logits
        (1, classes): one case.
    rival
        From :func:`runner_up`. It is handed in so that noisy copies of an image are measured against the same class.

    Examples
    --------
    >>> import torch
    >>> logits = torch.tensor([[2.0, -1.0, 0.5]])
    >>> float(margin(logits, 0, runner_up(logits, 0)))
    1.5
    """
    if isinstance(target, Output):
        return logits[0, target.number]
    if rival is None:
        return logits[0, 0] if target == 1 else -logits[0, 0]
    return logits[0, target] - logits[0, rival]


def region_score(logits: torch.Tensor, region: Region) -> torch.Tensor:
    """Return the sum of a label's logits over a region; of a single logit with its sign turned for label 0.

    Parameters
    ----------
    logits
        (1, classes, I, J[, K]): one case.

    Raises
    ------
    UsageError
        The network gave something else or values that are not finite, there is no such label, or the region does not
        fit or is empty.
    """
    import torch

    _require_logits(logits, 1 if region.label is None else region.label, dimensions=region.mask.ndim + 2)
    if region.mask.shape != tuple(logits.shape[2:]):
        raise UsageError("usage", f"the region {region.mask.shape} does not fit the logits {tuple(logits.shape[2:])}")
    if not region.mask.any():
        raise UsageError("usage", "the region is empty: there is nothing to explain")
    inside = torch.as_tensor(np.asarray(region.mask, dtype=bool), device=logits.device)
    if logits.shape[1] == 1:
        values = -logits[0, 0] if region.label == 0 else logits[0, 0]
    else:
        values = logits[0, 1:].amax(dim=0) if region.label is None else logits[0, region.label]
    return values[inside].sum()


def _require_logits(logits: Any, target: int | Output, *, dimensions: int) -> None:
    import torch

    shape = tuple(logits.shape) if isinstance(logits, torch.Tensor) else ()
    if len(shape) != dimensions or shape[0] != 1:
        wanted = "(1, classes)" if dimensions == 2 else f"(1, classes) and {dimensions - 2} axes"
        raise UsageError(
            "usage", f"a network that gives logits {wanted} is needed, this one gives {shape or type(logits).__name__}"
        )
    classes = shape[1] if isinstance(target, Output) else max(2, shape[1])
    number = target.number if isinstance(target, Output) else target
    if not 0 <= number < classes:
        raise UsageError("usage", f"there is no class {number}: the network has {classes}")
    if not bool(logits.isfinite().all()):
        raise UsageError("not-explainable", "the network's logits are not finite")
