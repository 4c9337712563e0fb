"""What a network says of an image as a whole: the mean over its mirror images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medvision.errors import InputError
from medvision.predict.mirrors import mirrors
from medvision.predict.settings import Prediction
from medvision.predict.sliding import Array, Over


def class_probabilities(over: Over, voxels: Array, settings: Prediction) -> NDArray[np.float64]:
    """Return the probability of each class: (K,), summing to 1.

    Parameters
    ----------
    over
        What the network says of each input: logits (K,).
    voxels
        (C, I, J, K) or (C, I, J) float32, as the network takes it.
    """
    logits = _outputs(over, voxels, settings)
    return _softmax(logits.mean(0)) if settings.combine == "logits" else np.asarray(_softmax(logits).mean(0))


def label_probabilities(over: Over, voxels: Array, settings: Prediction) -> NDArray[np.float64]:
    """Return the probability of each of several labels that can hold at once: (K,), each from 0 to 1."""
    logits = _outputs(over, voxels, settings)
    return _sigmoid(logits.mean(0)) if settings.combine == "logits" else np.asarray(_sigmoid(logits).mean(0))


def standardised_values(over: Over, voxels: Array, settings: Prediction) -> NDArray[np.float64]:
    """Return what a regression's network gives: (K,) standardised values; see :meth:`Quantity.value`.

    Raises
    ------
    InputError
        ``not-finite``: the network gives no number for this image.
    """
    values = _outputs(over, voxels, settings).mean(0)
    if not np.isfinite(values).all():
        raise InputError("not-finite", "the network gives no finite value for this image")
    return np.asarray(values)


def _outputs(over: Over, voxels: Array, settings: Prediction) -> NDArray[np.float64]:
    """Return what the network says of an image as it is and mirrored along every choice of the axes: (mirrors, K)."""
    chosen = mirrors(settings.mirror_axes)
    inputs = (
        np.array(np.flip(voxels, tuple(axis + 1 for axis in axes)), dtype=np.float32, order="C") for axes in chosen
    )
    return np.stack([np.asarray(found, dtype=np.float64) for found in over(inputs)])


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-logits)))
