"""What the labels of a data set are made for, before there is a pipeline that says so: the task, and the names.

All cases together tell it, to a plan. What each case then states, :mod:`medvision.workflows.cases.targets` reads, for
plans and trainings alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from medvision.answers import Task
from medvision.errors import InputError
from medvision.fingerprint import CaseFigures
from medvision.report.wording import listed
from medvision.study import Case, Flags, Numbers, Source

MOST = 1000
"""Labels at most: a greater number is more likely a value to predict, or an id."""

_MOST_NAMED = 6  # in a line


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
        A case has no label of this task; two data sets name a number differently; a label has no name, or that of
        another; a number is too large for one of a label; or label images have names for numbers with gaps.
    """
    stated: dict[int, str] = {}
    for case in cases:
        for number, name in (case.label_names or {}).items():
            if stated.setdefault(number, name) != name:
                text = f"label {number} has two names in these data: {stated[number]!r} and {name!r}"
                raise InputError("bad-labels", text, path=case.path, cure="Give data sets that agree.")
    _require_own_names(stated, cases[0].path)
    if task == "segmentation":
        _require_no_gaps(stated, cases[0].path)
        return stated
    count = max(_count(case, task) for case in cases)
    if count > MOST:
        text = f"the numbers of labels go up to {count - 1:,}; {MOST - 1:,} is the most that is taken for a label"
        raise InputError("bad-labels", text, cure="For values to predict, give --task regression.")
    word = {"classification": "class", "regression": "value"}.get(task, "label")
    return {n: stated.get(n, f"{word} {n}") for n in range(count)}


def numbers_of(
    figures: Sequence[CaseFigures], names: Mapping[int, str], task: Task, *, path: Path | None = None
) -> list[int]:
    """Return the numbers of all labels: those that have names, or of unnamed label images those that occur.

    Parameters
    ----------
    path
        Where the data lie, for messages.

    Raises
    ------
    InputError
        There is none; or label images are numbered with gaps.
    """
    found = set(names)
    if not found and task == "segmentation":
        found = {number for case in figures for number in case.labels or {}}
        _require_no_gaps(found, path)
    if not found:
        raise InputError("label-missing", "no case has any label", path=path)
    return sorted(found)


def _require_own_names(names: Mapping[int, str], path: Path) -> None:
    """Refuse labels that the data set gives an empty name, or the name of another."""
    numbers: dict[str, int] = {}
    for number, name in sorted(names.items()):
        if not name or numbers.setdefault(name, number) != number:
            fault = f"the name of label {numbers[name]}, {name!r}" if name else "an empty name"
            text = f"the data set gives label {number} {fault}"
            raise InputError("bad-labels", text, path=path, cure="Give each label a name of its own in the data set.")


def _require_no_gaps(numbers: Iterable[int], path: Path | None) -> None:
    """Refuse label images whose numbers are not 1, 2, 3 ...: a network has one output for each, in their order."""
    moved = [(old, new) for new, old in enumerate(sorted(numbers), 1) if old != new]
    if not moved:
        return
    held = _few([str(number) for number in sorted(numbers)])
    text = f"the labels are numbered {held}; those of a pipeline are numbered from 1 without gaps"
    told = _few([f"{old} becomes {new}" for old, new in moved])
    raise InputError("bad-labels", text, path=path, cure=f"Write the label images anew: {told}.")


def _few(words: list[str]) -> str:
    """Return words as part of a sentence, and of many the first few.

    >>> _few(["3", "255"]), _few(list("abcdefgh"))
    ('3 and 255', 'a, b, c, d, e and 3 more')
    """
    return listed(
        words if len(words) <= _MOST_NAMED else [*words[: _MOST_NAMED - 1], f"{len(words) - _MOST_NAMED + 1} more"]
    )


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
