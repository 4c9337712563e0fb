"""Which loggers a training tells, from the words of ``--log``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from medvision.errors import UsageError
from medvision.training.loggers.curves import CurvesLogger
from medvision.training.loggers.logger import Logger, Logs
from medvision.training.loggers.mlflow import DEFAULT_ADDRESS, MLflowLogger
from medvision.training.loggers.tensorboard import TensorBoardLogger


def open_logs(
    wanted: str,
    folder: Path,
    *,
    title: str,
    settings: Mapping[str, str],
    also: Mapping[str, Logger] | None = None,
) -> Logs:
    """Return the loggers that `wanted` names, besides the curves, which are always written.

    Nothing is written and no server is asked before the training begins.

    Parameters
    ----------
    wanted
        Names with commas between: ``tensorboard``, ``mlflow`` or ``mlflow=ADDRESS``; empty for none. Without an
        address, MLflow is where ``MLFLOW_TRACKING_URI`` says, else on this machine.
    folder
        Of the training: takes `curves.csv`, `curves.png`, `tensorboard/` and `checkpoints/mlflow.json`.
    title
        What a server calls the training.
    settings
        Shown beside the figures, where the logger can.
    also
        Further loggers, by the name that a message gives them.

    Raises
    ------
    UsageError
        A name or an address is unknown.
    ExtraMissingError
        A package is not installed.
    """
    loggers: dict[str, Logger] = {"curves": CurvesLogger(folder), **(also or {})}
    for word in filter(None, (word.strip() for word in wanted.split(","))):
        name, _, address = word.partition("=")
        if name == "tensorboard" and not address:
            loggers[name] = TensorBoardLogger(folder / "tensorboard")
        elif name == "mlflow":
            address = address or os.environ.get("MLFLOW_TRACKING_URI", DEFAULT_ADDRESS)
            file = folder / "checkpoints" / "mlflow.json"
            loggers[name] = MLflowLogger(address, file, title=title, settings=settings)
        else:
            cure = "Choose tensorboard, mlflow or mlflow=ADDRESS, with commas between."
            raise UsageError("usage", f"--log names {word!r}, which is no logger", cure=cure)
    return Logs(loggers)
