"""Values are computed a few planes at a time: the same as at once, and in little memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medvision import io
from medvision.geometry import Geometry
from medvision.io import write
from medvision.steps import Clip, Rescale, Window, ZScore
from medvision.steps.values import mapped, moments
from medvision.volume import Volume

GRID = Geometry.from_spacing((1, 1, 1), (1200, 100, 100))  # more than is computed at once


def image() -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).normal(40, 300, GRID.shape).astype(np.int16)


def test_the_moments_are_those_of_all_values() -> None:
    values = image()
    found = moments(values)
    assert (found.count, found.least, found.most) == (values.size, values.min(), values.max())
    assert found.mean == pytest.approx(values.mean(dtype=np.float64), rel=1e-12)
    assert found.sd == pytest.approx(values.std(dtype=np.float64), rel=1e-12)


def test_the_moments_can_be_those_of_some_values_and_of_none() -> None:
    values = image()
    found = moments(values, lambda part: part > 100)
    assert found.count == np.count_nonzero(values > 100)
    assert found.least == 101
    assert found.mean == pytest.approx(values[values > 100].mean(dtype=np.float64), rel=1e-12)
    nothing = moments(values, lambda part: part > 1e6)
    assert nothing.count == 0
    assert np.isnan([nothing.mean, nothing.sd]).all()


def test_every_voxel_is_mapped_once() -> None:
    assert np.array_equal(mapped(image(), lambda values: values * 2 + 1), image().astype(np.float32) * 2 + 1)


@pytest.mark.parametrize("step", [Clip(low=-100, high=100), Window(center=0, width=400), Rescale(), ZScore()])
def test_a_step_takes_little_more_memory_than_its_result(step: Any) -> None:
    volume = Volume(image()[None], GRID)
    step(volume)
    tracemalloc.start()
    try:
        step(volume)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * volume.voxels.size + 80e6, "the result in float32, and a few planes in float64"


def test_a_file_is_the_same_however_many_planes_are_put_in_order_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.random.default_rng(0).normal(size=(130, 120, 110)).astype(np.float32)
    grid = Geometry.from_spacing((1, 1, 1), values.shape)
    io.write_map(tmp_path / "whole.nii.gz", values, grid)
    monkeypatch.setattr(write, "_AT_ONCE", 100_000)
    io.write_map(tmp_path / "planes.nii.gz", values, grid)
    assert (tmp_path / "whole.nii.gz").read_bytes() == (tmp_path / "planes.nii.gz").read_bytes()
    assert np.array_equal(io.load(tmp_path / "planes.nii.gz").volumes["planes"].voxels[0], values)


def test_probabilities_are_written_so_that_other_tools_read_0_to_1(tmp_path: Path) -> None:
    import nibabel as nib

    grid = Geometry.from_spacing((1, 2, 3), (4, 5, 6)).reoriented("LPS")
    values = np.random.default_rng(0).integers(0, 256, (3, *grid.shape)).astype(np.uint8)
    io.write_probabilities(tmp_path / "p.nii.gz", values, grid)
    image = nib.load(tmp_path / "p.nii.gz")
    assert np.allclose(np.moveaxis(image.get_fdata(), 3, 0), values / 255)
    assert np.allclose(image.affine, grid.affine)
    with pytest.raises(ValueError, match="do not fit the grid"):
        io.write_probabilities(tmp_path / "q.nii.gz", values[:, 1:], grid)
