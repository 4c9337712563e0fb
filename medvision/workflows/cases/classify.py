"""Say of an image as a whole its class, its labels or its values, and show what spoke for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.errors import Finding
from medvision.explain import Output
from medvision.pipeline import Settings
from medvision.predict import Over, class_probabilities, label_probabilities, standardised_values, to_tensor
from medvision.results import Classification, MultiLabel, Regression, Saliency, Value
from medvision.steps import apply, undo
from medvision.volume import Volume
from medvision.workflows.cases.network import ReadyNetwork
from medvision.workflows.cases.saliency import explained_by

Answer = Classification | MultiLabel | Regression
_MOST_EXPLAINED = 3  # of the labels that are taken for present


@dataclass(frozen=True, eq=False)
class Classified:
    """What is said of an image as a whole, with the maps that explain it, and what was noticed."""

    answer: Answer
    saliency: tuple[Saliency, ...]
    findings: tuple[Finding, ...]


def classify(volume: Volume, settings: Settings, network: ReadyNetwork) -> Classified:
    """Return the answer for a volume, and the pipeline's saliency maps.

    Explained are the most probable class; of several labels that can hold at once the three most probable of those
    taken for present, or where there is none the most probable one; every value of a regression.
    """
    prepared = apply(settings.steps, volume)
    answer = answered(network.engine.over, prepared.voxels, settings)
    maps = [
        _explain(method, prepared, target, volume, settings, network.module)
        for method in settings.explain
        for target in _targets(answer)
    ]
    return Classified(answer, tuple(maps), doubts(answer, settings))


def answered(over: Over, voxels: NDArray[np.float32], settings: Settings) -> Answer:
    """Return what a network says of prepared voxels (C, I, J, K), by the pipeline's task and its labels.

    Raises
    ------
    InputError
        The network gives no finite number for this image.
    """
    names = [settings.labels[number] for number in sorted(settings.labels)]
    image = voxels if settings.contract.dimensions == 3 else voxels[..., 0]
    if settings.task == "regression":
        outputs = standardised_values(over, image, settings.predict)
        return Regression(
            tuple(
                Value(name, quantity.value(float(output)), quantity.unit, quantity.known)
                for name, quantity, output in zip(names, settings.regression, outputs, strict=True)
            )
        )
    if settings.task == "multilabel":
        chances = map(float, label_probabilities(over, image, settings.predict))
        return MultiLabel(dict(zip(names, chances, strict=True)), thresholds_of(settings))
    values = class_probabilities(over, image, settings.predict)
    return Classification({name: float(value) for name, value in zip(names, values, strict=True)})


def thresholds_of(settings: Settings) -> dict[str, float]:
    """Return from which probability on each label of a multilabel pipeline is taken for present, by name."""
    stated = settings.predict.thresholds or (0.5,) * len(settings.labels)
    return {
        settings.labels[number]: threshold for number, threshold in zip(sorted(settings.labels), stated, strict=True)
    }


def doubts(answer: Answer, settings: Settings) -> tuple[Finding, ...]:
    """Return what speaks for having a person look: answers near to their turning point, values never seen."""
    margin = settings.predict.review_margin
    if isinstance(answer, Regression):
        return tuple(_unseen(value) for value in answer.values if not value.is_known)
    if isinstance(answer, MultiLabel):
        distances = {name: abs(value - answer.thresholds[name]) for name, value in answer.probabilities.items()}
        near = [name for name, distance in distances.items() if distance < margin / 2]
        if not near:
            return ()
        message = f"the probability of {' and of '.join(near)} is less than {margin / 2:g} from the threshold"
        return (Finding("probability-near-threshold", "warning", message),)
    first, second = sorted(answer.probabilities.values(), reverse=True)[:2]
    if first - second >= margin:
        return ()
    message = f"the two most probable classes are {first - second:.2f} apart; {margin} is asked for"
    return (Finding("probability-near-threshold", "warning", message),)


def _unseen(value: Value) -> Finding:
    low, high = value.known or (value.value, value.value)
    unit = "" if value.unit == "1" else f" {value.unit}"
    message = f"{value.name} is {value.value:.4g}{unit}; {low:.4g} to {high:.4g}{unit} is known from the training"
    return Finding("value-outside-training", "warning", message)


def _targets(answer: Answer) -> list[int | Output]:
    """Return the numbers of the outputs that are explained, each as the question that it answers."""
    if isinstance(answer, Regression):
        return [Output(number) for number in range(len(answer.values))]
    names = list(answer.probabilities)
    if isinstance(answer, MultiLabel):
        ranked = sorted(names, key=lambda name: -answer.probabilities[name])
        found = [name for name in ranked if name in answer.positives]
        return [Output(names.index(name)) for name in (found or ranked[:1])[:_MOST_EXPLAINED]]
    return [names.index(answer.predicted)]


def _explain(
    method: Any,
    prepared: Volume,
    target: int | Output,
    volume: Volume,
    settings: Settings,
    network: Any,
) -> Saliency:
    spacing = prepared.geometry.spacing[: settings.contract.dimensions] if volume.geometry.physical else None
    axes, device = settings.predict.mirror_axes, str(next(network.parameters()).device)
    image = to_tensor(prepared.voxels, dimensions=settings.contract.dimensions, device=device)
    explained = explained_by(method, network, image, target, spacing_mm=spacing, mirror_axes=axes)
    values = explained.values if settings.contract.dimensions == 3 else explained.values[..., None]
    return Saliency(
        undo(values, prepared.geometry, volume.geometry, order=1, fill=0.0),
        volume.geometry,
        method=method.use,
        target=settings.labels[target.number if isinstance(target, Output) else target],
        parameters=dict(explained.parameters),
    )
