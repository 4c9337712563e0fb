"""What one training says of itself when it ended otherwise than it was begun."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from stubbed_training import CLASSES, write_pictures, write_settings

import medvision as mv
from medvision.pipeline import PipelineFolder
from medvision.training import Validation
from medvision.workflows.fitting.job import Job
from medvision.workflows.train import Start


@pytest.mark.parametrize(
    ("scores", "keep", "frozen"),
    [
        ((0.9, 0.8, 0.7), "best", "stem, stage 1, stage 2, stage 3 and stage 4"),  # it ends early, and keeps epoch 1
        ((0.9, 0.8, 0.7), "last", "stem, stage 1 and stage 2"),  # the weights of epoch 3: two stages had joined
        ((0.4, 0.5, 0.6, 0.7, 0.8, 0.9), "best", None),
    ],
)
def test_stages_whose_turn_did_not_come_are_said_not_to_be_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scores: tuple[float, ...], keep: str, frozen: str | None
) -> None:
    given = iter(scores)
    monkeypatch.setattr(Job, "validate", lambda *_: Validation(value := next(given), {"AUC": value}))
    monkeypatch.setattr("medvision.training.curves._write_picture", lambda *_: None)
    settings, data = write_settings(tmp_path / "s", **CLASSES), write_pictures(tmp_path / "p.npz", train=8, val=8)
    further = f'epochs = 6\nearly_stopping = 2\nvalidate_every = 1\nkeep = "{keep}"'
    text = (settings / "pipeline.toml").read_text()
    (settings / "pipeline.toml").write_text(text.replace("epochs = 1\n", f"{further}\n"))
    start = PipelineFolder.open(settings).build_network()
    torch.save(start.state_dict(), tmp_path / "start.pt")
    found = mv.train(settings, data, tmp_path / "out", start=Start(str(tmp_path / "start.pt"), "staged:1"))
    trained = json.loads((tmp_path / "out" / "weights.json").read_text())["trained_with"]["trained"]
    told = [finding.message for finding in found.findings if finding.code == "stages-untrained"]
    if frozen is None:
        assert (told, trained.split("; ")[1].split(":")[0]) == ([], "stem")
        return
    assert told == [f"the weights that are kept are from before the turn of {frozen}: not trained, as at the start"]
    assert "stem: " not in trained
    assert "head: " in trained
    before, after = start.state_dict(), load_file(tmp_path / "out" / "weights.safetensors")
    changed = {name.split(".")[0] for name in after if not torch.equal(before[name], after[name])}
    assert ("conv1" not in changed, "fc" in changed, "layer3" in changed) == (True, True, keep == "last")
