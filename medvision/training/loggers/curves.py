"""The logger that is always there: `curves.csv` after every epoch, and `curves.png` at the end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import final

from medvision.training.curves import write_curves, write_table
from medvision.training.loggers.logger import Row


@final
class CurvesLogger:
    """Write what happened so far into `folder`, each file whole or not at all.

    The picture takes as long to draw as many a training step, and is therefore left to the end: until then the page
    of the training shows the same curves.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows: list[Row] = []

    def begin(self, rows: Sequence[Row]) -> None:
        """Take the rows of what was trained before; what another training left is replaced by the first row."""
        self._rows = list(rows)

    def log(self, row: Row) -> None:
        """Write the table with one row more."""
        self._rows.append(row)
        write_table(self._rows, self._folder)

    def close(self, *, finished: bool) -> None:
        """Write table and picture; without any row there is nothing to write."""
        if self._rows:
            write_curves(self._rows, self._folder)
