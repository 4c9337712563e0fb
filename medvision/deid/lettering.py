"""Lettering in pixels: rows of small, sharp, evenly bright shapes of one height on one line.

A detector of layout, not of words: nothing is read, so that it knows no language and needs no model. It finds printed
text that stands out from what is behind it. It does not find handwriting, single letters, vertical or faint text.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from medvision.errors import InputError

_STROKE = 7  # px: what is thinner than this in one direction counts as a stroke
_HEIGHTS = (5, 40)  # px of a glyph, at the scale that is looked at
_GLYPHS = 4  # fewer in a row are no line of text
_SLACK = round(0.15 * _HEIGHTS[1])  # px by which the lines of neighbours can differ, at most
_STEP = 8  # px of rows that are looked up together
_MOST_GLYPHS = 50_000  # of one frame at one scale: a page of dense print has fewer, and more cannot be judged
_CONTRAST = 0.3  # of the frame's range, between a stroke and what is around it


@dataclass(frozen=True, order=True)
class Box:
    """A rectangle of pixels: columns `x` to `x + width`, rows `y` to `y + height`, counted from 0 at the top left.

    Raises
    ------
    ValueError
        It has no width or no height.
    """

    x: int
    y: int
    width: int
    height: int

    def __post_init__(self) -> None:
        if self.width <= 0 or self.height <= 0:
            raise ValueError(f"a box of {self.width} by {self.height} pixels holds nothing")

    def joined(self, other: Box) -> Box:
        """Return the smallest box around both."""
        x, y = min(self.x, other.x), min(self.y, other.y)
        right = max(self.x + self.width, other.x + other.width)
        bottom = max(self.y + self.height, other.y + other.height)
        return Box(x, y, right - x, bottom - y)

    def grown(self, by: int) -> Box:
        """Return the box with `by` pixels more on each side, cut off at row and column 0."""
        x, y = max(self.x - by, 0), max(self.y - by, 0)
        return Box(x, y, self.x + self.width + by - x, self.y + self.height + by - y)


def find_lettering(frame: npt.NDArray[Any]) -> tuple[Box, ...]:
    """Return a box around each line that looks like printed text.

    Parameters
    ----------
    frame
        Stored values, (rows, columns) or (rows, columns, samples).

    Raises
    ------
    InputError
        ``burned-in-suspected``: the frame has so many small shapes that it cannot be judged.

    Examples
    --------
    >>> find_lettering(np.zeros((64, 64)))
    ()
    """
    values = np.asarray(frame, dtype=np.float32)
    bright = values.max(axis=-1) if values.ndim == 3 else values
    dark = values.min(axis=-1) if values.ndim == 3 else values
    lines: list[Box] = []
    for scale in _scales(bright.shape):
        for image in (bright, -dark):
            lines += [_scaled(box, scale) for box in _lines(_pooled(image, scale))]
    return _merged(lines)


def _scales(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return by how much the frame is shrunk, so that the tall letters of large pictures are met too."""
    return tuple(scale for scale in (1, 2, 4) if scale == 1 or min(shape) // scale >= 256)


def _pooled(image: npt.NDArray[np.float32], scale: int) -> npt.NDArray[np.float32]:
    rows, columns = (length // scale * scale for length in image.shape)
    blocks = image[:rows, :columns].reshape(rows // scale, scale, columns // scale, scale)
    return np.asarray(blocks.mean(axis=(1, 3)), dtype=np.float32)


def _lines(image: npt.NDArray[np.float32]) -> list[Box]:
    from scipy import ndimage

    low, high = np.percentile(image, (1, 99.9))
    if not high > low or min(image.shape) < _HEIGHTS[0]:
        return []
    # Burned-in text can lie far outside the picture's values: it is cut to stand out by the picture's range, no more.
    image = np.clip(image, low, 2 * high - low)
    relief = image - ndimage.grey_opening(image, size=(_STROKE, _STROKE))
    marks, count = ndimage.label(relief > _CONTRAST * (high - low), structure=np.ones((3, 3), dtype=int))
    if count == 0:
        return []
    peaks = ndimage.maximum(image, marks, np.arange(1, count + 1))
    areas = np.bincount(marks.ravel())[1:]
    boxes = [
        Box(across.start, down.start, across.stop - across.start, down.stop - down.start)
        for down, across in ndimage.find_objects(marks)
    ]
    glyphs = [
        (box, float(peak)) for box, peak, area in zip(boxes, peaks, areas, strict=True) if _is_glyph(box, int(area))
    ]
    if len(glyphs) > _MOST_GLYPHS:
        raise InputError("burned-in-suspected", "a frame holds so many small shapes that text among them is not told")
    edges = np.array([(box.x, box.y, _right(box), box.y + box.height) for box in boxes])
    return [_line_around(row, edges) for row in _rows(glyphs, tolerance=0.15 * float(high - low))]


def _is_glyph(box: Box, area: int) -> bool:
    """Whether a shape has the size of a letter or of a few that touch, and is drawn in strokes."""
    fits = _HEIGHTS[0] <= box.height <= _HEIGHTS[1] and box.width <= 3 * box.height
    return fits and 0.12 <= area / (box.width * box.height) <= (1.0 if box.width <= box.height / 2 else 0.85)


def _rows(glyphs: list[tuple[Box, float]], *, tolerance: float) -> list[list[Box]]:
    """Chain glyphs from left to right: one height, one base line, one brightness, small gaps.

    Chains are looked up by the lines that their last glyph stands on and reaches to, and forgotten where it ends too
    far to the left: in speckle there are thousands.
    """
    chains: list[list[tuple[Box, float]]] = []
    on_line: dict[int, set[int]] = defaultdict(set)
    for glyph in sorted(glyphs):
        box = glyph[0]
        near = set[int]().union(*(on_line[line] for line in _lines_of(box, slack=_SLACK)))
        ended = {n for n in near if box.x - _right(chains[n][-1][0]) > _HEIGHTS[1]}
        for line in _lines_of(box, slack=_SLACK):
            on_line[line] -= ended
        place = next((n for n in sorted(near - ended) if _follows(chains[n][-1], glyph, tolerance)), None)
        if place is None:
            place = len(chains)
            chains.append([])
        else:
            for line in _lines_of(chains[place][-1][0]):
                on_line[line].discard(place)
        chains[place].append(glyph)
        for line in _lines_of(box):
            on_line[line].add(place)
    return [[box for box, _ in chain] for chain in chains if len(chain) >= _GLYPHS and _is_varied(chain)]


def _right(box: Box) -> int:
    return box.x + box.width


def _lines_of(box: Box, *, slack: int = 0) -> set[int]:
    """Return the rows, in steps, of the top and the base of a glyph, and of those around that can be level with it."""
    ends = (box.y, box.y + box.height)
    return {line for end in ends for line in range((end - slack) // _STEP, (end + slack) // _STEP + 1)}


def _follows(last: tuple[Box, float], glyph: tuple[Box, float], tolerance: float) -> bool:
    (a, peak_a), (b, peak_b) = last, glyph
    tall = max(a.height, b.height)
    slack = max(1, round(0.15 * tall))
    top, base = abs(a.y - b.y) <= slack, abs(a.y + a.height - b.y - b.height) <= slack
    # Capitals share both lines; small letters share one, and are not much smaller.
    level = (top and base) or ((top or base) and min(a.height, b.height) >= 0.6 * tall)
    return level and -1 <= b.x - (a.x + a.width) <= tall and abs(peak_a - peak_b) <= tolerance


def _is_varied(chain: list[tuple[Box, float]]) -> bool:
    """Whether the shapes differ in width as letters do; the ticks of a ruler and dashes of a grid do not."""
    widths = [box.width for box, _ in chain]
    return max(widths) >= 3 and max(widths) - min(widths) >= 1


def _line_around(row: list[Box], marks: npt.NDArray[np.int64]) -> Box:
    """Return the box around a row, with what stands beside it on the line: dots, dashes, letters that touch.

    `marks` are the (count, 4) left, top, right and bottom edges of all shapes.
    """
    line = functools.reduce(Box.joined, row)
    tall = line.height
    _, top, _, bottom = marks.T
    near = marks[(top >= line.y - tall / 2) & (bottom <= line.y + 1.5 * tall)]
    while len(near):
        left, _, right, _ = near.T
        is_beside = (left <= line.x + line.width + 2 * tall) & (right >= line.x - 2 * tall)
        if not is_beside.any():
            break
        edges = near[is_beside]
        x, y, _, _ = (int(edge) for edge in edges.min(axis=0))
        _, _, end, base = (int(edge) for edge in edges.max(axis=0))
        line = line.joined(Box(x, y, end - x, base - y))
        near = near[~is_beside]
    return line


def _scaled(box: Box, scale: int) -> Box:
    return Box(box.x * scale, box.y * scale, box.width * scale, box.height * scale)


def _merged(boxes: list[Box]) -> tuple[Box, ...]:
    """Join boxes that overlap: the same line met at two scales, or in two parts."""
    merged: list[Box] = []
    for box in sorted(boxes):
        while touching := [other for other in merged if _overlap(box, other)]:
            for other in touching:
                merged.remove(other)
                box = box.joined(other)
        merged.append(box)
    return tuple(sorted(merged))


def _overlap(a: Box, b: Box) -> bool:
    apart = a.x >= b.x + b.width or b.x >= a.x + a.width or a.y >= b.y + b.height or b.y >= a.y + a.height
    return not apart
