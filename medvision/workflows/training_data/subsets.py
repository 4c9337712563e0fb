"""Subsets of the training side: drawn by patient, with every class in its share, each within the next larger."""

from __future__ import annotations

from collections.abc import Sequence

from medvision.answers import Task
from medvision.errors import UsageError
from medvision.study import Case
from medvision.training.dealing import by_patient, in_turn

Sizes = tuple[int | None, ...]
"""Numbers of cases; None is all."""


def sizes_of(words: str) -> Sizes:
    """Return the sizes that ``--sizes`` names, in rising order.

    Raises
    ------
    UsageError
        One is no whole number above 0, and not ``all``; or one is named twice.

    Examples
    --------
    >>> sizes_of("50,all,100")
    (50, 100, None)
    """
    parts = [part.strip() for part in words.split(",")]
    for part in parts:
        if part != "all" and not (part.isdecimal() and part.isascii() and int(part) > 0):
            raise UsageError("usage", f"a size is a number of cases above 0, or all; got {part!r}")
    numbers = sorted(int(part) for part in parts if part != "all")
    if len(set(numbers)) < len(numbers) or parts.count("all") > 1:
        raise UsageError("usage", f"a size is named twice: {words}")
    return (*numbers, *([None] if "all" in parts else []))


def subset(
    cases: Sequence[Case], size: int | None, *, seed: int, repeat: int, task: Task | None = None
) -> tuple[Case, ...]:
    """Return as many cases as whole patients allow, at most `size`; all where that is None.

    Each kind of case is there in about its share of all, as :func:`medvision.training.dealing.in_turn` says of a task.
    For the same seed and repeat, a smaller subset lies within each larger one.

    Raises
    ------
    UsageError
        There are fewer cases than `size`, or the first patient drawn has more.
    """
    if size is None:
        return tuple(cases)
    if size > len(cases):
        raise UsageError("usage", f"a size of {size} is asked for, and {len(cases)} cases are there to train on")
    chosen: list[Case] = []
    groups = by_patient(sorted(cases, key=lambda case: case.id))
    for patient in (groups[key] for key in in_turn(groups, task, seed, 3, repeat)):
        if len(chosen) + len(patient) > size:
            break
        chosen.extend(patient)
    if not chosen:
        raise UsageError("usage", f"a size of {size} is asked for, and the first patient drawn has more cases")
    kept = {case.id for case in chosen}
    return tuple(case for case in cases if case.id in kept)
