"""From labelled cases to a pipeline folder that runs, is evaluated, explained and reported."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import SPHERES_TOML, write_sphere_data
from PIL import Image
from tiny_pipeline import GREYS, STRIPES

import medvision as mv
from medvision.errors import InputError, PipelineError, UsageError
from medvision.files import sha256_of
from medvision.pipeline import PipelineFolder
from medvision.study import Case, Collection, Reading
from medvision.training import Split, Store
from medvision.workflows.starting.source import identity_of_source
from medvision.workflows.train import Machine, Start, train
from medvision.workflows.training_data.labelled import labelled_cases
from medvision.workflows.training_data.prepare import prepare
from medvision.workflows.training_folder.claim import claim
from medvision.workflows.training_folder.finished import identity_of

STRIPES_TOML = f"""
{STRIPES}
{GREYS}
[[explain]]
use = "hirescam"
[train]
epochs = 2
steps_per_epoch = 20
batch = 8
optimiser = "adamw"
learning_rate = 0.01
balanced = true
precision = "fp32"
[train.augmentation]
rotation_degrees = 0.0
mirror_axes = [1]
"""


def write_stripes(path: Path) -> Path:
    """Write pictures of upright and level stripes in the form of MedMNIST, with one copy across the split."""
    generator = np.random.default_rng(0)
    arrays = {}
    for split, count in (("train", 40), ("val", 16)):
        labels = np.arange(count) % 2
        pictures = generator.integers(0, 60, (count, 16, 16)).astype(np.uint8)
        for picture, label in zip(pictures, labels, strict=True):
            (picture.T if label == 0 else picture)[::4] += 150
        arrays |= {f"{split}_images": pictures, f"{split}_labels": labels[:, None].astype(np.uint8)}
    arrays["val_images"][3] = arrays["train_images"][5]
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="module")
def stripes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a data set of stripes and the pipeline folder trained on it."""
    folder = tmp_path_factory.mktemp("stripes")
    (folder / "settings").mkdir()
    (folder / "settings" / "pipeline.toml").write_text(STRIPES_TOML, encoding="utf-8")
    data = write_stripes(folder / "stripes.npz")
    mv.train(folder / "settings", data, folder / "trained")
    return data, folder / "trained"


def test_a_training_leaves_everything_that_a_pipeline_needs(stripes: tuple[Path, Path]) -> None:
    _, folder = stripes
    opened = PipelineFolder.open(folder)
    assert opened.weights is not None
    assert opened.weights.results[0].startswith("AUC ")
    assert opened.weights.mirror_axes == (1,)
    names = {path.name for path in folder.iterdir()}
    assert {"pipeline.toml", "weights.safetensors", "weights.json", "card.md", "curves.csv", "curves.png"} <= names
    assert "validation.csv" in names
    card = (folder / "card.md").read_text(encoding="utf-8")
    assert "Trained on 40 cases" in card
    assert "Not for diagnosis" in card


def test_copies_across_the_split_are_found_and_reported(stripes: tuple[Path, Path]) -> None:
    _, folder = stripes
    findings = json.loads((folder / "training.json").read_text())["findings"]
    leak = next(finding for finding in findings if finding["code"] == "split-leak")
    assert leak["message"] == "1 of 16 validation images is an exact copy of a training image"
    named = json.loads((folder / "training.json").read_text())["named"]
    assert named == {"split-leak": [["val_00003", "train_00005"]]}
    card = (folder / "card.md").read_text(encoding="utf-8")
    assert "is an exact copy" in card
    assert "val_00003" not in card, "ids come from names of files"


def test_the_whole_round_from_python(stripes: tuple[Path, Path], tmp_path: Path) -> None:
    data, folder = stripes
    pipeline = mv.Pipeline.open(folder)
    result = pipeline.run(data, tmp_path / "out", split="val")
    assert (len(result.entries), result.exit_code()) == (16, 0)
    case = tmp_path / "out" / "cases" / "val_00000"
    chances = json.loads((case / "probabilities.json").read_text())
    assert set(chances) == {"upright", "level"}
    assert sum(chances.values()) == pytest.approx(1)
    evaluation = pipeline.evaluate(tmp_path / "out", data, split="val")
    assert evaluation.cases == 16
    assert evaluation.estimates["AUC"].value == pytest.approx(1.0, abs=0.05)
    explained = pipeline.explain(data, tmp_path / "explained", split="val", methods=["smoothed-gradient"])
    assert explained.exit_code() == 0
    assert (tmp_path / "explained" / "cases" / "val_00000" / "smoothed-gradient.nii.gz").is_file()
    assert (tmp_path / "explained" / "cases" / "val_00000" / "smoothed-gradient.png").is_file()
    assert pipeline.report(tmp_path / "out").written == 16


