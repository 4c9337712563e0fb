"""Our steps as MONAI's transforms: those that compute the same, those that nearly do, and which differ how."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medvision.errors import Finding
from medvision.exporting.refusal import differs, unsupported
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
)

Transform = dict[str, Any]


@dataclass(frozen=True)
class Told:
    """Transforms, and what must be said of them.

    Parameters
    ----------
    transforms
        Tables with a ``_target_`` each.
    findings
        Where MONAI's result can differ from ours; all notes.
    """

    transforms: tuple[Transform, ...]
    findings: tuple[Finding, ...] = ()


def transforms_of(steps: Sequence[Step], *, channels: int, dimensions: int) -> Told:
    """Return the transforms that do what steps do to the entry ``image``.

    Raises
    ------
    PipelineError
        ``export-unsupported``: MONAI has no transform for a step, or would need an expression for it.
    """
    told = []
    for number, step in enumerate(steps, 1):
        make = _STEPS.get(step.use)
        if make is None:
            raise unsupported(f"steps.{number}", f"MONAI has no transform that does what {step.use!r} does")
        told.append(make(step, _Place(f"steps.{number}", channels, dimensions)))
    return Told(
        tuple(transform for each in told for transform in each.transforms),
        tuple(finding for each in told for finding in each.findings),
    )


@dataclass(frozen=True)
class _Place:
    """Where a step stands, and what the image is."""

    place: str
    channels: int
    dimensions: int

    def sizes(self, shape: Sequence[int]) -> list[int]:
        return list(shape[: self.dimensions])


def _one(name: str, **arguments: Any) -> Transform:
    return {"_target_": name, "keys": "image", **arguments}


def _reorient(step: Reorient, at: _Place) -> Told:
    letters = [["L", "R"], ["P", "A"], ["I", "S"]]  # stated: MONAI's default for them is to change
    return Told((_one("Orientationd", axcodes=step.orientation, labels=letters),))


def _resample(step: Resample, at: _Place) -> Told:
    if step.order != 1:
        raise unsupported(f"{at.place}.order", "only linear interpolation, 1, is MONAI's too")
    found = []
    if step.keeps == "faces":
        found.append(
            "MONAI's Spacing keeps the first voxel where it is, and this pipeline the field of view: where the spacing "
            "changes, voxels lie up to half a voxel elsewhere"
        )
    if step.blur:
        found.append("MONAI does not blur before an axis becomes coarser, this pipeline does")
    transform = _one("Spacingd", pixdim=list(step.spacing_mm), mode="bilinear", padding_mode="border")
    return Told((transform,), tuple(map(differs, found)))


def _resize(step: Resize, at: _Place) -> Told:
    mode = "bilinear" if at.dimensions == 2 else "trilinear"
    found = []
    if not step.average:
        if step.order != 1:
            raise unsupported(f"{at.place}.order", "only linear interpolation, 1, is MONAI's too")
        if step.blur:
            found.append(differs("MONAI does not blur before an axis becomes coarser, this pipeline does"))
    size = at.sizes(step.shape)
    return Told((_one("Resized", spatial_size=size, mode="area" if step.average else mode),), tuple(found))


def _crop(step: CropForeground, at: _Place) -> Told:
    if step.threshold != 0:
        raise unsupported(f"{at.place}.threshold", "without an expression, MONAI crops to what is above 0 alone")
    if step.margin_mm:
        raise unsupported(f"{at.place}.margin_mm", "MONAI's margin is in voxels")
    first = {} if at.channels == 1 else {"channel_indices": 0}
    return Told((_one("CropForegroundd", source_key="image", allow_smaller=True, **first),))


def _pad(step: Pad, at: _Place) -> Told:
    least, multiple = at.sizes(step.minimum), at.sizes(step.multiple)
    if set(least) != {1} and set(multiple) != {1}:
        raise unsupported(at.place, "MONAI pads to a least size or to a multiple, not to both at once")
    if set(multiple) != {1}:
        return Told((_one("DivisiblePadd", k=multiple, mode="constant", value=step.value),))
    return Told((_one("SpatialPadd", spatial_size=least, mode="constant", value=step.value),))


def _clip(step: Clip, at: _Place) -> Told:
    same = {"a_min": step.low, "a_max": step.high, "b_min": step.low, "b_max": step.high}
    return Told((_one("ScaleIntensityRanged", **same, clip=True),))


def _window(step: Window, at: _Place) -> Told:
    low, high = step.center - step.width / 2, step.center + step.width / 2
    return Told((_one("ScaleIntensityRanged", a_min=low, a_max=high, b_min=0.0, b_max=1.0, clip=True),))


def _rescale(step: Rescale, at: _Place) -> Told:
    if step.source is None:
        return Told((_one("ScaleIntensityd", minv=step.low, maxv=step.high, channel_wise=True),))
    low, high = step.source
    return Told((_one("ScaleIntensityRanged", a_min=low, a_max=high, b_min=step.low, b_max=step.high, clip=False),))


def _zscore(step: ZScore, at: _Place) -> Told:
    if step.threshold is not None:
        raise unsupported(f"{at.place}.threshold", "MONAI measures over all voxels, or over those that are not 0")
    return Told((_one("NormalizeIntensityd", channel_wise=True),))


def _zscore_nonzero(step: Step, at: _Place) -> Told:
    return Told((_one("NormalizeIntensityd", nonzero=True, channel_wise=True),))


def _standardise(step: Standardise, at: _Place) -> Told:
    if len(step.mean) == 1:
        return Told((_one("NormalizeIntensityd", subtrahend=step.mean[0], divisor=step.sd[0]),))
    numbers = {"subtrahend": list(step.mean), "divisor": list(step.sd)}
    return Told((_one("NormalizeIntensityd", **numbers, channel_wise=True),))


def _percentile(step: Percentile, at: _Place) -> Told:
    given = {"lower": step.lower, "upper": step.upper, "b_min": 0.0, "b_max": 1.0, "clip": True, "channel_wise": True}
    return Told((_one("ScaleIntensityRangePercentilesd", **given),))


_STEPS: Mapping[str, Callable[[Any, _Place], Told]] = {
    "reorient": _reorient,
    "resample": _resample,
    "resize": _resize,
    "crop_foreground": _crop,
    "pad": _pad,
    "clip": _clip,
    "window": _window,
    "rescale": _rescale,
    "zscore": _zscore,
    "zscore_nonzero": _zscore_nonzero,
    "standardise": _standardise,
    "percentile": _percentile,
}
