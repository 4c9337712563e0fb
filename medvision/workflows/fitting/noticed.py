"""What was noticed about the cases of a training: counted for cards, which name no case, and by their ids."""

from __future__ import annotations

from collections.abc import Sequence

from medvision.errors import Finding


def counted(findings: Sequence[tuple[str, Finding]]) -> list[Finding]:
    """Return one finding for each code, with the number of cases and what is said of the first of them."""
    found: dict[str, list[tuple[str, Finding]]] = {}
    for case, finding in findings:
        found.setdefault(finding.code, []).append((case, finding))
    return [
        Finding(code, first.grade, f"{len(entries)} cases: {first.message}", cure=first.cure)
        for code, entries in found.items()
        for _, first in entries[:1]
    ]


def cases_of(findings: Sequence[tuple[str, Finding]]) -> dict[str, list[str]]:
    """Return the ids of the cases that have a finding of each code, in their order."""
    found: dict[str, list[str]] = {}
    for case, finding in findings:
        if case not in found.setdefault(finding.code, []):
            found[finding.code].append(case)
    return found
