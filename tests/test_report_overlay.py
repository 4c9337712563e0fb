"""A map over its image: in its place, in its proportions, with the directions named."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from medvision.geometry import Geometry
from medvision.report import overlay_png
from medvision.resampling import resample
from medvision.results import Saliency
from medvision.volume import Volume


def picture(volume: Volume, values: np.ndarray) -> np.ndarray:
    content = overlay_png(volume, Saliency(values, volume.geometry, "hirescam", "lesion"))
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


def test_the_map_is_coloured_where_it_lies_and_the_image_is_bare_elsewhere() -> None:
    grid = Geometry.of_picture(10, 20)
    values = np.zeros(grid.shape)
    values[7, 2, 0] = 1  # column 7, row 2
    drawn = picture(Volume(np.full((1, *grid.shape), 5.0), grid), values)
    assert drawn.shape == (360, 180, 3)
    row, column = 2 * 18 + 9, 7 * 18 + 9
    coloured = np.ptp(drawn, axis=2) > 0
    assert coloured[row, column]
    assert coloured.sum() == 18 * 18


def test_the_patients_left_is_drawn_on_the_right_whatever_the_order_of_axes() -> None:
    grid = Geometry.from_spacing((1, 1, 1), (11, 11, 11))
    values = np.zeros(grid.shape)
    values[1, 5, 5] = 1  # small x: the patient's left
    for orientation in ("RAS", "LPS", "SAR"):
        other = grid.reoriented(orientation)
        drawn = picture(Volume(np.zeros((1, *other.shape)), other), resample(values, grid, other))
        axial = drawn[:, :360]
        at = np.argwhere(np.ptp(axial, axis=2) > 30)
        assert at[:, 1].mean() > 300


def test_cuts_have_the_proportions_of_the_body() -> None:
    grid = Geometry.from_spacing((1, 1, 4), (10, 10, 10))
    values = np.ones(grid.shape)
    values[5, 5, 5] = 2
    drawn = picture(Volume(np.zeros((1, *grid.shape)), grid), values)
    assert drawn.shape[1] == 360 + 4 + 90 + 4 + 90


def test_the_same_input_gives_the_same_bytes() -> None:
    grid = Geometry.of_picture(8, 8)
    volume = Volume(np.arange(64.0).reshape(1, 8, 8, 1), grid)
    saliency = Saliency(np.arange(64.0).reshape(8, 8, 1), grid, "hirescam", "lesion")
    assert overlay_png(volume, saliency) == overlay_png(volume, saliency)
