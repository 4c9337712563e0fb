"""What lists, arrays and data set files state of a case in numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from medvision.errors import InputError
from medvision.io.datasets import cases_in_dataset
from medvision.io.manifest import cases_in_manifest
from medvision.io.npz import cases_in_npz
from medvision.io.stated import label_in_json, labels_in_rows, stated_label
from medvision.study import Flags, Numbers


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("3", 3),
        (" 0 ", 0),
        ("-3", Numbers((-3.0,))),
        ("61.5", Numbers((61.5,))),
        ("1e-3;.5", Numbers((0.001, 0.5))),
        ("[]", Numbers(())),
        ("[ 3 ]", Numbers((3.0,))),
        ("0;3", Numbers((0.0, 3.0))),
        ("[0, 3; 4]", Numbers((0.0, 3.0, 4.0))),
        ("0; ?5", Numbers((0.0,), (5,))),
        ("61.5;?", Numbers((61.5, None))),
        ("9" * 17, Numbers((1e17,))),
    ],
)
def test_numbers_are_told_from_files(text: str, label: int | Numbers) -> None:
    assert stated_label(text) == label


@pytest.mark.parametrize("text", ["a.nii.gz", "1;b", "nan", "inf", "0x10", "1_000", "61,5", "\N{SUPERSCRIPT TWO}"])
def test_what_is_no_number_names_a_file(text: str) -> None:
    assert stated_label(text) is None


@pytest.mark.parametrize("text", ["[a]", "[1,,2]", "[nan]", "[?-1]", "[[1]]"])
def test_a_list_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="cannot be read") as caught:
        stated_label(text)
    assert caught.value.code == "bad-labels"


def test_a_number_without_end_is_refused() -> None:
    with pytest.raises(InputError, match="finite"):
        stated_label("9" * 5000)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2))
def test_values_come_back_from_their_text(values: list[float]) -> None:
    assert stated_label("; ".join(map(repr, values))) == Numbers(tuple(values))


@pytest.mark.parametrize(
    ("value", "label"),
    [(3, 3), ("3", 3), (2.5, Numbers((2.5,))), ([], Numbers(())), ([1.5, None], Numbers((1.5, None)))],
)
def test_json_states_the_same(value: Any, label: int | Numbers) -> None:
    assert label_in_json(value) == label


@pytest.mark.parametrize("value", [True, {"a": 1}, [[1]], [True]])
def test_json_of_another_form_is_refused(value: Any) -> None:
    with pytest.raises(InputError, match="a text, a number or a list"):
        label_in_json(value)


def test_manifests_state_labels_and_values(tmp_path: Path) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / "cases.csv").write_text('image,id,label\na.png,a,"[0, 3]"\na.png,b,61.5\na.png,c,\n')
    assert [case.label for case in cases_in_manifest(tmp_path / "cases.csv").cases] == [
        Numbers((0.0, 3.0)),
        Numbers((61.5,)),
        None,
    ]
    lines = [{"image": "a.png", "id": "a", "Label": [0, "?3"]}, {"image": "a.png", "id": "b", "label": 7}]
    (tmp_path / "cases.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert [case.label for case in cases_in_manifest(tmp_path / "cases.jsonl").cases] == [Numbers((0.0,), (3,)), 7]


def test_a_list_belongs_to_the_label_alone(tmp_path: Path) -> None:
    (tmp_path / "cases.jsonl").write_text('{"image": "a.png", "patient": [1]}')
    with pytest.raises(InputError, match="texts and numbers"):
        cases_in_manifest(tmp_path / "cases.jsonl")


def test_a_line_with_a_bad_list_is_rejected_and_the_others_stay(tmp_path: Path) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / "cases.csv").write_text("image,id,label\na.png,a,[x]\na.png,b,[1]\n")
    found = cases_in_manifest(tmp_path / "cases.csv")
    assert [case.id for case in found.cases] == ["b"]
    assert found.rejected[0].code == "bad-labels"


def test_a_data_set_states_classes_labels_and_values(tmp_path: Path) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    entries = [{"image": "a.png", "id": str(n), "label": label} for n, label in enumerate([0, [1, 2], 6.5, ""])]
    (tmp_path / "dataset.json").write_text(json.dumps({"training": entries}))
    found = cases_in_dataset(tmp_path / "dataset.json")
    assert [case.label for case in found.cases] == [0, Numbers((1.0, 2.0)), Numbers((6.5,))]
    assert [problem.code for problem in found.rejected] == ["label-missing"]


@pytest.mark.parametrize(
    ("table", "labels"),
    [
        (np.array([1, 0], np.uint8), [1, 0]),
        (np.array([[1], [4]], np.int64), [1, 4]),
        (np.array([[1, 0], [-1, 1]], np.int8), [Flags((True, False)), Flags((None, True))]),
        (np.array([[1.5], [np.nan]], np.float32), [Numbers((1.5,)), Numbers((None,))]),
        (np.array([[1.5, 2], [0, np.nan]]), [Numbers((1.5, 2.0)), Numbers((0.0, None))]),
    ],
)
def test_arrays_state_classes_flags_or_values(tmp_path: Path, table: np.ndarray, labels: list[Any]) -> None:
    np.savez(tmp_path / "a.npz", train_images=np.zeros((2, 4, 4), np.uint8), train_labels=table)
    assert [case.label for case in cases_in_npz(tmp_path / "a.npz")] == labels


@pytest.mark.parametrize(
    "table", [np.array([[2, 0]]), np.array([[np.inf]]), np.zeros((2, 1)), np.zeros((1, 1, 1)), np.array([["a"]])]
)
def test_arrays_that_state_nothing_known_are_refused(table: np.ndarray) -> None:
    assert labels_in_rows(table, 1) is None
