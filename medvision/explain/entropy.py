"""How undecided a network is at each voxel."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.errors import InputError


def entropy(probabilities: NDArray[Any]) -> NDArray[np.float32]:
    """Return the predictive entropy in bit: 0 where the network is sure, 1 where two classes are equally likely.

    Parameters
    ----------
    probabilities
        (classes, I, J[, K]), at least two classes; 0 to 1, summing to 1 over the classes (to 1 %).

    Returns
    -------
    (I, J[, K]) float32.

    Raises
    ------
    InputError
        There are fewer than two classes, or the values are no probabilities.

    Examples
    --------
    >>> entropy(np.array([[0.5, 1.0, 0.25], [0.5, 0.0, 0.75]])).round(4).tolist()
    [1.0, 0.0, 0.8112999796867371]
    """
    values = np.asarray(probabilities, dtype=np.float32)
    if values.ndim < 2 or values.shape[0] < 2:
        raise InputError("bad-header", f"probabilities of at least two classes are needed, got {values.shape}")
    # Written so that NaN fails too.
    if not (values.min() >= -1e-3 and np.abs(values.sum(axis=0) - 1).max() <= 1e-2):
        raise InputError("not-finite", "the values are no probabilities: 0 to 1, summing to 1 over the classes")
    total = np.zeros(values.shape[1:], dtype=np.float32)
    for channel in values:
        total += surprise(channel)
    return total


def surprise(probability: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return -p log2 p in bit, at least 0, of the same shape: what one class adds to the entropy.

    With it the entropy of many classes can be summed up without ever holding them all.
    """
    # 0 log 0 is 0: a probability of 0 is taken as 1, whose logarithm is 0.
    inside = np.where(probability > 0, np.minimum(probability, 1), 1)
    return np.asarray(-inside * np.log2(inside), dtype=np.float32) + np.float32(0)
