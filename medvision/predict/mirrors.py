"""Along which axes an image is mirrored."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations


def mirrors(axes: Sequence[int]) -> list[tuple[int, ...]]:
    """Return the choices of axes along which an image is mirrored, from none to all of them.

    >>> mirrors((0, 2))
    [(), (0,), (2,), (0, 2)]
    """
    return [part for count in range(len(axes) + 1) for part in combinations(axes, count)]
