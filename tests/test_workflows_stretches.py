"""A training that was stopped and goes on otherwise says how each of its stretches ran."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medvision.errors import PipelineError
from medvision.workflows.training_folder import stretches as workflow
from medvision.workflows.training_folder.stretches import begin_stretch, how_it_ran

CPU, GPU = {"device": "cpu", "deterministic": "yes"}, {"device": "cuda", "deterministic": "no"}


def begun(folder: Path, *stretches: tuple[int, dict[str, str]]) -> Path:
    """Begin stretches after these epochs, as by the checkpoints."""
    for after, how in stretches:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(workflow, "epochs_done", lambda _, after=after: after)
            begin_stretch(folder, how)
    return folder


def test_a_training_that_ran_alike_to_its_end_says_each_thing_once(tmp_path: Path) -> None:
    assert how_it_ran(begun(tmp_path / "one", (0, CPU)), CPU, epochs=6) == CPU
    assert how_it_ran(begun(tmp_path / "two", (0, CPU), (3, CPU)), CPU, epochs=6) == CPU


def test_one_that_went_on_otherwise_says_to_which_epoch_each_held(tmp_path: Path) -> None:
    exact = {"device": "cuda", "deterministic": "yes"}
    folder = begun(tmp_path, (0, CPU), (2, exact), (3, GPU))
    assert how_it_ran(folder, GPU, epochs=6) == {
        "device": "cpu (epochs 1 to 2), cuda (epochs 3 to 6)",
        "deterministic": "yes (epochs 1 to 3), no (epochs 4 to 6)",
    }


def test_a_stretch_that_came_to_no_epoch_counts_for_nothing(tmp_path: Path) -> None:
    folder = begun(tmp_path, (0, GPU), (0, CPU), (2, GPU), (2, CPU), (6, GPU))
    assert how_it_ran(folder, GPU, epochs=6) == CPU


def test_what_an_earlier_version_did_is_not_known(tmp_path: Path) -> None:
    assert (
        how_it_ran(begun(tmp_path / "a", (4, GPU)), GPU, epochs=6)["device"]
        == "not known (epochs 1 to 4), cuda (epochs 5 to 6)"
    )
    assert how_it_ran(begun(tmp_path / "b", (6, GPU)), GPU, epochs=6) == dict.fromkeys(GPU, "not known")


@pytest.mark.parametrize("content", [{}, {"stretches": [{"after": "x", "how": {}}]}, {"stretches": [{"after": 0}]}])
def test_notes_that_are_damaged_are_refused(tmp_path: Path, content: object) -> None:
    (tmp_path / "stretches.json").write_text(json.dumps(content))
    with pytest.raises(PipelineError, match="cannot be read"):
        how_it_ran(tmp_path, CPU, epochs=6)
