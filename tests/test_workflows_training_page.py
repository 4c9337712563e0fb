"""The page of a training as it goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from conftest import SPHERES_TOML
from pages import Page

from medvision.errors import Finding
from medvision.pipeline import PipelineFolder
from medvision.report import TrainingValues
from medvision.study import Case, Source
from medvision.training import Alone, Split
from medvision.workflows.fitting.training_page import PAGE, TrainingPage, page_of


def _page(folder: Path, times: list[float], **changes: float) -> TrainingPage:
    values = TrainingValues("spheres", "Two spheres.", "running", 4, (), (), ())
    return TrainingPage(folder, values, clock=lambda: times.pop(0), **changes)


def _text(folder: Path) -> str:
    return " ".join(Page((folder / PAGE).read_text(encoding="utf-8")).text.split())


def test_the_page_is_there_from_the_start_and_follows_validations(tmp_path: Path) -> None:
    page = _page(tmp_path, [0.0, 0.0, 30.0])
    page.begin([])
    assert "0 of 4 epochs" in _text(tmp_path)
    page.log({"epoch": 1.0, "loss": 0.5})
    assert "0 of 4 epochs" in _text(tmp_path), "without a validation the page waits"
    page.log({"epoch": 2.0, "loss": 0.4, "score": 0.9})
    assert "2 of 4 epochs" in _text(tmp_path)
    assert "spheres ▸ Running" in _text(tmp_path)
    assert "30 s used" in _text(tmp_path)


def test_a_training_that_goes_on_counts_the_time_before(tmp_path: Path) -> None:
    page = _page(tmp_path, [100.0, 105.0], seconds_before=60.0)
    page.begin([{"epoch": 1.0, "loss": 0.5}])
    assert "1 of 4 epochs" in _text(tmp_path)
    assert "1 min 5 s used" in _text(tmp_path)


def test_the_end_shows_results_and_findings_and_a_stop_is_told_as_such(tmp_path: Path) -> None:
    page = _page(tmp_path, [0.0, 1.0, 2.0, 3.0, 4.0])
    page.begin([])
    page.close(finished=False)
    assert "spheres ! Stopped" in _text(tmp_path)
    page.close(finished=True)
    page.complete(["Dice 0.9"], [Finding("side-assumed", "note", "a left one")])
    found = _text(tmp_path)
    assert "spheres ✓ Done" in found
    assert "0 epochs" in found
    assert "Dice 0.9" in found
    assert "a left one" in found
    assert "4 s used" in found


def test_the_page_of_a_pipeline_tells_its_settings_its_cases_and_its_budget(tmp_path: Path) -> None:
    (tmp_path / "pipeline.toml").write_text(SPHERES_TOML, encoding="utf-8")
    image = (Source("nifti", (tmp_path / "a.nii",)),)
    cases = [Case(name, image, patient=patient) for name, patient in (("a", "p"), ("b", "p"), ("c", None))]
    settings = PipelineFolder.open(tmp_path).settings
    parts = Split(tuple(cases[:2]), tuple(cases[2:]), ())
    page = page_of(tmp_path, settings, parts, Alone("cpu", "bf16"), minutes=15.0, seconds_before=60.0)
    page.begin([])
    found = _text(tmp_path)
    for words in (
        "spheres ▸ Running Two spheres",
        "2 for training, 1 held out; 2 patients",
        "1 dim, 2 bright",
        "network: channels 8, 8, 8",
        "optimiser adamw",
        "precision bf16",
        "1 min of the budget of 15 min",
    ):
        assert words in found
    unnamed = replace(parts, train=(), val=(cases[2],))
    page_of(tmp_path, settings, unnamed, Alone(), minutes=None, seconds_before=0.0).begin([])
    assert "0 for training, 1 held out; no patient is named" in _text(tmp_path)
    without = page_of(tmp_path, settings, parts, Alone(), minutes=None, seconds_before=0.0)
    without.begin([])
    assert "0 s used" in _text(tmp_path)
