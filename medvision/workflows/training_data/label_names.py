"""What a data set calls the labels that a pipeline has names for: numbers alone do not say that the same is meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence

from medvision.errors import Finding, InputError
from medvision.sides import side_of
from medvision.study import Case

_LIKE = 0.8  # of two spellings: "tumor" and "tumour" have 0.91, "anterior" and "posterior" 0.71
_LEAST_LETTERS = 3  # of a word that two names share
_SAYS_NOTHING = re.compile(r"(label|class|value|structure|region|object|roi|segment|mask|foreground)?[\W_]*\d*")
_OF_SIDES = {"left", "right", "both", "and", "the", "with", "without", "not"}  # shared by names of different things


def named_otherwise(cases: Iterable[Case], labels: Mapping[int, str]) -> list[tuple[int, str]]:
    """Return the numbers that are labels here and have another name in the data, each with that name, in order.

    Parameters
    ----------
    cases
        With the names that their data sets state, if any.
    labels
        The names that are meant here.
    """
    stated = {pair for case in cases for pair in (case.label_names or {}).items()}
    return sorted((n, name) for n, name in stated if n in labels and name.casefold() != labels[n].casefold())


def require_same_names(cases: Sequence[Case], labels: Mapping[int, str]) -> None:
    """Refuse to learn from labels that have plainly other names than the pipeline's: they are other structures.

    Names that a number alone tells apart (``label 1``) say nothing, and are passed over.

    Raises
    ------
    InputError
        ``bad-labels``: a name states the other side, or is like that of another number; or none is like the
        pipeline's.
    """
    others = [(n, name) for n, name in named_otherwise(cases, labels) if _says(name) and _says(labels[n])]
    cure = "Where the same is meant, use one name for it in the data set and in `labels` of the pipeline."
    for number, name in others:
        meant = [n for n, ours in labels.items() if n != number and _alike(name, ours)]
        swapped = {side_of(name), side_of(labels[number])} == {"left", "right"}
        if swapped or (meant and not _alike(name, labels[number])):
            like = f", and its name is like that of {meant[0]}, {labels[meant[0]]!r}" if meant else ""
            text = f"the data set calls label {number} {name!r}, which is {labels[number]!r} here{like}"
            raise InputError("bad-labels", text, path=cases[0].path, cure=cure)
    stated = {pair for case in cases for pair in (case.label_names or {}).items() if pair[0] in labels}
    if others and len(others) == len(stated) and not any(_alike(name, labels[n]) for n, name in others):
        told = ", ".join(f"{n} {name!r} ({labels[n]!r} here)" for n, name in others)
        text = f"the data set has no label of the pipeline by its name; it calls {told}"
        raise InputError("bad-labels", text, path=cases[0].path, cure=cure)


def name_findings(cases: Iterable[Case], labels: Mapping[int, str]) -> list[Finding]:
    """Return a finding where labels have other names in the data that may mean the same: a person must say."""
    others = [(n, name) for n, name in named_otherwise(cases, labels) if _says(name) and _says(labels[n])]
    if not others:
        return []
    told = ", ".join(f"{n} {name!r} ({labels[n]!r} here)" for n, name in others)
    return [Finding("label-names-differ", "warning", f"labels were taken by number; the data set calls {told}")]


def _says(name: str) -> bool:
    """Say whether a name says what is meant, beside a number."""
    return _SAYS_NOTHING.fullmatch(name.casefold()) is None


def _alike(one: str, other: str) -> bool:
    """Say whether two names may mean the same: spelt alike, with a word in common, or one made of the other's initials.

    >>> _alike("Tumour", "tumor core"), _alike("LV", "left ventricle"), _alike("liver", "spleen")
    (True, True, False)
    >>> _alike("left kidney", "left lung"), _alike("grade 1", "grade 2")
    (False, False)
    """
    if (numbers := re.findall(r"\d+", one)) and (others := re.findall(r"\d+", other)) and numbers != others:
        return False
    words = [re.findall(r"[^\W\d_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)) for name in (one, other)]
    first, second = ([word.casefold() for word in each] for each in words)
    if any(_spelt_alike(a, b) for a in _telling(first) for b in _telling(second)):
        return True
    initials = ["".join(word[0] for word in each) for each in (first, second)]
    joined = ["".join(each) for each in (first, second)]
    short = any(len(a) > 1 and a == b for a, b in zip(initials, reversed(joined), strict=True))
    return short or _spelt_alike(*joined)


def _telling(words: Sequence[str]) -> list[str]:
    return [word for word in words if len(word) >= _LEAST_LETTERS and word not in _OF_SIDES]


def _spelt_alike(one: str, other: str) -> bool:
    return difflib.SequenceMatcher(None, one, other).ratio() >= _LIKE
