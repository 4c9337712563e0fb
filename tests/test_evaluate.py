from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.errors import GeometryError, InputError, UsageError
from medvision.evaluate import (
    Estimate,
    accuracy,
    auc,
    bootstrap_interval,
    dice,
    hausdorff95,
    multiclass_auc,
    sensitivity,
    specificity,
)
from medvision.geometry import Geometry
from medvision.volume import Labels

GRID = Geometry.from_spacing((1.0, 2.0, 3.0), (8, 8, 8))


def labels(*boxes: tuple[slice, ...], grid: Geometry = GRID, names: dict[int, str] | None = None) -> Labels:
    """The first box is 1, the second 2."""
    voxels = np.zeros(grid.shape, dtype=np.uint8)
    for number, box in enumerate(boxes, start=1):
        voxels[box] = number
    return Labels(voxels, grid, names or {1: "liver", 2: "spleen"})


LOW, HIGH, NONE = np.s_[0:4, 0:4, 0:4], np.s_[2:4, 0:4, 0:4], np.s_[0:0, 0:0, 0:0]
FAR = np.s_[6:8, 6:8, 6:8]


def test_dice_is_twice_the_common_part_over_the_sum() -> None:
    # 64 and 32 voxels, 32 in common; the second label is in both by itself.
    assert dice(labels(HIGH, FAR), labels(LOW, FAR)) == {"liver": 64 / 96, "spleen": 1.0}


def test_dice_is_0_where_one_is_empty_and_unknown_where_both_are() -> None:
    assert dice(labels(LOW), labels(NONE, FAR)) == {"liver": 0.0, "spleen": 0.0}
    assert dice(labels(LOW), labels(LOW)) == {"liver": 1.0, "spleen": None}


def test_labels_are_compared_by_name_not_by_number() -> None:
    swapped = labels(FAR, LOW, names={1: "spleen", 2: "liver"})
    assert dice(swapped, labels(LOW, FAR)) == {"liver": 1.0, "spleen": 1.0}


@pytest.mark.parametrize("measure", [dice, hausdorff95])
def test_masks_on_other_grids_are_not_compared(measure: object) -> None:
    moved = Geometry.from_spacing((1.0, 2.0, 3.1), (8, 8, 8))
    with pytest.raises(GeometryError) as caught:
        measure(labels(LOW), labels(LOW, grid=moved))  # type: ignore[operator]
    assert caught.value.code == "grid-differs"


@pytest.mark.parametrize(
    "names", [{1: "liver", 2: "kidney"}, {1: "liver"}, {1: "liver", 2: "liver"}, {1: "liver", 2: "spleen", 3: "liver"}]
)
def test_masks_with_other_or_repeated_names_are_not_compared(names: dict[int, str]) -> None:
    for pair in ((labels(LOW, names=names), labels(LOW)), (labels(LOW), labels(LOW, names=names))):
        with pytest.raises(InputError) as caught:
            dice(*pair)
        assert caught.value.code == "bad-labels"


def test_a_name_that_repeats_on_both_sides_is_refused_too() -> None:
    twice = labels(LOW, names={1: "liver", 2: "liver"})
    with pytest.raises(InputError):
        dice(twice, twice)


@pytest.mark.parametrize(("axis", "distance"), [(0, 2.0), (1, 4.0), (2, 6.0)])
def test_the_hausdorff_distance_of_two_voxels_is_their_distance_in_mm(axis: int, distance: float) -> None:
    at = [np.s_[2:3], np.s_[2:3], np.s_[2:3]]
    moved = list(at)
    moved[axis] = np.s_[4:5]
    assert hausdorff95(labels(tuple(moved)), labels(tuple(at)))["liver"] == pytest.approx(distance)


def test_the_hausdorff_distance_of_equal_masks_is_0_and_of_empty_ones_unknown() -> None:
    assert hausdorff95(labels(LOW), labels(LOW)) == {"liver": 0.0, "spleen": None}
    assert hausdorff95(labels(LOW, FAR), labels(LOW)) == {"liver": 0.0, "spleen": None}


def test_the_greater_direction_counts() -> None:
    # All of the small mask lies on the surface of the large one; the far end of the large one is 5 mm away.
    row, end = np.s_[0:6, 0:1, 0:1], np.s_[0:1, 0:1, 0:1]
    wanted = np.percentile([0, 1, 2, 3, 4, 5], 95)
    assert hausdorff95(labels(row), labels(end))["liver"] == pytest.approx(wanted)
    assert hausdorff95(labels(end), labels(row))["liver"] == pytest.approx(wanted)


