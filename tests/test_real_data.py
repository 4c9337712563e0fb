"""The shipped pipelines on real data: geometry, orientation, accuracy on cases that they were not trained on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

import medvision as mv
from medvision import io
from medvision.evaluate import auc
from medvision.pipeline import PipelineFolder
from medvision.steps import Resize
from medvision.study import Reading
from medvision.training import split
from medvision.workflows.cases.classify import classify
from medvision.workflows.cases.network import ReadyNetwork
from medvision.workflows.report import read_record
from medvision.workflows.run import run


@pytest.fixture(scope="module")
def hippocampi(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Return the results of both DICOM crops and of six held-out images, and the ids of the latter."""
    pipeline = PipelineFolder.open("mr-hippocampus")
    cases = io.scan([shared_data / "msd_hippocampus"]).cases
    train = pipeline.settings.train
    held_out = split(cases, validation=train.validation, seed=train.seed).val[:6]
    crops = [shared_data / "dicom_objects" / f"hippocampus_crop_{number}" for number in (1, 2)]
    out = tmp_path_factory.mktemp("hippocampi")
    result = run(pipeline, [*crops, *(case.path for case in held_out)], out)
    assert result.exit_code() == 0
    return out, [case.id for case in held_out]


def test_held_out_hippocampi_are_found_with_the_accuracy_of_the_card(
    hippocampi: tuple[Path, list[str]], shared_data: Path
) -> None:
    out, ids = hippocampi
    evaluation = mv.Pipeline.open("mr-hippocampus").evaluate(out, shared_data / "msd_hippocampus")
    assert evaluation.cases == len(ids)
    assert evaluation.estimates["mean Dice"].value is not None
    assert evaluation.estimates["mean Dice"].value > 0.85


def test_masks_lie_where_another_reader_finds_their_images(
    hippocampi: tuple[Path, list[str]], shared_data: Path
) -> None:
    out, ids = hippocampi
    for case in ids:
        image = sitk.ReadImage(shared_data / "msd_hippocampus" / "imagesTr" / f"{case}.nii.gz")
        _assert_same_grid(sitk.ReadImage(out / "cases" / case / "mask.nii.gz"), image)
    for number in (1, 2):
        reader = sitk.ImageSeriesReader()
        folder = shared_data / "dicom_objects" / f"hippocampus_crop_{number}"
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
        image = sitk.DICOMOrient(reader.Execute(), "RAS")
        mask = sitk.ReadImage(out / "cases" / f"hippocampus_crop_{number}" / "mask.nii.gz")
        _assert_same_grid(sitk.DICOMOrient(mask, "RAS"), image)


def test_no_orientation_is_doubted_and_volumes_are_those_of_hippocampi(hippocampi: tuple[Path, list[str]]) -> None:
    out, ids = hippocampi
    for case in [*ids, "hippocampus_crop_1", "hippocampus_crop_2"]:
        record = read_record(out / "cases" / case)
        assert record.verdict == "accept"
        assert "side-detected" in {finding.code for finding in record.findings}
        assert all(0.5 < (entry.volume_ml or 0) < 3.5 for entry in record.measurements)


def test_a_hippocampus_whose_header_turns_it_round_is_doubted(shared_data: Path, tmp_path: Path) -> None:
    image = sitk.ReadImage(shared_data / "msd_hippocampus" / "imagesTr" / "hippocampus_001.nii.gz")
    image.SetDirection((1, 0, 0, 0, 1, 0, 0, 0, 1))  # it was (-1, 0, 0, 0, -1, 0, 0, 0, 1): RAS+ in LPS terms
    sitk.WriteImage(image, tmp_path / "turned.nii.gz")
    run(PipelineFolder.open("mr-hippocampus"), [tmp_path / "turned.nii.gz"], tmp_path / "out")
    record = read_record(tmp_path / "out" / "cases" / "turned")
    assert "orientation-doubted" in {finding.code for finding in record.findings}
    assert record.verdict == "review"


def test_pneumonia_is_told_on_pictures_that_the_shipped_networks_have_seen(shared_data: Path) -> None:
    pipeline = PipelineFolder.open("cxr-pneumonia")
    settings = replace(pipeline.settings, explain=())
    network = ReadyNetwork.in_torch(pipeline.load_network())
    found = io.scan([shared_data / "pneumoniamnist" / "pneumoniamnist_trainval.npz"])
    cases = [case for case in found.cases if case.split == "val"]
    answers = [classify(io.read_volume(case), settings, network).answer for case in cases]
    scores = np.array([answer.probabilities["pneumonia"] for answer in answers])
    value = auc(scores, np.array([case.label == 1 for case in cases]))
    assert len(cases) == 524
    assert value is not None
    assert value >= 0.99


def test_adrenal_glands_are_told_on_masks_that_the_shipped_networks_have_seen(shared_data: Path) -> None:
    pipeline = PipelineFolder.open("ct-adrenal")
    settings = replace(pipeline.settings, explain=())
    network = ReadyNetwork.in_torch(pipeline.load_network())
    found = io.scan([shared_data / "adrenalmnist3d_64" / "adrenalmnist3d_64_trainval.npz"])
    cases = [case for case in found.cases if case.split == "val"]
    answers = [classify(io.read_volume(case), settings, network).answer for case in cases]
    right = [
        (answer.predicted == "hyperplasia") == (case.label == 1) for answer, case in zip(answers, cases, strict=True)
    ]
    value = auc(
        np.array([answer.probabilities["hyperplasia"] for answer in answers]),
        np.array([case.label == 1 for case in cases]),
    )
    assert len(cases) == 98
    assert value is not None
    assert value >= 0.85
    assert np.mean(right) >= 0.83


@pytest.mark.parametrize("window", [None, (-160, 240), (-1000, 1000)])
def test_a_ct_in_place_of_the_mask_of_an_adrenal_gland_is_for_review(
    shared_data: Path, tmp_path: Path, window: tuple[int, int] | None
) -> None:
    reading = Reading(allow_gaps=True, orthogonal=True)
    found = io.scan([shared_data / "dicom_series" / "ct_ge_tilt.zip"], reading=reading)
    scan = next(volume for volume in map(io.read_volume, found.cases) if volume.modality == "CT")
    voxels = Resize(shape=(64, 64, 64))(scan).voxels[0]
    if window is not None:  # as 8 bits, the scale of a mask
        voxels = np.clip((voxels - window[0]) / (window[1] - window[0]) * 255, 0, 255).astype(np.uint8)
    np.savez(tmp_path / "ct.npz", test_images=voxels[None], test_labels=np.zeros((1, 1), np.uint8))
    run(PipelineFolder.open("ct-adrenal"), [tmp_path / "ct.npz"], tmp_path / "out")
    (folder,) = (tmp_path / "out" / "cases").iterdir()
    record = read_record(folder)
    assert "values-outside" in {finding.code for finding in record.findings}
    assert record.verdict == "review"


def _assert_same_grid(mask: sitk.Image, image: sitk.Image) -> None:
    assert mask.GetSize() == image.GetSize()
    for ask in ("GetOrigin", "GetSpacing", "GetDirection"):
        assert np.allclose(getattr(mask, ask)(), getattr(image, ask)(), atol=1e-4)
