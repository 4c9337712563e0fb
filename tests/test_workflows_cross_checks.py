"""Copies, copies whose labels differ and images of another modality are told, with their cases beside the words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import SPHERES_TOML, write_sphere_data
from phantoms import spheres, write_nifti
from typer.testing import CliRunner

from medvision.fingerprint import Target
from medvision.geometry import Geometry
from medvision.pipeline import PipelineFolder
from medvision.study import Case, Source
from medvision.training import Split
from medvision.volume import Labels
from medvision.workflows.fitting.machine import Machine
from medvision.workflows.pretrain import pretrain
from medvision.workflows.training_data.cross_checks import CaseHashes, cross_check, target_digest
from medvision_cli.app import app

GRID = Geometry.from_spacing((2, 2, 2), (24, 14, 12))


def side(names: str) -> tuple[Case, ...]:
    return tuple(Case(name, (Source("nifti", (Path("a.nii"),)),)) for name in names)


def seen(words: str) -> list[CaseHashes]:
    """Return cases of words such as ``a1x`` or ``a1xMR``: an id, an image, a label and, if stated, a modality."""
    return [CaseHashes(word[0], word[1], word[2], word[3:] or None) for word in words.split()]


def test_cases_of_their_own_have_nothing_to_tell() -> None:
    assert cross_check(Split(side("ab"), side("c")), seen("a1x b2x c3y"), any_modality=True) == ([], {})


def test_copies_with_the_same_label_are_counted_on_their_own_side() -> None:
    found, named = cross_check(Split(side("abc"), side("de")), seen("a1x b1x c1x d2y e2y"), any_modality=True)
    assert [(finding.code, finding.grade, finding.message) for finding in found] == [
        (
            "duplicate",
            "warning",
            "2 of 3 training cases repeat the image and label of others, so that these count more than once",
        ),
        (
            "duplicate",
            "warning",
            "1 of 2 validation cases repeats the image and label of another, so it counts twice",
        ),
    ]
    assert named == {"duplicate": [("b", "a"), ("c", "a"), ("e", "d")]}


def test_copies_of_images_without_labels_are_told_as_images() -> None:
    cases = [CaseHashes(name, image, None, None) for name, image in zip("abcd", "1112", strict=True)]
    found, _ = cross_check(Split(side("ab"), side("d")), cases, any_modality=True)
    assert [finding.message for finding in found] == ["1 of 2 training images repeats another, so it counts twice"]
    found, _ = cross_check(Split(side("abc"), side("d")), cases, any_modality=True)
    assert [finding.message for finding in found] == [
        "2 of 3 training images repeat others, so that these count more than once"
    ]


def test_copies_across_the_split_are_told_as_such_and_once() -> None:
    found, named = cross_check(Split(side("ab"), side("c")), seen("a1x b2x c1x"), any_modality=True)
    assert [(finding.code, finding.grade) for finding in found] == [("split-leak", "warning")]
    assert found[0].message == "1 of 1 validation image is an exact copy of a training image"
    assert named == {"split-leak": [("c", "a")]}
    found, _ = cross_check(Split(side("a"), side("bcd")), seen("a1x b1x c1x d2x"), any_modality=True)
    assert found[0].message == "2 of 3 validation images are exact copies of training images"


def test_one_image_with_different_labels_is_told_wherever_it_stands() -> None:
    found, named = cross_check(Split(side("abc"), side("d")), seen("a1x b1y c2x d3x"), any_modality=True)
    assert [finding.message for finding in found] == ["1 image stands in 2 cases with labels that differ"]
    assert (found[0].code, found[0].grade) == ("labels-contradict", "warning")
    assert named == {"labels-contradict": [["a", "b"]]}
    found, named = cross_check(Split(side("a"), side("bcd")), seen("a1x b1y c2x d2y"), any_modality=True)
    assert [finding.code for finding in found] == ["split-leak", "labels-contradict"]
    assert found[1].message == "2 images stand in 4 cases with labels that differ"
    assert named["labels-contradict"] == [["a", "b"], ["c", "d"]]


def test_images_of_another_modality_are_counted_and_named_where_the_pipeline_states_none() -> None:
    parts, cases = Split(side("abc"), side("de")), seen("a1xMR b2xMR c3x d4xCT e5xMR")
    found, named = cross_check(parts, cases, any_modality=True)
    (told,) = found
    assert (told.code, told.grade) == ("modality-differs", "warning")
    assert told.message == "not all images are of one modality: 3 MR, 1 not stated, 1 CT"
    assert "[contract]" in str(told.cure)
    assert named == {"modality-differs": ["d"]}
    assert cross_check(parts, cases, any_modality=False) == ([], {})
    assert cross_check(Split(side("a"), side("c")), seen("a1xMR c3x"), any_modality=True) == ([], {})


def test_labels_are_the_same_in_another_axis_order_and_number_type() -> None:
    _, voxels = spheres(GRID, seed=0)
    labels = Labels(voxels, GRID, {1: "dim", 2: "bright"})
    turned = labels.onto(GRID.reoriented("LPI"))
    assert turned.voxels.tobytes() != labels.voxels.tobytes()
    assert target_digest(turned) == target_digest(labels)
    assert target_digest(Labels(voxels.astype(np.uint16), GRID, labels.names)) == target_digest(labels)
    assert target_digest(Labels(np.where(voxels == 2, 1, voxels), GRID, labels.names)) != target_digest(labels)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, [1.0], True),
        (1, 0, False),
        ([61.5, float("nan")], (61.5, None), True),
        ([1, 0], [1, None], False),
        ([1, 0], [0, 1], False),
    ],
)
def test_classes_and_numbers_are_the_same_by_their_values(one: Target, other: Target, same: bool) -> None:
    assert (target_digest(one) == target_digest(other)) is same


def test_a_training_tells_copies_and_another_modality_and_names_them_outside_the_card(tmp_path: Path) -> None:
    data = write_sphere_data(tmp_path / "data")  # two cases a patient, who stay on one side
    data.write_text(data.read_text().replace(",MR", ",CT", 1))
    for name, source, copy in (("image", 2, 3), ("image", 4, 5), ("label", 4, 5)):
        (data.parent / f"{name}{copy}.nii.gz").write_bytes((data.parent / f"{name}{source}.nii.gz").read_bytes())
    write_nifti(data.parent / "label3.nii.gz", np.roll(spheres(GRID)[1], 1, axis=0), GRID)
    text = SPHERES_TOML.replace("epochs = 4", "epochs = 1").replace("steps_per_epoch = 40", "steps_per_epoch = 1")
    (tmp_path / "pipeline.toml").write_text(text.replace('modality = "MR"\n', ""), encoding="utf-8")
    words = ["train", str(tmp_path), str(data), "--out", str(tmp_path / "out")]
    shown = CliRunner().invoke(app, words, catch_exceptions=False).stdout
    assert "1 image stands in 2 cases with labels that differ [labels-contradict]\n  cases image2, image3\n" in shown
    assert "not all images are of one modality: 7 MR, 1 CT [modality-differs]\n  case image0\n" in shown
    assert "cases repeats the image and label of another, so it counts twice [duplicate]\n  cases image5" in shown
    named = json.loads((tmp_path / "out" / "training.json").read_text())["named"]
    assert named["labels-contradict"] == [["image2", "image3"]]
    assert named["duplicate"] == [["image5", "image4"]]
    assert named["modality-differs"] == ["image0"]
    card = (tmp_path / "out" / "card.md").read_text(encoding="utf-8")
    assert "labels that differ" in card
    assert not any(f"image{number}" in card for number in range(8))


def test_a_pretraining_tells_copies_and_another_modality_and_asks_for_no_label(tmp_path: Path) -> None:
    data = write_sphere_data(tmp_path / "data")
    data.write_text(data.read_text().replace(",MR", ",CT", 1))
    (data.parent / "image5.nii.gz").write_bytes((data.parent / "image4.nii.gz").read_bytes())
    text = SPHERES_TOML.replace("epochs = 4", "epochs = 1").replace("steps_per_epoch = 40", "steps_per_epoch = 1")
    (tmp_path / "pipeline.toml").write_text(text.replace('modality = "MR"\n', ""), encoding="utf-8")
    words = ["pretrain", str(tmp_path), str(data), "--out", str(tmp_path / "out"), "--device", "cpu"]
    shown = CliRunner().invoke(app, words, catch_exceptions=False).stdout
    assert "not all images are of one modality: 7 MR, 1 CT [modality-differs]\n  case image0\n" in shown
    assert "[duplicate]\n  cases image5, image4\n" in shown
    assert "labels-contradict" not in shown
    kept = json.loads((tmp_path / "out" / "pretraining.json").read_text())["named"]
    assert (kept["duplicate"], kept["modality-differs"]) == ([["image5", "image4"]], ["image0"])
    again = pretrain(PipelineFolder.open(tmp_path), [data], tmp_path / "out", machine=Machine("cpu"))
    assert (again.done_before, again.to_json()["named"]) == (True, kept)
    assert "image5" not in (tmp_path / "out" / "weights.json").read_text()


def test_a_cross_validation_names_the_cases_of_all_its_folds_outside_the_cards(tmp_path: Path) -> None:
    data = write_sphere_data(tmp_path / "data")
    data.write_text(data.read_text().replace(",MR", ",CT", 1))
    for name in ("image", "label"):
        (data.parent / f"{name}5.nii.gz").write_bytes((data.parent / f"{name}4.nii.gz").read_bytes())
    text = SPHERES_TOML.replace("epochs = 4", "epochs = 1").replace("steps_per_epoch = 40", "steps_per_epoch = 1")
    (tmp_path / "pipeline.toml").write_text(text.replace('modality = "MR"\n', ""), encoding="utf-8")
    words = ["train", str(tmp_path), str(data), "--folds", "2", "--out", str(tmp_path / "out"), "--device", "cpu"]
    shown = CliRunner().invoke(app, words, catch_exceptions=False).stdout.splitlines()
    copies = [number for number, line in enumerate(shown) if line.endswith("[duplicate]")]
    assert len(copies) > 1, "they stand on one side in one fold, on the other in the other"
    assert shown[copies[-1] + 1] == "  duplicate, in all: cases image5, image4"
    assert sum("image5" in line for line in shown) == 1
    assert "  case image0" in shown
    told = json.loads(CliRunner().invoke(app, [*words, "--json"], catch_exceptions=False).stdout)["named"]
    assert told == {"duplicate": [["image5", "image4"]], "modality-differs": ["image0"]}
    assert not any("image5" in path.read_text(encoding="utf-8") for path in (tmp_path / "out").rglob("card.md"))
