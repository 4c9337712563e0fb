"""Trainings and pretrainings see an image alike, and no value that is not finite."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import SPHERES_TOML
from tiny_pipeline import GREYS, STRIPES

from medvision import io
from medvision.errors import InputError
from medvision.geometry import Geometry
from medvision.pipeline import PipelineFolder
from medvision.study import Case, Source
from medvision.training import Store
from medvision.volume import Volume
from medvision.workflows.training_data.network_input import as_network_input
from medvision.workflows.training_data.prepare import prepare
from medvision.workflows.training_data.unlabelled import prepare_images

GRID = Geometry.from_spacing((2, 2, 2), (24, 14, 12))
STEPS = SPHERES_TOML[SPHERES_TOML.index("[[steps]]") : SPHERES_TOML.index("[network]")]


def opened(folder: Path, text: str) -> PipelineFolder:
    (folder / "pipeline.toml").write_text(text, encoding="utf-8")
    return PipelineFolder.open(folder)


def case(folder: Path) -> Case:
    (folder / "image.nii").write_bytes(b"its content is given by each test")
    return Case("one", (Source("nifti", (folder / "image.nii",)),), label=0)


def test_volumes_keep_three_axes_and_pictures_two(tmp_path: Path) -> None:
    volumes = opened(tmp_path, SPHERES_TOML).settings
    found = as_network_input(case(tmp_path), Volume(np.ones((1, *GRID.shape)), GRID), volumes)
    assert (found.image.dtype, found.image.ndim) == (np.float32, 4)
    pictures = opened(tmp_path, f"{STRIPES}{GREYS}").settings
    picture = Volume(np.arange(256.0).reshape(1, 16, 16, 1), Geometry.from_spacing((1, 1, 1), (16, 16, 1)))
    assert as_network_input(case(tmp_path), picture, pictures).image.shape == (1, 16, 16)


def test_what_is_not_finite_as_the_network_takes_it_is_refused_in_trainings_and_pretrainings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline, one = opened(tmp_path, SPHERES_TOML.replace(STEPS, "")), case(tmp_path)
    voxels = np.arange(24 * 14 * 12.0).reshape(1, *GRID.shape)
    voxels[0, 3, 3, 3] = 1e39  # finite in float64, and beyond float32
    monkeypatch.setattr(io, "read_volume", lambda _: Volume(voxels, GRID, modality="MR"))
    with pytest.raises(InputError, match="case one is not finite after the steps") as caught:
        prepare([one], pipeline, Store(tmp_path / "cache"))
    assert (caught.value.code, caught.value.path) == ("not-finite", one.path)
    prepared, (refused,) = prepare_images([one], pipeline, Store(tmp_path / "cache"))
    assert (prepared, refused.code, refused.path) == ({}, "not-finite", one.path)
