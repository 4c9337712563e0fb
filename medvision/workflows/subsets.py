"""Subsets of the training side: drawn by patient, with every class in its share, each within the next larger."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from medvision.errors import UsageError
from medvision.study import Case, Source
from medvision.workflows.runs import patients_of

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


def subset(cases: Sequence[Case], size: int | None, *, seed: int, repeat: int) -> tuple[Case, ...]:
    """Return as many cases as whole patients allow, at most `size`; all where that is None.

    Of a classification, each class is there in about its share of all cases, a patient counting for the rarest class
    that it has. For the same seed and repeat, a smaller subset lies within each larger one.

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
    for patient in _order(cases, seed, repeat):
        if len(chosen) + len(patient) > size:
            break
        chosen.extend(patient)
    if not chosen:
        raise UsageError("usage", f"a size of {size} is asked for, and the first patient drawn has more cases")
    kept = {case.id for case in chosen}
    return tuple(case for case in cases if case.id in kept)


def _order(cases: Sequence[Case], seed: int, repeat: int) -> list[list[Case]]:
    """Return the cases of each patient, patients in an order in which every start holds each class in its share."""
    patients: dict[str, list[Case]] = defaultdict(list)
    names = patients_of(cases)
    for case in sorted(cases, key=lambda case: case.id):
        patients[names[case.id]].append(case)
    classes = Counter(_class(case) for case in cases)
    strata: dict[str, list[str]] = defaultdict(list)
    for name in sorted(patients):
        strata[min((_class(case) for case in patients[name]), key=lambda c: (classes[c], c))].append(name)
    places: list[tuple[float, float, str]] = []
    for number, stratum in enumerate(sorted(strata)):
        generator = np.random.default_rng([seed, 3, repeat, number])
        members = generator.permutation(strata[stratum])
        # The n-th of a class stands where n parts of its whole are passed: classes mix evenly, whatever their sizes.
        places += [((n + 0.5) / len(members), float(generator.random()), str(name)) for n, name in enumerate(members)]
    return [patients[name] for *_, name in sorted(places)]


def _class(case: Case) -> str:
    return "" if isinstance(case.label, Source) else str(case.label)
