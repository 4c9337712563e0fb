"""A short training by nnU-Net itself on the hippocampus data, and the cases kept apart from it.

    python -m benchmarks.nnunet.hippocampus DATA ENVIRONMENT OUT

DATA is the folder of the Decathlon's task 4. OUT gets ``raw``, ``preprocessed`` and ``results`` as nnU-Net wrote them
(folds 0 and 1), and ``imagesTs`` and ``labelsTs`` with 20 cases of heads that no fold has seen. A command that was
interrupted goes on where it was.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.nnunet.environment import environment, variables

DATASET = "Dataset004_Hippocampus"
KEPT_APART = 20
BATCH_SIZE = 2
"""nnU-Net plans 9, for a GPU."""


def train(data: Path, python: Path, out: Path) -> None:
    """Plan, preprocess and train folds 0 and 1."""
    raw_dataset(data, out)
    preprocessed = out / "preprocessed" / DATASET
    if not (preprocessed / "nnUNetPlans_3d_fullres").exists():
        options = ["-d", "4", "-c", "3d_fullres", "-np", "1", "-npfp", "1"]
        _run(python, "nnUNetv2_plan_and_preprocess", options, out)
    plans = preprocessed / "nnUNetPlans.json"
    content = json.loads(plans.read_text(encoding="utf-8"))
    content["configurations"]["3d_fullres"] |= {"batch_size": BATCH_SIZE}
    plans.write_text(json.dumps(content, indent=4), encoding="utf-8")
    for fold in (0, 1):
        done = trained_folder(out) / f"fold_{fold}" / "checkpoint_final.pth"
        if not done.exists():
            options = ["4", "3d_fullres", str(fold), "-tr", "ShortTrainer", "-device", "cpu", "--c"]
            _run(python, "nnUNetv2_train", options, out, nnUNet_n_proc_DA="0")


def trained_folder(out: Path) -> Path:
    """Return the folder that nnU-Net leaves after a training."""
    return out / "results" / DATASET / "nnUNetTrainer__nnUNetPlans__3d_fullres"


def raw_dataset(data: Path, out: Path) -> None:
    """Write nnU-Net's raw data set of a Decathlon task, and the cases kept apart beside it."""
    listed = json.loads((data / "dataset.json").read_text(encoding="utf-8"))
    subjects = sorted({case["subject"] for case in listed["training"]})
    ordered = sorted(listed["training"], key=lambda case: (subjects.index(case["subject"]), case["image"]))
    apart = {case["subject"] for case in ordered[-KEPT_APART:]}
    train_cases = [case for case in ordered if case["subject"] not in apart]
    raw = out / "raw" / DATASET
    for cases, images, labels in (
        (train_cases, raw / "imagesTr", raw / "labelsTr"),
        (ordered[-KEPT_APART:], out / "imagesTs", out / "labelsTs"),
    ):
        images.mkdir(parents=True, exist_ok=True)
        labels.mkdir(parents=True, exist_ok=True)
        for case in cases:
            name = Path(case["image"]).name
            shutil.copyfile(data / case["image"], images / name.replace(".nii.gz", "_0000.nii.gz"))
            shutil.copyfile(data / case["label"], labels / name)
    description = {
        "channel_names": listed["modality"],
        "labels": {name: int(value) for value, name in listed["labels"].items()},
        "numTraining": len(train_cases),
        "file_ending": ".nii.gz",
    }
    (raw / "dataset.json").write_text(json.dumps(description, indent=1), encoding="utf-8")


def _run(python: Path, program: str, options: list[str], out: Path, **more: str) -> None:
    subprocess.run([str(python.with_name(program)), *options], env=variables(out, threads=1) | more, check=True)


if __name__ == "__main__":
    train(Path(sys.argv[1]), environment(Path(sys.argv[2]).absolute()), Path(sys.argv[3]).absolute())
