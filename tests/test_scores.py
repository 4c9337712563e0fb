"""Figures of a training and of an evaluation, against numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from medvision.contract import Contract
from medvision.evaluate import Estimate
from medvision.networks import ResNet
from medvision.pipeline import Settings
from medvision.predict import Quantity
from medvision.workflows.scoring.scores import Scored, counted_by, deciding, estimates, left_out, scores_csv, sentences

MASKS = [
    Scored("a", "p1", {"x": 0.5, "y": 1.0}, {"x": 2.0, "y": None}),
    Scored("b", "p1", {"x": 1.0, "y": None}, {"x": 0.0, "y": None}),
    Scored("c", "p2", {"x": None, "y": None}, {"x": None, "y": None}),
    Scored("d", "p3", {"x": 0.0, "y": 0.25}, {"x": 9.0, "y": None}),
]


def classed(case: str, patient: str, truth: str, **probabilities: float) -> Scored:
    return Scored(case, patient, probabilities=probabilities, truth=truth)


TWO = [
    classed("a", "p1", "ill", well=0.9, ill=0.1),
    classed("b", "p1", "ill", well=0.2, ill=0.8),
    classed("c", "p2", "well", well=0.6, ill=0.4),
    classed("d", "p3", "well", well=0.7, ill=0.3),
]


def test_mean_dice_is_the_mean_over_cases_of_the_mean_over_labels_that_are_defined() -> None:
    found = estimates(MASKS, seed=None)
    assert found["mean Dice"].value == pytest.approx((0.75 + 1.0 + 0.125) / 3)
    assert found["Dice x"].value == pytest.approx((0.5 + 1.0 + 0.0) / 3)
    assert found["Dice y"].value == pytest.approx((1.0 + 0.25) / 2)
    assert found["HD95 x (mm)"].value == pytest.approx((2.0 + 0.0 + 9.0) / 3)


def test_what_is_defined_in_no_case_is_left_out() -> None:
    assert list(estimates(MASKS, seed=None)) == ["mean Dice", "Dice x", "Dice y", "HD95 x (mm)"]
    assert estimates(MASKS[2:3], seed=0) == {}


def test_without_a_seed_there_is_no_interval_but_the_number_of_patients() -> None:
    for name, n in (("mean Dice", 2), ("Dice x", 2), ("Dice y", 2)):
        found = estimates(MASKS, seed=None)[name]
        assert (found.low, found.high, found.n) == (None, None, n)


def test_with_a_seed_the_interval_is_over_patients_and_the_same_each_time() -> None:
    scored = [Scored(f"c{n}", f"p{n % 6}", {"x": (n % 6) / 10}) for n in range(50)]
    found = estimates(scored, seed=3)["Dice x"]
    assert found == estimates(scored, seed=3)["Dice x"]
    assert found.n == 6
    assert found.low is not None
    assert found.high is not None
    alone = estimates([Scored(s.case, s.case, s.dice) for s in scored], seed=3)["Dice x"]
    assert alone.n == 50
    assert alone.high is not None
    assert alone.low is not None
    assert found.high - found.low > 2 * (alone.high - alone.low), "50 cases of 5 patients tell little more than 5"


def test_auc_of_two_classes_is_that_of_the_second() -> None:
    """Of the four pairs of ill and well, ill scores higher in two: 0.8 against 0.4 and 0.3."""
    found = estimates(TWO, seed=None)
    assert found["AUC"].value == pytest.approx(0.5)
    assert found["accuracy"].value == pytest.approx(0.75)
    assert found["AUC"].n == 3


def test_auc_of_more_classes_is_the_mean_of_each_against_the_rest() -> None:
    scored = [
        classed("a", "1", "u", u=0.8, v=0.1, w=0.1),
        classed("b", "2", "v", u=0.5, v=0.3, w=0.2),
        classed("c", "3", "w", u=0.6, v=0.4, w=0.0),
    ]
    # u: 0.8 over 0.5 and 0.6; v: 0.3 over 0.1, under 0.4; w: 0.0 under both
    assert estimates(scored, seed=None)["AUC"].value == pytest.approx((1 + 0.5 + 0) / 3)
    assert estimates(scored, seed=None)["accuracy"].value == pytest.approx(1 / 3)


def test_auc_of_one_class_alone_is_not_defined() -> None:
    for seed in (None, 0):
        found = estimates(TWO[:2], seed=seed)
        assert found["AUC"].value is None
        assert found["accuracy"].value == 0.5


def test_figures_become_sentences_with_their_interval_and_the_number_of_cases() -> None:
    figures = {"AUC": Estimate(0.91, 0.85, 0.97, 40), "accuracy": Estimate(None, None, None, 0)}
    found = sentences(figures, held_out=52)
    assert found[0].startswith("AUC 0.910 (95 % interval 0.850 to 0.970, n = 40)")
    assert found[1].startswith("accuracy not defined (n = 0)")
    assert all("52 held-out cases" in sentence for sentence in found)


def test_sentences_say_what_is_counted_and_one_case_is_one() -> None:
    named, other, unnamed = (Scored("a", "patient 1"), Scored("b", "patient 2"), Scored("c", "case c"))
    assert counted_by([named, other]) == "n counts patients"
    assert counted_by([unnamed]) == "n counts cases (no patient is named)"
    assert counted_by([named, unnamed]) == "n counts patients (a case that names none as one)"
    (told,) = sentences({"AUC": Estimate(0.5, None, None, 1)}, held_out=1, counted=counted_by([unnamed]))
    assert told == "AUC 0.500 (no interval, n = 1 of 6 needed); 1 held-out case, n counts cases (no patient is named)"


def test_the_table_of_masks_has_a_row_a_case_and_gaps_where_nothing_is_known() -> None:
    assert scores_csv(MASKS[:2]) == (
        "case,dice_x,dice_y,hd95_mm_x,hd95_mm_y\na,0.500000,1.000000,2.000000,\nb,1.000000,,0.000000,\n"
    )


def test_the_table_of_classes_has_the_truth_and_no_patient() -> None:
    assert scores_csv(TWO[:1]) == "case,p_well,p_ill,truth\na,0.900000,0.100000,ill\n"
    assert "p1" not in scores_csv(TWO)


def test_the_table_quotes_what_needs_it() -> None:
    assert scores_csv([classed("a", "1", 'b "c"', **{"b, d": 1.0})]).splitlines()[0] == 'case,"p_b, d",truth'


def test_figures_do_not_depend_on_the_order_of_cases() -> None:
    order = np.random.default_rng(0).permutation(len(TWO))
    shuffled = estimates([TWO[n] for n in order], seed=None)
    assert shuffled == estimates(TWO, seed=None)


def marked(case: str, *marks: bool | None, chances: tuple[float, ...]) -> Scored:
    names = ("x", "y")[: len(marks)]
    limits = dict.fromkeys(names, 0.5)
    chance, known = dict(zip(names, chances, strict=True)), dict(zip(names, marks, strict=True))
    return Scored(case, case, probabilities=chance, thresholds=limits, marks=known)


SEVERAL = [
    marked("a", True, True, chances=(0.9, 0.2)),
    marked("b", False, True, chances=(0.6, 0.8)),
    marked("c", False, None, chances=(0.1, 0.9)),
]


def test_figures_of_several_labels_are_over_the_cases_of_which_each_is_known() -> None:
    found = estimates(SEVERAL, seed=None)
    assert {name: figure.value for name, figure in found.items()} == {
        "AUC": 1.0,  # of x alone
        "accuracy": pytest.approx((2 / 3 + 1 / 2) / 2),
        "F1": pytest.approx(2 / 3),
        "AUC x": 1.0,
        "accuracy x": pytest.approx(2 / 3),
        "F1 x": pytest.approx(2 / 3),
        "accuracy y": 0.5,
        "F1 y": pytest.approx(2 / 3),
    }
    assert (found["AUC x"].n, found["accuracy y"].n) == (3, 2)
    others = [replace(entry, case=f"{entry.case}2", patient=f"{entry.patient}2") for entry in SEVERAL]
    assert estimates([*SEVERAL, *others], seed=0)["accuracy x"].low is not None


def test_labels_of_one_kind_and_values_never_known_are_told() -> None:
    assert left_out(SEVERAL) == ("No AUC of y: it is present in all of 2 cases; the means are over the other labels",)
    unknown = [Scored("a", "a", probabilities={"x": 1.0}, thresholds={"x": 0.5}, marks={"x": None})]
    assert left_out(unknown) == ("No AUC of x: it is unknown; the means are over the other labels",)
    never = [Scored("a", "a", values={"age": 1.0}, truths={"age": None}, units={"age": "years"})]
    assert left_out(never) == ("No figure of age: its true value is known of no case",)
    assert estimates(never, seed=0) == {}
    assert left_out(TWO) == ()
    assert sentences({}, held_out=3, notes=["No AUC."]) == ("No AUC.",)


def test_a_figure_of_masks_that_no_case_defines_is_told_with_the_reason() -> None:
    assert left_out(MASKS) == (
        "No HD95 y (mm): in all of 4 cases what it compares is absent from the answer, the truth or both",
    )
    assert (
        left_out(MASKS[2:3])[1]
        == "No Dice x: in all of 1 cases what it compares is absent from the answer and the truth"
    )
    assert left_out(MASKS[:1] * 2)[0].startswith("No HD95 y")


def test_cases_without_a_physical_size_have_gaps_among_distances_and_hide_no_other_s() -> None:
    scored = [Scored("p", "p", {"x": 1.0}), Scored("v", "v", {"x": 1.0}, {"x": 3.0})]
    assert estimates(scored, seed=None)["HD95 x (mm)"].value == 3.0
    assert scores_csv(scored).splitlines()[1:] == ["p,1.000000,", "v,1.000000,3.000000"]
    assert "HD95 x (mm)" not in estimates(scored[:1], seed=None)
    assert left_out(scored[:1]) == ()


def test_trainings_are_compared_by_one_figure_that_is_the_greater_the_better() -> None:
    def of(task: str, *quantities: Quantity) -> Settings:
        labels, network = {0: "age", 1: "score"}, ResNet()
        return Settings("a", task, "", Contract("x"), labels, network, regression=quantities)  # type: ignore[arg-type]

    assert deciding({"AUC": 0.75, "accuracy": 0.5}, of("multilabel")) == 0.75
    assert deciding({"accuracy": 1.0}, of("classification")) is None, "0.5 would be chance, and 0 worse than it"
    ages = of("regression", Quantity("years", 50.0, 10.0), Quantity("1", 0.0, 2.0))
    assert deciding({"MAE age (years)": 5.0, "MAE score": 0.5}, ages) == pytest.approx(-(0.5 + 0.25) / 2)
    assert deciding({"MAE score": 0.5}, ages) == pytest.approx(-0.25)
    assert deciding({}, ages) is None, "0 would be perfect"


def test_a_table_holds_the_truth_of_labels_and_values() -> None:
    assert scores_csv(SEVERAL[1:]).splitlines() == [
        "case,p_x,p_y,truth_x,truth_y",
        "b,0.600000,0.800000,0,1",
        "c,0.100000,0.900000,0,",
    ]
    row = Scored("a", "a", values={"v": 1.25e-9}, truths={"v": None}, units={"v": "m"})
    assert scores_csv([row]).splitlines() == ["case,v,truth_v", "a,1.25e-09,"]
