"""Saliency and uncertainty beside the image: never over it, and never without saying how far to trust it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medvision.report.display import including
from medvision.report.outlines import Style
from medvision.report.scene import Cut, Scene
from medvision.report.wording import brief, flattened
from medvision.results import Saliency

_LONGEST_PIXELS = 256
_LONGEST_PIXELS_ALONE = 480
_NAMES = {
    "hirescam": "HiResCAM",
    "seg-hirescam": "Seg-HiResCAM",
    "smoothed-gradient": "Smoothed gradient",
    "entropy": "Predictive entropy",
}


@dataclass(frozen=True)
class MapFigure:
    """A map ready to be drawn.

    Parameters
    ----------
    title
        Method and target.
    pairs
        Image and map of the same cut; empty where the map shows nothing.
    ticks
        The numbers below the colour bar, at 0, a half and the maximum.
    unit
        Of the numbers, in words.
    caption
        What one sees, in sentences.
    caveat
        How far to trust it.
    parameters
        Names and values.
    legend
        The lines drawn over the cuts.
    """

    title: str
    pairs: tuple[tuple[Cut, Cut], ...]
    ticks: tuple[str, str, str]
    unit: str
    caption: tuple[str, ...]
    caveat: str
    parameters: tuple[tuple[str, str], ...]
    legend: tuple[tuple[str, Style], ...]


def map_figures(scene: Scene, saliency: Sequence[Saliency]) -> tuple[MapFigure, ...]:
    """Return a figure for each map, in their order."""
    return tuple(_figure(scene, one) for one in saliency)


def _figure(scene: Scene, saliency: Saliency) -> MapFigure:
    maximum = float(saliency.values.max())
    name = _NAMES.get(saliency.method, saliency.method)
    pairs = () if saliency.is_empty else _pairs(scene, saliency, maximum)
    drawn = {line.name: line.style for pair in pairs for line in pair[0].outlines}
    return MapFigure(
        title=f"{name}: {saliency.target}",
        pairs=pairs,
        ticks=("0", brief(maximum / 2), brief(maximum)),
        unit=saliency.unit or "relative, no unit",
        caption=_caption(scene, saliency),
        caveat=_caveat(saliency),
        parameters=tuple(flattened(saliency.parameters)),
        legend=tuple((name, drawn[name]) for name in scene.names.values() if name in drawn),
    )


def _pairs(scene: Scene, saliency: Saliency, maximum: float) -> tuple[tuple[Cut, Cut], ...]:
    display = scene.display
    values = display.view(saliency.values)
    peak = tuple(int(at) for at in np.unravel_index(int(values.argmax()), values.shape))
    found = scene.label_box()
    box = display.around(including(found, peak)) if found and display.source.physical else display.whole
    longest = _LONGEST_PIXELS_ALONE if len(display.planes) == 1 else _LONGEST_PIXELS
    return tuple(
        (
            scene.image_cut(plane, peak[plane.axis], box, longest),
            scene.map_cut(values, maximum, plane, peak[plane.axis], box, longest),
        )
        for plane in display.planes
    )


def _caption(scene: Scene, saliency: Saliency) -> tuple[str, ...]:
    if saliency.is_empty:
        return ("The map has the same value everywhere, so there is nothing to look at.",)
    where = "the cut through the map's maximum, " if scene.display.source.physical else ""
    sentences = [f"Left the image, right the map: {where}same crop, not laid over each other."]
    if saliency.method == "entropy":
        sentences.append(
            "Dark is where one label has nearly all the probability, bright where several share it. "
            "Expected: a thin bright line along the borders; broad bright areas ask for a look."
        )
    else:
        sentences.append(
            f"Bright is where the method attributes most of the score of “{saliency.target}”. "
            "Expected: bright on what a reader would look at, dark on borders, text and devices."
        )
    if saliency.parameters.get("coarse"):
        sentences.append("Coarse: one cell of this map covers many voxels, so its borders say nothing.")
    return tuple(sentences)


def _caveat(saliency: Saliency) -> str:
    if saliency.method == "entropy":
        return "Untested: entropy shows where the network hesitates, and a network can be sure and wrong."
    return "Untested: a saliency map is a hypothesis."
