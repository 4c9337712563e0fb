"""The pages of a training and of a cross-validation: what they say, and that they are whole in every state."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from pages import Page

from medvision.errors import Finding, InputError, UsageError
from medvision.report import (
    CaseFigures,
    CrossvalidationValues,
    Figure,
    FoldFacts,
    TrainingValues,
    crossvalidation_page,
    training_page,
)
from medvision.report.axes import Axis
from medvision.report.charts import CHART, chart_of, fold_plot
from medvision.report.training import figures_of

ROWS = tuple(
    {
        "epoch": float(epoch),
        "learning_rate": 0.1 / epoch,
        "loss": 2.0 / epoch,
        "seconds_data": 1.0,
        "seconds_network": 3.0,
        **({"score": 0.1 * epoch, "mean Dice": 0.1 * epoch, "HD95 (mm)": 9.0 - epoch} if epoch % 2 == 0 else {}),
    }
    for epoch in range(1, 7)
)
FINDINGS = (Finding("side-assumed", "note", "note words"), Finding("logger-failed", "warning", "warning words"))
FOLDS = (
    FoldFacts(1, "done", 16, 4, 6, 3700.0, {"mean Dice": Figure(0.91, 0.9, 0.92)}),
    FoldFacts(2, "running", 16, 4, 3),
    FoldFacts(3, "failed", 16, 4),
    FoldFacts(4, "waiting", 16, 4),
)
CASES = tuple(CaseFigures(f"case{n}", 1, {"mean Dice": 0.9 + n / 100, "Dice a": None if n else 0.8}) for n in range(4))


def _values(**changes: Any) -> TrainingValues:
    plain = TrainingValues(
        name="spheres",
        description="Two spheres.",
        state="running",
        epochs=10,
        rows=ROWS,
        settings=(("Optimiser", "sgd"),),
        data=(("Cases", "16 <for> training"),),
    )
    return replace(plain, **changes)


def _folds(**changes: Any) -> CrossvalidationValues:
    plain = CrossvalidationValues(
        name="spheres",
        description="Two spheres.",
        folds=FOLDS,
        cases=CASES,
        figures={"mean Dice": Figure(0.915, 0.905, 0.925), "Dice a": Figure(None)},
    )
    return replace(plain, **changes)


def _words(page: str) -> str:
    return " ".join(Page(page).text.split())


def test_a_running_training_says_where_it_stands() -> None:
    words = _words(training_page(_values(seconds_used=200.0, seconds_budget=900.0)))
    assert "spheres ▸ Running" in words
    assert "6 of 10 epochs" in words
    assert "0.600 best score, after epoch 6" in words
    assert "3 min 20 s of the budget of 15 min" in words
    assert "16 <for> training" in words


@pytest.mark.parametrize(("state", "badge"), [("done", "✓ Done"), ("stopped", "! Stopped"), ("failed", "✕ Failed")])
def test_every_state_has_its_badge(state: Any, badge: str) -> None:
    assert f"spheres {badge}" in _words(training_page(_values(state=state)))


def test_a_training_without_an_epoch_has_a_page_too() -> None:
    words = _words(training_page(_values(rows=())))
    assert "0 of 10 epochs" in words
    assert "No epoch has ended yet." in words
    assert "best score" not in words
    assert "What the time went to" not in words


def test_the_curves_show_loss_shares_others_and_the_learning_rate_each_in_its_place() -> None:
    page = Page(training_page(_values()))
    titles = [a["aria-label"] for tag, a in page.tags if tag == "svg" and a.get("role") == "img"]
    assert [title.split(" over ")[0] for title in titles if title] == [
        "Training loss",
        "Validation: mean Dice",
        "Validation: HD95 (mm)",
        "Learning rate",
    ]
    assert titles[1] == "Validation: mean Dice over 6 epochs, last: mean Dice 0.6"
    assert "The dashed line marks epoch 6" in page.text
    assert sum(1 for tag, a in page.tags if tag == "path" and a.get("class") == "best") == 2


def test_the_share_of_time_is_that_of_the_rows() -> None:
    words = _words(training_page(_values()))
    assert "Reading and varying data 25.0 % 6 s Network 75.0 % 18 s" in words


def test_results_findings_and_decisions_stand_on_the_page_once_and_warnings_come_first() -> None:
    cut = Finding("budget-cut", "note", "Width 32.")
    values = _values(results=("Dice 0.9",), findings=(*FINDINGS, cut), decisions=("Width 32.",), state="done")
    words = _words(training_page(values))
    for part in ("Results on held-out cases Dice 0.9", "What was chosen, and why Width 32."):
        assert part in words
    assert words.index("warning words") < words.index("note words")
    assert words.count("Width 32.") == 1


def test_epochs_and_steps_are_counted_as_they_were_done() -> None:
    assert "6 epochs, 120 steps" in _words(training_page(_values(state="done", steps_per_epoch=20)))
    assert "6 of 10 epochs, 120 steps" in _words(training_page(_values(steps_per_epoch=20)))
    assert "1 epoch, 1 step" in _words(training_page(_values(state="done", rows=ROWS[:1], steps_per_epoch=1)))
    assert "1 of 1 epoch " in _words(training_page(_values(epochs=1, rows=ROWS[:1])))


def test_of_equal_scores_the_last_is_marked_and_their_number_told() -> None:
    rows = [{"epoch": float(n), "loss": 1.0, "score": score} for n, score in enumerate((0.5, 0.9, 0.7, 0.9), 1)]
    words = _words(training_page(_values(rows=tuple(rows))))
    assert "The dashed line marks epoch 4, the last of 2 with the best score." in words
    assert "0.900 best score, after epoch 4" in words
    assert "epoch 2, which has the best score." in _words(training_page(_values(rows=tuple(rows[:3]))))


@pytest.mark.parametrize(
    "rows", [({"epoch": 1.0, "loss": math.nan},), ({"loss": 1.0},), ({"epoch": 1.0, "score": math.inf},)]
)
def test_rows_without_an_epoch_or_with_numbers_that_are_none_are_refused(rows: Any) -> None:
    with pytest.raises(InputError, match="finite"):
        _values(rows=rows)


def test_a_budget_that_is_not_finite_is_refused() -> None:
    with pytest.raises(InputError, match="finite"):
        _values(seconds_budget=math.inf)


def test_a_page_loads_nothing_and_runs_nothing_and_escapes_what_it_is_given() -> None:
    evil = "<script>alert(1)</script>"
    case = CaseFigures(evil, 1, {evil: 0.5})
    pages = (
        training_page(_values(name=evil, settings=((evil, evil),), decisions=(evil,))),
        crossvalidation_page(_folds(name=evil, cases=(case,), figures={}, folds=FOLDS, outcome=((evil, evil),))),
    )
    for content in pages:
        page = Page(content)
        assert evil in page.text
        assert not any(tag in ("script", "link", "img", "iframe") for tag, _ in page.tags)
        assert all("href" not in a or (a["href"] or "").startswith("#") for _, a in page.tags)


def test_the_score_is_shown_where_no_figure_repeats_it() -> None:
    assert figures_of([{"epoch": 1.0, "score": 0.5, "AUC": 0.4}]) == ["score", "AUC"]
    assert figures_of([{"epoch": 1.0, "loss": 0.5}]) == []


def test_a_line_lies_where_its_values_say() -> None:
    rows = [{"epoch": 0.0, "x": 0.0}, {"epoch": 5.0, "x": 1.0}, {"epoch": 10.0, "x": 0.5}]
    chart = chart_of("x", ["x"], rows, epochs=10, best_epoch=5)
    assert chart is not None
    assert chart.lines[0].path == "M46.0 192.0L216.0 10.0L386.0 101.0"
    assert chart.best_at == 216.0
    assert [words for _, words in chart.x_marks] == ["0", "2", "4", "6", "8", "10"]
    assert [words for _, words in chart.y_marks] == ["0", "0.5", "1"]
    assert chart_of("y", ["y"], rows, epochs=10) is None


def test_one_epoch_is_a_point_and_ten_thousand_stay_a_small_page() -> None:
    one = chart_of("loss", ["loss"], ROWS[:1], epochs=1)
    assert one is not None
    assert one.lines[0].single is not None
    long = tuple({"epoch": float(n), "loss": 1 / n} for n in range(1, 10_001))
    page = training_page(_values(rows=long, epochs=10_000))
    assert len(page) < 60_000
    many = chart_of("loss", ["loss"], long, epochs=10_000)
    assert many is not None
    assert many.lines[0].path.count("L") <= 501
    last = many.lines[0].path.rsplit("L", 1)[1].split()
    assert float(last[0]) == 386.0, "the last value is never left out"
    assert CHART == (400, 220)


def test_more_epochs_than_planned_still_lie_within_the_chart() -> None:
    chart = chart_of("loss", ["loss"], ROWS, epochs=3)
    assert chart is not None
    assert chart.x_marks[-1] == (386.0, "6")


def test_an_axis_of_one_value_has_room_around_it() -> None:
    axis = Axis.around(0.0, 0.0, 0, 100)
    assert axis.low < 0 < axis.high
    assert axis.at(0.0) == pytest.approx(50)


def test_a_cross_validation_shows_folds_cases_and_the_interval() -> None:
    page = _folds(outcome=(("Ensemble", "of five"),), seconds_used=60.0, seconds_budget=120.0, findings=FINDINGS)
    words = _words(crossvalidation_page(page))
    assert "spheres ▸ Running" in words
    assert "1 of 4 folds" in words
    assert "0.915 mean Dice, 95 % interval 0.905 to 0.925" in words
    assert "4 cases measured while held out" in words
    assert "1 min of the budget of 2 min" in words
    assert "All held-out cases 0.915 (0.905 to 0.925) \N{EN DASH}" in words
    assert "Ensemble of five" in words
    assert "Those with the lowest mean Dice" in words
    assert words.index("case0 1 0.900 0.800") < words.index("case1 1 0.910 \N{EN DASH}")


def test_a_classification_has_intervals_without_cases() -> None:
    folds = tuple(FoldFacts(n, "done", 8, 2, figures={"AUC": Figure(0.9)}) for n in (1, 2))
    words = _words(crossvalidation_page(_folds(folds=folds, cases=(), figures={"AUC": Figure(0.9)}, seconds_used=1.0)))
    assert "spheres ✓ Done" in words
    assert "0.900 AUC" in words
    assert "95 % interval" not in words.split("Fold by fold")[0]
    assert "cases measured" not in words
    assert "Each dot" not in words
    assert "1 s used" in words
    assert "Cases to look at first" not in words


def test_before_the_first_fold_is_done_the_page_has_no_plot() -> None:
    words = _words(crossvalidation_page(_folds(folds=FOLDS[3:], cases=(), figures={})))
    assert "Waiting" in words
    assert "Fold by fold" not in words


def test_dots_box_and_diamond_lie_where_the_values_are() -> None:
    cases = [CaseFigures(str(n), 1, {"d": n / 4}) for n in range(5)]
    plot = fold_plot("d", FOLDS[:2], cases, {"d": Figure(0.5, 0.25, 0.75)})
    assert plot is not None
    fold, empty, everything = plot.rows
    assert [x for x, _, _ in fold.dots] == [78.0, 233.5, 389.0, 544.5, 700.0]
    assert fold.quartiles == (233.5, 389.0, 544.5)
    assert fold.figure is None
    assert empty.dots == ()
    assert empty.words == "not measured"
    assert everything.figure == (233.5, 389.0, 544.5)
    assert everything.words == "0.500 (0.250 to 0.750), 5 cases"


def test_a_figure_that_nobody_measured_has_no_plot() -> None:
    assert fold_plot("d", FOLDS, (), {"d": Figure(None)}) is None


def test_a_figure_that_is_not_finite_is_refused() -> None:
    with pytest.raises(InputError, match="finite"):
        Figure(0.5, math.nan, 0.6)


def test_a_case_of_an_unknown_fold_is_refused() -> None:
    with pytest.raises(UsageError, match="1 folds"):
        _folds(cases=(CaseFigures("a", 9, {}),))
