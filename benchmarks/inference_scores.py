"""How far masks agree with the truth and with each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medvision.comparison import Difference, paired_difference


@dataclass(frozen=True)
class Scores:
    """Masks against the truth, and against those of the contender that others are held against.

    Parameters
    ----------
    dice
        Mean over labels of each case against the truth; empty where there is none.
    same
        Share of voxels of each case with the same label as the other's; empty for the other itself.
    """

    dice: Mapping[str, float]
    same: Mapping[str, float]

    @property
    def mean_dice(self) -> float | None:
        """Mean over cases; None without a truth."""
        return float(np.mean(list(self.dice.values()))) if self.dice else None


def scores(masks: Mapping[str, Path], truths: Mapping[str, Path], others: Mapping[str, Path]) -> Scores:
    """Compare the masks of cases with those of the same name; a mask that is missing raises FileNotFoundError."""
    dice, same = {}, {}
    for case, path in masks.items():
        found = voxels_of(path)
        if case in truths:
            dice[case] = mean_dice(found, voxels_of(truths[case]))
        if case in others:
            same[case] = float((found == voxels_of(others[case])).mean())
    return Scores(dice, same)


def mean_dice(found: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    """Return the mean over the labels of the truth of the Dice."""
    values = []
    for label in np.unique(truth[truth > 0]):
        one, other = found == label, truth == label
        values.append(2 * float((one & other).sum()) / float(one.sum() + other.sum()))
    return float(np.mean(values))


def dice_difference(of: Scores, to: Scores) -> Difference | None:
    """Return by how much the mean Dice is more than another's, its interval over cases; None without a truth."""
    cases = sorted(of.dice)
    if not cases:
        return None
    ours, theirs = (np.array([each.dice[case] for case in cases]) for each in (of, to))
    return paired_difference([(theirs,)], [(ours,)], cases, np.mean, seed=0)


def voxels_of(path: Path) -> NDArray[np.int64]:
    """Return the labels of a NIfTI file, as stored."""
    import nibabel

    return np.asarray(nibabel.load(path).dataobj).astype(np.int64)
