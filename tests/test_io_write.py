from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from phantoms import positional

from medvision.errors import MedvisionError, OutputError, UsageError
from medvision.geometry import Geometry
from medvision.io import write_labels, write_volume
from medvision.io.nifti import read_nifti, volumes_in
from medvision.io.write import write_volumes
from medvision.volume import Labels, Volume

KINDS = ("u1", "i1", "i2", "u2", "i4", "u4", "f4", "f8")
GRID = Geometry(np.array([[0.0, -1.5, 0.0, 11], [2.0, 0, 0, -7], [0, 0, 3.0, 5], [0, 0, 0, 1]]), (5, 6, 4))
POSITIVE = np.diag([2.0, 0.5, 3.0])


def turned(angles: tuple[float, float, float]) -> np.ndarray:
    """Return a rotation by three angles, about z, y and x."""
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        turn = np.eye(3)
        one, other = (n for n in range(3) if n != axis)
        turn[one, one] = turn[other, other] = np.cos(angle)
        turn[one, other], turn[other, one] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ turn
    return matrix


def grid_of(matrix: np.ndarray, origin: tuple[float, ...], shape: tuple[int, int, int]) -> Geometry:
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = matrix, origin
    return Geometry(affine, shape)


def write_and_read(path: Path, volume: Volume) -> Volume:
    write_volume(path, volume)
    return read_nifti(path)


def values_of(kind: str) -> st.SearchStrategy[np.ndarray]:
    """Return how to draw (I, J, K) values; all floats are those that float32 knows."""
    floats = st.floats(width=32, allow_nan=False, allow_infinity=False) if "f" in kind else None
    return arrays(kind, st.tuples(*[st.integers(1, 6)] * 3), elements=floats)


angles = st.one_of(st.floats(-np.pi, np.pi), st.sampled_from([0.0, np.pi / 2, np.pi, -np.pi / 2]))
spacings = st.floats(0.05, 9)
origins = st.floats(-1500, 1500)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(KINDS).flatmap(values_of),
    st.tuples(angles, angles, angles),
    st.tuples(spacings, spacings, spacings),
    st.tuples(origins, origins, origins),
    st.floats(-0.5, 0.5),
)
def test_a_volume_of_any_type_and_place_comes_back_as_it_was_written(
    tmp_path: Path, values: np.ndarray, turn: tuple, steps: tuple, origin: tuple, shear: float
) -> None:
    matrix = turned(turn) @ np.array([[1, 0, 0], [0, 1, shear], [0, 0, 1]]) @ np.diag(steps)
    volume = Volume(values[None], grid_of(matrix, origin, values.shape))
    back = write_and_read(tmp_path / "v.nii.gz", volume)
    assert np.array_equal(back.voxels, volume.voxels)
    assert back.voxels.dtype in ({np.dtype("f4"), values.dtype} if values.dtype.kind == "f" else {values.dtype})
    assert np.abs(back.geometry.corners - volume.geometry.corners).max() <= 1e-3 * min(1, *volume.geometry.spacing)
    assert back.findings == ()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.tuples(angles, angles, angles), st.tuples(origins, origins, origins))
def test_corners_of_a_scanners_volume_stay_within_a_thousandth_of_a_millimetre(
    tmp_path: Path, turn: tuple, origin: tuple
) -> None:
    geometry = grid_of(turned(turn) * 0.9, origin, (512, 2, 600))
    path = tmp_path / "v.nii.gz"
    write_volume(path, Volume(np.zeros((1, *geometry.shape), np.uint8), geometry))
    back = read_nifti(path)
    assert np.abs(back.geometry.corners - geometry.corners).max() <= 5e-4
    assert back.findings == ()
    assert int(nib.load(path).header["sizeof_hdr"]) == 348  # type: ignore[attr-defined]


@pytest.mark.parametrize(("origin", "step", "size"), [(1e6, 1.0, 540), (300.0, 1e-4, 540), (1000.0, 0.5, 348)])
def test_a_place_that_float32_cannot_state_is_written_as_nifti_2(
    tmp_path: Path, origin: float, step: float, size: int
) -> None:
    geometry = grid_of(np.eye(3) * step, (origin + 0.0123, -origin, 7.7), (4, 5, 6))
    path = tmp_path / "v.nii.gz"
    back = write_and_read(path, Volume(np.zeros((1, 4, 5, 6), "i2"), geometry))
    assert np.abs(back.geometry.corners - geometry.corners).max() <= 1e-3 * step
    assert int.from_bytes(gzip.decompress(path.read_bytes())[:4], "little") == size


def test_a_size_beyond_sixteen_bits_is_written_as_nifti_2(tmp_path: Path) -> None:
    values = np.arange(40_000, dtype=np.int32).reshape(1, 40_000, 1, 1)
    back = write_and_read(tmp_path / "v.nii.gz", Volume(values, Geometry.from_spacing((1, 1, 1), (40_000, 1, 1))))
    assert np.array_equal(back.voxels, values)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", [">i2", "<i2", ">f8"])
