"""Which names state a side of the body: the words for left and right, and pairs of names that differ by them alone.

Known are English, Latin, German and French words; of any language, names that differ by l and r alone.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator

_WORDS = re.compile(r"[A-Z]+(?![a-z])\d*|[A-Z]?[a-z]+\d*")
_LATIN = {"sinister": "dexter", "sinistra": "dextra", "sinistrum": "dextrum"}
_GERMAN = {"links": "rechts", "linke": "rechte", "linker": "rechter", "linkes": "rechtes"}
_FRENCH = {"gauche": "droite"}
_WHOLE = {**_LATIN, **_GERMAN, **_FRENCH}  # not "dx" and "sin", which mean a diagnosis, and without in Spanish
_RIGHT_OF = {"left": "right", **_WHOLE, "os": "od", "l": "r"}
_SWAPPED = {
    one: other for left in ("left", "os", "l") for one, other in itertools.permutations((left, _RIGHT_OF[left]))
}
_SIDES = {"l", "r", "lt", "rt", "lh", "rh", *_WHOLE, *_WHOLE.values()}
_STARTS = ("left", "right")
_LEFTS, _RIGHTS = {"l", "lt", "lh", *_WHOLE}, {"r", "rt", "rh", *_WHOLE.values()}
_LEFT = re.compile(
    "|".join(("left", *sorted(_WHOLE, reverse=True), r"(?<![a-z])os(?![a-z])", "(?<![a-z])l", "l(?![a-z])"))
)


def sided(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names that tell left from right: by a word, or as one of two that differ by the side alone.

    >>> sided(["Left kidney", "kidney_r", "LKidney", "lh", "Upright", "L4", "liver"])
    ('Left kidney', 'kidney_r', 'LKidney', 'lh')
    >>> sided(["LV", "RV", "lungl", "lungr", "myocardium"])
    ('LV', 'RV', 'lungl', 'lungr')
    """
    names = tuple(names)
    paired = {name for two in itertools.combinations(names, 2) if _differ_by_side(*two) for name in two}
    return tuple(name for name in names if name in paired or any(_says_side(word) for word in _WORDS.findall(name)))


def sided_pairs(names: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Return the pairs of names that differ in left and right alone, as (left, right).

    >>> sided_pairs(["Kidney left", "Kidney right", "Liver", "lung_L", "lung_R", "RV", "LV"])
    (('Kidney left', 'Kidney right'), ('lung_L', 'lung_R'), ('LV', 'RV'))
    """
    known = {name.lower(): name for name in names}
    right_of = {name: next((known[other] for other in _as_right(name) if other in known), None) for name in known}
    return tuple((known[name], right) for name, right in right_of.items() if right is not None)


def side_of(name: str) -> str | None:
    """Return the side that a name states, ``"left"`` or ``"right"``; None where it states none, or both.

    >>> [side_of(name) for name in ("Kidney_L", "rechte Niere", "RKidney", "left and right", "liver")]
    ['left', 'right', 'right', None, None]
    """
    words = [word.lower() for word in _WORDS.findall(name)]
    left = any(word.startswith("left") or word in _LEFTS for word in words)
    right = any(word.startswith("right") or word in _RIGHTS for word in words)
    return None if left == right else "left" if left else "right"


def _says_side(word: str) -> bool:
    word = word.lower()
    return word in _SIDES or word.startswith(_STARTS)


def _differ_by_side(one: str, other: str) -> bool:
    """Return whether two names are alike but for l and r, left and right, or OS and OD, at the edge of a word."""
    one, other = one.lower(), other.lower()
    start = len(_common(one, other))
    end = len(_common(one[start:][::-1], other[start:][::-1]))
    # "left" and "right" share their t, "os" and "od" their o: what stands around the difference is tried with it.
    for before, after in itertools.product(range(min(start, 1) + 1), range(min(end, 1) + 1)):
        ends = slice(start - before, len(one) - end + after), slice(start - before, len(other) - end + after)
        if _SWAPPED.get(one[ends[0]]) == other[ends[1]] and _at_edge(one, ends[0]):
            return True
    return False


def _common(one: str, other: str) -> str:
    pairs = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return "".join(letter for letter, _ in pairs)


def _at_edge(name: str, part: slice) -> bool:
    """Return whether a part of a name begins or ends a word."""
    return not name[: part.start][-1:].isalpha() or not name[part.stop :][:1].isalpha()


def _as_right(name: str) -> Iterator[str]:
    """Yield what the right one of a left name may be called: with every word for left exchanged, or one of them."""
    if "left" in name:
        yield name.replace("left", "right")
    for found in _LEFT.finditer(name):
        yield name[: found.start()] + _RIGHT_OF[found.group()] + name[found.end() :]
