"""One image laid out for looking, with its mask: gives the cuts that figures are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.report.display import Box, Display, Plane, box_of
from medvision.report.outlines import Outline, outlines
from medvision.report.pictures import Window, grey_png, map_png, window_of
from medvision.report.wording import fixed, listed
from medvision.volume import Labels, Volume


@dataclass(frozen=True)
class Cut:
    """A picture ready to be drawn.

    Parameters
    ----------
    plane
        The direction of cutting.
    picture
        A PNG as data URI.
    width, height
        In mm, or pixels for a picture; outlines are in the same unit.
    position
        Where the cut lies, in words; empty for a picture.
    outlines
        The lines to draw over it.
    alt
        What is to be seen, for those who cannot see it.
    """

    plane: Plane
    picture: str
    width: float
    height: float
    position: str
    outlines: tuple[Outline, ...]
    alt: str


@dataclass(frozen=True, eq=False)
class Scene:
    """An image and its mask in the order of the display.

    Parameters
    ----------
    display
        The layout.
    image
        (X, Y, Z) values of the first channel.
    labels
        (X, Y, Z) numbers, or None without a mask.
    names
        The names of the numbers.
    window
        Black and white of the image.
    """

    display: Display
    image: NDArray[Any]
    labels: NDArray[Any] | None
    names: Mapping[int, str]
    window: Window

    @classmethod
    def of(cls, volume: Volume, labels: Labels | None) -> Scene:
        """Return the scene of the first channel of `volume`."""
        display = Display(volume.geometry)
        mask = display.view(labels.voxels) if labels is not None else None
        names = labels.names if labels is not None else {}
        return cls(display, display.view(volume.voxels[0]), mask, names, window_of(volume))

    def label_box(self) -> Box | None:
        """Return the box of all labels, or None where there is none."""
        return box_of(self.labels > 0) if self.labels is not None else None

    def image_cut(self, plane: Plane, index: int, box: Box, longest: int) -> Cut:
        """Return a cut of the image with the outlines of the labels."""
        picture = grey_png(self.display.cut(self.image, plane, index, box), self.window, longest)
        return self._cut(plane, index, box, picture, "image")

    def map_cut(
        self, values: NDArray[np.float32], maximum: float, plane: Plane, index: int, box: Box, longest: int
    ) -> Cut:
        """Return a cut of a map (in the order of the display) with the outlines of the labels."""
        picture = map_png(self.display.cut(values, plane, index, box), maximum, longest)
        return self._cut(plane, index, box, picture, "map")

    def _cut(self, plane: Plane, index: int, box: Box, picture: str, what: str) -> Cut:
        size = self.display.size(plane, box)
        lines: tuple[Outline, ...] = ()
        if self.labels is not None:
            lines = outlines(self.display.cut(self.labels, plane, index, box), self.names, size)
        position = ""
        if plane.symbol:
            position = f"{plane.symbol} {fixed(self.display.position_mm(plane, index, box), 1)} mm"
        words = f"{plane.name} {what}" if position == "" else f"{plane.name} {what} at {position}"
        drawn = listed([line.name for line in lines])
        alt = f"{words.capitalize()}, outlined: {drawn}" if drawn else words.capitalize()
        return Cut(plane, picture, *size, position, lines, alt)
