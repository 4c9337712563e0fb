"""Networks of bundles are built here tensor by tensor, with the same answers, or refused by name."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from medvision.errors import PipelineError
from medvision.frameworks import monai_module
from medvision.importing.monai_bundle.component import Component, Expression
from medvision.importing.monai_bundle.networks import Described, network_of
from medvision.importing.monai_bundle.weights import fill

SHAPE: dict[str, Any] = {"spatial_dims": 3, "in_channels": 1, "out_channels": 2}
UNET = {**SHAPE, "channels": [4, 8, 16], "strides": [2, 2], "num_res_units": 2}
DYNUNET = {
    **SHAPE,
    "kernel_size": [3, [3, 3, 1], 3],
    "strides": [1, [2, 2, 1], 2],
    "upsample_kernel_size": [[2, 2, 1], 2],
    "filters": [4, 8, 8],
}
SEGRESNET = {"in_channels": 2, "out_channels": 3, "blocks_down": [1, 1], "blocks_up": [1]}
SWIN = {"in_channels": 1, "out_channels": 2, "feature_size": 12, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2]}
RESNET = {
    "block": "basic",
    "layers": [1, 1, 1, 1],
    "block_inplanes": [4, 4, 8, 8],
    "spatial_dims": 2,
    "n_input_channels": 3,
    "num_classes": 4,
}
DENSE = {"spatial_dims": 2, "in_channels": 3, "out_channels": 4, "block_config": [1, 2], "init_features": 8}


def described(name: str, arguments: dict[str, Any]) -> Described:
    return network_of(Component(Path("inference.json"), "network_def", name, arguments))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("UNet", UNET),
        ("Unet", UNET | {"norm": "batch", "act": "relu", "dropout": 0.1, "bias": False}),
        ("UNet", UNET | {"norm": ["instance", {"affine": True}], "act": ["leakyrelu", {"inplace": True}]}),
        ("UNet", UNET | {"norm": ["INSTANCE", {"affine": False}], "kernel_size": [3, 3, 3], "strides": [[2, 2, 1], 2]}),
        (
            "monai.networks.nets.UNet",
            UNET | {"norm": ["group", {"num_groups": 8}], "channels": [8, 8, 16], "out_channels": 8},
        ),
        ("SegResNet", SEGRESNET),
        ("SegResNet", SEGRESNET | {"init_filters": 16, "dropout_prob": 0.2, "norm": "batch", "spatial_dims": 2}),
        ("DynUNet", DYNUNET),
        ("DynUNet", DYNUNET | {"res_block": True, "dropout": 0.1, "deep_supervision": False, "deep_supr_num": 2}),
        ("DynUNet", {k: v for k, v in DYNUNET.items() if k != "filters"} | {"spatial_dims": 3}),
        ("SwinUNETR", SWIN | {"img_size": 96, "use_checkpoint": False}),
        ("SwinUNETR", SWIN | {"use_v2": True, "window_size": [7, 7, 7]}),
        ("DenseNet", DENSE),
        ("DenseNet", DENSE | {"norm": ["instance", {"affine": True}], "dropout_prob": 0.2}),
        ("DenseNet121", {"spatial_dims": 2, "in_channels": 1, "out_channels": 2, "pretrained": False}),
        ("ResNet", RESNET),
        ("ResNet", RESNET | {"block": "bottleneck", "conv1_t_stride": [2, 2], "conv1_t_size": 3, "no_max_pool": True}),
        ("resnet18", {"spatial_dims": 2, "n_input_channels": 1, "num_classes": 2, "bias_downsample": False}),
    ],
)
def test_a_network_takes_monais_weights_and_gives_monais_answers(name: str, arguments: dict[str, Any]) -> None:
    given = {key: value for key, value in arguments.items() if key not in ("img_size", "pretrained")}
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        theirs = getattr(monai_module("networks.nets"), name.split(".")[-1])(**given).eval()
    found = described(name, arguments)
    ours = found.settings.build(
        in_channels=found.in_channels, out_channels=found.out_channels, dimensions=found.dimensions
    ).eval()
    fill(ours, theirs.state_dict(), Path("model.pt"))
    image = torch.rand(1, found.in_channels, *(64, 32, 32)[: found.dimensions])
    with torch.inference_mode():
        assert torch.equal(ours(image), theirs(image))
    assert ours(image).shape[1] == found.out_channels


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("UNETR", {}, "network_def: the network UNETR is not one that can be built here; there are DenseNet"),
        ("scripts.nets.UNet", UNET, "the network scripts.nets.UNet is not one"),
        ("ViT", {}, "the network ViT is not one"),
        ("UNet", {}, "network_def.spatial_dims: UNet needs it"),
        ("UNet", UNET | {"num_res_units": 0}, "UNet cannot be built here: units"),
        ("UNet", UNET | {"strides": [2]}, "strides is [2]: one fewer is wanted than there are channels, 2"),
        ("UNet", UNET | {"kernel_size": 5}, "network_def.kernel_size is 5: only 3 can be done here"),
        ("UNet", UNET | {"act": "gelu"}, "network_def.act is 'gelu': only prelu, relu, leakyrelu"),
        ("UNet", UNET | {"act": ["leakyrelu", {"negative_slope": 0.2}]}, "only prelu, relu, leakyrelu"),
        ("UNet", UNET | {"norm": "layer"}, "network_def.norm is 'layer': norms that can be built here are"),
        ("UNet", UNET | {"norm": ["group", {"num_groups": 4}]}, "norms that can be built here are"),
        ("UNet", UNET | {"adn_ordering": "NA"}, "adn_ordering is 'NA': only 'NDA'"),
        ("UNet", UNET | {"channels": 4}, "channels is 4: a list is wanted"),
        ("UNet", UNET | {"dropout": "much"}, "a share from 0 to 1 is wanted"),
        ("UNet", UNET | {"in_channels": Expression("$len(@x)")}, "in_channels is $len(@x): only MONAI"),
        ("UNet", UNET | {"in_channels": "1"}, "whole numbers of channels, and 2 or 3 dimensions"),
        ("UNet", UNET | {"mystery": 1}, "network_def.mystery is 1: UNet with it is not known here"),
        ("SegResNet", SEGRESNET | {"upsample_mode": "deconv"}, "upsample_mode is 'deconv': only 'nontrainable'"),
        ("SegResNet", SEGRESNET | {"norm": "instance"}, "norms that can be built here are"),
        ("SegResNet", SEGRESNET | {"init_filters": 12}, "SegResNet cannot be built here: channels"),
        ("DynUNet", DYNUNET | {"deep_supervision": True}, "deep_supervision is True: only False"),
        ("DynUNet", DYNUNET | {"strides": [2, 2, 2]}, "only a first stage at full resolution"),
        ("DynUNet", DYNUNET | {"upsample_kernel_size": [2, 2]}, "only the strides themselves"),
        ("DynUNet", DYNUNET | {"norm_name": "instance"}, "norms that can be built here are"),
        ("DynUNet", DYNUNET | {"act_name": "relu"}, "only leakyrelu with a slope of 0.01"),
        ("DynUNet", DYNUNET | {"kernel_size": [3, 5, 3]}, "DynUNet cannot be built here: kernels"),
        ("SwinUNETR", SWIN | {"norm_name": "batch"}, "norm_name is 'batch': only 'instance'"),
        ("SwinUNETR", SWIN | {"feature_size": 10}, "SwinUNETR cannot be built here: channels"),
        ("DenseNet", DENSE | {"bn_size": 2}, "bn_size is 2: only 4"),
        ("ResNet", RESNET | {"shortcut_type": "A"}, "shortcut_type is 'A': only 'B'"),
        ("ResNet", RESNET | {"conv1_t_size": [7, 3]}, "ResNet cannot be built here: stem_kernel"),
    ],
)
def test_a_network_that_would_be_another_is_refused_by_name(name: str, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(PipelineError) as caught:
        described(name, arguments)
    assert caught.value.code == "import-unsupported"
    assert words in caught.value.finding.message


def test_every_tensor_must_find_its_place_and_none_be_left_over() -> None:
    found = described("DynUNet", DYNUNET)
    network = found.settings.build(in_channels=1, out_channels=2, dimensions=3)
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    names = sorted(state)
    odd: list[tuple[dict[str, Any], str]] = [
        (state | {"extra": torch.zeros(1)}, "1 of .* tensors do not fit the bundle's network, first: extra"),
        ({name: state[name] for name in names[1:]}, f"first: {names[0]}"),
        (state | {names[0]: torch.zeros(1)}, f"first: {names[0]}"),
        (state | {name: state[name] + 1 for name in names if name.startswith("skip_layers")}, "has two values"),
    ]
    for tensors, words in odd:
        with pytest.raises(PipelineError, match=words) as caught:
            fill(network, tensors, Path("model.pt"))
        assert caught.value.code == "weights-mismatch"
        assert caught.value.path == Path("model.pt")
