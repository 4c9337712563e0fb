"""Values moved between grids: exactly where that is possible, in the world's coordinates always."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phantoms import ORIENTATIONS

from medvision.geometry import Geometry
from medvision.resampling import resample

GRID = Geometry(np.array([[0, 0, 2.0, 5], [-1.0, 0, 0, 7], [0, 1.5, 0, -3], [0, 0, 0, 1]]), (4, 5, 6))


def linear_truth(geometry: Geometry) -> np.ndarray:
    """Return 3x + 5y + 7z + 40 at every voxel: each shift, flip and shear shows as a number."""
    index = np.indices(geometry.shape).reshape(3, -1).T
    return (geometry.to_world(index) @ (3, 5, 7) + 40).reshape(geometry.shape)


@given(st.sampled_from(ORIENTATIONS), st.integers(0, 3))
def test_another_order_of_axes_moves_values_bit_by_bit(orientation: str, order: int) -> None:
    values = np.random.default_rng(0).integers(0, 99, GRID.shape)
    other = GRID.reoriented(orientation)
    there = resample(values, GRID, other, order=order)
    assert there.dtype == values.dtype
    assert np.array_equal(resample(there, other, GRID, order=order), values)
    assert np.array_equal(resample(linear_truth(GRID), GRID, other), linear_truth(other).round(9))


def test_a_crop_and_what_lies_beyond_are_cut_and_filled() -> None:
    values = np.arange(120).reshape(GRID.shape)
    crop = GRID.cropped((-1, 1, 2), (3, 4, 8))
    moved = resample(values, GRID, crop, fill=-1)
    assert np.array_equal(moved[1:, :, :4], values[:3, 1:4, 2:6])
    assert (moved[0] == -1).all()
    assert (moved[:, :, 4:] == -1).all()


@pytest.mark.parametrize("order", [1, 3])
def test_a_linear_field_is_interpolated_exactly_on_any_grid(order: int) -> None:
    turn = np.eye(4)
    turn[:2, :2] = [[0.96, -0.28], [0.28, 0.96]]
    turn[1, 2] = 0.2  # sheared
    turn[:3, 3] = (18, 15, 15)  # far from the edges, where a spline is bent
    source = Geometry.from_spacing((1, 1, 1), (40, 40, 40))
    target = Geometry(turn, (6, 6, 6))
    moved = resample(linear_truth(source), source, target, order=order)
    assert np.allclose(moved, linear_truth(target), atol=1e-3)


def test_the_field_of_view_ends_at_the_faces_of_its_outer_voxels() -> None:
    source = Geometry.from_spacing((2, 2, 2), (3, 3, 3))
    fine = source.resampled((1, 1, 1))
    moved = resample(np.ones((3, 3, 3), dtype=np.float32), source, fine, fill=-5)
    assert moved.shape == (6, 6, 6)
    assert (moved == 1).all()
    wider = fine.cropped((-1, -1, -1), (7, 7, 7))
    moved = resample(np.ones((3, 3, 3), dtype=np.float32), source, wider, fill=-5)
    assert (moved[1:-1, 1:-1, 1:-1] == 1).all()
    assert (moved[0] == -5).all()


def test_nearest_neighbour_keeps_labels_and_their_type() -> None:
    source = Geometry.from_spacing((2, 2, 2), (4, 4, 4))
    values = np.random.default_rng(1).integers(0, 3, source.shape).astype(np.uint8)
    fine = resample(values, source, source.resampled((1, 1, 1)), order=0)
    assert fine.dtype == np.uint8
    assert np.array_equal(fine, values.repeat(2, 0).repeat(2, 1).repeat(2, 2))


def test_going_coarser_with_smoothing_averages_instead_of_picking() -> None:
    source = Geometry.from_spacing((1, 1, 1), (32, 8, 8))
    stripes = np.zeros(source.shape, dtype=np.float32)
    stripes[::2] = 1
    coarse = source.resampled((4, 1, 1))
    inside = resample(stripes, source, coarse, smooth=True)[1:-1]  # the outer voxels see the edge's value repeated
    assert np.allclose(inside, 0.5, atol=0.02)


def test_grids_that_do_not_meet_give_only_the_fill() -> None:
    far = GRID.cropped((100, 100, 100), (102, 102, 102))
    assert (resample(np.ones(GRID.shape), GRID, far, fill=3) == 3).all()
