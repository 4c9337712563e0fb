"""MONAI's transforms as our steps: a fixed list of those whose arithmetic is the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from medvision.errors import PipelineError
from medvision.importing.monai_bundle.component import NEEDED, Component, shown_as, unsupported
from medvision.steps import (
    Clip,
    CropForeground,
    Pad,
    Percentile,
    Reorient,
    Resample,
    Rescale,
    Resize,
    Standardise,
    Step,
    Window,
    ZScore,
    ZScoreNonzero,
)

ALWAYS = ("keys", "allow_missing_keys", "meta_keys", "meta_key_postfix")
"""Arguments that say which entries a transform works on, and change no number."""

_UNUSED = {
    "LoadImaged": (*ALWAYS, "reader", "image_only", "ensure_channel_first", "simple_keys", "overwriting"),
    "EnsureChannelFirstd": (*ALWAYS, "strict_check", "channel_dim"),
    "AsChannelFirstd": (*ALWAYS, "channel_dim"),
    "AddChanneld": ALWAYS,
    "EnsureTyped": (*ALWAYS, "data_type", "device", "wrap_sequence", "track_meta"),
    "CastToTyped": ALWAYS,
    "ToTensord": (*ALWAYS, "device", "wrap_sequence", "track_meta"),
    "ToDeviced": (*ALWAYS, "device", "non_blocking"),
    "Identityd": ALWAYS,
}
"""Transforms that change no value of an image as we read it, and their arguments that change none either."""

_UPSAMPLED = ("linear", "bilinear", "trilinear")


@dataclass(frozen=True)
class Seen:
    """What a network sees: how a transform that was written for it can be read.

    Parameters
    ----------
    key
        The entry that holds the image.
    channels
        Of the image.
    dimensions
        Of the network, 2 or 3.
    slices
        Whether a network of 2 sees a volume slice by slice.
    """

    key: str
    channels: int
    dimensions: int
    slices: bool = False

    @property
    def axes(self) -> int:
        """Axes of the image that the transforms see."""
        return 3 if self.slices else self.dimensions


def steps_of(preprocessing: Any, seen: Seen) -> tuple[Step, ...]:
    """Return the steps that do what a bundle's transforms do to an image.

    Parameters
    ----------
    preprocessing
        ``Compose``, or a list of transforms.
    seen
        What the network sees.

    Raises
    ------
    PipelineError
        ``import-unsupported``: a transform, or one of its arguments, does what no step does; it is named.
    """
    return tuple(step for part in listed(preprocessing, "preprocessing") for step in _of_one(part, seen))


def listed(composed: Any, place: str) -> list[Component]:
    """Return the transforms of a ``Compose`` or of a list; none for None."""
    if composed is None:
        return []
    if isinstance(composed, Component):
        if composed.name != "Compose":
            return [composed]
        unused = ("map_items", "unpack_items", "log_stats")
        given = composed.read({"transforms": NEEDED}, fixed={"lazy": False, "overrides": None}, ignored=unused)
        place, composed = composed.place, given["transforms"]
    if not isinstance(composed, list) or not all(isinstance(part, Component) for part in composed):
        raise PipelineError("import-unsupported", f"{place}: transforms with a _target_ each are wanted")
    return composed


def works_on(component: Component, key: str) -> int | None:
    """Return which of a transform's entries is `key`, from 0; None where it leaves that one alone."""
    keys = component.read({"keys": NEEDED}, ignored=tuple(component.arguments.keys() - {"keys"}))["keys"]
    names = keys if isinstance(keys, list) else [keys]
    return names.index(key) if key in names else None


def _of_one(component: Component, seen: Seen) -> tuple[Step, ...]:
    number = works_on(component, seen.key)
    if number is None:
        return ()
    # Every transform has a name for each of its forms: MONAI takes Spacingd, SpacingD and SpacingDict for the same.
    name = component.name.removesuffix("Dict").removesuffix("D").removesuffix("d") + "d"
    if name in _UNUSED:
        component.read({}, floats=("dtype",), ignored=_UNUSED[name])
        return ()
    make = _STEPS.get(name)
    if make is None:
        raise unsupported(component.path, component.place, f"the transform {component.name} is not known here")
    try:
        return make(component, seen, number)
    except ValidationError as error:
        why = f"{component.name} does not make a step: {error.errors()[0]['msg']}"
        raise unsupported(component.path, component.place, why) from error


