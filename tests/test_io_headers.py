"""What headers say of an image is what is read, for every kind of image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from phantoms import ORIENTATIONS, positional, write_dicom_series, write_nifti
from PIL import Image

from medvision import io
from medvision.errors import InputError, MedvisionError
from medvision.geometry import Geometry
from medvision.steps import CropForeground, Pad, Reorient, Resample, ResampleApart, Resize, Transpose, apply, grid_after
from medvision.volume import Volume

GRID = Geometry.from_spacing((1.5, 2, 3), (7, 6, 5))


def agrees(path: Path) -> bool:
    for case in io.scan([path]).cases:
        header, volume = io.read_header(case), io.read_volume(case)
        assert header.geometry.matches(volume.geometry)
        assert header.channels == volume.channels
        assert header.voxels == np.prod(volume.geometry.shape)
        assert header.voxel_bytes == volume.voxels.itemsize
    return bool(io.scan([path]).cases)


@pytest.mark.parametrize("orientation", ORIENTATIONS[::7])
def test_of_nifti(tmp_path: Path, orientation: str) -> None:
    grid = GRID.reoriented(orientation)
    write_nifti(tmp_path / "a.nii.gz", positional(grid), grid)
    write_nifti(tmp_path / "b.nii", positional(grid).astype(np.float32), grid)
    assert agrees(tmp_path)


def test_of_a_dicom_series(tmp_path: Path) -> None:
    write_dicom_series(tmp_path / "series", positional(GRID), GRID)
    assert agrees(tmp_path)


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "I;16"])
def test_of_a_picture(tmp_path: Path, mode: str) -> None:
    values = np.arange(12, dtype=np.uint16 if mode == "I;16" else np.uint8).reshape(3, 4)
    picture = Image.fromarray(values)
    (picture if mode == "I;16" else picture.convert(mode)).save(tmp_path / "a.png")
    assert agrees(tmp_path)


@pytest.mark.parametrize("shape", [(2, 5, 4), (2, 5, 4, 3), (2, 6, 5, 4)])
def test_of_an_archive(tmp_path: Path, shape: tuple[int, ...]) -> None:
    images = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    np.savez(tmp_path / "set.npz", test_images=images, test_labels=np.zeros((2, 1), int))
    assert agrees(tmp_path / "set.npz")


def test_what_headers_show_is_refused(tmp_path: Path) -> None:
    write_nifti(tmp_path / "a.nii", positional(GRID), GRID)
    (case,) = io.scan([tmp_path / "a.nii"]).cases
    (tmp_path / "a.nii").write_bytes(b"\0" * 400)
    with pytest.raises(InputError, match="no NIfTI header"):
        io.read_header(case)
    Image.fromarray(np.zeros((3, 4), np.uint8)).save(tmp_path / "b.png")
    (case,) = io.scan([tmp_path / "b.png"]).cases
    (tmp_path / "b.png").write_bytes(b"no picture")
    with pytest.raises(MedvisionError, match="header cannot be understood"):
        io.read_header(case)


@pytest.mark.parametrize(
    "step",
    [
        Reorient(orientation="LSP"),
        Transpose(axes=(2, 0, 1)),
        Resample(spacing_mm=(1, 1, 1)),
        Resample(spacing_mm=(1, 1, 1), keeps="first_voxel"),
        ResampleApart(spacing_mm=(1, 1, 1)),
        ResampleApart(spacing_mm=GRID.spacing_mm),
        Resize(shape=(4, 4, 9)),
        Pad(multiple=(4, 4, 4)),
    ],
)
def test_the_grid_after_a_step_is_known_without_any_voxel(step: object) -> None:
    volume = Volume(positional(GRID)[None], GRID)
    assert grid_after([step], GRID).matches(apply([step], volume).geometry)  # type: ignore[list-item]


def test_of_a_crop_the_grid_is_the_whole_at_most() -> None:
    assert grid_after([CropForeground(), Reorient()], GRID).shape == GRID.shape
