"""An nnU-Net results folder run with MONAI's transforms and sliding window (runs in nnU-Net's environment).

    python -m benchmarks.nnunet.monai_windows FOLDER IMAGES OUT FOLDS MIRRORED

As the tutorials of MONAI write an inference: one process, every class kept at full size. nnU-Net builds the network;
its axes (z, y, x) are MONAI's (x, y, z) turned round.
"""

from __future__ import annotations

import json
import sys
from itertools import combinations
from pathlib import Path
from typing import Any


def main(folder: Path, images: Path, out: Path, folds: list[int], *, mirrored: bool) -> None:
    """Write the labels of each image."""
    import nibabel
    import numpy as np
    import torch
    from monai.inferers import SlidingWindowInferer
    from monai.transforms import Compose, EnsureChannelFirst, LoadImage, NormalizeIntensity, Spacing
    from torch.nn.functional import interpolate

    networks, patch, spacing, axes = _loaded(folder, folds)
    windows = SlidingWindowInferer(patch, sw_batch_size=1, overlap=0.5, mode="gaussian", padding_mode="constant")
    read = Compose([LoadImage(image_only=True), EnsureChannelFirst()])
    prepare = Compose([Spacing(pixdim=spacing[::-1], mode="bilinear"), NormalizeIntensity()])
    out.mkdir(parents=True, exist_ok=True)
    for path in sorted(images.glob("*_0000.nii.gz")):
        stored = read(path)
        image = prepare(stored).as_tensor()[None].permute(0, 1, 4, 3, 2)
        choices = [(), *_choices(axes)] if mirrored else [()]
        with torch.inference_mode():
            logits: Any = 0.0
            for network in networks:
                for chosen in choices:
                    found = windows(image.flip(chosen), network) if chosen else windows(image, network)
                    logits = logits + (found.flip(chosen) if chosen else found)
            size = tuple(stored.shape[:0:-1])
            if tuple(logits.shape[2:]) != size:
                logits = interpolate(logits, size, mode="trilinear", align_corners=False)
            labels = logits[0].argmax(0).permute(2, 1, 0).numpy().astype(np.uint8)
        name = path.name.replace("_0000.nii.gz", ".nii.gz")
        nibabel.save(nibabel.Nifti1Image(labels, nibabel.load(path).affine), out / name)


def _choices(axes: list[int]) -> list[tuple[int, ...]]:
    return [tuple(axis + 2 for axis in part) for n in range(1, len(axes) + 1) for part in combinations(axes, n)]


def _loaded(folder: Path, folds: list[int]) -> tuple[list[Any], list[int], list[float], list[int]]:
    """Return a network a fold, the patch, the spacing in mm and the axes that may be mirrored, (z, y, x)."""
    import torch
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    plans = PlansManager(json.loads((folder / "plans.json").read_text(encoding="utf-8")))
    dataset = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    configuration = plans.get_configuration(folder.name.split("__")[-1])
    if plans.transpose_forward != [0, 1, 2]:
        raise SystemExit("turned axes are not handled here")
    classes = plans.get_label_manager(dataset).num_segmentation_heads
    networks = []
    for fold in folds:
        # made by this benchmark's own training: its pickle may be run
        kept = torch.load(folder / f"fold_{fold}" / "checkpoint_final.pth", weights_only=False)
        network = nnUNetTrainer.build_network_architecture(
            plans, configuration, len(dataset["channel_names"]), classes, enable_deep_supervision=False
        )
        network.load_state_dict(kept["network_weights"])
        networks.append(network.eval())
    axes = list(kept["inference_allowed_mirroring_axes"])
    return networks, list(configuration.patch_size), [float(size) for size in configuration.spacing], axes


if __name__ == "__main__":
    main(
        Path(sys.argv[1]),
        Path(sys.argv[2]),
        Path(sys.argv[3]),
        [int(fold) for fold in sys.argv[4].split(",")],
        mirrored=sys.argv[5] == "mirrored",
    )
