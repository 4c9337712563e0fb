"""What a run may take of the machine, and which cases it takes up again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

from medvision.errors import UsageError
from medvision.workers import Terms

STALLED_MINUTES = 15.0
"""How long a case may compute nothing before it is taken for hung, where no other limit is given."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a run may take of the machine.

    Parameters
    ----------
    workers
        How many cases are analysed at once, each in a process of its own; None: as many as there are cores, one where
        a GPU may do it. 0 analyses them in this process, e.g. for a debugger: a case that crashes then ends the run.
    memory_gb
        Memory in GB of 10^9 bytes that all cases together may hold; None: what is free when they begin.
    case_minutes
        How long a case may take; None: as long as it computes.

    Raises
    ------
    UsageError
        A number is negative, or a limit 0.
    """

    workers: int | None = None
    memory_gb: float | None = None
    case_minutes: float | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 0:
            raise UsageError("usage", f"workers is {self.workers}: give 0 or more")
        self.terms(1, ())

    def within(self, available_bytes: int | None) -> Limits:
        """Return the limits with the memory that is free, where none was given."""
        if self.memory_gb is not None or not available_bytes:
            return self
        return replace(self, memory_gb=available_bytes / 1e9)

    def terms(self, threads: int, held: tuple[int, ...]) -> Terms:
        """Return what each process is given, and what it may take."""
        stalled = STALLED_MINUTES if self.case_minutes is None else None
        return Terms(
            threads=threads,
            memory_gb=self.memory_gb,
            minutes=self.case_minutes,
            stalled_minutes=stalled,
            tied=True,  # what a case has half written is removed before it is analysed again
            held=held,
        )


Rerun = Literal["failed", "refused", "all"]

NO_LIMITS = Limits()
"""As many workers as there are cores, and no limit."""


def rerun_of(word: str | None) -> Rerun | None:
    """Return which cases a word means that are to be analysed again.

    Raises
    ------
    UsageError
        It is none of the words.
    """
    if word is not None and word not in get_args(Rerun):
        raise UsageError("usage", f"--rerun {word!r}: choose {', '.join(get_args(Rerun))}")
    return word  # type: ignore[return-value]