def test_a_method_that_does_not_fit_is_refused(stripes: tuple[Path, Path], tmp_path: Path) -> None:
    data, folder = stripes
    with pytest.raises(UsageError, match="there are hirescam, smoothed-gradient"):
        mv.Pipeline.open(folder).explain(data, tmp_path, methods=["seg-hirescam"])


def test_an_evaluation_without_results_is_refused(stripes: tuple[Path, Path], tmp_path: Path) -> None:
    data, folder = stripes
    with pytest.raises(InputError) as caught:
        mv.Pipeline.open(folder).evaluate(tmp_path / "out", data)
    assert caught.value.code == "not-found"
    assert not (tmp_path / "out").exists()


def test_an_evaluation_names_the_cases_it_could_not_compare(sphere_pipeline: Path, tmp_path: Path) -> None:
    data = write_sphere_data(tmp_path / "data")
    pipeline = mv.Pipeline.open(sphere_pipeline)
    pipeline.run(data, tmp_path / "out")
    label = tmp_path / "data" / "label3.nii.gz"
    label.write_bytes(label.read_bytes()[:-9])
    evaluation = pipeline.evaluate(tmp_path / "out", data)
    assert evaluation.cases == 7
    assert [problem.code for problem in evaluation.problems] == ["truncated"]
    assert evaluation.estimates["mean Dice"].value is not None
    assert evaluation.estimates["mean Dice"].value > 0.85
    assert evaluation.estimates["mean Dice"].n == 4  # patients, of two cases each
    rows = (tmp_path / "out" / "evaluation.csv").read_text().splitlines()
    assert rows[0].startswith("case,dice_dim,dice_bright,hd95_mm_dim")
    assert len(rows) == 8