def _orientation(component: Component, seen: Seen, _: int) -> tuple[Step, ...]:
    unused = (*ALWAYS, "labels")
    given = component.read({"axcodes": None, "as_closest_canonical": False}, fixed={"lazy": False}, ignored=unused)
    stated = re.sub(r"[^LRPAIS]", "", shown_as(component.arguments.get("labels") or "LRPAIS"))
    if stated != "LRPAIS":  # as a list, or as the expression of a tuple, which is compared as words
        raise component.refused("labels", "letters are known here as L to R, P to A and I to S alone")
    _three_axes(component, seen)
    axes = "RAS" if given["as_closest_canonical"] else given["axcodes"]
    if isinstance(axes, list):
        axes = "".join(map(str, axes))
    if not isinstance(axes, str):
        raise component.refused("axcodes", "three letters are wanted")
    return (Reorient(orientation=axes),)


def _spacing(component: Component, seen: Seen, number: int) -> tuple[Step, ...]:
    given = component.read(
        {"pixdim": NEEDED, "mode": "bilinear", "padding_mode": "border"},
        fixed={"diagonal": False, "scale_extent": False, "min_pixdim": None, "max_pixdim": None, "lazy": False},
        floats=("dtype",),
        ignored=(*ALWAYS, "align_corners", "recompute_affine", "ensure_same_shape"),
    )
    _three_axes(component, seen)
    _one_of(component, "mode", _own(given["mode"], number), _UPSAMPLED)
    _one_of(component, "padding_mode", _own(given["padding_mode"], number), ("border",))
    pixdim = given["pixdim"] if isinstance(given["pixdim"], list) else [given["pixdim"]]
    if not pixdim or not all(_is_number(size) and size > 0 for size in pixdim):
        raise component.refused("pixdim", "a spacing above 0 is wanted for each axis")
    padded = [*pixdim, pixdim[-1], pixdim[-1]][:3]  # as MONAI goes on where some are left out
    return (Resample(spacing_mm=_triple(map(float, padded)), blur=False, keeps="first_voxel"),)


def _resize(component: Component, seen: Seen, number: int) -> tuple[Step, ...]:
    given = component.read(
        {"spatial_size": NEEDED, "mode": "area", "align_corners": None},
        fixed={"size_mode": "all", "anti_aliasing": False, "lazy": False},
        floats=("dtype",),
        ignored=(*ALWAYS, "anti_aliasing_sigma"),
    )
    shape = _sizes(component, "spatial_size", given["spatial_size"], seen)
    mode = _own(given["mode"], number)
    if _own(given["align_corners"], number):
        raise component.refused("align_corners", "only false can be done here")
    _one_of(component, "mode", mode, ("area", *_UPSAMPLED))
    return (Resize(shape=shape, blur=mode == "area", average=mode == "area"),)


def _crop(component: Component, seen: Seen, _: int) -> tuple[Step, ...]:
    given = component.read(
        {"source_key": NEEDED, "channel_indices": None, "margin": 0, "k_divisible": 1},
        fixed={"select_fn": None, "lazy": False},
        ignored=(*ALWAYS, "allow_smaller", "mode", "start_coord_key", "end_coord_key"),
    )
    if given["source_key"] != seen.key:
        raise component.refused("source_key", f"only the image itself, {seen.key!r}, says here what is foreground")
    if given["channel_indices"] not in ([None, 0, [0]] if seen.channels == 1 else [0, [0]]):
        raise component.refused("channel_indices", "only the first channel says here what is foreground")
    for name, plain in (("margin", 0), ("k_divisible", 1)):
        if {plain} != set(given[name] if isinstance(given[name], list) else [given[name]]):
            raise component.refused(name, f"only {plain} can be done here")
    return (CropForeground(threshold=0.0),)


def _pad_to(component: Component, seen: Seen, number: int) -> tuple[Step, ...]:
    given = _padding(component, "spatial_size", number)
    return (Pad(minimum=_sizes(component, "spatial_size", given["spatial_size"], seen), value=given["value"]),)


def _pad_by(component: Component, seen: Seen, number: int) -> tuple[Step, ...]:
    given = _padding(component, "k", number)
    return (Pad(multiple=_sizes(component, "k", given["k"], seen), value=given["value"]),)


def _padding(component: Component, size: str, number: int) -> dict[str, Any]:
    known = {size: NEEDED, "mode": "constant", "value": None, "constant_values": None}
    given = component.read(known, fixed={"method": "symmetric", "lazy": False}, ignored=ALWAYS)
    _one_of(component, "mode", _own(given["mode"], number), ("constant",))
    values = [given[name] for name in ("value", "constant_values") if given[name] is not None]
    return {size: given[size], "value": float(values[0]) if values else 0.0}


def _range(component: Component, seen: Seen, _: int) -> tuple[Step, ...]:
    given = component.read(
        {"a_min": NEEDED, "a_max": NEEDED, "b_min": None, "b_max": None, "clip": False},
        floats=("dtype",),
        ignored=ALWAYS,
    )
    low, high, b_min, b_max = (given[name] for name in ("a_min", "a_max", "b_min", "b_max"))
    if not all(map(_is_number, (low, high, b_min, b_max))):
        raise component.refused("b_min", "a_min, a_max, b_min and b_max are all wanted")
    if (b_min, b_max) == (low, high):
        return (Clip(low=low, high=high),) if given["clip"] else ()
    if given["clip"] and (b_min, b_max) == (0, 1):
        return (Window(center=(low + high) / 2, width=high - low),)
    clip = (Clip(low=low, high=high),) if given["clip"] else ()
    return (*clip, Rescale(low=b_min, high=b_max, source=(float(low), float(high))))


