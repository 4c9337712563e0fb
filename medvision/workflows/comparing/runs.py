"""One of several trainings that are compared: run once, kept with what it says of every case, and read again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from medvision.errors import Finding, PipelineError
from medvision.files import write_json
from medvision.pipeline import PipelineFolder
from medvision.progress import Progress, named, silent
from medvision.training import Split, split
from medvision.workflows.cases.targets import require_known, with_scaling
from medvision.workflows.comparing.ways import Way
from medvision.workflows.fitting.budget import Budget
from medvision.workflows.fitting.fit import Terms, fit
from medvision.workflows.fitting.machine import Machine
from medvision.workflows.fitting.seeds import seeded
from medvision.workflows.fitting.workbench import Workbench
from medvision.workflows.scoring.scored import Scored, scored_of
from medvision.workflows.starting.seen import notes_of_starts
from medvision.workflows.training_data.labelled import labelled_cases
from medvision.workflows.training_folder.finished import identity_of, seconds_of
from medvision.workflows.training_folder.state import state_in

_RUN = "run.json"
_SHARED = "shared.json"


@dataclass(frozen=True, eq=False)
class Run:
    """A training that is asked for.

    Parameters
    ----------
    way
        How it is trained.
    parts
        Who trains and who is held out.
    pipeline
        With the seed of this run.
    folder
        Where it goes.
    asked_minutes
        The time that a person asked for: in a proof of transfer for all trainings together, in a learning curve for
        each. None takes the time that the settings need.
    """

    way: Way
    parts: Split
    pipeline: PipelineFolder
    folder: Path
    asked_minutes: float | None = None

    @property
    def seed(self) -> int:
        """The seed of the training."""
        return self.pipeline.settings.train.seed

    def identity(self) -> str:
        """Return the hash of all that its result depends on, besides versions and the machine."""
        return identity_of(self.pipeline, self.parts, self.way.digest(), self.asked_minutes)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run came to.

    Parameters
    ----------
    scored
        What it says of each held-out case, beside the truth, in the order of the split.
    seconds
        The time that the training took: from prepared cases to the folder that it left, interruptions left out.
    steps
        Steps of the optimiser.
    findings
        What was noticed about its data and in the training.
    """

    scored: tuple[Scored, ...]
    seconds: float
    steps: int
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Shared:
    """What several runs have in common.

    Parameters
    ----------
    seconds
        The time that went, once for all, into preparing cases and into what is set up once.
    notes
        What must be said of comparing the ways of training, a sentence each; see
        :func:`medvision.workflows.starting.seen.notes_of_starts`.
    """

    seconds: float = 0.0
    notes: tuple[str, ...] = ()


class Trainer(Protocol):
    """Does a run: leaves a pipeline folder, and says what it came to."""

    def __call__(self, run: Run, *, budget: Budget | None, progress: Progress) -> Outcome:
        """Train, within a time where one is given."""
        ...


def trainer_at(work: Workbench, machine: Machine) -> Trainer:
    """Return what trains runs on the cases of a workbench."""
    return partial(_fit_run, work, machine)


def _fit_run(work: Workbench, machine: Machine, run: Run, *, budget: Budget | None, progress: Progress) -> Outcome:
    before, began = seconds_of(run.folder), time.monotonic()
    terms = Terms(run.way.start, budget, machine, progress=progress)
    trained = fit(work, run.parts, run.pipeline, run.folder, terms)
    steps = int(trained.pipeline.require_weights().trained_with["steps"])
    return Outcome(tuple(trained.scored), before + time.monotonic() - began, steps, trained.result.findings)


def sides_of(pipeline: PipelineFolder, data: Sequence[Path], *, seed: int | None) -> tuple[PipelineFolder, Split]:
    """Return the pipeline, with the seed and the scales of its data, and who trains and who is held out in all runs.

    The scales of a regression are those of the whole training side, so that runs on a part of it mean the same.
    """
    pipeline = seeded(pipeline, seed)
    settings = pipeline.settings
    cases, train = labelled_cases(data, settings.labels), settings.train
    parts = split(cases, validation=train.validation, seed=train.seed, task=settings.task)
    return replace(pipeline, settings=with_scaling(settings, parts.train)), parts


