"""Another spacing with thick slices apart: scikit-image's values, nnU-Net's rules, and the way back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.transform import resize

from medvision.errors import GeometryError
from medvision.geometry import Geometry
from medvision.steps import Resample, ResampleApart, Transpose, apply, orders_back, undo
from medvision.volume import Volume

RNG = np.random.default_rng(0)


def scan(shape: tuple[int, int, int], spacing: Any, channels: int = 1) -> Volume:
    voxels = RNG.normal(size=(channels, *shape)).astype(np.float32)
    return Volume(voxels, Geometry.from_spacing(spacing, shape).reoriented("LPS"), modality="MR", unit="HU")


@settings(max_examples=20, deadline=None)
@given(st.tuples(*[st.floats(0.6, 1.7)] * 3), st.sampled_from([0, 1, 3]))
def test_values_are_those_of_scikit_image_and_the_field_of_view_stays(wanted: Any, order: Any) -> None:
    volume = scan((7, 9, 8), (1.0, 1.2, 0.9), channels=2)
    moved = ResampleApart(spacing_mm=wanted, order=order, apart="never")(volume)
    stored = [float(np.float32(length)) for length in (1.0, 1.2, 0.9)]  # as NIfTI does: 1.2 / 0.8 * 9 is above 13.5
    shape = tuple(round(o / n * s) for o, n, s in zip(stored, wanted, (7, 9, 8), strict=True))
    assert moved.geometry.shape == shape
    for ours, source in zip(moved.voxels, volume.voxels, strict=True):
        theirs = resize(source.astype(float), shape, order, mode="edge", anti_aliasing=False)
        assert np.allclose(ours, theirs, atol=2e-5)
    outer = [moved.geometry.to_world([-0.5] * 3), moved.geometry.to_world(np.array(shape) - 0.5)]
    faces = [volume.geometry.to_world([-0.5] * 3), volume.geometry.to_world(np.array((7, 9, 8)) - 0.5)]
    assert np.allclose(outer, faces)
    assert (moved.voxels.dtype, moved.unit) == (np.float32, "HU")


def test_thick_slices_are_resampled_each_by_itself_and_then_the_nearest_is_taken() -> None:
    volume = scan((6, 5, 4), (1.0, 1.0, 4.0))
    moved = ResampleApart(spacing_mm=(0.8, 0.5, 3.0))(volume)
    assert moved.geometry.shape == (8, 10, 5)
    nearest = [0, 1, 2, 2, 3]  # the middle one of five lies between two of four: the later is taken
    for k, old in enumerate(nearest):
        theirs = resize(volume.voxels[0, :, :, old].astype(float), (8, 10), 3, mode="edge", anti_aliasing=False)
        assert np.allclose(moved.voxels[0, :, :, k], theirs, atol=2e-5)


def test_a_spline_leaves_no_value_beyond_those_of_the_image_or_of_its_slice() -> None:
    voxels = np.zeros((1, 8, 8, 2))
    voxels[0, :4, :, 0], voxels[0, :4, :, 1] = 1, 2
    volume = Volume(voxels, Geometry.from_spacing((1, 1, 1), (8, 8, 2)))
    apart = ResampleApart(spacing_mm=(0.4, 0.4, 4.0))(volume)
    assert apart.geometry.shape == (20, 20, 1) or apart.voxels.min() >= 0
    whole = ResampleApart(spacing_mm=(0.4, 0.4, 0.5), apart="never")(volume)
    assert (whole.voxels.min(), whole.voxels.max()) == (0, 2)


@pytest.mark.parametrize(
    ("step", "now", "orders"),
    [
        ({}, (1, 1, 1), (1, 1, 1)),
        ({}, (1, 1, 3), (1, 1, 1)),  # not more than three times as long
        ({}, (1, 1, 3.1), (1, 1, 0)),
        ({}, (5, 1, 1), (0, 1, 1)),
        ({}, (4, 4, 1), (1, 1, 1)),  # two are the longest
        ({"spacing_mm": (1, 4, 1)}, (1, 1, 9), (1, 0, 1)),  # the network's grid is asked first
        ({"apart": "never"}, (5, 1, 1), (1, 1, 1)),
        ({"apart": "always", "spacing_mm": (2, 1, 1)}, (1, 1, 1), (0, 1, 1)),
        ({"apart": "always"}, (1, 1, 2), (1, 1, 1)),  # that of the network has no longest axis
        ({"back": 0}, (1, 1, 1), (0, 0, 0)),
        ({"ratio": 1.5}, (1, 1, 2), (1, 1, 0)),
        ({"spacing_mm": (1, 1)}, (1, 1, 9), (1, 1, 0)),
    ],
)
def test_results_go_back_by_the_rule_of_nnunet(step: dict[str, Any], now: Any, orders: Any) -> None:
    assert ResampleApart(**{"spacing_mm": (1, 1, 1), **step}).orders_back(now) == orders


def test_with_two_numbers_the_last_axis_keeps_its_slices() -> None:
    volume = scan((6, 6, 5), (1.0, 1.0, 1.3))
    moved = ResampleApart(spacing_mm=(2.0, 0.5))(volume)
    assert moved.geometry.shape == (3, 12, 5)
    assert moved.geometry.spacing[2] == pytest.approx(1.3)


def test_a_grid_that_needs_no_other_size_is_left_as_it_is() -> None:
    volume = scan((6, 6, 5), (1.0, 1.0, 1.0))
    moved = ResampleApart(spacing_mm=(1.05, 1.0, 1.0))(volume)
    assert moved.geometry is volume.geometry
    assert np.array_equal(moved.voxels, volume.voxels)


def test_the_noise_of_an_affine_does_not_choose_between_two_sizes() -> None:
    for noise in (-1e-12, 0.0, 1e-12):
        volume = scan((5, 4, 4), (0.5 + noise, 1.0, 1.0))
        assert ResampleApart(spacing_mm=(1.0, 1.0, 1.0), apart="never")(volume).geometry.shape == (2, 4, 4)


def test_an_axis_never_loses_its_last_voxel() -> None:
    assert ResampleApart(spacing_mm=(9.0, 1.0, 1.0))(scan((2, 4, 4), (1, 1, 1))).geometry.shape == (1, 4, 4)


def test_a_picture_is_refused() -> None:
    picture = Volume(np.zeros((1, 4, 4, 1)), Geometry.of_picture(4, 4))
    with pytest.raises(GeometryError, match="no spacing in mm") as caught:
        ResampleApart(spacing_mm=(1.0, 1.0))(picture)
    assert caught.value.finding.cure == "Use the step `resize` instead."


def test_the_way_back_is_linear_within_slices_and_takes_the_nearest_across_them() -> None:
    volume = scan((6, 5, 8), (1.0, 1.0, 4.0))
    steps = (Transpose(axes=(2, 0, 1)), ResampleApart(spacing_mm=(6.0, 0.8, 0.7)))
    moved = apply(steps, volume)
    assert moved.geometry.shape == (5, 8, 7)
    orders = orders_back(steps, moved.geometry, volume.geometry)
    assert orders == (0, 1, 1)
    back = undo(moved.voxels[0], moved.geometry, volume.geometry, order=orders, fill=0)
    nearest = np.floor((np.arange(8) + 0.5) * 5 / 8).astype(int)
    for k, source in enumerate(nearest):
        theirs = resize(moved.voxels[0, source].astype(float), (6, 5), 1, mode="edge", anti_aliasing=False)
        assert np.allclose(back[:, :, k], theirs, atol=1e-5)


def test_the_way_back_fills_what_lies_beyond_the_grid_along_an_axis_that_is_apart() -> None:
    grid = Geometry.from_spacing((1, 1, 2), (2, 2, 6))
    inner = grid.cropped((0, 0, 2), (2, 2, 4)).reoriented("RAI")
    values = np.arange(8.0).reshape(2, 2, 2)
    back = undo(values, inner, grid, order=(1, 1, 0), fill=-1)
    assert np.array_equal(back[..., [2, 3]], values[..., ::-1])
    assert (back[..., [0, 1, 4, 5]] == -1).all()
    away = grid.cropped((0, 0, 20), (2, 2, 22))
    assert (undo(values, away, grid, order=(1, 1, 0), fill=-1) == -1).all()
    assert np.array_equal(undo(values, inner, grid, order=(0, 0, 0), fill=-1), back)


def test_other_steps_go_back_linearly() -> None:
    volume = scan((4, 4, 4), (1, 1, 9))
    steps = (Resample(spacing_mm=(1, 1, 3)),)
    assert orders_back(steps, apply(steps, volume).geometry, volume.geometry) == (1, 1, 1)
