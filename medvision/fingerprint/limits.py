"""How far a figure may lie from those of the training data: one rule, and the few numbers in it.

A limit lies `REACH` times as far from the median as the decile on its side, and at least as far as the figure's floor,
so that training data which are all alike do not make every other case an outlier. Deciles are robust: up to a tenth of
the cases on either side may be anything. What at least one training case in fifty goes beyond is never outside; so no
one of up to fifty training cases is ever outside, whose percentiles 2 and 98 lie within the extremes.
With few cases the deciles are uncertain, and limits lie (1 + `UNSURE` / cases) times as far.

What was measured by these rules (false alarms, and faults that were found) stands in docs/explanation/fingerprint.md;
``benchmarks/fingerprint.py`` measures it again.
"""

from __future__ import annotations

import math

from medvision.fingerprint.value import Spread

REACH = 3.0
"""Distances of the decile from the median to the limit: 3.8 standard deviations of a normal distribution."""

UNSURE = 10.0
"""Cases with which limits lie twice as far."""

SPACING_FACTOR = 1.5
"""Factor from the median spacing below which no spacing is outside."""

EXTENT_FACTOR = 1.25
"""The same for the field of view in mm."""

ASPECT_FACTOR = 1.5
"""The same for the ratio of a picture's sides."""

COARSE_FACTOR = 1.5
"""Factor by which a picture without a physical size may have fewer pixels than the smallest of training."""

VALUE_SHIFT = 0.5
"""Floor for absolute values, in standard deviations of all training values together."""

Z_SHIFT = 0.5
"""Floor for figures in standard deviations of their own case."""

SHARE_SHIFT = 0.25
"""Floor for shares of an image."""

NEGATIVE_Z = 0.1
"""How far below 0 the least value may lie, in standard deviations of the case, where no training case goes below 0: MR
has no values there, CT has."""

FEW = 50
"""Cases up to which one of them is a fiftieth or more, so that the least and the greatest count as usual."""

SLABS_KNOWN = 0.02
"""Share of training cases with slabs from which on slabs are not reported."""


def shifted(spread: Spread, cases: int, *, floor: float) -> tuple[float, float]:
    """Return the least and the greatest value that is not outside, for a figure that may be 0 or negative.

    >>> shifted(Spread.of(range(101)), 10, floor=0.0)
    (-190.0, 290.0)
    """
    factor = REACH * (1 + UNSURE / cases)
    low = spread.p50 - max(factor * (spread.p50 - spread.p10), floor)
    high = spread.p50 + max(factor * (spread.p90 - spread.p50), floor)
    least, greatest = nearly_all(spread, cases)
    return min(low, least), max(high, greatest)


def nearly_all(spread: Spread, cases: int) -> tuple[float, float]:
    """Return the ends beyond which fewer than one case in fifty lies: of up to fifty cases the extremes themselves.

    >>> nearly_all(Spread.of(range(50)), 50), nearly_all(Spread.of(range(101)), 101)
    ((0.0, 49.0), (2.0, 98.0))
    """
    return (spread.least, spread.greatest) if cases <= FEW else (spread.p2, spread.p98)


def scaled(spread: Spread, cases: int, *, factor: float) -> tuple[float, float]:
    """Return the same for a figure above 0, by ratios: a half and a double lie equally far.

    >>> scaled(Spread.of([1.0] * 9), 9, factor=1.5)
    (0.6666666666666666, 1.5)
    """
    logs = Spread(*(math.log(value) for value in spread.percentiles))
    low, high = shifted(logs, cases, floor=math.log(factor))
    return math.exp(low), math.exp(high)
