"""What belongs together: items in groups of one key, and names that are one however they are written."""

from __future__ import annotations

import unicodedata
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


def one_spelling(name: str) -> str:
    """Return a name without what no reader sees: its characters in one form, and no space around it.

    Unicode can write "é" as one character or as two, and a digit as wide as an ideograph; file systems and tables that
    are merged differ in it (Unicode Standard Annex 15, form NFKC). Characters that only say how to lay out text
    (category Cf: zero-width spaces, byte order marks) go.

    >>> one_spelling("Jose\u0301") == one_spelling("Jos\u00e9"), one_spelling("\uff501\u200b "), one_spelling("P-01")
    (True, 'p1', 'P-01')
    """
    seen = "".join(c for c in name if unicodedata.category(c) != "Cf")
    return unicodedata.normalize("NFKC", seen).strip()
