"""A prepared case is found again as long as nothing that it depends on has changed, and made again otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import SPHERES_TOML, write_sphere_data

from medvision import io
from medvision.errors import InputError, OutputError
from medvision.pipeline import PipelineFolder
from medvision.study import Case, Source
from medvision.training import Sample, Store, StoredSample, at_hand
from medvision.workflows.train import Machine, train
from medvision.workflows.training_data import prepare as workflow
from medvision.workflows.training_data.prepare import PreparedCase, prepare

KEY = "ab" * 32


def spot(name: str = "a") -> Sample:
    target = np.zeros((6, 5, 4), np.uint8)
    target[1:3, 2:4, 1:3] = 2
    target[4, 4, 3] = 10
    image = np.random.default_rng(0).normal(size=(2, 6, 5, 4)).astype(np.float32)
    return Sample(name, image, target)


TARGETS: list[Any] = [
    3,
    np.array([0.0, 1.0, np.nan], np.float32),
    np.array([0.1, -2.5e-7], np.float32),
    np.arange(36, dtype=np.uint16).reshape(4, 3, 3),
]


@pytest.mark.parametrize("target", TARGETS, ids=["class", "labels", "values", "voxels"])
def test_a_case_comes_back_as_it_was_put(tmp_path: Path, target: Any) -> None:
    sample = Sample("name/with: signs", np.random.default_rng(0).normal(size=(1, 4, 3, 3)).astype(np.float32), target)
    put, store = Store(tmp_path).put(KEY, sample, {"seen": "yes"}), Store(tmp_path)
    got = store.get(KEY)
    assert got is not None
    everywhere = (slice(None),) * 3
    for stored in (put, got, got.in_memory()):
        assert (stored.id, stored.shape) == (sample.id, sample.shape)
        assert np.array_equal(stored.part(everywhere)[0], sample.image)
        if sample.whole is None:
            assert stored.whole is None
            assert np.array_equal(np.asarray(stored.part(everywhere)[1]), target)
            assert list(stored.labelled) == list(sample.labelled)
            assert all(np.array_equal(stored.labelled[n], sample.labelled[n]) for n in sample.labelled)
        else:
            assert np.array_equal(np.asarray(stored.whole), np.asarray(target), equal_nan=True)
            assert type(stored.whole) is type(target)
            assert (stored.part(everywhere)[1], len(stored.labelled)) == (None, 0)
    assert (got.facts, put.facts) == ({"seen": "yes"}, {"seen": "yes"})


def test_labels_stand_in_the_order_of_their_numbers_as_in_memory(tmp_path: Path) -> None:
    stored = Store(tmp_path).put(KEY, spot(), {})
    assert [list(each.labelled) for each in (spot(), stored, Store(tmp_path).get(KEY))] == [[2, 10]] * 3  # type: ignore[union-attr]
    with pytest.raises(KeyError):
        stored.labelled[3]


@pytest.mark.parametrize("damage", ["cut", "altered", "empty", "gone"])
def test_a_damaged_case_is_not_found(tmp_path: Path, damage: str) -> None:
    path = Store(tmp_path).put(KEY, spot(), {}).path
    content = bytearray(path.read_bytes())
    content[-30] ^= 1
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes({"cut": content[:-20], "altered": content, "empty": b""}[damage])
    assert Store(tmp_path).get(KEY) is None


def test_a_case_that_goes_while_it_is_used_is_an_error_with_a_cure(tmp_path: Path) -> None:
    stored = Store(tmp_path).put(KEY, spot(), {})
    stored.path.unlink()
    for use in (lambda: stored.part((slice(None),) * 3), lambda: stored.labelled[2]):
        with pytest.raises(InputError, match="a prepared case is gone") as caught:
            use()
        assert (caught.value.code, caught.value.path) == ("unreadable", stored.path)


def test_a_case_that_cannot_be_kept_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        Store(tmp_path / "file").put(KEY, spot(), {})


def test_cases_are_held_in_memory_where_all_together_are_small(tmp_path: Path) -> None:
    stored = [Store(tmp_path).put(f"{n}{n}", spot(str(n)), {}) for n in range(3)]
    total = sum(each.path.stat().st_size for each in stored)
    assert [type(each) for each in at_hand(stored, most_bytes=total)] == [Sample] * 3
    assert at_hand(stored, most_bytes=total - 1) == tuple(stored)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sphere_data(tmp_path_factory.mktemp("data"))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the cases that were read and taken through the steps."""
    seen: list[str] = []
    whole = workflow._made

    def counting(case: Case, pipeline: PipelineFolder) -> Any:
        seen.append(case.id)
        return whole(case, pipeline)

    monkeypatch.setattr(workflow, "_made", counting)
    return seen


def opened(folder: Path, *changes: tuple[str, str]) -> PipelineFolder:
    text = SPHERES_TOML
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pipeline.toml").write_text(text, encoding="utf-8")
    return PipelineFolder.open(folder)


def prepared(cases: list[Case], pipeline: PipelineFolder, folder: Path) -> dict[str, PreparedCase]:
    return prepare(cases, pipeline, Store(folder))


