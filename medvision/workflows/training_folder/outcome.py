"""What a training found and left, as its caller gets it, and as it is read again from a folder that is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medvision.errors import Finding, PipelineError
from medvision.files import write_json
from medvision.pipeline import SEEN, PipelineFolder
from medvision.training import Split
from medvision.workflows.scoring.scored import Scored
from medvision.workflows.training_folder.finished import Finished
from medvision.workflows.training_folder.state import RESULT, state_in


@dataclass(frozen=True)
class TrainingResult:
    """What a training found and left.

    Parameters
    ----------
    folder
        The new pipeline folder.
    results
        What was measured on the held-out cases, with intervals; a sentence each.
    findings
        What was noticed about the data and the training.
    train, val
        Ids of the cases on each side of the split.
    named
        Ids by the code of a finding: the cases that it is about; for ``split-leak`` and ``duplicate`` each copy and
        what it is one of, for ``labels-contradict`` all cases of each image. They come from names of files, and so
        stand in no card.
    epochs_before
        Epochs that an earlier call had done, which was stopped; 0 where the training began anew.
    done_before
        Whether the training had come to its end before, so that nothing was left to do.
    """

    folder: Path
    results: tuple[str, ...]
    findings: tuple[Finding, ...]
    train: tuple[str, ...]
    val: tuple[str, ...]
    named: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    epochs_before: int = 0
    done_before: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {
            **self._lasting(),
            "folder": str(self.folder),
            "epochs_before": self.epochs_before,
            "done_before": self.done_before,
        }

    def write(self) -> None:
        """Write what lasts of it: the same whether or not the training was ever stopped, and wherever it lies."""
        write_json(self.folder / RESULT, self._lasting())

    def _lasting(self) -> dict[str, Any]:
        return {
            "schema": "medvision.training/1",
            "folder": ".",
            "results": list(self.results),
            "findings": [finding.unplaced().to_json() for finding in self.findings],
            "split": {"train": list(self.train), "val": list(self.val)},
            "named": {code: list(ids) for code, ids in self.named.items()},
        }


@dataclass(frozen=True, eq=False)
class Trained:
    """A training that is done.

    Parameters
    ----------
    result
        Its result.
    scored
        What it says of each held-out case.
    pipeline
        Its folder.
    epoch, epochs
        The epoch whose weights were kept, and how many were done.
    seconds
        The time that it took, interruptions left out.
    optimistic
        Whether the cases held out had a say in the weights; see :class:`medvision.workflows.fitting.choice.Choice`.
    """

    result: TrainingResult
    scored: Sequence[Scored]
    pipeline: PipelineFolder
    epoch: int
    epochs: int
    seconds: float
    optimistic: bool = True


def is_done(out: Path, parts: Split, identity: str | None = None) -> bool:
    """Return whether a training of this split lies in `out`, done; with `identity`, whether it is that one."""
    found = Finished.read(out, parts.val) if (out / RESULT).is_file() else None
    return found is not None and identity in (None, found.identity)


def done(out: Path, parts: Split) -> Trained:
    """Return the training that lies in `out`, done.

    Raises
    ------
    PipelineError
        It has been removed in the meantime, or what it left is damaged, altered or not complete.
    """
    found = Finished.read(out, parts.val)
    if found is None:
        cure = "Give the command again."
        raise PipelineError("weights-missing", "the training that lay here is gone", path=out, cure=cure)
    with state_in(out / RESULT) as told:
        findings = tuple(map(Finding.from_json, told["findings"]))
        results, ids = tuple(told["results"]), ids_of(parts)
        result = TrainingResult(out, results, findings, *ids, told["named"], done_before=True)
    opened = PipelineFolder.open(out)
    opened.check_weights()
    require_whole(out, "card.md", SEEN)
    return Trained(result, found.scored, opened, found.epoch, found.epochs, found.seconds, found.optimistic)


def require_whole(out: Path, *names: str) -> None:
    """Raise PipelineError where one of the files that a training left in `out` is not there any more."""
    for name in names:
        if not (out / name).is_file():
            message = "the training that lies here is done, and has lost this file"
            raise PipelineError(
                "weights-missing", message, path=out / name, cure="Restore it, or choose another --out."
            )


def ids_of(parts: Split) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the ids of the cases that are trained on, and of those held out."""
    return tuple(case.id for case in parts.train), tuple(case.id for case in parts.val)