def test_only_surfaces_count_and_a_filled_box_is_as_far_as_a_hollow_one() -> None:
    box = labels(np.s_[1:6, 1:6, 1:6])
    voxels = box.voxels.copy()
    voxels[2:5, 2:5, 2:5] = 0
    voxels[3, 3, 3] = 1
    # The speck in the middle is 2, 4 or 6 mm from the box's surface: 2 at the nearest; it is 1 of 99 points.
    hollow = Labels(voxels, GRID, {1: "liver", 2: "spleen"})
    assert hausdorff95(hollow, box)["liver"] == 0.0


def test_the_edge_of_the_field_of_view_is_a_surface() -> None:
    full, hole = labels(np.s_[:, :, :]), labels(np.s_[:, :, 0:1])
    # The nearest surface of the slab to the far end of the full volume is 7 voxels of 3 mm away.
    assert hausdorff95(full, hole)["liver"] == pytest.approx(21.0)


def test_a_single_slice_is_measured_in_its_plane() -> None:
    grid = Geometry.from_spacing((1, 1, 5), (9, 9, 1))
    disc, dot = labels(np.s_[0:7, 0:7, :], grid=grid), labels(np.s_[3:4, 3:4, :], grid=grid)
    # 24 voxels of the rim, not 49 of the area; the 4 corners are 3 * sqrt(2) away, the next ones sqrt(13).
    rim = [np.hypot(i - 3, j - 3) for i in range(7) for j in range(7) if {i, j} & {0, 6}]
    assert len(rim) == 24
    assert hausdorff95(disc, dot)["liver"] == pytest.approx(np.percentile(rim, 95))


def test_shear_counts_in_distances() -> None:
    affine = np.eye(4)
    affine[0, 2] = 1.0  # a step along k goes 1 mm to the right as well
    sheared = Geometry(affine, (8, 8, 8))
    a, b = labels(np.s_[2:3, 2:3, 2:3], grid=sheared), labels(np.s_[2:3, 2:3, 4:5], grid=sheared)
    assert hausdorff95(a, b)["liver"] == pytest.approx(np.hypot(2, 2))


def test_pictures_have_no_distance_in_mm() -> None:
    picture = Geometry.of_picture(8, 8)
    mask = labels(np.s_[0:4, 0:4, :], grid=picture)
    assert hausdorff95(mask, mask) == {"liver": None, "spleen": None}
    assert dice(mask, mask)["liver"] == 1.0


def test_auc_counts_pairs_in_the_right_order_and_ties_by_half() -> None:
    # Pairs: 2 > 1, 2 = 2 (half), 3 > 1, 3 > 2.
    assert auc([1, 2, 2, 3], [0, 0, 1, 1]) == 3.5 / 4
    assert auc([1, 2], [0, 1]) == 1.0
    assert auc([2, 1], [0, 1]) == 0.0
    assert auc([5, 5, 5], [0, 1, 0]) == 0.5


def test_auc_of_one_class_is_unknown() -> None:
    assert auc([1, 2], [1, 1]) is None
    assert auc([1, 2], [0, 0]) is None
    assert auc([], []) is None


scored = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=40).filter(
    lambda rows: len({true for _, true in rows}) == 2
)


