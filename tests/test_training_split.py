"""No patient trains and validates, and copies of an image on both sides are found."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision import io
from medvision.errors import InputError
from medvision.study import Case, Source
from medvision.training import Split, copies, folds, split

IMAGE = (Source("nifti", (Path("image.nii"),)),)


def case(name: str, patient: str | None = None, side: str | None = None) -> Case:
    return Case(name, IMAGE, patient=patient, split=side)


def ids(cases: tuple[Case, ...]) -> list[str]:
    return [found.id for found in cases]


def test_an_undivided_split_trains_on_all_and_keeps_what_was_noticed() -> None:
    whole = split([case("a"), case("b"), case("c")], validation=0.3, seed=0)
    assert (len(whole.train), len(whole.val)) == (2, 1)
    assert ids(whole.undivided().train) == [*ids(whole.train), *ids(whole.val)]
    assert whole.undivided().val == ()
    assert whole.undivided().findings == whole.findings != ()


PATIENTS = st.lists(st.one_of(st.none(), st.integers(0, 8).map(str)), min_size=2, max_size=30)


@settings(max_examples=100, deadline=None)
@given(PATIENTS, st.floats(0.05, 0.9), st.integers(0, 99))
def test_no_patient_stands_on_both_sides_and_no_case_is_lost(
    patients: list[str | None], validation: float, seed: int
) -> None:
    cases = [case(f"c{n:02d}", patient) for n, patient in enumerate(patients)]
    groups = len(set(patients) - {None}) + patients.count(None)
    if max(1, round(validation * groups)) >= groups:
        with pytest.raises(InputError) as caught:
            split(cases, validation=validation, seed=seed)
        assert caught.value.code == "too-few-cases"
        return
    found = split(cases, validation=validation, seed=seed)
    assert sorted(ids(found.train) + ids(found.val)) == ids(tuple(cases))
    assert not {c.patient for c in found.train} & {c.patient for c in found.val} - {None}
    held = {c.patient if c.patient is not None else c.id for c in found.val}
    assert len(held) == max(1, round(validation * groups))


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(12)), st.integers(0, 9))
def test_who_is_held_out_does_not_depend_on_the_order_of_cases_nor_on_how_many_a_patient_has(
    order: list[int], seed: int
) -> None:
    cases = [case(f"c{n:02d}", str(n // 2)) for n in range(12)]
    found = split(cases, validation=0.3, seed=seed)
    shuffled = split([cases[n] for n in order], validation=0.3, seed=seed)
    more = split([*cases, case("c99", "0")], validation=0.3, seed=seed)
    held = {c.patient for c in found.val}
    assert {c.patient for c in shuffled.val} == held
    assert {c.patient for c in more.val} == held


def test_another_seed_holds_out_others() -> None:
    cases = [case(f"c{n}", str(n)) for n in range(20)]
    assert len({tuple(ids(split(cases, validation=0.2, seed=seed).val)) for seed in range(5)}) > 1


def test_a_patient_and_a_case_of_the_same_name_are_two() -> None:
    found = split([case("a", "b"), case("b"), case("c", "b")], validation=0.5, seed=0)
    assert {"a", "c"} in (set(ids(found.train)), set(ids(found.val)))


def test_a_split_that_the_data_set_fixes_is_used_as_it_stands() -> None:
    cases = [case("a", "1", "val"), case("b", "2", "train"), case("c", "3", "test"), case("d", "2", "train")]
    found = split(cases, validation=0.9, seed=3)
    assert (ids(found.train), ids(found.val), found.findings) == (["b", "d"], ["a"], ())


def test_cases_for_the_test_are_left_out_where_only_they_are_marked() -> None:
    cases = [case("a", "1"), case("b", "2"), case("c", "3", "test"), case("d", "4")]
    found = split(cases, validation=0.3, seed=0)
    assert sorted(ids(found.train) + ids(found.val)) == ["a", "b", "d"]


@pytest.mark.parametrize(
    ("sides", "held_out"),
    [
        (("train", "val", "train"), "val"),
        (("train", "test", "val"), "test"),
        (("val", "test", "train"), "test"),
        ((None, "test", None), "test"),
    ],
)
def test_a_patient_on_two_sides_of_a_fixed_split_is_refused(sides: tuple[str | None, ...], held_out: str) -> None:
    cases = [case("a", "1", sides[0]), case("b", "1", sides[1]), case("c", "2", sides[2]), case("d", "3", sides[0])]
    with pytest.raises(InputError, match=f"1 {held_out} case belongs to a patient .* first: b") as caught:
        split(cases, validation=0.4, seed=0)
    assert caught.value.code == "split-leak"
    assert "patient 1" not in str(caught.value)


def test_cases_that_name_no_patient_share_none() -> None:
    found = split([case("a", None, "train"), case("b", None, "val"), case("c", None, "test")], validation=0.4, seed=0)
    assert (ids(found.train), ids(found.val)) == (["a"], ["b"])


def test_a_split_that_is_fixed_for_some_cases_only_is_refused() -> None:
    with pytest.raises(InputError, match="first: b") as caught:
        split([case("a", "1", "train"), case("b", "2"), case("c", "3", "val")], validation=0.4, seed=0)
    assert caught.value.code == "bad-manifest"


@pytest.mark.parametrize(
    "cases",
    [
        [],
        [case("a", "1")],
        [case("a", "1"), case("b", "1")],
        [case("a", "1", "train"), case("b", "2", "test")],
        [case("a", "1", "val")],
    ],
)
def test_a_split_with_an_empty_side_is_refused(cases: list[Case]) -> None:
    with pytest.raises(InputError) as caught:
        split(cases, validation=0.4, seed=0)
    assert caught.value.code == "too-few-cases"


def test_of_a_split_without_a_validation_side_a_share_of_the_training_side_is_held_out() -> None:
    marked = [case(name, name, "train") for name in "abcde"] + [case("t", "t", "test")]
    free = [case(name, name) for name in "abcde"]
    parts, as_free = (split(each, validation=0.4, seed=0) for each in (marked, free))
    assert (len(parts.train), len(parts.val)) == (3, 2)
    assert [one.id for one in parts.val] == [one.id for one in as_free.val]
    with pytest.raises(InputError, match="some cases name a split, others do not, first: f"):
        split([*marked, case("f", "f")], validation=0.4, seed=0)


def test_a_split_that_cannot_keep_patients_together_says_so() -> None:
    (finding,) = split([case("a"), case("b", "1"), case("c")], validation=0.4, seed=0).findings
    assert (finding.code, finding.grade) == ("split-ungrouped", "warning")
    assert finding.message.startswith("2 of 3 cases name no patient")


def test_copies_on_both_sides_are_found_and_their_ids_told_apart() -> None:
    parts = Split((case("t1"), case("t2"), case("t3")), (case("v1"), case("v2"), case("v3"), case("v4")))
    digests = {"t1": "x", "t2": "x", "t3": "y", "v1": "x", "v2": "x", "v3": "z", "v4": "y"}
    assert copies(parts, digests) == [("v1", "t1"), ("v2", "t1"), ("v4", "t3")]


def test_copies_on_one_side_are_none_of_its_business() -> None:
    parts = Split((case("t1"), case("t2")), (case("v1"), case("v2")))
    assert copies(parts, {"t1": "x", "t2": "x", "v1": "y", "v2": "y"}) == []


def test_both_hippocampi_of_a_subject_stay_together(shared_data: Path) -> None:
    cases = io.scan([shared_data / "msd_hippocampus"]).cases
    subjects = Counter(c.patient for c in cases)
    assert None not in subjects
    assert max(subjects.values()) == 2
    for seed in range(5):
        found = split(cases, validation=0.2, seed=seed)
        train, val = ({c.patient for c in side} for side in (found.train, found.val))
        assert not train & val
        assert train | val == set(subjects)
        assert found.findings == ()


def test_pictures_of_pneumoniamnist_that_stand_on_both_sides_are_all_found(shared_data: Path) -> None:
    (path,) = (shared_data / "pneumoniamnist").glob("*.npz")
    with np.load(path) as archive:
        train = {picture.tobytes() for picture in archive["train_images"]}
        expected = sum(picture.tobytes() in train for picture in archive["val_images"])
        total = len(archive["val_images"])
    parts = split(io.scan([path]).cases, validation=0.2, seed=0)
    assert (len(parts.train), len(parts.val)) == (4708, total)
    digests = {c.id: io.read_volume(c).digest() for c in (*parts.train, *parts.val)}
    assert len(copies(parts, digests)) == expected > 0


def test_patients_named_alike_but_for_case_and_zeros_are_counted_and_not_named() -> None:
    cases = [case("a", "P1"), case("b", "p1"), case("c", "p01"), case("d", "p10"), case("e", "p100"), case("f", None)]
    marked = [replace(each, split="train" if n < 3 else "val") for n, each in enumerate(cases)]
    for found in (
        split(cases, validation=0.5, seed=0),
        split(marked, validation=0.5, seed=0),
        *folds(cases, count=2, seed=0),
    ):
        (finding,) = [each for each in found.findings if each.code == "patients-alike"]
        assert finding.grade == "note"
        assert finding.message == "3 of 5 patients are named like another but for case or leading zeros"
    assert all(each.code != "patients-alike" for each in split(cases[2:], validation=0.5, seed=0).findings)


def test_a_patient_whose_name_unicode_writes_in_two_ways_is_one() -> None:
    marked = [case("a", "Mu\u0308ller", "train"), case("b", "M\u00fcller", "val")]
    with pytest.raises(InputError, match="1 val case belongs to a patient who is trained on, first: b") as caught:
        split(marked, validation=0.5, seed=0)
    assert caught.value.code == "split-leak"
    free = [*(replace(each, split=None) for each in marked), case("c", "C"), case("d", "D")]
    for seed in range(8):
        found = split(free, validation=0.3, seed=seed)
        assert len({"a", "b"} & set(ids(found.val))) != 1


def test_patients_alike_are_found_where_lower_case_is_written_in_two_ways() -> None:
    cases = [case("a", "\u0390"), case("b", "\u03aa\u0301"), case("c", "k")]  # fold to three characters and to two
    messages = [each.message for each in split(cases, validation=0.5, seed=0).findings]
    assert messages == ["2 of 3 patients are named like another but for case or leading zeros"]
