"""Dealing out patients: to two sides, to folds and to subsets, each of which gets its share of every kind of case."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from medvision.answers import Task
from medvision.study import Case

_MOST_LEVELS = 10  # groups of rising values
_LEAST_PATIENTS = 5  # in each: a fifth of them is one

Groups = Mapping[str, Sequence[Case]]
"""The cases of each patient, by :attr:`medvision.study.Case.patient_key`."""


def by_patient(cases: Iterable[Case]) -> dict[str, list[Case]]:
    """Return the cases of each patient, in the order of their keys."""
    groups: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        groups[case.patient_key].append(case)
    return {key: groups[key] for key in sorted(groups)}


def in_turn(groups: Groups, task: Task | None, *seed: int) -> list[str]:
    """Return the patients in a random order of which every start holds each kind of case in its share.

    Parameters
    ----------
    task
        Says what a kind is: a class; of several labels at once, a label; of a regression, a tenth of the patients by
        their first value (less where there are few). Images with labelled voxels are of one kind. None: the number
        that each case states, if any. A patient counts for the rarest kind among its cases.
    seed
        Numbers that decide the order.
    """
    strata = {name: patients for name, patients in _strata(groups, task).items() if patients}
    places: list[tuple[float, float, str]] = []
    for number, name in enumerate(sorted(strata)):
        generator = np.random.default_rng([*seed, number])
        members = generator.permutation(strata[name])
        # The n-th of a kind stands where n parts of its whole are passed: kinds mix evenly, whatever their sizes.
        places += [((n + 0.5) / len(members), float(generator.random()), str(key)) for n, key in enumerate(members)]
    return [key for *_, key in sorted(places)]


def in_parts(groups: Groups, count: int, task: Task | None, *seed: int) -> list[set[str]]:
    """Return the patients in `count` parts, each with its share of every kind of case; see :func:`in_turn`.

    They are dealt out kind by kind, the rarest first, each to the part that has the fewest cases of that kind's
    patients and, of equals, the fewest cases.
    """
    parts: list[set[str]] = [set() for _ in range(count)]
    sizes = [0] * count
    for number, patients in enumerate(_strata(groups, task).values()):
        own = [0] * count
        for index in np.random.default_rng([*seed, number]).permutation(len(patients)):
            key = patients[int(index)]
            part = min(range(count), key=lambda n: (own[n], sizes[n], n))
            parts[part].add(key)
            sizes[part] += len(groups[key])
            own[part] += len(groups[key])
    return parts


def _strata(groups: Groups, task: Task | None) -> dict[str, list[str]]:
    """Return the patients of each kind, the rarest kind first; each patient once."""
    kinds = _levels(groups) if task == "regression" else {key: _kinds(groups[key], task) for key in groups}
    counts = Counter(kind for each in kinds.values() for kind in each)
    strata: dict[str, list[str]] = {kind: [] for kind in sorted(counts, key=lambda kind: (counts[kind], kind))}
    for key in sorted(groups):
        present = set(kinds[key])
        strata[next(kind for kind in strata if kind in present)].append(key)
    return strata


def _kinds(cases: Sequence[Case], task: Task | None) -> list[str]:
    """Return the kinds of a patient's cases, one or more for each."""
    if task == "segmentation":
        return [""] * len(cases)
    return [kind for case in cases for kind in map(_name, case.stated or (None,))]


def _name(number: float | None) -> str:
    return "" if number is None else str(int(number)) if number == int(number) else str(number)


def _levels(groups: Groups) -> dict[str, list[str]]:
    """Return the one kind of each patient: which part of all patients it is in, by its mean first value."""
    values = {key: [case.stated[0] for case in cases if case.stated] for key, cases in groups.items()}
    known = sorted((float(np.mean(own)), key) for key, own in values.items() if own)
    count = min(_MOST_LEVELS, max(1, len(known) // _LEAST_PATIENTS))
    kinds = {key: [""] for key in groups}
    kinds.update({key: [f"{number * count // len(known)}"] for number, (_, key) in enumerate(known)})
    return kinds
