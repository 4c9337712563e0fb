"""How fast work goes, and how long it will take."""

from __future__ import annotations

import time


class Pace:
    """How fast work goes: the steps since the first one that was noted, by a clock that is never set."""

    def __init__(self) -> None:
        self._first: tuple[int, float] | None = None
        self._last = (0, 0.0)

    def note(self, done: int) -> None:
        """Note how much is done now; what is done at the first note was done before, and says nothing."""
        self._last = (done, time.monotonic())
        if self._first is None or done < self._first[0]:
            self._first = self._last

    def rate(self) -> str:
        """Return how much is done in a second, a minute or an hour; empty while it is not known."""
        per_second = self._per_second()
        for unit, seconds in (("s", 1), ("min", 60), ("h", 3600)):
            if per_second * seconds >= 1:
                return f"{per_second * seconds:.1f}/{unit}"
        return ""

    def words(self, total: int) -> str:
        """Return the rate, and the time that is left until all is done; empty while they are not known."""
        rate = self.rate()
        if not rate or self._last[0] >= total:
            return ""
        return f"({rate}, {duration((total - self._last[0]) / self._per_second())} left)"

    def _per_second(self) -> float:
        if self._first is None or self._last[1] <= self._first[1]:
            return 0.0
        return (self._last[0] - self._first[0]) / (self._last[1] - self._first[1])


def duration(seconds: float) -> str:
    """Return a time in two units at most.

    >>> duration(3.4), duration(200), duration(7300), duration(200000)
    ('3 s', '3 min 20 s', '2 h 1 min', '2 d 7 h')
    """
    whole = round(seconds)
    for large, small, size, names in ((86400, 3600, 24, "d h"), (3600, 60, 60, "h min"), (60, 1, 60, "min s")):
        if whole >= large:
            first, second = names.split()
            return f"{whole // large} {first} {whole // small % size} {second}"
    return f"{whole} s"
