"""What was noticed in trainings is told once, and of what."""

from __future__ import annotations

from medvision.errors import Finding
from medvision.workflows.training_data.noticed import cases_of, counted, gathered

CT = Finding("modality-differs", "warning", "the image is CT", cure="Look.")


def test_findings_of_cases_are_counted_by_their_code_in_words_that_fit_their_number() -> None:
    other = Finding("spacing-outlier", "note", "wide")
    found = counted([("a", CT), ("b", other), ("c", CT)])
    assert [finding.message for finding in found] == ["2 cases: the image is CT", "1 case: wide"]
    assert (found[0].code, found[0].grade, found[0].cure) == ("modality-differs", "warning", "Look.")
    assert cases_of([("a", CT), ("a", CT), ("c", CT)]) == {"modality-differs": ["a", "c"]}


def test_what_is_noticed_in_some_trainings_names_them_and_what_is_noticed_in_all_does_not() -> None:
    few, cut = Finding("budget", "warning", "3 steps fit"), Finding("budget-cut", "note", "half the batch")
    found = gathered({"fold 1": [CT, few, cut, cut], "fold 2": [CT], "all cases": [few, CT]})
    assert [finding.message for finding in found] == [
        "the image is CT",
        "fold 1 and all cases: 3 steps fit",
        "fold 1: half the batch",
    ]
    assert [finding.grade for finding in found] == ["warning", "warning", "note"]
    assert gathered({}) == ()
