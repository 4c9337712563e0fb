"""The edges of labels in a cut, as thin lines that can be told apart without seeing colours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.geometry import FloatArray

# Okabe and Ito, "Color Universal Design" (2008): those of their colours that show on black, grey and white.
_COLOURS = ("#56b4e9", "#e69f00", "#00b88a", "#f0e442", "#e8590c", "#cc79a7", "#ffffff")
_DASHES = ("", "5 2.5", "1.5 2", "7 2 1.5 2")


@dataclass(frozen=True)
class Style:
    """How the line of a label looks: its colour, and its dashes in pixels (empty for a solid line)."""

    colour: str
    dash: str


@dataclass(frozen=True)
class Outline:
    """The line around a label in one cut; `path` is SVG path data in the unit of the cut."""

    name: str
    style: Style
    path: str


def style_of(position: int) -> Style:
    """Return the line of the label at `position` among the names; neighbours differ in colour and in dashes.

    >>> style_of(0), style_of(1)
    (Style(colour='#56b4e9', dash=''), Style(colour='#e69f00', dash='5 2.5'))
    """
    return Style(_COLOURS[position % len(_COLOURS)], _DASHES[position % len(_DASHES)])


def outlines(cut: NDArray[Any], names: Mapping[int, str], size: tuple[float, float]) -> tuple[Outline, ...]:
    """Return the outlines of the labels in a (rows, columns) cut that is drawn `size` (width, height) large."""
    rows, columns = cut.shape
    steps = np.array([size[1] / rows, size[0] / columns])
    found = []
    present = set(np.unique(cut).tolist())
    for position, (number, name) in enumerate(names.items()):
        if number in present:
            found.append(Outline(name, style_of(position), _path(cut == number, steps)))
    return tuple(found)


def _path(mask: NDArray[np.bool_], steps: FloatArray) -> str:
    """Return the closed lines halfway between the voxels inside and outside of `mask`, as SVG path data."""
    from skimage.measure import find_contours

    lines = find_contours(np.pad(mask, 1).astype(np.float32), 0.5)
    parts = []
    for line in lines:
        corners = (_corners(line) - 0.5) * steps  # less the padding, plus half a voxel: faces instead of centres
        parts.append("M" + "L".join(f"{x:.4g} {y:.4g}" for y, x in corners) + "Z")
    return "".join(parts)


def _corners(line: FloatArray) -> FloatArray:
    """Return the points of a closed line at which it turns."""
    points = line[:-1]
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    turn = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    return points[np.abs(turn) > 1e-9]
