"""Fit a training into a time: measure a step, cut what must be cut, and say so."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from medvision.errors import Finding, UsageError
from medvision.pipeline import Settings
from medvision.planning.cuts import CUTS, Cut, narrower, smaller_batch
from medvision.report.wording import many
from medvision.training import VALIDATIONS_AFTER

_Cutting = Callable[[Settings], Cut | None]

_ENOUGH_STEPS = 1000  # where fewer fit, more and smaller ones learn more in the same time: benchmarks/budgets.py
_FEW_STEPS = 50  # after fewer, a network has hardly left its start
_EPOCHS = 50  # into which the time is divided: the grain in which a deadline is met
EXPORT_SECONDS = 2.0
"""What writing the folder and the end of the process take, where it has a core for itself."""
_VALIDATIONS = 10
_MEASURING = 0.1  # share of a time after which no step is measured any more, and cuts are made unmeasured
_LONGEST = 10 * 365.25 * 24 * 60  # minutes, ten years: nobody means more, and far more is no moment of any clock
_EACH = 0.02  # share of the time that measuring the steps of one choice may take, where one step has been done


@dataclass(frozen=True)
class Budget:
    """A time in which all must be done: preparing, training, validation and writing.

    Parameters
    ----------
    minutes
        The time.
    started
        When it began, by ``time.monotonic``.
    asked
        The time that it is a part of, as a person asked for it; None: `minutes`.
    may_cut
        Whether patch, batch and network may become smaller; else there are only fewer steps.

    Raises
    ------
    UsageError
        The time is not above 0, or longer than ten years.
    """

    minutes: float
    started: float = field(default_factory=time.monotonic)
    asked: float | None = None
    may_cut: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.minutes < float("inf"):
            raise UsageError("usage", f"a time above 0 is wanted, got {self.minutes} minutes")
        if self.minutes > _LONGEST:
            cure = "Give fewer minutes, or no time: a training then takes what its settings need."
            raise UsageError("usage", f"a time of ten years at most is wanted, got {self.minutes:g} minutes", cure=cure)

    @property
    def deadline(self) -> float:
        """When all must be done, by ``time.monotonic``."""
        return self.started + 60 * self.minutes

    def without(self, seconds: float) -> Budget:
        """Return what is left of it after `seconds` that were spent before it started."""
        return replace(self, started=self.started - seconds)

    def part(self, share: float) -> Budget:
        """Return a share, 0 to 1, of what is left of it; it begins now."""
        now = time.monotonic()
        left = max(self.deadline - now, 1.0) / 60
        return replace(self, minutes=left * share, started=now, asked=self.asked or self.minutes)


@dataclass(frozen=True)
class Shares:
    """The time of each of several trainings, in their order: an equal share of what is left when it begins.

    Parameters
    ----------
    whole
        The time for all; None where there is no limit.
    spent
        The seconds that each has taken before, where they were stopped.
    """

    whole: Budget | None
    spent: Sequence[float]

    def of(self, number: int) -> Budget | None:
        """Return the time of a training, counted from 0; only for the first one, settings may be cut.

        A training takes off its share what it has spent itself, so that this is added here.
        """
        if self.whole is None:
            return None
        left = self.whole.without(sum(self.spent)).part(1 / (len(self.spent) - number))
        return replace(left.without(-self.spent[number]), may_cut=self.whole.may_cut and number == 0)


@dataclass(frozen=True)
class Timed:
    """Settings that fit into a time, and how the training is paced.

    Parameters
    ----------
    settings
        The settings with what was cut.
    step_seconds, validation_seconds
        What a step and a validation take.
    findings
        What was cut, and what the time is enough for; a note each.
    """

    settings: Settings
    step_seconds: float
    validation_seconds: float
    findings: tuple[Finding, ...]


def fit_into(
    seconds: float,
    wished: Settings,
    step_of: Callable[[Settings], Callable[[int], None]],
    validation_of: Callable[[Settings], float],
    *,
    may_cut: bool = True,
    keep_network: bool = False,
    shared_by: int = 1,
) -> Timed:
    """Return settings whose training fits into `seconds`, the time for measuring included.

    Where fewer steps fit than the settings state, and fewer than 1,000, what a step costs is cut: batch, width and
    patch in turn are halved, again and again. A cut that makes a step less than a tenth faster is not made: it would
    cost quality and gain nothing. When a tenth of the time has gone into measuring steps, further cuts are judged by
    what they leave of batch, patch and width, and said to be unmeasured.
    A validation is measured once, of the settings that are chosen.

    Parameters
    ----------
    seconds
        What is left for training, validation and writing.
    wished
        The settings as they are asked for.
    step_of
        Gives, for settings, a function that does one step of its training, by the step's number.
    validation_of
        Gives the seconds that a whole validation takes, by trying a small part of it.
    may_cut
        Whether patch, batch and network may become smaller; else there are only fewer steps.
    keep_network
        Whether the network stays as it is all the same.
    shared_by
        How many processes share a batch.
    """
    deadline = time.monotonic() + seconds
    first = step_of(wished)  # it imports what is not there yet, which says nothing about a step
    ready = time.monotonic()
    seconds = max(0.0, deadline - ready)
    stop = ready + _MEASURING * seconds
    step = _seconds_of(first, _EACH * seconds, stop)
    useful: list[_Cutting] = [kind for kind in CUTS if may_cut and not (keep_network and kind is narrower)]
    useful = [partial(kind, shared_by=shared_by) if kind is smaller_batch else kind for kind in useful]
    settings, step, cuts = _cut(wished, step, step_of, useful, deadline, stop, _EACH * seconds)
    validation = validation_of(settings)
    fitting = _steps(deadline, step, validation)
    often = _VALIDATIONS if _VALIDATIONS * validation < 0.1 * seconds else 1
    scheduled = _scheduled(settings, max(1, fitting), often)
    return Timed(scheduled, step, validation, (*cuts, _told(fitting, step, scheduled, wished)))


def _cut(
    settings: Settings,
    step: float,
    step_of: Callable[[Settings], Callable[[int], None]],
    kinds: Sequence[_Cutting],
    deadline: float,
    stop: float,
    most: float,
) -> tuple[Settings, float, tuple[Finding, ...]]:
    """Return settings of which steps enough fit, or that can be cut no further, with the time of a step and the cuts.

    No step is measured from the moment `stop` on, and no further one of a choice after `most` seconds.
    """
    said, useful = [], list(kinds)
    enough = min(_ENOUGH_STEPS, settings.train.total_steps)
    while useful and _steps(deadline, step, 0.0) < enough:
        kind = useful.pop(0)
        cut = kind(settings)
        if cut is None:
            continue
        measured = time.monotonic() < stop
        if measured:
            faster = _seconds_of(step_of(cut.settings), most, stop)
        else:
            faster = step * _share_left(settings, cut.settings)
        if faster > 0.9 * step:
            continue
        settings, step = cut.settings, faster
        words = f"to fit the time, {cut.words}{'' if measured else ' (not measured)'}"
        said.append(Finding("budget-cut", "note", words))
        useful.append(kind)
    return settings, step, tuple(said)


def _scheduled(settings: Settings, steps: int, often: int) -> Settings:
    """Return settings of so many steps, with so many validations at most."""
    each = max(1, steps // _EPOCHS)
    epochs = max(1, steps // each)
    every = max(1, epochs // often)
    share = epochs / settings.train.epochs  # a patience is a part of the schedule, and a validation at least
    patience = settings.train.early_stopping and max(round(settings.train.early_stopping * share), every)
    train = replace(settings.train, epochs=epochs, steps_per_epoch=each, validate_every=every, early_stopping=patience)
    return replace(settings, train=train)


def _told(fitting: int, step: float, scheduled: Settings, wished: Settings) -> Finding:
    """Return what the time is enough for."""
    if fitting < 1:
        over = "no step fits into what the start has left of the time: one is done all the same, and it will end late"
        return Finding("budget", "warning", over)
    steps = scheduled.train.total_steps
    fit = f"about {many(steps, 'step')} of {step:.3g} s {'fits' if steps == 1 else 'fit'}"
    told = f"{fit} into the time; with no limit, the settings take {many(wished.train.total_steps, 'step')}"
    if fitting < _FEW_STEPS < wished.train.total_steps:
        return Finding("budget", "warning", f"{told}: too few to learn from")
    return Finding("budget", "note", told)


def _steps(deadline: float, step: float, validation: float) -> int:
    """Return how many steps fit, beside the validations after the last one and the writing."""
    return int((deadline - time.monotonic() - VALIDATIONS_AFTER * validation - EXPORT_SECONDS) / step)


def _share_left(before: Settings, after: Settings) -> float:
    """Return what is left of a step after a cut, by the numbers alone: half the width is taken to halve it."""
    samples = after.train.batch / before.train.batch
    voxels = math.prod(after.train.patch or ()) / math.prod(before.train.patch or ())
    return samples * voxels * (1.0 if after.network == before.network else 0.5)


def _seconds_of(step: Callable[[int], None], most: float, stop: float) -> float:
    """Return the median time of three steps after two that warm up; of fewer, one at least, where they are slow.

    None is begun when `most` seconds have gone by, or at the moment `stop`; but a second one, where the first took
    less than twice as long: the first also pays for what is set up once.
    """
    taken: list[float] = []
    while not taken or (
        len(taken) < 5 and sum(taken) < (2 * most if len(taken) == 1 else most) and time.monotonic() < stop
    ):
        began = time.monotonic()
        step(len(taken))
        taken.append(time.monotonic() - began)
    return max(1e-6, statistics.median(taken[min(2, len(taken) - 1) :]))
