"""Which images without labels are found, and that nobody of a test set is among those to learn from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_pipeline import GREYS, STRIPES

from medvision.errors import InputError
from medvision.pipeline import PipelineFolder
from medvision.workflows.pretrain import pretrain
from medvision.workflows.train import Machine
from medvision.workflows.training_data.unlabelled import unlabelled


def listed(folder: Path, rows: dict[str, str]) -> Path:
    """Write a list of pictures, each with the rest of its line: patient and split."""
    from PIL import Image

    folder = folder / "data"  # the test's own folder is named by its words, "label" among them
    folder.mkdir()
    for number, name in enumerate(rows):
        values = np.random.default_rng(number).integers(0, 255, (16, 16)).astype(np.uint8)
        Image.fromarray(values).save(folder / f"{name}.png")
    lines = [f"{name}.png,{name},{rest}" for name, rest in rows.items()]
    (folder / "cases.csv").write_text("\n".join(["image,id,patient,split", *lines]) + "\n")
    return folder / "cases.csv"


@pytest.fixture
def pipeline(tmp_path: Path) -> PipelineFolder:
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings" / "pipeline.toml").write_text(f"{STRIPES}\n{GREYS}\n[train]\nbatch = 8\n", encoding="utf-8")
    return PipelineFolder.open(tmp_path / "settings")


@pytest.mark.parametrize("split", ["", "train"])
def test_a_pretraining_on_other_images_of_test_patients_is_refused(
    tmp_path: Path, pipeline: PipelineFolder, split: str
) -> None:
    rows = {"a0": f"p1,{split}", "a1": "p1,test", "a2": "p1,test", "b": f"p2,{split}", "c": f"p3,{split and 'val'}"}
    with pytest.raises(InputError) as caught:
        pretrain(pipeline, [listed(tmp_path, rows)], tmp_path / "out", machine=Machine("cpu"))
    message = "2 test cases belong to patients who are trained or validated on, first: a1"
    assert (caught.value.code, caught.value.finding.message) == ("split-leak", message)
    assert not (tmp_path / "out").exists()


def test_data_of_test_images_alone_hold_nothing_to_pretrain_on(tmp_path: Path, pipeline: PipelineFolder) -> None:
    data = listed(tmp_path, {"a": "p1,test", "b": "p2,test"})
    result = pretrain(pipeline, [data], tmp_path / "out", machine=Machine("cpu"))
    assert (result.folder, result.refused) == (None, ())


def test_label_images_are_passed_over_and_told_but_for_those_of_the_test_set(tmp_path: Path) -> None:
    data = listed(tmp_path, {"a": "p1,train", "a_mask": "p1,train", "b": "p2,test", "b_mask": "p2,test"})
    found = unlabelled([data])
    assert [case.id for case in found.cases if case.split != "test"] == ["a"]
    assert {case.patient for case in found.cases if case.split == "test"} == {"p2"}
    assert [finding.path.name for finding in found.skipped if finding.path is not None] == ["a_mask.png"]