def _percentiles(component: Component, seen: Seen, _: int) -> tuple[Step, ...]:
    given = component.read(
        {"lower": NEEDED, "upper": NEEDED, "b_min": NEEDED, "b_max": NEEDED, "channel_wise": False},
        fixed={"clip": True, "relative": False},
        floats=("dtype",),
        ignored=ALWAYS,
    )
    if component.arguments.get("clip") is not True:
        raise component.refused("clip", "only true can be done here")
    _each_channel(component, given, seen)
    percentile = Percentile(lower=given["lower"], upper=given["upper"])
    if (given["b_min"], given["b_max"]) == (0, 1):
        return (percentile,)
    return (percentile, Rescale(low=given["b_min"], high=given["b_max"], source=(0.0, 1.0)))


def _scale(component: Component, seen: Seen, _: int) -> tuple[Step, ...]:
    known = {"minv": 0.0, "maxv": 1.0, "channel_wise": False}
    given = component.read(known, fixed={"factor": None}, floats=("dtype",), ignored=ALWAYS)
    _each_channel(component, given, seen)
    if given["minv"] is None or given["maxv"] is None:
        raise component.refused("minv", "minv and maxv are both wanted")
    return (Rescale(low=given["minv"], high=given["maxv"]),)


def _normalise(component: Component, seen: Seen, _: int) -> tuple[Step, ...]:
    known = {"subtrahend": None, "divisor": None, "nonzero": False, "channel_wise": False}
    given = component.read(known, floats=("dtype",), ignored=ALWAYS)
    mean, sd = given["subtrahend"], given["divisor"]
    if (mean is None) != (sd is None):
        raise component.refused("divisor", "subtrahend and divisor are wanted both or not at all")
    if mean is None:
        _each_channel(component, given, seen)
        return (ZScoreNonzero() if given["nonzero"] else ZScore(),)
    if given["nonzero"]:
        raise component.refused("nonzero", "with a stated subtrahend, only false can be done here")
    many = isinstance(mean, list) and isinstance(sd, list)
    if many and not given["channel_wise"]:
        raise component.refused("channel_wise", "numbers for each channel are wanted with true alone")
    means, sds = (mean, sd) if many else ([mean], [sd])
    if not all(_is_number(value) for value in (*means, *sds)):
        raise component.refused("subtrahend", "numbers are wanted, as many as of divisor")
    return (Standardise(mean=tuple(map(float, means)), sd=tuple(map(float, sds))),)


def _each_channel(component: Component, given: Mapping[str, Any], seen: Seen) -> None:
    if seen.channels > 1 and not given["channel_wise"]:
        why = f"the {seen.channels} channels would be measured together; here each is measured by itself"
        raise component.refused("channel_wise", why)


def _three_axes(component: Component, seen: Seen) -> None:
    if seen.axes != 3:
        why = f"{component.name} is for volumes; pictures state no size and no orientation here"
        raise unsupported(component.path, component.place, why)


def _sizes(component: Component, name: str, value: Any, seen: Seen) -> tuple[int, int, int]:
    """Return a size for each of three axes; pictures have 1 along the third."""
    sizes = value if isinstance(value, list) else [value] * seen.axes
    if len(sizes) != seen.axes or not all(isinstance(size, int) and size > 0 for size in sizes):
        raise component.refused(name, f"{seen.axes} sizes above 0 are wanted")
    first, second, third = (*sizes, 1)[:3]
    return first, second, third


def _one_of(component: Component, name: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise component.refused(name, f"only {' or '.join(map(repr, allowed))} can be done here")


def _own(value: Any, number: int) -> Any:
    """Return the image's own value where there is one for each entry."""
    return value[number] if isinstance(value, list) and number < len(value) else value


def _triple(values: Any) -> Any:
    first, second, third = values
    return first, second, third


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_STEPS: Mapping[str, Callable[[Component, Seen, int], tuple[Step, ...]]] = {
    "Orientationd": _orientation,
    "Spacingd": _spacing,
    "Resized": _resize,
    "CropForegroundd": _crop,
    "SpatialPadd": _pad_to,
    "DivisiblePadd": _pad_by,
    "ScaleIntensityRanged": _range,
    "ScaleIntensityRangePercentilesd": _percentiles,
    "ScaleIntensityd": _scale,
    "NormalizeIntensityd": _normalise,
}
