"""Where windows lie on an image, and how much each of their voxels counts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Place = tuple[int, ...]


def starts(size: int, window: int, overlap: float) -> tuple[int, ...]:
    """Return where windows begin along an axis: evenly spaced, with at least the overlap asked for.

    Parameters
    ----------
    size
        Of the axis, in voxels; at least `window`.
    window
        In voxels.
    overlap
        Share of a window that neighbours have in common, 0 to below 1.

    References
    ----------
    Isensee et al., nnU-Net, Nature Methods 18, 203-211 (2021): windows overlap by half.

    Examples
    --------
    >>> starts(100, 40, 0.5)
    (0, 20, 40, 60)
    >>> starts(45, 40, 0.5), starts(40, 40, 0.5), starts(80, 40, 0.0)
    ((0, 5), (0,), (0, 40))
    """
    count = math.ceil((size - window) / (window * (1 - overlap))) + 1
    step = (size - window) / max(1, count - 1)
    return tuple(round(step * number) for number in range(count))


def stepped(size: int, window: int, overlap: float) -> tuple[int, ...]:
    """Return where windows begin along an axis, in steps of a window less the overlap; the last one ends with the axis.

    See :func:`starts` for the parameters. So does MONAI's sliding window.

    >>> stepped(100, 40, 0.5), stepped(45, 40, 0.25), stepped(40, 40, 0.5)
    ((0, 20, 40, 60), (0, 5), (0,))
    """
    step = max(1, int(window * (1 - overlap)))
    count = 1 + max(0, math.ceil((size - window) / step))
    return tuple(min(step * number, size - window) for number in range(count))


def bell(size: int) -> NDArray[np.float32]:
    """Return how much each voxel of a window counts along an axis: a Gaussian of an eighth of its size, 1 at most.

    >>> bell(8).astype(float).round(3).tolist()
    [0.0, 0.011, 0.135, 0.607, 1.0, 0.607, 0.135, 0.011]
    """
    away = (np.arange(size) - size // 2) / (size / 8)
    return np.exp(-0.5 * away**2).astype(np.float32)


@dataclass(frozen=True)
class Windows:
    """The windows on an image, in the order in which they are asked: the first axis of `order` is the slowest.

    Parameters
    ----------
    shape
        Of the image, in voxels.
    window
        In voxels, one size for each axis.
    overlap
        Share that neighbours have in common.
    order
        The axes, slowest first.
    even
        Whether they have one distance, or lie in steps.
    alike
        Whether all voxels of a window count alike.
    """

    shape: Place
    window: Place
    overlap: float
    order: Place
    even: bool = True
    alike: bool = False

    @cached_property
    def before(self) -> Place:
        """How many voxels are missing before the image along each axis where it is smaller than the window."""
        return tuple(max(0, width - size) // 2 for size, width in zip(self.shape, self.window, strict=True))

    @cached_property
    def padded(self) -> Place:
        """The shape of the image with what is missing to a window, before it and behind."""
        return tuple(max(size, width) for size, width in zip(self.shape, self.window, strict=True))

    @cached_property
    def along(self) -> tuple[tuple[int, ...], ...]:
        """Where the windows begin along each axis of the padded image."""
        place = starts if self.even else stepped
        return tuple(place(size, width, self.overlap) for size, width in zip(self.padded, self.window, strict=True))

    def __iter__(self) -> Iterator[Place]:
        """Yield where each window begins on the padded image."""
        back = np.argsort(self.order)
        for place in itertools.product(*(self.along[axis] for axis in self.order)):
            yield tuple(place[number] for number in back)

    def __len__(self) -> int:
        return math.prod(map(len, self.along))

    @cached_property
    def bells(self) -> tuple[NDArray[np.float32], ...]:
        """How much a window's voxels count along each axis; a voxel counts the product."""
        return tuple(np.ones(size, dtype=np.float32) if self.alike else bell(size) for size in self.window)

    @cached_property
    def sums(self) -> tuple[NDArray[np.float32], ...]:
        """What all windows count together along each axis of the padded image; a voxel counts the product."""
        return tuple(
            _summed(size, begins, weights)
            for size, begins, weights in zip(self.padded, self.along, self.bells, strict=True)
        )

    def cut(self, image: NDArray[np.float32], place: Sequence[int], padding: str) -> NDArray[np.float32]:
        """Return the part of an image (C, *spatial) that a window sees: (C, *window), padded where there is no image.

        Parameters
        ----------
        place
            Where the window begins on the padded image.
        padding
            ``"edge"`` or ``"zero"``.
        """
        inside, missing = [slice(None)], [(0, 0)]
        for begin, width, size, before in zip(place, self.window, self.shape, self.before, strict=True):
            first, last = begin - before, begin - before + width
            inside.append(slice(max(0, first), min(size, last)))
            missing.append((max(0, -first), max(0, last - size)))
        part = image[tuple(inside)]
        if not any(map(any, missing)):
            return part
        return np.pad(part, missing, mode="edge" if padding == "edge" else "constant")


def _summed(size: int, begins: Sequence[int], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    total = np.zeros(size, dtype=np.float32)
    for begin in begins:
        total[begin : begin + len(weights)] += weights
    return total