def prepare_shared(runs: Sequence[Run], work: Workbench, out: Path, *, log: str, sharing: int | None = None) -> Shared:
    """Prepare what all runs share, so that none pays for it alone, and compare what their starts have seen.

    Where all runs are done, nothing is prepared, and what was found before is returned.

    Parameters
    ----------
    runs
        All runs, with the same cases held out.
    out
        Keeps what was found.
    log
        The words of ``--log``.
    sharing
        How many trainings share one time; None where there is no limit, or each has a time of its own.

    Raises
    ------
    PipelineError
        In `out`, the time was divided among another number of trainings: those that are done would have had more of it,
        or less. Or what was kept there is damaged, or a run of other settings, other data or another start lies there.
    UsageError, PipelineError, ExtraMissingError
        What :func:`medvision.workflows.starting.start.refuse_options` refuses, before any case is prepared.
    InputError
        A case cannot be read, does not fit the pipeline, or lacks a label; a run starts from weights that were trained
        on held-out cases; or what :func:`refuse_unknown` refuses.
    WorkerError
        The process that worked on a case was lost, or ran out of memory.
    """
    path = out / _SHARED
    before = Shared()
    if path.is_file():
        with state_in(path) as kept:
            before = Shared(float(kept["seconds"]), tuple(kept["notes"]))
            _refuse_other_shares(kept.get("sharing"), sharing, out)
    if all(is_done(run) for run in runs):
        return before
    refuse_unknown(runs)
    began = time.monotonic()
    for run in {run.way: run for run in reversed(runs) if not is_done(run)}.values():
        work.refuse_options(run.pipeline, run.folder, run.way.start, log, timed=run.asked_minutes is not None)
    sources = {run.way.name: run.way.start.source if run.way.start else None for run in runs}
    notes = notes_of_starts(sources, work.parts, work.digests())
    work.warm_up()
    found = Shared(before.seconds + time.monotonic() - began, notes)
    write_json(path, {"seconds": found.seconds, "notes": list(notes), "sharing": sharing})
    return found


def refuse_unknown(runs: Sequence[Run]) -> None:
    """Raise InputError where a value of a regression is known of no case that one of the runs trains on."""
    if runs:
        require_known({run.folder.name: run.parts.train for run in runs}, runs[0].pipeline.settings)


def _refuse_other_shares(before: int | None, now: int | None, out: Path) -> None:
    """Refuse to divide a time among another number of trainings than those that are done have had their share of."""
    if now is None or before == now:  # whether there was a limit at all is a part of each run's identity
        return
    counted = before or "another number of"
    message = f"the time limit was divided among {counted} trainings here; now it would be divided among {now}"
    cure = "Choose another --out, or give as many --seeds as before: with unequal times they cannot be compared."
    raise PipelineError("weights-mismatch", message, path=out, cure=cure)


def run_or_read(run: Run, trainer: Trainer, *, budget: Budget | None = None, progress: Progress = silent) -> Outcome:
    """Return what a run came to: as it was kept, or by training now.

    Raises
    ------
    PipelineError
        A run of other settings, other data or another start lies in its folder, or what was kept of it is damaged.
    """
    kept = _kept(run)
    if kept is not None:
        return kept
    outcome = trainer(run, budget=budget, progress=progress)
    entries = [entry.to_json() for entry in outcome.scored]
    told = [finding.unplaced().to_json() for finding in outcome.findings]
    content = {"identity": run.identity(), "seconds": outcome.seconds, "steps": outcome.steps, "cases": entries}
    content |= {"findings": told}
    write_json(run.folder / _RUN, content)
    return _outcome(run, content)


def outcomes_of(
    runs: Sequence[Run],
    trainer: Trainer,
    *,
    budget_of: Callable[[int], Budget | None],
    words_of: Callable[[Run], str],
    progress: Progress,
) -> list[Outcome]:
    """Return what all runs came to; see :func:`run_or_read`.

    Parameters
    ----------
    runs
        In the order in which they are done.
    trainer
        Does those that are not done yet.
    budget_of
        Gives the time of a run by its number, when its turn has come.
    words_of
        Says which run it is, for the progress.
    progress
        Told of every step.
    """
    found = []
    for number, run in enumerate(runs):
        words = f"{words_of(run)} ({number + 1} of {len(runs)})"
        found.append(run_or_read(run, trainer, budget=budget_of(number), progress=named(words, progress)))
    return found


def is_done(run: Run) -> bool:
    """Whether a run lies in its folder, finished; see :func:`run_or_read` for errors."""
    return _kept(run) is not None


def _kept(run: Run) -> Outcome | None:
    path = run.folder / _RUN
    if not path.is_file():
        return None
    with state_in(path) as content:
        if content["identity"] != run.identity():
            message = "a training of other settings, other data or another start lies here"
            raise PipelineError("weights-mismatch", message, path=run.folder, cure="Choose another --out.")
        return _outcome(run, content)


def _outcome(run: Run, content: Mapping[str, Any]) -> Outcome:
    scored = scored_of(content["cases"], run.parts.val)
    findings = tuple(map(Finding.from_json, content.get("findings", ())))  # an earlier version did not keep them
    return Outcome(scored, content["seconds"], content["steps"], findings)
