"""What processes are given, and what they may take."""

from __future__ import annotations

from dataclasses import dataclass

from medvision.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What processes are given, and what they may take.

    Parameters
    ----------
    threads
        Of the libraries that compute, in each process.
    memory_gb
        Resident memory, in GB of 10^9 bytes, that all processes together may hold. Beyond it, the one that holds most
        is ended, and its item fails. None: no limit. What counts is memory in use, as the system shows it: address
        space, of which libraries reserve far more than they touch, says little.
    minutes
        How long an item may take; None: no limit.
    stalled_minutes
        How long a process may compute nothing at all while it has an item; None: for ever.
    tied
        Whether processes are killed at once when the caller's thread ends without them, e.g. by SIGKILL, whatever they
        are at (prctl(2), PR_SET_PDEATHSIG). Otherwise they have the time to put in order what they have begun.
    held
        Open files that processes keep open, e.g. one whose lock is to last until the last of them has ended.

    Raises
    ------
    UsageError
        A number is not positive.
    """

    threads: int = 1
    memory_gb: float | None = None
    minutes: float | None = None
    stalled_minutes: float | None = None
    tied: bool = False
    held: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("threads", "memory_gb", "minutes", "stalled_minutes"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError("usage", f"{name} is {value:g}: give more than 0")

    @property
    def watched(self) -> bool:
        """Whether somebody must look at the processes while they work."""
        return any(limit is not None for limit in (self.memory_gb, self.minutes, self.stalled_minutes))
