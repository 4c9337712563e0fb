"""Bundles as MONAI's model zoo lays them out, small enough for tests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from medvision.frameworks import monai_module

IMAGE = {"keys": "image"}
COMPOSED: dict[str, Any] = {"_target_": "Compose"}
DEVICE = "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')"
LOADED = ({"_target_": "LoadImaged", **IMAGE}, {"_target_": "EnsureChannelFirstd", **IMAGE})
WINDOWED = {"_target_": "SlidingWindowInferer", "roi_size": [16, 16, 16], "sw_batch_size": 4, "overlap": 0.5}
SOFTMAX = (
    {"_target_": "Activationsd", "keys": "pred", "softmax": True},
    {
        "_target_": "Invertd",
        "keys": "pred",
        "transform": "@preprocessing",
        "orig_keys": "image",
        "nearest_interp": False,
        "to_tensor": True,
    },
    {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
    {"_target_": "SaveImaged", "keys": "pred", "output_dir": "@output_dir"},
)
UNET = {
    "_target_": "UNet",
    "spatial_dims": 3,
    "in_channels": 1,
    "out_channels": 3,
    "channels": [4, 8, 16],
    "strides": [2, 2],
    "num_res_units": 2,
    "norm": "batch",
}


def config(network: Mapping[str, Any], transforms: Any, inferer: Any, posts: Any) -> dict[str, Any]:
    """The whole of an inference.json, with the expressions that surround what counts."""
    return {
        "imports": ["$import glob", "$import os"],
        "bundle_root": ".",
        "output_dir": "$@bundle_root + '/eval'",
        "dataset_dir": "/workspace/data",
        "datalist": "$list(sorted(glob.glob(@dataset_dir + '/imagesTs/*.nii.gz')))",
        "device": DEVICE,
        "network_def": dict(network),
        "network": "$@network_def.to(@device)",
        "preprocessing": {"_target_": "Compose", "transforms": list(transforms)},
        "dataset": {"_target_": "Dataset", "data": "$[{'image': i} for i in @datalist]", "transform": "@preprocessing"},
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1, "num_workers": 0},
        "inferer": inferer,
        "postprocessing": {"_target_": "Compose", "transforms": list(posts)},
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
        },
        "run": ["$@evaluator.run()"],
    }


def metadata(inputs: list[str], outputs: list[str], *, modality: str = "CT") -> dict[str, Any]:
    """A metadata.json."""

    def entry(names: list[str], kind: str, **more: Any) -> dict[str, Any]:
        numbered = {str(number): name for number, name in enumerate(names)}
        return {"type": "image", "format": kind, "num_channels": len(names), "channel_def": numbered, **more}

    return {
        "version": "0.5.3",
        "monai_version": "1.6.1",
        "task": "Something small",
        "description": "Spots in noise",
        "authors": "Test",
        "copyright": "None",
        "data_source": "Drawn numbers",
        "intended_use": "Tests alone",
        "network_data_format": {
            "inputs": {"image": entry(inputs, "hounsfield", modality=modality, spatial_shape=[16, 16, 16])},
            "outputs": {"pred": entry(outputs, "segmentation", spatial_shape=[16, 16, 16])},
        },
    }


def network_of(definition: Mapping[str, Any], *, seed: int = 0) -> Any:
    """MONAI's network, with drawn weights and drawn statistics of its norms."""
    given = {key: value for key, value in definition.items() if key != "_target_"}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = getattr(monai_module("networks.nets"), str(definition["_target_"]))(**given)
        for name, tensor in network.state_dict().items():
            if name.endswith("running_mean"):
                tensor.normal_(0, 0.1)
            elif name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5)
    return network.eval()


def write(folder: Path, settings: Mapping[str, Any], about: Mapping[str, Any]) -> Path:
    """Write a bundle with drawn weights."""
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    (folder / "configs" / "inference.json").write_text(json.dumps(settings, indent=4))
    (folder / "configs" / "metadata.json").write_text(json.dumps(about, indent=4))
    (folder / "LICENSE").write_text("Apache License\nVersion 2.0\n")
    torch.save(network_of(settings["network_def"]).state_dict(), folder / "models" / "model.pt")
    return folder


def spleen(folder: Path, **changes: Any) -> Path:
    """Shaped as spleen_ct_segmentation: one channel, a spacing, a window of intensities, a UNet."""
    transforms = (
        *LOADED,
        {"_target_": "Orientationd", **IMAGE, "axcodes": "RAS"},
        {"_target_": "Spacingd", **IMAGE, "pixdim": [1.5, 1.5, 2.0], "mode": "bilinear"},
        {"_target_": "ScaleIntensityRanged", **IMAGE, "a_min": -57, "a_max": 164, "b_min": 0, "b_max": 1, "clip": True},
        {"_target_": "EnsureTyped", **IMAGE},
    )
    whole = config(UNET, transforms, dict(WINDOWED), SOFTMAX) | changes
    return write(folder, whole, metadata(["image"], ["background", "spleen", "other"]))


def tumour(folder: Path, **changes: Any) -> Path:
    """Shaped as brats_mri_segmentation, but of labels that exclude each other: four channels, a SegResNet."""
    network = {
        "_target_": "SegResNet",
        "blocks_down": [1, 1],
        "blocks_up": [1],
        "init_filters": 8,
        "in_channels": 4,
        "out_channels": 3,
        "dropout_prob": 0.2,
    }
    transforms = (*LOADED, {"_target_": "NormalizeIntensityd", **IMAGE, "nonzero": True, "channel_wise": True})
    inferer = WINDOWED | {"mode": "gaussian", "padding_mode": "replicate"}
    about = metadata(["T1c", "T1", "T2", "FLAIR"], ["background", "tumour", "oedema"], modality="MR")
    return write(folder, config(network, transforms, inferer, SOFTMAX) | changes, about)


def classifier(folder: Path, **changes: Any) -> Path:
    """Shaped as the zoo's classifiers of pictures: a DenseNet121 that sees the whole picture."""
    network = {"_target_": "DenseNet121", "spatial_dims": 2, "in_channels": 1, "out_channels": 3}
    transforms = (
        *LOADED,
        {"_target_": "ScaleIntensityd", **IMAGE, "minv": 0.0, "maxv": 1.0},
        {"_target_": "Resized", **IMAGE, "spatial_size": [48, 40]},
        {"_target_": "EnsureTyped", **IMAGE, "device": "@device"},
    )
    posts = ({"_target_": "Activationsd", "keys": "pred", "softmax": True},)
    about = metadata(["grey"], ["none", "one", "two"], modality="CR")
    return write(folder, config(network, transforms, {"_target_": "SimpleInferer"}, posts) | changes, about)
