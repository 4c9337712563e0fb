"""Which weights of a training were kept, and whether the cases that it is measured on had a say in that."""

from __future__ import annotations

from dataclasses import dataclass

from medvision.report.wording import many
from medvision.training import Fitted, ended_early


@dataclass(frozen=True)
class Choice:
    """Which weights were kept.

    Parameters
    ----------
    sentence
        The same in words, for a card, beside figures of the cases held out.
    optimistic
        Whether those cases had a say in it, so that figures on them are a little better than on others.
    """

    sentence: str
    optimistic: bool


def choice_of(fitted: Fitted, *, keeps_best: bool) -> Choice:
    """Return which weights a training has kept.

    Parameters
    ----------
    fitted
        What the loop did.
    keeps_best
        Whether the settings ask for the best weights.
    """
    scores = {int(row["epoch"]): row["score"] for row in fitted.rows if "score" in row}
    best, epochs = max(scores.values(), default=None), len(fitted.rows)
    which = "of the last epoch" if fitted.epoch == epochs else f"of epoch {fitted.epoch} of {epochs}"
    if keeps_best and len(scores) > 1 and scores.get(fitted.epoch) == best:
        equals = sum(score == best for score in scores.values())
        last = f", the last of {equals} equal ones" if equals > 1 else ""
        told = f"The weights are those {which}, the best by {len(scores)} validations on these same cases{last}"
        return Choice(f"{told}: the figures are slightly optimistic.", True)
    if ended_early(fitted.findings):
        told = f"The weights are those {which}; these same cases decided when to end, after {many(epochs, 'epoch')}"
        return Choice(f"{told}: the figures are slightly optimistic.", True)
    return Choice(f"The weights are those {which}; these cases had no say in them.", False)


def choice_of_folds(*, optimistic: bool) -> str:
    """Return the sentence for the figures of all folds, of which any may be `optimistic`."""
    if optimistic:
        return "The cases that a fold holds out had a say in which weights are kept: figures slightly optimistic."
    return "The cases that a fold holds out had no say in its weights."
