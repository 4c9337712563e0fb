"""Rows as TensorBoard's event files, which ``tensorboard --logdir`` shows."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

from medvision.errors import ExtraMissingError
from medvision.training.curves import of_validation
from medvision.training.loggers.logger import Row


@final
class TensorBoardLogger:
    """Write event files into `folder`; a figure of the validation is called ``validation/NAME``.

    A training that goes on tells TensorBoard to forget what lies behind its checkpoint. TensorBoard puts the name of
    the machine into the names of its files.

    Raises
    ------
    ExtraMissingError
        The extra ``[tensorboard]`` is not installed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._write = _writer_class()
        self._writer: Any = None

    def begin(self, rows: Sequence[Row]) -> None:
        """Open the event file."""
        first = int(rows[-1]["epoch"]) + 1 if rows else 1
        self._writer = self._write(str(self._folder), purge_step=first)

    def log(self, row: Row) -> None:
        """Write the figures of an epoch, and see that they reach the disk."""
        for name, value in row.items():
            if name != "epoch":
                place = "validation" if of_validation(name) else "training"
                self._writer.add_scalar(f"{place}/{name}", value, int(row["epoch"]))
        self._writer.flush()

    def close(self, *, finished: bool) -> None:
        """Close the event file."""
        if self._writer is not None:
            self._writer.close()


def _writer_class() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        message = "`--log tensorboard` needs the package tensorboard"
        cure = "pip install 'medvision-toolkit[tensorboard]'"
        raise ExtraMissingError("extra-missing", message, cure=cure) from error
    return SummaryWriter
