"""Short trainings by nnU-Net itself on the hippocampus data, and the cases kept apart from them.

    python -m benchmarks.nnunet.hippocampus DATA ENVIRONMENT OUT [coarse|fine]

DATA is the folder of the Decathlon's task 4. OUT gets ``raw``, ``preprocessed`` and ``results`` as nnU-Net wrote them,
and ``imagesTs`` and ``labelsTs`` with 20 cases of heads that no fold has seen. A command that was interrupted goes on
where it was. *Coarse* is what nnU-Net plans: 1 mm, small windows, folds 0 and 1. *Fine* is the same images at 0.35 mm
through windows of 96 voxels and six stages, as for a large organ; fold 0, of fewer cases, trained on blocks of 64.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.nnunet.environment import environment, variables

KEPT_APART = 20


@dataclass(frozen=True)
class Training:
    """A training.

    Parameters
    ----------
    number, name
        Of nnU-Net's data set.
    folds
        That are trained.
    most
        Of the cases for training, how many are used; None for all.
    options
        Further options of ``nnUNetv2_plan_experiment``.
    edit
        Changes the planned configuration for the time of the training.
    patch
        The window of inference, where it is another than that of the training.
    """

    number: int
    name: str
    folds: tuple[int, ...]
    most: int | None
    options: tuple[str, ...]
    edit: Callable[[dict[str, Any]], None]
    patch: tuple[int, int, int] | None = None

    @property
    def dataset(self) -> str:
        """Its name as a folder."""
        return f"Dataset{self.number:03d}_{self.name}"


def _in_small_batches(configuration: dict[str, Any]) -> None:
    configuration["batch_size"] = 2  # nnU-Net plans 9, for a GPU


def _in_six_stages(configuration: dict[str, Any]) -> None:
    configuration |= {"batch_size": 1, "patch_size": [64, 64, 64]}
    configuration["architecture"]["arch_kwargs"] |= {
        "n_stages": 6,
        "features_per_stage": [32, 64, 128, 256, 320, 320],
        "kernel_sizes": [[3, 3, 3]] * 6,
        "strides": [[1, 1, 1], *[[2, 2, 2]] * 5],
        "n_conv_per_stage": [2] * 6,
        "n_conv_per_stage_decoder": [2] * 5,
    }


TRAININGS = {
    "coarse": Training(4, "Hippocampus", (0, 1), None, (), _in_small_batches),
    "fine": Training(
        5, "HippocampusFine", (0,), 60, ("-overwrite_target_spacing", *["0.35"] * 3), _in_six_stages, (96, 96, 96)
    ),
}


def train(training: Training, data: Path, python: Path, out: Path) -> Path:
    """Plan, preprocess and train; return the results folder."""
    raw_dataset(training, data, out)
    preprocessed = out / "preprocessed" / training.dataset
    number = ["-d", str(training.number)]
    plans = preprocessed / "nnUNetPlans.json"
    if not plans.exists():
        _run(python, "nnUNetv2_extract_fingerprint", [*number, "-np", "1"], out)
        _run(python, "nnUNetv2_plan_experiment", [*number, *training.options], out)
    _edit(plans, training.edit)
    if not (preprocessed / "gt_segmentations").exists():
        _run(python, "nnUNetv2_preprocess", [*number, "-c", "3d_fullres", "-np", "1"], out)
    trained = out / "results" / training.dataset / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    for fold in training.folds:
        if not (trained / f"fold_{fold}" / "checkpoint_final.pth").exists():
            options = [str(training.number), "3d_fullres", str(fold), "-tr", "ShortTrainer", "-device", "cpu", "--c"]
            _run(python, "nnUNetv2_train", options, out, nnUNet_n_proc_DA="0")
    if training.patch is not None:
        patch = list(training.patch)
        _edit(trained / "plans.json", lambda configuration: configuration.update(patch_size=patch))
    return trained


def raw_dataset(training: Training, data: Path, out: Path) -> None:
    """Write nnU-Net's raw data set of a Decathlon task, and the cases kept apart beside it."""
    listed = json.loads((data / "dataset.json").read_text(encoding="utf-8"))
    ordered = sorted(listed["training"], key=lambda case: (case["subject"], case["image"]))
    apart = {case["subject"] for case in ordered[-KEPT_APART:]}
    train_cases = [case for case in ordered if case["subject"] not in apart][: training.most]
    raw = out / "raw" / training.dataset
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


def _edit(plans: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(plans.read_text(encoding="utf-8"))
    edit(content["configurations"]["3d_fullres"])
    plans.write_text(json.dumps(content, indent=4), encoding="utf-8")


def _run(python: Path, program: str, options: list[str], out: Path, **more: str) -> None:
    subprocess.run([str(python.with_name(program)), *options], env=variables(out, threads=1) | more, check=True)


if __name__ == "__main__":
    for each in sys.argv[4:] or TRAININGS:
        train(
            TRAININGS[each], Path(sys.argv[1]), environment(Path(sys.argv[2]).absolute()), Path(sys.argv[3]).absolute()
        )
