"""What was noticed in trainings that are compared is told of the comparison, once and counted."""

from __future__ import annotations

from medvision.errors import Finding, Grade
from medvision.workflows.comparing.notes import notes_of_runs
from medvision.workflows.comparing.runs import Outcome

NAMES = ("scratch, seed 0", "transfer, seed 0", "scratch, seed 1", "transfer, seed 1")


def outcome(*findings: Finding, steps: int = 40) -> Outcome:
    return Outcome((), 1.0, steps, findings)


def warning(message: str, grade: Grade = "warning", code: str = "budget") -> Finding:
    return Finding(code, grade, message)


def test_what_holds_for_all_trainings_stands_there_once_as_it_is() -> None:
    leak = warning("1 of 3 validation images are copies", code="split-leak")
    assert notes_of_runs(NAMES, [outcome(leak)] * 4) == ("1 of 3 validation images are copies",)


def test_what_holds_for_some_is_counted_and_for_one_is_named() -> None:
    late, lost = warning("no step fits"), warning("a label is lost", "error", "label-lost")
    found = notes_of_runs(NAMES, [outcome(), outcome(late, lost), outcome(), outcome(late, late)])
    assert found == ("2 of 4 trainings: no step fits", "transfer, seed 0: a label is lost")


def test_times_that_were_enough_for_other_numbers_of_steps_are_told_once_with_the_first_named() -> None:
    told = ["about 3 steps of 1.5e-05 s fit", "about 12 steps of 0.31 s fit", "about 1,000 steps of 3 s fit"]
    found = notes_of_runs(NAMES, [outcome(), *(outcome(warning(each)) for each in told)])
    assert found == ("3 of 4 trainings, e.g. transfer, seed 0: about 3 steps of 1.5e-05 s fit",)


def test_what_differs_in_the_name_of_a_label_stays_two() -> None:
    told = [warning(f"no training case has 'label {number}'", code="label-absent") for number in (1, 2)]
    assert notes_of_runs(NAMES[:3], [outcome(told[0]), outcome(told[1]), outcome()]) == (
        "scratch, seed 0: no training case has 'label 1'",
        "transfer, seed 0: no training case has 'label 2'",
    )


def test_one_code_with_two_messages_stays_two() -> None:
    copies, seen = warning("2 copies", code="split-leak"), warning("2 seen before", code="split-leak")
    assert notes_of_runs(NAMES[:2], [outcome(copies, seen), outcome(copies)]) == (
        "2 copies",
        "scratch, seed 0: 2 seen before",
    )


def test_mere_notes_are_left_to_the_cards() -> None:
    assert notes_of_runs(NAMES, [outcome(warning("about 40 steps", "note"))] * 4) == ()


def test_trainings_of_unequal_length_are_told() -> None:
    told = notes_of_runs(NAMES, [outcome(steps=n) for n in (1, 300, 1200, 1)])
    assert told == ("the trainings are of unequal length, from 1 step to 1,200",)
    assert notes_of_runs(NAMES, [outcome(steps=n) for n in (20, 30, 40, 40)]) == ()


def test_a_training_that_ended_early_is_as_long_as_it_was_to_be() -> None:
    ended = warning("no better score in 3 epochs", "note", "training-ended-early")
    assert notes_of_runs(NAMES, [outcome(ended, steps=2), *[outcome()] * 3]) == ()
    assert notes_of_runs(NAMES[:1], [outcome(ended)]) == ()
