"""Which grid the network sees."""

from __future__ import annotations

import pytest
from planned import chosen, classification, segmentation

from medvision.errors import UsageError
from medvision.planning.grid import grid_of, target_spacing_mm


def test_the_spacing_of_a_segmentation_is_the_median_along_each_axis() -> None:
    data = segmentation(spacing=([0.5, 0.7, 0.9], 0.8, [1.0, 1.2, 4.0]), shape=(100, 100, 80))
    assert target_spacing_mm(data) == (0.7, 0.8, 1.2)
    grid = grid_of(data)
    assert grid.shape == (100, 100, 80)
    assert not grid.anisotropic
    assert not grid.fixed
    assert chosen(grid.decisions) == {
        "steps.reorient": {"orientation": "RAS"},
        "steps.resample": {"spacing_mm": [0.7, 0.8, 1.2]},
    }


def test_an_axis_of_thick_slices_takes_the_tenth_percentile_but_none_finer_than_the_others() -> None:
    thick = [2.0, *[5.0] * 9, 6.0]  # the tenth percentile is 5, or 2 where a fifth of the cases has it
    assert target_spacing_mm(segmentation(spacing=(0.8, 0.8, thick), shape=(400, 400, 30)))[2] == 5.0
    many_thin = [2.0] * 3 + [5.0] * 8
    grid = grid_of(segmentation(spacing=(0.8, 0.8, many_thin), shape=(400, 400, 30)))
    assert grid.spacing_mm == (0.8, 0.8, 2.0)
    assert grid.shape[2] == 75
    assert not grid.anisotropic
    assert "10th percentile" in grid.decisions[1].reason
    finer = [0.2] * 3 + [5.0] * 8
    assert target_spacing_mm(segmentation(spacing=(0.8, 0.7, finer), shape=(400, 400, 30)))[2] == 0.8


def test_a_coarse_axis_with_many_voxels_keeps_its_median() -> None:
    many_thin = [1.0] * 3 + [5.0] * 8
    data = segmentation(spacing=(0.8, 0.8, many_thin), shape=(100, 100, 60))
    assert target_spacing_mm(data)[2] == 5.0
    assert grid_of(data).anisotropic
    assert "10th percentile" not in grid_of(data).decisions[1].reason


def test_images_without_a_size_are_segmented_at_their_own_voxels() -> None:
    grid = grid_of(segmentation(spacing=None, shape=(64, 48, 1), dimensions=2))
    assert (grid.shape, grid.spacing_mm, grid.fixed) == ((64, 48), (1.0, 1.0), True)
    assert [each.value for each in grid.decisions] == [None]
    assert "no spacing" in grid.decisions[0].reason
    assert not grid_of(segmentation(spacing=None, shape=([64, 70], 48, 1), dimensions=2)).fixed
    with pytest.raises(UsageError, match="no spacing"):
        target_spacing_mm(segmentation(spacing=None))


def test_flat_images_of_any_plane_lose_the_axis_of_one_voxel() -> None:
    data = segmentation(spacing=(0.5, 3.0, 0.7), shape=(64, 1, 48), dimensions=2)
    assert data.plane == (0, 2)
    grid = grid_of(data)
    assert (grid.shape, grid.spacing_mm) == ((64, 48), (0.5, 0.7))
    assert "flat images" in grid.decisions[0].reason
    assert classification(shape=(1, 30, 20)).plane == (1, 2)
    assert classification(shape=(30, 20, 1)).plane == (0, 1)


def test_a_classifier_sees_images_of_one_size_no_finer_than_they_are() -> None:
    small = grid_of(classification())
    assert (small.shape, small.fixed) == ((28, 28), True)
    assert chosen(small.decisions) == {"steps.resize": {"shape": [28, 28, 1]}}
    large = grid_of(classification(shape=(1000, 500, 1)))
    assert large.shape == (224, 112)
    assert "at most 224" in large.decisions[0].reason


def test_a_classifier_of_volumes_in_mm_sees_voxels_that_are_cubes_in_a_typical_case() -> None:
    grid = grid_of(classification(shape=(256, 256, 32), spacing=(1, 1, 4), dimensions=3, modality="MR"))
    assert grid.shape == (64, 64, 32)
    assert grid.spacing_mm == (4.0, 4.0, 4.0)
    assert chosen(grid.decisions) == {
        "steps.reorient": {"orientation": "RAS"},
        "steps.resize": {"shape": [64, 64, 32]},
    }
