"""Volumes and labels are right once they are built, and cannot be changed."""

from __future__ import annotations

import numpy as np
import pytest

from medvision.errors import InputError
from medvision.geometry import Geometry
from medvision.volume import UNNAMED, Labels, Volume

GRID = Geometry.from_spacing((1, 2, 3), (4, 3, 2))
# About 11 degrees about the axis from foot to head.
OBLIQUE = Geometry(np.array([[0.98, -0.2, 0, 5], [0.2, 0.98, 0, 7], [0, 0, 3, 9], [0, 0, 0, 1]]), (4, 3, 2))


@pytest.mark.parametrize(
    ("voxels", "code"),
    [
        (np.zeros((4, 3, 2)), "bad-header"),
        (np.zeros((1, 4, 3, 3)), "bad-header"),
        (np.zeros((1, 4, 3, 2), dtype=complex), "bad-header"),
        (np.full((1, 4, 3, 2), np.nan), "not-finite"),
        (np.full((1, 4, 3, 2), np.inf), "not-finite"),
    ],
)
def test_a_volume_that_cannot_be_is_refused(voxels: np.ndarray, code: str) -> None:
    with pytest.raises(InputError) as caught:
        Volume(voxels, GRID)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("voxels", "words"),
    [
        (np.zeros((4, 3, 3), dtype=int), "do not fit"),
        (np.zeros((4, 3, 2)), "integers"),
        (np.full((4, 3, 2), 7), r"no name for \[7\]"),
        (np.full((4, 3, 2), -1), r"no name for \[-1\]"),
    ],
)
def test_labels_that_cannot_be_are_refused(voxels: np.ndarray, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        Labels(voxels, GRID, {1: "liver"})
    assert caught.value.code == "bad-labels"


def test_voxels_cannot_be_changed_and_the_callers_array_stays_writable() -> None:
    mine = np.zeros((1, 4, 3, 2))
    volume = Volume(mine, GRID)
    with pytest.raises(ValueError, match="read-only"):
        volume.voxels[0, 0, 0, 0] = 1
    mine[0, 0, 0, 0] = 1


def test_the_digest_follows_values_not_number_types() -> None:
    ones = np.ones((1, 4, 3, 2))
    assert Volume(ones, GRID).digest() == Volume(ones.astype(np.int16), GRID).digest()
    assert Volume(ones, GRID).digest() != Volume(ones * 2, GRID).digest()
    assert Volume(-0.0 * ones, GRID).digest() == Volume((0 * ones).astype(np.uint64), GRID).digest()


@pytest.mark.parametrize("orientation", ["LPS", "SAR", "IPL"])
def test_the_digest_is_that_of_the_same_values_in_another_axis_order(orientation: str) -> None:
    volume = Volume(np.arange(24.0).reshape(1, 4, 3, 2), OBLIQUE)
    stored = volume.onto(OBLIQUE.reoriented(orientation))
    assert stored.voxels.tobytes() != volume.voxels.tobytes()
    assert stored.digest() == volume.digest()
    assert Volume(stored.voxels.reshape(volume.voxels.shape), OBLIQUE).digest() != volume.digest()


def test_the_digest_of_a_picture_is_of_its_order_as_it_states_no_other() -> None:
    picture = Volume(np.arange(6.0).reshape(1, 3, 2, 1), Geometry.of_picture(3, 2))
    turned = Volume(picture.voxels[:, ::-1], picture.geometry)
    assert picture.digest() != turned.digest()


@pytest.mark.parametrize("orientation", ["LPS", "SAR"])
def test_the_digest_of_labels_follows_values_and_not_axis_order_or_number_type(orientation: str) -> None:
    numbers = np.arange(24).reshape(4, 3, 2)
    labels = Labels(numbers, OBLIQUE, UNNAMED)
    assert labels.onto(OBLIQUE.reoriented(orientation)).digest() == labels.digest()
    assert Labels(numbers.astype(np.uint8), OBLIQUE, UNNAMED).digest() == labels.digest()
    assert Labels(numbers[::-1], OBLIQUE, UNNAMED).digest() != labels.digest()
    drawn = Labels(numbers, Geometry.from_spacing((1, 1, 1), (4, 3, 2)), {**UNNAMED, 1: "one"}).digest()
    assert drawn == labels.digest(), "names and place are no part of it"


def test_a_volume_on_its_own_grid_is_the_same_and_in_every_channel() -> None:
    voxels = np.random.default_rng(0).normal(size=(2, 4, 3, 2))
    turned = Volume(voxels, GRID).onto(GRID.reoriented("LPI"))
    assert np.array_equal(turned.voxels, voxels[:, ::-1, ::-1, ::-1])
    assert turned.with_voxels(turned.voxels, unit="HU").unit == "HU"


def test_labels_go_to_another_grid_by_nearest_neighbour() -> None:
    labels = Labels(np.ones(GRID.shape, dtype=np.uint8), GRID, {1: "liver"})
    fine = labels.onto(GRID.resampled((1, 1, 1)))
    assert fine.voxels.dtype == np.uint8
    assert fine.voxels.all()
