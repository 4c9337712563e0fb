"""Train one network on one split of prepared cases, and leave a complete pipeline folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medvision.errors import Finding
from medvision.frameworks import versions
from medvision.pipeline import SEEN, PipelineFolder
from medvision.progress import Progress, silent
from medvision.report.wording import listed
from medvision.training import Fitted, Logs, Pace, Split, checkpoint, open_logs, optimise
from medvision.transfer.tuning import summary, waiting
from medvision.workflows.cases.targets import require_known
from medvision.workflows.fitting.budget import Budget
from medvision.workflows.fitting.choice import choice_of
from medvision.workflows.fitting.export import Export
from medvision.workflows.fitting.held_out import score
from medvision.workflows.fitting.job import Job
from medvision.workflows.fitting.machine import Machine
from medvision.workflows.fitting.pacing import done_in_time, paced, seconds_before
from medvision.workflows.fitting.training_page import TrainingPage, page_of
from medvision.workflows.fitting.workbench import Workbench
from medvision.workflows.starting.seen import Seen, seen_by_start, start_findings
from medvision.workflows.starting.source import Started
from medvision.workflows.starting.start import Start, identity_of_start, started
from medvision.workflows.training_data.label_doubts import require_sides_apart
from medvision.workflows.training_data.noticed import notice
from medvision.workflows.training_folder.claim import claim, refuse_unfinished, write_settings
from medvision.workflows.training_folder.finished import Finished, identity_of, seconds_of
from medvision.workflows.training_folder.outcome import Trained, TrainingResult, done, ids_of, is_done
from medvision.workflows.training_folder.state import CHECKPOINTS, RESULT
from medvision.workflows.training_folder.stretches import arithmetic, begin_stretch, how_it_ran


@dataclass(frozen=True, eq=False)
class Terms:
    """On what terms a network is trained.

    Parameters
    ----------
    start
        What it starts from; None starts from fresh weights.
    budget
        The time in which all must be done; None takes the time that the settings need.
    machine
        How it runs.
    results
        Sentences for the card where nobody is held out, e.g. those of a cross-validation.
    progress
        Told of every step.
    """

    start: Start | None = None
    budget: Budget | None = None
    machine: Machine = field(default_factory=Machine)
    results: tuple[str, ...] = ()
    progress: Progress = silent

    @property
    def minutes(self) -> float | None:
        """The time that a person asked for, of which the budget may be a part."""
        return None if self.budget is None else self.budget.asked or self.budget.minutes


def fit(work: Workbench, parts: Split, pipeline: PipelineFolder, out: Path, terms: Terms) -> Trained:
    """Train on one split of the cases of a workbench, and leave a complete pipeline folder in `out`.

    A training that lies there finished is returned as it is, and no case is prepared for it. Of several processes, the
    first alone writes and measures.

    Parameters
    ----------
    work
        Its cases, and where it runs.
    parts
        Who trains and who is held out; where nobody is held out, nothing is measured.
    pipeline
        With the settings of this training.
    out
        The new pipeline folder.
    terms
        Its start, time and machine.

    Raises
    ------
    InputError
        A case cannot be read, or lacks a label; or no training case states one of the values of a regression.
    PipelineError
        `out` holds a training of other settings or other data, or the loss is not finite.
    """
    place, start, checkpoints = work.place, terms.start, out / CHECKPOINTS
    further = [terms.minutes, place.from_first(lambda: identity_of_start(start, checkpoints))]
    by_files = place.from_first(lambda: identity_of(pipeline, parts, *further))
    if place.from_first(lambda: is_done(out, parts, by_files)):
        return done(out, parts)
    require_known({"": parts.train}, pipeline.settings)
    work.refuse_options(pipeline, out, start, terms.machine.log, timed=terms.budget is not None)
    deterministic = terms.machine.is_deterministic(place.device)
    whole = work.job(pipeline, parts, tune=start.tune if start else "full", deterministic=deterministic)
    require_sides_apart(whole.training, pipeline.settings)
    noticed = notice(parts, whole.training, whole.held_out, pipeline.settings)
    identity = place.from_first(lambda: claim(out, pipeline, parts, work.identities(), *further))
    if place.from_first(lambda: is_done(out, parts)):  # the same voxels in other files
        return done(out, parts)
    if place.is_first:
        refuse_unfinished(out)
    job, pace, cut = paced(
        whole,
        terms.budget,
        checkpoints=checkpoints,
        settings_in=out,
        over=(out / RESULT).is_file() and checkpoint.begun(checkpoints),
        keep_network=start is not None,
    )
    if place.is_first:
        write_settings(out, job.pipeline)
    learnt = _optimised(job, parts, out, identity, (*noticed.findings, *cut), pace, terms)
    place.barrier()  # nobody reads the checkpoints any more
    if place.is_first:
        return _left(learnt, terms, noticed.named, by_files)
    seconds: float = place.from_first(lambda: seconds_of(out))  # when the first has written everything
    result = TrainingResult(out, (), learnt.findings, *ids_of(parts))
    return Trained(result, (), job.pipeline, learnt.fitted.epoch, len(learnt.fitted.rows), seconds)


@dataclass(frozen=True, eq=False)
class _Learnt:
    """A network that has been trained: on what and where, what the loop did, and what is to be said of it."""

    job: Job
    parts: Split
    out: Path
    network: Any
    fitted: Fitted
    findings: tuple[Finding, ...]
    page: TrainingPage
    started: Started | None
    trained: tuple[str, ...]
    seen: Seen | None


def _optimised(
    job: Job, parts: Split, out: Path, identity: str, findings: tuple[Finding, ...], pace: Pace | None, terms: Terms
) -> _Learnt:
    """Train the job's network, from where it starts or the training of this `identity` was stopped."""
    settings, place, folder, start = job.pipeline.settings, job.place, out / CHECKPOINTS, terms.start
    network = job.pipeline.build_network(training=True)
    begun, tuning, trained = started(network, start, job.pipeline, place, folder)
    findings += begun.findings if begun else ()
    seen = seen_by_start(start.source if start else None, folder) if place.is_first else None
    findings += start_findings(seen, [entry.digest for entry in job.held_out])
    if trained:
        terms.progress(0, 0, trained[0])
    budget = terms.budget
    page = page_of(
        out,
        settings,
        parts,
        place,
        minutes=None if budget is None else budget.minutes,
        seconds_before=seconds_before(folder, budget),
        decisions=(*(finding.message for finding in findings if finding.code.startswith("budget")), *trained),
    )
    facts = {"pipeline": job.pipeline.name, "steps": str(settings.train.total_steps)}
    logs = open_logs(terms.machine.log, out, title=out.name, settings=facts, also={"page": page})
    if place.is_first:
        begin_stretch(folder, arithmetic(place, deterministic=job.deterministic))
    with logs if place.is_first else Logs({}) as logs, job.ahead() as batches:
        fitted = optimise(
            network,
            batches,
            job.objective(),
            job.validate if job.held_out else None,
            settings.train,
            folder=folder,
            identity=identity,
            place=place,
            deterministic=job.deterministic,
            tuning=tuning,
            pace=pace,
            logs=logs,
            progress=terms.progress,
        )
    if tuning is not None and place.is_first:
        frozen = waiting(tuning, network, fitted.share)
        trained = summary(tuning, network, without=frozen)
        findings += _stages_left(frozen)
        tuning.finish(network)
    findings += done_in_time(budget, settings.train, epochs=len(fitted.rows))
    findings += (*fitted.findings, *logs.findings) if place.is_first else ()
    return _Learnt(job, parts, out, network, fitted, findings, page, begun, trained, seen)


