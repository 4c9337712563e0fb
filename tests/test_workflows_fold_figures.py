"""Rankings of a cross-validation are judged within each fold, and once more over all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from medvision.workflows.fitting.fold_figures import fold_counts, fold_estimates, fold_notes
from medvision.workflows.scoring.scored import Scored
from medvision.workflows.scoring.scores import counts, estimates, sentences

AUC, POOLED = "AUC, mean of folds", "AUC, pooled over folds"


def fold(number: int, *cases: tuple[str, float]) -> list[Scored]:
    return [
        Scored(f"{number}-{n}", f"p{number}-{n}", probabilities={"a": 1 - chance, "b": chance}, truth=truth)
        for n, (truth, chance) in enumerate(cases)
    ]


LOW = fold(1, ("a", 0.1), ("a", 0.15), ("b", 0.2), ("b", 0.25))
HIGH = fold(2, ("a", 0.7), ("a", 0.75), ("b", 0.8), ("b", 0.85))


def test_networks_that_rank_rightly_on_other_scales_are_right_within_folds_and_not_pooled() -> None:
    found = fold_estimates([LOW, HIGH], seed=0)
    assert list(found) == [AUC, POOLED, "accuracy"]
    assert (found[AUC].value, found[POOLED].value, found["accuracy"].value) == (1.0, 0.75, 0.5)
    assert (found[AUC].low, found[AUC].n) == (None, 8), "all resamples give the same"
    assert fold_estimates([LOW, HIGH], seed=None)[AUC].value == 1.0
    assert fold_notes([LOW, HIGH]) == ()


def test_folds_count_by_their_patients_and_have_an_interval_of_patients_within_them() -> None:
    random = np.random.default_rng(0)
    mixed = fold(3, *(("ab"[n % 2], float(random.uniform(0, 0.7) + 0.3 * (n % 2))) for n in range(24)))
    own = estimates(mixed, seed=None)["AUC"].value
    found = fold_estimates([LOW, mixed], seed=0)[AUC]
    assert own is not None
    assert found.value == pytest.approx((4 * 1.0 + 24 * own) / 28)
    assert found.low is not None
    assert found.high is not None
    assert 0.0 < found.low < found.value < found.high <= 1.0
    assert found == fold_estimates([LOW, mixed], seed=0)[AUC]


def test_folds_of_one_class_are_left_out_of_the_mean_and_told() -> None:
    one = fold(4, ("a", 0.9), ("a", 0.1))
    assert fold_estimates([LOW, one], seed=0)[AUC].value == 1.0
    assert fold_notes([LOW, one]) == ("AUC is not defined in 1 of 2 folds, which its mean leaves out",)
    assert fold_estimates([one, one], seed=0)[AUC].value is None


def test_the_patients_of_a_mean_are_those_of_the_folds_in_which_it_is_defined() -> None:
    one = fold(4, ("a", 0.9), ("a", 0.1))
    assert [fold_estimates(folds, seed=0)[AUC].n for folds in ([LOW, one], [LOW, HIGH], [one, one])] == [4, 8, 4]


@pytest.mark.parametrize(
    ("sizes", "told"), [((2, 2), False), ((3, 3), False), ((3, 4), True), ((1,) * 5 + (3,), False), ((6,), True)]
)
def test_so_few_patients_as_have_no_interval_elsewhere_have_none_within_folds(
    sizes: tuple[int, ...], *, told: bool
) -> None:
    random = np.random.default_rng(1)
    folds = []
    for number, patients in enumerate(sizes):
        cases = fold(number, *(("ab"[n % 2], float(random.uniform())) for n in range(4 * patients)))
        folds.append([replace(case, patient=f"{number}-{n // 4}") for n, case in enumerate(cases)])
    found = fold_estimates(folds, seed=0)[AUC]
    assert (found.n, found.low is not None) == (sum(sizes), told)


def test_several_labels_have_their_own_means_and_masks_stay_as_they_are() -> None:
    def marked(name: str, mark: bool | None, chance: float) -> Scored:
        limits = {"x": 0.5, "y": 0.5}
        marks = {"x": mark, "y": None}
        return Scored(name, name, probabilities={"x": chance, "y": 0.5}, thresholds=limits, marks=marks)

    folds = [[marked("a", False, 0.1), marked("b", True, 0.2)], [marked("c", False, 0.8), marked("d", True, 0.9)]]
    found = fold_estimates(folds, seed=0)
    assert found["AUC x, mean of folds"].value == 1.0
    assert found["AUC x, pooled over folds"].value == 0.75
    assert found[AUC].value == 1.0
    assert not any(title.startswith("AUC y") for title in found)
    masks = [[Scored("a", "a", dice={"x": 0.5})], [Scored("b", "b", dice={"x": 1.0})]]
    assert fold_estimates(masks, seed=0) == estimates([*masks[0], *masks[1]], seed=0)


def test_a_figure_says_over_how_many_of_the_cases_it_is() -> None:
    masks = [Scored("a", "a", dice={"x": 0.5, "y": None}), Scored("b", "b", dice={"x": 1.0, "y": 0.5})]
    assert counts(masks) == {"Dice y": 1}
    told = sentences(estimates(masks, seed=None), held_out=2, over=counts(masks))
    assert [("1 of 2 held-out cases" in sentence) for sentence in told] == [False, False, True]
    marks = [
        Scored(n, n, probabilities={"x": c}, thresholds={"x": 0.5}, marks={"x": m})
        for n, c, m in (("a", 0.1, False), ("b", 0.9, True), ("c", 0.5, None))
    ]
    assert counts(marks) == {"AUC x": 2, "accuracy x": 2, "F1 x": 2}
    folds = [marks, marks]
    told = sentences(fold_estimates(folds, seed=None), held_out=6, over=fold_counts(folds))
    assert [sentence.startswith("AUC x") for sentence in told if "4 of 6 held-out cases" in sentence].count(True) == 2
    values = [
        Scored(n, n, values={"age": 1.0}, truths={"age": t}, units={"age": "1"}) for n, t in (("a", 2.0), ("b", None))
    ]
    assert counts(values)["MAE age"] == 1
    two = [
        replace(each, values={"age at scan": 1.0, "age": 1.0}, truths={"age at scan": 2.0, **each.truths})
        for each in values
    ]
    two = [replace(each, units={"age at scan": "1", "age": "1"}) for each in two]
    assert counts(two) == {title: 1 for title in estimates(two, seed=None) if title.endswith(" age")}
