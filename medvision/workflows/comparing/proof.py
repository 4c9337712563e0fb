"""A proof of transfer: its answer, and how it is shown as a table, a file and a picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from medvision.comparison import Difference, Level
from medvision.files import write_figure, write_json, write_text
from medvision.frameworks import versions
from medvision.workflows.comparing.ways import shown_source


@dataclass(frozen=True)
class RunFigure:
    """What one training came to.

    Parameters
    ----------
    figure
        How good it is; None where that is not defined.
    seconds
        The time that it took.
    steps
        Steps of the optimiser.
    """

    figure: float | None
    seconds: float
    steps: int


@dataclass(frozen=True)
class SeedPair:
    """The two trainings of a seed.

    Parameters
    ----------
    seed
        Of both.
    scratch, transfer
        What the one from scratch and the one from given weights came to.

    Examples
    --------
    >>> print(SeedPair(0, RunFigure(0.5, 1.0, 40), RunFigure(0.75, 1.0, 40)).gain)
    0.25
    """

    seed: int
    scratch: RunFigure
    transfer: RunFigure

    @property
    def gain(self) -> float | None:
        """By how much the transfer is better; None where one of the two figures is not defined."""
        first, second = self.scratch.figure, self.transfer.figure
        return None if first is None or second is None else second - first

    def rows(self) -> tuple[dict[str, Any], ...]:
        """Return a row for each of the two, as files hold it."""
        both = {"scratch": self.scratch, "transfer": self.transfer}
        return tuple({"start": start, "seed": self.seed, **asdict(run)} for start, run in both.items())


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
    pairs
        The trainings, seed by seed.
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
    pairs: tuple[SeedPair, ...]
    cases: int
    left_out: int
    source: str
    tune: str
    notes: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The answer in a line."""
        alone = "; of one seed: what chance does in a training is not in it" if len(self.pairs) == 1 else ""
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
            "runs": self._rows(),
            "versions": dict(versions()),
        }

    def write(self) -> None:
        """Write ``transfer.json``, ``transfer.csv`` and ``transfer.png``."""
        write_json(self.folder / "transfer.json", self.to_json())
        write_text(self.folder / "transfer.csv", _csv(self._rows()))
        _write_picture(self, self.folder / "transfer.png")

    def table(self) -> str:
        """Return the trainings as a table of text, and below it the answer."""
        lines = [f"{'seed':>6}  {'from scratch':>12}  {'transfer':>12}  {'difference':>10}"]
        for pair in self.pairs:
            figures = f"{_cell(pair.scratch.figure, 12)}  {_cell(pair.transfer.figure, 12)}"
            lines.append(f"{pair.seed:>6}  {figures}  {_cell(pair.gain, 10)}")
        lines.append(f"{self.figure}: from scratch {self.scratch}, transfer {self.transfer}")
        return "\n".join([*lines, *self.notes, self.words])

    def _rows(self) -> list[dict[str, Any]]:
        return [row for pair in self.pairs for row in pair.rows()]


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
    for pair in proof.pairs:
        if pair.scratch.figure is not None and pair.transfer.figure is not None:
            left.plot([0, 1], [pair.scratch.figure, pair.transfer.figure], marker="o", label=f"seed {pair.seed}")
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