def test_the_order_of_bytes_and_axes_in_memory_does_not_matter(tmp_path: Path, kind: str, order: str) -> None:
    values = np.array(positional(GRID), kind, order=order)  # type: ignore[call-overload]
    write_volume(tmp_path / "a.nii.gz", Volume(values[None], GRID))
    write_volume(tmp_path / "b.nii.gz", Volume(values.astype(kind[1:])[None], GRID))
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    assert np.array_equal(read_nifti(tmp_path / "a.nii.gz").voxels[0], positional(GRID))


def test_a_shear_too_small_to_be_called_one_is_not_lost(tmp_path: Path) -> None:
    matrix = np.array([[1, 0, 8e-4], [0, 1, 0], [0, 0, 1]])
    geometry = grid_of(matrix, (0, 0, 0), (4, 4, 400))
    assert not geometry.is_sheared
    path = tmp_path / "v.nii.gz"
    back = write_and_read(path, Volume(np.zeros((1, *geometry.shape), "u1"), geometry))
    assert back.geometry.matches(geometry)
    assert back.findings == ()  # no qform says 0.3 mm elsewhere
    assert nib.load(path).header["qform_code"] == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize("step_s", [2.5, None])
def test_a_series_is_written_volume_by_volume_with_its_time_step(tmp_path: Path, step_s: float | None) -> None:
    volumes = [Volume(positional(GRID)[None] + np.int16(n), GRID) for n in range(3)]
    path = tmp_path / "t.nii.gz"
    write_volumes(path, volumes, step_s)
    assert volumes_in(path) == 3
    for part, volume in enumerate(volumes):
        back = read_nifti(path, part)
        assert np.array_equal(back.voxels, volume.voxels)
        assert back.geometry.matches(GRID)
        assert back.findings == ()
    image = nib.load(path)
    assert image.shape == (5, 6, 4, 3)  # type: ignore[attr-defined]
    assert image.header["pixdim"][4] == (step_s or 0)  # type: ignore[attr-defined]
    assert image.header.get_xyzt_units() == ("mm", "sec" if step_s else "unknown")  # type: ignore[attr-defined]
    other = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
    assert np.array_equal(other.T, np.stack([volume.voxels[0] for volume in volumes], axis=-1))


@pytest.mark.parametrize(
    ("kinds", "stored"),
    [
        (("u1", "i1"), "i2"),
        (("i2", "f4"), "f4"),
        (("i4", "f4"), "f8"),
        (("i8", "u8"), "i2"),
        (("u8", "u2"), "u2"),
        (("f2", "f2"), "f4"),
        (("u4", "i1"), "i2"),
    ],
)
def test_volumes_of_several_types_are_written_in_one_that_holds_all(
    tmp_path: Path, kinds: tuple[str, ...], stored: str
) -> None:
    volumes = [
        Volume(np.full((1, 2, 2, 2), n + 7, kind), Geometry.from_spacing((1, 1, 1), (2, 2, 2)))
        for n, kind in enumerate(kinds)
    ]
    write_volumes(tmp_path / "t.nii.gz", volumes, None)
    assert [read_nifti(tmp_path / "t.nii.gz", part).voxels.max() for part in (0, 1)] == [7, 8]
    assert nib.load(tmp_path / "t.nii.gz").get_data_dtype() == np.dtype(stored)  # type: ignore[attr-defined]


def test_what_is_no_series_is_not_written(tmp_path: Path) -> None:
    volume = Volume(positional(GRID)[None], GRID)
    moved = Volume(positional(GRID)[None], Geometry(np.diag([1.0, 1, 1, 1]), GRID.shape))
    large = Volume(np.full((1, *GRID.shape), 2**40), GRID)
    two = Volume(np.zeros((2, *GRID.shape)), GRID)
    path = tmp_path / "t.nii.gz"
    for volumes, step_s, code in (
        ([], None, "usage"),
        ([volume, two], None, "usage"),
        ([volume], 0.0, "usage"),
        ([volume], np.inf, "usage"),
        ([volume, moved], None, "grid-differs"),
        ([volume, large], None, "too-large"),
    ):
        with pytest.raises(MedvisionError) as caught:
            write_volumes(path, volumes, step_s)
        assert (caught.value.code, caught.value.path) == (code, path)
    with pytest.raises(UsageError):
        write_volume(path, two)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "v.nii.gz"
    volume = Volume(positional(GRID)[None], GRID)
    write_volume(path, volume)
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        write_volume(path, volume.with_voxels(volume.voxels + 1))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_masks_have_the_least_type_and_are_read_by_other_tools(tmp_path: Path) -> None:
    values = np.zeros(GRID.shape, np.int64)
    values[1, 2, 3] = 3
    write_labels(tmp_path / "l.nii.gz", Labels(values, GRID, {3: "three"}))
    image = SimpleITK.ReadImage(str(tmp_path / "l.nii.gz"))
    assert image.GetPixelIDTypeAsString() == "8-bit unsigned integer"
    assert image.TransformIndexToPhysicalPoint((1, 2, 3)) == pytest.approx(GRID.to_world((1, 2, 3)) * (-1, -1, 1))
    assert image[1, 2, 3] == 3
