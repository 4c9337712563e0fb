"""How long a training goes on: as its settings say, or as fits into a time, with settings that are cut to fit."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from medvision.errors import Finding, PipelineError
from medvision.files import write_json
from medvision.pipeline import PipelineFolder, Settings, read_settings
from medvision.report.wording import many
from medvision.training import Alone, EveryEpoch, Pace, Place, Training, UntilDeadline, seconds_spent
from medvision.workflows.fitting.budget import EXPORT_SECONDS, Budget, Timed, fit_into
from medvision.workflows.training_folder.claim import write_settings
from medvision.workflows.training_folder.state import state_in


class Paceable(Protocol):
    """What can be fitted into a time: a training with labels, or one without."""

    @property
    def pipeline(self) -> PipelineFolder:
        """With the settings in force."""
        ...

    @property
    def place(self) -> Place:
        """Where the network computes."""
        ...

    def changed(self: Paced, settings: Settings) -> Paced:
        """Return the same with other settings."""
        ...

    def at(self: Paced, place: Place) -> Paced:
        """Return the same at another place."""
        ...

    def step(self) -> Callable[[int], None]:
        """Return one step as a function of its number, on a network that is thrown away."""
        ...

    def validation_seconds(self) -> float:
        """Return the time that a validation takes."""
        ...


Paced = TypeVar("Paced", bound=Paceable)


def paced(
    job: Paced,
    budget: Budget | None,
    *,
    checkpoints: Path,
    settings_in: Path,
    over: bool,
    keep_network: bool = False,
) -> tuple[Paced, Pace | None, tuple[Finding, ...]]:
    """Return the job with settings that fit into the time, its pace, and what was cut; without a time the job as it is.

    Parameters
    ----------
    job
        What is to be trained.
    budget
        The time; None for as long as the settings say.
    checkpoints
        Where it stands, with what was measured before it was stopped.
    settings_in
        The folder that takes the ``pipeline.toml`` with what was cut.
    over
        Whether it came to its end before: it is not trained further in what time was left over.
    keep_network
        Whether the network stays as it is: it starts from weights that a narrower one could not take.

    Raises
    ------
    PipelineError
        The settings in `settings_in` are not those that were written there.
    """
    if budget is None:
        return job, None, ()
    place, kept = job.place, checkpoints / "timed.json"
    with place.in_turn():  # by the first, alone with the whole batch; the others read what it found
        alone = job.at(Alone(place.device, place.precision))
        if kept.is_file():
            timed = _as_before(alone, settings_in, kept)
        else:
            timed = _measured(alone, budget, settings_in, kept, keep_network=keep_network, shared_by=place.world)
    fitted = job.changed(timed.settings)
    if over:
        return fitted, EveryEpoch(0), timed.findings
    each = timed.step_seconds * timed.settings.train.steps_per_epoch
    deadline = budget.without(seconds_spent(checkpoints)).deadline
    pace = UntilDeadline(deadline, timed.validation_seconds, each, writing_seconds=EXPORT_SECONDS)
    return fitted, pace, timed.findings


def seconds_before(checkpoints: Path, budget: Budget | None) -> float:
    """Return what a training has taken before its loop begins: in earlier calls, and of its time in this one."""
    return seconds_spent(checkpoints) + (0.0 if budget is None else time.monotonic() - budget.started)


def done_in_time(budget: Budget | None, planned: Training, *, epochs: int) -> tuple[Finding, ...]:
    """Return a note of how many steps were done, where these are not those that were planned for the time.

    Of one of several trainings, it says that they share the time.
    """
    steps = epochs * planned.steps_per_epoch
    if budget is None or (budget.asked is None and steps == planned.total_steps):
        return ()
    were = "was" if steps == 1 else "were"
    share = "the time" if budget.asked is None else f"its share of the time, {budget.asked:g} min for all trainings"
    return (Finding("budget", "note", f"{many(steps, 'step')} {were} done in {share}"),)


def _as_before(job: Paceable, settings_in: Path, kept: Path) -> Timed:
    """Return what was found before the training was stopped."""
    path = settings_in / "pipeline.toml"
    settings = read_settings(path)
    with state_in(kept) as found:
        findings = tuple(map(Finding.from_json, found["findings"]))
        timed = Timed(settings, float(found["step_seconds"]), float(found["validation_seconds"]), findings)
        as_fitted = job.changed(settings).pipeline.settings_sha256 == found["settings_sha256"]
    if not as_fitted:
        message = "these are not the settings that were fitted into the time when the training began"
        raise PipelineError("weights-mismatch", message, path=path, cure="Restore the file, or choose another --out.")
    return timed


def _measured(
    job: Paceable, budget: Budget, settings_in: Path, kept: Path, *, keep_network: bool, shared_by: int
) -> Timed:
    """Return what fits into the time, and keep it for the next try, with the hash of the settings."""
    import torch

    with torch.random.fork_rng(enabled=True):  # dropout draws from it
        timed = fit_into(
            budget.deadline - time.monotonic(),
            job.pipeline.settings,
            lambda settings: job.changed(settings).step(),
            lambda settings: job.changed(settings).validation_seconds(),
            may_cut=budget.may_cut,
            keep_network=keep_network,
            shared_by=shared_by,
        )
    fitted = job.changed(timed.settings).pipeline
    write_settings(settings_in, fitted)
    seconds = {"step_seconds": timed.step_seconds, "validation_seconds": timed.validation_seconds}
    told = [finding.to_json() for finding in timed.findings]
    write_json(kept, {**seconds, "settings_sha256": fitted.settings_sha256, "findings": told})
    return timed
