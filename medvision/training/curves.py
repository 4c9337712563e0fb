"""What happened during a training, as a table and as a picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from medvision.files import write_figure, write_text

Row = Mapping[str, float]
"""What was measured in one epoch, by name; ``epoch`` counts from 1, and all values are finite."""


def write_curves(rows: Sequence[Row], folder: Path) -> None:
    """Write ``curves.csv`` and ``curves.png`` into `folder`; figures that an epoch lacks stay empty."""
    write_table(rows, folder)
    _write_picture(rows, _shown(rows), folder)


def of_validation(name: str) -> bool:
    """Say whether a figure of a row was measured on held-out cases.

    >>> of_validation("mean Dice"), of_validation("loss"), of_validation("seconds_data")
    (True, False, False)
    """
    return name not in ("epoch", "learning_rate", "loss") and not name.startswith("seconds_")


def write_table(rows: Sequence[Row], folder: Path) -> None:
    """Write ``curves.csv`` alone: figures, and in the last columns what the time went to, in seconds."""
    text = io.StringIO()
    names = sorted(dict.fromkeys(name for row in rows for name in row), key=lambda name: name.startswith("seconds_"))
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: f"{value:.6g}" for name, value in row.items()} for row in rows)
    write_text(folder / "curves.csv", text.getvalue())


def _shown(rows: Sequence[Row]) -> list[str]:
    """Return the names of what was validated; the score is left out where one of the figures is the score."""
    names = [name for name in dict.fromkeys(name for row in rows for name in row) if of_validation(name)]
    figures = [name for name in names if name != "score"]
    repeats = any(all(row.get(name) == row.get("score") for row in rows) for name in figures)
    return figures if repeats else names


def _write_picture(rows: Sequence[Row], figures: Sequence[str], folder: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([row["epoch"] for row in rows], [row["loss"] for row in rows], color="#0b6e99")
    left.set(xlabel="epoch", ylabel="loss", title="Training loss")
    for name in figures:
        points = [(row["epoch"], row[name]) for row in rows if name in row]
        right.plot(*zip(*points, strict=True), marker="o", markersize=3, label=name)
    right.set(xlabel="epoch", title="Validation")
    if figures:
        right.legend(title="on held-out cases")
    write_figure(folder / "curves.png", figure)
