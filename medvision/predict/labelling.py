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
KeptArray = NDArray[np.uint8 | np.float16]
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


def labelled(
    slabs: Iterable[Slab], placing: Placing, settings: Prediction, *, classes: int, kept: KeptArray | None = None
) -> Labelling:
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
    kept
        (classes, I', J', K') float16, or uint8 of which 255 is 1: where the probabilities on the input's grid are
        written, e.g. a file that is mapped into memory; None keeps none. Beyond the network's grid, the background is
        certain.
    """
    kind: type[np.unsignedinteger[Any]] = np.uint8 if classes <= 256 else np.uint16
    seen = np.zeros(placing.source, dtype=kind)
    labels = np.zeros(placing.target, dtype=kind)
    entropy = np.zeros(placing.target, dtype=np.float32)
    sums = _Sums(classes)
    as_shares = settings.combine == "logits" and settings.brought_back == "probabilities"
    onto: _Onto | None = None
    if kept is not None:
        kept[0], kept[1:] = _as_kept(np.float32(1), kept), 0
    for slab in slabs:
        onto = onto or _Onto(placing, slab.axis, labels, entropy, kept, settings.combine == "logits" and not as_shares)
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
        onto.write(values, winner, undecided, slab.start)
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
    labels: LabelArray
    entropy: Array
    kept: KeptArray | None = None
    are_logits: bool = False
    done: int = 0  # planes of the target, in the order in which the source reaches them
    held: tuple[Array, LabelArray, Array] | None = None  # the source's last plane, which the next may need
    lines: tuple[Line, Line, Line] = field(init=False)  # the source's `axis` first, and so all arrays
    planes: NDArray[np.intp] = field(init=False)

    def __post_init__(self) -> None:
        first, second, third = (self.placing.lines[number] for number in self.placing.order(self.axis))
        self.lines = (first, second, third)
        planes = np.flatnonzero(first.inside)
        self.planes = planes[np.lexsort((first.share[planes], first.lower[planes]))]

    def write(self, values: Array, winner: LabelArray, entropy: Array, start: int) -> None:
        """Write all planes of the target whose neighbours are there by now.

        Parameters
        ----------
        values
            (K, n, B, C): planes of the source from `start` on.
        winner, entropy
            (n, B, C).
        """
        line, stop = self.lines[0], start + len(winner)
        ready = self.planes[self.done :]
        ready = ready[line.upper[ready] < stop]
        self.done += len(ready)
        between = ready[line.lower[ready] < start]
        if len(between):
            values_, winner_, entropy_ = self._with_held(values, winner, entropy)
            self._place(between, values_, winner_, entropy_, start - 1)
        rest = ready[len(between) :]
        for first in range(0, len(rest), _AT_ONCE):
            self._place(rest[first : first + _AT_ONCE], values, winner, entropy, start)
        self.held = values[:, -1:].copy(), winner[-1:], entropy[-1:]

    def _with_held(self, values: Array, winner: LabelArray, entropy: Array) -> tuple[Array, LabelArray, Array]:
        old = self.held
        if old is None:  # nothing lies before the first plane
            return values, winner, entropy
        both = np.concatenate([old[0], values[:, :1]], axis=1)
        return both, np.concatenate([old[1], winner[:1]]), np.concatenate([old[2], entropy[:1]])

    def _place(self, planes: NDArray[np.intp], values: Array, winner: LabelArray, entropy: Array, start: int) -> None:
        """Write some planes of the target."""
        lines = self._lines_of(planes, start)
        chosen, unlike = _neighbours(winner, lines)
        for at in _chunks(np.flatnonzero(unlike), _VOXELS):
            chosen.reshape(-1)[at] = _interpolated(values, lines, np.unravel_index(at, chosen.shape))
        outside = ~(lines[1].inside[:, None] & lines[2].inside[None, :])
        chosen[:, outside] = 0
        spread = blend(entropy, lines, [slice(None)] * 3)
        spread[:, outside] = 0
        self.placing.planes_first(self.labels, self.axis)[planes] = chosen
        self.placing.planes_first(self.entropy, self.axis)[planes] = spread
        if self.kept is not None:
            for one in range(len(planes)):  # of all classes, one plane is held
                self._keep(planes[one : one + 1], values, start, outside, self.kept)

    def _keep(
        self, plane: NDArray[np.intp], values: Array, start: int, outside: NDArray[np.bool_], kept: KeptArray
    ) -> None:
        """Write the probabilities of one plane of the target."""
        lines = self._lines_of(plane, start)
        means = np.stack([blend(each, lines, [slice(None)] * 3) for each in values])
        shares = softmax(means) if self.are_logits else means
        shares[:, :, outside] = 0
        shares[0][:, outside] = 1
        for whole, each in zip(kept, shares, strict=True):
            self.placing.planes_first(whole, self.axis)[plane] = _as_kept(each, kept)

    def _lines_of(self, planes: NDArray[np.intp], start: int) -> tuple[Line, Line, Line]:
        """Return how some planes of the target lie on planes of the source, of which the first is number `start`."""
        first, second, third = self.lines
        low, high = first.lower[planes] - start, first.upper[planes] - start
        return Line(first.axis, low, high, first.share[planes], first.inside[planes]), second, third


def _as_kept(shares: Any, kept: KeptArray) -> Any:
    """Return probabilities in the type in which they are kept."""
    return np.rint(255 * shares).astype(np.uint8) if kept.dtype == np.uint8 else shares.astype(np.float16)


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
