"""Labels and values that a list states in its own text: a class, several labels, or real numbers."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.errors import InputError
from medvision.study import Flags, Label, Numbers

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_ITEM = re.compile(rf"{_NUMBER}|\?\d{{0,9}}", re.ASCII)
_LONG = 16  # digits: Python refuses to read whole numbers of thousands of them
_CURE = (
    "Write a class as 3, several labels as [0, 3] ([] for none, and ?5 where it is not known whether label 5 is there),"
    " values as 61.5;1.2 (? where one is not known)."
)


def stated_label(text: str) -> int | Numbers | None:
    """Return what the text of a cell states, or None where it is no number, and so the name of a file.

    Parameters
    ----------
    text
        A number; or several with ``;`` between them; or such a list in brackets, where ``,`` divides too. ``?`` is a
        number that is not known, ``?5`` says that of label 5 it is not known whether the case has it.

    Raises
    ------
    InputError
        ``bad-labels``: something else stands in brackets.

    Examples
    --------
    >>> stated_label("3"), stated_label("61.5"), stated_label("labels/a.nii.gz")
    (3, Numbers(given=(61.5,), unknown=()), None)
    >>> stated_label("0;3"), stated_label("[0, 3, ?5]"), stated_label("[]")
    (Numbers(given=(0.0, 3.0), unknown=()), Numbers(given=(0.0, 3.0), unknown=(5,)), Numbers(given=(), unknown=()))
    """
    text = text.strip()
    if text.isdecimal() and text.isascii() and len(text) < _LONG:
        return int(text)
    bracketed = text.startswith("[") and text.endswith("]")
    inside = text[1:-1].strip() if bracketed else text
    items = [item.strip() for item in re.split("[;,]" if bracketed else ";", inside)] if inside else []
    if not all(_ITEM.fullmatch(item) for item in items):
        if bracketed:
            raise InputError("bad-labels", "the list of labels or values cannot be read", cure=_CURE)
        return None
    given = tuple(None if item == "?" else float(item) for item in items if item == "?" or item[0] != "?")
    return Numbers(given, tuple(int(item[1:]) for item in items if item[0] == "?" and item != "?"))


def label_in_json(value: Any) -> int | Numbers | None:
    """Return what a value of a JSON file states; None where it is a text that names a file. See :func:`stated_label`.

    In a list ``null`` is a number that is not known.

    Raises
    ------
    InputError
        ``bad-labels``: it is neither a text, nor a number, nor a list of such.

    Examples
    --------
    >>> label_in_json([0, 3, "?5"]), label_in_json(61.5), label_in_json("a.nii.gz")
    (Numbers(given=(0.0, 3.0), unknown=(5,)), Numbers(given=(61.5,), unknown=()), None)
    """
    if isinstance(value, str):
        return stated_label(value)
    items = value if isinstance(value, list) else [value]
    # True is an int in Python, and no number in a list.
    if not all(item is None or (isinstance(item, str | int | float) and not isinstance(item, bool)) for item in items):
        raise InputError("bad-labels", "a label is a text, a number or a list of numbers", cure=_CURE)
    text = ";".join("?" if item is None else str(item) for item in items)
    return stated_label(f"[{text}]" if isinstance(value, list) else text)


def labels_in_rows(table: NDArray[Any], count: int) -> list[Label] | None:
    """Return what each row of an array states, or None where it states nothing that is known.

    Parameters
    ----------
    table
        (count,) or (count, 1) whole numbers: classes. (count, K) whole numbers: 1 where a case has a label, 0 where
        not, -1 where that is not known. (count,) or (count, K) real numbers: values, NaN where one is not known.
    count
        Number of cases.

    Examples
    --------
    >>> labels_in_rows(np.array([[0], [2]]), 2), labels_in_rows(np.array([[0, 1, -1]]), 1)
    ([0, 2], [Flags(values=(False, True, None))])
    >>> labels_in_rows(np.array([61.5, np.nan]), 2)
    [Numbers(given=(61.5,), unknown=()), Numbers(given=(None,), unknown=())]
    """
    if table.ndim not in (1, 2) or table.shape[0] != count or table.size == 0 or table.dtype.kind not in "iuf":
        return None
    rows = table.reshape(count, -1)
    if rows.dtype.kind == "f":
        return None if np.isinf(rows).any() else [Numbers(tuple(_known(v) for v in row)) for row in rows.tolist()]
    if rows.shape[1] == 1:
        return [int(row[0]) for row in rows]
    if not np.isin(rows, (-1, 0, 1)).all():
        return None
    return [Flags(tuple(None if mark < 0 else bool(mark) for mark in row)) for row in rows.tolist()]


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
