"""SGD with Nesterov momentum beside AdamW for the network of a segmentation: same cases, same steps, same seeds.

    python benchmarks/optimisers.py mr-hippocampus DATA OUT [--steps 1500] [--seeds 1]

DATA is labelled data for the pipeline. All settings but the optimiser and its rate are the pipeline's; each schedule
falls to its end. Prints the mean Dice of both on the held-out cases, with intervals over patients, and the paired
difference. The same command goes on with what was stopped.
"""

from __future__ import annotations

import argparse
import csv
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from medvision import io
from medvision.comparison import mean_over_runs, paired_difference
from medvision.files import write_text
from medvision.pipeline import PipelineFolder
from medvision.planning import pipeline_toml
from medvision.workflows.train import Machine, train

STEPS_PER_EPOCH = 100
WAYS: dict[str, dict[str, Any]] = {
    "sgd": {"optimiser": "sgd", "learning_rate": 0.01},
    "adamw": {"optimiser": "adamw", "learning_rate": 0.001},
}


def main() -> None:
    """Train both, seed by seed, and print the comparison."""
    parser = argparse.ArgumentParser(description="Compare two optimisers on one task.")
    parser.add_argument("pipeline")
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    patients = {case.id: case.patient_key for case in io.scan([given.data]).cases}
    for seed in range(given.seeds):  # each holds out patients of its own
        sgd, adamw = (dice_of(given, way, seed) for way in WAYS)
        if list(sgd) != list(adamw):
            sys.exit("the two were measured on different cases")
        subjects = [patients[case] for case in sgd]
        first, second = [[(np.array(list(run.values())),)] for run in (sgd, adamw)]
        levels = [mean_over_runs(run, subjects, np.mean, seed=0) for run in (first, second)]
        gain = paired_difference(first, second, subjects, np.mean, seed=0)
        print(f"seed {seed}: {len(sgd)} cases of {len(set(subjects))} patients, {given.steps} steps")
        print(f"  Dice of sgd {levels[0]}, of adamw {levels[1]}")
        print(f"  adamw less sgd {gain.value:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})")


def dice_of(given: argparse.Namespace, way: str, seed: int) -> dict[str, float]:
    """Train in one way, and return the mean Dice of each held-out case."""
    settings = PipelineFolder.open(given.pipeline).settings
    epochs = max(1, round(given.steps / STEPS_PER_EPOCH))
    length = {"epochs": epochs, "steps_per_epoch": STEPS_PER_EPOCH, "validate_every": epochs, "keep": "last"}
    changed = replace(settings, train=replace(settings.train, **WAYS[way], **length))
    folder = given.out / f"{way}-{seed}"
    write_text(folder / "settings" / "pipeline.toml", pipeline_toml(changed))
    opened = PipelineFolder.open(folder / "settings")
    result = train(opened, [given.data], folder / "trained", seed=seed, machine=Machine(cache=given.out / "cache"))
    with (result.folder / "validation.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {row["case"]: float(np.mean([float(row[key]) for key in row if key.startswith("dice_")])) for row in rows}


if __name__ == "__main__":
    main()
