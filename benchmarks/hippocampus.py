"""A cross-validation on the hippocampus data beside nnU-Net's on the same cases, case by case.

    medvision train mr-hippocampus DATA --folds 5 --out OUT
    python benchmarks/hippocampus.py OUT DATA/nnunet_v2_cv_dice.json

The second file holds nnU-Net's Dice of each case, from a cross-validation whose folds are by case: the other side of
the same head often was in its training folds, and never is in ours. Prints both means with intervals over subjects, and
the paired difference.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np

from medvision import io
from medvision.comparison import paired_difference
from medvision.evaluate import bootstrap_interval

LABELS = ("anterior", "posterior")


def main(out: str, theirs: str) -> None:
    """Print the comparison."""
    reference = json.loads(Path(theirs).read_text(encoding="utf-8"))["cases"]
    patients = {case.id: case.patient_key for case in io.scan([Path(theirs).parent]).cases}
    with (Path(out) / "crossvalidation.csv").open(encoding="utf-8", newline="") as file:
        every = list(csv.DictReader(file))
    rows = [row for row in every if row["case"] in reference]
    if len(rows) < len(every):
        print(f"{len(every) - len(rows)} of {len(every)} cases are left out: nnU-Net's Dice of them is not known")
    names = [f"dice_{name.capitalize()}" for name in LABELS]
    subjects = [patients[row["case"]] for row in rows]
    dice = np.array([[float(row[name]) for name in names] for row in rows])
    columns = {"mean": (dice.mean(1), LABELS)} | {label: (dice[:, n], (label,)) for n, label in enumerate(LABELS)}
    print(f"{len(rows)} cases of {len(set(subjects))} subjects, each held out once")
    for title, (ours, chosen) in columns.items():
        nnunet = np.array([np.mean([reference[row["case"]][name] for name in chosen]) for row in rows])
        both = [bootstrap_interval((values,), subjects, np.mean, seed=0) for values in (ours, nnunet)]
        gain = paired_difference([(nnunet,)], [(ours,)], subjects, np.mean, seed=0)
        figures = f"medvision {both[0]}   nnU-Net {both[1]}"
        print(f"Dice {title:<10} {figures}   difference {gain.value:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})")


if __name__ == "__main__":
    main(*sys.argv[1:])
