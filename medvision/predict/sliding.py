"""A network's answer for a whole image, in slabs that leave memory as soon as they are final.

Windows are added up in a buffer as thick as one window; what no further window touches is handed on. So the answers of
many classes are never held for the whole image.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from medvision.predict.mirrors import mirrors
from medvision.predict.settings import Prediction
from medvision.predict.windows import Place, Windows

Array = NDArray[np.float32]
Over = Callable[[Iterable[Array]], Iterator[Array]]
"""What a network says of each input (C, *spatial), in their order: the method ``over`` of an engine."""

_REMEMBERED = 4  # answers to windows of one value: what lies around a body has few values, an image of noise has many


@dataclass(frozen=True, eq=False)
class Slab:
    """A part of the answer that is final: whole planes across one axis. Its values hold until the next one is taken.

    Parameters
    ----------
    axis
        The spatial axis along which slabs follow each other: 0, 1 or 2.
    start
        The first plane.
    values
        (K, I, J, K') float32, cut along `axis`: mean probabilities or logits, as ``combine`` of the settings says.
    """

    axis: int
    start: int
    values: Array

    @property
    def stop(self) -> int:
        """The plane after the last."""
        return self.start + int(self.values.shape[1 + self.axis])


def slabs(
    over: Over, voxels: Array, settings: Prediction, *, dimensions: int, divisor: int | Sequence[int]
) -> Iterator[Slab]:
    """Yield the answer for an image, slab by slab along :func:`slab_axis`.

    Parameters
    ----------
    over
        What the network says of each input: logits (K, *spatial).
    voxels
        (C, I, J, K) float32; a network of two dimensions sees each slice along the last axis by itself.
    dimensions
        Of the network: 2 or 3.
    divisor
        The multiple that every side of the network's input must be, or one for each axis.
    """
    if dimensions == 2:
        yield from _slices(over, voxels, settings, divisor)
        return
    windows = _windows(voxels.shape[1:], settings, divisor)
    if windows is None:
        for values in _answers(over, [voxels], settings, divisor):
            yield Slab(slab_axis(voxels.shape[1:], dimensions), 0, values)
        return
    buffer = _Buffer(windows)
    answers = _answers(over, (windows.cut(voxels, place, settings.padding) for place in windows), settings)
    for place, values in zip(windows, answers, strict=True):
        yield from buffer.freed(place)
        buffer.add(place, values)
    yield from buffer.rest()


def inputs_of(voxels: Array, settings: Prediction, *, dimensions: int, divisor: int | Sequence[int]) -> Iterator[Array]:
    """Yield what the network sees of an image, as :func:`slabs` would ask it, but for mirror images.

    Of windows that hold one value alone, one of each value is given.
    """
    parts = np.moveaxis(voxels, 3, 0) if dimensions == 2 else voxels[None]
    windows = _windows(parts.shape[2:], settings, divisor)
    if windows is None:
        yield from _Asking(parts, [()], divisor).inputs()
        return
    cuts = (windows.cut(part, place, settings.padding) for part in parts for place in windows)
    yield from _Asking(cuts, [()], 1).inputs()


def input_sizes(
    shape: Sequence[int] | None, settings: Prediction, *, dimensions: int, divisor: int | Sequence[int]
) -> tuple[int, ...] | None:
    """Return the spatial sizes of what the network sees of an image of `shape`; None where only the image tells them.

    >>> input_sizes(None, Prediction(window=(9, 8)), dimensions=2, divisor=8)
    (16, 8)
    """
    sizes = settings.window or (None if shape is None else tuple(shape[:dimensions]))
    if sizes is None:
        return None
    return tuple(-(-size // n) * n for size, n in zip(sizes, divided(divisor, dimensions), strict=True))


@dataclass(frozen=True)
class Demand:
    """What the answer for an image takes.

    Parameters
    ----------
    inputs
        How often the network is asked, mirror images not counted.
    size
        Voxels of an input.
    held
        Voxels for which all classes are held at once.
    """

    inputs: int
    size: int
    held: int


def demand(shape: Sequence[int], settings: Prediction, *, dimensions: int, divisor: int | Sequence[int]) -> Demand:
    """Return what the answer for an image of (I, J, K) voxels takes; see :func:`slabs`.

    >>> demand((40, 16, 16), Prediction(window=(16, 16, 16)), dimensions=3, divisor=8)
    Demand(inputs=4, size=4096, held=4096)
    """
    slices = shape[2] if dimensions == 2 else 1
    windows = _windows(shape[:dimensions], settings, divisor)
    if windows is None:
        each = divided(divisor, dimensions)
        size = math.prod(-(-length // n) * n for length, n in zip(shape, each, strict=False))
        return Demand(slices, size, size)
    depth = windows.padded[0] if dimensions == 2 else windows.window[windows.order[0]]
    held = depth * math.prod(windows.padded[axis] for axis in windows.order[1:])
    return Demand(slices * len(windows), math.prod(windows.window), held)


def slab_axis(shape: Sequence[int], dimensions: int) -> int:
    """Return along which axis slabs follow each other: the longest; of slices seen one by one the last.

    >>> slab_axis((512, 512, 800), 3), slab_axis((60, 50, 40), 3), slab_axis((512, 512, 8), 2)
    (2, 0, 2)
    """
    return 2 if dimensions == 2 else int(np.argmax(shape))


def whole(over: Over, voxels: Array, settings: Prediction, *, dimensions: int, divisor: int | Sequence[int]) -> Array:
    """Return the answer (K, I, J, K') for an image at once: the slabs put together. See :func:`slabs`."""
    axis = 1 + slab_axis(voxels.shape[1:], dimensions)
    found = slabs(over, voxels, settings, dimensions=dimensions, divisor=divisor)
    return np.concatenate([slab.values.copy() for slab in found], axis=axis)


def probabilities(values: Array, settings: Prediction) -> Array:
    """Return mean answers (K, ...) as probabilities, which sum to 1 in every voxel."""
    return softmax(values) if settings.combine == "logits" else values


def softmax(logits: Array) -> Array:
    """Return the softmax of (K, ...) over the first axis."""
    powers = logits - logits.max(axis=0)
    np.exp(powers, out=powers)
    powers /= powers.sum(axis=0)
    return np.asarray(powers)


def divided(divisor: int | Sequence[int], axes: int) -> Place:
    """Return the divisor of each of some axes."""
    return (divisor,) * axes if isinstance(divisor, int) else tuple(divisor)


def _windows(shape: Sequence[int], settings: Prediction, divisor: int | Sequence[int]) -> Windows | None:
    if settings.window is None:
        return None
    wanted = zip(settings.window, divided(divisor, len(shape)), strict=True)
    slowest = int(np.argmax(shape)) if len(shape) == 3 else 0
    order = (slowest, *(axis for axis in range(len(shape)) if axis != slowest))
    return Windows(
        tuple(shape),
        tuple(-(-size // n) * n for size, n in wanted),
        settings.overlap,
        order,
        even=settings.placing == "even",
        alike=settings.weighting == "constant",
    )


def _slices(over: Over, voxels: Array, settings: Prediction, divisor: int | Sequence[int]) -> Iterator[Slab]:
    """Yield a slab for each slice; the windows of all slices go through the network in one stream."""
    shape, count = voxels.shape[1:3], voxels.shape[3]
    windows = _windows(shape, settings, divisor)
    if windows is None:
        for number, values in enumerate(_answers(over, np.moveaxis(voxels, 3, 0), settings, divisor)):
            yield Slab(2, number, values[..., None])
        return
    parts = (windows.cut(voxels[..., n], place, settings.padding) for n in range(count) for place in windows)
    answers = _answers(over, parts, settings)
    for number in range(count):
        buffer = _Buffer(windows, depth=windows.padded[0])
        for place in windows:
            buffer.add(place, next(answers))
        (slab,) = buffer.rest()
        yield Slab(2, number, slab.values[..., None])


def _answers(
    over: Over, parts: Iterable[Array], settings: Prediction, divisor: int | Sequence[int] = 1
) -> Iterator[Array]:
    """Yield the network's answer (K, *spatial) for each part (C, *spatial), the mean over its mirror images.

    Each is padded to what `divisor` divides after it was mirrored. A part that holds one value alone is asked about
    once: all others of this value have the same answer.
    """
    asking = _Asking(parts, mirrors(settings.mirror_axes), divisor)
    known: dict[bytes, Array] = {}
    stream = over(asking.inputs())
    for first in stream:
        inside = (slice(None), *asking.insides.popleft())
        total = _spoken(first[inside], settings)
        for axes in asking.mirrored[1:]:
            total = total + np.flip(_spoken(next(stream)[inside], settings), tuple(axis + 1 for axis in axes))
        total /= np.float32(len(asking.mirrored))
        while (answered := asking.told.popleft())[1]:
            yield known[answered[0]]
        if answered[0]:
            known[answered[0]] = total
        yield total
    for constant, _ in asking.told:
        yield known[constant]


@dataclass
class _Asking:
    """What a network is asked, and in which order the parts of an image come.

    Parameters
    ----------
    parts
        (C, *spatial).
    mirrored
        The choices of axes along which each is mirrored.
    divisor
        What must divide every side.
    told
        For each part its value, where it holds one alone, and whether a part of this value was asked about before.
    insides
        For each part that is asked about, where it lies in what is asked.
    """

    parts: Iterable[Array]
    mirrored: Sequence[tuple[int, ...]]
    divisor: int | Sequence[int]
    told: deque[tuple[bytes, bool]] = field(default_factory=deque)
    insides: deque[tuple[slice, ...]] = field(default_factory=deque)

    def inputs(self) -> Iterator[Array]:
        """Yield each part that is to be asked about in all its mirror images."""
        asked: set[bytes] = set()
        for part in self.parts:
            constant = _constant(part)
            if constant in asked:
                self.told.append((constant, True))
                continue
            if len(asked) == _REMEMBERED:
                constant = b""
            asked |= {constant} - {b""}
            self.told.append((constant, False))
            self.insides.append(tuple(map(slice, part.shape[1:])))
            for axes in self.mirrored:
                yield _padded(np.flip(part, tuple(axis + 1 for axis in axes)), self.divisor)


def _spoken(logits: Array, settings: Prediction) -> Array:
    """Return what is averaged: the logits, or their probabilities."""
    return np.asarray(logits, dtype=np.float32) if settings.combine == "logits" else softmax(logits)


def _constant(part: Array) -> bytes:
    """Return the value of each channel, where each has one alone; else nothing."""
    first = part.reshape(len(part), -1)[:, :1]
    return first.tobytes() if (part.reshape(len(part), -1) == first).all() else b""


@dataclass
class _Buffer:
    """The sum of answers along the slowest axis, from the first plane that is not final on.

    `depth` planes are held, those of a window or more, in an array (K, depth, ...) with the slowest axis first.
    """

    windows: Windows
    depth: int = 0
    start: int = 0
    values: Array | None = None
    bells: Array = field(init=False)

    def __post_init__(self) -> None:
        self.axis = self.windows.order[0]
        self.depth = self.depth or self.windows.window[self.axis]
        weights = np.ones((1,) * len(self.windows.window), dtype=np.float32)
        for axis, bell in enumerate(self.windows.bells):
            weights = weights * _along(bell, axis, len(self.windows.window))
        self.bells = weights

    def freed(self, place: Place) -> Iterator[Slab]:
        """Yield what is final before a window at `place` is added, and make room for it."""
        if self.values is None or place[self.axis] + self.windows.window[self.axis] <= self.start + self.depth:
            return
        count = place[self.axis] - self.start
        yield from self._final(count)
        for each in self.values:  # one class at a time: a move within one array takes a copy of what moves
            each[: self.depth - count] = each[count:].copy()
            each[self.depth - count :] = 0
        self.start = place[self.axis]

    def add(self, place: Place, values: Array) -> None:
        """Add what the network says of the window at `place`."""
        if self.values is None:
            others = (self.windows.padded[axis] for axis in self.windows.order[1:])
            self.values = np.zeros((len(values), self.depth, *others), dtype=np.float32)
        begins = [place[axis] - (self.start if axis == self.axis else 0) for axis in self.windows.order]
        sizes = (self.windows.window[axis] for axis in self.windows.order)
        inside = tuple(slice(begin, begin + size) for begin, size in zip(begins, sizes, strict=True))
        for total, each in zip(self.values, values, strict=True):
            total[inside] += np.moveaxis(each * self.bells, self.axis, 0)

    def rest(self) -> Iterator[Slab]:
        """Yield what is left at the end."""
        yield from self._final(self.windows.padded[self.axis] - self.start)

    def _final(self, count: int) -> Iterator[Slab]:
        """Yield the first planes as they are final, without what was padded."""
        windows, axis = self.windows, self.axis
        before, size = windows.before[axis], windows.shape[axis]
        first, last = max(self.start, before), min(self.start + count, before + size)
        if first >= last or self.values is None:
            return
        inside = [slice(b, b + n) for b, n in zip(windows.before, windows.shape, strict=True)]
        sums = [total[part] for total, part in zip(windows.sums, inside, strict=True)]
        sums[axis] = windows.sums[axis][first:last]
        inside[axis] = slice(first - self.start, last - self.start)
        values = np.moveaxis(self.values, 1, 1 + axis)[(slice(None), *inside)]
        for number, total in enumerate(sums):
            values /= _along(total, number + 1, values.ndim)
        yield Slab(axis, first - before, values)


def _along(line: Array, axis: int, axes: int) -> Array:
    """Return a line of values as an array that lies along one of some axes."""
    return line.reshape([-1 if number == axis else 1 for number in range(axes)])


def _padded(image: Array, divisor: int | Sequence[int]) -> Array:
    """Return a copy of an image (C, *spatial), with its edge values at the far ends to what the network can take."""
    sizes = image.shape[1:]
    missing = [(0, -size % n) for size, n in zip(sizes, divided(divisor, len(sizes)), strict=True)]
    if any(map(any, missing)):
        image = np.pad(image, [(0, 0), *missing], mode="edge")
    return np.array(image, dtype=np.float32, order="C")
