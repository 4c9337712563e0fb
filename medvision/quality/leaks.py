"""Who stands on both sides of a split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from medvision.errors import Finding
from medvision.study import Case

_NAMED = 5


def check_patients(cases: Sequence[Case]) -> tuple[Finding, ...]:
    """Return a finding if patients stand in two splits, and one if that cannot be told of all cases.

    No patient is named: the cases are.
    """
    by_patient: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        if case.patient is not None:
            by_patient[case.patient].append(case)
    shared = [both for group in by_patient.values() if (both := one_of_each_split(group))]
    findings = []
    if shared:
        who = "a patient stands" if len(shared) == 1 else f"{len(shared)} patients stand"
        pairs = listed(" and ".join(f"case {case.id} ({case.split})" for case in both) for both in shared)
        findings.append(Finding("split-leak", "error", f"{who} in two splits: {pairs}"))
    unnamed = [case for case in cases if case.patient is None]
    if unnamed:
        split = any(case.split for case in cases)
        text = f"{len(unnamed)} of {len(cases)} cases name no patient (first: case {unnamed[0].id})"
        cannot = "patients in two splits cannot be found" if split else "a split cannot keep patients together"
        findings.append(Finding("split-ungrouped", "warning" if split else "note", f"{text}; {cannot}"))
    return tuple(findings)


def one_of_each_split(cases: Iterable[Case]) -> tuple[Case, ...]:
    """Return the first case of each split, if there are two splits or more among the cases; else none."""
    firsts: dict[str, Case] = {}
    for case in cases:
        if case.split is not None:
            firsts.setdefault(case.split, case)
    return tuple(firsts.values()) if len(firsts) > 1 else ()


def listed(texts: Iterable[str]) -> str:
    """Return the first few texts, and how many more there are.

    >>> listed("abcdefg")
    'a; b; c; d; e; and 2 more'
    """
    every = list(texts)
    more = [f"and {len(every) - _NAMED} more"] if len(every) > _NAMED else []
    return "; ".join([*every[:_NAMED], *more])
