"""The first figure of a case: cuts in every direction with the edges of the labels on them."""

from __future__ import annotations

from dataclasses import dataclass

from medvision.report.display import Box, spread
from medvision.report.outlines import Style, style_of
from medvision.report.scene import Cut, Scene

_CUTS = 7
_LONGEST_PIXELS = 240  # of a cut among many
_LONGEST_PIXELS_ALONE = 640


@dataclass(frozen=True)
class Mosaic:
    """A row of cuts for each direction, the legend of their lines, and what they show, in sentences."""

    rows: tuple[tuple[Cut, ...], ...]
    legend: tuple[tuple[str, Style], ...]
    caption: tuple[str, ...]

    @property
    def columns(self) -> int:
        """The number of cuts in the longest row."""
        return max(len(row) for row in self.rows)


def mosaic_of(scene: Scene, *, channels: int) -> Mosaic:
    """Return the cuts through the labels, or through the middle of the image where there are none."""
    display = scene.display
    found = scene.label_box()
    box = found or display.middle()
    shown = display.around(found) if found and display.source.physical else display.whole
    rows = []
    alone = len(display.planes) == 1
    for plane in display.planes:
        places = spread(*box[plane.axis], _CUTS)
        longest = _LONGEST_PIXELS_ALONE if alone and len(places) == 1 else _LONGEST_PIXELS
        rows.append(tuple(scene.image_cut(plane, index, shown, longest) for index in places))
    drawn = {line.name for row in rows for cut in row for line in cut.outlines}
    legend = tuple((name, style_of(at)) for at, name in enumerate(scene.names.values()) if name in drawn)
    return Mosaic(tuple(rows), legend, tuple(_caption(scene, found, shown, channels)))


def _caption(scene: Scene, found: Box | None, shown: Box, channels: int) -> list[str]:
    display = scene.display
    sentences = []
    if not display.source.physical:
        sentences.append("The picture as it is stored; the file states neither its orientation nor a size in mm.")
    elif found:
        sentences.append("Cuts spread evenly over the space that the labels take; lines are the edges of the labels.")
    else:
        sentences.append("Cuts spread evenly over the middle of the image; there is no label to outline.")
    if found and shown != display.whole:
        sentences.append("The surroundings are cropped.")
    if display.source.physical:
        sentences += _directions(scene)
    sentences.append(f"{scene.window.words}.")
    if channels > 1:
        sentences.append(f"Channel 1 of {channels}.")
    if scene.labels is not None:
        sentences.append(
            "Good: the lines follow the visible border in every direction, without holes, steps or parts elsewhere."
        )
    return sentences


def _directions(scene: Scene) -> list[str]:
    display = scene.display
    sentences = [
        "Radiological display: the patient's right (R) is on the image's left. Positions are in mm (x to the right, "
        "y to the front, z upwards)."
    ]
    if display.is_tilted:
        kind = "sheared" if display.source.is_sheared else "oblique"
        sentences.append(
            f"The grid is {kind}: cuts run along its own axes, up to {display.tilt_degrees:.1f} degrees off, letters "
            "name the nearest direction, and positions hold in the middle of a cut."
        )
        if display.source.is_sheared:
            sentences.append("The shear itself is not drawn.")
    return sentences
