"""Training cases after the pipeline's steps, in memory or on disk, and the batches drawn from them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from medvision import sealed
from medvision.errors import InputError, PipelineError
from medvision.files import sha256_of_text
from medvision.training.settings import Training

_MOST_VOXELS = 10_000  # of a label that are kept as places for patches

Target = int | NDArray[np.float32]
"""The number of a class; or (K,) float32: 0, 1 or NaN (unknown) for each of K labels, or K standardised values."""


class Prepared(Protocol):
    """A case after the pipeline's steps, wherever its voxels lie."""

    @property
    def id(self) -> str:
        """The case's id."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """The 2 or 3 spatial sizes."""
        ...

    @property
    def whole(self) -> Target | None:
        """What the image as a whole is; None where every voxel has a label, or nothing is known."""
        ...

    @property
    def labelled(self) -> Mapping[int, NDArray[np.int32]]:
        """For each label above 0 the indices (n, d) of some of its voxels."""
        ...

    @property
    def counts(self) -> Mapping[int, int]:
        """How many voxels each label has, background included; of one of several classes, that it is there once."""
        ...

    def part(self, where: tuple[slice, ...]) -> tuple[NDArray[np.float32], NDArray[Any] | None]:
        """Return the image (C, *size) and the labels (*size) within `where`, a slice for each spatial axis.

        None in place of the labels, where voxels have none.
        """
        ...


@dataclass(frozen=True, eq=False)
class Sample:
    """A case in memory.

    Parameters
    ----------
    id
        The case's id.
    image
        (C, *spatial) float32; 2 or 3 spatial axes.
    target
        (*spatial) whole numbers for a segmentation; else see :data:`Target`. None: nothing is known of it, and it
        serves for a training without labels alone.
    """

    id: str
    image: NDArray[np.float32]
    target: NDArray[Any] | int | None

    @property
    def shape(self) -> tuple[int, ...]:
        """The spatial sizes."""
        return self.image.shape[1:]

    @property
    def whole(self) -> Target | None:
        """What the image as a whole is; None where every voxel has a label, or nothing is known."""
        if isinstance(self.target, int):
            return self.target
        return self.target if self.target is not None and self.target.ndim == 1 else None

    @property
    def voxelwise(self) -> bool:
        """Whether every voxel has a label."""
        return self.target is not None and self.whole is None

    @cached_property
    def labelled(self) -> Mapping[int, NDArray[np.int32]]:
        """Indices (n, d) of voxels of each label, at most 10,000 of each, drawn by the case's id."""
        if not self.voxelwise:
            return {}
        random = np.random.default_rng(int(sha256_of_text([self.id])[:16], 16))
        labels = np.asarray(self.target)
        numbers = [int(number) for number in np.unique(labels) if number > 0]
        return {number: _some(np.argwhere(labels == number), random) for number in numbers}

    @cached_property
    def counts(self) -> Mapping[int, int]:
        """How many voxels each label has, or that the class of the whole is there once."""
        return _counts(self.whole if isinstance(self.whole, int) else self.target if self.voxelwise else None)

    def part(self, where: tuple[slice, ...]) -> tuple[NDArray[np.float32], NDArray[Any] | None]:
        """Return image and labels within `where`."""
        labels = self.target[where] if self.voxelwise else None  # type: ignore[index]
        return self.image[(slice(None), *where)], labels

    def save(self, path: Path, facts: Mapping[str, str]) -> None:
        """Write the case to be opened as a :class:`StoredSample`, with further `facts` about it."""
        whole = self.whole
        arrays = {"image": self.image} | {f"labelled.{number}": voxels for number, voxels in self.labelled.items()}
        if self.voxelwise:
            arrays["labels"] = np.asarray(self.target)
        stated = json.dumps(whole if isinstance(whole, int) or whole is None else whole.tolist())
        shape = json.dumps(list(self.shape))
        sealed.save(path, arrays, {**facts, "id": self.id, "shape": shape, "target": stated}, synced=False)


@dataclass(frozen=True)
class StoredVoxels(Mapping[int, NDArray[np.int32]]):
    """The labelled voxels of a case on disk: read anew each time, so that many cases take no more memory than one.

    Parameters
    ----------
    path
        The case's file.
    numbers
        The labels that it has.
    """

    path: Path
    numbers: tuple[int, ...]

    def __getitem__(self, number: int) -> NDArray[np.int32]:
        if number not in self.numbers:
            raise KeyError(number)
        return _stored(self.path, f"labelled.{number}", (slice(None), slice(None)))

    def __iter__(self) -> Iterator[int]:
        return iter(self.numbers)

    def __len__(self) -> int:
        return len(self.numbers)


