"""The page of a training: what is trained, where it stands, how it went, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from medvision.errors import Finding, InputError
from medvision.report.charts import CHART, Chart, chart_of
from medvision.report.pages import render
from medvision.report.wording import duration, figure, many, percent, significant

Row = Mapping[str, float]
TrainingState = Literal["running", "done", "stopped", "failed"]

_MOST_LINES = 6  # in one chart: more cannot be told apart
_PARTS = {
    "seconds_data": "Reading and varying data",
    "seconds_loading": "Reading data",
    "seconds_augmentation": "Augmentation",
    "seconds_network": "Network",
    "seconds_validation": "Validation",
}


@dataclass(frozen=True)
class TrainingValues:
    """What the page of a training shows; every text as it stands.

    Parameters
    ----------
    name, description
        Of the pipeline.
    state
        ``"running"``, ``"done"``, ``"stopped"`` (the same command goes on) or ``"failed"``.
    epochs
        Of the whole training, as planned.
    rows
        One an epoch, as in `curves.csv`: ``epoch``, ``loss``, ``learning_rate``, where validated ``score`` and the
        figures by name, and what the time went to as ``seconds_data``, ``seconds_network``, ``seconds_validation``.
    settings, data
        Names and values: the settings that matter, and what is trained on.
    results
        Sentences with intervals; empty before the end.
    findings
        What was noticed about data and training.
    decisions
        What was chosen or cut to fit the data and the budget, a sentence each; findings that say the same are left out.
    steps_per_epoch
        Steps of the optimiser in an epoch; None where they are not to be told.
    seconds_used, seconds_budget
        Of the whole, by the clock; None for no budget.

    Raises
    ------
    InputError
        A row has no epoch, or a number is not finite.
    """

    name: str
    description: str
    state: TrainingState
    epochs: int
    rows: tuple[Row, ...]
    settings: tuple[tuple[str, str], ...]
    data: tuple[tuple[str, str], ...]
    results: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    decisions: tuple[str, ...] = ()
    steps_per_epoch: int | None = None
    seconds_used: float | None = None
    seconds_budget: float | None = None

    def __post_init__(self) -> None:
        numbers = [value for row in self.rows for value in row.values()]
        numbers += [value for value in (self.seconds_used, self.seconds_budget) if value is not None]
        if not all(math.isfinite(number) for number in numbers) or any("epoch" not in row for row in self.rows):
            raise InputError("not-finite", "each row of a training has an epoch, and finite numbers")

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return int(self.rows[-1]["epoch"]) if self.rows else 0

    @property
    def best(self) -> tuple[int, float] | None:
        """The epoch with the best score, the last of several, and the score; None before the first validation."""
        scored = [(int(row["epoch"]), row["score"]) for row in self.rows if "score" in row]
        return max(scored, key=lambda pair: (pair[1], pair[0])) if scored else None


def training_page(values: TrainingValues) -> str:
    """Return the page of a training: one HTML file without scripts or outside resources."""
    best = values.best
    told = [finding for finding in values.findings if finding.message not in values.decisions]
    return render(
        "training.html",
        {
            "values": values,
            "tiles": _tiles(values),
            "charts": _charts(values),
            "chart_size": CHART,
            "best_epoch": best[0] if best else None,
            "equals": sum(row.get("score") == best[1] for row in values.rows) if best else 0,
            "parts_of_time": _parts(values.rows),
            "findings": sorted(told, key=lambda one: ("error", "warning", "note").index(one.grade)),
        },
    )


def figures_of(rows: Sequence[Row]) -> list[str]:
    """Return the names of what was validated; the score is left out where it is one of the figures.

    >>> figures_of([{"epoch": 1.0, "loss": 2.0, "score": 0.5, "mean Dice": 0.5, "seconds_data": 0.1}])
    ['mean Dice']
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    named = [name for name in names if name not in _NO_FIGURES and not name.startswith("seconds_")]
    repeats = any(all(row.get(name) == row.get("score") for row in rows) for name in named)
    return named if repeats or "score" not in names else ["score", *named]


_NO_FIGURES = ("epoch", "learning_rate", "loss", "score")


def _tiles(values: TrainingValues) -> list[tuple[str, str, float | None]]:
    """Return what stands at the top: a few words, what they are, and for a bar how full it is, 0 to 1."""
    steps = "" if values.steps_per_epoch is None else f", {many(values.epoch * values.steps_per_epoch, 'step')}"
    number, what = many(values.epoch, "epoch").split()
    share = min(1.0, values.epoch / max(values.epochs, 1))
    tiles: list[tuple[str, str, float | None]] = [
        (number, f"{what}{steps}", None)
        if values.state == "done"
        else (f"{values.epoch:,} of {values.epochs:,}", f"{'epoch' if values.epochs == 1 else 'epochs'}{steps}", share)
    ]
    if values.best is not None:
        epoch, score = values.best
        tiles.append((figure(score), f"best score, after epoch {epoch:,}", None))
    if values.rows and "loss" in values.rows[-1]:
        tiles.append((significant(values.rows[-1]["loss"]), "training loss of the last epoch", None))
    if values.seconds_used is not None:
        used, budget = duration(values.seconds_used), values.seconds_budget
        spent = min(1.0, values.seconds_used / budget) if budget else None
        tiles.append((used, f"of the budget of {duration(budget)}" if budget else "used", spent))
    return tiles


def _charts(values: TrainingValues) -> list[Chart]:
    """Return the loss, what was validated (shares of 1 together, all else by itself), and the learning rate."""
    names = figures_of(values.rows)
    shares = [name for name in names if all(0 <= row[name] <= 1 for row in values.rows if name in row)]
    groups = [("Training loss", ["loss"])]
    parts = [shares[start : start + _MOST_LINES] for start in range(0, len(shares), _MOST_LINES)]
    groups += [("Validation" if len(part) > 1 else f"Validation: {part[0]}", part) for part in parts]
    groups += [(f"Validation: {name}", [name]) for name in names if name not in shares]
    groups.append(("Learning rate", ["learning_rate"]))
    best = values.best
    found = [
        chart_of(
            title,
            group,
            values.rows,
            epochs=values.epochs,
            best_epoch=best[0] if best and title.startswith("Validation") else None,
        )
        for title, group in groups
    ]
    return [chart for chart in found if chart is not None]


def _parts(rows: Sequence[Row]) -> list[tuple[str, float, str, str]]:
    """Return what the time of the epochs went to: name, share, and both in words."""
    names = dict.fromkeys(name for row in rows for name in row if name.startswith("seconds_"))
    totals = {name: sum(row.get(name, 0.0) for row in rows) for name in names}
    whole = sum(totals.values())
    return [
        (_PARTS.get(name, name.removeprefix("seconds_")), total / whole, percent(total / whole), duration(total))
        for name, total in totals.items()
        if whole > 0
    ]
