"""What the labels of a data set are made for, before there is a pipeline that says so: the task, and the names.

All cases together tell it, to a plan. What each case then states, :mod:`medvision.workflows.cases.targets` reads, for
plans and trainings alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from medvision.answers import Task
from medvision.errors import InputError
from medvision.fingerprint import CaseFigures
from medvision.study import Case, Flags, Numbers, Source

MOST = 1000
"""Labels at most: a greater number is more likely a value to predict, or an id."""


def task_of(cases: Sequence[Case]) -> Task:
    """Return what the labels of cases are made for.

    Images are a segmentation; a whole number each is a classification; flags and lists of numbers of labels are
    multilabel; real values are a regression.

    Raises
    ------
    InputError
        ``bad-labels``: some cases have label images, and others numbers.
    """
    labels = [case.label for case in cases]
    images = sum(isinstance(label, Source) for label in labels)
    if images == len(labels):
        return "segmentation"
    if images:
        text = f"{images} of {len(labels)} cases have a label image, the others numbers"
        raise InputError("bad-labels", text, cure="Give the cases of one task.")
    if all(isinstance(label, int) for label in labels):
        return "classification"
    given = [number for label in labels if isinstance(label, Numbers) for number in label.given]
    if any(number is not None and not number.is_integer() for number in given):
        return "regression"
    return "multilabel"


def names_of(cases: Sequence[Case], task: Task) -> dict[int, str]:
    """Return the names of labels, classes or values, as far as the cases tell: of unnamed label images, none.

    Raises
    ------
    InputError
        A case has no label of this task; two data sets name a number differently; or a number is too large for one of a
        label.
    """
    stated: dict[int, str] = {}
    for case in cases:
        for number, name in (case.label_names or {}).items():
            if stated.setdefault(number, name) != name:
                text = f"label {number} has two names in these data: {stated[number]!r} and {name!r}"
                raise InputError("bad-labels", text, path=case.path, cure="Give data sets that agree.")
    if task == "segmentation":
        return stated
    count = max(_count(case, task) for case in cases)
    if count > MOST:
        text = f"the numbers of labels go up to {count - 1:,}; {MOST - 1:,} is the most that is taken for a label"
        raise InputError("bad-labels", text, cure="For values to predict, give --task regression.")
    word = {"classification": "class", "regression": "value"}.get(task, "label")
    return {n: stated.get(n, f"{word} {n}") for n in range(count)}


def numbers_of(figures: Sequence[CaseFigures], names: Mapping[int, str], task: Task) -> list[int]:
    """Return the numbers of all labels: those that have names, or of unnamed label images those that occur.

    Raises
    ------
    InputError
        There is none.
    """
    found = set(names)
    if not found and task == "segmentation":
        found = {number for case in figures for number in case.labels or {}}
    if not found:
        raise InputError("label-missing", "no case has any label")
    return sorted(found)


def _count(case: Case, task: Task) -> int:
    """Return how many classes, labels or values there are, as far as one case tells."""
    label = case.label
    if isinstance(label, int):
        return 1 if task == "regression" else label + 1
    if task == "classification":
        raise InputError("label-missing", f"case {case.id} has no class that is a whole number", path=case.path)
    if isinstance(label, Flags):
        return len(label.values)
    if isinstance(label, Numbers):
        if task == "regression":
            return len(label.given)
        return int(max([-1, *(n for n in label.given if n is not None), *label.unknown])) + 1
    raise InputError("label-missing", f"case {case.id} has a label image, and no numbers", path=case.path)
