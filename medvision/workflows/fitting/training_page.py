"""The page of a training, written anew whenever there is something new to be seen."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import final

from medvision.errors import Finding
from medvision.files import write_text
from medvision.pipeline import Settings
from medvision.report import TrainingValues, training_page
from medvision.report.wording import flattened, many
from medvision.training import Place, Split
from medvision.training.loggers import Row

PAGE = "training.html"
"""The name of the page in the training's folder."""

_SHOWN = (
    *("epochs", "steps_per_epoch", "batch", "patch", "foreground", "optimiser", "learning_rate", "schedule"),
    *("weight_decay", "average", "label_smoothing", "early_stopping", "seed"),
)


def page_of(
    out: Path,
    settings: Settings,
    parts: Split,
    place: Place,
    *,
    minutes: float | None,
    seconds_before: float,
    decisions: Sequence[str] = (),
) -> TrainingPage:
    """Return the page of a training that is about to begin.

    Parameters
    ----------
    out
        The training's folder.
    settings
        Those in force.
    parts
        Who trains and who is held out.
    minutes
        That the training may take; None for as long as its settings need.
    seconds_before
        What the training has taken before its loop begins, in seconds: in earlier calls, and of its time in this one.
    decisions
        What was chosen or cut for it, a sentence each.
    """
    cases = (*parts.train, *parts.val)
    patients = many(len({case.patient_key for case in cases}), "patient")
    named = patients if any(case.patient is not None for case in cases) else "no patient is named"
    data = (
        ("Cases", f"{len(parts.train)} for training, {len(parts.val)} held out; {named}"),
        ("Modality", settings.contract.modality or "any"),
        ("Labels", ", ".join(f"{number} {name}" for number, name in settings.labels.items()) or "values"),
    )
    train = asdict(settings.train)
    shown = {name: train[name] for name in _SHOWN if train[name] is not None}
    where = {"device": place.device, "precision": place.precision, "processes": place.world}
    values = TrainingValues(
        name=settings.name,
        description=settings.description,
        state="running",
        epochs=settings.train.epochs,
        rows=(),
        settings=tuple(flattened({"network": asdict(settings.network), **shown, **where})),
        data=data,
        decisions=tuple(decisions),
        steps_per_epoch=settings.train.steps_per_epoch,
        seconds_budget=None if minutes is None else 60 * minutes,
    )
    return TrainingPage(out, values, seconds_before=seconds_before)


@final
class TrainingPage:
    """Write ``training.html`` at the start, after each validation and at the end; a logger of the training.

    Parameters
    ----------
    folder
        Of the training.
    values
        What the page shows beside rows, state and time.
    seconds_before
        What the training has taken before its loop begins, in seconds: in earlier calls, and of its time in this one.
    clock
        Seconds since some moment.
    """

    def __init__(
        self,
        folder: Path,
        values: TrainingValues,
        *,
        seconds_before: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = folder / PAGE
        self._values = values
        self._clock, self._began = clock, clock() - seconds_before

    def begin(self, rows: Sequence[Row]) -> None:
        """Take the rows of what was trained before, and write the page."""
        self._values = replace(self._values, state="running", rows=tuple(rows))
        self._write()

    def log(self, row: Row) -> None:
        """Take a row; write the page if it was validated."""
        self._values = replace(self._values, rows=(*self._values.rows, row))
        if "score" in row:
            self._write()

    def close(self, *, finished: bool) -> None:
        """Write the page as it stands at the end, or where the training was stopped."""
        self._values = replace(self._values, state="done" if finished else "stopped")
        self._write()

    def complete(self, results: Sequence[str], findings: Sequence[Finding]) -> None:
        """Write the page with what came of the training."""
        self._values = replace(self._values, results=tuple(results), findings=tuple(findings))
        self._write()

    def _write(self) -> None:
        self._values = replace(self._values, seconds_used=self._clock() - self._began)
        write_text(self._path, training_page(self._values))
