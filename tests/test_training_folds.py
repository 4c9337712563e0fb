"""Every case is held out once, its patient's other cases with it, and every fold has its share of each class."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision import io
from medvision.errors import InputError, UsageError
from medvision.study import Case, Source
from medvision.training import Split, folds

IMAGE = (Source("nifti", (Path("image.nii"),)),)


def case(name: str, patient: str | None = None, label: int | None = None, split: str | None = None) -> Case:
    return Case(name, IMAGE, patient=patient, label=label, split=split)


def held(parts: tuple[Split, ...]) -> list[set[str]]:
    return [{found.id for found in part.val} for part in parts]


COHORTS = st.lists(
    st.tuples(st.one_of(st.none(), st.integers(0, 9).map(str)), st.sampled_from([None, 0, 1, 2])),
    min_size=2,
    max_size=40,
).map(lambda rows: [case(f"c{n:02d}", patient, label) for n, (patient, label) in enumerate(rows)])


@settings(max_examples=150, deadline=None)
@given(COHORTS, st.integers(2, 6), st.integers(0, 99))
def test_every_case_is_held_out_once_with_all_of_its_patient(cases: list[Case], count: int, seed: int) -> None:
    patients = {entry.patient if entry.patient is not None else (entry.id,) for entry in cases}
    if len(patients) < count:
        with pytest.raises(
            InputError, match=f"{count} folds are wanted, and there (is|are) {len(patients)} patients?"
        ) as e:
            folds(cases, count=count, seed=seed)
        assert e.value.code == "too-few-cases"
        return
    parts = folds(cases, count=count, seed=seed)
    assert len(parts) == count
    assert Counter(found.id for part in parts for found in part.val) == Counter(entry.id for entry in cases)
    for part in parts:
        assert part.val
        assert {found.id for found in part.train} | {found.id for found in part.val} == {c.id for c in cases}
        assert len(part.train) + len(part.val) == len(cases)
        assert not {c.patient for c in part.train} & {c.patient for c in part.val} - {None}


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=6, max_size=60), st.integers(2, 6), st.integers(0, 99))
def test_classes_and_sizes_are_spread_within_one_patient_of_even(labels: list[int], count: int, seed: int) -> None:
    parts = folds([case(f"c{n:02d}", None, label) for n, label in enumerate(labels)], count=count, seed=seed)
    for label in set(labels):
        shares = [sum(found.label == label for found in part.val) for part in parts]
        assert max(shares) - min(shares) <= 1
    sizes = [len(part.val) for part in parts]
    assert max(sizes) - min(sizes) <= len(set(labels))


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 30), st.integers(2, 5), st.integers(0, 99))
def test_without_classes_folds_have_as_many_patients_as_the_others(patients: int, count: int, seed: int) -> None:
    if patients < count:
        return
    parts = folds([case(f"c{n:02d}", str(n // 2)) for n in range(2 * patients)], count=count, seed=seed)
    sizes = [len(part.val) for part in parts]
    assert max(sizes) - min(sizes) <= 2


@settings(max_examples=40, deadline=None)
@given(st.permutations(range(12)), st.integers(0, 9))
def test_the_order_of_cases_has_no_effect_on_who_is_held_out(order: list[int], seed: int) -> None:
    cases = [case(f"c{n:02d}", str(n // 2), n % 3 // 2) for n in range(12)]
    assert held(folds([cases[n] for n in order], count=3, seed=seed)) == held(folds(cases, count=3, seed=seed))


def test_the_seed_has_an_effect_and_the_same_one_each_time() -> None:
    cases = [case(f"c{n:02d}", None, n % 2) for n in range(20)]
    found = [held(folds(cases, count=4, seed=seed)) for seed in (0, 1, 2, 0)]
    assert found[0] == found[3]
    assert found[0] != found[1] or found[0] != found[2]


def test_a_patient_with_a_rare_and_a_frequent_class_counts_by_the_rare_one() -> None:
    """Two patients have the rare class: each fold holds one of them out, though they have frequent cases too."""
    rare = [case("r0", "a", 1), case("r1", "b", 1), case("f0", "a", 0), case("f1", "b", 0)]
    for seed in range(5):
        parts = folds([*rare, *(case(f"g{n}", f"p{n}", 0) for n in range(6))], count=2, seed=seed)
        assert [sum(found.label == 1 for found in part.val) for part in parts] == [1, 1]


def test_cases_for_the_test_are_left_out_and_other_marks_are_not_heeded() -> None:
    cases = [case(f"c{n}", str(n), split=("train", "val", "test", None)[n % 4]) for n in range(12)]
    parts = folds(cases, count=3, seed=0)
    assert set.union(*held(parts)) == {f"c{n}" for n in range(12) if n % 4 != 2}
    assert not any(found.split == "test" for part in parts for found in part.train)


def test_a_patient_who_is_in_the_test_too_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        folds([case("a", "1"), case("b", "2"), case("c", "1", split="test")], count=2, seed=0)
    assert caught.value.code == "split-leak"


def test_cases_without_a_patient_are_told_in_every_fold() -> None:
    parts = folds([case("a"), case("b", "1"), case("c")], count=2, seed=0)
    assert [[finding.code for finding in part.findings] for part in parts] == [["split-ungrouped"]] * 2
    assert folds([case("a", "0"), case("b", "1")], count=2, seed=0)[0].findings == ()


def test_too_few_patients_are_told_with_a_cure() -> None:
    with pytest.raises(InputError, match="3 folds are wanted, and there are 2 patients") as caught:
        folds([case("a", "1"), case("b", "2"), case("c", "2")], count=3, seed=0)
    assert caught.value.finding.cure == "Ask for fewer folds, or add patients."


def test_subjects_of_the_hippocampus_data_are_held_out_as_a_whole(shared_data: Path) -> None:
    cases = io.scan([shared_data / "msd_hippocampus"]).cases
    parts = folds(cases, count=5, seed=0)
    assert sorted(found.id for part in parts for found in part.val) == sorted(entry.id for entry in cases)
    assert sum(len({found.patient for found in part.val}) for part in parts) == len({c.patient for c in cases})
    assert max(len(part.val) for part in parts) - min(len(part.val) for part in parts) <= 2


@pytest.mark.parametrize("count", [1, 0, -1])
def test_fewer_than_two_folds_are_none(count: int) -> None:
    with pytest.raises(UsageError, match=f"two folds at least are needed, got {count}"):
        folds([], count=count, seed=0)
