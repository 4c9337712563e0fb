"""Cross-validation: every case is held out once, with all others of its patient."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from medvision.errors import InputError
from medvision.study import Case
from medvision.training.split import Split, group_by_patient, without_patient


def folds(cases: Sequence[Case], *, count: int, seed: int) -> tuple[Split, ...]:
    """Return `count` splits; each case is held out in one of them.

    A patient's cases stay together. Of a classification, each fold gets its share of every class: patients are dealt
    out class by class, the rarest first, each to the fold that has the fewest cases of that class and, of equals, the
    fewest cases. Cases marked ``"test"`` are left out of all; other marks have no effect.

    Parameters
    ----------
    seed
        Decides who is held out with whom; the order of the cases does not.

    Raises
    ------
    InputError
        There are fewer patients than folds, or a patient stands among the test cases too.
    """
    used = [case for case in cases if case.split != "test"]
    groups = group_by_patient(used, [case for case in cases if case.split == "test"])
    if len(groups) < count:
        message = f"{count} folds are wanted, and there are {len(groups)} patients"
        raise InputError("too-few-cases", message, cure="Ask for fewer folds, or add patients.")
    held = _dealt(groups, count, seed)
    findings = without_patient(used)
    return tuple(
        Split(
            tuple(case for name in sorted(groups) if name not in names for case in groups[name]),
            tuple(case for name in sorted(names) for case in groups[name]),
            findings,
        )
        for names in held
    )


def _dealt(groups: Mapping[str, Sequence[Case]], count: int, seed: int) -> list[set[str]]:
    classes = Counter(_class(case) for cases in groups.values() for case in cases)
    rarest_first = sorted(classes, key=lambda name: (classes[name], name))
    strata: dict[str, list[str]] = defaultdict(list)
    for name in sorted(groups):
        present = {_class(case) for case in groups[name]}
        strata[next(stratum for stratum in rarest_first if stratum in present)].append(name)
    held: list[set[str]] = [set() for _ in range(count)]
    sizes, of_class = [0] * count, {stratum: [0] * count for stratum in strata}
    for number, stratum in enumerate(rarest_first):
        names = strata.get(stratum, [])
        for index in np.random.default_rng([seed, 2, number]).permutation(len(names)):
            name = names[int(index)]
            fold = min(range(count), key=lambda n: (of_class[stratum][n], sizes[n], n))
            held[fold].add(name)
            sizes[fold] += len(groups[name])
            of_class[stratum][fold] += len(groups[name])
    return held


def _class(case: Case) -> str:
    return str(case.label) if isinstance(case.label, int | tuple) else ""
