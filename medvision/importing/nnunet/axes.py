"""Which axes of nnU-Net are which of ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

_Each = TypeVar("_Each")


@dataclass(frozen=True)
class Axes:
    """The axes of the network's grid, ours beside those of nnU-Net.

    nnU-Net reads a file with its axes in the opposite order, k, j, i, and transposes them as the plans say. Here the
    network's grid has the axes of the file, and kernels, windows and strides are turned instead. A network of two
    dimensions sees slices along nnU-Net's first axis, and ours along the last one.

    Parameters
    ----------
    order
        Which of nnU-Net's axes, of those that the network sees, each of ours is.
    transposed
        The order of the file's axes in the network's grid; None where it is that of the file.
    """

    order: tuple[int, ...]
    transposed: tuple[Any, Any, Any] | None = None

    @classmethod
    def of(cls, transpose_forward: Sequence[int], dimensions: int) -> Axes:
        """Return the axes for the ``transpose_forward`` of a plan.

        >>> Axes.of((0, 1, 2), 3), Axes.of((2, 0, 1), 2)
        (Axes(order=(2, 1, 0), transposed=None), Axes(order=(1, 0), transposed=(1, 2, 0)))
        """
        ours = [2 - axis for axis in transpose_forward]
        if dimensions == 3:
            return cls(tuple(ours.index(axis) for axis in range(3)))
        across, *seen = ours
        kept = sorted(seen)
        i, j, k = (*kept, across)
        return cls(tuple(seen.index(axis) for axis in kept), None if (i, j, k) == (0, 1, 2) else (i, j, k))

    def turned(self, row: Sequence[_Each]) -> tuple[_Each, ...]:
        """Return what nnU-Net states of each of its axes in the order of ours."""
        return tuple(row[axis] for axis in self.order)

    def ours(self, axis: int) -> int:
        """Return which of our axes one of nnU-Net's is."""
        return self.order.index(axis)
