"""The training loop, to be read from top to bottom: data, network, loss, optimiser, average, validation, checkpoint.

What is trained, on what and by which loss is the caller's; :mod:`medvision.training.supervised` is the usual one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from medvision.errors import Finding, PipelineError
from medvision.frameworks import deterministic_algorithms, set_state, small_convolutions_in_fp32, state_of
from medvision.progress import Progress, silent
from medvision.sealed import SealBrokenError
from medvision.training import checkpoint
from medvision.training.average import averaged, update_average
from medvision.training.curves import Row as Row
from medvision.training.curves import of_validation
from medvision.training.gpu import fastest, gpu_arithmetic
from medvision.training.loggers import Logs
from medvision.training.optimisers import build_optimiser, set_learning_rate
from medvision.training.pace import EveryEpoch, Pace
from medvision.training.place import Alone, Place
from medvision.training.schedules import learning_rate
from medvision.training.settings import Training
from medvision.training.step import Batch, Batches, Objective, optimiser_step
from medvision.tuning import Tuning, Whole

_DIVERGED = "Lower `learning_rate` or set `warmup` in [train], or bring values near 0; train into another --out."
_ENDED_EARLY = "training-ended-early"
_DROPOUT = 4  # the number of a stream of random numbers; sides of a split, samples, folds and subsets have 0 to 3


@dataclass(frozen=True)
class Validation:
    """How good a network is.

    Parameters
    ----------
    score
        What decides which weights are best; greater is better. None where it is not defined: the weights are then
        neither better nor worse than others.
    figures
        Everything measured, by name, for the curves.
    """

    score: float | None
    figures: Mapping[str, float]


@dataclass(frozen=True)
class Fitted:
    """What a training did.

    Parameters
    ----------
    rows
        One an epoch: epoch, learning_rate, loss, where validated the score and its figures, and the seconds spent on
        data, network and validation.
    epoch
        The epoch whose weights were kept.
    findings
        What went otherwise than wished: a damaged checkpoint, an early end.
    before
        Epochs that had been done before it went on; 0 where it began anew.
    share
        Which share of the training was done when the epoch whose weights were kept began.
    """

    rows: tuple[Row, ...]
    epoch: int
    findings: tuple[Finding, ...] = ()
    before: int = 0
    share: float = 0.0


def ended_early(findings: Iterable[Finding]) -> bool:
    """Return whether a training ended before its last epoch because the score did not rise, by what was noticed of it.

    >>> ended_early([Finding("training-ended-early", "note", "no better score in 2 epochs: ended after epoch 4")])
    True
    """
    return any(finding.code == _ENDED_EARLY for finding in findings)


def optimise(
    network: Any,
    batches: Batches,
    objective: Objective,
    validate: Callable[[Any], Validation] | None,
    settings: Training,
    *,
    folder: Path,
    identity: str | None = None,
    place: Place | None = None,
    deterministic: bool = True,
    tuning: Tuning | None = None,
    pace: Pace | None = None,
    logs: Logs | None = None,
    progress: Progress = silent,
) -> Fitted:
    """Train `network` in place, and leave the weights to be kept in it, in evaluation mode.

    What is drawn at a step depends on the seed and the step's number alone, so a training that was stopped and goes
    on takes the same steps as one that was not.

    Parameters
    ----------
    network
        A ``torch.nn.Module``.
    batches, objective
        The data of each step, and the loss on them.
    validate
        Called with the network that is kept (the averaged one, if any) in evaluation mode. None where nobody is held
        out: the last weights are kept then, and nothing ends the training early.
    settings
        Epochs, optimiser, schedule, average, and whether the best or the last weights are kept.
    folder
        Takes the checkpoints; those found there are gone on from.
    identity
        The hash of all that this training depends on: checkpoints of another one are refused.
    tuning
        Which parameters are trained, and how fast; all where None.
    place
        Where it runs: in this process on the CPU where None. Of several processes the first alone asks `pace`,
        validates, writes and tells.
    pace
        How many epochs are left; those of the settings where None.
    deterministic
        Whether only algorithms are used that give the same bits in every run.
    logs
        Told the row of each epoch.

    Raises
    ------
    PipelineError
        The loss or the score is not finite (``training-diverged``), or no checkpoint found is whole, or it is another
        training's or network's.
    """
    import torch

    place, tuning, pace = place or Alone(), tuning or Whole(), pace or EveryEpoch(settings.epochs)
    logs, progress = (logs or Logs({}), progress) if place.is_first else (Logs({}), silent)
    network.to(place.device)
    kept = averaged(network) if settings.average else network
    optimiser = build_optimiser(settings, tuning.groups(network))
    state, found = checkpoint.load(folder, network, kept, optimiser, identity=identity)
    called, optimiser = place.setup(network, optimiser)
    logs.begin(state.rows)
    before = state.epoch
    if before:
        progress(0, 0, f"goes on after epoch {before}")
    with (
        torch.random.fork_rng(enabled=True),
        small_convolutions_in_fp32(network),
        deterministic_algorithms(deterministic),
        gpu_arithmetic(place.precision, deterministic=deterministic),
    ):
        measured: tuple[Finding, ...] = ()
        if place.from_first(partial(pace.left, state)):  # trying takes a minute or more, for nothing where all is done
            called, measured = _fastest(called, batches, objective, place, settings, deterministic=deterministic)
        learner = _Learner(network, called, kept, optimiser, batches, objective, settings, place)
        while (left := place.from_first(partial(pace.left, state))) and not _without_gain(state, settings):
            began, seconds = time.monotonic(), dict.fromkeys(("data", "network", "validation"), 0.0)
            network.train()
            tuning.begin_epoch(network, state.share)
            total = learner.epoch(state, left, seconds, progress)
            row = {"epoch": state.epoch + 1.0, "learning_rate": _rate_of(optimiser)}
            row |= {"loss": place.mean(total) / settings.steps_per_epoch}
            if validate is not None and (left == 1 or (state.epoch + 1) % settings.validate_every == 0):
                with _counted(seconds, "validation"):
                    figures, state = learner.validated(validate, state, folder)
                row |= figures
            share = state.share + (1 - state.share) / left
            row |= {f"seconds_{what}": round(value, 3) for what, value in seconds.items()}
            state = state.advanced(row, share=share, seconds=time.monotonic() - began)
            if place.is_first:
                checkpoint.save(folder, network, kept, optimiser, state)
            logs.log(row)

    place.barrier()  # the first process has written what all now read
    epoch, told = _leave_best(network, kept, state, settings, folder)
    if validate is not None and state.rows and not state.best_epoch:
        told.append(_without_score(state))
    share = state.share_before(epoch) if epoch else 0.0
    return Fitted(state.rows, epoch, (*found, *measured, *told), before, share)


@dataclass(frozen=True, eq=False)
class _Learner:
    """A network in training: itself, as it is called, as it is kept, and what changes it."""

    network: Any
    called: Any
    kept: Any
    optimiser: Any
    batches: Batches
    objective: Objective
    settings: Training
    place: Place

    def epoch(self, state: checkpoint.TrainingState, left: int, seconds: dict[str, float], progress: Progress) -> float:
        """Do the steps of one of the `left` epochs, and return the sum of their losses."""
        import torch

        settings, place, total = self.settings, self.place, 0.0
        for number in range(settings.steps_per_epoch):
            step = state.epoch * settings.steps_per_epoch + number
            share = state.share + (1 - state.share) * number / (left * settings.steps_per_epoch)
            set_learning_rate(self.optimiser, learning_rate(settings, share))
            with _counted(seconds, "data"):
                batch = self.batches(step)
            with _counted(seconds, "network"):
                torch.manual_seed(_seed_of_dropout(settings.seed, step, place.rank))
                total += optimiser_step(
                    self.called, self.network, batch, self.objective, self.optimiser, place, settings.clip
                )
                update_average(self.kept, self.network, decay=settings.average, step=step)
            _require_finite(total, "loss", step, batch)
            progress(step + 1, (state.epoch + left) * settings.steps_per_epoch, state.words)
        return total

    def validated(
        self, validate: Callable[[Any], Validation], state: checkpoint.TrainingState, folder: Path
    ) -> tuple[dict[str, float], checkpoint.TrainingState]:
        """Return what the weights to be kept are measured at, and the state, with its best score where none was better.

        Of equal scores the last counts: where few cases are held out, a score reaches its limit long before the network
        has learned all that it can.
        """
        result = Validation(*self.place.from_first(partial(_validated, self.kept, validate)))
        if result.score is None:
            return dict(result.figures), state
        _require_finite(result.score, "score", (state.epoch + 1) * self.settings.steps_per_epoch - 1)
        if state.best is not None and result.score < state.best:
            return {"score": result.score, **result.figures}, state
        better = state.improved(result.score)
        if self.settings.keep == "best" and self.place.is_first:
            checkpoint.save_best(folder, self.kept, better, before=state)
        return {"score": result.score, **result.figures}, better


def _fastest(
    called: Any, batches: Batches, objective: Objective, place: Place, settings: Training, *, deterministic: bool
) -> tuple[Any, tuple[Finding, ...]]:
    """Return the network or, where that is measured to be faster on a GPU, the network compiled."""
    if place.world > 1:  # untried with DDP
        return called, ()

    def step(network: Any) -> None:
        place.backward(objective(network, batches(0)))

    return fastest(called, step, device=place.device, steps=settings.total_steps, deterministic=deterministic)


def _validated(kept: Any, validate: Callable[[Any], Validation]) -> tuple[float | None, dict[str, float]]:
    result = validate(kept.eval())
    score = None if result.score is None else float(result.score)
    return score, {name: float(value) for name, value in result.figures.items()}


def _leave_best(
    network: Any, kept: Any, state: checkpoint.TrainingState, settings: Training, folder: Path
) -> tuple[int, list[Finding]]:
    """Leave the weights to be kept in the network; return their epoch, and what must be said."""
    found = []
    if _without_gain(state, settings):
        epochs = "1 epoch" if settings.early_stopping == 1 else f"{settings.early_stopping} epochs"
        message = f"no better score in {epochs}: ended after epoch {state.epoch}"
        found.append(Finding(_ENDED_EARLY, "note", message))
    epoch = state.epoch
    set_state(network, state_of(kept))
    if settings.keep == "best" and state.best_epoch:
        try:
            checkpoint.load_best(folder, network, state)
            epoch = state.best_epoch
        except SealBrokenError as error:
            message = f"the best weights cannot be read ({error}); those of the last epoch are kept"
            found.append(Finding("checkpoint-damaged", "warning", message))
    if not all(bool(tensor.isfinite().all()) for tensor in state_of(network).values()):
        cause = "the weights are not finite after the last step, which was too large"
        raise PipelineError("training-diverged", cause, cure=_DIVERGED)
    network.eval()
    return epoch, found


def _without_score(state: checkpoint.TrainingState) -> Finding:
    """Return what is to be said where no score has chosen an epoch."""
    if any(of_validation(name) or row.get("seconds_validation") for row in state.rows for name in row):
        return Finding("score-undefined", "warning", "no validation had a score; the last weights are kept")
    return Finding("budget", "note", "the time was over before the first validation; the last weights are kept")


def _without_gain(state: checkpoint.TrainingState, settings: Training) -> bool:
    """Say whether the training is to end, because the score has not risen for long enough."""
    if not settings.early_stopping or not state.best_epoch:  # before the first validation nothing can have risen
        return False
    # Epochs that were not validated say nothing: those up to the last validation count.
    scores = {int(row["epoch"]): row["score"] for row in state.rows if "score" in row}
    risen = min((epoch for epoch, score in scores.items() if score == state.best), default=state.best_epoch)
    return max(scores, default=0) - risen >= settings.early_stopping


@contextmanager
def _counted(seconds: dict[str, float], what: str) -> Iterator[None]:
    """Count the time within as `what`."""
    began = time.monotonic()
    try:
        yield
    finally:
        seconds[what] += time.monotonic() - began


def _seed_of_dropout(seed: int, step: int, rank: int) -> int:
    """Return the seed of what the network itself draws in a step, another one in every process.

    It has a stream of its own: from that of the augmentation, the same numbers would vary a sample and drop its units.
    32 bits, for torch's generator on a CPU looks at no more.
    """
    return int(np.random.SeedSequence([seed, _DROPOUT, step, rank]).generate_state(1)[0])


def _rate_of(optimiser: Any) -> float:
    return max(float(group["lr"]) for group in optimiser.param_groups)


def _require_finite(value: float, name: str, step: int, batch: Batch | None = None) -> None:
    """Refuse a loss or a score that is no number, and say where it can come from."""
    if math.isfinite(value):
        return
    if batch is not None and not bool(batch.images.isfinite().all()):
        cause = "the images of this step hold values that are not finite"
        cure = "Look at the values of the training images, and at what [[steps]] and [train.augmentation] make of them."
    else:
        cause = "steps of the optimiser were too large, or values of the images are far from 0"
        cure = _DIVERGED
    raise PipelineError("training-diverged", f"the {name} is not finite at step {step}: {cause}", cure=cure)
