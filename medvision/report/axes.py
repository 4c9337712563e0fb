"""Where values lie in a plot: round numbers around them, and dots side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from medvision.report.wording import brief

DOT = 3.2
"""Radius of a dot, in pixels of the plot."""


@dataclass(frozen=True)
class Axis:
    """An axis that holds all values it was made for.

    Parameters
    ----------
    low, high
        The values at its ends.
    start, stop
        Where the ends lie, in pixels; `start` is greater where values grow upwards.
    ticks
        Round numbers on it.

    Examples
    --------
    >>> axis = Axis.around(0.82, 0.93, 0, 100)
    >>> axis.ticks, axis.at(0.8), axis.at(0.95)
    ((0.8, 0.85, 0.9, 0.95), 0.0, 100.0)
    """

    low: float
    high: float
    start: float
    stop: float
    ticks: tuple[float, ...]

    @staticmethod
    def around(low: float, high: float, start: float, stop: float) -> Axis:
        """Return an axis whose round numbers, four or so, enclose `low` and `high`."""
        from matplotlib.ticker import MaxNLocator

        wide = (low, high)
        if low == high:  # one value, or all the same: any width will do
            wide = low - (abs(low) or 1.0) / 10, high + (abs(high) or 1.0) / 10
        found = MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(*wide)
        ticks = tuple(float(f"{tick:.12g}") for tick in found)
        return Axis(min(ticks[0], low), max(ticks[-1], high), start, stop, ticks)

    def at(self, value: float) -> float:
        """Return where `value` lies, in pixels."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.stop - self.start)

    @property
    def marks(self) -> tuple[tuple[float, str], ...]:
        """The round numbers: where each lies, and its words, which differ.

        >>> [words for _, words in Axis(1.987, 1.988, 0, 100, (1.987, 1.9875, 1.988)).marks]
        ['1.987', '1.9875', '1.988']
        """
        words = [brief(tick) for tick in self.ticks]
        if len(set(words)) < len(words):  # closer together than four digits tell
            words = [f"{tick:,.12g}" for tick in self.ticks]
        return tuple((self.at(tick), word) for tick, word in zip(self.ticks, words, strict=True))


def swarm(places: Sequence[float], *, middle: float, reach: float) -> list[tuple[float, float]]:
    """Return each place with a height such that dots lie side by side; where they are too many, they overlap.

    >>> swarm([10.0, 10.5, 90.0], middle=50.0, reach=20.0)
    [(10.0, 46.8), (10.5, 53.2), (90.0, 50.0)]
    """
    bins = [int(place // (2 * DOT)) for place in places]
    counts, taken = Counter(bins), Counter[int]()
    found = []
    for place, at in zip(places, bins, strict=True):
        step = min(2 * DOT, 2 * reach / counts[at])
        found.append((place, middle + step * (taken[at] - (counts[at] - 1) / 2)))
        taken[at] += 1
    return found
