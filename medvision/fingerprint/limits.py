"""How far a figure may lie from those of the training data: one rule, and the few numbers in it.

A limit lies `REACH` times as far from the median as the decile on its side, and at least as far as the figure's floor,
so that training data which are all alike do not make every other case an outlier. Deciles are robust: up to a tenth of
the cases on either side may be anything. What at least one training case in fifty goes beyond is never outside.
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
    return min(low, spread.p2), max(high, spread.p98)


def scaled(spread: Spread, cases: int, *, factor: float) -> tuple[float, float]:
    """Return the same for a figure above 0, by ratios: a half and a double lie equally far.

    >>> scaled(Spread.of([1.0] * 9), 9, factor=1.5)
    (0.6666666666666666, 1.5)
    """
    logs = Spread(*(math.log(value) for value in spread.percentiles))
    low, high = shifted(logs, cases, floor=math.log(factor))
    return math.exp(low), math.exp(high)
