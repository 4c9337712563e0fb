"""Cross-validate a pipeline: every case held out once, and in the end one network for use and one of them all."""

from __future__ import annotations

import functools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from medvision.batch import holding
from medvision.errors import Finding, PipelineError
from medvision.files import write_json, write_text
from medvision.fingerprint import CaseFigures
from medvision.networks import save_weights
from medvision.pipeline import FINGERPRINT, SEEN, PipelineFolder, Settings
from medvision.progress import Progress, named, silent
from medvision.report import crossvalidation_page
from medvision.report.wording import listed
from medvision.training import Split, ended_early, folds
from medvision.workflows.cases.targets import require_known, with_scaling
from medvision.workflows.fitting.budget import Budget, Shares
from medvision.workflows.fitting.card import card_text
from medvision.workflows.fitting.choice import choice_of_folds
from medvision.workflows.fitting.crossvalidation_page import page_values
from medvision.workflows.fitting.fit import Terms, fit
from medvision.workflows.fitting.fold_figures import fold_counts, fold_estimates, fold_notes
from medvision.workflows.fitting.machine import Machine
from medvision.workflows.fitting.seeds import seeded
from medvision.workflows.fitting.workbench import Workbench, store_of
from medvision.workflows.scoring.scores import counted_by, scores_csv, sentences
from medvision.workflows.starting.seen import Seen
from medvision.workflows.starting.start import Start
from medvision.workflows.training_data.fingerprint import write_fingerprint
from medvision.workflows.training_data.labelled import labelled_cases
from medvision.workflows.training_data.noticed import gathered, named_together
from medvision.workflows.training_folder.claim import refuse_begun, refuse_settings, write_settings
from medvision.workflows.training_folder.finished import is_over, seconds_of
from medvision.workflows.training_folder.outcome import Trained

_OF_ENSEMBLE = ("pipeline.toml", "weights.json", "weights.safetensors", "card.md", SEEN, FINGERPRINT)
_WRITTEN = ("crossvalidation.csv", "crossvalidation.json", *(f"ensemble/{name}" for name in _OF_ENSEMBLE))


@dataclass(frozen=True)
class CrossValidation:
    """What a cross-validation found and left.

    Parameters
    ----------
    folder
        A pipeline trained on all cases; in it ``folds/1``, ``folds/2``, ... and ``ensemble``, pipelines too.
    results
        What was measured on the cases held out, all folds together, with intervals over patients; a sentence each.
    each
        The same for each fold.
    findings
        What was noticed about the data and the trainings; what holds for some of these alone names them.
    named
        Ids by the code of a finding: the cases that it is about in any of the trainings; see
        :class:`medvision.workflows.train.TrainingResult`.
    done_before
        How many of the trainings, that on all cases included, had come to their end before.
    """

    folder: Path
    results: tuple[str, ...]
    each: tuple[tuple[str, ...], ...]
    findings: tuple[Finding, ...]
    named: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    done_before: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {
            "schema": "medvision.crossvalidation/1",
            "folder": str(self.folder),
            "results": list(self.results),
            "folds": [list(results) for results in self.each],
            "findings": [finding.unplaced().to_json() for finding in self.findings],
            "named": {code: list(ids) for code, ids in self.named.items()},
            "done_before": self.done_before,
        }


