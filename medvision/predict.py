"""A network applied to one prepared image: whole, or through a sliding window."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, PositiveInt
from pydantic.dataclasses import dataclass

from medvision.frameworks import autocast, monai_module


@dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class Prediction:
    """How a network is applied: the ``[predict]`` table of a pipeline.

    Parameters
    ----------
    window
        Size of the sliding window in voxels of the network's grid, rounded up to what the network can take; None gives
        it the whole image.
    overlap
        Share of the window that neighbours have in common.
    precision
        ``"fp32"`` or ``"bf16"``; the record says which was used.
    review_margin
        A classification whose two most probable classes are less than this apart is marked for review.
    """

    window: tuple[PositiveInt, ...] | None = None
    overlap: float = Field(default=0.5, ge=0.0, lt=1.0)
    precision: Literal["fp32", "bf16"] = "fp32"
    review_margin: float = Field(default=0.2, ge=0.0, le=1.0)


def to_tensor(voxels: NDArray[Any], *, dimensions: int, device: str) -> Any:
    """Return voxels (C, I, J, K) as the network's input (1, C, I, J, K), or (1, C, I, J) for two dimensions."""
    import torch

    values = np.ascontiguousarray(voxels if dimensions == 3 else voxels[..., 0], dtype=np.float32)
    tensor = torch.from_numpy(values.copy()).unsqueeze(0)
    layout = torch.channels_last if dimensions == 2 else torch.channels_last_3d
    return tensor.to(device).contiguous(memory_format=layout)


def from_tensor(values: Any, *, dimensions: int) -> NDArray[np.float32]:
    """Return (K, I, J, K') or (K, I, J) values as an array with three spatial axes."""
    array = values.detach().float().cpu().numpy()
    return np.ascontiguousarray(array if dimensions == 3 else array[..., None], dtype=np.float32)


def voxel_probabilities(network: Any, image: Any, settings: Prediction, *, divisor: int) -> Any:
    """Return the probability of each label in each voxel.

    Parameters
    ----------
    network
        (1, C, *spatial) to logits (1, K, *spatial); in evaluation mode.
    image
        (1, C, *spatial), on the network's device.
    divisor
        The multiple that every side of the network's input must be.

    Returns
    -------
    (K, *spatial) float32; the K probabilities of a voxel sum to 1.
    """
    import torch

    with torch.inference_mode(), autocast(image.device.type, settings.precision):
        if settings.window is None:
            logits = _whole(network, image, divisor)
        else:
            window = [-(-size // divisor) * divisor for size in settings.window]
            logits = monai_module("inferers").sliding_window_inference(
                image, window, 1, network, overlap=settings.overlap, mode="gaussian", padding_mode="replicate"
            )
    return logits[0].float().softmax(0)


def class_probabilities(network: Any, image: Any, settings: Prediction) -> NDArray[np.float64]:
    """Return the probability of each class: (K,), summing to 1; see :func:`voxel_probabilities`."""
    import torch

    with torch.inference_mode(), autocast(image.device.type, settings.precision):
        logits = network(image)
    return np.asarray(logits[0].double().softmax(0).cpu().numpy(), dtype=np.float64)


def padded_to(image: Any, divisor: int) -> Any:
    """Return (1, C, *spatial) padded at the far ends with its edge values, so that `divisor` divides every side."""
    from torch.nn import functional

    missing = [-size % divisor for size in image.shape[2:]]
    if not any(missing):
        return image
    ends = [value for size in reversed(missing) for value in (0, size)]
    return functional.pad(image, ends, mode="replicate")


def _whole(network: Any, image: Any, divisor: int) -> Any:
    logits = network(padded_to(image, divisor))
    return logits[(slice(None), slice(None), *(slice(size) for size in image.shape[2:]))]
