"""A fingerprint in a pipeline folder: it belongs to the weights, travels with them, and judges every case of a run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from phantoms import spheres, write_nifti
from planned import label, segmentation
from tiny_pipeline import pipeline

from medvision.errors import PipelineError
from medvision.files import sha256_of
from medvision.fingerprint import check_absent
from medvision.geometry import Geometry
from medvision.networks import WeightsCard, save_weights
from medvision.pipeline import PipelineFolder, copy
from medvision.study import Case, Source
from medvision.volume import Labels, Volume
from medvision.workflows.cases.analyse import Analysis, analyse
from medvision.workflows.cases.network import ReadyNetwork
from medvision.workflows.training_data.fingerprint import measured, write_fingerprint

GRID = Geometry.from_spacing((1, 1, 1), (16, 16, 16))
CLASSES = """
name = "tiny"
task = "classification"
description = "For tests"
[contract]
shows = "anything"
modality = "MR"
spacing_mm = [0.5, 2.0]
[labels]
0 = "one"
1 = "two"
[network]
use = "resnet"
blocks = [1, 1, 1, 1]
channels = [4, 4, 4, 4]
"""


def image(seed: int = 0) -> tuple[Volume, Labels]:
    voxels, labels = spheres(GRID, noise=5, seed=seed)
    return Volume(voxels[None] + 50, GRID, "MR"), Labels(labels, GRID, {1: "one", 2: "two"})


def trained(folder: Path, *changes: tuple[str, str], text: str | None = None, named: bool = True) -> PipelineFolder:
    """Write a pipeline whose network has fresh weights, with the fingerprint of nine images of spheres."""
    pipeline(folder, *changes, **({} if text is None else {"text": text}))
    opened = PipelineFolder.open(folder)
    settings = opened.settings
    flat = settings.task == "classification"
    figures = [
        measured(Case(f"c{seed}", (Source("nifti", (Path("a.nii"),)),)), volume, seed % 2 if flat else labels)
        for seed in range(9)
        for volume, labels in [image(seed)]
    ]
    sha256, doubtful = write_fingerprint(figures, settings, folder)
    assert doubtful == ()
    card = WeightsCard(
        sha256=save_weights(folder / "weights.safetensors", opened.build_network()),
        meaning=settings.meaning(),
        input_spacing_mm=None,
        input_unit="as stored",
        modality="MR",
        training_data="spheres",
        licence="none",
        results=(),
        trained_with={},
        fingerprint_sha256=sha256 if named else None,
    )
    card.save(folder / "weights.json")
    (folder / "card.md").write_text("x", encoding="utf-8")
    return PipelineFolder.open(folder)


def analysed(opened: PipelineFolder, volume: Volume, tmp_path: Path, modality: str | None = "MR") -> Analysis:
    path = write_nifti(tmp_path / "image.nii.gz", volume.voxels[0].astype(np.float32), volume.geometry)
    case = Case("a", (Source("nifti", (path,)),), modality=modality)
    return analyse(case, opened, ReadyNetwork.in_torch(opened.load_network()))


def test_a_fingerprint_is_opened_with_its_pipeline(tmp_path: Path) -> None:
    opened = trained(tmp_path)
    assert opened.fingerprint is not None
    assert opened.fingerprint.cases == 9
    assert [label.name for label in opened.fingerprint.labels] == ["one", "two"]
    assert opened.weights is not None
    assert opened.weights.fingerprint_sha256 == sha256_of(opened.fingerprint_path)


def test_an_older_card_without_a_fingerprint_is_read(tmp_path: Path) -> None:
    trained(tmp_path)
    card = json.loads((tmp_path / "weights.json").read_text(encoding="utf-8"))
    del card["fingerprint_sha256"]
    (tmp_path / "weights.json").write_text(json.dumps(card), encoding="utf-8")
    (tmp_path / "fingerprint.json").unlink()
    opened = PipelineFolder.open(tmp_path)
    assert (opened.fingerprint, opened.weights and opened.weights.fingerprint_sha256) == (None, None)


def test_a_planned_pipeline_has_a_fingerprint_before_any_weights(tmp_path: Path) -> None:
    trained(tmp_path, named=False)
    for name in ("weights.json", "weights.safetensors"):
        (tmp_path / name).unlink()
    assert PipelineFolder.open(tmp_path).fingerprint is not None


@pytest.mark.parametrize(("text", "words"), [(None, "not there"), (" ", "SHA-256")])
def test_a_fingerprint_that_is_missing_or_altered_is_refused(tmp_path: Path, text: str | None, words: str) -> None:
    path = trained(tmp_path).fingerprint_path
    content = path.read_text(encoding="utf-8")
    path.unlink()
    if text is not None:
        path.write_text(content + text, encoding="utf-8")
    with pytest.raises(PipelineError, match=words) as caught:
        PipelineFolder.open(tmp_path)
    assert (caught.value.code, caught.value.path) == ("weights-mismatch", path)


def test_a_copy_with_weights_has_the_fingerprint_and_one_without_has_none(tmp_path: Path) -> None:
    opened = trained(tmp_path / "made")
    copy(tmp_path / "made", tmp_path / "whole", weights=True)
    assert PipelineFolder.open(tmp_path / "whole").fingerprint == opened.fingerprint
    copy(tmp_path / "made", tmp_path / "settings")
    assert [path.name for path in (tmp_path / "settings").iterdir()] == ["pipeline.toml"]


def test_another_fingerprint_makes_results_of_another_hash(tmp_path: Path) -> None:
    with_one = trained(tmp_path, named=False)
    before = with_one.digest
    with_one.fingerprint_path.unlink()
    assert PipelineFolder.open(tmp_path).digest != before


@pytest.mark.parametrize("text", [None, CLASSES])
def test_a_case_like_the_training_data_is_compared_and_passes(tmp_path: Path, text: str | None) -> None:
    opened = trained(tmp_path / "p", text=text)
    record = analysed(opened, image(50)[0], tmp_path).record
    told = {finding.code for finding in record.findings}
    assert not told & {"values-outside", "spacing-outside", "size-outside", "modality-differs", "slab-constant"}
    compared = record.checks["fingerprint"]
    assert compared["spacing left-right"] == {"value": 1.0, "least": 0.666667, "greatest": 1.5}
    json.dumps(record.to_json())


@pytest.mark.parametrize("text", [None, CLASSES])
def test_a_case_unlike_the_training_data_is_for_review(tmp_path: Path, text: str | None) -> None:
    opened = trained(tmp_path / "p", text=text)
    volume = image(50)[0]
    record = analysed(opened, volume.with_voxels(300 - volume.voxels), tmp_path).record
    assert record.verdict == "review"
    (finding,) = [finding for finding in record.findings if finding.code == "values-outside"]
    assert "by 9 training cases" in finding.message


def test_what_the_contract_says_is_not_said_again(tmp_path: Path) -> None:
    opened = trained(tmp_path / "p", text=CLASSES)
    wide = replace(image(50)[0], geometry=Geometry.from_spacing((3, 1, 1), GRID.shape))
    for modality, grade in (("CT", "warning"), (None, "note")):
        record = analysed(opened, wide, tmp_path, modality).record
        codes = [finding.code for finding in record.findings]
        assert sorted(set(codes)) == sorted(codes)
        assert {finding.code: finding.grade for finding in record.findings}.items() >= {
            ("modality-differs" if modality else "modality-unknown", grade),
            ("spacing-outside", "warning"),
            ("size-outside", "warning"),
        }
        (finding,) = [finding for finding in record.findings if finding.code == "spacing-outside"]
        assert "0.5 to 2 mm is known" in finding.message


@pytest.mark.parametrize(
    ("has", "cases", "grade", "words"),
    [
        (9, 9, "warning", "no one, and no training case is without (9 cases)"),
        (8, 9, "note", "no one (absent in 1 of 9 training cases)"),
        (0, 9, "note", "no one (absent in 9 of 9 training cases)"),
    ],
)
def test_what_is_not_found_is_for_review_where_all_training_cases_have_it(
    has: int, cases: int, grade: str, words: str
) -> None:
    data = segmentation(
        cases=cases, labels=(replace(label(1, "one"), cases=has), replace(label(2, "two"), cases=cases))
    )
    (finding,) = check_absent(["one"], data)
    assert (finding.code, finding.grade) == ("nothing-found", grade)
    assert finding.message == f"the network found {words}"
    assert check_absent([], data) == ()


def test_what_can_and_what_cannot_be_absent_is_told_apart() -> None:
    labels = (replace(label(1, "liver"), cases=9), replace(label(2, "tumour"), cases=4))
    data = segmentation(cases=9, labels=labels)
    assert [finding.grade for finding in check_absent(["tumour", "liver"], data)] == ["warning", "note"]
    (unknown,) = check_absent(["tumour", "liver"], None)
    assert (unknown.grade, unknown.message) == ("warning", "the network found no tumour and no liver")


def test_a_case_in_which_nothing_is_found_is_for_review_by_what_training_cases_have(tmp_path: Path) -> None:
    opened = trained(tmp_path / "p")
    network = ReadyNetwork.in_torch(opened.load_network())
    with torch.no_grad():
        for values in network.module.parameters():
            values.zero_()  # all labels are then as likely, and the first, background, is taken
    path = write_nifti(tmp_path / "image.nii.gz", image(50)[0].voxels[0].astype(np.float32), GRID)
    record = analyse(Case("a", (Source("nifti", (path,)),), modality="MR"), opened, network).record
    (finding,) = [finding for finding in record.findings if finding.code == "nothing-found"]
    assert finding.message == "the network found no one and no two, and no training case is without (9 cases)"


def test_a_pipeline_without_a_fingerprint_compares_nothing(tmp_path: Path) -> None:
    opened = trained(tmp_path / "p", named=False)
    opened.fingerprint_path.unlink()
    record = analysed(PipelineFolder.open(tmp_path / "p"), image(50)[0], tmp_path).record
    assert "fingerprint" not in record.checks
