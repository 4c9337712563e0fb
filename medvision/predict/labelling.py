"""Labels from a network's answer, on its own grid and on the input's, without ever holding all classes at full size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.placing import Line, Placing, blend
from medvision.predict.settings import Prediction
from medvision.predict.sliding import Array, Slab, probabilities, softmax

LabelArray = NDArray[np.unsignedinteger[Any]]
_AT_ONCE = 16  # planes of the target, and of the source
_VOXELS = 1 << 18  # whose classes are interpolated at once


@dataclass(frozen=True, eq=False)
class Labelling:
    """What a network says of every voxel.

    Parameters
    ----------
    seen
        (I, J, K) the most probable label, on the network's grid.
    labels
        (I', J', K') the most probable label, on the input's grid; 0 beyond the network's.
    entropy
        (I', J', K') float32: how undecided the network is, in bit; that of its own grid, brought to the input's.
    confidence
        The mean probability of each label that is found, background too, over its own voxels of the network's grid.
    agreement
        How far the labels agree with the probabilities that they come from, 0 to 1: the mean over labels of the soft
        Dice between the probability of a label and its own mask, which is the Dice to be expected if the probabilities
        were right. A label that is found nowhere counts 0.
    """

    seen: LabelArray
    labels: LabelArray
    entropy: Array
    confidence: dict[int, float]
    agreement: float


def labelled(slabs: Iterable[Slab], placing: Placing, settings: Prediction, *, classes: int) -> Labelling:
    """Return the labels of an image from the answer to it.

    What is averaged (`combine` of the settings), or its probabilities (`brought_back`), is brought to the input's grid,
    and only there the largest is taken.

    Parameters
    ----------
    slabs
        See :func:`medvision.predict.slabs`.
    placing
        From the network's grid to the input's.
    classes
        With the background.
    """
    kind: type[np.unsignedinteger[Any]] = np.uint8 if classes <= 256 else np.uint16
    seen = np.zeros(placing.source, dtype=kind)
    labels = np.zeros(placing.target, dtype=kind)
    entropy = np.zeros(placing.target, dtype=np.float32)
    sums = _Sums(classes)
    as_shares = settings.combine == "logits" and settings.brought_back == "probabilities"
    onto: _Onto | None = None
    for slab in slabs:
        onto = onto or _Onto(placing, slab.axis)
        values = np.moveaxis(slab.values, 1 + slab.axis, 1)
        values = values if values[0].flags.c_contiguous else np.ascontiguousarray(values)
        values = softmax(values) if as_shares else values
        winner = largest(values).astype(kind)
        undecided = np.empty(winner.shape, dtype=np.float32)
        for first in range(0, len(winner), _AT_ONCE):
            part = slice(first, first + _AT_ONCE)
            shares = values[:, part] if as_shares else probabilities(values[:, part], settings)
            undecided[part] = sums.add(winner[part], shares)
        np.moveaxis(seen, slab.axis, 0)[slab.start : slab.stop] = winner
        onto.write(values, winner, undecided, slab.start, labels, entropy)
    return Labelling(seen, labels, entropy, sums.confidence(), sums.agreement())


def largest(values: Array) -> NDArray[np.uint16]:
    """Return the index along the first axis of the largest value of (K, ...); the first of equal ones."""
    best = values[0].copy()
    winner = np.zeros(best.shape, dtype=np.uint16)
    for number, each in enumerate(values[1:], 1):
        better = each > best
        np.copyto(best, each, where=better)
        winner[better] = number
    return winner


class _Sums:
    """What the network says over the whole image."""

    def __init__(self, classes: int) -> None:
        self.voxels = np.zeros(classes, dtype=np.int64)
        self.everywhere = np.zeros(classes)  # the probability of each label
        self.inside = np.zeros(classes)  # that of each label over its own voxels

    def add(self, winner: LabelArray, shares: Array) -> Array:
        """Count a part of the image, and return its entropy in bit."""
        entropy = np.zeros(winner.shape, dtype=np.float32)
        for number, each in enumerate(shares):
            mask = winner == number
            self.voxels[number] += np.count_nonzero(mask)
            self.everywhere[number] += each.sum(dtype=np.float64)
            self.inside[number] += each[mask].sum(dtype=np.float64)
            positive = np.where(each > 0, np.minimum(each, 1), 1)  # 0 log 0 is 0
            entropy -= positive * np.log2(positive)
        return entropy + np.float32(0)

    def confidence(self) -> dict[int, float]:
        return {n: float(self.inside[n] / count) for n, count in enumerate(self.voxels) if count}

    def agreement(self) -> float:
        both = self.everywhere + self.voxels + 1e-6
        return float(np.mean(2 * self.inside[1:] / both[1:]))


@dataclass
class _Onto:
    """What is final on the network's grid is brought to the input's, as planes across one axis follow each other."""

    placing: Placing
    axis: int
    done: int = 0  # planes of the target, in the order in which the source reaches them
    held: tuple[Array, LabelArray, Array] | None = None  # the source's last plane, which the next may need
    lines: tuple[Line, Line, Line] = field(init=False)  # the source's `axis` first, and so all arrays
    planes: NDArray[np.intp] = field(init=False)

    def __post_init__(self) -> None:
        first, second, third = (self.placing.lines[number] for number in self.placing.order(self.axis))
        self.lines = (first, second, third)
        planes = np.flatnonzero(first.inside)
        self.planes = planes[np.lexsort((first.share[planes], first.lower[planes]))]

    def write(
        self, values: Array, winner: LabelArray, entropy: Array, start: int, labels: LabelArray, map_: Array
    ) -> None:
        """Write all planes of the target whose neighbours are there by now.

        Parameters
        ----------
        values
            (K, n, B, C): planes of the source from `start` on.
        winner, entropy
            (n, B, C).
        labels, map_
            On the target's grid: what is written to.
        """
        line, stop = self.lines[0], start + len(winner)
        ready = self.planes[self.done :]
        ready = ready[line.upper[ready] < stop]
        self.done += len(ready)
        views = self.placing.planes_first(labels, self.axis), self.placing.planes_first(map_, self.axis)
        between = ready[line.lower[ready] < start]
        if len(between):
            values_, winner_, entropy_ = self._with_held(values, winner, entropy)
            self._place(between, values_, winner_, entropy_, start - 1, *views)
        rest = ready[len(between) :]
        for first in range(0, len(rest), _AT_ONCE):
            self._place(rest[first : first + _AT_ONCE], values, winner, entropy, start, *views)
        self.held = values[:, -1:].copy(), winner[-1:], entropy[-1:]

    def _with_held(self, values: Array, winner: LabelArray, entropy: Array) -> tuple[Array, LabelArray, Array]:
        old = self.held
        if old is None:  # nothing lies before the first plane
            return values, winner, entropy
        both = np.concatenate([old[0], values[:, :1]], axis=1)
        return both, np.concatenate([old[1], winner[:1]]), np.concatenate([old[2], entropy[:1]])

    def _place(
        self,
        planes: NDArray[np.intp],
        values: Array,
        winner: LabelArray,
        entropy: Array,
        start: int,
        labels: LabelArray,
        map_: Array,
    ) -> None:
        """Write some planes of the target; `labels` and `map_` are views with these planes first."""
        first = self.lines[0]
        low, high = first.lower[planes] - start, first.upper[planes] - start
        here = Line(first.axis, low, high, first.share[planes], first.inside[planes])
        lines = (here, *self.lines[1:])
        chosen, unlike = _neighbours(winner, lines)
        for at in _chunks(np.flatnonzero(unlike), _VOXELS):
            chosen.reshape(-1)[at] = _interpolated(values, lines, np.unravel_index(at, chosen.shape))
        outside = ~(lines[1].inside[:, None] & lines[2].inside[None, :])
        chosen[:, outside] = 0
        spread = blend(entropy, lines, [slice(None)] * 3)
        spread[:, outside] = 0
        labels[planes], map_[planes] = chosen, spread


def _neighbours(winner: LabelArray, lines: tuple[Line, ...]) -> tuple[LabelArray, NDArray[np.bool_]]:
    """Return the label that all neighbours of a voxel have, and where they have not one.

    Where they have, it is the voxel's too: no mean of theirs can be larger for another one.
    """
    least = most = winner
    for axis, line in enumerate(lines):
        if line.moves:
            same = least is most
            least = least.take(line.lower, axis=axis)
            most = least if same else most.take(line.lower, axis=axis)
            continue
        least = np.minimum(least.take(line.lower, axis=axis), least.take(line.upper, axis=axis))
        most = np.maximum(most.take(line.lower, axis=axis), most.take(line.upper, axis=axis))
    return least, least != most


def _interpolated(values: Array, lines: tuple[Line, ...], at: tuple[NDArray[np.intp], ...]) -> NDArray[np.uint16]:
    """Return which class is largest at some voxels of the target, from the eight neighbours of each."""
    corners = [(np.zeros(len(at[0]), dtype=np.intp), np.ones(len(at[0]), dtype=np.float32))]
    for line, index, size in zip(lines, at, values.shape[1:], strict=True):
        share = line.share[index]
        sides = ((line.lower[index], 1 - share), (line.upper[index], share))
        if line.moves:
            sides = ((line.lower[index], np.ones_like(share)),)  # type: ignore[assignment]
        corners = [(flat * size + side, weight * part) for flat, weight in corners for side, part in sides]
    means = np.empty((len(values), len(at[0])), dtype=np.float32)
    for number, each in enumerate(values):
        plane = each.reshape(-1)
        means[number] = sum(plane[flat] * weight for flat, weight in corners)
    return largest(means)


def _chunks(found: NDArray[np.intp], size: int) -> Iterator[NDArray[np.intp]]:
    for first in range(0, len(found), size):
        yield found[first : first + size]
