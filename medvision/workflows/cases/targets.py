"""What one case states as a whole, once task and names are known, and what a network is trained on for it.

What all cases of a data set are labelled for, before there is a pipeline that says so, tells
:mod:`medvision.workflows.training_data.taught`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from medvision import io
from medvision.answers import Task
from medvision.errors import InputError
from medvision.pipeline import Settings
from medvision.report.wording import many
from medvision.study import Case, Flags, Numbers, Source

_LEAST_VALUES = 2  # to tell a standard deviation
_NAMED = 3  # trainings that a message names


def target_of(case: Case, settings: Settings) -> int | NDArray[np.float32]:
    """Return what a network is trained on for an image as a whole.

    Returns
    -------
    The number of the class; or (K,) float32: of several labels 1, 0 or NaN (not known) for each, of a regression the
    standardised values, NaN where one is not known.

    Raises
    ------
    InputError
        ``label-missing``: the case has no label of this pipeline; ``bad-labels``: its numbers do not fit the labels.
    PipelineError
        The mean and sd of a regression are not known yet; see :func:`with_scaling`.
    """
    if settings.task == "classification":
        return class_of(case, settings.labels)
    if settings.task == "multilabel":
        marks = marks_of(case, settings.labels)
        return np.array([np.nan if mark is None else mark for mark in marks], dtype=np.float32)
    pairs = zip(values_of(case, settings.labels), settings.regression, strict=True)
    outputs = [np.nan if value is None else quantity.standardised(value) for value, quantity in pairs]
    return np.array(outputs, dtype=np.float32)


def with_scaling(settings: Settings, cases: Sequence[Case]) -> Settings:
    """Return the settings with a regression's scale as measured on the training cases.

    Mean, standard deviation (over cases) and range of each value. What the settings state of them is that of an
    earlier training's cases, and goes. The settings of another task come back unchanged.

    Parameters
    ----------
    cases
        Those to train on, and no others: of several folds, all of them, so that the folds mean the same.

    Raises
    ------
    InputError
        A case has no value of this pipeline; or a value is known of fewer than two cases, or the same in all.
    """
    if settings.task != "regression":
        return settings
    rows = [values_of(case, settings.labels) for case in cases]
    quantities = []
    for number, quantity in enumerate(settings.regression):
        values = np.array([row[number] for row in rows if row[number] is not None], dtype=np.float64)
        if len(values) < _LEAST_VALUES or values.min() == values.max():
            name = settings.labels[number]
            text = f"{name} is known of {len(values)} cases, and has {len(np.unique(values))} different values"
            raise InputError("too-few-cases", text, cure="Train on cases whose values differ.")
        known = (float(values.min()), float(values.max()))
        quantities.append(replace(quantity, mean=float(values.mean()), sd=float(values.std(ddof=1)), known=known))
    return replace(settings, regression=tuple(quantities))


def require_known(trainings: Mapping[str, Sequence[Case]], settings: Settings) -> None:
    """Refuse trainings of a regression with a value that none of their cases states: nothing could be learnt of it.

    Parameters
    ----------
    trainings
        The cases to train on, by what the training is called; an only one may be called nothing.

    Raises
    ------
    InputError
        ``too-few-cases``: none states a value, in a training; or a case has no value of this pipeline.
    """
    if settings.task != "regression":
        return
    lacking: dict[str, list[str]] = {}
    for called, cases in trainings.items():
        rows = [values_of(case, settings.labels) for case in cases]
        for place, number in enumerate(sorted(settings.labels)):
            if all(row[place] is None for row in rows):
                words = f"none of {many(len(cases), 'training case')}" + (f" of {called}" if called else "")
                lacking.setdefault(settings.labels[number], []).append(words)
    if lacking:
        told = "; ".join(f"{name!r} is known of {_first(words)}" for name, words in lacking.items())
        cure = "Choose fewer folds or greater sizes, add cases that state it, or take that value out."
        raise InputError("too-few-cases", told, cure=cure)


def _first(words: Sequence[str]) -> str:
    further = len(words) - _NAMED
    return ", ".join(words[:_NAMED]) + (f", and so in {many(further, 'further training')}" if further > 0 else "")


def stated_of(case: Case, task: Task, labels: Mapping[int, str]) -> int | list[float | None]:
    """Return what a case states as a whole, as a fingerprint takes it: the units are the case's own.

    Parameters
    ----------
    task
        Any but a segmentation, whose labels are an image.
    labels
        The names of the classes, the labels or the values, numbered from 0.

    Raises
    ------
    InputError
        What :func:`class_of`, :func:`marks_of` or :func:`values_of` refuses.
    """
    if task == "classification":
        return class_of(case, labels)
    if task == "multilabel":
        return [None if mark is None else float(mark) for mark in marks_of(case, labels)]
    return list(values_of(case, labels))


def class_of(case: Case, labels: Mapping[int, str]) -> int:
    """Return the number of the case's class.

    Raises
    ------
    InputError
        It has none of these, or its data set counts the classes differently.
    """
    io.check_names(case, labels)
    if not isinstance(case.label, int) or case.label not in labels:
        text = f"case {case.id} has none of the classes {_known(labels)}"
        raise InputError("label-missing", text, path=case.path)
    return case.label


def marks_of(case: Case, labels: Mapping[int, str]) -> tuple[bool | None, ...]:
    """Return for each label, in their order, whether the case has it; None where that is not known.

    Raises
    ------
    InputError
        Nothing is stated; a number is none of these labels or stands there twice; the data set counts them
        differently; or there are more or fewer flags than labels.
    """
    io.check_names(case, labels)
    label, count = case.label, len(labels)
    if isinstance(label, Flags):
        if len(label.values) != count:
            text = f"case {case.id} has {len(label.values)} marks, wanted is one for each of the {count} labels"
            raise InputError("bad-labels", text, path=case.path)
        return label.values
    if label is None or isinstance(label, Source):
        cure = "Write the numbers of its labels, e.g. [0, 3], or [] for a case that has none."
        text = f"case {case.id} does not state which it has of {_known(labels)}"
        raise InputError("label-missing", text, path=case.path, cure=cure)
    stated = label if isinstance(label, Numbers) else Numbers((label,))
    named = [*stated.given, *stated.unknown]
    if not set(named) <= set(labels) or len(set(named)) != len(named):
        text = f"case {case.id} names what is not, or twice, one of {_known(labels)}"
        raise InputError("bad-labels", text, path=case.path)
    return tuple(None if number in stated.unknown else number in stated.given for number in range(count))


def values_of(case: Case, labels: Mapping[int, str]) -> tuple[float | None, ...]:
    """Return the case's values in their units, in the order of the labels; None where one is not known.

    Raises
    ------
    InputError
        It states no value, or more or fewer than there are names; or its data set counts them differently.
    """
    io.check_names(case, labels)
    wanted = ", ".join(labels[number] for number in sorted(labels))
    stated = Numbers((case.label,)) if isinstance(case.label, int) else case.label
    if not isinstance(stated, Numbers) or all(number is None for number in stated.given):
        cure = "Write its value, e.g. 61.5, or several with ; between them; or leave the case out."
        text = f"case {case.id} states no value; wanted: {wanted}"
        raise InputError("label-missing", text, path=case.path, cure=cure)
    if stated.unknown or len(stated.given) != len(labels):
        text = f"case {case.id} states {many(len(stated.given), 'value')}, wanted are {len(labels)}: {wanted}"
        raise InputError("bad-labels", text, path=case.path)
    return stated.given


def _known(labels: Mapping[int, str]) -> str:
    """Return numbers and names; a name that is made of its number says both."""
    return ", ".join(name if name.endswith(f" {n}") else f"{n} {name}" for n, name in sorted(labels.items()))
