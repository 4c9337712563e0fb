"""An evaluation says which of several faults is the one, and names every figure that it could not tell."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from phantoms import write_nifti
from tiny_pipeline import CLASSIFIER, pipeline
from typer.testing import CliRunner

from medvision.errors import InputError, MedvisionError, UsageError
from medvision.geometry import Geometry
from medvision.networks import WeightsCard, save_weights
from medvision.pipeline import PipelineFolder
from medvision.study import Case, Source
from medvision.workflows import evaluate as module
from medvision.workflows.evaluate import evaluate
from medvision.workflows.run import run
from medvision.workflows.scoring.scores import Scored
from medvision_cli.app import app


def with_weights(folder: Path) -> PipelineFolder:
    """Return a pipeline with weights as they were drawn: what it answers does not matter here."""
    opened = PipelineFolder.open(pipeline(folder, text=CLASSIFIER))
    sha256 = save_weights(folder / "weights.safetensors", opened.build_network())
    WeightsCard(sha256, opened.settings.meaning(), None, "as stored", None, "", "", (), {}).save(
        folder / "weights.json"
    )
    return PipelineFolder.open(folder)


def write_pictures(path: Path, *, labels: tuple[int, ...] = (0, 1, 0), seed: int = 0) -> Path:
    arrays: dict[str, Any] = {}
    for split in ("val", "test"):
        pictures = np.random.default_rng(seed).integers(0, 255, (len(labels), 32, 32))
        arrays |= {f"{split}_images": pictures.astype(np.uint8), f"{split}_labels": np.array(labels)}
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[PipelineFolder, Path, Path]:
    """Return a pipeline, its data, and what it said of the split "test"."""
    folder = tmp_path_factory.mktemp("evaluation")
    opened = with_weights(folder / "settings")
    data = write_pictures(folder / "data.npz")
    run(opened, [data], folder / "out", split="test")
    return opened, data, folder / "out"


def refusal(done: tuple[PipelineFolder, Path, Path], *data: Path, split: str | None = None) -> MedvisionError:
    with pytest.raises((InputError, UsageError)) as caught:
        evaluate(done[2], done[0], data, split=split)
    return caught.value


def test_cases_that_were_run_are_compared_and_those_that_were_not_are_named(
    done: tuple[PipelineFolder, Path, Path],
) -> None:
    found = evaluate(done[2], done[0], [done[1]])
    assert found.cases == 3
    assert [problem.code for problem in found.problems] == ["case-unmatched"] * 3
    assert "val_00000 has no result: the run did not see it" in found.problems[0].message
    assert evaluate(done[2], done[0], [done[1]], split="test").problems == ()


def test_data_without_labels_are_told_as_such(done: tuple[PipelineFolder, Path, Path], tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_text("image\na.nii.gz\nb.nii.gz\n")
    for name in "ab":
        write_nifti(tmp_path / f"{name}.nii.gz", np.ones((4, 4, 4)), Geometry.from_spacing((1, 1, 1), (4, 4, 4)))
    error = refusal(done, tmp_path / "cases.csv")
    assert (error.code, error.path) == ("label-missing", tmp_path / "cases.csv")
    assert error.finding.message == "none of 2 cases has a label"
    assert "column `label`" in str(error.finding.cure)


def test_data_that_cannot_be_read_are_told_with_their_own_reason(
    done: tuple[PipelineFolder, Path, Path], tmp_path: Path
) -> None:
    error = refusal(done, tmp_path / "absent.csv")
    assert (error.code, error.path) == ("not-found", tmp_path / "absent.csv")
    assert "the first reason of 1" in error.finding.message


def test_results_and_labels_of_other_names_are_both_shown(done: tuple[PipelineFolder, Path, Path]) -> None:
    error = refusal(done, done[1], split="val")
    assert error.code == "case-unmatched"
    assert "results are test_00000, test_00001, test_00002, labelled cases val_00000" in error.finding.message
    assert "column `id`" in str(error.finding.cure)


def test_a_split_that_no_labelled_case_is_of_is_wrong_usage(done: tuple[PipelineFolder, Path, Path]) -> None:
    error = refusal(done, done[1], split="tests")
    assert (type(error), error.code) == (UsageError, "usage")
    assert "of the split 'tests'; there are test, val" in error.finding.message


def test_where_no_case_can_be_compared_the_most_frequent_reason_and_its_cure_are_told(
    done: tuple[PipelineFolder, Path, Path], tmp_path: Path
) -> None:
    other = write_pictures(tmp_path / "other.npz", seed=1)
    error = refusal(done, other, split="test")
    assert error.code == "input-changed"
    assert error.finding.message.startswith("none of 3 labelled cases could be compared; 3 times as here: ")
    assert "another image" in error.finding.message
    error = refusal(done, write_pictures(tmp_path / "more.npz", labels=(0, 1, 0, 1), seed=1), split="test")
    assert error.code == "input-changed"
    assert error.finding.message.endswith("others: case-unmatched")


def test_a_case_that_the_run_refused_keeps_the_reason_of_the_run(tmp_path: Path) -> None:
    opened = with_weights(tmp_path / "settings")
    data = write_pictures(tmp_path / "data.npz", labels=(0, 1))
    run(opened, [data], tmp_path / "out")
    colours = dict(np.load(data))
    colours["val_images"] = np.zeros((2, 32, 32, 3), np.uint8)
    np.savez(data, **colours)
    run(opened, [data], tmp_path / "out")
    found = evaluate(tmp_path / "out", opened, [data])
    assert (found.cases, [problem.code for problem in found.problems]) == (2, ["channels-differ"] * 2)
    assert "has no result: " in found.problems[0].message


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ({0: "No", 1: "YES"}, ()),
        (
            {0: "no", 1: "tumour", 2: "cyst"},
            ("Labels were compared by number; the data set calls 1 'tumour' ('yes' here)",),
        ),
        (None, ()),
    ],
)
def test_labels_that_have_other_names_in_the_data_set_are_told(
    done: tuple[PipelineFolder, Path, Path], names: dict[int, str] | None, told: tuple[str, ...]
) -> None:
    source = Source("nifti", (Path("a.nii.gz"),))
    cases = [Case("a", (source,), label=1), Case("b", (source,), label=1, label_names=names)]
    assert module._other_names(cases, done[0]) == told


def test_names_are_shown_up_to_three_and_none_as_such() -> None:
    assert module._few([]) == "none"
    assert module._few(["a", "b", "c", "d"]) == "a, b, c, ... (4)"


def test_the_command_names_figures_of_fewer_cases_and_those_of_none(
    done: tuple[PipelineFolder, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A distance is not defined where the structure is absent, and the size of a picture is not known at all."""
    scored = {
        "test_00000": Scored("a", "a", {"x": 0.5, "y": 0.0}, {}),
        "test_00001": Scored("b", "b", {"x": 1.0, "y": 0.0}, {"x": 2.0, "y": None}),
        "test_00002": Scored("c", "c", {"x": 1.0, "y": None}, {"x": 4.0, "y": None}),
    }
    monkeypatch.setattr(module, "_compared", lambda case, *_: scored[case.id])
    call = ["evaluate", str(done[0].folder), str(done[2]), str(done[1]), "--split", "test"]
    lines = CliRunner().invoke(app, call).output.splitlines()
    assert "Dice x: 0.833 (no interval, n = 3 of 6 needed)" in lines
    told = next(line for line in lines if line.startswith("HD95 x (mm): 3.000"))
    assert told.endswith("; over 2 of 3 cases, not defined in the others")
    assert any(line.startswith("No HD95 y (mm): in all of 3 cases") for line in lines)
    rows = list(csv.reader((done[2] / "evaluation.csv").read_text().splitlines()))
    assert rows[0] == ["case", "dice_x", "dice_y", "hd95_mm_x", "hd95_mm_y"]
    assert [row[3] for row in rows[1:]] == ["", "2.000000", "4.000000"]
