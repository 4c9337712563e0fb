"""A network applied to one prepared image: whole, or through a sliding window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt
from pydantic.dataclasses import dataclass

from medvision.errors import InputError, PipelineError
from medvision.frameworks import autocast, monai_module
from medvision.strict import STRICT


@dataclass(frozen=True, config=STRICT)
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
        A classification whose two most probable classes are less than this apart is marked for review; so is a case
        of which a label's probability is less than half of this from its threshold.
    thresholds
        Of several labels at once: the probability from which on a label is taken for present, one for each label; none
        takes 0.5 for all.
    mirror_axes
        Axes (0, 1, 2) of the network's grid along which the image is also mirrored, alone and together; the mean over
        all of them is the answer, and so of saliency maps; each axis doubles the time. Only those that the training
        mirrored along.
    """

    window: tuple[PositiveInt, ...] | None = None
    overlap: float = Field(default=0.5, ge=0.0, lt=1.0)
    precision: Literal["fp32", "bf16"] = "fp32"
    review_margin: float = Field(default=0.2, ge=0.0, le=1.0)
    thresholds: tuple[Annotated[float, Field(gt=0.0, lt=1.0)], ...] = ()
    mirror_axes: tuple[Literal[0, 1, 2], ...] = ()


@dataclass(frozen=True, config=STRICT)
class Quantity:
    """What one output of a regression stands for: a ``[[regression]]`` table, in the order of the labels.

    A network gives standardised values; `mean` and `sd` turn them into the unit. A training measures them, and `known`
    too, on its own training cases, and writes them into its pipeline in place of what stood there.

    Parameters
    ----------
    unit
        The unit of the value, e.g. ``"years"``; ``"1"`` for a plain number.
    mean, sd
        Mean and standard deviation of the training cases, in the unit.
    known
        The least and the greatest value of the training cases; a result outside them is marked for review.

    Raises
    ------
    ValueError
        Only one of `mean` and `sd` is given, or the limits of `known` do not rise.

    Examples
    --------
    >>> age = Quantity("years", mean=60.0, sd=12.0)
    >>> age.standardised(66.0), age.value(0.5)
    (0.5, 66.0)
    """

    unit: Annotated[str, Field(min_length=1)]
    mean: float | None = None
    sd: Annotated[float, Field(gt=0.0)] | None = None
    known: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if (self.mean is None) != (self.sd is None):
            raise ValueError("mean and sd are given together, or both left to the training")
        if self.known is not None and not self.known[0] <= self.known[1]:
            raise ValueError(f"known is the least and the greatest value, got {list(self.known)}")

    def standardised(self, value: float) -> float:
        """Return a value in the unit as what the network gives."""
        mean, sd = self._scale()
        return (value - mean) / sd

    def value(self, output: float) -> float:
        """Return what the network gives as a value in the unit."""
        mean, sd = self._scale()
        return mean + sd * output

    def _scale(self) -> tuple[float, float]:
        if self.mean is None or self.sd is None:
            cure = "Train the pipeline, or state `mean` and `sd` in [[regression]]."
            raise PipelineError("pipeline-invalid", "a regression needs the mean and sd of its values", cure=cure)
        return self.mean, self.sd


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


