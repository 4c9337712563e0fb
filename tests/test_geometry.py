"""Where voxels lie: index to mm and back, orders of axes, grids made from grids."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phantoms import ORIENTATIONS

from medvision.errors import GeometryError
from medvision.geometry import Geometry, parse_orientation

numbers = st.floats(-200, 200, allow_nan=False)
steps = st.floats(0.1, 8, allow_nan=False)
angles = st.floats(-3, 3, allow_nan=False)


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    """Draw any grid: oblique, anisotropic, mirrored, anywhere."""
    a, b = draw(angles), draw(angles)
    around_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    around_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    scale = np.diag([draw(steps) * draw(st.sampled_from([-1, 1])) for _ in range(3)])
    affine = np.eye(4)
    affine[:3, :3] = around_z @ around_x @ scale
    affine[:3, 3] = [draw(numbers) for _ in range(3)]
    i, j, k = (draw(st.integers(1, 9)) for _ in range(3))
    return Geometry(affine, (i, j, k))


@given(geometries(), st.tuples(numbers, numbers, numbers))
def test_an_index_goes_to_the_world_and_back(geometry: Geometry, index: tuple[float, float, float]) -> None:
    assert np.allclose(geometry.to_index(geometry.to_world(index)), index, atol=1e-6)


@given(geometries(), st.sampled_from(ORIENTATIONS))
def test_reorienting_moves_no_voxel_in_the_world(geometry: Geometry, orientation: str) -> None:
    turned = geometry.reoriented(orientation)
    assert turned.orientation == orientation
    have = {tuple(np.round(corner, 4) + 0.0) for corner in geometry.corners}
    assert {tuple(np.round(corner, 4) + 0.0) for corner in turned.corners} == have


def test_there_are_48_orientations_and_all_are_understood() -> None:
    assert len({tuple(parse_orientation(orientation)) for orientation in ORIENTATIONS}) == 48


@given(geometries(), st.tuples(steps, steps, steps))
def test_resampling_keeps_the_centre_and_nearly_the_field_of_view(
    geometry: Geometry, spacing: tuple[float, float, float]
) -> None:
    other = geometry.resampled(spacing)
    centre = [(size - 1) / 2 for size in geometry.shape]
    assert np.allclose(other.to_world([(s - 1) / 2 for s in other.shape]), geometry.to_world(centre), atol=1e-6)
    assert np.allclose(other.spacing, spacing)
    for old, new, step in zip(geometry.extent, other.extent, spacing, strict=True):
        assert abs(old - new) <= max(step / 2, step - old) + 1e-6


@given(geometries())
def test_a_mirror_image_has_the_same_spacing_and_centre_and_is_undone_by_itself(geometry: Geometry) -> None:
    mirrored = geometry.turned((-1, 1, 1))
    assert np.allclose(mirrored.spacing, geometry.spacing)
    assert np.sign(np.linalg.det(mirrored.affine[:3, :3])) == -np.sign(np.linalg.det(geometry.affine[:3, :3]))
    assert mirrored.turned((-1, 1, 1)).matches(geometry, tolerance_mm=1e-6)


def test_a_crop_starts_where_it_says() -> None:
    geometry = Geometry.from_spacing((2, 3, 4), (10, 10, 10)).cropped((1, 2, 3), (5, 5, 5))
    assert geometry.shape == (4, 3, 2)
    assert geometry.to_world((0, 0, 0)).tolist() == [2.0, 6.0, 12.0]


def test_a_sheared_grid_is_told_and_its_voxels_keep_their_volume() -> None:
    affine = np.eye(4)
    affine[1, 2] = 0.3
    sheared = Geometry(affine, (4, 4, 4))
    assert sheared.is_sheared
    assert sheared.voxel_ml == pytest.approx(0.001)
    assert not Geometry.from_spacing((1, 1, 1), (4, 4, 4)).is_sheared


def test_grids_match_only_within_the_tolerance() -> None:
    one = Geometry.from_spacing((1, 1, 1), (4, 4, 4))
    moved = one.affine.copy()
    moved[0, 3] = 0.01
    assert not one.matches(Geometry(moved, one.shape))
    assert one.matches(Geometry(moved, one.shape), tolerance_mm=0.02)
    assert not one.matches(Geometry.from_spacing((1, 1, 1), (4, 4, 5)))


def test_a_picture_has_no_millimetres() -> None:
    picture = Geometry.of_picture(28, 14)
    assert picture.shape == (28, 14, 1)
    assert picture.spacing == (1.0, 1.0, 1.0)
    for ask in ("spacing_mm", "voxel_ml"):
        with pytest.raises(GeometryError, match="no physical size"):
            getattr(picture, ask)
    assert picture.to_json()["spacing_mm"] is None


@pytest.mark.parametrize(
    ("affine", "shape", "words"),
    [
        (np.eye(3), (1, 1, 1), "4x4"),
        (np.diag([1, 1, np.nan, 1]), (1, 1, 1), "not finite"),
        (np.diag([1.0, 1.0, 1.0, 2.0]), (1, 1, 1), "last row"),
        (np.diag([1.0, 0.0, 1.0, 1.0]), (1, 1, 1), "singular"),
        (np.array([[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]), (1, 1, 1), "singular"),
        (np.eye(4), (1, 0, 1), "at least 1"),
        (np.eye(4), (1, 1), "three sizes"),
    ],
)
def test_an_impossible_grid_is_refused(affine: np.ndarray, shape: tuple[int, ...], words: str) -> None:
    with pytest.raises(GeometryError, match=words) as caught:
        Geometry(affine, shape)  # type: ignore[arg-type]
    assert caught.value.code == "bad-geometry"


@pytest.mark.parametrize("orientation", ["RA", "RRS", "RAX", "ras", "RASL"])
def test_an_orientation_that_is_none_is_refused(orientation: str) -> None:
    with pytest.raises(GeometryError, match="three letters"):
        parse_orientation(orientation)


@pytest.mark.parametrize("spacing", [(1, 1), (1, 0, 1), (1, -1, 1), (1, np.inf, 1)])
def test_a_spacing_that_is_none_is_refused(spacing: tuple[float, ...]) -> None:
    with pytest.raises(GeometryError, match="three numbers above 0"):
        Geometry.from_spacing((1, 1, 1), (2, 2, 2)).resampled(spacing)


def test_the_affine_is_a_copy_and_cannot_be_changed() -> None:
    affine = np.eye(4)
    geometry = Geometry(affine, (1, 1, 1))
    affine[0, 0] = 5
    assert geometry.affine[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        geometry.affine[0, 0] = 2


def test_the_digest_of_a_grid_tells_where_it_lies_and_overlooks_how_a_writer_rounds() -> None:
    grid = Geometry(np.diag([1.0, 1.0, 3.0, 1.0]), (4, 5, 6))
    rounded = Geometry(np.diag([1.0, 1.0, 3.0 + 1e-6, 1.0]), (4, 5, 6))
    assert rounded.digest() == grid.digest()
    others = [
        Geometry(np.diag([1.0, 1.0, 3.1, 1.0]), (4, 5, 6)),
        Geometry(np.diag([1.0, 1.0, 3.0, 1.0]), (4, 5, 7)),
        Geometry(np.diag([1.0, 1.0, 3.0, 1.0]), (4, 5, 6), physical=False),
    ]
    assert len({grid.digest(), *(other.digest() for other in others)}) == 4