def test_a_damaged_case_is_made_again_and_alone(data: Path, made: list[str], tmp_path: Path) -> None:
    cases, pipeline = list(io.scan([data]).cases)[:3], opened(tmp_path / "settings")
    first = prepared(cases, pipeline, tmp_path / "cache")
    assert made == [case.id for case in cases]
    files = sorted((tmp_path / "cache").rglob("*.safetensors"))
    assert len(files) == 3
    ids = {path: StoredSample.open(path).id for path in files}
    files[1].write_bytes(files[1].read_bytes()[:-1])
    made.clear()
    again = prepared(cases, pipeline, tmp_path / "cache")
    assert made == [ids[files[1]]]
    for name, entry in first.items():
        whole = (slice(None),) * 3
        assert all(np.array_equal(a, b) for a, b in zip(entry.sample.part(whole), again[name].sample.part(whole)))  # type: ignore[arg-type]  # noqa: B905
        assert (entry.digest, entry.findings) == (again[name].digest, again[name].findings)
        assert entry.figures.to_text() == again[name].figures.to_text()


CHANGES: dict[str, tuple[tuple[str, str], bool]] = {
    "steps": (("source = [0.0, 200.0]", "source = [0.0, 201.0]"), True),
    "labels": (('2 = "bright"', '2 = "light"'), True),
    "contract": (('modality = "MR"', 'modality = "CT"'), True),
    "known side": (('modality = "MR"', 'modality = "MR"\nside = "left"'), True),
    "network": (("channels = [8, 8, 8]", "channels = [16, 8, 8]"), False),
    "train": (("epochs = 4", "epochs = 5\nforeground = 0.9\nseed = 8"), False),
    "predict": (("window = [16, 16, 16]", "window = [16, 16, 32]"), False),
    "explain": (('use = "seg-hirescam"', 'use = "seg-hirescam"\nlayer = "bottleneck"'), False),
    "name": (('name = "spheres"', 'name = "balls"'), False),
}


@pytest.mark.parametrize("what", CHANGES)
def test_the_key_of_a_case_changes_with_what_it_depends_on_alone(data: Path, tmp_path: Path, what: str) -> None:
    case = io.scan([data]).cases[0]
    change, matters = CHANGES[what]
    keys = {workflow._key(case, opened(tmp_path / name, *by)) for name, by in (("a", ()), ("b", (change,)))}
    assert len(keys) == (2 if matters else 1)


def touched(path: Path, folder: Path) -> Source:
    """Return the file with other content."""
    import nibabel as nib

    image = nib.load(path)
    values = np.asarray(image.dataobj).copy()
    values[0, 0, 0] += 1
    nib.save(nib.Nifti1Image(values, image.affine, image.header), folder / path.name)
    return Source("nifti", (folder / path.name,))


CASES: dict[str, tuple[Callable[[Case, Path], Case], bool]] = {
    "image": (lambda case, folder: replace(case, images=(touched(case.path, folder),)), True),  # type: ignore[arg-type]
    "label": (lambda case, folder: replace(case, label=touched(case.label.files[0], folder)), True),  # type: ignore[union-attr,type-var]
    "class": (lambda case, folder: replace(case, label=1), True),
    "side": (lambda case, folder: replace(case, attributes={"side": "right"}), True),
    "id": (lambda case, folder: replace(case, id="other"), True),
    "split": (lambda case, folder: replace(case, split="val"), False),
    "patient": (lambda case, folder: replace(case, patient="other"), False),
}


@pytest.mark.parametrize("what", CASES)
def test_the_key_of_a_case_changes_with_its_own_files_and_side(data: Path, tmp_path: Path, what: str) -> None:
    case, pipeline = io.scan([data]).cases[0], opened(tmp_path / "settings")
    change, matters = CASES[what]
    assert (workflow._key(change(case, tmp_path), pipeline) != workflow._key(case, pipeline)) == matters


def test_the_key_of_a_case_changes_with_the_versions(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, pipeline = io.scan([data]).cases[0], opened(tmp_path)
    before = workflow._key(case, pipeline)
    monkeypatch.setattr(workflow, "versions", lambda: {"torch": "0"})
    assert workflow._key(case, pipeline) != before


def test_another_name_of_a_file_makes_no_other_case(data: Path, tmp_path: Path) -> None:
    import shutil

    case, pipeline = io.scan([data]).cases[0], opened(tmp_path / "settings")
    shutil.copy(case.images[0].files[0], tmp_path / "renamed.nii.gz")
    other = replace(case, images=(Source("nifti", (tmp_path / "renamed.nii.gz",)),))
    assert workflow._key(other, pipeline) == workflow._key(case, pipeline)


def test_a_second_training_with_a_cache_reads_nothing_anew(data: Path, made: list[str], tmp_path: Path) -> None:
    quick = (("epochs = 4", "epochs = 1"), ("steps_per_epoch = 40", "steps_per_epoch = 1"))
    machine = Machine(cache=tmp_path / "cache")
    train(opened(tmp_path / "a", *quick), [data], tmp_path / "one", machine=machine)
    assert sorted(made) == [f"image{n}" for n in range(8)]
    made.clear()
    other = opened(tmp_path / "b", *quick, ("learning_rate = 0.01", "learning_rate = 0.02"))
    train(other, [data], tmp_path / "two", machine=machine)
    assert made == []
    assert len(list((tmp_path / "cache").rglob("*.safetensors"))) == 8, "a cache of one's own is kept"
    assert not (tmp_path / "one" / "prepared").exists()
    train(opened(tmp_path / "c", *quick), [data], tmp_path / "three")
    assert len(made) == 8
    assert not (tmp_path / "three" / "prepared").exists(), "images have no place in a folder to be given away"
    assert (tmp_path / "three" / "weights.safetensors").read_bytes() == (
        tmp_path / "one" / "weights.safetensors"
    ).read_bytes()
