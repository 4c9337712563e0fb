"""What a logger is, and how several of them are told without any being able to stop a training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Protocol, final

from medvision.errors import Finding, MedvisionError
from medvision.training.curves import Row as Row


class Logger(Protocol):
    """Keeps or shows the rows of a training. Each method may raise: whoever calls it says so and goes on."""

    def begin(self, rows: Sequence[Row]) -> None:
        """Take the rows of what was trained before; empty where a training starts anew."""

    def log(self, row: Row) -> None:
        """Take the row of the epoch that has just ended."""

    def close(self, *, finished: bool) -> None:
        """Let go of files and connections; `finished` says whether the training came to its end."""


@final
class Logs:
    """Several loggers as one, which never raises: a logger that fails is left out from then on, and said once.

    Parameters
    ----------
    loggers
        By the name that a message gives them.

    Examples
    --------
    >>> class Broken:
    ...     def begin(self, rows): raise OSError("away")
    >>> with Logs({"broken": Broken()}) as logs:
    ...     logs.begin([])
    ...     logs.log({"epoch": 1.0, "loss": 0.5})
    >>> [finding.code for finding in logs.findings]
    ['logger-failed']
    """

    def __init__(self, loggers: Mapping[str, Logger]) -> None:
        self._loggers = dict(loggers)
        self._findings: list[Finding] = []

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What failed so far, one finding a logger."""
        return tuple(self._findings)

    def begin(self, rows: Sequence[Row]) -> None:
        """Start every logger with the rows of what was trained before."""
        self._each(lambda logger: logger.begin(rows))

    def log(self, row: Row) -> None:
        """Give every logger the row of an epoch."""
        self._each(lambda logger: logger.log(row))

    def close(self, *, finished: bool) -> None:
        """Close every logger; none is told of anything after that."""
        self._each(lambda logger: logger.close(finished=finished))
        self._loggers.clear()

    def __enter__(self) -> Logs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(finished=error is None)

    def _each(self, call: Callable[[Logger], None]) -> None:
        for name, logger in list(self._loggers.items()):
            try:
                call(logger)
            except Exception as error:  # noqa: BLE001 - a record of a training is not worth the training
                self._leave_out(name, error)

    def _leave_out(self, name: str, error: Exception) -> None:
        """Drop a logger; the words of a foreign error stay out, since a server may write anything into them."""
        del self._loggers[name]
        cause = error.finding.message if isinstance(error, MedvisionError) else type(error).__name__
        message = f"{name} is told no more of this training: {cause}"
        self._findings.append(Finding("logger-failed", "warning", message))
