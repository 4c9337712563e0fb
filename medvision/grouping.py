"""What belongs together: items in groups of one key."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

Item = TypeVar("Item")


def grouped(items: Iterable[Item], key: Callable[[Item], Hashable]) -> list[tuple[Item, ...]]:
    """Return the items of each key together, groups and items in the order in which they come.

    >>> grouped(["a1", "b2", "c1"], key=lambda name: name[1])
    [('a1', 'c1'), ('b2',)]
    """
    groups: dict[Hashable, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return [tuple(group) for group in groups.values()]
