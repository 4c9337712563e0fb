"""What a run of de-identification came to, in words and numbers that identify nobody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medvision.deid.profile import DeidOptions, edition

_RISKS = (
    "A head scanned by CT, MR or PET can be turned into a face: that is not changed here (PS3.15, 113102).",
    "Lettering is looked for by its layout. Handwriting, single letters, and vertical, faint, tiny or huge text can be "
    "missed.",
    "Rare values (an unusual scanner, protocol, implant, size or anatomy) can point to a person together with other "
    "knowledge.",
    "Coded strings (CS) and technical texts are kept when they have the form of such; a name without digits typed into "
    "one, and found nowhere else in the file, would stay.",
)


@dataclass(frozen=True)
class Outcome:
    """One copy: its path below the output folder, why lettering was suspected, how many boxes were made blank."""

    path: str
    suspected: str | None
    blanked: int


@dataclass(frozen=True)
class Summary:
    """What was done, without a path or a value of an input.

    Parameters
    ----------
    options
        What was asked for.
    outcomes
        A row a copy.
    refused
        How many files were refused, by reason code.
    passed_over
        How many files are no images.
    actions
        How often each action met each element, by (action, keyword).
    dry_run
        Whether nothing was written.
    is_finished
        Whether all files were met; False while the run goes on, and where it was cut off.
    """

    options: DeidOptions
    outcomes: tuple[Outcome, ...]
    refused: Mapping[str, int]
    passed_over: int
    actions: Mapping[tuple[str, str], int]
    dry_run: bool
    is_finished: bool = True

    @property
    def written(self) -> int:
        """How many copies there are."""
        return len(self.outcomes)

    def totals(self) -> dict[str, int]:
        """Return how many elements each action met, most first."""
        sums: dict[str, int] = {}
        for (action, _), count in self.actions.items():
            sums[action] = sums.get(action, 0) + count
        return dict(sorted(sums.items(), key=lambda item: (-item[1], item[0])))

    def elements(self) -> dict[str, dict[str, int]]:
        """Return how often each action met each element, by action and keyword."""
        return {
            action: {word: n for (what, word), n in sorted(self.actions.items()) if what == action}
            for action in self.totals()
        }

    def risks(self) -> tuple[str, ...]:
        """Return the risk that remains, in sentences."""
        risks = list(_RISKS)
        if self.options.accept_burned_in:
            risks.insert(0, "Pixels were not looked at: lettering in them was accepted (--accept-burned-in).")
        unseen = sum(1 for outcome in self.outcomes if outcome.suspected == "kind" and not outcome.blanked)
        if unseen:
            risks.insert(
                0, f"{unseen} images are of a kind that often carries text; none was detected, or it was accepted."
            )
        stated = sum(1 for outcome in self.outcomes if outcome.suspected == "stated")
        if stated:
            risks.insert(0, f"{stated} images stated that text is burned in: look whether all of it is gone.")
        if "retain-dates-full" in self.options.profile:
            risks.insert(0, "Dates are the true ones.")
        return tuple(risks)

    def to_json(self) -> dict[str, Any]:
        """Return what the report holds."""
        return {
            "written": self.written,
            "dry_run": self.dry_run,
            "finished": self.is_finished,
            "refused": dict(sorted(self.refused.items())),
            "passed_over": self.passed_over,
            "profile": edition(),
            "codes": [{"code": code, "meaning": meaning} for code, meaning in self.options.codes()],
            "blank": [f"{b.x},{b.y},{b.width},{b.height}" for b in self.options.blank],
            "blank_detected": self.options.blank_detected,
            "accept_burned_in": self.options.accept_burned_in,
            "files": [{"path": o.path, "suspected": o.suspected, "blanked": o.blanked} for o in self.outcomes],
            "actions": self.elements(),
            "remaining_risk": list(self.risks()),
        }
