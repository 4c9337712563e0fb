"""Two sides, folds and subsets each get their share of every kind of case, whatever the task."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.study import Case, Flags, Numbers, Source
from medvision.training import folds, split
from medvision.training.dealing import by_patient, in_parts, in_turn
from medvision.workflows.training_data.subsets import subset

IMAGE = (Source("nifti", (Path("image.nii"),)),)


def case(number: int, label: Any = None, patient: str | None = None) -> Case:
    return Case(f"c{number:03d}", IMAGE, label=label, patient=patient)


def value_of(entry: Case) -> float:
    (value,) = entry.stated
    return value


@pytest.mark.parametrize("seed", range(4))
def test_both_sides_of_the_usual_split_have_each_class_in_its_share(seed: int) -> None:
    cases = [case(n, int(n % 10 == 0)) for n in range(100)]
    parts = split(cases, validation=0.2, seed=seed, task="classification")
    assert Counter(entry.label for entry in parts.val) == {0: 18, 1: 2}
    assert split(cases, validation=0.2, seed=seed) == parts, "a whole number is a class, where no task is named"


def test_a_class_of_one_patient_is_trained_on() -> None:
    cases = [case(n, int(n == 7)) for n in range(40)]
    for seed in range(8):
        assert not any(entry.label for entry in split(cases, validation=0.2, seed=seed, task="classification").val)


@pytest.mark.parametrize("seed", range(4))
def test_several_labels_are_spread_by_the_rarest_that_a_case_has(seed: int) -> None:
    """All have label 0; a fifth has label 1 too, as flags or as numbers; a tenth has none."""
    cases = []
    for n in range(100):
        has = () if n % 10 == 9 else (0, 1) if n % 5 == 0 else (0,)
        cases.append(case(n, Flags((0 in has, 1 in has, None)) if n % 2 else Numbers(tuple(map(float, has)))))
    val = split(cases, validation=0.2, seed=seed, task="multilabel").val
    assert Counter(entry.stated for entry in val) == {(0.0,): 14, (0.0, 1.0): 4, (): 2}
    for part in folds(cases, count=5, seed=seed, task="multilabel"):
        assert Counter(entry.stated for entry in part.val) == {(0.0,): 14, (0.0, 1.0): 4, (): 2}
    chosen = subset(cases, 50, seed=seed, repeat=0, task="multilabel")
    assert Counter(entry.stated for entry in chosen) == {(0.0,): 35, (0.0, 1.0): 10, (): 5}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=50, max_size=100, unique=True), st.integers(0, 9))
def test_values_are_spread_over_their_whole_range(values: list[float], seed: int) -> None:
    cases = [case(n, Numbers((value,))) for n, value in enumerate(values)]
    middle = float(np.median(values))
    for part in folds(cases, count=5, seed=seed, task="regression"):
        low = sum(value_of(entry) < middle for entry in part.val)
        assert abs(low - (len(part.val) - low)) <= 6
    held = split(cases, validation=0.2, seed=seed, task="regression").val
    assert abs(sum(value_of(entry) < middle for entry in held) - len(held) / 2) <= 3


def test_whole_values_are_levels_and_no_classes() -> None:
    """Ages are ints where they stand alone: each is one of its own, and a fifth of every tenth is held out."""
    cases = [case(n, 20 + n) for n in range(50)]
    held = split(cases, validation=0.2, seed=0, task="regression").val
    assert Counter((value_of(entry) - 20) // 5 for entry in held) == dict.fromkeys(range(10), 1)


def test_of_few_values_and_unknown_ones_all_are_dealt_out_once() -> None:
    cases = [case(n, Numbers((None,) if n % 2 else (float(n),))) for n in range(7)]
    groups = by_patient(cases)
    for order in (
        in_turn(groups, "regression", 0),
        [key for part in in_parts(groups, 3, "regression", 0) for key in part],
    ):
        assert sorted(order) == sorted(groups)


def test_images_with_label_images_are_of_one_kind_and_dealt_as_ever() -> None:
    """The split of a segmentation by a seed is what it was before kinds were looked at."""
    cases = [case(n, IMAGE[0], f"p{n // 2}") for n in range(24)]
    names = sorted({entry.patient_key for entry in cases})
    for seed in range(5):
        held = {names[n] for n in np.random.default_rng([seed, 0]).permutation(len(names))[:2]}
        parts = split(cases, validation=0.2, seed=seed, task="segmentation")
        assert {entry.patient_key for entry in parts.val} == held
        assert len(parts.val) == 4
    marked = [case(n, n % 2, f"p{n // 2}") for n in range(24)]
    assert in_turn(by_patient(marked), "segmentation", 1) == in_turn(by_patient(cases), "segmentation", 1)


def test_a_patient_counts_once_for_the_rarest_kind_it_has() -> None:
    cases = [case(n, int(n in (0, 5)), f"p{n // 3}") for n in range(60)]
    assert {value_of(entry) for entry in by_patient(cases)["patient p0"]} == {0.0, 1.0}
    parts = in_parts(by_patient(cases), 2, "classification", 0)
    assert [len({"patient p0", "patient p1"} & part) for part in parts] == [1, 1]
    assert [len(part) for part in parts] == [10, 10]
