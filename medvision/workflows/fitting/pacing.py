"""How long a training goes on: as its settings say, or as fits into a time, with settings that are cut to fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from medvision.errors import Finding
from medvision.training import Alone, EveryEpoch, Pace, UntilDeadline, checkpoint, seconds_spent
from medvision.workflows.fitting.budget import EXPORT_SECONDS, Budget
from medvision.workflows.fitting.finished import CHECKPOINTS
from medvision.workflows.fitting.fit_time import fitting
from medvision.workflows.fitting.job import Job
from medvision.workflows.fitting.outcome import RESULT


def paced(
    job: Job, out: Path, budget: Budget | None, *, keep_network: bool
) -> tuple[Job, Pace | None, tuple[Finding, ...]]:
    """Return the job with settings that fit into the time, its pace, and what was cut; without a time the job as it is.

    Parameters
    ----------
    job
        What is to be trained.
    out
        The training's folder.
    budget
        The time; None for as long as the settings say.
    keep_network
        Whether the network stays as it is.
    """
    if budget is None:
        return job, None, ()
    checkpoints, place = out / CHECKPOINTS, job.place
    with place.in_turn():  # by the first, alone with the whole batch; the others read what it found
        alone = replace(job, place=Alone(place.device, place.precision))
        timed = fitting(alone, out, budget, kept=checkpoints / "timed.json", keep_network=keep_network)
    fitted = job.changed(timed.settings)
    if (out / RESULT).is_file() and checkpoint.begun(checkpoints):
        # It came to its end, and is not trained further in what time was left over.
        return fitted, EveryEpoch(0), timed.findings
    each = timed.step_seconds * timed.settings.train.steps_per_epoch
    deadline = budget.without(seconds_spent(checkpoints)).deadline
    pace = UntilDeadline(deadline, timed.validation_seconds, each, writing_seconds=EXPORT_SECONDS)
    return fitted, pace, timed.findings