@dataclass(frozen=True, eq=False)
class StoredSample:
    """A case on disk, of which no more is read than a batch needs; see :class:`Prepared`."""

    path: Path
    id: str
    shape: tuple[int, ...]
    whole: Target | None
    labelled: Mapping[int, NDArray[np.int32]]
    facts: Mapping[str, str]
    voxelwise: bool
    counts: Mapping[int, int]

    @classmethod
    def open(cls, path: Path) -> StoredSample:
        """Open what :meth:`Sample.save` wrote; :class:`medvision.sealed.SealBrokenError` where it is damaged."""
        arrays, facts = sealed.load(path)
        stated = json.loads(facts.pop("target"))
        target = np.asarray(stated, dtype=np.float32) if isinstance(stated, list) else stated
        numbers = sorted(int(name.split(".")[1]) for name in arrays if name.startswith("labelled."))
        voxels = StoredVoxels(path, tuple(numbers))  # in order, as in memory: the file's own order is that of names
        name, shape = facts.pop("id"), tuple(json.loads(facts.pop("shape")))
        counts = _counts(target if isinstance(target, int) else arrays.get("labels"))
        return cls(path, name, shape, target, voxels, facts, "labels" in arrays, counts)

    def part(self, where: tuple[slice, ...]) -> tuple[NDArray[np.float32], NDArray[Any] | None]:
        """Return image and labels within `where`; InputError where the file is gone."""
        image = _stored(self.path, "image", (slice(None), *where))
        return image, _stored(self.path, "labels", where) if self.voxelwise else None

    def in_memory(self) -> Sample:
        """Return the case with all its voxels."""
        image, labels = self.part(tuple(slice(0, size) for size in self.shape))
        return Sample(self.id, image, labels if labels is not None else self.whole)


class Sampler:
    """Draws batches; the batch of a step depends on the seed and the step alone.

    Parameters
    ----------
    samples
        All training samples.
    settings
        Batch, patch, balance and seed.
    slices
        Whether a patch, of two sizes, lies in one slice of a volume along its last axis.

    Raises
    ------
    InputError
        There is no sample, or whole images are asked for and differ in size.
    """

    def __init__(self, samples: Sequence[Prepared], settings: Training, *, slices: bool = False) -> None:
        if not samples:
            raise InputError("too-few-cases", "there is no sample to train on")
        shapes = {sample.shape for sample in samples}
        if settings.patch is None and len(shapes) > 1:
            raise InputError(
                "bad-manifest",
                f"whole images are trained on, but they have {len(shapes)} sizes",
                cure="Set `patch` in [train], or add a step `resize` or `pad` that gives all one size.",
            )
        self._samples = list(samples)
        self._settings, self._slices = settings, slices
        self._patch = (*settings.patch, 1) if slices and settings.patch is not None else settings.patch
        self._weights = _balanced(self._samples) if settings.balanced else None

    def batch(self, step: int, rows: slice = slice(None)) -> tuple[Any, Any]:
        """Return images (B, C, *patch) float32 and targets as tensors.

        Targets are (B, *patch) or (B,) int64, or (B, K) float32; see :data:`Target`; None where nothing is known of the
        samples. Of a batch that several processes share, each reads its own `rows`.
        """
        import torch

        random = np.random.default_rng([self._settings.seed, 1, step])
        chosen = random.choice(len(self._samples), self._settings.batch, p=self._weights)
        places = [(self._samples[int(index)], self._place(int(index), random)) for index in chosen]
        pairs = [_read(sample, start, self._size(sample)) for sample, start in places[rows]]
        if self._slices:
            pairs = [(image[..., 0], None if target is None else target[..., 0]) for image, target in pairs]
        images = torch.from_numpy(np.stack([image for image, _ in pairs]))
        if any(target is None for _, target in pairs):
            return images, None
        return images, torch.from_numpy(np.stack([_as_target(target) for _, target in pairs]))

    def _size(self, sample: Prepared) -> tuple[int, ...]:
        return self._patch or sample.shape

    def _place(self, index: int, random: np.random.Generator) -> list[int]:
        """Return where the patch starts: around a voxel of a label drawn first, or anywhere."""
        sample, patch = self._samples[index], self._patch
        if patch is None:
            return [0] * len(sample.shape)
        if sample.labelled and random.random() < self._settings.foreground:
            voxels = sample.labelled[int(random.choice(list(sample.labelled)))]
            centre = voxels[random.integers(len(voxels))]
            return [_around(int(c), n, whole, random) for c, n, whole in zip(centre, patch, sample.shape, strict=True)]
        return [_anywhere(size, whole, random) for size, whole in zip(patch, sample.shape, strict=True)]


