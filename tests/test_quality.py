"""Data sets with planted faults, and clean ones that raise no alarm."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from phantoms import ORIENTATIONS

from medvision.errors import Finding
from medvision.geometry import Geometry
from medvision.quality import (
    Measured,
    check_case,
    check_cohort,
    compare_grids,
    exact_copies,
    measured,
    near_copies,
    outliers,
)
from medvision.resampling import resample
from medvision.study import Case, Source
from medvision.volume import Labels, Volume

GRID = Geometry.from_spacing((1.0, 1.0, 1.5), (32, 36, 24))
NAMES = {1: "inner", 2: "outer"}


def texture(seed: int, grid: Geometry = GRID, *, mean: float = 500.0, sd: float = 100.0) -> NDArray[np.float32]:
    """Return smooth noise, 100 about 500, as different from seed to seed as two images can be."""
    coarse = np.random.default_rng(seed).normal(0, 1, (12, 12, 12))
    axes = [np.linspace(0, 11, size) for size in grid.shape]
    for axis, places in enumerate(axes):
        low = np.minimum(places.astype(int), 10)
        share = (places - low).reshape([-1 if a == axis else 1 for a in range(3)])
        coarse = coarse.take(low, axis) * (1 - share) + coarse.take(low + 1, axis) * share
    return (mean + sd * coarse / coarse.std()).astype(np.float32)


def ball(radius: float = 8.0, grid: Geometry = GRID) -> Labels:
    """Return labels of a ball in the middle: 1 inside, 2 in the shell outside of two thirds of the radius."""
    middle = (np.array(grid.shape) - 1) / 2
    away = np.linalg.norm(np.moveaxis(np.indices(grid.shape), 0, -1) - middle, axis=-1)
    return Labels(np.where(away < radius * 2 / 3, 1, np.where(away < radius, 2, 0)).astype(np.uint8), grid, NAMES)


def figures(voxels: NDArray[Any], grid: Geometry = GRID, labels: Labels | None = None) -> Measured:
    return measured(Volume(voxels if voxels.ndim == 4 else voxels[None], grid, "MR"), labels)


def case(name: str, *, label: Source | int | None = None, **fields: Any) -> Case:
    return Case(name, (Source("nifti", (Path(f"{name}.nii.gz"),)),), label=label, **fields)


def cases_of(cohort: Mapping[str, Measured], **fields: Any) -> list[Case]:
    return [case(name, patient=f"patient of {name}", **fields) for name in cohort]


def codes(findings: tuple[Finding, ...]) -> list[tuple[str, str]]:
    return [(finding.code, finding.grade) for finding in findings]


@pytest.fixture(scope="module")
def cohort() -> dict[str, Measured]:
    return {f"c{seed:02d}": figures(texture(seed), labels=ball(8 + seed % 3 / 10)) for seed in range(12)}


# one case


def test_the_figures_of_a_case_are_those_of_its_voxels() -> None:
    voxels = np.arange(1000, dtype=np.int16).reshape(10, 10, 10)
    labels = np.zeros((10, 10, 10), dtype=np.uint8)
    labels[2:4, 2:4, 2:4] = 1
    labels[0, 0, :5] = 2
    grid = Geometry.from_spacing((1.0, 2.0, 3.0), (10, 10, 10))
    entry = figures(voxels, grid, Labels(labels, grid, NAMES))
    (values,) = entry.intensities
    assert (values.least, values.median, values.greatest, values.mean) == (0, 499.5, 999, 499.5)
    assert (values.low, values.high) == pytest.approx((4.995, 994.005))
    assert values.sd == pytest.approx(np.std(np.arange(1000)))
    assert values.share_least == 0.001
    assert entry.labels is not None
    assert (entry.labels[1].voxels, entry.labels[1].touches_edge) == (8, False)
    assert entry.labels[1].volume_ml == pytest.approx(0.048)
    assert (entry.labels[2].voxels, entry.labels[2].touches_edge) == (5, True)
    assert entry.modality == "MR"
    assert not entry.is_flat


def test_a_picture_has_no_volume_in_ml_and_its_only_slice_is_no_edge() -> None:
    grid = Geometry.of_picture(8, 6)
    labels = np.zeros((8, 6, 1), dtype=np.uint8)
    labels[3, 3] = 1
    entry = figures(np.arange(48).reshape(8, 6, 1), grid, Labels(labels, grid, NAMES))
    assert entry.labels is not None
    assert entry.labels[1].volume_ml is None
    assert not entry.labels[1].touches_edge
    assert entry.is_flat
    assert entry.thumbnail.shape == (32, 32, 1)


def test_a_clean_case_gives_no_finding(cohort: dict[str, Measured]) -> None:
    for name, entry in cohort.items():
        assert check_case(case(name, label_names=NAMES), entry) == ()


def test_an_image_without_labels_is_checked_by_itself() -> None:
    assert check_case(case("a", label=1), figures(texture(0))) == ()


def test_a_constant_image_and_a_constant_channel_are_told() -> None:
    (found,) = check_case(case("a"), figures(np.full(GRID.shape, 7.0)))
    assert (found.code, found.grade) == ("constant-image", "warning")
    assert found.message == "case a: all voxels of the image have the value 7"
    two = figures(np.stack([texture(0), np.zeros(GRID.shape, dtype=np.float32)]))
    (found,) = check_case(case("a"), two)
    assert found.message == "case a: all voxels of channel 2 have the value 0"


@pytest.mark.parametrize(
    ("slices", "words"),
    [
        (slice(0, 3), "slices 1 to 3, the first of the image,"),
        (slice(9, 10), "slice 10, between others,"),
        (slice(20, 24), "slices 21 to 24, the last of the image,"),
    ],
)
def test_zero_filled_slices_are_named(slices: slice, words: str) -> None:
    voxels = texture(0)
    voxels[:, :, slices] = 0
    (found,) = check_case(case("a"), figures(voxels))
    assert (found.code, found.grade) == ("slab-constant", "warning")
    assert words in found.message
    (found,) = check_case(case("a"), figures(np.stack([texture(1), voxels])))
    assert found.message.endswith("of channel 2")


def test_a_copy_cut_within_a_slice_is_seen_by_the_slice_before() -> None:
    voxels = texture(0)
    cut = voxels.ravel(order="F")
    cut[int(0.55 * cut.size) :] = 0
    (found,) = check_case(case("a"), figures(cut.reshape(GRID.shape, order="F")))
    assert "slices 15 to 24" in found.message


def test_a_structure_that_thins_out_in_emptiness_is_no_cut_slab() -> None:
    grid = Geometry.from_spacing((1, 1, 1), (40, 40, 40))
    away = np.linalg.norm(np.moveaxis(np.indices(grid.shape), 0, -1) - 19.5, axis=-1)
    brain = np.where(away < 15, texture(0, grid), 0)
    small = np.where(away < 4, texture(0, grid), 0)
    small[:, :, 20:] = 0
    for voxels in (brain, small):
        entry = figures(voxels, grid)
        assert entry.slabs
        assert check_case(case("a"), entry) == ()
    brain[:, :, 20:] = 0
    assert codes(check_case(case("a"), figures(brain, grid))) == [("slab-constant", "warning")]


def test_each_value_of_slabs_is_compared_with_all_voxels_once(monkeypatch: pytest.MonkeyPatch) -> None:
    voxels = np.random.default_rng(0).integers(1, 9, (6, 6, 60))
    voxels[:, :, 1::6], voxels[:, :, 4::6] = 0, 9
    passes, count = [], np.count_nonzero
    monkeypatch.setattr(np, "count_nonzero", lambda *given, **axis: passes.append(axis) or count(*given, **axis))
    slabs = figures(voxels, Geometry.from_spacing((1, 1, 1), voxels.shape)).slabs
    assert [(slab.first, slab.last) for slab in slabs] == [(k, k) for k in range(1, 60, 3)]
    assert {(slab.beside, slab.typical) for slab in slabs} == {(1.0, 1.0)}
    assert passes.count({"axis": (0, 1)}) == 2


def test_slices_that_are_each_of_one_value_are_no_slab() -> None:
    ramp = np.broadcast_to(np.arange(24.0), GRID.shape)
    assert figures(ramp).slabs == ()


def test_labels_that_are_empty_absent_unnamed_or_cut_are_told() -> None:
    source = Source("nifti", (Path("label.nii.gz"),))
    stated = case("a", label=source, label_names={1: "inner", 2: "outer"})
    empty = ball(0)
    assert codes(check_case(stated, figures(texture(0), labels=empty))) == [("label-empty", "warning")]
    only = Labels(ball().voxels // 2, GRID, {1: "inner"})
    (found,) = check_case(stated, figures(texture(0), labels=only))
    assert (found.code, found.grade, found.path) == ("label-absent", "note", Path("label.nii.gz"))
    assert found.message == "case a: no voxel has label 2"
    more = Labels(ball().voxels * 2, GRID, {2: "outer", 4: "other"})
    assert codes(check_case(stated, figures(texture(0), labels=more)))[0] == ("bad-labels", "error")
    assert codes(check_case(stated, figures(texture(0), labels=ball(12)))) == [("label-at-edge", "note")]


# the grids of an image and its labels


@pytest.mark.parametrize("orientation", [o for o in ORIENTATIONS if o != "RAS"])
def test_another_order_of_axes_is_recognised(orientation: str) -> None:
    found = compare_grids(GRID.reoriented(orientation), GRID)
    assert found.explanation == f"the same voxels, stored as {orientation} instead of RAS"
    assert found.apart > 1


TURN = np.array([[0.96, -0.28, 0.0, 12.0], [0.28, 0.96, 0.0, -30.0], [0.0, 0.0, 1.0, 5.0], [0.0, 0.0, 0.0, 1.0]])
OBLIQUE = Geometry(TURN @ GRID.affine, GRID.shape)


@pytest.mark.parametrize(
    ("label", "image", "words"),
    [
        (GRID, GRID, "the grids agree"),
        (
            Geometry(np.diag([-1, -1, 1, 1]) @ OBLIQUE.affine, GRID.shape),
            OBLIQUE,
            "the world's origin: left and right and",
        ),
        (OBLIQUE.turned((-1, 1, 1)), OBLIQUE, "the image's middle: left and right are exchanged"),
        (Geometry(np.eye(4), GRID.shape), OBLIQUE, "identity affine"),
        (Geometry(GRID.affine + np.eye(4, k=3) * 4.5, GRID.shape), GRID, "shifted by 4.5, 0, 0 mm"),
        (GRID.cropped((0, 0, 2), (32, 36, 20)), GRID, "the same spacing, and another field of view"),
        (GRID.resampled((2.0, 2.0, 3.0)), GRID, "the same field of view, and another spacing"),
    ],
)
def test_a_slip_of_the_label_is_explained(label: Geometry, image: Geometry, words: str) -> None:
    explanation = compare_grids(label, image).explanation
    assert explanation is not None
    assert words in explanation


def test_what_no_known_slip_explains_has_no_explanation() -> None:
    turned = GRID.affine.copy()
    turned[:2, :2] = [[0.8, -0.6], [0.6, 0.8]]
    assert compare_grids(Geometry(turned, GRID.shape), GRID).explanation is None
    assert compare_grids(GRID.cropped((0, 0, 0), (8, 8, 8)).resampled((3, 3, 3)), GRID).explanation is None


@given(st.tuples(*[st.floats(-50, 50)] * 3))
def test_a_shift_is_stated_in_mm(shift: tuple[float, float, float]) -> None:
    affine = GRID.affine.copy()
    affine[:3, 3] += shift
    assert compare_grids(Geometry(affine, GRID.shape), GRID).apart == pytest.approx(np.linalg.norm(shift), abs=1e-9)


# the cohort


def test_a_clean_cohort_gives_no_finding(cohort: dict[str, Measured]) -> None:
    assert check_cohort(cases_of(cohort), cohort) == ()


THICK, WIDE = Geometry.from_spacing((1, 1, 4), GRID.shape), Geometry.from_spacing((1, 1, 1.5), (96, 36, 24))


@pytest.mark.parametrize(
    ("code", "planted", "words"),
    [
        ("spacing-outlier", figures(texture(90), THICK), "foot-head spacing in mm is 4, the median is 1.5; "),
        ("size-outlier", figures(texture(90, WIDE), WIDE), "left-right field of view in mm is 96, "),
        ("intensity-outlier", figures(texture(90, mean=5000, sd=1000)), "99.5th percentile of the values is "),
        ("intensity-outlier", figures(np.maximum(texture(90), 470)), "share of voxels at the least "),
        ("volume-outlier", figures(texture(90), labels=ball(3)), "size of label "),
    ],
)
def test_a_planted_outlier_is_named(cohort: dict[str, Measured], code: str, planted: Measured, words: str) -> None:
    together = {**cohort, "odd": planted}
    (found,) = [finding for finding in check_cohort(cases_of(together), together) if finding.code == code]
    assert found.grade == "warning"
    assert found.message.startswith(f"case odd: {words}")


def test_values_about_zero_are_compared_as_they_are() -> None:
    cohort = {f"c{seed}": figures(texture(seed, mean=0)) for seed in range(10)}
    assert outliers(cohort) == ()
    shifted = {**cohort, "odd": figures(texture(90, mean=200))}
    assert {(found.case, found.code) for found in outliers(shifted)} == {("odd", "intensity-outlier")}


def test_few_cases_have_no_outlier(cohort: dict[str, Measured]) -> None:
    few = {**dict(list(cohort.items())[:6]), "odd": figures(texture(90, mean=5000))}
    assert outliers(few) == ()


def test_cases_of_another_kind_are_not_compared(cohort: dict[str, Measured]) -> None:
    other = replace(figures(texture(90, mean=5000)), modality="CT")
    assert outliers({**cohort, "ct": other}) == ()


def test_pictures_are_compared_in_pixels_and_label_voxels() -> None:
    cohort = {}
    for seed in range(9):
        grid = Geometry.of_picture(40, 40 if seed else 20)
        labels = np.zeros(grid.shape, dtype=np.uint8)
        labels[5 : 15 if seed else 7, 5:15] = 1
        cohort[f"c{seed}"] = figures(texture(seed, grid), grid, Labels(labels, grid, NAMES))
    found = {(entry.code, entry.figure) for entry in outliers(cohort)}
    assert found == {
        ("size-outlier", "number of voxels along j"),
        ("volume-outlier", "size of label 1 in voxels"),
    }


def test_constant_images_alone_are_no_outliers() -> None:
    same = figures(np.zeros(GRID.shape))
    assert outliers({f"c{number}": same for number in range(10)}) == ()


def test_one_value_that_differs_among_equal_zeros_is_infinitely_far() -> None:
    entries = {f"c{number}": figures(np.zeros(GRID.shape)) for number in range(9)}
    entries["odd"] = figures(np.full(GRID.shape, 3.0))
    (found,) = outliers(entries)
    assert found.distance == np.inf


def test_a_label_absent_from_one_case_and_present_in_all_others_is_a_warning() -> None:
    cohort = {f"c{seed:02d}": figures(texture(seed), labels=ball()) for seed in range(20)}
    cohort["c07"] = figures(texture(7), labels=Labels(ball().voxels // 2, GRID, NAMES))
    found = [finding for finding in check_cohort(cases_of(cohort), cohort) if finding.code == "label-absent"]
    assert [finding.message for finding in found] == ["label 2 is in 19 of 20 cases, and not in: case c07"]


def test_an_exact_copy_within_a_split_is_a_warning_and_across_splits_an_error(cohort: dict[str, Measured]) -> None:
    together = {**cohort, "copy": cohort["c03"]}
    (found,) = check_cohort(cases_of(together, split="train"), together)
    assert (found.code, found.grade) == ("duplicate", "warning")
    assert found.message == "the same image, voxel by voxel: case c03; case copy"
    cases = [*cases_of(cohort, split="train"), case("copy", patient="another", split="test")]
    (found,) = check_cohort(cases, together)
    assert (found.code, found.grade) == ("split-leak", "error")
    assert found.message == "the same image stands in two splits: case c03 (train) and case copy (test)"


def test_a_copy_with_other_labels_is_told_as_a_contradiction(cohort: dict[str, Measured]) -> None:
    together = {**cohort, "copy": figures(texture(3), labels=ball(8.2))}
    (found,) = check_cohort(cases_of(together), together)
    assert (found.code, found.grade) == ("labels-contradict", "warning")
    assert found.message == "the same image with labels that differ: case c03; case copy"
    images = {"a": figures(texture(0)), "b": figures(texture(0))}
    classes = [case("a", label=0, patient="1", split="train"), case("b", label=1, patient="2", split="val")]
    leak, contradiction = check_cohort(classes, images)[:2]
    assert leak.code == "split-leak"
    assert leak.message.endswith("case a (train) and case b (val)")
    assert (contradiction.code, contradiction.grade) == ("labels-contradict", "warning")


def test_a_copy_without_a_label_contradicts_none(cohort: dict[str, Measured]) -> None:
    together = {**cohort, "copy": figures(texture(3))}
    (found,) = check_cohort(cases_of(together), together)
    assert found.code == "duplicate"


def test_copies_count_once_whatever_the_type_of_their_numbers() -> None:
    voxels = np.arange(27, dtype=np.int16).reshape(3, 3, 3)
    grid = Geometry.from_spacing((1, 1, 1), (3, 3, 3))
    cohort = {"a": figures(voxels, grid), "b": figures(voxels.astype(np.float64), grid)}
    assert exact_copies(cohort) == (("a", "b"),)
    assert near_copies(cohort) == ()


def planted_copy(kind: str, voxels: NDArray[np.float32]) -> tuple[NDArray[Any], Geometry]:
    """Return a copy of an image as `kind` leaves it, with its grid."""
    noise = np.random.default_rng(1).normal(0, 20, voxels.shape)
    finer = GRID.resampled((0.8, 0.8, 1.2))
    made: dict[str, tuple[NDArray[Any], Geometry]] = {
        "rescaled": (voxels * 0.1 - 30, GRID),
        "gamma": ((voxels - voxels.min()) ** 0.8, GRID),
        "noise": (voxels + noise, GRID),
        "four bits": (np.round(15 * (voxels - voxels.min()) / np.ptp(voxels)).astype(np.uint8), GRID),
        "shifted": (np.roll(voxels, 1, axis=0), GRID),
        "mirrored": (voxels[::-1], GRID),
        "turned": (voxels[::-1, ::-1], GRID),
        "resampled": (resample(voxels, GRID, finer), finer),
        "reoriented": (voxels[::-1].transpose(2, 0, 1), GRID.reoriented("SLA")),
    }
    return made[kind]


@pytest.mark.parametrize(
    "kind",
    ["rescaled", "gamma", "noise", "four bits", "shifted", "mirrored", "turned", "resampled"],
)
def test_a_near_copy_is_found_among_others_and_alone(cohort: dict[str, Measured], kind: str) -> None:
    copy = figures(*planted_copy(kind, texture(3)))
    for together in ({**cohort, "copy": copy}, {"c03": cohort["c03"], "copy": copy}):
        (found,) = near_copies(together)
        assert (found.first, found.second) == ("c03", "copy")
        assert found.mirrored == (kind in ("mirrored", "turned"))


def test_a_copy_stored_in_another_axis_order_is_an_exact_one(cohort: dict[str, Measured]) -> None:
    voxels, grid = planted_copy("reoriented", texture(3))
    one, copy = figures(texture(3), labels=ball()), figures(voxels, grid, ball().onto(grid))
    assert (copy.digest, copy.labels_digest) == (one.digest, one.labels_digest)
    assert not near_copies({**cohort, "copy": copy})


def test_a_near_copy_is_a_note_within_a_patient_and_a_warning_elsewhere(cohort: dict[str, Measured]) -> None:
    together = {**cohort, "copy": figures(texture(3) + 5 * texture(77) / 100, labels=ball())}
    others = cases_of(cohort, split="train")

    def found(patient: str | None, split: str) -> tuple[str, str, str]:
        last = check_cohort([*others, case("copy", patient=patient, split=split)], together)[-1]
        return last.code, last.grade, last.message

    assert found("patient of c03", "train")[:2] == ("near-duplicate", "note")
    assert found("another", "train")[:2] == ("near-duplicate", "warning")
    assert found(None, "train")[:2] == ("near-duplicate", "warning")
    code, grade, message = found("another", "test")
    assert (code, grade) == ("split-leak", "warning")
    assert "case c03 (train) and case copy (test)" in message


def test_anatomy_that_all_share_makes_no_copies() -> None:
    shared = 400 * np.sin(np.indices(GRID.shape)[0] / 5) + 20 * np.indices(GRID.shape)[2]
    cohort = {f"c{seed}": figures(texture(seed) + shared) for seed in range(12)}
    patterns = np.stack([entry.thumbnail.astype(np.float64).ravel() for entry in cohort.values()])
    assert np.median(np.corrcoef(patterns)) > 0.8
    assert near_copies(cohort) == ()


def test_copies_of_a_structure_of_a_few_voxels_are_found() -> None:
    small = np.zeros(GRID.shape, dtype=np.float32)
    small[10:13, 20:22, 5:8] = np.arange(18).reshape(3, 2, 3) + 10
    (found,) = near_copies({"a": figures(small), "b": figures(small * 3)})
    assert (found.first, found.second) == ("a", "b")


def test_pictures_and_volumes_are_compared_among_themselves() -> None:
    grid = Geometry.of_picture(64, 48)
    picture, copy = figures(texture(0, grid), grid), figures(texture(0, grid)[::-1] * 2, grid)
    (found,) = near_copies({"a": picture, "b": copy, "volume": figures(texture(1)), "blank": figures(texture(2) * 0)})
    assert (found.first, found.second, found.mirrored) == ("a", "b", True)


@settings(max_examples=20, deadline=None)
@given(
    slope=st.floats(0.01, 100),
    intercept=st.floats(-1000, 1000),
    mirrors=st.tuples(*[st.sampled_from((1, -1))] * 3),
    seed=st.integers(0, 1000),
)
def test_any_rescaled_and_mirrored_copy_is_found(
    slope: float, intercept: float, mirrors: tuple[int, int, int], seed: int
) -> None:
    voxels = texture(seed)
    copy = (voxels * slope + intercept)[tuple(slice(None, None, m) for m in mirrors)]
    cohort = {"a": figures(voxels), "b": figures(copy.astype(np.float64)), "c": figures(texture(seed + 5000))}
    pairs = {(pair.first, pair.second) for pair in near_copies(cohort)} | set(exact_copies(cohort))
    assert pairs == {("a", "b")}


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(12)))
def test_the_order_of_the_cases_changes_nothing(cohort: dict[str, Measured], order: list[int]) -> None:
    together = {**cohort, "c12": figures(texture(3) * 2), "c13": figures(texture(40, mean=5000))}
    names = [*(f"c{number:02d}" for number in order), "c12", "c13"]
    assert near_copies({name: together[name] for name in names}) == near_copies(together)
    assert outliers({name: together[name] for name in names}) == outliers(together)


def test_thousands_of_cases_take_seconds() -> None:
    entry = figures(texture(0))
    generator = np.random.default_rng(0)
    cohort = {
        f"c{number:04d}": replace(entry, digest=str(number), thumbnail=generator.normal(0, 1, (16, 16, 16)))
        for number in range(2000)
    }
    cohort["c1999"] = replace(cohort["c0003"], digest="other")
    start = time.perf_counter()
    assert [(pair.first, pair.second) for pair in near_copies(cohort)] == [("c0003", "c1999")]
    assert time.perf_counter() - start < 20


# patients and classes


def test_a_patient_in_two_splits_is_an_error_that_names_cases_and_no_patient() -> None:
    cases = [case(f"c{n}", patient=f"Smith{n // 2}", split=("train", "test")[n % 2]) for n in range(14)]
    (found,) = check_cohort(cases, {})
    assert (found.code, found.grade) == ("split-leak", "error")
    assert found.message.startswith("7 patients stand in two splits: case c0 (train) and case c1 (test); ")
    assert found.message.endswith("and 2 more")
    assert "Smith" not in found.message
    (found,) = check_cohort(cases[:2], {})
    assert found.message == "a patient stands in two splits: case c0 (train) and case c1 (test)"


def test_patients_that_are_not_named_are_a_warning_where_there_is_a_split() -> None:
    assert codes(check_cohort([case("a"), case("b", patient="1")], {})) == [("split-ungrouped", "note")]
    (found,) = check_cohort([case("a", split="train"), case("b", patient="1", split="val")], {})
    assert (found.code, found.grade) == ("split-ungrouped", "warning")
    assert found.message.startswith("1 of 2 cases name no patient (first: case a)")


def test_rare_single_and_missing_classes_are_notes() -> None:
    def notes(*labels: int, val: int | None = None) -> list[str]:
        cases = [case(f"c{n}", label=label, patient=str(n), split="train") for n, label in enumerate(labels)]
        cases += [] if val is None else [case("v", label=val, patient="v", split="val")]
        return [found.message for found in check_cohort(cases, {}) if found.code == "classes-imbalanced"]

    assert notes(0, 0, 0, 1) == []
    assert notes(*[0] * 11, 1) == ["11 cases are of class 0, 1 of class 1"]
    assert notes(0, 0) == ["all 2 cases are of class 0"]
    assert notes(0, 1, val=1) == ["no case of val is of class 0"]
