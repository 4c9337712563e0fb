"""Figures of masks whose answers are known by hand."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.errors import InputError
from medvision.geometry import Geometry
from medvision.measure import measure
from medvision.results import Measurement
from medvision.volume import Labels, Volume

_ORDERS = [
    "".join(letters) for axes in itertools.permutations(["RL", "AP", "SI"]) for letters in itertools.product(*axes)
]


def _rotation(degrees: float, axis: int) -> np.ndarray:
    angle = math.radians(degrees)
    turn = np.eye(3)
    a, b = [other for other in range(3) if other != axis]
    turn[a, a] = turn[b, b] = math.cos(angle)
    turn[a, b], turn[b, a] = -math.sin(angle), math.sin(angle)
    return turn


def _grid(matrix: np.ndarray, shape: tuple[int, int, int], centre: tuple[float, float, float]) -> Geometry:
    affine = np.eye(4)
    affine[:3, :3] = matrix
    affine[:3, 3] = np.asarray(centre) - matrix @ ((np.asarray(shape) - 1) / 2)
    return Geometry(affine, shape)


def _sphere(grid: Geometry, radius_mm: float, centre: tuple[float, float, float]) -> np.ndarray:
    world = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1))
    return (np.linalg.norm(world - np.asarray(centre), axis=-1) <= radius_mm).astype(np.uint8)


def _one(mask: np.ndarray, grid: Geometry, values: np.ndarray | None = None) -> Measurement:
    voxels = np.ones((1, *grid.shape), np.float32) if values is None else values
    (found,) = measure(Labels(mask, grid, {1: "thing"}), Volume(voxels, grid))
    return found


_CENTRE = (12.0, -30.0, 45.0)
_TURN = _rotation(25, 2) @ _rotation(-15, 0)
_SHEAR = np.array([[1.0, 0.3, 0.0], [0.0, 1.0, 0.35], [0.0, 0.0, 1.0]])
_GRIDS = {
    "isotropic": np.diag([1.0, 1.0, 1.0]),
    "anisotropic": np.diag([0.7, 0.9, 2.0]),
    "mirrored": np.diag([-1.0, 1.0, -1.5]),
    "oblique": _TURN @ np.diag([0.8, 1.0, 1.5]),
    "sheared": _SHEAR @ np.diag([0.8, 1.0, 1.2]),
}


@pytest.mark.parametrize("name", _GRIDS)
def test_a_sphere_has_its_analytic_volume_diameter_and_centre_on_every_kind_of_grid(name: str) -> None:
    matrix, radius = _GRIDS[name], 12.0
    spacing = np.linalg.norm(matrix, axis=0)
    grid = _grid(matrix, tuple(int(n) for n in np.ceil(44 / spacing)), _CENTRE)  # type: ignore[arg-type]
    found = _one(_sphere(grid, radius, _CENTRE), grid)
    assert found.volume_ml == pytest.approx(4 / 3 * math.pi * radius**3 / 1000, rel=0.02)
    assert found.longest_diameter_mm == pytest.approx(2 * radius, abs=float(spacing.max()))
    assert found.centroid_ras_mm == pytest.approx(_CENTRE, abs=0.1)
    assert found.components == 1
    assert not found.touches_edge


@pytest.mark.parametrize(("axis", "length"), [(0, 7 * 2.0), (1, 7 * 1.5), (2, 7 * 3.0)])
def test_a_rod_along_an_axis_is_as_long_as_its_voxels(axis: int, length: float) -> None:
    grid = Geometry.from_spacing((2.0, 1.5, 3.0), (9, 9, 9))
    mask = np.zeros(grid.shape, np.uint8)
    at: list[int | slice] = [4, 4, 4]
    at[axis] = slice(1, 8)
    mask[tuple(at)] = 1
    assert _one(mask, grid).longest_diameter_mm == pytest.approx(length)


def test_a_rod_on_a_sheared_grid_is_as_long_as_its_axis_in_the_world() -> None:
    grid = _grid(_SHEAR, (20, 20, 20), (0.0, 0.0, 0.0))
    mask = np.zeros(grid.shape, np.uint8)
    mask[10, 10, 2:17] = 1
    assert _one(mask, grid).longest_diameter_mm == pytest.approx(15 * math.hypot(1.0, 0.35))


def test_one_voxel_is_as_long_as_its_longest_side() -> None:
    grid = Geometry.from_spacing((1.0, 2.0, 3.0), (3, 3, 3))
    mask = np.zeros(grid.shape, np.uint8)
    mask[1, 1, 1] = 1
    assert _one(mask, grid).longest_diameter_mm == pytest.approx(3.0)


def test_corners_connect_and_the_diameter_is_of_the_largest_part() -> None:
    grid = Geometry.from_spacing((1, 1, 1), (20, 8, 8))
    mask = np.zeros(grid.shape, np.uint8)
    mask[1, 1, 1] = mask[2, 2, 2] = 1  # a corner: one part
    mask[4:6, 4:6, 4:6] = 1  # 8 voxels: the largest
    mask[10:16, 4, 4] = 1  # 6 voxels, but longer
    found = _one(mask, grid)
    assert found.components == 3
    assert found.voxels == 16
    assert found.longest_diameter_mm == pytest.approx(math.hypot(2, 1, 1))


def test_of_parts_of_equal_size_the_longest_counts_wherever_it_lies() -> None:
    grid = Geometry.from_spacing((1, 1, 1), (12, 12, 12))
    mask = np.zeros(grid.shape, np.uint8)
    mask[1:3, 1:3, 1:3] = 1
    mask[2:10, 8, 8] = 1
    assert _one(mask, grid).longest_diameter_mm == pytest.approx(8.0)
    assert _one(mask[::-1].copy(), grid).longest_diameter_mm == pytest.approx(8.0)


def test_many_specks_of_one_voxel_are_measured_once() -> None:
    grid = Geometry.from_spacing((1, 1, 1), (40, 40, 40))
    mask = np.zeros(grid.shape, np.uint8)
    mask[::2, ::2, ::2] = 1
    found = _one(mask, grid)
    assert (found.components, found.longest_diameter_mm) == (8000, pytest.approx(1.0))


@settings(max_examples=48, deadline=None)
@given(order=st.sampled_from(_ORDERS), seed=st.integers(0, 2**16))
def test_the_order_of_the_axes_changes_no_figure(order: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    grid = _grid(_TURN @ _SHEAR @ np.diag([0.8, 1.0, 1.5]), (7, 8, 9), _CENTRE)
    labels = Labels(rng.choice(3, size=grid.shape, p=[0.8, 0.1, 0.1]).astype(np.int16), grid, {1: "a", 2: "b"})
    volume = Volume(rng.normal(size=(1, *grid.shape)).astype(np.float32), grid)
    turned = grid.reoriented(order)
    for one, other in zip(measure(labels, volume), measure(labels.onto(turned), volume.onto(turned)), strict=True):
        assert other.voxels == one.voxels
        assert other.components == one.components
        assert other.touches_edge == one.touches_edge
        for field in ("volume_ml", "longest_diameter_mm", "mean_intensity", "sd_intensity", "centroid_ras_mm"):
            assert getattr(other, field) == pytest.approx(getattr(one, field), rel=1e-6, abs=1e-6)


def test_there_are_48_axis_orders() -> None:
    assert len(set(_ORDERS)) == 48


def test_the_intensity_is_that_of_the_first_channel() -> None:
    grid = Geometry.from_spacing((1, 1, 1), (2, 2, 1))
    mask = np.array([[1, 1], [1, 0]], np.uint8)[..., np.newaxis]
    values = np.array([[[2, 4], [6, 100]], [[9, 9], [9, 9]]], np.int16)[..., np.newaxis]
    found = _one(mask, grid, values)
    assert found.mean_intensity == pytest.approx(4.0)
    assert found.sd_intensity == pytest.approx(math.sqrt(8 / 3))


def test_a_label_that_was_not_found_has_a_volume_of_nothing_and_no_other_figure() -> None:
    grid = Geometry.from_spacing((1, 1, 1), (3, 3, 3))
    mask = np.zeros(grid.shape, np.uint8)
    mask[1, 1, 1] = 7
    names = {3: "missing", 7: "there"}
    missing, there = measure(Labels(mask, grid, names), Volume(np.ones((1, 3, 3, 3)), grid))
    assert missing == Measurement(3, "missing", 0, 0, 0.0, None, None, None, None, touches_edge=False)
    assert (there.label, there.name, there.voxels) == (7, "there", 1)


def test_labels_come_in_the_order_of_their_names_and_huge_numbers_cost_nothing() -> None:
    grid = Geometry.from_spacing((1, 1, 1), (3, 1, 1))
    mask = np.array([4_000_000_000, 0, 5], np.int64).reshape(3, 1, 1)
    found = measure(Labels(mask, grid, {4_000_000_000: "huge", 5: "small"}), Volume(np.ones((1, 3, 1, 1)), grid))
    assert [(one.name, one.voxels) for one in found] == [("huge", 1), ("small", 1)]


@pytest.mark.parametrize("side", [0, -1])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_label_at_any_face_of_the_field_of_view_is_said_to_touch_it(axis: int, side: int) -> None:
    grid = Geometry.from_spacing((1, 1, 1), (5, 5, 5))
    mask = np.zeros(grid.shape, np.uint8)
    at = [2, 2, 2]
    at[axis] = side
    mask[tuple(at)] = 1
    assert _one(mask, grid).touches_edge


def test_a_picture_is_counted_in_pixels_and_has_no_millimetres() -> None:
    grid = Geometry.of_picture(6, 5)
    mask = np.zeros(grid.shape, np.uint8)
    mask[1:4, 1:3, 0] = 1
    found = measure(Labels(mask, grid, {1: "thing", 2: "none"}), Volume(np.ones((1, 6, 5, 1)), grid))
    assert found[0] == Measurement(1, "thing", 6, 1, None, None, 1.0, 0.0, None, touches_edge=False)
    assert found[1] == Measurement(2, "none", 0, 0, None, None, None, None, None, touches_edge=False)


def test_labels_on_another_grid_than_the_image_are_refused() -> None:
    grid, moved = Geometry.from_spacing((1, 1, 1), (3, 3, 3)), Geometry.from_spacing((1, 1, 2), (3, 3, 3))
    with pytest.raises(InputError, match="grid-differs"):
        measure(Labels(np.zeros((3, 3, 3), np.uint8), moved, {1: "a"}), Volume(np.ones((1, 3, 3, 3)), grid))


def test_a_real_hippocampus_has_the_volume_that_its_voxels_add_up_to(shared_data: Path) -> None:
    import nibabel as nib

    folder = shared_data / "msd_hippocampus"
    image = nib.load(folder / "imagesTr" / "hippocampus_001.nii.gz")
    truth = nib.load(folder / "labelsTr" / "hippocampus_001.nii.gz")
    grid = Geometry(image.affine, image.shape)
    mask = np.asarray(truth.dataobj).astype(np.uint8)
    found = measure(Labels(mask, grid, {1: "Anterior", 2: "Posterior"}), Volume(np.asarray(image.dataobj)[None], grid))
    assert [one.voxels for one in found] == [int((mask == 1).sum()), int((mask == 2).sum())]
    assert all(1.0 < one.volume_ml < 2.5 for one in found if one.volume_ml is not None)  # what anatomy allows
    assert all(one.longest_diameter_mm is not None and 15 < one.longest_diameter_mm < 40 for one in found)
