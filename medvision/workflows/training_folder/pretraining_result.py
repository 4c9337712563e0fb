"""What a pretraining found and left, as its caller gets it, and as it is read again from a folder that is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medvision.errors import Finding, nothing_there
from medvision.files import write_json
from medvision.workflows.training_folder.state import PRETRAINED, state_in


@dataclass(frozen=True)
class PretrainingResult:
    """What a pretraining found and left.

    Parameters
    ----------
    folder
        Holds the weights, to be given to ``--from``; None where no image could be used, and nothing was written.
    method
        How it was trained.
    results
        What was measured on the images held out; a sentence each.
    findings
        What was noticed about the images and the training.
    train, val
        Ids of the images on each side.
    named
        Ids by the code of a finding, see :class:`medvision.workflows.train.TrainingResult`; the card holds none.
    refused
        What was meant as an image, and could not be used.
    skipped
        What is no image: passed over, label images among it.
    done_before
        Whether the pretraining had come to its end before, so that nothing was left to do.
    """

    folder: Path | None
    method: str
    results: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    train: tuple[str, ...] = ()
    val: tuple[str, ...] = ()
    named: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    refused: tuple[Finding, ...] = ()
    skipped: tuple[Finding, ...] = ()
    done_before: bool = False

    @property
    def exit_code(self) -> int:
        """0 all good, 3 no image found, 4 some images refused, 5 all of them."""
        if self.folder is not None:
            return 4 if self.refused else 0
        return 3 if nothing_there(self.refused) else 5

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {
            "schema": "medvision.pretraining-run/1",
            "folder": None if self.folder is None else str(self.folder),
            "method": self.method,
            "results": list(self.results),
            "findings": [finding.unplaced().to_json() for finding in self.findings],
            "refused": [finding.to_json() for finding in self.refused],
            "skipped": [finding.to_json() for finding in self.skipped],
            "split": {"train": list(self.train), "val": list(self.val)},
            "named": {code: list(ids) for code, ids in self.named.items()},
            "done_before": self.done_before,
        }

    def write(self) -> None:
        """Write what lasts of it to its folder, if it has one: the same wherever it lies, and whoever asks again."""
        if self.folder is None:
            return
        placed = {"folder": ".", "refused": _unplaced(self.refused), "skipped": _unplaced(self.skipped)}
        content = self.to_json() | placed
        del content["done_before"]
        write_json(self.folder / PRETRAINED, content)

    @classmethod
    def read(cls, out: Path, *, refused: Sequence[Finding], skipped: Sequence[Finding]) -> PretrainingResult:
        """Return what the pretraining in `out` came to; of what was `refused` or `skipped` now, with where it lies."""
        with state_in(out / PRETRAINED) as kept:
            return cls(
                out,
                kept["method"],
                tuple(kept["results"]),
                tuple(map(Finding.from_json, kept["findings"])),
                tuple(kept["split"]["train"]),
                tuple(kept["split"]["val"]),
                kept.get("named", {}),  # an earlier version did not keep them
                refused=_placed(kept["refused"], refused),
                skipped=_placed(kept["skipped"], skipped),
                done_before=True,
            )


def _placed(kept: Sequence[Any], now: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return what was told before, and where it lies as far as it has been found again now."""
    again = {finding.unplaced() for finding in now}
    return (*now, *(finding for finding in map(Finding.from_json, kept) if finding not in again))


def _unplaced(findings: Sequence[Finding]) -> list[dict[str, str | None]]:
    return [finding.unplaced().to_json() for finding in findings]
