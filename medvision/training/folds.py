"""Cross-validation: every case is held out once, with all others of its patient."""

from __future__ import annotations

from collections.abc import Sequence

from medvision.answers import Task
from medvision.errors import InputError, UsageError
from medvision.study import Case
from medvision.training.dealing import in_parts
from medvision.training.split import Split, alike_patients, group_by_patient, without_patient

_LEAST = 2


def folds(cases: Sequence[Case], *, count: int, seed: int, task: Task | None = None) -> tuple[Split, ...]:
    """Return `count` splits; each case is held out in one of them.

    A patient's cases stay together, and each fold gets its share of every kind of case; see
    :func:`medvision.training.dealing.in_parts`. Cases marked ``"test"`` are left out of all; other marks have no
    effect.

    Parameters
    ----------
    seed
        Decides who is held out with whom; the order of the cases does not.
    task
        Says what kinds of cases there are; see :func:`medvision.training.dealing.in_turn`.

    Raises
    ------
    UsageError
        Fewer than two are asked for.
    InputError
        There are fewer patients than folds, or a patient stands among the test cases too.
    """
    if count < _LEAST:
        raise UsageError("usage", f"two folds at least are needed, got {count}", cure="Ask for 5, or for 2 or more.")
    used = [case for case in cases if case.split != "test"]
    groups = group_by_patient(used, [case for case in cases if case.split == "test"])
    if len(groups) < count:
        patients = "is 1 patient" if len(groups) == 1 else f"are {len(groups)} patients"
        message = f"{count} folds are wanted, and there {patients}"
        raise InputError("too-few-cases", message, cure="Ask for fewer folds, or add patients.")
    held = in_parts(groups, count, task, seed, 2)
    findings = (*without_patient(used), *alike_patients(cases))
    return tuple(
        Split(
            tuple(case for name in sorted(groups) if name not in names for case in groups[name]),
            tuple(case for name in sorted(names) for case in groups[name]),
            findings,
        )
        for names in held
    )
