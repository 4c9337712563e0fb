"""A results folder as nnU-Net leaves it, small, with weights under its names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from foreign_weights import PlainUNet

NORM = {"eps": 1e-05, "affine": True}
ARGUMENTS: dict[str, Any] = {
    "n_stages": 3,
    "features_per_stage": [4, 6, 8],
    "conv_op": "torch.nn.modules.conv.Conv3d",
    "kernel_sizes": [[3, 3, 3]] * 3,
    "strides": [[1, 1, 1], [2, 2, 2], [2, 2, 2]],
    "n_conv_per_stage": [2, 2, 2],
    "n_conv_per_stage_decoder": [2, 2],
    "conv_bias": True,
    "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
    "norm_op_kwargs": NORM,
    "dropout_op": None,
    "dropout_op_kwargs": None,
    "nonlin": "torch.nn.LeakyReLU",
    "nonlin_kwargs": {"inplace": True},
}
FULLRES: dict[str, Any] = {
    "preprocessor_name": "DefaultPreprocessor",
    "batch_size": 2,
    "patch_size": [8, 12, 16],
    "spacing": [2.0, 1.0, 1.0],
    "normalization_schemes": ["ZScoreNormalization"],
    "use_mask_for_norm": [False],
    "resampling_fn_data": "resample_data_or_seg_to_shape",
    "resampling_fn_data_kwargs": {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None},
    "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
    "resampling_fn_probabilities_kwargs": {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None},
    "architecture": {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": ARGUMENTS,
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    },
}
OLD_KEYS = {
    "UNet_class_name": "PlainConvUNet",
    "UNet_base_num_features": 4,
    "unet_max_num_features": 6,
    "n_conv_per_stage_encoder": [2, 2, 2],
    "n_conv_per_stage_decoder": [2, 2],
    "pool_op_kernel_sizes": [[1, 1, 1], [2, 2, 2], [2, 2, 2]],
    "conv_kernel_sizes": [[3, 3, 3]] * 3,
}
PLANS: dict[str, Any] = {
    "dataset_name": "Dataset004_Hippocampus",
    "plans_name": "nnUNetPlans",
    "image_reader_writer": "SimpleITKIO",
    "transpose_forward": [0, 1, 2],
    "configurations": {
        "3d_fullres": FULLRES,
        "3d_lowres": {"inherits_from": "3d_fullres", "spacing": [4.0, 2.0, 2.0]},
        "3d_cascade_fullres": {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"},
    },
    "foreground_intensity_properties_per_channel": {
        "0": {"mean": 50.0, "std": 20.0, "percentile_00_5": -10.0, "percentile_99_5": 90.0, "median": 49.0}
    },
}
DATASET: dict[str, Any] = {
    "channel_names": {"0": "MRI"},
    "labels": {"background": 0, "Anterior": 1, "Posterior": 2},
    "file_ending": ".nii.gz",
}


def network(seed: int = 0, **given: Any) -> Any:
    """Return a network under nnU-Net's names, for the plans above."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return PlainUNet(**{"dims": 3, "widths": (4, 6, 8), **given}).eval()


def checkpoint(state: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """Return what nnU-Net keeps of a training."""
    return {
        "network_weights": dict(state),
        "optimizer_state": {"state": {}, "param_groups": []},
        "current_epoch": 1000,
        "init_args": {"configuration": "3d_fullres", "fold": 0, "device": torch.device("cpu")},
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": (0, 1, 2),
    } | changes


def changed(table: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """Return the plans with changes of the configuration `3d_fullres`."""
    configurations = dict(table["configurations"])
    return {**table, "configurations": {**configurations, "3d_fullres": {**configurations["3d_fullres"], **changes}}}


def results_folder(
    folder: Path,
    *,
    plans: Mapping[str, Any] = PLANS,
    dataset: Mapping[str, Any] = DATASET,
    folds: Mapping[str, Any] | None = None,
    which: str = "final",
) -> Path:
    """Write a results folder, with a checkpoint for each fold, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plans.json").write_text(json.dumps(plans), encoding="utf-8")
    (folder / "dataset.json").write_text(json.dumps(dataset), encoding="utf-8")
    for fold, content in (folds or {"0": checkpoint(network().state_dict())}).items():
        (folder / f"fold_{fold}").mkdir(exist_ok=True)
        torch.save(content, folder / f"fold_{fold}" / f"checkpoint_{which}.pth")
    return folder
