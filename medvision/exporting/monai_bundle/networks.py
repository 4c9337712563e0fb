"""Our networks by MONAI's names: of each its class and arguments, which build the same tensors by the same names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from medvision.exporting.refusal import unsupported
from medvision.networks import DenseNet, DynUNet, ResidualUNet, ResNet, SegResNet, SwinUNETR

_NORMS: Mapping[str, Any] = {
    "batch": "batch",
    "instance": ["instance", {"affine": True}],
    "instance-plain": "instance",
    "group": ["group", {"num_groups": 8}],
}


def definition_of(network: Any, *, in_channels: int, out_channels: int, dimensions: int) -> dict[str, Any]:
    """Return what ``network_def`` says of a network: its ``_target_`` and all arguments, plain values alone.

    Raises
    ------
    PipelineError
        ``export-unsupported``: MONAI has no class that builds it.
    """
    make = _NETWORKS.get(network.use)
    if make is None:
        known = ", ".join(_NETWORKS)
        raise unsupported(
            "network", f"MONAI has no network that is {network.use!r} tensor by tensor; of {known} it has"
        )
    shape = {"spatial_dims": dimensions, "in_channels": in_channels, "out_channels": out_channels}
    return make(network, shape)


def _residual_unet(network: ResidualUNet, shape: dict[str, int]) -> dict[str, Any]:
    stages = len(network.channels) - 1
    return {
        "_target_": "UNet",
        **shape,
        "channels": list(network.channels),
        "strides": [2] * stages if network.strides is None else [list(row) for row in network.strides],
        "num_res_units": network.units,
        "act": network.activation,
        "norm": _norm(network.norm, (*network.channels, shape["out_channels"])),
        "dropout": network.dropout,
        "bias": network.bias,
    }


def _dynunet(network: DynUNet, shape: dict[str, int]) -> dict[str, Any]:
    stages, dimensions = len(network.channels), shape["spatial_dims"]
    strides = [list(row) for row in network.strides or [(2,) * dimensions] * (stages - 1)]
    return {
        "_target_": "DynUNet",
        **shape,
        "kernel_size": [list(row) for row in network.kernels or [(3,) * dimensions] * stages],
        "strides": [[1] * dimensions, *strides],
        "upsample_kernel_size": strides,
        "filters": list(network.channels),
        "dropout": network.dropout or None,
        "norm_name": _norm(network.norm, network.channels),
        "res_block": network.residual,
    }


def _segresnet(network: SegResNet, shape: dict[str, int]) -> dict[str, Any]:
    return {
        "_target_": "SegResNet",
        **shape,
        "init_filters": network.channels,
        "blocks_down": list(network.blocks_down),
        "blocks_up": list(network.blocks_up),
        "dropout_prob": network.dropout or None,
        "norm": _norm(network.norm, (network.channels,)),
    }


def _swin_unetr(network: SwinUNETR, shape: dict[str, int]) -> dict[str, Any]:
    return {
        "_target_": "SwinUNETR",
        **shape,
        "feature_size": network.channels,
        "depths": list(network.blocks),
        "num_heads": list(network.heads),
        "window_size": network.window,
        "use_v2": network.residual,
        "drop_rate": network.dropout,
        "attn_drop_rate": network.attention_dropout,
        "dropout_path_rate": network.path_dropout,
    }


def _densenet(network: DenseNet, shape: dict[str, int]) -> dict[str, Any]:
    if network.norm == "group":
        raise unsupported("network.norm", "MONAI's DenseNet has group norms only where each layer has a multiple of 8")
    return {
        "_target_": "DenseNet",
        **shape,
        "init_features": network.channels,
        "growth_rate": network.growth,
        "block_config": list(network.blocks),
        "dropout_prob": network.dropout,
        "norm": _norm(network.norm, ()),
    }


def _resnet(network: ResNet, shape: dict[str, int]) -> dict[str, Any]:
    if network.norm != "batch":
        raise unsupported("network.norm", f"MONAI's ResNet gives {network.norm} norms to its first layer alone")
    return {
        "_target_": "ResNet",
        "spatial_dims": shape["spatial_dims"],
        "n_input_channels": shape["in_channels"],
        "num_classes": shape["out_channels"],
        "block": network.block,
        "layers": list(network.blocks),
        "block_inplanes": list(network.channels),
        "conv1_t_size": network.stem_kernel,
        "conv1_t_stride": network.stem_stride,
        "no_max_pool": not network.stem_pool,
        "bias_downsample": network.shortcut_bias,
    }


def _norm(norm: str, channels: tuple[int, ...]) -> Any:
    if norm == "group" and any(number % 8 for number in channels):
        raise unsupported("network.norm", "MONAI's group norms have 8 groups, which do not divide all channels")
    return _NORMS[norm]


_NETWORKS: Mapping[str, Callable[[Any, dict[str, int]], dict[str, Any]]] = {
    "residual-unet": _residual_unet,
    "dynunet": _dynunet,
    "segresnet": _segresnet,
    "swin-unetr": _swin_unetr,
    "densenet": _densenet,
    "resnet": _resnet,
}