def crossvalidate(
    pipeline: PipelineFolder,
    data: Sequence[Path],
    out: Path,
    *,
    count: int = 5,
    start: Start | None = None,
    seed: int | None = None,
    budget: Budget | None = None,
    machine: Machine | None = None,
    progress: Progress = silent,
) -> CrossValidation:
    """Train on each of `count` folds, measure on what each holds out, and leave a pipeline trained on all cases.

    A cross-validation that was stopped goes on where it was, when the same command is given again.

    Parameters
    ----------
    pipeline, data, out, start, seed, machine, progress
        See :func:`medvision.workflows.train.train`.
    count
        Number of folds, 2 or more. Patients stay together, and classes are spread evenly.
    budget
        The time for all trainings together, that on all cases included.

    Raises
    ------
    UsageError
        What :func:`medvision.workflows.train.train` refuses; or several processes are wanted.
    InputError
        A case cannot be read, or lacks a label; there are fewer patients than folds; or a value of a regression is
        known of no case that one of the folds trains on.
    PipelineError
        `out` holds a training of other settings or other data, or one that has lost a fold; the weights to start from
        cannot be read or fit too little, or a loss is not finite.
    ExtraMissingError, BusyError, OutputError, WorkerError
        See :func:`medvision.workflows.train.train`.
    """
    places = [*(out / "folds" / str(number) for number in range(1, count + 1)), out]
    refuse_settings(pipeline, *places, out / "ensemble")
    pipeline, machine = seeded(pipeline, seed), machine or Machine()
    with holding(out), store_of(out, machine) as store:
        if not (out / "folds").is_dir():  # now, and not after days of training
            refuse_begun(out)
        cases = labelled_cases(data, pipeline.settings.labels)
        parts = folds(cases, count=count, seed=pipeline.settings.train.seed, task=pipeline.settings.task)
        everyone = parts[0].undivided()
        pipeline = replace(pipeline, settings=with_scaling(pipeline.settings, everyone.train))
        require_known({f"fold {number}": each.train for number, each in enumerate(parts, 1)}, pipeline.settings)

        place = machine.alone(pipeline.settings.train)
        work = Workbench(pipeline, parts[0], store, place, machine.workers, progress)
        _refuse_lost(places)
        if budget is not None and not all(map(is_over, places)):
            work.refuse_options(pipeline, places[0], start, machine.log, timed=True)
            work.warm_up()  # before the time is shared out, or the first fold pays for it
        shares = Shares(budget, [seconds_of(each) for each in places])
        terms = Terms(start, None, machine, progress=progress)
        trained, pipeline = _train_folds(work, parts, pipeline, places, terms, shares)
        results = _results(trained, pipeline.settings.train.seed)
        told = {f"fold {number}": one.result.findings for number, one in enumerate(trained, 1)}
        if not (is_over(out) and all((out / name).is_file() for name in _WRITTEN)):
            figures = [entry.figures for entry in work.prepared.values()]
            _write_tables(out, trained, results)
            _write_ensemble(out / "ensemble", trained, everyone, figures, results, gathered(told))
        whole = _for_all(pipeline, trained)
        told_of_all = (
            *results,
            f"These are figures of {count}-fold cross-validation: networks trained like this one.",
            _length_of(whole, trained, timed=budget is not None),
            *(f"In all trainings, {cut}." for cut in _cuts(trained[0])),
        )
        terms = replace(terms, results=told_of_all, budget=shares.of(count), progress=named("all cases", progress))
        final = fit(work, everyone, whole, out, terms)
    found = gathered({**told, "all cases": final.result.findings})
    minutes = None if budget is None else budget.minutes
    values = page_values(pipeline.settings, trained, results, found, minutes=minutes)
    write_text(out / "crossvalidation.html", crossvalidation_page(values))
    before = sum(one.result.done_before for one in (*trained, final))
    about = named_together(one.result.named for one in (*trained, final))
    return CrossValidation(out, results, tuple(one.result.results for one in trained), found, about, before)


def _cuts(first: Trained) -> list[str]:
    """Return what was cut in the first fold to fit the time, and so in all trainings."""
    return [finding.message for finding in first.result.findings if finding.code == "budget-cut"]


def _refuse_lost(places: Sequence[Path]) -> None:
    """Raise PipelineError where a fold is gone of a cross-validation that is done: its figures stand in all cards."""
    lost = [place for place in places if not is_over(place)]
    if lost and is_over(places[-1]):
        message = "the cross-validation that lies here is finished, but this fold or its `checkpoints` is missing"
        raise PipelineError("weights-missing", message, path=lost[0], cure="Restore it, or choose another --out.")


def _train_folds(
    work: Workbench,
    parts: Sequence[Split],
    pipeline: PipelineFolder,
    places: Sequence[Path],
    terms: Terms,
    shares: Shares,
) -> tuple[list[Trained], PipelineFolder]:
    """Train on each fold, and return the pipeline too, with what was cut in the first."""
    trained: list[Trained] = []
    for number, part in enumerate(parts):
        told = named(f"fold {number + 1} of {len(parts)}", terms.progress)
        own = replace(terms, budget=shares.of(number), progress=told)
        one = fit(work, part, pipeline, places[number], own)
        trained.append(one)
        if number == 0:
            pipeline = _cut_like(pipeline, one.pipeline.settings)
    return trained, pipeline


