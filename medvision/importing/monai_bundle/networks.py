"""MONAI's networks as ours: a fixed list of those that we can build tensor by tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from medvision.importing.monai_bundle.component import NEEDED, Component, comparable, unsupported
from medvision.networks import AnyNetwork, DenseNet, DynUNet, ResidualUNet, ResNet, SegResNet, SwinUNETR

_ACTIVATIONS = ("prelu", "relu", "leakyrelu")


@dataclass(frozen=True)
class Described:
    """A network that a bundle names.

    Parameters
    ----------
    settings
        Those of ours that build the same.
    in_channels, out_channels
        How many.
    dimensions
        2 or 3.
    """

    settings: AnyNetwork
    in_channels: int
    out_channels: int
    dimensions: int


def network_of(component: Component) -> Described:
    """Return our settings of the network that a bundle names.

    Raises
    ------
    PipelineError
        ``import-unsupported``: there is none that is the same tensor by tensor; what differs is named.
    """
    make = _NETWORKS.get(component.name)
    if make is None:
        known = ", ".join(sorted(name for name in _NETWORKS if name[0].isupper()))
        why = f"the network {component.name} is not one that can be built here; there are {known}"
        raise unsupported(component.path, component.place, why)
    try:
        found = make(component)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        why = f"{component.name} cannot be built here: {place or 'its settings'}: {first['msg']}"
        raise unsupported(component.path, component.place, why) from error
    if not all(isinstance(n, int) for n in (found.in_channels, found.out_channels)) or found.dimensions not in (2, 3):
        why = f"{component.name} is wanted with whole numbers of channels, and 2 or 3 dimensions"
        raise unsupported(component.path, component.place, why)
    return found


def _residual_unet(component: Component) -> Described:
    known = {
        **_SHAPE,
        "channels": NEEDED,
        "strides": NEEDED,
        "num_res_units": 0,
        "act": "prelu",
        "norm": "instance",
        "dropout": 0.0,
        "bias": True,
    }
    given = component.read(known, fixed={"kernel_size": 3, "up_kernel_size": 3, "adn_ordering": "NDA"})
    rows = [_row(stride, given["spatial_dims"]) for stride in _list(component, "strides", given["strides"])]
    channels = _list(component, "channels", given["channels"])
    if len(rows) != len(channels) - 1:
        raise component.refused("strides", f"one fewer is wanted than there are channels, {len(channels) - 1}")
    activation, details = _named(given["act"])
    if activation not in _ACTIVATIONS or details.keys() - {"inplace"}:
        raise component.refused("act", f"only {', '.join(_ACTIVATIONS)} can be built here")
    settings = ResidualUNet(
        channels=tuple(channels),
        strides=None if all(set(row) == {2} for row in rows) else tuple(map(tuple, rows)),
        units=given["num_res_units"],
        activation=activation,
        norm=_norm(component, "norm", given["norm"], plain=True),
        dropout=_share(component, "dropout", given["dropout"]),
        bias=given["bias"],
    )
    return _described(settings, given)


def _segresnet(component: Component) -> Described:
    known = {
        "spatial_dims": 3,
        "in_channels": 1,
        "out_channels": 2,
        "init_filters": 8,
        "dropout_prob": None,
        "norm": ["group", {"num_groups": 8}],
        "blocks_down": [1, 2, 2, 4],
        "blocks_up": [1, 1, 1],
    }
    given = component.read(
        known,
        fixed={
            "act": "relu",
            "norm_name": "",
            "num_groups": 8,
            "use_conv_final": True,
            "upsample_mode": "nontrainable",
        },
    )
    settings = SegResNet(
        channels=given["init_filters"],
        blocks_down=tuple(_list(component, "blocks_down", given["blocks_down"])),
        blocks_up=tuple(_list(component, "blocks_up", given["blocks_up"])),
        dropout=_share(component, "dropout_prob", given["dropout_prob"]),
        norm=_norm(component, "norm", given["norm"]),
    )
    return _described(settings, given)


def _dynunet(component: Component) -> Described:
    known = {
        **_SHAPE,
        "kernel_size": NEEDED,
        "strides": NEEDED,
        "upsample_kernel_size": NEEDED,
        "filters": None,
        "dropout": None,
        "norm_name": ["instance", {"affine": True}],
        "act_name": ["leakyrelu", {"negative_slope": 0.01}],
        "res_block": False,
    }
    given = component.read(known, fixed={"deep_supervision": False, "trans_bias": False}, ignored=("deep_supr_num",))
    dimensions = given["spatial_dims"]
    names = ("kernel_size", "strides", "upsample_kernel_size")
    kernels, strides, up = ([_row(part, dimensions) for part in _list(component, n, given[n])] for n in names)
    if set(strides[0]) != {1}:
        raise component.refused("strides", "only a first stage at full resolution can be built here")
    if up != strides[1:]:
        raise component.refused("upsample_kernel_size", "only the strides themselves can be built here")
    activation, details = _named(given["act_name"])
    if activation != "leakyrelu" or details.get("negative_slope", 0.01) != 0.01:
        raise component.refused("act_name", "only leakyrelu with a slope of 0.01 can be built here")
    widest = 320 if dimensions == 3 else 512
    filters = given["filters"] or [min(2 ** (5 + n), widest) for n in range(len(strides))]
    settings = DynUNet(
        channels=tuple(_list(component, "filters", filters)),
        residual=given["res_block"],
        dropout=_share(component, "dropout", given["dropout"]),
        strides=None if all(set(row) == {2} for row in strides[1:]) else _rows(strides[1:]),
        kernels=None if all(set(row) == {3} for row in kernels) else _rows(kernels),
        norm=_norm(component, "norm_name", given["norm_name"]),
    )
    return _described(settings, given)


def _swin_unetr(component: Component) -> Described:
    known = {
        "in_channels": NEEDED,
        "out_channels": NEEDED,
        "spatial_dims": 3,
        "depths": [2, 2, 2, 2],
        "num_heads": [3, 6, 12, 24],
        "window_size": 7,
        "feature_size": 24,
        "drop_rate": 0.0,
        "attn_drop_rate": 0.0,
        "dropout_path_rate": 0.0,
        "use_v2": False,
    }
    fixed = {
        "patch_size": 2,
        "qkv_bias": True,
        "mlp_ratio": 4.0,
        "norm_name": "instance",
        "normalize": True,
        "patch_norm": False,
        "downsample": "merging",
        "use_hyena": False,
    }
    given = component.read(known, fixed=fixed, ignored=("img_size", "use_checkpoint", "use_flash_attention"))
    settings = SwinUNETR(
        channels=given["feature_size"],
        blocks=_four(_list(component, "depths", given["depths"])),
        heads=_four(_list(component, "num_heads", given["num_heads"])),
        window=comparable(given["window_size"]),
        residual=given["use_v2"],
        dropout=given["drop_rate"],
        attention_dropout=given["attn_drop_rate"],
        path_dropout=given["dropout_path_rate"],
    )
    return _described(settings, given)


def _densenet(blocks: tuple[int, ...], channels: int = 64, growth: int = 32) -> Callable[[Component], Described]:
    def make(component: Component) -> Described:
        known = {
            **_SHAPE,
            "init_features": channels,
            "growth_rate": growth,
            "block_config": list(blocks),
            "dropout_prob": 0.0,
            "norm": "batch",
        }
        given = component.read(known, fixed={"bn_size": 4, "act": "relu"}, ignored=("pretrained", "progress"))
        settings = DenseNet(
            blocks=tuple(_list(component, "block_config", given["block_config"])),
            channels=given["init_features"],
            growth=given["growth_rate"],
            dropout=_share(component, "dropout_prob", given["dropout_prob"]),
            norm=_norm(component, "norm", given["norm"]),
        )
        return _described(settings, given)

    return make


def _resnet(kind: str | None = None, layers: Sequence[int] = ()) -> Callable[[Component], Described]:
    """Return the reader of a ResNet: of one whose blocks its name says, or of one that says them itself."""

    def make(component: Component) -> Described:
        own = {"block": NEEDED, "layers": NEEDED, "block_inplanes": NEEDED} if kind is None else {}
        known = {
            **own,
            "spatial_dims": 3,
            "n_input_channels": 3,
            "num_classes": 400,
            "conv1_t_size": 7,
            "conv1_t_stride": 1,
            "no_max_pool": False,
            "bias_downsample": True,
        }
        fixed = {"shortcut_type": "B", "widen_factor": 1.0, "feed_forward": True, "act": "relu", "norm": "batch"}
        given = component.read(known, fixed=fixed, ignored=("pretrained", "progress"))
        given = {"block": kind, "layers": list(layers), "block_inplanes": [64, 128, 256, 512], **given}
        settings = ResNet(
            blocks=_four(_list(component, "layers", given["layers"])),
            channels=_four(_list(component, "block_inplanes", given["block_inplanes"])),
            stem_kernel=comparable(given["conv1_t_size"]),
            stem_stride=comparable(given["conv1_t_stride"]),
            stem_pool=not given["no_max_pool"],
            block=given["block"],
            shortcut_bias=given["bias_downsample"],
        )
        return Described(settings, given["n_input_channels"], given["num_classes"], given["spatial_dims"])

    return make


def _described(settings: AnyNetwork, given: Mapping[str, Any]) -> Described:
    return Described(settings, given["in_channels"], given["out_channels"], given["spatial_dims"])


def _named(value: Any) -> tuple[Any, Mapping[str, Any]]:
    """Return the name of a layer, in small letters, and its arguments: ``"batch"`` or ``["group", {...}]``."""
    if isinstance(value, list) and len(value) == 2 and isinstance(value[1], Mapping):
        return comparable(value[0]), value[1]
    return comparable(value), {}


def _norm(component: Component, argument: str, value: Any, *, plain: bool = False) -> Any:
    """Return our name of a norm; `plain` allows one without scale and shift."""
    name, details = _named(value)
    if name == "batch" and not details:
        return "batch"
    if name == "group" and details == {"num_groups": 8}:
        return "group"
    if name == "instance" and details == {"affine": True}:
        return "instance"
    if plain and name == "instance" and details in ({}, {"affine": False}):
        return "instance-plain"
    there = "batch, instance with affine = true, and group with num_groups = 8"
    raise component.refused(argument, f"norms that can be built here are {there}")


def _share(component: Component, argument: str, value: Any) -> float:
    if value is None:
        return 0.0
    if not isinstance(value, int | float):
        raise component.refused(argument, "a share from 0 to 1 is wanted")
    return float(value)


def _list(component: Component, argument: str, value: Any) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise component.refused(argument, "a list is wanted")
    return value


def _row(value: Any, dimensions: int) -> list[Any]:
    return value if isinstance(value, list) else [value] * dimensions


def _rows(values: Sequence[Sequence[Any]]) -> Any:
    return tuple(tuple(row) for row in values)


def _four(values: Sequence[Any]) -> Any:
    return tuple(values)


_SHAPE: Mapping[str, Any] = {"spatial_dims": NEEDED, "in_channels": NEEDED, "out_channels": NEEDED}
_NETWORKS: Mapping[str, Callable[[Component], Described]] = {
    "UNet": _residual_unet,
    "Unet": _residual_unet,
    "SegResNet": _segresnet,
    "DynUNet": _dynunet,
    "DynUnet": _dynunet,
    "SwinUNETR": _swin_unetr,
    "DenseNet": _densenet((6, 12, 24, 16)),
    "DenseNet121": _densenet((6, 12, 24, 16)),
    "DenseNet169": _densenet((6, 12, 32, 32)),
    "DenseNet201": _densenet((6, 12, 48, 32)),
    "DenseNet264": _densenet((6, 12, 64, 48)),
    "ResNet": _resnet(),
    "resnet10": _resnet("basic", (1, 1, 1, 1)),
    "resnet18": _resnet("basic", (2, 2, 2, 2)),
    "resnet34": _resnet("basic", (3, 4, 6, 3)),
    "resnet50": _resnet("bottleneck", (3, 4, 6, 3)),
    "resnet101": _resnet("bottleneck", (3, 4, 23, 3)),
    "resnet152": _resnet("bottleneck", (3, 8, 36, 3)),
}