def test_patients_stay_on_one_side_of_the_split(sphere_pipeline: Path) -> None:
    split = json.loads((sphere_pipeline / "training.json").read_text())["split"]
    patient = {f"image{number}": number // 2 for number in range(8)}
    assert not {patient[case] for case in split["train"]} & {patient[case] for case in split["val"]}
    assert len(split["train"] + split["val"]) == 8


def test_the_same_training_gives_the_same_bytes(stripes: tuple[Path, Path], tmp_path: Path) -> None:
    data, folder = stripes
    mv.Pipeline.open(folder).train(data, tmp_path / "again")
    for name in ("weights.safetensors", "weights.json", "card.md", "curves.png", "validation.csv", "training.json"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes(), name
    one, other = (without_durations(place / "curves.csv") for place in (tmp_path / "again", folder))
    assert one == other


def without_durations(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table of curves without what they took, which differs from run to run."""
    with path.open(newline="") as file:
        rows = [dict(row) for row in csv.DictReader(file)]
    assert all(float(row.pop(f"seconds_{what}")) >= 0 for row in rows for what in ("data", "network", "validation"))
    return rows


def test_a_folder_of_another_training_is_not_gone_on_from(stripes: tuple[Path, Path], tmp_path: Path) -> None:
    data, folder = stripes
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "settings").mkdir()
    toml = tmp_path / "settings" / "pipeline.toml"
    toml.write_text((folder / "pipeline.toml").read_text().replace("learning_rate = 0.01", "learning_rate = 0.02"))
    with pytest.raises(PipelineError, match="other settings or data"):
        train(PipelineFolder.open(tmp_path / "settings"), [data], tmp_path / "copy")


def test_a_case_that_cannot_be_read_or_has_no_label_stops_a_training(tmp_path: Path) -> None:
    (tmp_path / "pipeline.toml").write_text(SPHERES_TOML, encoding="utf-8")
    pipeline = PipelineFolder.open(tmp_path)
    table = write_sphere_data(tmp_path / "data")
    lines = table.read_text().splitlines()
    (tmp_path / "data" / "few.csv").write_text("\n".join([lines[0], lines[1].replace("label0.nii.gz", ""), *lines[2:]]))
    with pytest.raises(InputError) as caught:
        train(pipeline, [tmp_path / "data" / "few.csv"], tmp_path / "out")
    assert caught.value.code == "label-missing"
    assert "1 of 8 cases has no label, first: image0" in str(caught.value)
    (tmp_path / "data" / "image5.nii.gz").unlink()
    with pytest.raises(InputError, match=r"image5\.nii\.gz") as caught:
        train(pipeline, [table], tmp_path / "out")
    assert caught.value.code == "not-found"


def test_data_of_which_everything_is_skipped_hold_no_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medvision.io.scan", lambda _: Collection((), (), ()))
    with pytest.raises(InputError, match="there is no case to train on in the data") as caught:
        labelled_cases([tmp_path])
    assert (caught.value.code, caught.value.path) == ("label-missing", tmp_path)
    with pytest.raises(InputError, match="there is no case to train on in the data") as caught:
        labelled_cases([])
    assert caught.value.path is None


@pytest.mark.parametrize(("column", "hint"), [("lable", "; the column 'lable' is not 'label'"), ("age", "first: a")])
def test_a_column_that_may_be_meant_as_label_is_named(tmp_path: Path, column: str, hint: str) -> None:
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "cases.csv").write_text(f"image,{column}\na.png,1\n")
    with pytest.raises(InputError) as caught:
        labelled_cases([tmp_path / "cases.csv"])
    assert caught.value.code == "label-missing"
    assert str(caught.value.finding.message).endswith(hint)


def test_a_label_of_a_class_that_the_pipeline_does_not_know_is_refused(
    stripes: tuple[Path, Path], tmp_path: Path
) -> None:
    data, folder = stripes
    arrays = dict(np.load(data))
    arrays["train_labels"][7] = 5
    np.savez(tmp_path / "odd.npz", **arrays)
    with pytest.raises(InputError, match="0 upright, 1 level"):
        mv.Pipeline.open(folder).train(tmp_path / "odd.npz", tmp_path / "out")


def test_cases_of_the_other_side_are_mirrored_for_training_too(tmp_path: Path) -> None:
    from medvision import io
    from medvision.study import Case

    text = SPHERES_TOML.replace('modality = "MR"', 'modality = "MR"\nside = "left"')
    (tmp_path / "pipeline.toml").write_text(text, encoding="utf-8")
    pipeline = PipelineFolder.open(tmp_path)
    (case,) = (found for found in io.scan([write_sphere_data(tmp_path / "data")]).cases if found.id == "image0")
    sided = [Case(case.id, case.images, case.label, attributes={"side": side}) for side in ("left", "right")]
    left, right, unsided = (
        prepare([entry], pipeline, Store(tmp_path / "cache"))[case.id].sample.part(np.s_[:, :, :])
        for entry in (*sided, case)
    )
    for one, other in zip(left, unsided, strict=True):
        assert np.array_equal(one, other)
    assert np.array_equal(right[0], left[0][:, ::-1])
    assert np.array_equal(right[1], left[1][::-1])


def test_what_is_noticed_about_training_images_stands_in_the_card(sphere_pipeline: Path, tmp_path: Path) -> None:
    table = write_sphere_data(tmp_path / "data")
    table.write_text(table.read_text().replace(",MR", ",CT"))
    (tmp_path / "settings").mkdir()
    quick = SPHERES_TOML.replace("epochs = 4", "epochs = 1").replace("steps_per_epoch = 40", "steps_per_epoch = 1")
    (tmp_path / "settings" / "pipeline.toml").write_text(quick, encoding="utf-8")
    result = mv.train(tmp_path / "settings", table, tmp_path / "out")
    noticed = next(finding for finding in result.findings if finding.code == "modality-differs")
    assert noticed.message.startswith("8 cases: ")
    assert sorted(result.named["modality-differs"]) == [f"image{number}" for number in range(8)]
    assert "image0" not in (tmp_path / "out" / "card.md").read_text(encoding="utf-8")
    assert "the image is CT" in (tmp_path / "out" / "card.md").read_text(encoding="utf-8")


def test_results_of_other_weights_are_not_evaluated(
    stripes: tuple[Path, Path], sphere_pipeline: Path, tmp_path: Path
) -> None:
    data, folder = stripes
    mv.Pipeline.open(folder).run(data, tmp_path / "out", split="val")
    with pytest.raises(InputError, match="none of 16 labelled cases"):
        mv.Pipeline.open(sphere_pipeline).evaluate(tmp_path / "out", data, split="val")


def test_results_of_images_read_by_choice_are_evaluated_as_the_run_read_them(
    sphere_pipeline: Path, tmp_path: Path
) -> None:
    table = write_sphere_data(tmp_path / "data")
    pipeline = mv.Pipeline.open(sphere_pipeline)
    assert pipeline.run(table, tmp_path / "out").count("done") == 8
    again = pipeline.run(table, tmp_path / "out", reading=Reading(nan_to=0.0))
    assert (again.analysed, again.done_before) == (8, 0)
    evaluation = pipeline.evaluate(tmp_path / "out", table)
    assert (evaluation.cases, evaluation.problems) == (8, ())


def test_images_named_without_and_with_their_modality_are_the_same_images(
    sphere_pipeline: Path, tmp_path: Path
) -> None:
    table = write_sphere_data(tmp_path / "data")
    bare = [tmp_path / "data" / f"image{number}.nii.gz" for number in range(8)]
    pipeline = mv.Pipeline.open(sphere_pipeline)
    pipeline.run(bare, tmp_path / "out")
    evaluation = pipeline.evaluate(tmp_path / "out", table)
    assert (evaluation.cases, evaluation.problems) == (8, ())
    assert evaluation.manifest["weights_sha256"] == pipeline.folder.require_weights().sha256


def test_an_evaluation_counts_what_cannot_be_read_at_first_sight(sphere_pipeline: Path, tmp_path: Path) -> None:
    table = write_sphere_data(tmp_path / "data")
    pipeline = mv.Pipeline.open(sphere_pipeline)
    (tmp_path / "data" / "image2.nii.gz").write_bytes(b"")
    pipeline.run(table, tmp_path / "out")
    evaluation = pipeline.evaluate(tmp_path / "out", table)
    assert (evaluation.cases, len(evaluation.problems)) == (7, 1)


def test_settings_that_are_not_those_of_the_file_are_not_trained(tmp_path: Path) -> None:
    (tmp_path / "pipeline.toml").write_text(SPHERES_TOML, encoding="utf-8")
    opened = PipelineFolder.open(tmp_path)
    (tmp_path / "pipeline.toml").write_text(SPHERES_TOML.replace("0.01", "0.02"), encoding="utf-8")
    with pytest.raises(PipelineError, match="does not say what is in force"):
        train(opened, [write_sphere_data(tmp_path / "data")], tmp_path / "out")


def test_a_training_whose_labels_have_changed_is_not_gone_on_from(stripes: tuple[Path, Path], tmp_path: Path) -> None:
    data, folder = stripes
    shutil.copytree(folder, tmp_path / "copy")
    arrays = dict(np.load(data))
    arrays["train_labels"][0] = 1 - arrays["train_labels"][0]
    np.savez(tmp_path / "other.npz", **arrays)
    with pytest.raises(PipelineError, match="other settings or data"):
        mv.train(folder, tmp_path / "other.npz", tmp_path / "copy")


def test_a_data_set_that_numbers_the_same_names_otherwise_is_refused(sphere_pipeline: Path, tmp_path: Path) -> None:
    write_sphere_data(tmp_path)
    entries = [{"image": f"image{n}.nii.gz", "label": f"label{n}.nii.gz"} for n in range(8)]
    content = {"training": entries, "labels": {"0": "background", "1": "bright", "2": "dim"}, "modality": {"0": "MR"}}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="calls label 1 'bright', which is 'dim' here, and its name is like that of 2"):
        mv.train(sphere_pipeline, tmp_path / "dataset.json", tmp_path / "out")


def test_a_data_set_whose_names_have_changed_is_neither_taken_from_the_cache_nor_gone_on_with(
    sphere_pipeline: Path, tmp_path: Path
) -> None:
    write_sphere_data(tmp_path)
    settings = PipelineFolder.open(sphere_pipeline).settings
    entries = [{"image": f"image{n}.nii.gz", "label": f"label{n}.nii.gz"} for n in range(8)]

    def cases(*names: str) -> list[Case]:
        labels = {"0": "background", **{str(n): name for n, name in enumerate(names, 1)}}
        content = {"training": entries, "labels": labels, "modality": {"0": "MR"}}
        (tmp_path / "dataset.json").write_text(json.dumps(content))
        return labelled_cases([tmp_path / "dataset.json"])

    pipeline, store = PipelineFolder.open(sphere_pipeline), Store(tmp_path / "cache")
    right = cases(*settings.labels.values())
    prepare(right, pipeline, store)
    claim(tmp_path / "out", pipeline, Split(tuple(right), ()), {case.id: "" for case in right})
    (tmp_path / "out" / "checkpoints" / "last.safetensors").touch()  # an epoch has been done
    swapped = cases(*reversed(settings.labels.values()))
    with pytest.raises(InputError, match="calls label 1"):
        prepare(swapped, pipeline, store)
    with pytest.raises(PipelineError, match="other settings or data"):
        claim(tmp_path / "out", pipeline, Split(tuple(swapped), ()), {case.id: "" for case in swapped})
    parts = [Split(tuple(each), ()) for each in (right, swapped)]
    assert identity_of(pipeline, parts[0]) != identity_of(pipeline, parts[1])


QUICK = STRIPES_TOML.replace("epochs = 2", "epochs = 1").replace("steps_per_epoch = 20", "steps_per_epoch = 1")


@pytest.fixture
def quick(stripes: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, mv.Pipeline]:
    """Return a data set, and a pipeline that one step trains; without the picture of its curves, which takes longer."""
    monkeypatch.setattr("medvision.training.curves._write_picture", lambda *_: None)
    (tmp_path / "quick").mkdir()
    (tmp_path / "quick" / "pipeline.toml").write_text(QUICK, encoding="utf-8")
    return stripes[0], mv.Pipeline.open(tmp_path / "quick")


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_is_none_is_wrong_usage(quick: tuple[Path, mv.Pipeline], tmp_path: Path, seed: int) -> None:
    data, pipeline = quick
    with pytest.raises(UsageError, match="a seed is a whole number from 0 to 4294967295"):
        pipeline.train(data, tmp_path / "out", seed=seed)


def test_a_seed_stands_in_place_of_the_one_in_the_settings_and_is_written_down(
    quick: tuple[Path, mv.Pipeline], tmp_path: Path
) -> None:
    data, pipeline = quick
    weights = []
    for seed in (None, 7, 7):
        out = tmp_path / f"out{len(weights)}"
        pipeline.train(data, out, seed=seed)
        left = PipelineFolder.open(out)
        assert left.settings.train.seed == (seed or 0)
        assert left.require_weights().trained_with["seed"] == str(seed or 0)
        weights.append((out / "weights.safetensors").read_bytes())
    assert weights[0] != weights[1]
    assert weights[1] == weights[2]
    with pytest.raises(PipelineError, match="other settings or data"):
        pipeline.train(data, tmp_path / "out1", seed=8)


def test_settings_as_they_stand_are_copied_with_their_comments(quick: tuple[Path, mv.Pipeline], tmp_path: Path) -> None:
    data, pipeline = quick
    toml = pipeline.folder.folder / "pipeline.toml"
    toml.write_text("# what I found out\n" + toml.read_text(encoding="utf-8"), encoding="utf-8")
    pipeline.train(data, tmp_path / "out")
    assert (tmp_path / "out" / "pipeline.toml").read_bytes() == toml.read_bytes()


def test_a_training_goes_on_in_its_own_folder_and_is_not_done_twice(
    quick: tuple[Path, mv.Pipeline], tmp_path: Path
) -> None:
    data, pipeline = quick
    steps: list[str] = []
    first = pipeline.train(data, tmp_path / "out", progress=lambda done, total, last: steps.append(last))
    assert [words for words in steps if words != "cases prepared"] == [""]
    steps.clear()
    again = pipeline.train(data, tmp_path / "out", progress=lambda done, total, last: steps.append(last))
    assert steps == [], "what is done is neither prepared nor trained again"
    assert (again.results, again.train, again.val) == (first.results, first.train, first.val)


def test_a_training_that_is_done_is_not_given_for_other_settings_or_patients(
    quick: tuple[Path, mv.Pipeline], tmp_path: Path
) -> None:
    _, pipeline = quick
    rows = [f"i{n}.png,{n % 2},{'val' if n < 2 else 'train'}" for n in range(6)]
    for n in range(6):
        Image.fromarray(np.full((32, 32), 40 * n, np.uint8)).save(tmp_path / f"i{n}.png")

    def cases(*patients: str) -> Path:
        lines = ["image,label,split,patient", *(f"{row},{one}" for row, one in zip(rows, patients, strict=True))]
        (tmp_path / "cases.csv").write_text("\n".join(lines))
        return tmp_path / "cases.csv"

    pipeline.train(cases(*"abcdef"), tmp_path / "out")
    assert pipeline.train(cases(*"abcdef"), tmp_path / "out").done_before
    with pytest.raises(PipelineError, match="other settings or data"):
        pipeline.train(cases(*"aacdef"), tmp_path / "out")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "pipeline.toml").write_text(QUICK + "[predict]\nreview_margin = 0.5\n", encoding="utf-8")
    with pytest.raises(PipelineError, match="other settings or data"):
        mv.Pipeline.open(tmp_path / "other").train(cases(*"abcdef"), tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("weights.safetensors", b"damaged", "not the one that its card describes"),
        ("card.md", None, "has lost this file"),
        ("seen.json", None, "has lost this file"),
        ("training.json", None, "trained weights lie here"),
        ("checkpoints/done.json", None, "trained weights lie here"),
        ("checkpoints/identity.json", None, None),  # the note that it is done says all that there is to say
    ],
)
def test_a_training_is_not_called_done_where_what_it_left_is_not_whole(
    quick: tuple[Path, mv.Pipeline], tmp_path: Path, name: str, content: bytes | None, words: str | None
) -> None:
    data, pipeline = quick
    out = pipeline.train(data, tmp_path / "out").folder
    before = (out / "weights.safetensors").read_bytes()
    if content is None:
        (out / name).unlink()
    else:
        (out / name).write_bytes(content)
    if words is None:
        assert pipeline.train(data, out).done_before
        return
    with pytest.raises(PipelineError, match=words):
        pipeline.train(data, out)
    assert (out / "weights.safetensors").read_bytes() == (content or before)


@pytest.mark.parametrize("damage", ["fewer", "twice"])
def test_a_training_whose_kept_cases_are_not_those_held_out_is_refused(
    quick: tuple[Path, mv.Pipeline], tmp_path: Path, damage: str
) -> None:
    data, pipeline = quick
    out = pipeline.train(data, tmp_path / "out").folder
    note = out / "checkpoints" / "done.json"
    content = json.loads(note.read_text())
    first, *others = content["cases"]
    note.write_text(json.dumps({**content, "cases": others if damage == "fewer" else [first, first, *others]}))
    with pytest.raises(PipelineError, match="cannot be read") as caught:
        pipeline.train(data, out)
    assert (caught.value.code, caught.value.path) == ("weights-mismatch", note)


@pytest.mark.parametrize("minutes", [None, 0.05])
def test_a_training_whose_weights_are_gone_begins_anew_and_ends_the_same(
    quick: tuple[Path, mv.Pipeline], tmp_path: Path, minutes: float | None
) -> None:
    data, pipeline = quick
    out = pipeline.train(data, tmp_path / "out", minutes=minutes).folder
    before = (out / "weights.safetensors").read_bytes()
    (out / "weights.safetensors").unlink()
    again = pipeline.train(data, out, minutes=minutes)
    assert (again.done_before, again.epochs_before) == (False, 0)
    PipelineFolder.open(out).check_weights()
    assert minutes is not None or (out / "weights.safetensors").read_bytes() == before


def test_checkpoints_of_another_training_are_not_gone_on_with(quick: tuple[Path, mv.Pipeline], tmp_path: Path) -> None:
    data, pipeline = quick
    for seed in (1, 2):
        with pytest.MonkeyPatch.context() as patched:
            stop_after_an_epoch(patched)
            with pytest.raises(KeyboardInterrupt):
                pipeline.train(data, tmp_path / str(seed), seed=seed)
    shutil.copy(tmp_path / "1" / "checkpoints" / "last.safetensors", tmp_path / "2" / "checkpoints")
    with pytest.raises(PipelineError, match="belongs to another training"):
        pipeline.train(data, tmp_path / "2", seed=2)
    (tmp_path / "1" / "checkpoints" / "identity.json").unlink()
    with pytest.raises(PipelineError, match="a training has begun here"):
        pipeline.train(data, tmp_path / "1", seed=1)


def test_settings_are_never_trained_in_their_own_folder(quick: tuple[Path, mv.Pipeline], tmp_path: Path) -> None:
    data, pipeline = quick
    folder = pipeline.folder.folder
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for out in (folder, tmp_path / "other" / ".." / folder.name):
        with pytest.raises(UsageError, match="would be written over") as caught:
            pipeline.train(data, out)
        assert caught.value.path == out
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_settings_of_another_pipeline_are_never_written_over(quick: tuple[Path, mv.Pipeline], tmp_path: Path) -> None:
    data, pipeline = quick
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "pipeline.toml").write_text("# mine, planned and edited\n", encoding="utf-8")
    for verb in (pipeline.train, pipeline.crossvalidate):
        with pytest.raises(UsageError, match="would be written over") as caught:
            verb(data, tmp_path / "other")
        assert caught.value.path == tmp_path / "other"
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["pipeline.toml"]
    assert (tmp_path / "other" / "pipeline.toml").read_text() == "# mine, planned and edited\n"


def test_a_misspelt_start_leaves_the_folder_to_the_corrected_one(
    quick: tuple[Path, mv.Pipeline], tmp_path: Path
) -> None:
    data, pipeline = quick
    weights = str(pipeline.train(data, tmp_path / "first").folder)
    with pytest.raises(UsageError, match="no such way of tuning"):
        pipeline.train(data, tmp_path / "out", start=Start(weights, "haed"))
    assert pipeline.train(data, tmp_path / "out", start=Start(weights, "head")).folder == tmp_path / "out"


@pytest.fixture
def stopped(quick: tuple[Path, mv.Pipeline], tmp_path: Path) -> tuple[Path, mv.Pipeline]:
    """Return data and settings of two epochs, whose training in ``out`` was stopped after the first."""
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "pipeline.toml").write_text(QUICK.replace("epochs = 1", "epochs = 2"), encoding="utf-8")
    pipeline = mv.Pipeline.open(tmp_path / "two")
    with pytest.MonkeyPatch.context() as patched:
        stop_after_an_epoch(patched)
        with pytest.raises(KeyboardInterrupt):
            pipeline.train(quick[0], tmp_path / "out")
    return quick[0], pipeline


def test_a_training_that_was_stopped_says_after_which_epoch_it_went_on(
    stopped: tuple[Path, mv.Pipeline], tmp_path: Path
) -> None:
    data, pipeline = stopped
    told: list[str] = []
    result = pipeline.train(data, tmp_path / "out", progress=lambda done, total, last: told.append(last))
    assert (result.epochs_before, result.done_before) == (1, False)
    assert "goes on after epoch 1" in told
    whole = pipeline.train(data, tmp_path / "whole")
    assert (whole.epochs_before, whole.done_before) == (0, False)
    for name in ("training.json", "card.md", "weights.safetensors"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_a_training_that_goes_on_with_other_arithmetic_says_so_on_its_card(
    stopped: tuple[Path, mv.Pipeline], tmp_path: Path
) -> None:
    data, pipeline = stopped
    pipeline.train(data, tmp_path / "out", machine=Machine(deterministic=False))
    card = PipelineFolder.open(tmp_path / "out").require_weights()
    assert card.trained_with["deterministic"] == "yes (epoch 1), no (epoch 2)"
    assert card.trained_with["device"] == "cpu"
    assert "deterministic yes (epoch 1), no (epoch 2)" in (tmp_path / "out" / "card.md").read_text()


@pytest.mark.parametrize("minutes", [None, 5.0])
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"log": "tensorbord"}, "--log names 'tensorbord'"),
        ({"tune": "haed"}, "no such way of tuning"),
        ({"tune": "last:99"}, "the last 99 cannot be trained"),
        ({"tune": "lora:r=999"}, "rank"),
        ({"source": "nowhere.safetensors"}, "nowhere.safetensors|no such"),
        ({"source": "little.safetensors"}, "of the encoder"),
    ],
)
def test_options_that_cannot_be_met_are_told_before_any_case_is_prepared(
    stripes: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, str],
    words: str,
    minutes: float | None,
) -> None:
    from safetensors.numpy import save_file

    def never(*_: object, **__: object) -> None:
        raise AssertionError("nothing is prepared")

    monkeypatch.setattr("medvision.workflows.fitting.workbench.prepare", never)
    monkeypatch.chdir(tmp_path)
    save_file({"unknown.weight": np.zeros((3, 3), np.float32)}, "little.safetensors")
    start = None if "log" in options else Start(options.get("source", str(stripes[1])), options.get("tune", "full"))
    with pytest.raises((UsageError, PipelineError), match=words):
        mv.train(
            stripes[1], stripes[0], tmp_path / "out", start=start, minutes=minutes,
            machine=Machine(log=options.get("log", "")),
        )  # fmt: skip
    assert not (tmp_path / "out" / "checkpoints").exists()


def test_how_many_epochs_fit_into_a_time_is_not_judged_before_it_is_known(
    stripes: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    def reached(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("medvision.workflows.fitting.workbench.prepare", reached)
    start = Start(str(stripes[1]), "staged:1")
    with pytest.raises(UsageError, match="epochs, and the training has 2"):
        mv.train(stripes[1], stripes[0], tmp_path / "out", start=start)
    with pytest.raises(KeyboardInterrupt):
        mv.train(stripes[1], stripes[0], tmp_path / "out", start=start, minutes=1.0)


def test_another_start_is_another_training(quick: tuple[Path, mv.Pipeline], tmp_path: Path) -> None:
    data, pipeline = quick
    pipeline.train(data, tmp_path / "out")
    started = Start(str(tmp_path / "out"))
    with pytest.raises(PipelineError, match="other settings or data"):
        pipeline.train(data, tmp_path / "out", start=started)
    pipeline.train(data, tmp_path / "further", start=started)
    for other in (None, Start(str(tmp_path / "out"), tune="head")):
        with pytest.raises(PipelineError, match="other settings or data"):
            pipeline.train(data, tmp_path / "further", start=other)


def test_a_trained_pipeline_is_not_written_over(
    quick: tuple[Path, mv.Pipeline], stripes: tuple[Path, Path], tmp_path: Path
) -> None:
    data, pipeline = quick
    shutil.copytree(stripes[1], tmp_path / "mine")
    shutil.rmtree(tmp_path / "mine" / "checkpoints")
    before = (tmp_path / "mine" / "weights.safetensors").read_bytes()
    with pytest.raises(PipelineError, match="trained weights lie here") as caught:
        pipeline.train(data, tmp_path / "mine")
    assert caught.value.finding.cure == "Choose another --out."
    assert (tmp_path / "mine" / "weights.safetensors").read_bytes() == before


def test_prepared_cases_are_kept_while_a_training_may_be_gone_on_with(
    quick: tuple[Path, mv.Pipeline], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medvision.workflows.fitting import fit as workflow

    data, pipeline = quick

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(workflow, "optimise", stopped)
        with pytest.raises(KeyboardInterrupt):
            pipeline.train(data, tmp_path / "out")
    assert len(list((tmp_path / "out" / "prepared").rglob("*.safetensors"))) == 56
    pipeline.train(data, tmp_path / "out")
    assert not (tmp_path / "out" / "prepared").exists()
    pipeline.train(data, tmp_path / "cached", machine=Machine(cache=tmp_path / "cache"))
    assert len(list((tmp_path / "cache").rglob("*.safetensors"))) == 56


def test_the_public_function_takes_what_the_pipeline_takes(quick: tuple[Path, mv.Pipeline], tmp_path: Path) -> None:
    data, pipeline = quick
    told: list[int] = []
    machine = Machine(device="cpu", deterministic=True)
    result = mv.train(
        pipeline.folder.folder, data, tmp_path / "out", seed=1, machine=machine, progress=lambda *_: told.append(1)
    )
    assert result.folder == tmp_path / "out"
    assert told
    found = result.to_json()
    assert (found["schema"], len(found["split"]["train"])) == ("medvision.training/1", 40)


def test_a_training_that_is_done_leaves_no_checkpoints_and_what_it_found_is_told_again(
    quick: tuple[Path, mv.Pipeline], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medvision.workflows.fitting import fit as workflow

    data, pipeline = quick
    first = pipeline.train(data, tmp_path / "out")
    left = {path.name for path in (tmp_path / "out" / "checkpoints").iterdir()}
    assert left == {"identity.json", "done.json", "stretches.json"}

    def never(*_: object, **__: object) -> None:
        raise AssertionError("nothing is prepared or trained")

    monkeypatch.setattr("medvision.workflows.fitting.workbench.prepare", never)
    monkeypatch.setattr(workflow, "optimise", never)
    before = (tmp_path / "out" / "weights.safetensors").read_bytes()
    again = pipeline.train(data, tmp_path / "out")
    assert again.to_json() == json.loads(json.dumps(first.to_json() | {"done_before": True}))
    assert (tmp_path / "out" / "weights.safetensors").read_bytes() == before
    with pytest.raises(AssertionError, match="nothing is prepared"):
        pipeline.train(data, tmp_path / "out", seed=9)


def stop_after_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have trainings stopped when their first checkpoint is written."""
    from medvision.training import checkpoint

    save = checkpoint.save

    def stopping(*arguments: Any) -> None:
        save(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save", stopping)


def test_a_training_is_not_gone_on_with_when_other_weights_lie_where_it_started_from(
    quick: tuple[Path, mv.Pipeline], tmp_path: Path
) -> None:
    data, pipeline = quick
    for name, seed in (("a", 1), ("b", 2)):
        pipeline.train(data, tmp_path / name, seed=seed)
    source = tmp_path / "source.safetensors"
    shutil.copy(tmp_path / "a" / "weights.safetensors", source)
    with pytest.MonkeyPatch.context() as patched:
        stop_after_an_epoch(patched)
        with pytest.raises(KeyboardInterrupt):
            pipeline.train(data, tmp_path / "out", start=Start(str(source)))
    shutil.copy(tmp_path / "b" / "weights.safetensors", source)
    with pytest.raises(PipelineError, match="other settings or data"):
        pipeline.train(data, tmp_path / "out", start=Start(str(source)))
    moved = tmp_path / "moved.safetensors"
    shutil.copy(tmp_path / "a" / "weights.safetensors", moved)
    pipeline.train(data, tmp_path / "out", start=Start(str(moved)))
    card = PipelineFolder.open(tmp_path / "out").require_weights()
    assert card.trained_with["started_from_sha256"] == sha256_of(moved)
    assert card.trained_with["started_from"] == "source.safetensors", "what it began with, not where that lies now"


def test_weights_of_the_hub_count_by_commit_and_hash_and_are_what_a_resumed_training_began_with(
    quick: tuple[Path, mv.Pipeline], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medvision.transfer.hub import Fetched, Hub

    data, pipeline = quick
    pipeline.train(data, tmp_path / "a", seed=1)
    weights, commits = tmp_path / "a" / "weights.safetensors", ["one"]

    def fetch(self: Hub, wanted: object, *, limit_bytes: int) -> Fetched:
        return Fetched(weights, f"hf:org/repo@{commits[-1]}:w.safetensors", sha256_of(weights), "MIT")

    monkeypatch.setattr(Hub, "fetch", fetch)
    start = Start("hf:org/repo")
    with pytest.MonkeyPatch.context() as patched:
        stop_after_an_epoch(patched)
        with pytest.raises(KeyboardInterrupt):
            pipeline.train(data, tmp_path / "out", start=start)
    commits.append("two")
    pipeline.train(data, tmp_path / "out", start=start)
    card = PipelineFolder.open(tmp_path / "out").require_weights()
    assert card.trained_with["started_from"] == "hf:org/repo@one:w.safetensors"
    identity = identity_of_source("hf:org/repo")
    assert identity == f"hf:org/repo@two:w.safetensors {sha256_of(weights)}"


def test_what_of_given_weights_is_trained_is_said_at_the_start_and_on_the_card(
    quick: tuple[Path, mv.Pipeline], tmp_path: Path
) -> None:
    data, pipeline = quick
    pipeline.train(data, tmp_path / "a", seed=1)
    told: list[tuple[int, str]] = []
    start = Start(str(tmp_path / "a"), tune="head")
    pipeline.train(data, tmp_path / "out", start=start, progress=lambda done, _, last: told.append((done, last)))
    (said,) = [words for done, words in told if not done]
    assert said.endswith("parameters are trained")
    facts = PipelineFolder.open(tmp_path / "out").require_weights().trained_with
    assert facts["tune"] == "head"
    assert facts["trained"].startswith(said)
    assert said in (tmp_path / "out" / "training.html").read_text(encoding="utf-8")