def _cut_like(pipeline: PipelineFolder, first: Settings) -> PipelineFolder:
    """Return the pipeline with what was cut in the first fold to fit the time: members of an ensemble are alike."""
    train = replace(pipeline.settings.train, batch=first.train.batch, patch=first.train.patch)
    return replace(pipeline, settings=replace(pipeline.settings, network=first.network, train=train))


def _results(trained: Sequence[Trained], seed: int) -> tuple[str, ...]:
    parts = [one.scored for one in trained]
    scored = [entry for part in parts for entry in part]
    choice = choice_of_folds(optimistic=any(one.optimistic for one in trained))
    return sentences(
        fold_estimates(parts, seed=seed),
        held_out=len(scored),
        over=fold_counts(parts),
        notes=(*fold_notes(parts), choice),
        counted=counted_by(scored),
    )


def _write_tables(out: Path, trained: Sequence[Trained], results: tuple[str, ...]) -> None:
    """Write a row for each case, in the order of their ids, and the figures of each fold and of all."""
    scored = [entry for one in trained for entry in one.scored]
    write_text(out / "crossvalidation.csv", scores_csv(sorted(scored, key=lambda entry: entry.case)))
    each = [{"results": list(one.result.results), "val": list(one.result.val)} for one in trained]
    write_json(out / "crossvalidation.json", {"results": list(results), "folds": each})


def _write_ensemble(
    out: Path,
    trained: Sequence[Trained],
    everyone: Split,
    figures: Sequence[CaseFigures],
    results: tuple[str, ...],
    findings: tuple[Finding, ...],
) -> None:
    """Write the networks of all folds as one pipeline, with what was noticed in their trainings."""
    first = trained[0].pipeline
    networks = [one.pipeline.load_network() for one in trained]
    sha256 = save_weights(out / "weights.safetensors", *networks)
    told = (
        *results,
        "These are figures of single networks; the ensemble has seen every case.",
        f"It is the {len(networks)} networks of the folds, each trained on what its fold does not hold out.",
    )
    fingerprint, doubtful = write_fingerprint(figures, first.settings, out)
    card = replace(
        first.require_weights(),
        sha256=sha256,
        results=told,
        trained_with=_trained_with(trained),
        members=len(networks),
        fingerprint_sha256=fingerprint,
    )
    write_settings(out, first)
    card.save(out / "weights.json")
    seen = [Seen.read(one.pipeline.folder / SEEN) for one in trained]
    functools.reduce(Seen.and_also, seen, Seen()).write(out / SEEN, weights_sha256=sha256)
    noticed = tuple(dict.fromkeys((*findings, *doubtful)))
    write_text(out / "card.md", card_text(first.settings, card, everyone, noticed))


def _trained_with(trained: Sequence[Trained]) -> dict[str, str]:
    """Return what is said of the trainings of all members: what is the same in all once, else of each in turn."""
    facts = [one.pipeline.require_weights().trained_with for one in trained]
    each = {name: [fact[name] for fact in facts] for name in facts[0]}
    return {name: listed(said if len(set(said)) > 1 else said[:1]) for name, said in each.items()}


def _for_all(pipeline: PipelineFolder, trained: Sequence[Trained]) -> PipelineFolder:
    """Return the settings of the training on all cases, where nobody is left to choose an epoch or to end early.

    The schedule is that of the folds, to its end, and the last weights are kept. Where folds ended early, it is as long
    as they were: the median of the epochs that they did.
    """
    train = replace(pipeline.settings.train, keep="last", early_stopping=0)
    if any(ended_early(one.result.findings) for one in trained):
        train = replace(train, epochs=round(statistics.median(one.epochs for one in trained)))
    return replace(pipeline, settings=replace(pipeline.settings, train=train))


def _length_of(whole: PipelineFolder, trained: Sequence[Trained], *, timed: bool) -> str:
    """Return how long the training on all cases is, as a sentence for its card."""
    if timed:
        return "This network was trained for its share of the time, and its last weights are kept."
    if any(ended_early(one.result.findings) for one in trained):
        epochs = whole.settings.train.epochs
        return f"Folds ended early; this network was trained for the median of their epochs, {epochs}, to the last one."
    return "This network was trained to the end of the folds' own schedule, and its last weights are kept."
