"""From labelled data to a pipeline folder that a training takes."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from phantoms import spheres, write_nifti
from typer.testing import CliRunner

import medvision as mv
from medvision import io
from medvision.errors import Finding, InputError, PipelineError, UsageError
from medvision.fingerprint import Fingerprint
from medvision.geometry import Geometry
from medvision.pipeline import PipelineFolder, read_settings
from medvision.study import Case, Flags, Label, Numbers, Source
from medvision.volume import Volume
from medvision.workflows.plan import PlanResult
from medvision.workflows.training_data.taught import task_of
from medvision_cli.app import app


def manifest(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "cases.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, sorted({name for row in rows for name in row}))
        writer.writeheader()
        writer.writerows(rows)
    return path


def volumes(
    folder: Path, count: int = 4, *, thick: float = 1.0, shape: tuple[int, int, int] = (16, 14, 16), **columns: Any
) -> Path:
    """Write spheres with labels; `columns` are of every row, or a function of the number of the case."""
    rows = []
    for number in range(count):
        grid = Geometry.from_spacing((1.0, 1.0, thick), shape)
        image, labels = spheres(grid, noise=3, seed=number)
        write_nifti(folder / f"image{number}.nii", image, grid)
        write_nifti(folder / f"label{number}.nii", labels, grid)
        own = {name: value(number) if callable(value) else value for name, value in columns.items()}
        rows.append({"id": f"case{number}", "image": f"image{number}.nii", "label": f"label{number}.nii", **own})
    return manifest(folder, rows)


def pictures(folder: Path, labels: list[Any], **columns: Any) -> Path:
    generator = np.random.default_rng(0)
    rows = []
    for number, label in enumerate(labels):
        write_nifti(folder / f"p{number}.nii", generator.integers(0, 255, (12, 10, 1), dtype=np.uint8))
        rows.append({"id": f"p{number}", "image": f"p{number}.nii", "label": label, **columns})
    return manifest(folder, rows)


def decided(result: PlanResult) -> dict[str, Any]:
    return {each.setting: each.value for each in result.plan.decisions}


def test_a_plan_is_a_folder_that_opens_as_a_pipeline(tmp_path: Path) -> None:
    data = volumes(tmp_path, modality="MR")
    result = mv.plan(data, tmp_path / "My Spheres")
    opened = PipelineFolder.open(tmp_path / "My Spheres")
    assert opened.settings == result.plan.settings
    assert opened.settings.name == "my-spheres"
    assert opened.weights is None
    assert Fingerprint.open(tmp_path / "My Spheres" / "fingerprint.json") == result.fingerprint
    assert opened.settings.labels == {1: "label 1", 2: "label 2"}
    assert result.fingerprint.cases == 4
    assert [finding.code for finding in result.findings] == ["too-few-cases"]
    found = json.loads(json.dumps(result.to_json()))
    assert found["schema"] == "medvision.plan/1"
    assert found["settings"]["task"] == "segmentation"
    assert all(each["reason"] for each in found["decisions"])


def test_thick_slices_of_ct_show_in_clip_scale_and_strides(tmp_path: Path) -> None:
    data = volumes(tmp_path, thick=5.0, shape=(48, 40, 10), modality="CT")
    result = mv.plan(data, tmp_path / "out", name="ct-spheres")
    found = decided(result)
    assert found["name"] == "ct-spheres"
    assert found["steps.resample"] == {"spacing_mm": [1.0, 1.0, 5.0]}
    assert 80 < found["steps.clip"]["low"] < 100 < 200 < found["steps.clip"]["high"] < 220
    assert found["network.strides"][0] == [2, 2, 1]
    assert found["train.augmentation.rotation_axes"] == [2]
    assert read_settings(tmp_path / "out" / "pipeline.toml") == result.plan.settings


def test_pictures_with_classes_are_a_classification(tmp_path: Path) -> None:
    result = mv.plan(pictures(tmp_path, [0] * 11 + [2]), tmp_path / "out")
    settings = result.plan.settings
    assert settings.task == "classification"
    assert settings.labels == {0: "class 0", 1: "class 1", 2: "class 2"}
    assert settings.contract.dimensions == 2
    assert settings.train.balanced
    codes = [finding.code for finding in result.findings]
    assert codes == ["too-few-cases", "classes-imbalanced", "label-absent"]


@pytest.mark.parametrize(
    ("labels", "task", "names"),
    [
        (["[0, 2]", "[]", "[1, ?2]"], "multilabel", {0: "label 0", 1: "label 1", 2: "label 2"}),
        (["61.5;1", "44;0", "50;?"], "regression", {0: "value 0", 1: "value 1"}),
    ],
)
def test_lists_and_real_numbers_tell_their_task(
    tmp_path: Path, labels: list[str], task: str, names: dict[int, str]
) -> None:
    settings = mv.plan(pictures(tmp_path, labels), tmp_path / "out").plan.settings
    assert settings.task == task
    assert settings.labels == names
    assert read_settings(tmp_path / "out" / "pipeline.toml") == settings


def test_whole_numbers_are_values_where_that_is_said(tmp_path: Path) -> None:
    data = pictures(tmp_path, [61, 44, 50])
    assert mv.plan(data, tmp_path / "out", task="regression").plan.settings.task == "regression"
    several = mv.plan(data, tmp_path / "b", task="multilabel", dry_run=True)
    assert len(several.plan.settings.labels) == 62


@pytest.mark.parametrize(
    ("labels", "task"),
    [
        ([Source("nifti", (Path("a.nii"),))], "segmentation"),
        ([0, 3], "classification"),
        ([Flags((True, None)), Flags((False, True))], "multilabel"),
        ([Numbers((0.0, 2.0)), 3], "multilabel"),
        ([Numbers((0.5,)), 3], "regression"),
        ([Numbers((None,)), Numbers((2.5,))], "regression"),
    ],
)
def test_the_task_follows_from_the_labels(labels: list[Label], task: str) -> None:
    image = Source("nifti", (Path("i.nii"),))
    assert task_of([Case(f"c{n}", (image,), label) for n, label in enumerate(labels)]) == task


def test_labels_of_two_kinds_are_refused(tmp_path: Path) -> None:
    data = volumes(tmp_path, 2)
    data.write_text(data.read_text(encoding="utf-8").replace("label1.nii", "1"), encoding="utf-8")
    with pytest.raises(InputError, match="1 of 2 cases have a label image"):
        mv.plan(data, tmp_path / "out")
    with pytest.raises(InputError, match="no class that is a whole number"):
        mv.plan(data, tmp_path / "out", task="classification")
    with pytest.raises(InputError, match="a label image, and no numbers"):
        mv.plan(data, tmp_path / "out", task="multilabel")


def test_cases_of_a_test_are_not_looked_at(tmp_path: Path) -> None:
    splits = ["train", "train", "val", "test"]
    data = volumes(tmp_path, split=lambda number: splits[number])
    (tmp_path / "image3.nii").write_bytes((tmp_path / "image3.nii").read_bytes()[:400])  # it would be refused
    result = mv.plan(data, tmp_path / "out")
    assert (result.fingerprint.cases, result.left_out) == (2, 1)
    assert decided(result)["train.validation"] is None


def test_cases_of_a_fixed_validation_are_read_and_decide_nothing(tmp_path: Path) -> None:
    data = volumes(tmp_path, split=lambda number: ("train", "train", "train", "val")[number])
    known = mv.plan(data, tmp_path / "a", name="same")
    assert (known.fingerprint.cases, known.held_out) == (3, 1)
    assert known.to_json()["held_out"] == 1
    grid = Geometry.from_spacing((4.0, 4.0, 4.0), (16, 14, 16))
    image, labels = spheres(grid, noise=3)
    write_nifti(tmp_path / "image3.nii", image * 50, grid)
    write_nifti(tmp_path / "label3.nii", labels, grid)
    assert mv.plan(data, tmp_path / "b", name="same").plan == known.plan
    (tmp_path / "image3.nii").write_bytes((tmp_path / "image3.nii").read_bytes()[:400])
    with pytest.raises(InputError) as caught:
        mv.plan(data, tmp_path / "c")
    assert (caught.value.code, caught.value.path) == ("truncated", tmp_path / "image3.nii")


@pytest.mark.parametrize("labels", [["61.5", "44.0", "?"], ["61.5;1", "44;0", "?;?"]])
def test_a_case_of_which_no_value_is_known_is_refused_as_by_a_training(tmp_path: Path, labels: list[str]) -> None:
    with pytest.raises(InputError, match="case p2 states no value; wanted: value 0") as caught:
        mv.plan(pictures(tmp_path, labels), tmp_path / "out", task="regression")
    assert caught.value.code == "label-missing"


def test_sides_that_every_case_states_are_brought_to_one(tmp_path: Path) -> None:
    data = volumes(tmp_path, side=lambda number: ("left", "right")[number % 2])
    grid = Geometry.from_spacing((1.0, 1.0, 1.0), (16, 14, 16))
    apart = mv.plan(data, tmp_path / "apart").plan.settings
    assert apart.contract.side is None, "label 1 lies to the left in right cases too"
    assert apart.train.augmentation.mirror_axes == ()
    for number in (1, 3):
        _, labels = spheres(grid, seed=number)
        write_nifti(tmp_path / f"label{number}.nii", np.where(labels > 0, 3 - labels, 0).astype(np.uint8), grid)
    assert mv.plan(data, tmp_path / "out").plan.settings.contract.side == "left"
    one = volumes(tmp_path, side="left")
    assert mv.plan(one, tmp_path / "b").plan.settings.contract.side is None


def test_what_is_off_in_the_data_is_told(tmp_path: Path) -> None:
    data = volumes(tmp_path, 2)
    grid = Geometry.from_spacing((1.0, 1.0, 1.0), (16, 14, 16))
    image, _ = spheres(grid, noise=3)
    image[..., -6:] = 0
    write_nifti(tmp_path / "image0.nii", image, grid)
    result = mv.plan(data, tmp_path / "out", dry_run=True)
    assert "slab-constant" in [finding.code for finding in result.findings]


def test_flat_images_of_unequal_pixels_are_told(tmp_path: Path) -> None:
    rows = []
    for number, step in enumerate((0.5, 0.8)):
        grid = Geometry.from_spacing((step, step, 1.0), (32, 32, 1))
        write_nifti(tmp_path / f"f{number}.nii", np.arange(1024).reshape(32, 32, 1).astype(np.int16), grid)
        write_nifti(tmp_path / f"l{number}.nii", (np.arange(1024).reshape(32, 32, 1) > 500).astype(np.uint8), grid)
        rows.append({"image": f"f{number}.nii", "label": f"l{number}.nii"})
    result = mv.plan(manifest(tmp_path, rows), tmp_path / "out")
    assert "spacing-differs" in [finding.code for finding in result.findings]
    assert result.plan.settings.contract.dimensions == 2


def test_channels_are_named_by_their_number(tmp_path: Path) -> None:
    data = volumes(tmp_path, image="image0.nii;image1.nii")
    assert mv.plan(data, tmp_path / "out").plan.settings.contract.channels == ("channel 1", "channel 2")


def test_nothing_is_written_over_and_nothing_at_all_in_a_dry_run(tmp_path: Path) -> None:
    data, out = volumes(tmp_path, 2), tmp_path / "out"
    result = mv.plan(data, out, dry_run=True)
    assert result.folder is None
    assert not out.exists()
    mv.plan(data, out)
    text = (out / "pipeline.toml").read_text(encoding="utf-8")
    with pytest.raises(UsageError, match="there is a pipeline already"):
        mv.plan(data, out)
    assert (out / "pipeline.toml").read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"task": "detection"}, "a task is one of"),
        ({"name": "No Name"}, "lower-case letters, digits and hyphens alone, got 'No Name'"),
        ({"name": ""}, "got ''"),
        ({"memory_gb": 0}, "above 0"),
        ({"memory_gb": float("nan")}, "above 0"),
    ],
)
def test_a_wrong_wish_is_refused_before_anything_is_read(tmp_path: Path, named: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        mv.plan(tmp_path / "nothing", tmp_path / "out", **named)


def test_data_that_teach_nothing_are_refused(tmp_path: Path) -> None:
    data = volumes(tmp_path, 2)
    whole = data.read_text(encoding="utf-8")
    data.write_text(whole.replace("label1.nii", ""), encoding="utf-8")
    with pytest.raises(InputError, match="1 of 2 cases has no label, first: case1"):
        mv.plan(data, tmp_path / "out")
    data.write_text(whole.replace("image1.nii", "gone.nii"), encoding="utf-8")
    with pytest.raises(InputError, match="1 item cannot be used"):
        mv.plan(data, tmp_path / "out")
    data.write_text(whole, encoding="utf-8")
    for number in range(2):
        grid = Geometry.from_spacing((1.0, 1.0, 1.0), (16, 14, 16))
        write_nifti(tmp_path / f"label{number}.nii", np.zeros((16, 14, 16), np.uint8), grid)
    with pytest.raises(InputError, match="no case has any label"):
        mv.plan(data, tmp_path / "out")
    with pytest.raises(InputError, match="no case to train on"):
        mv.plan(pictures(tmp_path, [0, 1], split="test"), tmp_path / "out")
    with pytest.raises(InputError, match="go up to 123,456"):
        mv.plan(pictures(tmp_path, [0, 123456]), tmp_path / "out")
    with pytest.raises(PipelineError, match="these data: labels: a classification needs two or more"):
        mv.plan(pictures(tmp_path, [0, 0]), tmp_path / "out")


@pytest.mark.parametrize(
    ("numbers", "held", "cure"),
    [
        ([255], "255", "255 becomes 1"),
        ([1, 3, 9], "1, 3 and 9", "3 becomes 2 and 9 becomes 3"),
        (
            list(range(11, 19)),
            "11, 12, 13, 14, 15 and 3 more",
            "11 becomes 1, 12 becomes 2, 13 becomes 3, 14 becomes 4, 15 becomes 5 and 3 more",
        ),
    ],
)
def test_label_images_that_are_numbered_with_gaps_are_refused_with_the_numbers_to_write(
    tmp_path: Path, numbers: list[int], held: str, cure: str
) -> None:
    data, grid = volumes(tmp_path, 2), Geometry.from_spacing((1.0, 1.0, 1.0), (16, 14, 16))
    for number in range(2):
        values = np.zeros((16, 14, 16), np.uint8)
        values[2, 2, : len(numbers)] = numbers
        write_nifti(tmp_path / f"label{number}.nii", values, grid)
    with pytest.raises(InputError) as caught:
        mv.plan(data, tmp_path / "out")
    said = f"the labels are numbered {held}; those of a pipeline are numbered from 1 without gaps"
    assert (caught.value.code, caught.value.finding.message) == ("bad-labels", said)
    assert (caught.value.path, caught.value.finding.cure) == (data, f"Write the label images anew: {cure}.")


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        ({"1": "liver", "2": "liver"}, "label 2 the name of label 1, 'liver'"),
        ({"1": "", "2": "liver"}, "label 1 an empty name"),
        ({"1": "liver", "3": "spleen"}, "the labels are numbered 1 and 3"),
    ],
)
def test_names_of_labels_that_make_no_pipeline_are_refused_before_a_case_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: dict[str, str], fault: str
) -> None:
    def unread(case: Case) -> Volume:
        raise AssertionError(case.id)

    volumes(tmp_path, 1)
    content = {"labels": {"0": "background", **names}, "training": [{"image": "image0.nii", "label": "label0.nii"}]}
    (tmp_path / "dataset.json").write_text(json.dumps(content), encoding="utf-8")
    monkeypatch.setattr("medvision.io.read_volume", unread)
    with pytest.raises(InputError, match=fault) as caught:
        mv.plan(tmp_path / "dataset.json", tmp_path / "out")
    assert (caught.value.code, caught.value.path) == ("bad-labels", tmp_path / "image0.nii")


def test_one_image_with_different_labels_and_one_of_another_modality_are_told_and_named(tmp_path: Path) -> None:
    data = volumes(tmp_path, 6, modality=lambda number: "MR" if number else "CT")
    (tmp_path / "image4.nii").write_bytes((tmp_path / "image2.nii").read_bytes())
    grid = Geometry.from_spacing((1.0, 1.0, 1.0), (16, 14, 16))
    write_nifti(tmp_path / "label4.nii", np.roll(spheres(grid)[1], 1, axis=0), grid)
    done = CliRunner().invoke(app, ["plan", str(data), "--out", str(tmp_path / "out")], catch_exceptions=False)
    told = done.stdout.splitlines()
    assert told[0].strip() == "warning  1 image stands in 2 cases with labels that differ [labels-contradict]"
    assert told[1].strip() == "cases case2, case4"
    assert told[3].strip() == "warning  not all images are of one modality: 5 MR, 1 CT [modality-differs]"
    assert told[4].strip() == "case case0"
    assert "6 cases, no single modality, typically 16 x 14 x 16 voxels" in done.stdout
    found = mv.plan(data, tmp_path / "dry", dry_run=True).to_json()
    assert found["named"] == {"labels-contradict": [["case2", "case4"]], "modality-differs": ["case0"]}


def test_copies_on_both_sides_of_a_split_that_the_data_set_fixes_are_told(tmp_path: Path) -> None:
    data = volumes(tmp_path, 6, split=lambda number: "val" if number > 3 else "train")
    for name in ("image", "label"):
        (tmp_path / f"{name}5.nii").write_bytes((tmp_path / f"{name}2.nii").read_bytes())
    result = mv.plan(data, tmp_path / "out", dry_run=True)
    assert [finding.code for finding in result.findings] == ["split-leak", "too-few-cases"]
    assert result.named == {"split-leak": [("case5", "case2")]}


def test_data_sets_that_name_a_label_differently_are_refused(tmp_path: Path) -> None:
    for number, name in enumerate(("liver", "spleen")):
        folder = tmp_path / name
        folder.mkdir()
        volumes(folder, 1)
        entry = {"image": "image0.nii", "label": "label0.nii", "id": f"c{number}"}
        content = {"labels": {"0": "background", "1": name, "2": "both"}, "training": [entry]}
        (folder / "dataset.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match="label 1 has two names"):
        mv.plan([tmp_path / "liver", tmp_path / "spleen"], tmp_path / "out")
    named = mv.plan(tmp_path / "liver", tmp_path / "out").plan.settings
    assert named.labels == {1: "liver", 2: "both"}


def test_the_command_prints_findings_then_every_decision_in_a_hundred_columns(tmp_path: Path) -> None:
    data, out = volumes(tmp_path, modality="MR"), tmp_path / "out"
    done = CliRunner().invoke(app, ["plan", str(data), "--out", str(out)], catch_exceptions=False)
    assert done.exit_code == 0
    table = done.stdout.split("Pipeline:")[0]
    assert all(len(line) <= 100 for line in table.splitlines())
    assert table.lstrip().startswith("warning  4 patients to train on")
    shown = re.sub(r"\s+", " ", table)
    plan = read_settings(out / "pipeline.toml")
    assert "[train.augmentation]" in shown
    assert f"batch {plan.train.batch} " in shown
    assert "half of the" in shown
    assert "medvision train" in done.stdout


def test_the_command_answers_in_json_and_writes_nothing_when_it_is_asked_to(tmp_path: Path) -> None:
    data, out = volumes(tmp_path, 2, split=lambda number: ("train", "test")[number]), tmp_path / "out"
    words = ["plan", str(data), "--out", str(out), "--dry-run"]
    done = CliRunner().invoke(app, [*words, "--json", "--name", "short"], catch_exceptions=False)
    assert json.loads(done.stdout)["settings"]["name"] == "short"
    told = CliRunner().invoke(app, words, catch_exceptions=False).stdout
    assert "Nothing was written" in told
    assert "Split test: 1 case, not looked at" in told
    assert not out.exists()


def test_real_hippocampus_crops_are_planned_as_the_shipped_pipeline_is(shared_data: Path, tmp_path: Path) -> None:
    rows = [
        {
            "image": shared_data / "msd_hippocampus" / entry["image"],
            "label": shared_data / "msd_hippocampus" / entry["label"],
        }
        for entry in json.loads((shared_data / "msd_hippocampus" / "dataset.json").read_text())["training"][::20]
    ]
    found = mv.plan(manifest(tmp_path, [{**row, "modality": "MR"} for row in rows]), tmp_path / "out").plan.settings
    shipped = PipelineFolder.open("mr-hippocampus").settings
    assert found.steps == shipped.steps
    assert found.train.patch == (40, 56, 40)
    assert found.contract.spacing_mm == (0.5, 2.0)


def test_what_reading_found_is_told_with_the_number_of_its_cases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(case: Case) -> Volume:
        found = (Finding("suv", "note", "by a factor of 2"),) if case.id.endswith(("1", "2")) else ()
        return replace(original(case), findings=found)

    original = io.read_volume
    monkeypatch.setattr("medvision.io.read_volume", read)
    result = mv.plan(volumes(tmp_path, modality="MR"), tmp_path / "plan", dry_run=True)
    (told,) = [finding for finding in result.findings if finding.code == "suv"]
    assert (told.message, told.path) == ("2 cases: by a factor of 2", None)
