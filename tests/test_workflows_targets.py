"""What cases are learned as, and the scale of values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medvision.contract import Contract
from medvision.errors import InputError, PipelineError
from medvision.networks import ResNet
from medvision.pipeline import Settings
from medvision.predict import Quantity
from medvision.study import Case, Flags, Label, Numbers, Source
from medvision.workflows.cases.targets import (
    class_of,
    marks_of,
    require_known,
    stated_of,
    target_of,
    values_of,
    with_scaling,
)

IMAGE = Source("picture", (Path("a.png"),))


def case(label: Label | None, id: str = "a") -> Case:  # noqa: A002 - as the field is called
    return Case(id, (IMAGE,), label=label)


def settings(task: Any, *names: str, **further: Any) -> Settings:
    labels = dict(enumerate(names))
    return Settings("a", task, "for tests", Contract("anything"), labels, ResNet(), **further)


THREE = settings("multilabel", "x", "y", "z")
AGE = settings("regression", "age", "score", regression=(Quantity("years", 50.0, 10.0), Quantity("1", 0.0, 2.0)))


def test_a_class_is_its_number() -> None:
    assert target_of(case(1), settings("classification", "well", "ill")) == 1


@pytest.mark.parametrize(
    "wanted", [settings("classification", "normal", "ill"), settings("multilabel", "normal", "ill")]
)
def test_a_data_set_that_counts_the_classes_differently_is_refused(wanted: Settings) -> None:
    swapped = replace(case(1), label_names={0: "ill", 1: "Normal"})
    with pytest.raises(InputError, match="calls label 0 'ill', which is 1 here") as caught:
        target_of(swapped, wanted)
    assert (caught.value.code, caught.value.path) == ("bad-labels", IMAGE.path)
    target_of(replace(swapped, label_names={0: "NORMAL", 1: "ill"}), wanted)


def test_a_data_set_that_counts_the_values_differently_is_refused() -> None:
    with pytest.raises(InputError, match="calls label 0 'score', which is 1 here"):
        values_of(replace(case(Numbers((61.5, 1.0))), label_names={0: "score", 1: "age"}), AGE.labels)


@pytest.mark.parametrize("label", [None, 2, Numbers((1.0,)), Flags((True, False)), IMAGE])
def test_a_case_without_a_class_of_the_pipeline_is_refused(label: Label | None) -> None:
    with pytest.raises(InputError, match="0 well, 1 ill") as caught:
        target_of(case(label), settings("classification", "well", "ill"))
    assert caught.value.code == "label-missing"


@pytest.mark.parametrize(
    ("label", "wanted"),
    [
        (1, [0, 1, 0]),
        (Numbers(()), [0, 0, 0]),
        (Numbers((0, 2)), [1, 0, 1]),
        (Numbers((0,), (2,)), [1, 0, np.nan]),
        (Flags((True, None, False)), [1, np.nan, 0]),
    ],
)
def test_several_labels_are_ones_and_zeros_and_nan_where_not_known(label: Label, wanted: list[float]) -> None:
    target = target_of(case(label), THREE)
    assert isinstance(target, np.ndarray)
    assert target.dtype == np.float32
    np.testing.assert_array_equal(target, wanted)


@pytest.mark.parametrize("label", [3, Numbers((0.5,)), Numbers((None,)), Numbers((1, 1)), Numbers((1,), (1,))])
def test_numbers_that_are_no_labels_or_stand_there_twice_are_refused(label: Label) -> None:
    with pytest.raises(InputError, match="0 x, 1 y, 2 z") as caught:
        marks_of(case(label), THREE.labels)
    assert caught.value.code == "bad-labels"


def test_more_flags_than_labels_are_refused() -> None:
    with pytest.raises(InputError, match="4 marks, wanted is one for each of the 3 labels"):
        marks_of(case(Flags((True,) * 4)), THREE.labels)


@pytest.mark.parametrize("label", [None, IMAGE])
def test_a_case_that_states_no_labels_is_refused_with_what_to_write(label: Label | None) -> None:
    with pytest.raises(InputError, match=r"\[\] for a case that has none") as caught:
        marks_of(case(label), THREE.labels)
    assert caught.value.code == "label-missing"


def test_values_are_standardised() -> None:
    np.testing.assert_allclose(target_of(case(Numbers((70, 1))), AGE), [2.0, 0.5])  # type: ignore[arg-type]
    np.testing.assert_array_equal(target_of(case(Numbers((70, None))), AGE), [2.0, np.nan])
    assert values_of(case(7), {0: "age"}) == (7.0,)


@pytest.mark.parametrize("label", [None, IMAGE, Flags((True, False)), Numbers(()), Numbers((None, None))])
def test_a_case_without_values_is_refused(label: Label | None) -> None:
    with pytest.raises(InputError, match="case a states no value; wanted: age, score") as caught:
        values_of(case(label), AGE.labels)
    assert caught.value.code == "label-missing"


@pytest.mark.parametrize(
    ("label", "many"), [(7, "1 value,"), (Numbers((1, 2, 3)), "3 values"), (Numbers((1, 2), (1,)), "2 values")]
)
def test_another_number_of_values_is_refused(label: Label, many: str) -> None:
    with pytest.raises(InputError, match=many) as caught:
        values_of(case(label), AGE.labels)
    assert caught.value.code == "bad-labels"


def test_what_a_case_states_is_in_its_own_units() -> None:
    assert stated_of(case(1), "classification", {0: "well", 1: "ill"}) == 1
    assert stated_of(case(Numbers((0,), (2,))), "multilabel", THREE.labels) == [1.0, 0.0, None]
    assert stated_of(case(Numbers((70, None))), "regression", AGE.labels) == [70.0, None]


def test_a_name_that_is_made_of_its_number_does_not_say_it_twice() -> None:
    with pytest.raises(InputError, match="case a has none of the classes class 0, class 1") as caught:
        class_of(case(2), {0: "class 0", 1: "class 1"})
    assert caught.value.code == "label-missing"


def test_the_scale_is_measured_whatever_an_earlier_training_left() -> None:
    bare = replace(AGE, regression=(Quantity("years"), Quantity("1", 0.0, 20.0, (-5.0, 5.0))))
    cases = [case(Numbers((40, None)), "a"), case(Numbers((60, 1)), "b"), case(Numbers((50, 3)), "c")]
    age, score = with_scaling(bare, cases).regression
    assert age == Quantity("years", 50.0, 10.0, (40.0, 60.0))
    assert score == Quantity("1", 2.0, 2**0.5, (1.0, 3.0))
    assert with_scaling(replace(bare, regression=(age, score)), cases).regression == (age, score)
    assert with_scaling(THREE, []) is THREE


@pytest.mark.parametrize("values", [[5.0], [5.0, 5.0], [5.0, None]])
def test_values_without_a_spread_have_no_scale(values: list[float | None]) -> None:
    bare = settings("regression", "age", "score", regression=(Quantity("years"), Quantity("1")))
    with pytest.raises(InputError, match="age is known of") as caught:
        with_scaling(bare, [case(Numbers((value, float(n))), f"c{n}") for n, value in enumerate(values)])
    assert caught.value.code == "too-few-cases"


def test_a_value_that_no_case_of_a_training_states_is_refused() -> None:
    lone, other = case(Numbers((40, 1)), "a"), case(Numbers((50, None)), "b")
    require_known({"fold 1": [lone], "fold 2": [lone, other]}, AGE)
    with pytest.raises(InputError) as caught:
        require_known({"fold 1": [lone], "fold 2": [other, other], "fold 3": [other]}, AGE)
    told = "'score' is known of none of 2 training cases of fold 2, none of 1 training case of fold 3"
    assert (caught.value.code, caught.value.finding.message) == ("too-few-cases", told)
    assert "fewer folds" in (caught.value.finding.cure or "")
    with pytest.raises(InputError, match=r"'score' is known of none of 1 training case \["):
        require_known({"": [other]}, AGE)
    require_known({"": []}, THREE)
    with pytest.raises(InputError, match=r"case of 3, and so in 2 further trainings \["):
        require_known({f"{number}": [other] for number in range(1, 6)}, AGE)


def test_without_a_scale_there_is_no_target() -> None:
    bare = settings("regression", "age", regression=(Quantity("years"),))
    with pytest.raises(PipelineError, match="mean and sd"):
        target_of(case(7), bare)


@pytest.mark.parametrize(
    ("fields", "words"),
    [({"mean": 1.0}, "given together"), ({"known": (2.0, 1.0)}, "the least and the greatest")],
)
def test_half_a_scale_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Quantity("years", **fields)


@pytest.mark.parametrize(
    ("further", "words"),
    [
        ({"task": "regression"}, "a regression has one"),
        ({"regression": (Quantity("years"),)}, "a multilabel has no"),
        ({"predict": {"thresholds": [0.5]}}, "predict.thresholds: they are for multilabel, one for each label, got 1"),
        ({"train": {"balanced": True}}, "balanced is for a classification"),
        ({"predict": {"window": [8, 8, 8]}}, "a multilabel sees the whole image"),
    ],
)
def test_settings_that_mean_nothing_for_the_task_are_refused(further: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        settings(further.pop("task", "multilabel"), "x", "y", **further)
