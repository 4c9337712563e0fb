"""How images are prepared, as steps: what nnU-Net's preprocessing does, in its order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from medvision.errors import PipelineError
from medvision.importing.nnunet.axes import Axes
from medvision.importing.nnunet.documents import unsupported
from medvision.importing.nnunet.plans import Configuration, Intensities, Plans
from medvision.steps import CropNonzero, Normalise, Reorient, ResampleApart, Step, Transpose
from medvision.steps.channelwise import AsStored, ByKnownMean, ByOwnMean, ByOwnRange, OfBytes, Scale

_READERS: Mapping[str, str | None] = {
    "SimpleITKIO": None,
    "NibabelIO": None,
    "SimpleITKIOWithReorient": "RAS",
    "NibabelIOWithReorient": "RAS",
}
"""How nnU-Net can read images that we read too, and the orientation that it brings them to."""

_SPLINE, _TORCH, _NONE = "resample_data_or_seg_to_shape", "resample_torch_fornnunet", "no_resampling_hack"
_IDLE = ("num_threads", "device", "memefficient_seg_resampling")
_LEAST_SD = 1e-8


def steps_of(
    plans: Plans, configuration: Configuration, axes: Axes, orientation: str | None, path: Path
) -> tuple[Step, ...]:
    """Return the steps that prepare an image for the network.

    Parameters
    ----------
    plans, configuration
        What the plans say.
    axes
        Those of the network's grid.
    orientation
        How the images of the training were stored, as three letters; None leaves images as they are stored.
    path
        The plans' file, for messages.

    Raises
    ------
    PipelineError
        ``import-unsupported``: images are read, prepared, normalised or resampled in a way that there is not here;
        ``import-invalid``: the plans do not say how.
    """
    if configuration.preprocessor_name != "DefaultPreprocessor":
        raise unsupported(f"images are prepared by {configuration.preprocessor_name!r}", path)
    if plans.image_reader_writer not in _READERS:
        raise unsupported(f"images are read by {plans.image_reader_writer!r}", path)
    fixed = _READERS[plans.image_reader_writer] or orientation
    before: tuple[Step, ...] = (Reorient(orientation=fixed),) if fixed else ()
    if axes.transposed is not None:
        before = (*before, Transpose(axes=axes.transposed))
    scales = tuple(_scales(plans, configuration, path))
    return (*before, CropNonzero(), Normalise(channels=scales), *_resampling(configuration, axes, path))


def _scales(plans: Plans, configuration: Configuration, path: Path) -> Iterator[Scale]:
    """Yield how the values of each channel are brought to a scale."""
    schemes, masks = configuration.normalization_schemes, configuration.use_mask_for_norm
    if len(schemes) != len(masks):
        message = f"normalization_schemes are {len(schemes)}, use_mask_for_norm {len(masks)}"
        raise PipelineError("import-invalid", message, path=path)
    for number, (scheme, mask) in enumerate(zip(schemes, masks, strict=True)):
        match scheme:
            case "ZScoreNormalization":
                yield ByOwnMean(object_only=mask)
            case "CTNormalization":
                yield _known(plans.intensities.get(str(number)), number, path)
            case "RescaleTo01Normalization":
                yield ByOwnRange()
            case "RGBTo01Normalization":
                yield OfBytes()
            case "NoNormalization":
                yield AsStored()
            case _:
                raise unsupported(f"values of channel {number} are normalised by {scheme!r}", path)


def _known(stated: Intensities | None, number: int, path: Path) -> ByKnownMean:
    place = f"foreground_intensity_properties_per_channel.{number}"
    if stated is None:
        raise PipelineError("import-invalid", f"{place} is missing, which CTNormalization needs", path=path)
    low, high = stated.percentile_00_5, stated.percentile_99_5
    if low >= high:
        message = f"{place}: percentile_00_5 is below percentile_99_5, got {low:g} and {high:g}"
        raise PipelineError("import-invalid", message, path=path)
    return ByKnownMean(low=low, high=high, mean=stated.mean, sd=max(stated.std, _LEAST_SD))


@dataclass(frozen=True)
class _Way:
    """How values are resampled."""

    order: Literal[0, 1, 3]
    apart: Literal["thick", "always", "never"]
    ratio: float


def _resampling(configuration: Configuration, axes: Axes, path: Path) -> tuple[Step, ...]:
    there = _way("data", configuration.resampling_fn_data, configuration.resampling_fn_data_kwargs, path)
    named = configuration.resampling_fn_probabilities
    back = _way("probabilities", named, configuration.resampling_fn_probabilities_kwargs, path)
    if there is None and back is None:
        return ()
    if there is None or back is None or (there.apart, there.ratio) != (back.apart, back.ratio) or back.order == 3:
        raise unsupported("results are resampled otherwise than images, or by a cubic spline", path)
    if len(configuration.spacing) != configuration.dimensions:
        message = f"spacing has {len(configuration.spacing)} numbers, patch_size {configuration.dimensions}"
        raise PipelineError("import-invalid", message, path=path)
    i, j, *rest = axes.turned(configuration.spacing)
    spacing = (i, j, rest[0]) if rest else (i, j)
    step = ResampleApart(spacing_mm=spacing, order=there.order, back=back.order, apart=there.apart, ratio=there.ratio)
    return (step,)


def _way(what: str, function: str, given: Mapping[str, Any], path: Path) -> _Way | None:
    """Return how a function of nnU-Net resamples with some arguments; None where it does not."""
    place = f"resampling_fn_{what}"
    if function == _NONE:
        return None
    if function not in (_SPLINE, _TORCH):
        raise unsupported(f"{place}: by {function!r}", path)
    left = {name: value for name, value in given.items() if name not in _IDLE}
    is_spline = function == _SPLINE
    order: Any = left.pop("order", 3) if is_spline else 1
    force, ratio = left.pop("force_separate_z", None), left.pop("separate_z_anisotropy_threshold", 3)
    usual = {"order_z": 0} if is_spline else {"mode": "linear", "aniso_axis_mode": "nearest-exact"}
    odd = [name for name, value in left.items() if value != ({"is_seg": False} | usual).get(name, ...)]
    apart: Literal["thick", "always", "never"] = "thick" if force is None else "always" if force else "never"
    if odd or order not in (0, 1, 3) or not isinstance(force, bool | None) or not isinstance(ratio, int | float):
        shown = ", ".join(f"{name} = {given[name]!r}" for name in odd) or f"order = {order!r}, force_separate_z"
        raise unsupported(f"{place}_kwargs: {shown}", path)
    return _Way(order, apart, float(ratio))
