"""Refuses trainings that would teach a network to mistake left for right."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from medvision.geometry import parse_orientation

if TYPE_CHECKING:
    from medvision.pipeline.settings import Settings

_WORDS = re.compile(r"[A-Z]+(?![a-z])\d*|[A-Z]?[a-z]+\d*")
_SIDES = {"l", "r", "lt", "rt", "lh", "rh", "sinister", "sinistra", "sinistrum", "dexter", "dextra", "dextrum"}
_STARTS = ("left", "right")
_SWAPPED = {"l": "r", "r": "l", "left": "right", "right": "left", "os": "od", "od": "os"}


def side_faults(settings: Settings) -> Iterator[str]:
    """Yield what of the augmentation would show left as right, or upright as turned, where that matters.

    Where labels have sides or the network knows one side, a sample mirrored along the left-right axis shows a right
    structure and calls it left; so does, by its place, one turned so far that left comes to the right. Where the
    orientation is to be checked by how well the network agrees with mirrored and turned images, none of those may be
    trained on. Which axis of the voxels is which follows from the last step `reorient`; without one, each may be any.
    """
    augmentation, dimensions = settings.train.augmentation.resolved(), settings.contract.dimensions
    place = "train.augmentation"
    for world, reason in _watched(settings):
        axis = voxel_axis(settings, world)
        what = "an axis that may run" if axis is None else f"axis {axis}, which runs"
        between = "from left to right" if world == 0 else "from front to back"
        told = "; no step `reorient` fixes the axes" if axis is None else ""
        if augmentation.probabilities.mirror and any(axis in (None, each) for each in augmentation.mirror_axes):
            yield f"{place}.mirror_axes: mirrored along {what} {between}, but {reason}{told}"
        if augmentation.probabilities.rotation and any(
            augmentation.turns_across(each, dimensions) for each in (range(dimensions) if axis is None else [axis])
        ):
            degrees = f"{augmentation.rotation_degrees:g} degrees"
            yield f"{place}.rotation_degrees: {degrees} can turn round {what} {between}, but {reason}{told}"


def voxel_axis(settings: Settings, world: int) -> int | None:
    """Return which axis of the network's grid runs along a world axis (0 is left-right); None where no step says so."""
    orders = [step.orientation for step in settings.steps if step.use == "reorient"]
    if not orders:
        return None
    return [axis for axis, _ in parse_orientation(orders[-1])].index(world)


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


def _watched(settings: Settings) -> Iterator[tuple[int, str]]:
    """Yield world axes along which no sample may be mirrored, with the reason."""
    names = sided(settings.labels.values())
    if names:
        yield 0, f"labels have sides ({', '.join(repr(name) for name in names[:2])})"
    elif settings.contract.side:
        yield 0, f"the network knows its structure as a {settings.contract.side} one (contract.side)"
    if settings.contract.orientation_check:
        reason = "such an image could no longer be told from an upright one (contract.orientation_check)"
        yield from ((world, reason) for world in (0, 1))


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
