"""A training that has come to its end: what a rerun needs to know of it, in place of its checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medvision.files import sha256_of_text, write_json
from medvision.pipeline import PipelineFolder
from medvision.study import Case
from medvision.training import Split, checkpoint, seconds_spent
from medvision.workflows.scoring.scored import Scored, scored_of
from medvision.workflows.training_folder.claim import patients_of
from medvision.workflows.training_folder.state import CHECKPOINTS, WEIGHTS, state_in

_DONE = "done.json"


@dataclass(frozen=True)
class Finished:
    """What is known of a training that is done, besides the folder that it left.

    Parameters
    ----------
    identity
        See :func:`identity_of`.
    epoch
        The epoch whose weights were kept.
    epochs
        How many were done.
    seconds
        The time that it took, interruptions left out.
    scored
        What it says of each held-out case.
    optimistic
        Whether those cases had a say in the weights; where an earlier version did not write it down, they may have had.
    """

    identity: str
    epoch: int
    epochs: int
    seconds: float
    scored: tuple[Scored, ...]
    optimistic: bool = True

    def write(self, out: Path) -> None:
        """Keep it in `out`, and remove the checkpoints: the folder is made to be given away."""
        names = ("identity", "epoch", "epochs", "seconds", "optimistic")
        content = {name: getattr(self, name) for name in names}
        write_json(out / CHECKPOINTS / _DONE, {**content, "cases": [entry.to_json() for entry in self.scored]})
        checkpoint.remove(out / CHECKPOINTS)

    @classmethod
    def read(cls, out: Path, held_out: Sequence[Case]) -> Finished | None:
        """Return what is known of the training in `out`; None where it is not done, or its weights are not there.

        Raises
        ------
        PipelineError
            What is kept of it is damaged.
        """
        if not is_over(out):
            return None
        with state_in(out / CHECKPOINTS / _DONE) as content:
            cases = content.pop("cases")
            if {entry["case"] for entry in cases} - {case.id for case in held_out}:
                return None  # another training's, which the claim will refuse
            return cls(**content, scored=scored_of(cases, held_out))


def identity_of(pipeline: PipelineFolder, parts: Split, *further: object) -> str:
    """Return the hash of all that a training depends on, by the files alone: no image is read.

    Parameters
    ----------
    pipeline
        What is to be trained, as it was asked for.
    parts
        Who trains and who is held out.
    further
        What else the weights depend on; its ``repr`` counts.
    """
    sides = [f"{side}:{_digest_of(case)}" for side in ("train", "val") for case in getattr(parts, side)]
    return sha256_of_text([pipeline.settings_sha256, *map(repr, further), *sides, patients_of(parts)])


def is_over(out: Path) -> bool:
    """Return whether the training in `out` has come to its end, and its weights are there."""
    return (out / CHECKPOINTS / _DONE).is_file() and (out / WEIGHTS).is_file()


def seconds_of(out: Path) -> float:
    """Return the time that the training in `out` has taken so far, or took; 0 where it has not begun."""
    path = out / CHECKPOINTS / _DONE
    if path.is_file():
        with state_in(path) as content:
            return float(content["seconds"])
    return seconds_spent(out / CHECKPOINTS)


def _digest_of(case: Case) -> str:
    return f"{case.id}:{case.digest()}:{case.label_digest()}"
