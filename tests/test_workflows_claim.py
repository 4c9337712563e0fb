"""What settings a training leaves in its folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from planned import segmentation

from medvision.pipeline import PipelineFolder, read_settings
from medvision.planning import Request, pipeline_toml, plan
from medvision.workflows.training_folder.claim import write_settings


def planned(folder: Path) -> PipelineFolder:
    found = plan(segmentation(), Request("mine"))
    folder.mkdir()
    (folder / "pipeline.toml").write_text(pipeline_toml(found.settings, found.decisions), encoding="utf-8")
    return PipelineFolder.open(folder)


def test_settings_that_nothing_changed_are_the_same_file(tmp_path: Path) -> None:
    opened = planned(tmp_path / "plan")
    (tmp_path / "out").mkdir()
    write_settings(tmp_path / "out", opened)
    assert (tmp_path / "out" / "pipeline.toml").read_bytes() == (tmp_path / "plan" / "pipeline.toml").read_bytes()


def test_reasons_stay_where_a_training_changed_a_setting(tmp_path: Path) -> None:
    opened = planned(tmp_path / "plan")
    (tmp_path / "out").mkdir()
    inside = replace(opened.settings, train=replace(opened.settings.train, seed=3, epochs=9))
    write_settings(tmp_path / "out", replace(opened, settings=inside))
    text = (tmp_path / "out" / "pipeline.toml").read_text(encoding="utf-8")
    assert read_settings(tmp_path / "out" / "pipeline.toml") == inside
    assert "epochs = 9 # changed by the training; it was 100" in text
    assert "# 100 passes over 160 cases" in text
