"""What a run found and did."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medvision.batch import Entry
from medvision.errors import Finding, nothing_there


@dataclass(frozen=True)
class BatchResult:
    """What a run found and did.

    Parameters
    ----------
    folder
        Where the results lie.
    entries
        A line for each case and each refused input of this run, in the order of ids.
    analysed, done_before
        How many cases were analysed now, well or not, and how many were done already.
    skipped
        Files that are no images, and series that were not chosen: passed over.
    notes
        What is said once of all cases together.
    """

    folder: Path
    entries: tuple[Entry, ...]
    analysed: int
    done_before: int
    skipped: tuple[Finding, ...]
    notes: tuple[Finding, ...] = ()

    def count(self, state: str) -> int:
        """Return how many cases are ``"done"``, ``"refused"`` or ``"failed"``, or done and for ``"review"``."""
        if state == "review":
            return sum(entry.verdict == "review" for entry in self.entries)
        return sum(entry.state == state for entry in self.entries)

    def exit_code(self, *, strict: bool = False) -> int:
        """Return 0 all good, 3 no image found, 4 some and 5 all cases bad; `strict` counts those for review as bad."""
        bad = self.count("refused") + self.count("failed") + (self.count("review") if strict else 0)
        if not bad:
            return 0 if self.entries else 3
        if nothing_there(entry.problem for entry in self.entries):
            return 3
        return 5 if bad == len(self.entries) else 4

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {
            "schema": "medvision.batch/1",
            "folder": str(self.folder),
            "cases": len(self.entries),
            "analysed_now": self.analysed,
            "done_before": self.done_before,
            **{state: self.count(state) for state in ("done", "review", "refused", "failed")},
            "skipped": [finding.to_json() for finding in self.skipped],
            "notes": [note.to_json() for note in self.notes],
            "entries": [_entry_json(entry) for entry in self.entries],
        }


def _entry_json(entry: Entry) -> dict[str, Any]:
    problem = entry.problem
    return {
        "id": entry.id,
        "state": entry.state,
        "verdict": entry.verdict,
        "source": str(entry.source),
        "code": problem.code if problem else None,
        "message": problem.message if problem else None,
        "cure": problem.cure if problem else None,
        "seconds": round(entry.seconds, 3),
    }