@settings(deadline=None)
@given(scored)
def test_auc_agrees_with_scikit_learn_and_with_all_pairs(rows: list[tuple[int, bool]]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    scores, truth = (np.array(column) for column in zip(*rows, strict=True))
    found = auc(scores, truth)
    assert found == pytest.approx(metrics.roc_auc_score(truth, scores))
    pairs = np.sign(scores[truth][:, None] - scores[~truth][None])
    assert found == pytest.approx((pairs.mean() + 1) / 2)


@settings(deadline=None)
@given(scored)
def test_auc_does_not_change_with_the_scale_and_turns_round_with_the_sign(rows: list[tuple[int, bool]]) -> None:
    scores, truth = (np.array(column) for column in zip(*rows, strict=True))
    found = auc(scores, truth)
    assert auc(np.exp(scores), truth) == pytest.approx(found)
    assert auc(-scores, truth) == pytest.approx(1 - found)  # type: ignore[operator]


def test_multiclass_auc_is_the_mean_of_one_class_against_the_rest() -> None:
    scores = np.array([[0.8, 0.1, 0.1], [0.3, 0.4, 0.3], [0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])
    truth = [0, 1, 1, 2]
    # Class 0: 1; class 1 (0.4, 0.3 against 0.1, 0.2): 1; class 2: 1.
    assert multiclass_auc(scores, truth) == 1.0
    scores[3, 1] = 0.35  # now above one of the two cases of class 1: 3 of 4 pairs are right
    assert multiclass_auc(scores, truth) == pytest.approx((1 + 0.75 + 1) / 3)


def test_multiclass_auc_of_two_classes_is_the_auc() -> None:
    positive = np.array([0.2, 0.6, 0.5, 0.9])
    assert multiclass_auc(np.stack([1 - positive, positive], axis=1), [0, 1, 0, 1]) == auc(positive, [0, 1, 0, 1])


def test_multiclass_auc_is_unknown_where_a_class_has_no_case() -> None:
    assert multiclass_auc(np.eye(3)[[0, 1]], [0, 1]) is None
    assert multiclass_auc(np.empty((0, 3)), []) is None
    assert multiclass_auc(np.empty((2, 0)).reshape(0, 0), []) is None


def test_accuracy_sensitivity_and_specificity_as_counted_by_hand() -> None:
    predicted, truth = [1, 1, 0, 0, 1], [1, 0, 1, 0, 1]
    assert accuracy(predicted, truth) == 3 / 5
    assert sensitivity(predicted, truth) == 2 / 3
    assert specificity(predicted, truth) == 1 / 2


def test_parts_of_nothing_are_unknown() -> None:
    assert accuracy([], []) is None
    assert sensitivity([True], [False]) is None
    assert specificity([True], [True]) is None


@pytest.mark.parametrize(
    ("ask", "code"),
    [
        (lambda: auc([1, float("nan")], [0, 1]), "not-finite"),
        (lambda: auc([[1, 2]], [0, 1]), "not-finite"),
        (lambda: auc([1, 2, 3], [0, 1]), "bad-labels"),
        (lambda: auc([1, 2], [0, 2]), "bad-labels"),
        (lambda: sensitivity([0.5], [1]), "bad-labels"),
        (lambda: sensitivity([1], [1, 0]), "bad-labels"),
        (lambda: accuracy([0.5], [1]), "bad-labels"),
        (lambda: accuracy([1, 2], [1]), "bad-labels"),
        (lambda: multiclass_auc([0.5, 0.5], [0, 1]), "bad-labels"),
        (lambda: multiclass_auc([[0.5, 0.5]], [0, 1]), "bad-labels"),
        (lambda: multiclass_auc([[0.5, 0.5]], [2]), "bad-labels"),
        (lambda: multiclass_auc([[0.5, 0.5]], [-1]), "bad-labels"),
        (lambda: bootstrap_interval(np.array([1.0, np.nan]), None, np.mean, seed=0), "not-finite"),
        (lambda: bootstrap_interval(np.array([1.0, None]), None, np.mean, seed=0), "not-finite"),
        (lambda: bootstrap_interval((np.ones(2), np.ones(3)), None, auc, seed=0), "bad-labels"),
        (lambda: bootstrap_interval(np.ones(2), ["a"], np.mean, seed=0), "bad-labels"),
    ],
)
def test_figures_that_cannot_be_compared_are_refused(ask: object, code: str) -> None:
    with pytest.raises(InputError) as caught:
        ask()  # type: ignore[operator]
    assert caught.value.code == code


@pytest.mark.parametrize("settings", [{"level": 0.0}, {"level": 1.0}, {"level": 95}, {"resamples": 0}])
def test_a_bootstrap_that_makes_no_sense_is_refused(settings: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        bootstrap_interval(np.arange(3.0), None, np.mean, seed=0, **settings)  # type: ignore[arg-type]


def test_the_interval_of_two_patients_can_be_counted_where_its_level_is_low_enough() -> None:
    # Means of resamples: 0, 0.5 or 1 with 1/4, 1/2 and 1/4.
    middle = bootstrap_interval(np.array([0.0, 1.0]), None, np.mean, seed=3, level=0.4)
    assert (middle.low, middle.high, middle.level) == (0.5, 0.5, 0.4)


def test_five_patients_have_no_interval_and_six_have_one() -> None:
    five = bootstrap_interval(np.arange(5.0), None, np.mean, seed=3)
    assert five == Estimate(2.0, None, None, 5)
    assert str(five) == "2.000 (no interval, n = 5 of 6 needed)"
    twice = bootstrap_interval(np.arange(10.0), [*"abcde"] * 2, np.mean, seed=3)
    assert (twice.low, twice.n) == (None, 5), "patients count, and not cases"
    six = bootstrap_interval(np.arange(6.0), None, np.mean, seed=3)
    assert (six.low, six.high) == (pytest.approx(1.17, abs=0.1), pytest.approx(3.83, abs=0.1))


def test_the_interval_of_a_mean_holds_it_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    held = 0
    for trial in range(300):
        found = bootstrap_interval(generator.normal(3.0, 2.0, 40), None, np.mean, resamples=200, seed=trial)
        held += found.low <= 3.0 <= found.high  # type: ignore[operator]
    # 95 % less what a percentile interval of 40 lacks (about 1.5 %), and three standard errors of 300 trials.
    assert 0.90 <= held / 300 <= 0.985


def test_cases_of_a_patient_do_not_count_as_patients() -> None:
    generator = np.random.default_rng(1)
    means = generator.normal(0.0, 1.0, 20)
    values = np.repeat(means, 10)
    patients = [f"p{number}" for number in range(20) for _ in range(10)]
    together = bootstrap_interval(values, patients, np.mean, resamples=500, seed=0)
    apart = bootstrap_interval(values, None, np.mean, resamples=500, seed=0)
    alone = bootstrap_interval(means, None, np.mean, resamples=500, seed=0)
    width = {name: e.high - e.low for name, e in (("together", together), ("apart", apart), ("alone", alone))}  # type: ignore[operator]
    assert (together.n, apart.n) == (20, 200)
    assert width["together"] == pytest.approx(width["alone"], rel=0.15)
    assert width["together"] > 2.5 * width["apart"]


@settings(deadline=None)
@given(st.permutations(range(8)))
def test_the_order_of_cases_does_not_matter(order: list[int]) -> None:
    values = np.array([1.0, 2, 4, 8, 16, 32, 64, 128])
    patients = ["b", "a", "b", "c", "d", "d", "e", "a"]
    wanted = bootstrap_interval(values, patients, np.mean, resamples=50, seed=5)
    found = bootstrap_interval(values[order], [patients[i] for i in order], np.mean, resamples=50, seed=5)
    assert found == wanted


def test_a_case_without_a_patient_is_a_patient_of_its_own() -> None:
    assert bootstrap_interval(np.arange(5.0), ["a", "a", None, None, 1], np.mean, seed=0).n == 4


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    values = np.random.default_rng(2).normal(size=30)
    first, again, other = (bootstrap_interval(values, None, np.mean, resamples=100, seed=s) for s in (1, 1, 2))
    assert first == again
    assert first != other


def test_the_interval_of_an_auc_resamples_scores_and_truth_together() -> None:
    generator = np.random.default_rng(4)
    truth = np.arange(80) % 2 == 0
    scores = generator.normal(size=80) + truth
    found = bootstrap_interval((scores, truth), None, auc, resamples=500, seed=0)
    assert found.value == auc(scores, truth)
    # Normal scores one deviation apart have an area of 0.760; its standard error is about 0.054 here.
    assert 0.15 < found.high - found.low < 0.28  # type: ignore[operator]
    assert found.low < 0.76 < found.high  # type: ignore[operator]


@pytest.mark.parametrize(
    ("values", "groups"),
    [
        (np.array([0.3, 0.5]), ["a", "a"]),  # one patient
        (np.array([1.0, 1.0, 1.0]), None),  # every resample is the same
    ],
)
def test_no_interval_is_claimed_where_none_can_be_told(values: np.ndarray, groups: list[str] | None) -> None:
    found = bootstrap_interval(values, groups, np.mean, seed=0)
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == (None, None)


def test_no_interval_is_claimed_where_many_resamples_are_not_defined() -> None:
    # One positive case in three: it is missing from (2/3)^3 = 30 % of the resamples.
    few = bootstrap_interval((np.array([0.1, 0.2, 0.15]), np.array([0, 1, 0])), None, auc, seed=0)
    assert (few.value, few.low) == (1.0, None)
    # Five of ten: 0.1 % of the resamples lack them, and are left out.
    scores, truth = np.array([1, 5, 2, 6, 3, 4, 7, 8, 2.5, 4.5]), np.arange(10) % 2
    assert bootstrap_interval((scores, truth), None, auc, seed=0).low is not None


def test_a_statistic_that_is_not_defined_at_all_gives_no_figure() -> None:
    nothing = bootstrap_interval((np.array([0.1, 0.2]), np.array([1, 1])), None, auc, seed=0)
    assert nothing == Estimate(None, None, None, 2)
    assert bootstrap_interval(np.array([]), None, np.mean, seed=0) == Estimate(None, None, None, 0)
    assert bootstrap_interval(np.array([1.0, 2.0]), None, lambda values: float("nan"), seed=0).value is None


def test_the_values_are_left_alone() -> None:
    values = np.arange(5.0)
    bootstrap_interval(values, None, np.mean, seed=0)
    assert np.array_equal(values, np.arange(5.0))


def test_an_estimate_becomes_json() -> None:
    assert Estimate(0.5, None, None, 2).to_json() == {"value": 0.5, "low": None, "high": None, "n": 2, "level": 0.95}


def test_an_estimate_says_its_level() -> None:
    assert str(Estimate(3.2104, 2.1, 4.0, 12, 0.9)) == "3.210 (90 % interval 2.100 to 4.000, n = 12)"
