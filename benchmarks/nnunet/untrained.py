"""Results folders as nnU-Net writes them, of networks that have learnt little (runs in nnU-Net's environment).

    python -m benchmarks.nnunet.untrained ROOT [NUMBER ...]

nnU-Net's own planner plans from a data set that exists as a fingerprint alone (its spacings and shapes), and nnU-Net's
own trainer writes the checkpoint, with the weights of its initialization; those of 106 have seen some phantoms, so that
what it finds has the shapes of organs. `nnUNet_raw`, `nnUNet_preprocessed` and `nnUNet_results` are folders below ROOT.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Folder:
    """What a results folder is to be of; axes are in nnU-Net's order (z, y, x).

    Parameters
    ----------
    number, name
        Of the data set.
    spacing_mm, shape
        Of the images that nnU-Net plans for.
    channels
        Names of the images of a case; "CT" is scaled by the fingerprint's percentiles.
    classes
        Number of classes, background among them.
    planner
        nnU-Net's planner.
    configuration
        Of the plans.
    patch
        In place of the planned one, with the planned network.
    width
        Features of the first stage, in place of the planned 32; those of the others shrink with it.
    regions
        Whether the labels are overlapping regions.
    lessons
        Number of phantoms of a CT that the network is shown.
    """

    number: int
    name: str
    spacing_mm: tuple[float, float, float]
    shape: tuple[int, int, int]
    channels: tuple[str, ...] = ("MRI",)
    classes: int = 3
    planner: str = "ExperimentPlanner"
    configuration: str = "3d_fullres"
    patch: tuple[int, ...] | None = None
    width: int | None = None
    regions: bool = False
    lessons: int = 0
    folds: Sequence[int] = field(default=(0,))

    @property
    def dataset(self) -> str:
        """Its name as a folder."""
        return f"Dataset{self.number:03d}_{self.name}"


INTENSITIES = {
    "max": 3071.0,
    "mean": 100.0,
    "median": 80.0,
    "min": -1024.0,
    "percentile_00_5": -950.0,
    "percentile_99_5": 1200.0,
    "std": 250.0,
}
FOLDERS = (
    Folder(101, "Plain96", (1.0, 1.0, 1.0), (128, 128, 128), patch=(96, 96, 96)),
    Folder(102, "ResEncM", (1.0, 1.0, 1.0), (96, 96, 96), planner="nnUNetPlannerResEncM"),
    Folder(103, "Axial", (5.0, 0.7, 0.7), (16, 128, 128), channels=("CT",)),
    Folder(104, "Sagittal", (0.7, 0.7, 5.0), (128, 128, 16), channels=("T1", "FLAIR")),
    Folder(105, "Small", (1.0, 1.0, 1.0), (48, 48, 48), width=4),
    Folder(
        106, "CT25", (1.5, 1.5, 1.5), (267, 267, 427), ("CT",), classes=25, patch=(96, 96, 96), width=4, lessons=200
    ),
    Folder(107, "Regions", (1.0, 1.0, 1.0), (48, 48, 48), classes=4, width=4, regions=True),
    Folder(108, "Flat", (1.0, 1.0, 1.0), (48, 64, 64), configuration="2d", width=4),
    Folder(109, "Lowres", (0.8, 0.8, 0.8), (320, 320, 320), classes=2, configuration="3d_cascade_fullres", width=4),
)


def untrained(folder: Folder) -> Path:
    """Write the results folder; return it."""
    import torch
    from nnunetv2.paths import nnUNet_results
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    dataset = described(folder)
    plans = planned(folder)
    torch.manual_seed(folder.number)
    for fold in folder.folds:
        kept = json.loads(json.dumps({**plans, "continue_training": False}))
        trainer = nnUNetTrainer(kept, folder.configuration, fold, dataset, torch.device("cpu"))
        trainer.network = trainer.build_network_architecture(
            trainer.plans_manager,
            trainer.configuration_manager,
            len(folder.channels) + (folder.classes - 1 if "cascade" in folder.configuration else 0),
            trainer.label_manager.num_segmentation_heads,
            enable_deep_supervision=True,
        )
        _teach(trainer.network, folder)
        trainer.optimizer, _ = trainer.configure_optimizers()
        trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        trainer.save_checkpoint(str(Path(trainer.output_folder) / "checkpoint_final.pth"))
    made = Path(trainer.output_folder_base)
    _write(made / "plans.json", plans)
    _write(made / "dataset.json", dataset)
    return made.relative_to(str(nnUNet_results))


def described(folder: Folder) -> dict[str, Any]:
    """Write the raw data set and its fingerprint; return ``dataset.json``."""
    import numpy as np
    import SimpleITK

    raw = _part("raw") / folder.dataset
    labels: dict[str, Any] = {"background": 0} | {f"class{n}": n for n in range(1, folder.classes)}
    if folder.regions:  # each holds those after it
        labels |= {f"class{n}": list(range(n, folder.classes)) for n in range(1, folder.classes)}
    dataset: dict[str, Any] = {
        "channel_names": {str(n): name for n, name in enumerate(folder.channels)},
        "labels": labels,
        "numTraining": 100,
        "file_ending": ".nii.gz",
    }
    if folder.regions:
        dataset["regions_class_order"] = list(range(1, folder.classes))
    empty = SimpleITK.GetImageFromArray(np.zeros((4, 4, 4), np.float32))
    for part, name in [("imagesTr", f"a_{n:04d}") for n in range(len(folder.channels))] + [("labelsTr", "a")]:
        (raw / part).mkdir(parents=True, exist_ok=True)
        SimpleITK.WriteImage(empty, raw / part / f"{name}.nii.gz")
    _write(raw / "dataset.json", dataset)
    fingerprint = {
        "foreground_intensity_properties_per_channel": {str(n): INTENSITIES for n in range(len(folder.channels))},
        "median_relative_size_after_cropping": 1.0,
        "shapes_after_crop": [list(folder.shape)] * 5,
        "spacings": [list(folder.spacing_mm)] * 5,
    }
    _write(_part("preprocessed") / folder.dataset / "dataset_fingerprint.json", fingerprint)
    return dataset


def planned(folder: Folder) -> dict[str, Any]:
    """Return the plans of nnU-Net's planner, with what the folder sets in their place."""
    from nnunetv2.experiment_planning.plan_and_preprocess_api import plan_experiments

    identifier = plan_experiments([folder.number], folder.planner)
    written = _part("preprocessed") / folder.dataset / f"{identifier}.json"
    plans: dict[str, Any] = json.loads(written.read_text(encoding="utf-8"))
    for configuration in plans["configurations"].values():
        if "architecture" not in configuration:
            continue
        if folder.patch is not None and len(configuration["patch_size"]) == len(folder.patch):
            configuration["patch_size"] = list(folder.patch)
        if folder.width is not None:
            kwargs = configuration["architecture"]["arch_kwargs"]
            kwargs["features_per_stage"] = [folder.width * n // 32 for n in kwargs["features_per_stage"]]
    return plans


def _teach(network: Any, folder: Folder) -> None:
    """Show the network phantoms; nothing for a folder without lessons."""
    import numpy as np
    import torch

    from benchmarks.nnunet.phantom import body

    size = (folder.patch or (48,) * 3)[0] // 2
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    torch.set_num_threads(1)
    for lesson in range(folder.lessons):
        # a block of a body of the planned size, at the planned spacing, axes in nnU-Net's order
        voxels, labels = body((size,) * 3, (4.0, 4.0, 4.0), classes=folder.classes, seed=lesson)
        values = np.clip(voxels, INTENSITIES["percentile_00_5"], INTENSITIES["percentile_99_5"])
        image = torch.from_numpy(((values - INTENSITIES["mean"]) / INTENSITIES["std"]).astype(np.float32))
        outputs = network(image[None, None])
        loss = torch.nn.functional.cross_entropy(outputs[0], torch.from_numpy(labels.astype(np.int64))[None])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if lesson % 100 == 99:
            right = float((outputs[0].argmax(1)[0].numpy() == labels).mean())
            print(f"lesson {lesson + 1}: {right:.3f} of the voxels right", flush=True)


def _part(name: str) -> Path:
    return Path(os.environ[f"nnUNet_{name}"])


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def main(root: Path, *numbers: str) -> None:
    """Write every folder, or those of some numbers."""
    for part in ("raw", "preprocessed", "results"):
        os.environ[f"nnUNet_{part}"] = str(root / part)
    for folder in [each for each in FOLDERS if not numbers or str(each.number) in numbers]:
        print("made", untrained(folder), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), *sys.argv[2:])
