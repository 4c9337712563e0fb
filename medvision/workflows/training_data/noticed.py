"""What was noticed about the cases of a training: counted for cards, which name no case, and by their ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from medvision.errors import Finding
from medvision.pipeline import Settings
from medvision.report.wording import listed, many
from medvision.training import Split
from medvision.workflows.training_data.cross_checks import CaseHashes, cross_check
from medvision.workflows.training_data.label_doubts import empty_label, label_findings
from medvision.workflows.training_data.label_names import name_findings
from medvision.workflows.training_data.prepare import PreparedCase

_GRADES = ("error", "warning", "note")
_OF_TRAINING = {
    *("budget", "budget-cut", "training-ended-early", "score-undefined", "checkpoint-damaged", "logger-failed"),
    *("network-compiled", "start-differs", "start-unknown", "weights-axes", "weights-partial"),
    "stages-untrained",
}


@dataclass(frozen=True, eq=False)
class Noticed:
    """What was noticed about the data of a training.

    Parameters
    ----------
    findings
        For cards: no case is named.
    named
        The ids of the cases that they are about, by code; for ``split-leak`` and ``duplicate`` each copy and what it is
        one of, for ``labels-contradict`` all cases of each image.
    """

    findings: tuple[Finding, ...]
    named: Mapping[str, Sequence[Any]]


def notice(
    parts: Split, training: Sequence[PreparedCase], held_out: Sequence[PreparedCase], settings: Settings
) -> Noticed:
    """Return what can be noticed about the cases of both sides, now that they have been read."""
    entries = [*training, *held_out]
    hashes = [_hashes_of(entry) for entry in entries]
    found, about = cross_check(parts, hashes, any_modality=settings.contract.modality is None)
    each = [(entry.case.id, finding) for entry in entries for finding in (*entry.findings, *empty_label(entry.figures))]
    findings = (*parts.findings, *found, *counted(each))
    names = name_findings((entry.case for entry in entries), settings.labels)
    return Noticed((*findings, *names, *label_findings(training, held_out, settings)), {**about, **cases_of(each)})


def _hashes_of(entry: PreparedCase) -> CaseHashes:
    return CaseHashes(entry.case.id, entry.digest, entry.target_digest, entry.figures.modality)


def counted(findings: Sequence[tuple[str, Finding]]) -> list[Finding]:
    """Return one finding for each code, with the number of cases and what is said of the first of the gravest."""
    found: dict[str, list[Finding]] = {}
    for _, finding in findings:
        found.setdefault(finding.code, []).append(finding)
    cases = cases_of(findings)
    gravest = {code: min(entries, key=lambda entry: _GRADES.index(entry.grade)) for code, entries in found.items()}
    return [
        replace(one, message=f"{many(len(cases[code]), 'case')}: {one.message}", path=None)
        for code, one in gravest.items()
    ]


def cases_of(findings: Sequence[tuple[str, Finding]]) -> dict[str, list[str]]:
    """Return the ids of the cases that have a finding of each code, in their order."""
    found: dict[str, list[str]] = {}
    for case, finding in findings:
        if case not in found.setdefault(finding.code, []):
            found[finding.code].append(case)
    return found


def named_together(trainings: Iterable[Mapping[str, Sequence[Any]]]) -> dict[str, list[Any]]:
    """Return the cases that several trainings name, each or each group of them once.

    >>> named_together([{"duplicate": [("b", "a")]}, {"duplicate": [["b", "a"], ["d", "c"]], "label-empty": ["e"]}])
    {'duplicate': [('b', 'a'), ('d', 'c')], 'label-empty': ['e']}
    """
    found: dict[str, dict[str | tuple[str, ...], None]] = {}
    for named in trainings:
        for code, entries in named.items():
            once = (entry if isinstance(entry, str) else tuple(entry) for entry in entries)  # lists, where read again
            found.setdefault(code, {}).update(dict.fromkeys(once))
    return {code: list(entries) for code, entries in found.items()}


def is_of_training(finding: Finding) -> bool:
    """Say whether a finding is about how was trained, and not about the data.

    >>> is_of_training(Finding("budget", "note", "few steps")), is_of_training(Finding("duplicate", "note", "two"))
    (True, False)
    """
    return finding.code in _OF_TRAINING


def gathered(trainings: Mapping[str, Sequence[Finding]]) -> tuple[Finding, ...]:
    """Return what was noticed in several trainings, each finding once, with the names of those that it is about.

    What holds for all of them stands as it is.

    >>> one, both = Finding("budget", "note", "3 steps"), Finding("duplicate", "note", "two")
    >>> [finding.message for finding in gathered({"fold 1": [both, one], "fold 2": [both]})]
    ['two', 'fold 1: 3 steps']
    """
    found: dict[Finding, list[str]] = {}
    for name, findings in trainings.items():
        for finding in dict.fromkeys(findings):
            found.setdefault(finding, []).append(name)
    return tuple(
        finding if len(names) == len(trainings) else replace(finding, message=f"{listed(names)}: {finding.message}")
        for finding, names in found.items()
    )
