"""Prove a transfer: train from scratch and from given weights on the same split and seeds, and compare in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from medvision.batch import holding
from medvision.errors import UsageError
from medvision.pipeline import PipelineFolder
from medvision.progress import Progress, silent
from medvision.training import Split
from medvision.workflows.comparing.notes import notes_of_runs, unequal_lengths
from medvision.workflows.comparing.paired import comparable
from medvision.workflows.comparing.proof import RunFigure, SeedPair
from medvision.workflows.comparing.proof import TransferProof as TransferProof
from medvision.workflows.comparing.runs import (
    Outcome,
    Run,
    outcomes_of,
    prepare_shared,
    sides_of,
    trainer_at,
)
from medvision.workflows.comparing.ways import Way, pin_starts
from medvision.workflows.fitting.budget import Budget, Shares
from medvision.workflows.fitting.machine import Machine
from medvision.workflows.fitting.seeds import with_seed
from medvision.workflows.fitting.workbench import Workbench, store_of
from medvision.workflows.starting.start import Start
from medvision.workflows.training_folder.claim import refuse_settings
from medvision.workflows.training_folder.finished import seconds_of


def prove_transfer(
    pipeline: PipelineFolder,
    data: Sequence[Path],
    out: Path,
    *,
    start: Start,
    seeds: int = 3,
    seed: int | None = None,
    budget: Budget | None = None,
    machine: Machine | None = None,
    progress: Progress = silent,
) -> TransferProof:
    """Train from scratch and from `start`, with each of some seeds, and say whether the transfer helped.

    All trainings have the same split, and the two of a seed the same seed. A proof that was stopped goes on with the
    training where it was, when the same command is given again; a training that is done is not repeated.

    Parameters
    ----------
    pipeline, data, machine, progress
        See :func:`medvision.workflows.train.train`.
    out
        Takes the folder of each training (``scratch-0``, ``transfer-0``, ...) and the answer.
    start
        Where the transfer starts, and what is trained.
    seeds
        How many; three at least, for the chance of training to be told.
    seed
        The first of them, which also decides the split; None takes that of the settings.
    budget
        The time for all trainings together, in equal shares, each with the same network; None takes the time that the
        settings need.

    Raises
    ------
    UsageError
        No seed is asked for; what :func:`medvision.workflows.train.train` refuses; or several processes are wanted.
    InputError
        A case cannot be read, or lacks a label; or `start` was trained on cases that are held out.
    PipelineError
        `out` holds trainings of other settings, other data or another start, or another number of them shared the
        time; the weights of `start` cannot be read or fit too little; or a loss is not finite.
    ExtraMissingError, BusyError, OutputError, WorkerError
        See :func:`medvision.workflows.train.train`.
    """
    if seeds < 1:
        raise UsageError("usage", f"one seed at least is needed, got {seeds}", cure="Give --seeds 3 or more.")
    refuse_settings(pipeline, out)
    machine = machine or Machine()
    with holding(out), store_of(out, machine) as store:
        pipeline, parts = sides_of(pipeline, data, seed=seed)
        work = Workbench(pipeline, parts, store, machine.alone(pipeline.settings.train), machine.workers, progress)
        ways = pin_starts((Way("scratch"), Way("transfer", start)), out)
        runs = _runs(pipeline, parts, out, ways, seeds, None if budget is None else budget.minutes)
        refuse_settings(pipeline, *(run.folder for run in runs))
        whole = None if budget is None else replace(budget, may_cut=False)
        sharing = None if budget is None else len(runs)
        # Now, or the first run alone would pay.
        common = prepare_shared(runs, work, out, log=machine.log, sharing=sharing)
        shares = Shares(whole, [seconds_of(run.folder) for run in runs])
        outcomes = outcomes_of(
            runs, trainer_at(work, machine), budget_of=shares.of, words_of=_words_of, progress=progress
        )
        notes = (*common.notes, *notes_of_runs([_words_of(run) for run in runs], outcomes))
        found = _proof(out, runs, outcomes, ways[1].start or start, notes)
        found.write()
    return found


def _runs(
    pipeline: PipelineFolder, parts: Split, out: Path, ways: Sequence[Way], seeds: int, minutes: float | None
) -> list[Run]:
    first = pipeline.settings.train.seed
    return [
        Run(way, parts, with_seed(pipeline, seed), out / f"{way.name}-{seed}", minutes)
        for seed in range(first, first + seeds)
        for way in ways
    ]


def _words_of(run: Run) -> str:
    return f"{run.way.name}, seed {run.seed}"


def _proof(
    out: Path, runs: Sequence[Run], outcomes: Sequence[Outcome], start: Start, notes: tuple[str, ...]
) -> TransferProof:
    compared = comparable([outcome.scored for outcome in outcomes], runs[0].pipeline.settings)
    scratch = [number for number, run in enumerate(runs) if run.way.start is None]
    transfer = [number for number, run in enumerate(runs) if run.way.start is not None]
    seed = runs[0].seed
    reached = [
        RunFigure(compared.of_run(number), round(outcome.seconds, 1), outcome.steps)
        for number, outcome in enumerate(outcomes)
    ]
    return TransferProof(
        folder=out,
        figure=compared.name,
        difference=replace(compared.difference(scratch, transfer, seed=seed), withheld=unequal_lengths(outcomes)),
        scratch=compared.level(scratch, seed=seed),
        transfer=compared.level(transfer, seed=seed),
        pairs=tuple(
            SeedPair(runs[one].seed, reached[one], reached[other]) for one, other in zip(scratch, transfer, strict=True)
        ),
        cases=len(compared.patients),
        left_out=compared.left_out,
        source=start.source,
        tune=start.tune,
        notes=notes,
    )
