"""What must be said of a comparison because of what was noticed in its trainings, whether done now or before."""

from __future__ import annotations

import re
from collections.abc import Sequence

from medvision.errors import Finding
from medvision.report.wording import many
from medvision.training import ended_early
from medvision.workflows.comparing.runs import Outcome

_MERGED = {"budget", "budget-cut"}  # alone differ in figures that mean the same; elsewhere a digit may name a label
_FIGURES = re.compile(r"\d[\d.,]*(?<![.,])(e-?\d+)?")
_UNEQUAL = 2  # times as many steps as another training: epochs end where the time does, which differs by less


def notes_of_runs(names: Sequence[str], outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    """Return a sentence for each warning of the trainings, and one where some did far fewer steps than others.

    A warning that several trainings have stands there once, with their number; one that is the same in all is about the
    data, and stands there as it is. What the time was enough for has its own figures in each training, and stands there
    as the first of them has it.

    Parameters
    ----------
    names
        Of each training.
    outcomes
        What each came to, in the same order.
    """
    warned: dict[tuple[str, str], list[tuple[str, Finding]]] = {}
    for name, outcome in zip(names, outcomes, strict=True):
        for finding in dict.fromkeys(outcome.findings):
            if finding.grade != "note":
                warned.setdefault(_kind(finding), []).append((name, finding))
    unequal = unequal_lengths(outcomes)
    return (*(_counted(same, len(outcomes)) for same in warned.values()), *([unequal] if unequal else []))


def unequal_lengths(outcomes: Sequence[Outcome]) -> str | None:
    """Return a clause where trainings got far fewer steps than others; to end early is a choice of their own."""
    steps = [each.steps for each in outcomes if not ended_early(each.findings)]
    if not steps or max(steps) <= _UNEQUAL * min(steps):
        return None
    return f"the trainings are of unequal length, from {many(min(steps), 'step')} to {max(steps):,}"


def _kind(finding: Finding) -> tuple[str, str]:
    """Return what warnings share that are told as one."""
    message = _FIGURES.sub("#", finding.message) if finding.code in _MERGED else finding.message
    return finding.code, message


def _counted(same: Sequence[tuple[str, Finding]], total: int) -> str:
    """Return a warning with the number of the trainings that have it, each by its name."""
    name, first = same[0]
    alike = len({finding.message for _, finding in same}) == 1
    count = len({name for name, _ in same})
    if alike and count == total:
        return first.message
    which = name if count == 1 else f"{count} of {total} trainings" + ("" if alike else f", e.g. {name}")
    return f"{which}: {first.message}"
