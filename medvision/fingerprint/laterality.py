"""Which labels are the left and the right one of a structure by where they lie, whatever they are called.

Names tell sides in English and Latin; labels without names, or in other languages, are told by place. Two labels are
taken for left and right where, in the world's millimetres,

- one lies to the left of the other in at least 95 % of the cases that have both, of few cases in all: disease and the
  turn of a head in the scanner do not exchange sides, while chance does in every other case;
- they lie side by side: the distance between their centres along left-right is twice that along either other axis or
  more. Front and back of one structure, or top and bottom, do not;
- they are apart: that distance is a quarter of the sum of their widths or more, so that they share no more than half of
  their extent. Layers round one centre are not apart;
- they are of one kind: neither is more than twice as large. A liver and a spleen are told by what they look like, and
  not by place alone.

Distances and sizes are medians over the cases that have both.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from medvision.fingerprint.case import CaseFigures, LabelMeasure

AGREEING = 0.95
"""Share of the cases in which the same label lies to the left."""

BESIDE = 2.0
"""Distance along left-right for each mm along another axis."""

APART = 0.25
"""The same for each mm of both labels' widths together."""

AS_LARGE = 2.0
"""How many times as large as the other a label of a pair may be."""


def lateral_pairs(cases: Sequence[CaseFigures], names: Mapping[int, str]) -> tuple[tuple[str, str], ...]:
    """Return the pairs of labels that lie as the left and the right one of a structure, as (left, right) by name.

    Parameters
    ----------
    cases
        What :func:`~medvision.fingerprint.case.measure_case` gave of each.
    names
        The names of the labels, from 1.
    """
    found = (_in_order(cases, *pair) for pair in itertools.combinations(sorted(names), 2))
    return tuple((names[pair[0]], names[pair[1]]) for pair in found if pair is not None)


def _in_order(cases: Sequence[CaseFigures], one: int, other: int) -> tuple[int, int] | None:
    """Return two labels as the left and the right one; None where they are not."""
    both = [
        (case.labels[one], case.labels[other]) for case in cases if case.labels and {one, other} <= set(case.labels)
    ]
    places = [(first.centroid_ras_mm, second.centroid_ras_mm) for first, second in both]
    steps = np.array(
        [np.subtract(second, first) for first, second in places if first is not None and second is not None]
    )
    if not len(steps) or not _are_alike(both):
        return None
    share = float((steps[:, 0] > 0).mean())  # x runs to the patient's right
    x, y, z = np.median(np.abs(steps), axis=0).tolist()
    widths = np.median([sum(each.box_mm[0] for each in pair if each.box_mm) for pair in both])
    if x == 0 or x < BESIDE * max(y, z) or x < APART * widths or max(share, 1 - share) < AGREEING:
        return None
    return (one, other) if share > 0.5 else (other, one)


def _are_alike(both: Sequence[tuple[LabelMeasure, LabelMeasure]]) -> bool:
    """Return whether neither is much larger than the other."""
    ratio = float(np.median([first.voxels / second.voxels for first, second in both]))
    return 1 / AS_LARGE <= ratio <= AS_LARGE
