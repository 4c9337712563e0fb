"""A proof of transfer: its answer, and how it is shown as a table, a file and a picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medvision.comparison import Difference, Level
from medvision.files import write_figure, write_json, write_text
from medvision.frameworks import versions
from medvision.workflows.comparing.ways import shown_source


@dataclass(frozen=True)
class TransferProof:
    """Whether a transfer helped.

    Parameters
    ----------
    folder
        Holds ``transfer.json``, ``transfer.csv``, ``transfer.png`` and the folder of each training.
    figure
        What was compared, e.g. ``"mean Dice"``.
    difference
        By how much the transfer is better than training from scratch.
    scratch, transfer
        How good each is.
    rows
        A row a training: way, seed, figure, seconds and steps.
    cases, left_out
        How many held-out cases were compared, and how many could not be, because the figure is not defined for them.
    source, tune
        Where the transfer starts, and what is trained.
    notes
        What must be said of the comparison, a sentence each.
    """

    folder: Path
    figure: str
    difference: Difference
    scratch: Level
    transfer: Level
    rows: tuple[dict[str, Any], ...]
    cases: int
    left_out: int
    source: str
    tune: str
    notes: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The answer in a line."""
        alone = "; of one seed: what chance does in a training is not in it" if len(self.rows) < 4 else ""
        return f"{self.figure}: transfer {self.difference}{alone}"

    def to_json(self) -> dict[str, Any]:
        """Return the proof as JSON values."""
        return {
            "schema": "medvision.transfer/1",
            "figure": self.figure,
            "verdict": self.difference.verdict,
            "words": self.words,
            "difference": self.difference.to_json(),
            "scratch": self.scratch.to_json(),
            "transfer": self.transfer.to_json(),
            "source": shown_source(self.source),
            "tune": self.tune,
            "cases": self.cases,
            "left_out": self.left_out,
            "notes": list(self.notes),
            "runs": list(self.rows),
            "versions": dict(versions()),
        }

    def write(self) -> None:
        """Write ``transfer.json``, ``transfer.csv`` and ``transfer.png``."""
        write_json(self.folder / "transfer.json", self.to_json())
        write_text(self.folder / "transfer.csv", _csv(self.rows))
        _write_picture(self, self.folder / "transfer.png")

    def table(self) -> str:
        """Return the trainings as a table of text, and below it the answer."""
        lines = [f"{'seed':>6}  {'from scratch':>12}  {'transfer':>12}  {'difference':>10}"]
        scratch, transfer = self.rows[::2], self.rows[1::2]
        for one, other in zip(scratch, transfer, strict=True):
            figures = [_cell(one["figure"], 12), _cell(other["figure"], 12)]
            gain = None if None in (one["figure"], other["figure"]) else other["figure"] - one["figure"]
            lines.append(f"{one['seed']:>6}  {figures[0]}  {figures[1]}  {_cell(gain, 10)}")
        lines.append(f"{self.figure}: from scratch {self.scratch}, transfer {self.transfer}")
        return "\n".join([*lines, *self.notes, self.words])


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _write_picture(proof: TransferProof, path: Path) -> None:
    """Draw a line for each seed, from scratch to transfer, and the difference with its interval."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[2, 1])
    for one, other in zip(proof.rows[::2], proof.rows[1::2], strict=True):
        if one["figure"] is not None and other["figure"] is not None:
            left.plot([0, 1], [one["figure"], other["figure"]], marker="o", label=f"seed {one['seed']}")
    left.set(xticks=[0, 1], xticklabels=["from scratch", "transfer"], xlim=(-0.3, 1.3), ylabel=proof.figure)
    if proof.difference.value is not None:
        left.legend(fontsize=7)
        low, high = proof.difference.low, proof.difference.high
        reach = None if low is None or high is None else _reach(proof.difference.value, low, high)
        right.errorbar([0], [proof.difference.value], yerr=reach, fmt="o", capsize=5, color="#0b6e99")
    right.axhline(0, color="grey", linewidth=0.8)
    right.set(xticks=[], title=proof.difference.verdict, ylabel="difference")
    write_figure(path, figure)


def _reach(value: float, low: float, high: float) -> list[list[float]]:
    """Return how far an interval reaches to both sides; the mean may lie a hair outside a bootstrap's."""
    return [[max(0.0, value - low)], [max(0.0, high - value)]]


def _cell(figure: float | None, width: int) -> str:
    return f"{'not defined' if figure is None else f'{figure:.3f}':>{width}}"
