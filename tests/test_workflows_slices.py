"""A network of two dimensions learns from the slices of volumes, and segments volumes slice by slice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import OBLIQUE, SPHERES_TOML, write_sphere_data
from phantoms import spheres
from torch import nn

from medvision import io
from medvision.contract import Contract
from medvision.engines.torch_cpu import TorchEngine
from medvision.errors import InputError, PipelineError, UsageError
from medvision.evaluate import dice
from medvision.geometry import Geometry
from medvision.pipeline import PipelineFolder, read_settings
from medvision.predict import Prediction, whole
from medvision.study import Case, Source
from medvision.training import Sample, Sampler, Training
from medvision.volume import Labels, Volume
from medvision.workflows.fitting.pretext import method_for
from medvision.workflows.report import read_record
from medvision.workflows.run import run
from medvision.workflows.train import TrainingResult, train

SLICES_TOML = (
    SPHERES_TOML.replace('modality = "MR"', 'modality = "MR"\ndimensions = 2\nslices = true')
    .replace("[16, 16, 16]", "[16, 16]")
    .replace("batch = 2", "batch = 6")
    .replace("epochs = 4", "epochs = 2")
    .replace("steps_per_epoch = 40", "steps_per_epoch = 30")
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainingResult:
    folder = tmp_path_factory.mktemp("slices")
    (folder / "settings").mkdir()
    (folder / "settings" / "pipeline.toml").write_text(SLICES_TOML, encoding="utf-8")
    return train(PipelineFolder.open(folder / "settings"), [write_sphere_data(folder / "data")], folder / "trained")


@pytest.mark.slow
def test_slices_are_learnt_from_and_volumes_scored_as_wholes(trained: TrainingResult) -> None:
    (mean,) = (line for line in trained.results if line.startswith("mean Dice"))
    assert float(mean.split()[2]) > 0.75
    assert "2 held-out cases" in mean
    assert PipelineFolder.open(trained.folder).load_network()(torch.zeros(1, 1, 16, 16)).shape == (1, 3, 16, 16)
    assert "2D, volumes slice by slice" in (trained.folder / "card.md").read_text()


@pytest.mark.slow
def test_a_volume_is_segmented_and_explained_slice_by_slice_in_its_own_geometry(
    trained: TrainingResult, sphere_inputs: Path, tmp_path: Path
) -> None:
    assert run(PipelineFolder.open(trained.folder), [sphere_inputs], tmp_path / "out").exit_code() == 0
    for number in range(4):
        folder = tmp_path / "out" / "cases" / f"case{number}"
        record = read_record(folder)
        image = Source("nifti", (sphere_inputs / f"case{number}.nii.gz",))
        case = Case("x", (image,), label=Source("nifti", (folder / record.files["mask"],)))
        found = io.read_labels(case, {1: "dim", 2: "bright"}, record.geometry).onto(OBLIQUE)
        truth = Labels(spheres(OBLIQUE)[1], OBLIQUE, found.names)
        assert min(value or 0 for value in dice(found, truth).values()) > 0.7
        (made,) = (entry for entry in record.saliency if entry["method"] == "seg-hirescam")
        assert 3 < made["parameters"]["slices"] <= 12


class Sums(nn.Module):  # type: ignore[misc]
    """Says label 1 wherever the sum of all that it sees is above 0."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, image: Any) -> Any:
        total = image.sum((1, 2, 3), keepdim=True).expand(-1, 1, *image.shape[2:])
        return torch.cat([-self.weight * total, self.weight * total], 1)


def test_each_slice_is_seen_by_itself() -> None:
    voxels = np.zeros((1, 3, 2, 4), np.float32)
    voxels[..., 0], voxels[..., 2] = -1, 1
    found = whole(TorchEngine(Sums().eval()).over, voxels, Prediction(), dimensions=2, divisor=1)
    assert found.shape == (2, 3, 2, 4)
    assert np.allclose(found[1], np.broadcast_to([0, 0.5, 1, 0.5], (3, 2, 4)), atol=1e-4)


def test_patches_of_slices_hold_what_is_labelled_in_them() -> None:
    """Voxels tell their slice; a label lies in slice 5 alone: half of the patches must lie there, by the setting."""
    image = np.broadcast_to(np.arange(10, dtype=np.float32), (1, 12, 12, 10))
    target = np.zeros((12, 12, 10), np.uint8)
    target[4:8, 4:8, 5] = 1
    settings = Training(batch=200, patch=(6, 8), foreground=0.5)
    images, targets = Sampler([Sample("a", image, target)], settings, slices=True).batch(0)
    assert (images.shape, targets.shape) == ((200, 1, 6, 8), (200, 6, 8))
    own = images.flatten(1)
    assert torch.equal(own.min(1).values, own.max(1).values), "a patch lies in one slice"
    assert bool(((targets == 1).flatten(1).any(1) <= (own[:, 0] == 5)).all())
    assert 0.45 < float((own[:, 0] == 5).float().mean()) < 0.65
    assert set(own[:, 0].tolist()) == set(range(10)), "and all slices are seen"


def test_a_pipeline_of_slices_takes_volumes_and_pictures_and_others_say_what_they_want() -> None:
    case = Case("a", (Source("nifti", (Path("a.nii"),)),))
    for shape in ((4, 5, 6), (4, 5, 1)):
        volume = Volume(np.arange(np.prod(shape), dtype=np.float32).reshape(1, *shape), Geometry(np.eye(4), shape))
        assert Contract("x", dimensions=2, slices=True).check(volume, case) == ()
        with pytest.raises(InputError):
            Contract("x", dimensions=3 if shape[2] == 1 else 2).check(volume, case)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("dimensions = 2", "dimensions = 3", "slices is for dimensions = 2"),
        ("patch = [16, 16]\n", "", "train.patch: slices of volumes differ in size"),
        (
            'task = "segmentation"',
            'task = "classification"',
            "contract.slices: for a classification, nothing tells how the answers of slices become the volume's",
        ),
    ],
)
def test_slices_are_refused_where_they_have_no_meaning(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in SLICES_TOML
    (tmp_path / "pipeline.toml").write_text(SLICES_TOML.replace(old, new), encoding="utf-8")
    with pytest.raises(PipelineError) as caught:
        read_settings(tmp_path / "pipeline.toml")
    assert message in caught.value.finding.message


def test_a_pretraining_on_slices_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pipeline.toml").write_text(SLICES_TOML, encoding="utf-8")
    with pytest.raises(UsageError, match="slice by slice"):
        method_for(read_settings(tmp_path / "pipeline.toml"), None)


def test_settings_without_slices_are_what_they_were(tmp_path: Path) -> None:
    """Weights belong to settings by a hash: one of a pipeline that was trained before must not change."""
    for name, text in (("whole", SPHERES_TOML), ("slices", SLICES_TOML)):
        (tmp_path / "pipeline.toml").write_text(text, encoding="utf-8")
        settings = read_settings(tmp_path / "pipeline.toml")
        for values in (settings.to_json(), settings.meaning()):
            assert ("slices" in values["contract"]) == (name == "slices")
