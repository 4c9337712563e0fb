"""A card says which weights were kept, and whether the cases that they are measured on had a say in it."""

from __future__ import annotations

import pytest

from medvision.errors import Finding
from medvision.training import Fitted
from medvision.workflows.fitting.choice import choice_of, choice_of_folds

EARLY = Finding("training-ended-early", "note", "no better score in 2 epochs: ended after epoch 4")


def fitted(*scores: float | None, epoch: int, early: bool = False) -> Fitted:
    rows = [{"epoch": n, "loss": 1.0} | ({} if s is None else {"score": s}) for n, s in enumerate(scores, 1)]
    return Fitted(tuple(rows), epoch, (EARLY,) if early else ())


def test_the_best_of_several_validations_was_chosen_on_the_cases_that_it_is_measured_on() -> None:
    found = choice_of(fitted(0.1, None, 0.7, 0.2, epoch=3), keeps_best=True)
    assert found.optimistic
    assert found.sentence == (
        "The weights are those of epoch 3 of 4, the best by 3 validations on these same cases:"
        " the figures are slightly optimistic."
    )


def test_that_the_last_of_equal_scores_was_taken_is_said() -> None:
    told = choice_of(fitted(1.0, 0.9, 1.0, 0.9, epoch=3), keeps_best=True).sentence
    assert "epoch 3 of 4, the best by 4 validations on these same cases, the last of 2 equal ones:" in told
    assert "of the last epoch, the best by 2 " in choice_of(fitted(0.1, 0.2, epoch=2), keeps_best=True).sentence


@pytest.mark.parametrize(
    ("done", "keeps_best"),
    [
        (fitted(0.9, 0.1, epoch=2), False),
        (fitted(None, 0.9, epoch=2), True),  # the only validation leaves nothing to choose
        (fitted(None, None, epoch=2), True),  # no score was defined
        (fitted(0.9, 0.1, epoch=2), True),  # the best weights could not be read
    ],
)
def test_of_last_weights_it_is_said_that_the_cases_had_no_say(done: Fitted, *, keeps_best: bool) -> None:
    found = choice_of(done, keeps_best=keeps_best)
    assert not found.optimistic
    assert found.sentence == "The weights are those of the last epoch; these cases had no say in them."


def test_where_the_only_validation_was_not_the_last_epoch_that_epoch_is_named() -> None:
    assert "of epoch 1 of 2; these cases had no say" in choice_of(fitted(0.5, None, epoch=1), keeps_best=True).sentence


def test_cases_that_ended_a_training_early_had_a_say_in_its_last_weights() -> None:
    found = choice_of(fitted(0.1, 0.9, 0.3, 0.2, epoch=4, early=True), keeps_best=False)
    assert found.optimistic
    assert "of the last epoch; these same cases decided when to end, after 4 epochs: " in found.sentence
    assert "after 1 epoch:" in choice_of(fitted(0.1, epoch=1, early=True), keeps_best=False).sentence


def test_figures_of_all_folds_are_hopeful_where_those_of_a_fold_are() -> None:
    assert "optimistic" in choice_of_folds(optimistic=True)
    assert choice_of_folds(optimistic=False) == "The cases that a fold holds out had no say in its weights."
