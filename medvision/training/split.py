"""Who trains and who validates: patients are kept together, and copies are found."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from medvision.answers import Task
from medvision.errors import Finding, InputError
from medvision.grouping import grouped, one_spelling
from medvision.study import Case
from medvision.training.dealing import by_patient, in_turn


@dataclass(frozen=True)
class Split:
    """The cases to train on and to validate on, and what was noticed about them."""

    train: tuple[Case, ...]
    val: tuple[Case, ...]
    findings: tuple[Finding, ...] = ()

    def undivided(self) -> Split:
        """Return all its cases as those to train on: nobody is held out."""
        return Split((*self.train, *self.val), (), self.findings)


def split(cases: Sequence[Case], *, validation: float, seed: int, task: Task | None = None) -> Split:
    """Return the split that the data set fixes, or else one that keeps every patient's cases together.

    Both sides get their share of every kind of case, as far as whole patients allow.
    A fixed split is used as it stands; of one that names nobody to validate on, a share of its training side is held
    out. Cases marked ``"test"`` are left out of both sides, always, and no other case may be of their patients.

    Parameters
    ----------
    validation
        Share of patients held out, where the data set fixes nothing.
    seed
        Decides who is held out; the order and the number of other cases of a patient do not.
    task
        Says what kinds of cases there are; see :func:`medvision.training.dealing.in_turn`.

    Raises
    ------
    InputError
        One side is empty, some cases name a split and others do not, or a patient stands on two of its sides.
    """
    test = [case for case in cases if case.split == "test"]
    named = {case.split for case in cases}
    unmarked = [case.id for case in cases if case.split is None]
    if unmarked and named & {"train", "val"}:
        raise InputError("bad-manifest", f"some cases name a split, others do not, first: {unmarked[0]}")
    if "val" in named:
        found = Split(
            tuple(case for case in cases if case.split == "train"), tuple(case for case in cases if case.split == "val")
        )
    else:
        found = _grouped([case for case in cases if case.split != "test"], test, validation, seed, task)
    found = replace(found, findings=(*found.findings, *alike_patients(cases)))
    _refuse_shared_patients(found.train, found.val, "trained on")
    _refuse_shared_patients((*found.train, *found.val), test, "trained or validated on")
    if not found.train or not found.val:
        raise InputError(
            "too-few-cases",
            f"a side of the split is empty: {len(found.train)} to train on, {len(found.val)} to validate on",
        )
    return found


def copies(split: Split, digests: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the ids of each validation image and of one of the training images that it is a copy of, in order.

    Parameters
    ----------
    digests
        The hash of each case's voxels, by case id.
    """
    trained = {case.id for case in split.train}
    groups = grouped((case.id for case in (*split.train, *split.val)), key=digests.__getitem__)
    return sorted((one, group[0]) for group in groups if group[0] in trained for one in group if one not in trained)


def group_by_patient(cases: Sequence[Case], test: Sequence[Case]) -> dict[str, list[Case]]:
    """Return the cases of each patient; a case that names none is a patient of its own.

    Raises
    ------
    InputError
        A patient stands among the `test` cases too.
    """
    _refuse_shared_patients(cases, test, "trained or validated on")
    return by_patient(cases)


def without_patient(cases: Sequence[Case]) -> tuple[Finding, ...]:
    """Return a finding where cases name no patient."""
    alone = sum(case.patient is None for case in cases)
    if not alone:
        return ()
    message = f"{alone} of {len(cases)} cases name no patient; each counts as a patient of its own"
    return (Finding("split-ungrouped", "warning", message),)


def alike_patients(cases: Sequence[Case]) -> tuple[Finding, ...]:
    """Return a finding where names of patients differ in upper and lower case or leading zeros alone."""
    names: dict[str, set[str]] = defaultdict(set)
    for patient in {case.patient for case in cases if case.patient is not None}:
        plain = one_spelling(patient.casefold())  # folding can take characters apart
        names[re.sub(r"\d+", lambda digits: f"{int(digits[0])}", plain)].add(patient)
    alike = sum(len(same) for same in names.values() if len(same) > 1)
    if not alike:
        return ()
    total = sum(map(len, names.values()))
    message = f"{alike} of {total} patients are named like another but for case or leading zeros"
    return (Finding("patients-alike", "note", message),)


def _grouped(cases: Sequence[Case], test: Sequence[Case], validation: float, seed: int, task: Task | None) -> Split:
    groups = group_by_patient(cases, test)
    chosen = set(in_turn(groups, task, seed, 0)[: max(1, round(validation * len(groups)))])
    train = tuple(case for key, own in groups.items() if key not in chosen for case in own)
    val = tuple(case for key, own in groups.items() if key in chosen for case in own)
    return Split(train, val, without_patient(cases))


def _refuse_shared_patients(seen: Sequence[Case], held_out: Sequence[Case], words: str) -> None:
    patients = {case.patient for case in seen} - {None}
    shared = [case.id for case in held_out if case.patient in patients]
    if shared:
        side = held_out[0].split or "val"
        many = f"{len(shared)} {side} cases belong to patients who are"
        told = f"1 {side} case belongs to a patient who is" if len(shared) == 1 else many
        message = f"{told} {words}, first: {shared[0]}"
        raise InputError("split-leak", message)
