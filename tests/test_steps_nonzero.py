"""The box around what is not 0, and the object with what it encloses."""

from __future__ import annotations

import numpy as np
import pytest

from medvision.errors import InputError
from medvision.geometry import Geometry
from medvision.steps import CropNonzero, undo
from medvision.steps.nonzero import object_of
from medvision.volume import Volume


def scan(voxels: np.ndarray) -> Volume:
    return Volume(voxels, Geometry.from_spacing((1, 1, 2), voxels.shape[1:]), unit="HU")


def test_the_box_holds_what_is_not_0_in_any_channel_negative_values_too() -> None:
    voxels = np.zeros((2, 6, 7, 8), dtype=np.int16)
    voxels[0, 2, 3, 4], voxels[1, 4, 3, 1] = -5, 7
    volume = scan(voxels)
    cropped = CropNonzero()(volume)
    assert cropped.geometry.shape == (3, 1, 4)
    assert (cropped.voxels[0, 0, 0, 3], cropped.voxels[1, 2, 0, 0]) == (-5, 7)
    assert np.array_equal(cropped.geometry.to_world((0, 0, 0)), volume.geometry.to_world((2, 3, 1)))
    assert (cropped.unit, cropped.voxels.dtype) == ("HU", np.int16)
    assert np.shares_memory(cropped.voxels, voxels)
    back = undo(cropped.voxels[0], cropped.geometry, volume.geometry, order=1, fill=0)
    assert np.array_equal(back, voxels[0])


def test_an_image_without_any_0_stays_whole() -> None:
    assert CropNonzero()(scan(np.ones((1, 2, 3, 4)))).geometry.shape == (2, 3, 4)


def test_an_image_of_zeros_alone_is_refused() -> None:
    with pytest.raises(InputError, match="all voxels are 0") as caught:
        CropNonzero()(scan(np.zeros((2, 3, 3, 3))))
    assert caught.value.code == "constant-image"


def test_an_object_is_what_some_channel_shows_and_what_that_encloses() -> None:
    voxels = np.zeros((2, 5, 5, 5))
    voxels[0, 1:4, 1:4, 1:4] = 1
    voxels[0, 2, 2, 2] = 0  # a hole
    voxels[1, 0, 0, 0] = -1
    wanted = np.zeros((5, 5, 5), dtype=bool)
    wanted[1:4, 1:4, 1:4] = wanted[0, 0, 0] = True
    assert np.array_equal(object_of(voxels), wanted)
