"""Training cases in memory, and the batches drawn from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.errors import InputError
from medvision.training.settings import Training


@dataclass(frozen=True, eq=False)
class Sample:
    """A case after the pipeline's steps.

    Parameters
    ----------
    id
        The case's id.
    image
        (C, *spatial) float32; 2 or 3 spatial axes.
    target
        (*spatial) whole numbers for a segmentation, the class's number for a classification.
    """

    id: str
    image: NDArray[np.float32]
    target: NDArray[Any] | int


class Sampler:
    """Draws batches; the batch of a step depends on the seed and the step alone.

    Parameters
    ----------
    samples
        All training samples.
    settings
        Batch, patch, balance and seed.

    Raises
    ------
    InputError
        There is no sample, or whole images are asked for and differ in size.
    """

    def __init__(self, samples: Sequence[Sample], settings: Training) -> None:
        if not samples:
            raise InputError("too-few-cases", "there is no sample to train on")
        shapes = {sample.image.shape for sample in samples}
        if settings.patch is None and len(shapes) > 1:
            raise InputError(
                "bad-manifest",
                f"whole images are trained on, but they have {len(shapes)} sizes",
                cure="Set `patch` in [train], or add a step `resize` or `pad` that gives all one size.",
            )
        self._samples = list(samples)
        self._settings = settings
        self._weights = _balanced(self._samples) if settings.balanced else None
        self._foreground = [_labelled_voxels(sample) for sample in self._samples]

    def batch(self, step: int) -> tuple[Any, Any]:
        """Return images (B, C, *patch) float32 and targets, (B, *patch) or (B,), int64, as tensors."""
        import torch

        random = np.random.default_rng([self._settings.seed, 1, step])
        chosen = random.choice(len(self._samples), self._settings.batch, p=self._weights)
        pairs = [self._draw(int(index), random) for index in chosen]
        images = torch.from_numpy(np.stack([image for image, _ in pairs]))
        targets = torch.from_numpy(np.stack([np.asarray(target, dtype=np.int64) for _, target in pairs]))
        return images, targets

    def _draw(self, index: int, random: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[Any] | int]:
        sample, patch = self._samples[index], self._settings.patch
        if patch is None:
            return sample.image, sample.target
        shape = sample.image.shape[1:]
        voxels = self._foreground[index]
        if len(voxels) and random.random() < self._settings.foreground:
            centre = voxels[random.integers(len(voxels))]
            start = [_around(int(c), size, whole, random) for c, size, whole in zip(centre, patch, shape, strict=True)]
        else:
            start = [_anywhere(size, whole, random) for size, whole in zip(patch, shape, strict=True)]
        image = _cut(sample.image, start, patch, edge=True)
        target = sample.target
        return image, target if isinstance(target, int) else _cut(target[None], start, patch, edge=False)[0]


def _around(centre: int, size: int, whole: int, random: np.random.Generator) -> int:
    """Return a start so that the patch holds `centre`, inside the image where the image is larger."""
    start = centre - int(random.integers(size // 4, size - size // 4))
    return int(np.clip(start, min(0, whole - size), max(0, whole - size)))


def _anywhere(size: int, whole: int, random: np.random.Generator) -> int:
    low, high = sorted((0, whole - size))
    return int(random.integers(low, high + 1))


def _cut(values: NDArray[Any], start: Sequence[int], patch: Sequence[int], *, edge: bool) -> NDArray[Any]:
    """Cut (C, *spatial) at `start`; outside the image its edge is repeated, or 0 where not `edge`."""
    inside = tuple(
        slice(max(0, a), min(whole, a + size)) for a, size, whole in zip(start, patch, values.shape[1:], strict=True)
    )
    around = [(max(0, -a), max(0, a + n - whole)) for a, n, whole in zip(start, patch, values.shape[1:], strict=True)]
    part = values[(slice(None), *inside)]
    if not any(map(any, around)):
        return part
    return np.pad(part, [(0, 0), *around], mode="edge" if edge else "constant")


def _labelled_voxels(sample: Sample) -> NDArray[np.intp]:
    if isinstance(sample.target, int):
        return np.empty((0, 1), dtype=np.intp)
    return np.argwhere(sample.target > 0)


def _balanced(samples: Sequence[Sample]) -> NDArray[np.float64]:
    """Return the probability of each sample that makes every class equally frequent."""
    classes = np.array([sample.target for sample in samples])
    _, inverse, counts = np.unique(classes, return_inverse=True, return_counts=True)
    weights = 1.0 / counts[inverse]
    return np.asarray(weights / weights.sum())
