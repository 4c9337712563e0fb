"""Which network a configuration plans, as our settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt
from pydantic.dataclasses import dataclass

from medvision.errors import PipelineError
from medvision.importing.nnunet.axes import Axes
from medvision.importing.nnunet.documents import FOREIGN, as_value, unsupported
from medvision.importing.nnunet.plans import Architecture, Configuration, Rows
from medvision.networks import PlainUNet, ResEncUNet

_Numbers = PositiveInt | tuple[PositiveInt, ...]
_PLAIN, _RESIDUAL = "PlainConvUNet", "ResidualEncoderUNet"
_OLD = (
    "UNet_base_num_features",
    "unet_max_num_features",
    "n_conv_per_stage_encoder",
    "n_conv_per_stage_decoder",
    "pool_op_kernel_sizes",
    "conv_kernel_sizes",
)
_NORM: Mapping[str, Any] = {"eps": 1e-5, "affine": True}


@dataclass(frozen=True, config=FOREIGN)
class _Arguments:
    """The arguments of a network of nnU-Net that shape it; those that `_refuse_others` looks at are left out."""

    n_stages: Annotated[int, Field(ge=2)]
    features_per_stage: _Numbers
    kernel_sizes: Rows
    strides: Rows
    n_conv_per_stage_decoder: _Numbers
    n_conv_per_stage: _Numbers | None = None
    n_blocks_per_stage: _Numbers | None = None
    conv_bias: bool = False


def network_of(
    configuration: Configuration, axes: Axes, norm: Literal["instance", "batch"], path: Path
) -> PlainUNet | ResEncUNet:
    """Return the network that a configuration plans.

    Parameters
    ----------
    configuration
        What the plans say.
    axes
        Those of the network's grid.
    norm
        What the weights are of: a trainer can have put batch norms in place of those that the plans name.
    path
        The plans' file, for messages.

    Raises
    ------
    PipelineError
        ``import-unsupported``: it is of another class, or has what ours has not; ``import-invalid``: the plans do not
        say what it is like.
    """
    stated = configuration.architecture or _before_architectures(configuration, path)
    kind = stated.network_class_name.split(".")[-1]
    if kind not in (_PLAIN, _RESIDUAL):
        raise unsupported(f"the network is a {kind!r}; {_PLAIN} and {_RESIDUAL} can be imported", path)
    given = stated.arch_kwargs
    arguments = as_value(given, _Arguments, path, "architecture.arch_kwargs")
    stages, dimensions = arguments.n_stages, configuration.dimensions
    _refuse_others(given, arguments, dimensions, path)
    blocks = arguments.n_conv_per_stage if kind == _PLAIN else arguments.n_blocks_per_stage
    first, *strides = (axes.turned(row) for row in _rows("strides", arguments.strides, stages, dimensions, path))
    if max(first) > 1:
        raise unsupported("architecture.arch_kwargs.strides: the first stage is coarser than the image", path)
    shared: dict[str, Any] = {
        "channels": _each(arguments.features_per_stage, stages),
        "decoder": _each(arguments.n_conv_per_stage_decoder, stages - 1),
        "strides": tuple(strides),
        "kernels": tuple(
            axes.turned(row) for row in _rows("kernel_sizes", arguments.kernel_sizes, stages, dimensions, path)
        ),
        "norm": norm,
        "dropout": _dropout(given, path),
        "bias": arguments.conv_bias,
        "slope": _slope(given, path),
    }
    if blocks is None:
        missing = "n_conv_per_stage" if kind == _PLAIN else "n_blocks_per_stage"
        raise PipelineError("import-invalid", f"architecture.arch_kwargs.{missing} is missing", path=path)
    try:
        if kind == _PLAIN:
            return PlainUNet(convolutions=_each(blocks, stages), **shared)
        return ResEncUNet(blocks=_each(blocks, stages), **shared)
    except ValueError as error:
        message = f"architecture.arch_kwargs: {' '.join(str(error).split())}"
        raise PipelineError("import-invalid", message, path=path) from error


def _before_architectures(configuration: Configuration, path: Path) -> Architecture:
    """Return the network of plans before nnU-Net 2.5, which state it as keys of the configuration."""
    kind = configuration.UNet_class_name
    if kind is None:
        raise PipelineError(
            "import-invalid", "the configuration states neither architecture nor UNet_class_name", path=path
        )
    base, most, blocks, decoder, strides, kernels = (_stated(configuration, name, path) for name in _OLD)
    stages = len(blocks)
    given = {
        "n_stages": stages,
        "features_per_stage": [min(base * 2**n, most) for n in range(stages)],
        "kernel_sizes": kernels,
        "strides": strides,
        "n_conv_per_stage" if kind == _PLAIN else "n_blocks_per_stage": blocks,
        "n_conv_per_stage_decoder": decoder,
        "conv_bias": True,
    }
    return Architecture(kind, given)


def _stated(configuration: Configuration, name: str, path: Path) -> Any:
    value = getattr(configuration, name)
    if value is None:
        raise PipelineError("import-invalid", f"the configuration states no {name}", path=path)
    return value


_HARMLESS = ("deep_supervision", "nonlin_first", "stochastic_depth_p", "squeeze_excitation", "bottleneck_channels")
"""Arguments that change nothing of the answer at these values: none, false or 0."""
_READ = (
    *_Arguments.__dataclass_fields__,
    *("conv_op", "norm_op", "norm_op_kwargs", "dropout_op", "dropout_op_kwargs", "nonlin", "nonlin_kwargs"),
    *("block", "stem_channels", "deep_supervision"),
)


def _refuse_others(given: Mapping[str, Any], arguments: _Arguments, dimensions: int, path: Path) -> None:
    """Refuse a network with what ours has not, by its name."""
    place = "architecture.arch_kwargs"
    for name, value in given.items():
        if name not in _READ and not (name in _HARMLESS and not value):
            raise unsupported(f"{place}.{name} = {value!r}", path)
    conv = str(given.get("conv_op") or f"Conv{dimensions}d").split(".")[-1]
    if conv != f"Conv{dimensions}d":
        raise unsupported(f"{place}.conv_op = {conv!r}, for a patch of {dimensions} axes", path)
    norm = str(given.get("norm_op") or "InstanceNorm").split(".")[-1]
    kwargs = given.get("norm_op_kwargs") or dict(_NORM)
    if not norm.startswith(("InstanceNorm", "BatchNorm")) or kwargs != dict(_NORM):
        raise unsupported(f"{place}: the norm {norm} with {kwargs}", path)
    if not str(given.get("block", "BasicBlockD")).endswith("BasicBlockD"):
        raise unsupported(f"{place}.block = {given['block']!r}", path)
    width = _each(arguments.features_per_stage, arguments.n_stages)[0]
    if given.get("stem_channels") not in (None, width):
        raise unsupported(f"{place}.stem_channels = {given['stem_channels']!r}, not those of the first stage", path)


def _slope(given: Mapping[str, Any], path: Path) -> float:
    """Return the slope of the activation below 0."""
    name = str(given.get("nonlin") or "LeakyReLU").split(".")[-1]
    left = {key: value for key, value in (given.get("nonlin_kwargs") or {}).items() if key != "inplace"}
    slope = left.pop("negative_slope", 0.01) if name == "LeakyReLU" else 0.0
    if name not in ("LeakyReLU", "ReLU") or left or not isinstance(slope, int | float):
        raise unsupported(f"architecture.arch_kwargs: the activation {name} with {given.get('nonlin_kwargs')}", path)
    return float(slope)


def _dropout(given: Mapping[str, Any], path: Path) -> float:
    """Return the share that is dropped in a training; the answer of a trained network drops nothing."""
    if given.get("dropout_op") is None:
        return 0.0
    share = (given.get("dropout_op_kwargs") or {}).get("p", 0.5)
    if not isinstance(share, int | float):
        raise unsupported(f"architecture.arch_kwargs.dropout_op_kwargs.p = {share!r}", path)
    return float(share)


def _each(numbers: int | Sequence[int], count: int) -> tuple[int, ...]:
    return (numbers,) * count if isinstance(numbers, int) else tuple(numbers)


def _rows(name: str, stated: Rows, stages: int, dimensions: int, path: Path) -> list[tuple[int, ...]]:
    rows = [_each(row, dimensions) for row in ((stated,) * stages if isinstance(stated, int) else stated)]
    if any(len(row) != dimensions for row in rows) or not rows:
        message = f"architecture.arch_kwargs.{name}: {dimensions} numbers a row are wanted, got {rows}"
        raise PipelineError("import-invalid", message, path=path)
    return rows