def require_divisible(samples: Sequence[Prepared], settings: Training, divisor: int | Sequence[int]) -> None:
    """Refuse whole images that a network cannot take; where patches are cut, their size alone counts.

    A prediction pads such an image, as its labels need no padding; a training takes images as they are.

    Parameters
    ----------
    samples
        All images that the network is to see.
    settings
        Say whether images are whole.
    divisor
        The multiple that every side of the network's input must be, or one for each axis.

    Raises
    ------
    PipelineError
        A side of an image is no multiple, or the network would leave one voxel of it (``pipeline-invalid``).
    """
    if settings.patch is not None:
        return
    for sample in samples:
        multiples = (divisor,) * len(sample.shape) if isinstance(divisor, int) else tuple(divisor)
        if any(side % n for side, n in zip(sample.shape, multiples, strict=True)):
            wanted = " x ".join(map(str, multiples)) if len(set(multiples)) > 1 else str(multiples[0])
            fault = f"the network takes multiples of {wanted}"
        elif max(multiples) > 1 and sample.shape == multiples:
            fault = "the network leaves one voxel of it, from which nothing can be told"
        else:
            continue
        size = " x ".join(map(str, sample.shape))
        cure = "Set `patch` in [train], or add a step `resize` or `pad` to a size that the network can take."
        message = f"case {sample.id} is {size} voxels after the steps; {fault}"
        raise PipelineError("pipeline-invalid", message, cure=cure)


def _stored(path: Path, name: str, where: tuple[slice, ...]) -> NDArray[Any]:
    try:
        return sealed.part(path, name, where)
    except sealed.SealBrokenError as error:
        cure = "Give the same command again: what is missing is prepared anew."
        raise InputError("unreadable", f"a prepared case is gone: {error}", path=path, cure=cure) from error


def centre_of(sample: Prepared, patch: Sequence[int] | None) -> NDArray[np.float32]:
    """Return the middle of a case's image, (C, *patch), its edge repeated where it is smaller; None: all of it."""
    size = tuple(patch or sample.shape)
    return _read(sample, [(whole - n) // 2 for whole, n in zip(sample.shape, size, strict=True)], size)[0]


def _read(sample: Prepared, start: Sequence[int], size: Sequence[int]) -> tuple[NDArray[np.float32], Any]:
    """Read a part of `size` at `start`; outside the image, its edge is repeated, and that of its labels.

    A structure that the border cuts goes on there, as its image does: called background, the network would learn to
    lose structures at borders.
    """
    ends = list(zip(start, size, sample.shape, strict=True))
    inside = tuple(slice(max(0, a), min(whole, a + n)) for a, n, whole in ends)
    around = [(max(0, -a), max(0, a + n - whole)) for a, n, whole in ends]
    image, labels = sample.part(inside)
    if any(map(any, around)):
        image = np.pad(image, [(0, 0), *around], mode="edge")
        labels = None if labels is None else np.pad(labels, around, mode="edge")
    return image, sample.whole if labels is None else labels


def _as_target(target: Any) -> NDArray[Any]:
    array = np.asarray(target)
    return array.astype(np.float32 if array.dtype.kind == "f" else np.int64)


def _around(centre: int, size: int, whole: int, random: np.random.Generator) -> int:
    """Return a start so that the patch holds `centre`, inside the image where the image is larger."""
    start = centre - int(random.integers(size // 4, size - size // 4))
    return int(np.clip(start, min(0, whole - size), max(0, whole - size)))


def _anywhere(size: int, whole: int, random: np.random.Generator) -> int:
    low, high = sorted((0, whole - size))
    return int(random.integers(low, high + 1))


def _some(voxels: NDArray[np.intp], random: np.random.Generator) -> NDArray[np.int32]:
    if len(voxels) > _MOST_VOXELS:
        voxels = voxels[np.sort(random.choice(len(voxels), _MOST_VOXELS, replace=False))]
    return voxels.astype(np.int32)


def _counts(labels: int | NDArray[Any] | None) -> dict[int, int]:
    if labels is None:
        return {}
    numbers, counts = np.unique(labels, return_counts=True)
    return {int(number): int(count) for number, count in zip(numbers, counts, strict=True)}


def class_counts(samples: Sequence[Prepared]) -> dict[int, int]:
    """Return how many samples have each class; of a segmentation, how many voxels, background included."""
    counts = Counter[int]()
    for sample in samples:
        counts.update(sample.counts)
    return dict(sorted(counts.items()))


def _balanced(samples: Sequence[Prepared]) -> NDArray[np.float64]:
    """Return the probability of each sample that makes every class equally frequent."""
    classes = np.array([sample.whole for sample in samples])
    _, inverse, counts = np.unique(classes, return_inverse=True, return_counts=True)
    weights = 1.0 / counts[inverse]
    return np.asarray(weights / weights.sum())