def _stages_left(frozen: Sequence[str]) -> tuple[Finding, ...]:
    """Return a warning where stages that were to join have not, in the weights that are kept."""
    if not frozen:
        return ()
    stages = listed(list(frozen))
    message = f"the weights that are kept are from before the turn of {stages}: not trained, as at the start"
    return (Finding("stages-untrained", "warning", message),)


def _left(learnt: _Learnt, terms: Terms, named: Mapping[str, Sequence[Any]], identity: str) -> Trained:
    """Measure the network, and leave the pipeline folder; the first process does."""
    job, parts, out, fitted = learnt.job, learnt.parts, learnt.out, learnt.fitted
    settings, place, epochs = job.pipeline.settings, job.place, len(fitted.rows)
    scored = score(learnt.network, job.held_out, settings)
    trained_with = {
        **versions(),
        **how_it_ran(out / CHECKPOINTS, arithmetic(place, deterministic=job.deterministic), epochs=epochs),
        "steps": str(epochs * settings.train.steps_per_epoch),
        "seed": str(settings.train.seed),
        **(learnt.started.facts if learnt.started else {}),
        **({"tune": terms.start.tune, "trained": "; ".join(learnt.trained)} if terms.start else {}),
    }
    choice = choice_of(fitted, keeps_best=settings.train.keep == "best")
    figures = [entry.figures for entry in job.training]
    export = Export(job.pipeline, learnt.network, parts, figures, scored, choice.sentence, terms.results, trained_with)
    findings = list(learnt.findings)
    card = export.write(out, findings, learnt.started)
    job.seen(optimistic=choice.optimistic).and_also(learnt.seen).write(out / SEEN, weights_sha256=card.sha256)
    result = TrainingResult(out, card.results, tuple(findings), *ids_of(parts), named, epochs_before=fitted.before)
    result.write()
    learnt.page.complete(card.results, findings)
    seconds = seconds_of(out)
    Finished(identity, fitted.epoch, epochs, seconds, tuple(scored), choice.optimistic).write(out)
    place.from_first(lambda: seconds)
    return Trained(result, scored, PipelineFolder.open(out), fitted.epoch, epochs, seconds, choice.optimistic)
