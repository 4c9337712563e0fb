"""What a training notes in its folder: whose it is, and its settings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from planned import segmentation

from medvision.pipeline import PipelineFolder, read_settings
from medvision.planning import Request, pipeline_toml, plan
from medvision.training import Split
from medvision.workflows.training_folder.claim import claim, refuse_settings, write_settings


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


def test_what_is_left_of_an_older_training_whose_weights_are_gone_is_cleared_away(tmp_path: Path) -> None:
    opened, parts, out = planned(tmp_path / "plan"), Split((), ()), tmp_path / "out"
    (out / "checkpoints").mkdir(parents=True)
    old = ("training.json", "pretraining.json", "checkpoints/done.json", "checkpoints/timed.json")
    for name in old:
        (out / name).write_text("{}")
    first = claim(out, opened, parts, {})
    assert [path for path in old if (out / path).exists()] == []
    (out / "checkpoints" / "last.safetensors").touch()  # an epoch has been done
    (out / "training.json").write_text("{}")
    assert claim(out, opened, parts, {}) == first
    assert (out / "training.json").exists(), "this one has come to its end, and its last steps are not done"
    (out / "checkpoints" / "last.safetensors").unlink()
    assert claim(out, opened, parts, {}, "otherwise") != first


def test_a_claim_that_is_killed_leaves_the_folder_to_the_next_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, parts, out = planned(tmp_path / "plan"), Split((), ()), tmp_path / "out"
    claim(out, opened, parts, {})
    write_settings(out, opened)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("medvision.workflows.training_folder.claim.write_json", killed)
        with pytest.raises(KeyboardInterrupt):
            claim(out, opened, parts, {})
    refuse_settings(opened, out)
