"""Classify an image, and show what spoke for the class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from medvision.errors import Finding
from medvision.pipeline import Settings
from medvision.predict import class_probabilities, to_tensor
from medvision.results import Classification, Saliency
from medvision.steps import apply, undo
from medvision.volume import Volume


@dataclass(frozen=True, eq=False)
class Classified:
    """A classification with the maps that explain it, and what was noticed."""

    classification: Classification
    saliency: tuple[Saliency, ...]
    findings: tuple[Finding, ...]


def classify(volume: Volume, settings: Settings, network: Any) -> Classified:
    """Return the probability of each class, and for the most probable one the pipeline's saliency maps."""
    prepared = apply(settings.steps, volume)
    device = next(network.parameters()).device
    image = to_tensor(prepared.voxels, dimensions=settings.contract.dimensions, device=str(device))
    values = class_probabilities(network, image, settings.predict)
    names = [settings.labels[number] for number in sorted(settings.labels)]
    result = Classification({name: float(value) for name, value in zip(names, values, strict=True)})
    target = names.index(result.predicted)
    maps = [_explain(method, prepared, image, target, volume, settings, network) for method in settings.explain]
    return Classified(result, tuple(maps), _doubts(result, settings))


def _doubts(result: Classification, settings: Settings) -> tuple[Finding, ...]:
    first, second = sorted(result.probabilities.values(), reverse=True)[:2]
    if first - second >= settings.predict.review_margin:
        return ()
    message = (
        f"the two most probable classes are {first - second:.2f} apart; {settings.predict.review_margin} is asked for"
    )
    return (Finding("probability-near-threshold", "warning", message),)


def _explain(
    method: Any, prepared: Volume, image: Any, target: int, volume: Volume, settings: Settings, network: Any
) -> Saliency:
    spacing = prepared.geometry.spacing[: settings.contract.dimensions] if volume.geometry.physical else None
    explained = method(network, image, target, spacing_mm=spacing)
    values = explained.values if settings.contract.dimensions == 3 else explained.values[..., None]
    return Saliency(
        undo(values, prepared.geometry, volume.geometry, order=1, fill=0.0),
        volume.geometry,
        method=method.use,
        target=settings.labels[target],
        parameters=dict(explained.parameters),
    )
