"""What is said of an image as a whole, and how records keep it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from medvision.answers import Classification, MultiLabel, Regression, Value
from medvision.errors import InputError
from medvision.geometry import Geometry
from medvision.results import Manifest, Record, map_names

MANIFEST = Manifest("medvision run a b", "a 1.0.0", "0", "1", "2", {}, "cpu", "fp32", 0)
TWO = MultiLabel({"mass": 0.7, "nodule": 0.5}, {"mass": 0.5, "nodule": 0.5})
AGES = Regression((Value("age", 61.5, "years", (20.0, 60.0)), Value("score", 2.0, "1")))


def record(task: Any, **fields: Any) -> Record:
    return Record("a", task, Geometry.from_spacing((1, 1, 1), (4, 4, 1)), "MR", (), MANIFEST, **fields)


def test_a_label_is_present_from_its_threshold_on() -> None:
    assert TWO.positives == ("mass", "nodule")
    assert MultiLabel({"mass": 0.7}, {"mass": 0.71}).positives == ()


@pytest.mark.parametrize("probabilities", [{}, {"a": 1.1}, {"a": -0.1}, {"a": float("nan")}])
def test_what_is_no_probability_is_refused(probabilities: dict[str, float]) -> None:
    with pytest.raises(InputError, match="0 to 1"):
        MultiLabel(probabilities, dict.fromkeys(probabilities, 0.5))


def test_a_label_without_a_threshold_is_refused() -> None:
    with pytest.raises(InputError, match="a probability and a threshold"):
        MultiLabel({"a": 0.5}, {"b": 0.5})


def test_a_value_is_known_within_those_of_the_training() -> None:
    assert [value.is_known for value in AGES.values] == [False, True]
    assert Value("age", 60.0, "years", (20.0, 60.0)).is_known


def test_a_value_that_is_no_number_is_refused() -> None:
    with pytest.raises(InputError, match="no finite number"):
        Value("age", float("inf"), "years")


@pytest.mark.parametrize(
    ("made", "answer"),
    [
        (record("segmentation"), None),
        (record("classification", probabilities={"a": 0.25, "b": 0.75}), Classification({"a": 0.25, "b": 0.75})),
        (record("multilabel", probabilities=TWO.probabilities, thresholds=TWO.thresholds), TWO),
        (record("regression", values=AGES.values), AGES),
    ],
)
def test_records_keep_every_kind_of_answer(made: Record, answer: Any) -> None:
    back = Record.from_json(json.loads(json.dumps(made.to_json())))
    assert back.answer == made.answer == answer
    assert back.to_json() == made.to_json()
    assert np.array_equal(back.geometry.affine, made.geometry.affine)


def test_records_say_which_labels_are_present() -> None:
    several = record("multilabel", probabilities=TWO.probabilities, thresholds=TWO.thresholds)
    assert several.to_json()["positives"] == ["mass", "nodule"]
    assert record("segmentation").to_json()["positives"] is None


def test_records_of_the_first_version_are_read() -> None:
    content = record("classification", probabilities={"a": 0.25, "b": 0.75}).to_json()
    for name in ("thresholds", "positives", "values"):
        del content[name]
    back = Record.from_json(content | {"schema": "medvision.record/1"})
    assert back.answer == Classification({"a": 0.25, "b": 0.75})
    with pytest.raises(InputError, match="damaged"):
        Record.from_json(content)


def test_maps_of_one_method_have_names_of_their_own() -> None:
    assert map_names(["a", "b", "a", "a"]) == ("a", "b", "a-2", "a-3")
