"""Prove a transfer: train from scratch and from given weights on the same split and seeds, and compare in pairs."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medvision.batch import holding
from medvision.comparison import Difference, Level
from medvision.errors import UsageError
from medvision.files import replacing, write_json, write_text
from medvision.frameworks import versions
from medvision.pipeline import PipelineFolder
from medvision.progress import Progress, named, silent
from medvision.training import Split
from medvision.workflows.fitting.budget import Budget, Shares
from medvision.workflows.fitting.claim import refuse_settings
from medvision.workflows.fitting.finished import seconds_of
from medvision.workflows.fitting.machine import Machine
from medvision.workflows.fitting.paired import Comparable, comparable
from medvision.workflows.fitting.runs import (
    Outcome,
    Run,
    Way,
    once,
    shared,
    shown_source,
    sides_of,
    trainer_at,
)
from medvision.workflows.fitting.seeds import with_seed
from medvision.workflows.fitting.start import Start
from medvision.workflows.fitting.workbench import Workbench, store_of


@dataclass(frozen=True)
class TransferProof:
    """Whether a transfer helped.

    Parameters
    ----------
    folder
        Holds ``transfer.json``, ``transfer.csv``, ``transfer.png`` and the folder of each training.
    figure
        What was compared, e.g. ``"mean Dice"``.
    difference
        By how much the transfer is better than training from scratch.
    scratch, transfer
        How good each is.
    rows
        A row a training: way, seed, figure, seconds and steps.
    cases, left_out
        How many held-out cases were compared, and how many could not be, because the figure is not defined for them.
    source, tune
        Where the transfer starts, and what is trained.
    notes
        What must be said of the comparison, a sentence each.
    """

    folder: Path
    figure: str
    difference: Difference
    scratch: Level
    transfer: Level
    rows: tuple[dict[str, Any], ...]
    cases: int
    left_out: int
    source: str
    tune: str
    notes: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The answer in a line."""
        alone = "; of one seed: what chance does in a training is not in it" if len(self.rows) < 4 else ""
        return f"{self.figure}: transfer {self.difference}{alone}"

    def to_json(self) -> dict[str, Any]:
        """Return the proof as JSON values."""
        return {
            "schema": "medvision.transfer/1",
            "figure": self.figure,
            "verdict": self.difference.verdict,
            "words": self.words,
            "difference": self.difference.to_json(),
            "scratch": self.scratch.to_json(),
            "transfer": self.transfer.to_json(),
            "source": shown_source(self.source),
            "tune": self.tune,
            "cases": self.cases,
            "left_out": self.left_out,
            "notes": list(self.notes),
            "runs": list(self.rows),
            "versions": dict(versions()),
        }

    def table(self) -> str:
        """Return the trainings as a table of text, and below it the answer."""
        lines = [f"{'seed':>6}  {'from scratch':>12}  {'transfer':>12}  {'difference':>10}"]
        scratch, transfer = self.rows[::2], self.rows[1::2]
        for one, other in zip(scratch, transfer, strict=True):
            figures = [_cell(one["figure"], 12), _cell(other["figure"], 12)]
            gain = None if None in (one["figure"], other["figure"]) else other["figure"] - one["figure"]
            lines.append(f"{one['seed']:>6}  {figures[0]}  {figures[1]}  {_cell(gain, 10)}")
        lines.append(f"{self.figure}: from scratch {self.scratch}, transfer {self.transfer}")
        return "\n".join([*lines, *self.notes, self.words])


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
        No seed is asked for.
    InputError
        A case cannot be read, or lacks a label; or `start` was trained on cases that are held out.
    PipelineError
        `out` holds trainings of other settings, other data or another start.
    """
    if seeds < 1:
        raise UsageError("usage", f"one seed at least is needed, got {seeds}", cure="Give --seeds 3 or more.")
    refuse_settings(pipeline, out)
    machine = machine or Machine()
    with holding(out), store_of(out, machine) as store:
        pipeline, parts = sides_of(pipeline, data, seed=seed)
        work = Workbench(pipeline, parts, store, machine.alone(pipeline.settings.train), machine.workers, progress)
        transfer = Way("transfer", start.pinned())
        ways = (Way("scratch"), transfer)
        runs = _runs(pipeline, parts, out, ways, seeds, None if budget is None else budget.minutes)
        refuse_settings(pipeline, *(run.folder for run in runs))
        whole = None if budget is None else replace(budget, may_cut=False)
        common = shared(runs, work, out, log=machine.log)  # now, or the first training alone would pay for it
        shares = Shares(whole, [seconds_of(run.folder) for run in runs])
        outcomes = []
        for number, run in enumerate(runs):
            words = f"{run.way.name}, seed {run.seed} ({number + 1} of {len(runs)})"
            outcomes.append(
                once(run, trainer_at(work, machine), budget=shares.of(number), progress=named(words, progress))
            )
        found = _proof(out, runs, outcomes, transfer.start or start, common.notes)
        write_json(out / "transfer.json", found.to_json())
        write_text(out / "transfer.csv", _csv(found.rows))
        _write_picture(found, out / "transfer.png")
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


def _proof(
    out: Path, runs: Sequence[Run], outcomes: Sequence[Outcome], start: Start, notes: tuple[str, ...]
) -> TransferProof:
    compared = comparable([outcome.scored for outcome in outcomes], runs[0].pipeline.settings)
    scratch, transfer = range(0, len(runs), 2), range(1, len(runs), 2)
    seed = runs[0].seed
    rows = tuple(_row(run, outcome, compared, n) for n, (run, outcome) in enumerate(zip(runs, outcomes, strict=True)))
    return TransferProof(
        folder=out,
        figure=compared.name,
        difference=compared.difference(scratch, transfer, seed=seed),
        scratch=compared.level(scratch, seed=seed),
        transfer=compared.level(transfer, seed=seed),
        rows=rows,
        cases=len(compared.patients),
        left_out=compared.left_out,
        source=start.source,
        tune=start.tune,
        notes=notes,
    )


def _row(run: Run, outcome: Outcome, compared: Comparable, number: int) -> dict[str, Any]:
    return {
        "way": run.way.name,
        "seed": run.seed,
        "figure": compared.of_run(number),
        "seconds": round(outcome.seconds, 1),
        "steps": outcome.steps,
    }


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _write_picture(proof: TransferProof, path: Path) -> None:
    """Draw a line for each seed, from scratch to transfer, and the difference with its interval."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[2, 1])
    for one, other in zip(proof.rows[::2], proof.rows[1::2], strict=True):
        if one["figure"] is not None and other["figure"] is not None:
            left.plot([0, 1], [one["figure"], other["figure"]], marker="o", label=f"seed {one['seed']}")
    left.set(xticks=[0, 1], xticklabels=["from scratch", "transfer"], xlim=(-0.3, 1.3), ylabel=proof.figure)
    if proof.difference.value is not None:
        left.legend(fontsize=7)
        low, high = proof.difference.low, proof.difference.high
        reach = None if low is None or high is None else _reach(proof.difference.value, low, high)
        right.errorbar([0], [proof.difference.value], yerr=reach, fmt="o", capsize=5, color="#0b6e99")
    right.axhline(0, color="grey", linewidth=0.8)
    right.set(xticks=[], title=proof.difference.verdict, ylabel="difference")
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120, metadata={"Software": None})


def _reach(value: float, low: float, high: float) -> list[list[float]]:
    """Return how far an interval reaches to both sides; the mean may lie a hair outside a bootstrap's."""
    return [[max(0.0, value - low)], [max(0.0, high - value)]]


def _cell(figure: float | None, width: int) -> str:
    return f"{'not defined' if figure is None else f'{figure:.3f}':>{width}}"
