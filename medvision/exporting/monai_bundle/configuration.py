"""What the two configuration files of a bundle say of a pipeline; but for the word that starts a run, no expression."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from medvision.errors import Finding
from medvision.exporting.monai_bundle.networks import definition_of
from medvision.exporting.monai_bundle.transforms import transforms_of
from medvision.exporting.refusal import differs, unsupported
from medvision.pipeline import Settings

_PRED = {"keys": "pred"}


@dataclass(frozen=True)
class Configuration:
    """A bundle's configuration.

    Parameters
    ----------
    inference
        ``inference.json``.
    metadata
        ``metadata.json``.
    findings
        Where MONAI's results can differ from the pipeline's; all notes.
    """

    inference: Mapping[str, Any]
    metadata: Mapping[str, Any]
    findings: tuple[Finding, ...]


def configuration_of(settings: Settings, *, members: int, versions: Mapping[str, str]) -> Configuration:
    """Return the configuration of a pipeline's bundle.

    Parameters
    ----------
    settings
        The pipeline's.
    members
        How many networks it has.
    versions
        Of the packages, for the metadata.

    Raises
    ------
    PipelineError
        ``export-unsupported``: a bundle cannot hold something that the pipeline does; it is named.
    """
    _refuse(settings, members)
    contract = settings.contract
    network = definition_of(
        settings.network,
        in_channels=len(contract.channels),
        out_channels=settings.outputs,
        dimensions=contract.dimensions,
    )
    told = transforms_of(settings.steps, channels=len(contract.channels), dimensions=_axes(settings))
    findings = (*told.findings, *_findings(settings))
    return Configuration(_inference(settings, network, told.transforms), _metadata(settings, versions), findings)


def _refuse(settings: Settings, members: int) -> None:
    if settings.task == "regression":
        raise unsupported("task", "a bundle has no words for the unit, mean and deviation of a regression's values")
    if members > 1:
        raise unsupported(
            "weights", f"a bundle has one network, this pipeline {members}", "Export one fold's pipeline."
        )
    if settings.predict.mirror_axes:
        cure = "Set mirror_axes = [] in a copy of the pipeline, and measure what that costs."
        raise unsupported("predict.mirror_axes", "MONAI's inferers do not mirror", cure)
    if len(set(settings.predict.thresholds)) > 1:
        raise unsupported("predict.thresholds", "a bundle has one threshold for all labels")


def _findings(settings: Settings) -> Iterator[Finding]:
    contract, predict = settings.contract, settings.predict
    if contract.side:
        yield differs(
            f"the network knows its structure on the {contract.side} side; this pipeline mirrors images of the other "
            "side, a bundle leaves that to its user"
        )
    if settings.task != "segmentation":
        return
    if predict.window is not None and predict.weighting == "gaussian":
        yield differs("MONAI's Gaussian never falls below a thousandth: at the rims of windows its voxels count more")
    if predict.window is not None and predict.combine == "probabilities":
        yield differs("MONAI averages logits where windows overlap, this pipeline probabilities")
    if predict.window is not None and predict.placing == "even":
        yield differs("MONAI steps its windows through the image, this pipeline spaces them evenly")
    if predict.combine == "logits" and predict.brought_back == "combined" and _resamples(settings):
        yield differs("MONAI brings probabilities back to the image's grid, this pipeline logits")


def _inference(settings: Settings, network: Mapping[str, Any], transforms: tuple[Any, ...]) -> dict[str, Any]:
    loading = ({"_target_": "LoadImaged", "keys": "image"}, {"_target_": "EnsureChannelFirstd", "keys": "image"})
    typed = {"_target_": "EnsureTyped", "keys": "image"}
    loaded = {"_target_": "CheckpointLoader", "load_path": "models/model.pt", "load_dict": {"model": "@network_def"}}
    return {
        "bundle_root": ".",
        "output_dir": "eval",
        "device": "cpu",
        "datalist": [],
        "network_def": dict(network),
        "preprocessing": {"_target_": "Compose", "transforms": [*loading, *transforms, typed]},
        "dataset": {"_target_": "Dataset", "data": "@datalist", "transform": "@preprocessing"},
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1, "num_workers": 0},
        "inferer": _inferer(settings),
        "postprocessing": {"_target_": "Compose", "transforms": list(_postprocessing(settings))},
        "handlers": [loaded],
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network_def",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
            "val_handlers": "@handlers",
        },
        "run": ["$@evaluator.run()"],
    }


def _inferer(settings: Settings) -> dict[str, Any]:
    predict = settings.predict
    if predict.window is None:
        if settings.contract.slices:
            raise unsupported("contract.slices", "MONAI sees a volume slice by slice only through a window")
        return {"_target_": "SimpleInferer"}
    network = settings.network.divisor
    divisors = (network,) * len(predict.window) if isinstance(network, int) else network
    sliding = {
        "roi_size": [-(-size // n) * n for size, n in zip(predict.window, divisors, strict=True)],
        "sw_batch_size": 1,
        "overlap": predict.overlap,
        "mode": predict.weighting,
        "padding_mode": "constant" if predict.padding == "zero" else "replicate",
    }
    if settings.contract.slices:
        return {"_target_": "SliceInferer", **sliding, "spatial_dim": 2}
    return {"_target_": "SlidingWindowInferer", **sliding}


def _postprocessing(settings: Settings) -> Iterator[dict[str, Any]]:
    if settings.task == "multilabel":
        limit = settings.predict.thresholds[0] if settings.predict.thresholds else 0.5
        yield {"_target_": "Activationsd", **_PRED, "sigmoid": True}
        yield {"_target_": "AsDiscreted", **_PRED, "threshold": limit}
        return
    yield {"_target_": "Activationsd", **_PRED, "softmax": True}
    if settings.task == "classification":
        return
    back = {"transform": "@preprocessing", "orig_keys": "image", "nearest_interp": False, "to_tensor": True}
    yield {"_target_": "Invertd", **_PRED, **back}
    yield {"_target_": "AsDiscreted", **_PRED, "argmax": True}
    yield {"_target_": "SaveImaged", **_PRED, "output_dir": "@output_dir"}


def _metadata(settings: Settings, versions: Mapping[str, str]) -> dict[str, Any]:
    card, contract = settings.card, settings.contract
    named = {0: "background"} if settings.task == "segmentation" else {}
    outputs = _names([*named.values(), *(settings.labels[number] for number in sorted(settings.labels))])
    shape = _spatial_shape(settings)
    kind = "segmentation" if settings.task == "segmentation" else "probabilities"
    image = {
        "type": "image",
        "format": "magnitude",
        **({"modality": contract.modality} if contract.modality else {}),
        "num_channels": len(contract.channels),
        "spatial_shape": shape,
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": settings.predict.window is not None,
        "channel_def": _names(contract.channels),
    }
    pred = {"type": "image", "format": kind, "num_channels": settings.outputs, "spatial_shape": shape}
    more = {"dtype": "float32", "value_range": [0, 1], "is_patch_data": image["is_patch_data"], "channel_def": outputs}
    return {
        "version": settings.version,
        "changelog": {settings.version: "exported from medvision"},
        "monai_version": versions["monai"],
        "pytorch_version": versions["torch"],
        "numpy_version": versions["numpy"],
        "task": settings.description,
        "description": settings.description,
        "authors": "Not stated.",
        "copyright": "Not stated.",
        "license": card.licence,
        "data_source": card.training_data,
        "image_classes": contract.shows,
        "intended_use": card.intended_use,
        "network_data_format": {"inputs": {"image": image}, "outputs": {"pred": pred | more}},
    }


def _names(names: Any) -> dict[str, str]:
    return {str(number): name for number, name in enumerate(names)}


def _spatial_shape(settings: Settings) -> list[Any]:
    """Return the sizes that the network takes: those of the window, or words for every multiple of its divisor."""
    if settings.predict.window is not None:
        return list(settings.predict.window)
    divisor, dimensions = settings.network.divisor, settings.contract.dimensions
    each = (divisor,) * dimensions if isinstance(divisor, int) else divisor
    return [f"{n}*n" if n > 1 else "*" for n in each]


def _axes(settings: Settings) -> int:
    return 3 if settings.contract.slices else settings.contract.dimensions


def _resamples(settings: Settings) -> bool:
    return any(step.use in ("resample", "resize") for step in settings.steps)
