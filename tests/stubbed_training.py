"""A training that is only played: what it would say of each case follows from its way, its seed and its cases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from medvision.errors import Finding
from medvision.pipeline import PipelineFolder
from medvision.progress import Progress
from medvision.training import Split
from medvision.workflows.comparing.runs import Outcome, Run
from medvision.workflows.fitting.budget import Budget
from medvision.workflows.scoring.scored import Scored

SETTINGS = """
name = "played"
task = "{task}"
description = "For tests of comparisons"
[contract]
shows = "anything"
dimensions = {dimensions}
[labels]
{labels}
[network]
use = "{network}"
[train]
seed = 5
epochs = 1
steps_per_epoch = 2
batch = 2
precision = "fp32"
validation = 0.25
"""
CLASSES = {"task": "classification", "dimensions": 2, "labels": '0 = "a"\n1 = "b"', "network": "resnet"}
MASKS = {"task": "segmentation", "dimensions": 3, "labels": '1 = "a"', "network": "dynunet"}


def write_settings(folder: Path, **values: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pipeline.toml").write_text(SETTINGS.format(**values), encoding="utf-8")
    return folder


def write_pictures(path: Path, *, train: int = 40, val: int = 64) -> Path:
    """Write pictures of two classes, 3 to 1, in the form of MedMNIST; there is nothing to learn from them."""
    generator, arrays = np.random.default_rng(0), {}
    for split, count in (("train", train), ("val", val)):
        arrays[f"{split}_images"] = generator.integers(0, 255, (count, 16, 16)).astype(np.uint8)
        arrays[f"{split}_labels"] = (np.arange(count) % 4 == 0).astype(np.uint8)[:, None]
    np.savez(path, **arrays)
    return path


@dataclass
class Played:
    """Says of a case of the true class a score that is higher by `gain` of the run; keeps the runs that it did.

    `warned` gives what was noticed in a run, `steps` how many it did.
    """

    gain: Callable[[Run], float]
    stop_at: int | None = None
    done: list[Run] = field(default_factory=list)
    budgets: list[Budget | None] = field(default_factory=list)
    parts: Split = field(default_factory=lambda: Split((), ()))
    hashes: dict[str, str] = field(default_factory=dict)
    prepared_before: int | None = None
    warmed: int = 0
    warned: Callable[[Run], tuple[Finding, ...]] = lambda _: ()
    steps: Callable[[Run], int] = lambda run: len(run.parts.train)

    def at(self, _: PipelineFolder, parts: Split, *__: Any) -> Played:
        """Return this in place of a workbench with these cases."""
        self.parts = parts
        return self

    def trainer_at(self, *_: Any) -> Played:
        """Return this in place of what trains."""
        return self

    def digests(self) -> dict[str, str]:
        self.prepared_before = len(self.done)
        return self.hashes or {case.id: case.id for case in (*self.parts.train, *self.parts.val)}

    def refuse_options(self, *_: Any, **__: Any) -> None:
        """Refuse nothing: no weights are read."""

    def warm_up(self) -> None:
        self.warmed += 1

    def __call__(self, run: Run, *, budget: Budget | None, progress: Progress) -> Outcome:
        if len(self.done) == self.stop_at:
            raise KeyboardInterrupt
        self.done.append(run)
        self.budgets.append(budget)
        progress(1, 1, "step")
        names = run.pipeline.settings.labels
        scored = []
        for number, case in enumerate(run.parts.val):
            chance = np.random.default_rng([run.seed, number]).normal(0.0, 0.01)  # the same for both ways of a seed
            if run.pipeline.settings.task == "segmentation":
                value = 0.7 + 0.02 * (number % 5) + self.gain(run) * (1 + 0.3 * (number % 3)) + chance
                scored.append(Scored(case.id, "ignored", dice={"a": value if number else None}))
            else:
                noise = np.random.default_rng(number).normal(0.0, 0.5)  # of the case, in every run
                sign = 1 if case.label else -1
                score = float(1 / (1 + np.exp(-(sign * (0.4 + self.gain(run)) + noise + 10 * chance))))
                scored.append(
                    Scored(case.id, "ignored", probabilities={"a": 1 - score, "b": score}, truth=names[case.label])
                )
        return Outcome(tuple(scored), seconds=2.5, steps=self.steps(run), findings=self.warned(run))