def voxel_probabilities(network: Any, image: Any, settings: Prediction, *, divisor: int | Sequence[int]) -> Any:
    """Return the probability of each label in each voxel.

    Parameters
    ----------
    network
        (1, C, *spatial) to logits (1, K, *spatial); in evaluation mode.
    image
        (1, C, *spatial), on the network's device.
    divisor
        The multiple that every side of the network's input must be, or one for each axis.

    Returns
    -------
    (K, *spatial) float32; the K probabilities of a voxel sum to 1.
    """

    def probabilities(seen: Any) -> Any:
        if settings.window is None:
            logits = _whole(network, seen, divisor)
        else:
            window = [-(-size // n) * n for size, n in zip(settings.window, _each(divisor, seen), strict=True)]
            logits = monai_module("inferers").sliding_window_inference(
                seen, window, 1, network, overlap=settings.overlap, mode="gaussian", padding_mode="replicate"
            )
        return logits[0].float().softmax(0)

    return _over_mirrors(probabilities, image, settings, back=True)


def image_probabilities(
    network: Any, voxels: NDArray[Any], settings: Prediction, *, dimensions: int, divisor: int | Sequence[int]
) -> NDArray[np.float32]:
    """Return the probability of each label in each voxel: (K, I, J, K') float32, of voxels (C, I, J, K').

    A network of two dimensions sees each slice along the last axis by itself. See :func:`voxel_probabilities`.
    """
    device = str(next(network.parameters()).device)
    parts = []
    for part in parts_of(voxels, dimensions=dimensions):
        image = to_tensor(part, dimensions=dimensions, device=device)
        found = voxel_probabilities(network, image, settings, divisor=divisor)
        parts.append(from_tensor(found, dimensions=dimensions))
    return np.concatenate(parts, axis=-1)


def parts_of(voxels: NDArray[Any], *, dimensions: int) -> list[NDArray[Any]]:
    """Return what a network sees at once of (..., I, J, K): everything, or for two dimensions each slice, of K = 1.

    >>> [part.shape for part in parts_of(np.zeros((1, 4, 5, 3)), dimensions=2)]
    [(1, 4, 5, 1), (1, 4, 5, 1), (1, 4, 5, 1)]
    """
    return [voxels] if dimensions == 3 else np.split(voxels, voxels.shape[-1], axis=-1)


def class_probabilities(network: Any, image: Any, settings: Prediction) -> NDArray[np.float64]:
    """Return the probability of each class: (K,), summing to 1; see :func:`voxel_probabilities`."""
    return _array(_over_mirrors(lambda seen: network(seen)[0].double().softmax(0), image, settings))


def label_probabilities(network: Any, image: Any, settings: Prediction) -> NDArray[np.float64]:
    """Return the probability of each of several labels that can hold at once: (K,), each from 0 to 1."""
    return _array(_over_mirrors(lambda seen: network(seen)[0].double().sigmoid(), image, settings))


def standardised_values(network: Any, image: Any, settings: Prediction) -> NDArray[np.float64]:
    """Return what a regression's network gives: (K,) standardised values; see :meth:`Quantity.value`.

    Raises
    ------
    InputError
        ``not-finite``: the network gives no number for this image.
    """
    values = _array(_over_mirrors(lambda seen: network(seen)[0].double(), image, settings))
    if not np.isfinite(values).all():
        raise InputError("not-finite", "the network gives no finite value for this image")
    return values


def padded_to(image: Any, divisor: int | Sequence[int]) -> Any:
    """Return (1, C, *spatial) padded at the far ends with its edge values, so that `divisor` divides every side."""
    from torch.nn import functional

    missing = [-size % n for size, n in zip(image.shape[2:], _each(divisor, image), strict=True)]
    if not any(missing):
        return image
    ends = [value for size in reversed(missing) for value in (0, size)]
    return functional.pad(image, ends, mode="replicate")


def mirrors(axes: Sequence[int]) -> list[tuple[int, ...]]:
    """Return the choices of axes along which an image is mirrored, from none to all of them.

    >>> mirrors((0, 2))
    [(), (0,), (2,), (0, 2)]
    """
    return [part for count in range(len(axes) + 1) for part in combinations(axes, count)]


def _over_mirrors(answer: Callable[[Any], Any], image: Any, settings: Prediction, *, back: bool = False) -> Any:
    """Return the mean answer for the image (1, C, *spatial) as it is and mirrored along every choice of the axes.

    With `back`, answers (K, *spatial) are mirrored back before the mean is taken.
    """
    import torch

    chosen = mirrors(settings.mirror_axes)
    total: Any = 0.0
    with torch.inference_mode(), autocast(image.device.type, settings.precision):
        for part in chosen:
            found = answer(image.flip([axis + 2 for axis in part]) if part else image)
            total = total + (found.flip([axis + 1 for axis in part]) if part and back else found)
    return total / len(chosen)


def _array(values: Any) -> NDArray[np.float64]:
    return np.asarray(values.cpu().numpy(), dtype=np.float64)


def _whole(network: Any, image: Any, divisor: int | Sequence[int]) -> Any:
    logits = network(padded_to(image, divisor))
    return logits[(slice(None), slice(None), *(slice(size) for size in image.shape[2:]))]


def _each(divisor: int | Sequence[int], image: Any) -> tuple[int, ...]:
    """Return the divisor of each spatial axis of (1, C, *spatial)."""
    return (divisor,) * (image.ndim - 2) if isinstance(divisor, int) else tuple(divisor)
