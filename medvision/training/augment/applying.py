"""A variation made: a function of its parameters and of the samples, and of nothing else."""

from __future__ import annotations

from typing import Any

from medvision.errors import UsageError
from medvision.training.augment.spatial import move
from medvision.training.augment.values import change
from medvision.training.augment.variation import Variation


def apply(variation: Variation, images: Any, targets: Any | None = None) -> tuple[Any, Any | None]:
    """Return the varied samples, on their own device and in their own memory format.

    The same parameters give the same samples, whatever any generator does; a part of a batch, with the same part of
    the variation, gives that part. Samples that are not varied cost nothing but their copy, and are the same bit for
    bit. All is computed in fp32, also under autocast.

    Parameters
    ----------
    images
        (B, C, *spatial) float32; the images stay as they are.
    targets
        (B, *spatial) integers, which follow the images by nearest neighbour. Those of any other number of axes state
        no place, as classes and figures do not, and are given back as they came.

    Raises
    ------
    UsageError
        The parameters were drawn for another number of samples, channels or axes.
    """
    import torch

    _require_fitting(variation, images)
    voxelwise = targets is not None and targets.ndim == images.ndim - 1
    layout = _layout(images)
    with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
        images = images.to(torch.float32).clone(memory_format=torch.contiguous_format)
        labels = targets.clone() if targets is not None and voxelwise else None
        move(variation, images, labels)
        change(variation, images)
        return images.contiguous(memory_format=layout), labels if voxelwise else targets


def _require_fitting(variation: Variation, images: Any) -> None:
    batch, dimensions = variation.mirrored.shape
    drawn = (batch, dimensions, variation.gamma.shape[1])
    got = (len(images), images.ndim - 2, images.shape[1])
    if drawn[:2] != got[:2] or drawn[2] not in (1, got[2]):
        message = f"parameters for (samples, axes, channels) {drawn} do not fit images of {got}"
        raise UsageError("usage", message, cure="Draw them for these images.")


def _layout(images: Any) -> Any:
    """Return the memory format of a batch."""
    import torch

    last = {4: torch.channels_last, 5: torch.channels_last_3d}[images.ndim]
    in_rows = images.is_contiguous() or not images.is_contiguous(memory_format=last)
    return torch.contiguous_format if in_rows else last
