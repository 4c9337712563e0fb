"""One command trains every fold, measures every case once, and leaves one network for use and one of them all."""

from __future__ import annotations

import csv
import json
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import SPHERES_TOML, write_sphere_data

import medvision as mv
from medvision.errors import Finding, InputError, PipelineError, UsageError
from medvision.files import sha256_of
from medvision.networks import members_of
from medvision.pipeline import PipelineFolder
from medvision.workflows import crossvalidate as workflow
from medvision.workflows.crossvalidate import crossvalidate
from medvision_cli import app

TINY = SPHERES_TOML.replace("epochs = 4", "epochs = 3\nvalidate_every = 1").replace("_epoch = 40", "_epoch = 6")
LAST = TINY.replace("validate_every = 1", 'validate_every = 1\nkeep = "last"').replace("_epoch = 6", "_epoch = 1")
NAMES = ("weights.safetensors", "weights.json", "card.md", "pipeline.toml", "fingerprint.json")


@dataclass(frozen=True)
class Made:
    """A cross-validation by two folds of eight images of four patients."""

    data: Path
    settings: Path
    out: Path
    found: workflow.CrossValidation


def write_settings(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pipeline.toml").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(autouse=True, scope="module")
def without_pictures() -> Iterator[None]:
    """Leave out the picture of the curves, which takes longer than so short a training."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("medvision.training.curves._write_picture", lambda *_: None)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("folds")
    data, settings = write_sphere_data(folder / "data"), write_settings(folder / "settings", TINY)
    return Made(data, settings, folder / "out", mv.Pipeline.open(settings).crossvalidate(data, folder / "out", folds=2))


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_case_stands_once_in_the_table_with_what_its_own_fold_said(made: Made) -> None:
    table = rows(made.out / "crossvalidation.csv")
    assert [row["case"] for row in table] == [f"image{number}" for number in range(8)]
    folds = [{row["case"]: row for row in rows(made.out / "folds" / name / "validation.csv")} for name in ("1", "2")]
    assert not folds[0].keys() & folds[1].keys()
    assert {row["case"]: row for row in table} == folds[0] | folds[1]


def test_patients_are_held_out_as_a_whole_and_the_figures_count_them(made: Made) -> None:
    told = json.loads((made.out / "crossvalidation.json").read_text())
    patients = [{int(case.removeprefix("image")) // 2 for case in fold["val"]} for fold in told["folds"]]
    assert [len(held) for held in patients] == [2, 2]
    assert patients[0] | patients[1] == set(range(4))
    assert told["results"] == list(made.found.results)
    assert made.found.results[0].startswith("mean Dice ")
    assert "n = 4" in made.found.results[0]
    assert "8 held-out cases" in made.found.results[0]
    dice = [(float(row["dice_dim"]) + float(row["dice_bright"])) / 2 for row in rows(made.out / "crossvalidation.csv")]
    assert float(made.found.results[0].split()[2]) == pytest.approx(np.mean(dice), abs=0.001)


def test_what_is_left_is_a_pipeline_of_all_cases_whose_card_tells_where_its_figures_come_from(made: Made) -> None:
    opened = PipelineFolder.open(made.out)
    card = opened.require_weights()
    assert card.members == 1
    assert card.results[:-2] == made.found.results
    assert made.found.results[-1].startswith("The cases that a fold holds out had a say")
    text = (made.out / "card.md").read_text(encoding="utf-8")
    assert "Trained on 8 cases of 4 patients, none held out." in text
    assert "on these same cases" not in text, "no epoch was chosen here"
    assert "2-fold cross-validation: networks trained like this one" in card.results[-2]
    split = json.loads((made.out / "training.json").read_text())["split"]
    assert (len(split["train"]), split["val"]) == (8, [])
    assert "score" not in (made.out / "curves.csv").read_text(), "nobody was left to measure by"
    assert not (made.out / "prepared").exists()


def test_the_training_on_all_has_the_folds_own_schedule_to_its_end_and_says_so(made: Made) -> None:
    opened = PipelineFolder.open(made.out)
    wished = PipelineFolder.open(made.settings).settings.train
    assert wished.keep == "best"
    assert opened.settings.train == replace(wished, keep="last")
    assert len(rows(made.out / "curves.csv")) == wished.epochs
    assert "to the end of the folds' own schedule" in opened.require_weights().results[-1]


def test_a_page_shows_the_folds_and_every_case_of_them(made: Made) -> None:
    page = (made.out / "crossvalidation.html").read_text(encoding="utf-8")
    assert "spheres" in page
    assert all(f"image{number}" in page for number in range(8))
    assert made.found.results[0] in page


def test_a_cross_validation_that_is_done_is_not_done_again(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("nothing is prepared, trained or written again")

    monkeypatch.setattr("medvision.workflows.fitting.workbench.prepare", never)
    monkeypatch.setattr(workflow, "_write_ensemble", never)
    found = mv.Pipeline.open(made.settings).crossvalidate(made.data, made.out, folds=2)
    assert found.to_json() == made.found.to_json() | {"done_before": 3}
    assert made.found.done_before == 0


def test_where_the_last_weights_are_kept_the_training_on_all_is_as_long_as_each_fold(tmp_path: Path) -> None:
    opened = PipelineFolder.open(write_settings(tmp_path, LAST))
    assert workflow._for_all(opened, ()).settings == opened.settings


def test_folds_that_ended_early_shorten_the_training_on_all_which_cannot_end_early(made: Made) -> None:
    opened = PipelineFolder.open(made.settings)
    train = replace(opened.settings.train, keep="last", early_stopping=5, epochs=90)
    opened = replace(opened, settings=replace(opened.settings, train=train))
    ended = Finding("training-ended-early", "note", "no better score")
    early = replace(_trained(made).result, findings=(ended,))
    trained: Any = [replace(_trained(made), epoch=1, epochs=epochs, result=early) for epochs in (10, 31, 20)]
    whole = workflow._for_all(opened, trained)
    found = whole.settings.train
    assert (found.epochs, found.keep, found.early_stopping) == (20, "last", 0)
    assert "the median of their epochs, 20" in workflow._length_of(whole, trained, timed=False)
    told = workflow._length_of(whole, trained, timed=True)
    assert "20" not in told, "within a time, the schedule is made anew"
    late: Any = [_trained(made)]
    assert workflow._for_all(opened, late).settings.train.epochs == 90, "no fold ended early"


def _trained(made: Made) -> Any:
    from medvision.workflows.training_folder.outcome import Trained, TrainingResult

    return Trained(TrainingResult(made.out, (), (), (), ()), (), PipelineFolder.open(made.out), 1, 1, 1.0)


def test_the_ensemble_says_the_mean_of_what_the_folds_say(made: Made) -> None:
    ensemble = PipelineFolder.open(made.out / "ensemble")
    card = ensemble.require_weights()
    assert card.members == 2
    assert "the ensemble has seen every case" in card.results[-2]
    assert card.results[-1].startswith("It is the 2 networks of the folds, each trained on what")
    assert card.trained_with["steps"] == "18", "of each, and the same for both"
    image = torch.linspace(0, 1, 16**3).reshape(1, 1, 16, 16, 16)
    folds = [PipelineFolder.open(made.out / "folds" / name).load_network() for name in ("1", "2")]
    with torch.inference_mode():
        network = ensemble.load_network()
        assert len(members_of(network)) == 2
        found = network(image).softmax(1)
        wanted = torch.stack([fold(image).softmax(1) for fold in folds]).mean(0)
        assert not torch.allclose(folds[0](image), folds[1](image), atol=1e-3)
    assert torch.allclose(found, wanted, atol=1e-6)


def test_the_ensemble_runs_and_is_explained_by_the_mean_of_its_members_maps(made: Made, tmp_path: Path) -> None:
    import nibabel as nib

    image = made.data.parent / "image0.nii.gz"
    found = mv.Pipeline.open(made.out / "ensemble").run(image, tmp_path / "all")
    assert found.exit_code() == 0
    (case,) = (tmp_path / "all" / "cases").iterdir()
    record = json.loads((case / "record.json").read_text())
    (entry,) = [each for each in record["saliency"] if each["method"] == "seg-hirescam"]
    assert entry["parameters"]["members"] == 2
    assert not entry["parameters"]["layer"].startswith("members")
    values = np.asarray(nib.load(case / "seg-hirescam.nii.gz").dataobj)
    assert values.max() > 0


def test_the_map_of_an_ensemble_is_the_mean_of_those_of_its_members(made: Made) -> None:
    from medvision.explain import Region, SegHiResCam
    from medvision.workflows.cases.saliency import explained_by

    network = PipelineFolder.open(made.out / "ensemble").load_network()
    image = torch.rand(1, 1, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    region, method = Region(np.ones((16, 16, 16), dtype=bool)), SegHiResCam()
    each = [explained_by(method, member, image, region, spacing_mm=None) for member in members_of(network)]
    found = explained_by(method, network, image, region, spacing_mm=None)
    assert np.allclose(found.values, (each[0].values + each[1].values) / 2)
    assert not np.allclose(each[0].values, each[1].values)
    assert found.parameters["score"] == pytest.approx((each[0].parameters["score"] + each[1].parameters["score"]) / 2)
    assert "members" not in each[0].parameters


def test_a_cross_validation_that_was_stopped_in_a_fold_goes_on_there_and_ends_alike(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, calls = workflow.fit, []

    def stopping(work: Any, parts: Any, pipeline: Any, out: Path, terms: Any) -> Any:
        calls.append(out.name)
        if out.name == "2":
            raise KeyboardInterrupt
        return whole(work, parts, pipeline, out, terms)

    pipeline = PipelineFolder.open(made.settings)
    with monkeypatch.context() as patched:
        patched.setattr(workflow, "fit", stopping)
        with pytest.raises(KeyboardInterrupt):
            crossvalidate(pipeline, [made.data], tmp_path / "out", count=2)
    assert calls == ["1", "2"]
    assert (tmp_path / "out" / "prepared").is_dir(), "prepared cases are kept for the next try"
    steps = []
    crossvalidate(pipeline, [made.data], tmp_path / "out", count=2, progress=lambda *words: steps.append(words[2]))
    assert not any("fold 1 of 2" in words for words in steps), "the first fold is not trained again"
    assert any("fold 2 of 2" in words for words in steps)
    for place in (".", "folds/1", "folds/2", "ensemble"):
        for name in NAMES:
            assert sha256_of(tmp_path / "out" / place / name) == sha256_of(made.out / place / name), f"{place}/{name}"
    assert (tmp_path / "out" / "crossvalidation.csv").read_bytes() == (made.out / "crossvalidation.csv").read_bytes()


def test_one_that_is_done_and_has_lost_a_fold_is_refused_for_all_cards_state_its_figures(
    made: Made, tmp_path: Path
) -> None:
    shutil.copytree(made.out, tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "folds" / "2")
    with pytest.raises(PipelineError, match="this fold or its") as caught:
        crossvalidate(PipelineFolder.open(made.settings), [made.data], tmp_path / "out", count=2)
    assert (caught.value.code, caught.value.path) == ("weights-missing", tmp_path / "out" / "folds" / "2")


@pytest.mark.parametrize("lost", ["ensemble", *workflow._WRITTEN])
def test_what_is_lost_of_what_all_folds_left_is_written_again(made: Made, tmp_path: Path, lost: str) -> None:
    shutil.copytree(made.out, tmp_path / "out")
    gone = tmp_path / "out" / lost
    if gone.is_dir():
        shutil.rmtree(gone)
    else:
        gone.unlink()
    again = crossvalidate(PipelineFolder.open(made.settings), [made.data], tmp_path / "out", count=2)
    assert again.done_before == 3
    for name in (lost,) if gone.is_file() else (f"{lost}/{each}" for each in NAMES):
        assert sha256_of(tmp_path / "out" / name) == sha256_of(made.out / name), name


def test_other_folds_are_not_gone_on_with(made: Made, tmp_path: Path) -> None:
    shutil.copytree(made.out / "folds", tmp_path / "folds")
    with pytest.raises(PipelineError, match="other settings or data"):
        crossvalidate(PipelineFolder.open(made.settings), [made.data], tmp_path, count=3)


def test_a_folder_of_another_training_is_refused_before_any_fold_is_trained(made: Made, tmp_path: Path) -> None:
    for name in ("weights.safetensors", "weights.json", "pipeline.toml"):
        shutil.copy(made.out / name, tmp_path / name)
    with pytest.raises(PipelineError, match="trained weights lie here") as caught:
        crossvalidate(PipelineFolder.open(made.settings), [made.data], tmp_path, count=2)
    assert (caught.value.code, caught.value.path) == ("weights-mismatch", tmp_path)
    assert not (tmp_path / "folds").exists()


def test_a_folder_in_which_a_single_training_has_begun_is_refused_before_any_fold(made: Made, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.safetensors").touch()
    with pytest.raises(PipelineError, match="a training has begun here") as caught:
        crossvalidate(PipelineFolder.open(made.settings), [made.data], tmp_path, count=2)
    assert (caught.value.code, caught.value.path) == ("weights-mismatch", tmp_path)
    assert not (tmp_path / "folds").exists()


@pytest.mark.parametrize("place", ["", "folds/2", "ensemble"])
def test_settings_that_would_be_written_over_are_refused_at_once(made: Made, tmp_path: Path, place: str) -> None:
    shutil.copytree(made.settings, tmp_path / place, dirs_exist_ok=True)
    before = (tmp_path / place / "pipeline.toml").read_bytes()
    with pytest.raises(UsageError, match="would be written over"):
        crossvalidate(PipelineFolder.open(tmp_path / place), [made.data], tmp_path, count=2)
    assert (tmp_path / place / "pipeline.toml").read_bytes() == before


def test_more_folds_than_patients_are_refused(made: Made, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        mv.Pipeline.open(made.settings).crossvalidate(made.data, tmp_path, folds=5)
    assert caught.value.code == "too-few-cases"


def test_the_command_line_cross_validates_and_tells_it_as_json_and_in_words(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = write_settings(tmp_path / "settings", LAST)
    for options in (["--json"], []):
        arguments = ["train", settings, made.data, "--out", tmp_path / "out", "--folds", "2", "--seed", "3", *options]
        monkeypatch.setattr(sys, "argv", ["medvision", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            app.main()
        assert not caught.value.code
        shown = capsys.readouterr().out
        if options:
            found = json.loads(shown)
            assert found["schema"] == "medvision.crossvalidation/1"
            assert (len(found["folds"]), found["folder"]) == (2, str(tmp_path / "out"))
            assert found["results"][0].startswith("mean Dice ")
        else:
            assert shown.startswith("Nothing was left to do: this cross-validation had been done before.\n")
            assert "mean Dice " in shown
            assert "folds/, ensemble/, crossvalidation.csv" in shown
    assert PipelineFolder.open(tmp_path / "out").settings.train.seed == 3


def test_the_command_says_what_was_done_before(made: Made) -> None:
    from medvision_cli.train import _before, _before_folds

    assert _before_folds(made.found) == ""
    assert _before_folds(replace(made.found, done_before=2)) == "2 of 3 trainings had been done before."
    result = _trained(made).result
    assert _before(result) == ""
    assert _before(replace(result, epochs_before=3)) == "It went on after epoch 3, where it had been stopped."
    assert _before(replace(result, done_before=True)) == "Nothing was left to do: this training had been done before."


def test_a_time_for_all_folds_is_shared_and_all_are_cut_alike(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medvision.workflows.fitting import workbench
    from medvision.workflows.fitting.budget import Budget, Timed

    seen: list[tuple[float, bool, tuple[int, ...]]] = []
    prepare, monotonic = workbench.prepare, time.monotonic

    def slowly(*arguments: Any, **further: Any) -> Any:
        assert not seen, "cases are prepared before the time is shared out"
        monkeypatch.setattr("time.monotonic", lambda: monotonic() + 600.0)  # ten minutes later
        return prepare(*arguments, **further)

    def cutting(seconds: float, wished: Any, *_: Any, may_cut: bool = True, **__: Any) -> Timed:
        seen.append((seconds, may_cut, wished.network.channels))
        network = replace(wished.network, channels=(8, 8, 9)) if may_cut else wished.network
        short = replace(wished.train, epochs=1, steps_per_epoch=1)
        told = (Finding("budget-cut", "note", "narrower"),) if may_cut else ()
        return Timed(replace(wished, network=network, train=short), 0.05, 0.05, told)

    monkeypatch.setattr("medvision.workflows.fitting.pacing.fit_into", cutting)
    monkeypatch.setattr(workbench, "prepare", slowly)
    monkeypatch.setattr("medvision.workflows.fitting.pacing.EXPORT_SECONDS", 1e9)  # so that each has one epoch
    pipeline = PipelineFolder.open(made.settings)
    found = crossvalidate(pipeline, [made.data], tmp_path, count=2, budget=Budget(40.0))
    assert [(may_cut, channels) for _, may_cut, channels in seen] == [
        (True, (8, 8, 8)),
        (False, (8, 8, 9)),
        (False, (8, 8, 9)),
    ]
    assert [seconds / 60 for seconds, _, _ in seen] == pytest.approx([10, 15, 30], rel=0.1)
    opened = PipelineFolder.open(tmp_path / "ensemble")
    share = "1 step was done in its share of the time, 40 min for all trainings"
    assert [finding.message for finding in found.findings] == ["fold 1: narrower", share]
    assert "\n## What was noticed about the training\n\n- fold 1: narrower\n" in (opened.folder / "card.md").read_text()
    assert "In all trainings, narrower." in PipelineFolder.open(tmp_path).require_weights().results
    assert opened.settings.network.channels == (8, 8, 9)
    assert len(members_of(opened.load_network())) == 2


def test_a_share_of_the_time_counts_what_stopped_trainings_have_taken() -> None:
    from medvision.workflows.fitting.budget import Budget, Shares

    shares = Shares(Budget(10.0), [120.0, 60.0, 0.0])
    left = (600 - 180) / 60
    first, second, last = (shares.of(number) for number in range(3))
    assert first is not None
    assert second is not None
    assert last is not None
    now = time.monotonic()
    assert (first.deadline - now) / 60 == pytest.approx(left / 3 + 2, abs=0.05), "a training takes off its own"
    assert (second.deadline - now) / 60 == pytest.approx(left / 2 + 1, abs=0.05)
    assert (last.deadline - now) / 60 == pytest.approx(left, abs=0.05)
    assert [each.may_cut for each in (first, second, last)] == [True, False, False]
    assert {each.asked for each in (first, second, last)} == {10.0}
    assert Shares(None, [0.0]).of(0) is None
