"""What a trained network says of the cases held out, beside the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.evaluate import dice
from medvision.geometry import Geometry
from medvision.pipeline import Settings
from medvision.predict import class_probabilities, from_tensor, to_tensor, voxel_probabilities
from medvision.training import Validation
from medvision.volume import Labels
from medvision.workflows.prepare import PreparedCase
from medvision.workflows.scores import Scored, estimates


def score(network: Any, held_out: Sequence[PreparedCase], settings: Settings) -> list[Scored]:
    """Return what the network says of each held-out case, on the network's grid, beside the truth.

    The network is left in evaluation mode.
    """
    network.eval()
    return [_scored(network, prepared, settings) for prepared in held_out]


def validation(scored: Sequence[Scored], settings: Settings) -> Validation:
    """Return the figures of a validation, and the one that decides: mean Dice or AUC."""
    found = estimates(scored, seed=None).items()
    figures = {name: estimate.value for name, estimate in found if estimate.value is not None}
    return Validation(figures.get("mean Dice" if settings.task == "segmentation" else "AUC", 0.0), figures)


def _scored(network: Any, prepared: PreparedCase, settings: Settings) -> Scored:
    case, sample = prepared.case, prepared.sample
    dimensions, names = settings.contract.dimensions, dict(settings.labels)
    voxels, truth = sample.part(tuple(slice(0, size) for size in sample.shape))
    device = str(next(network.parameters()).device)
    image = to_tensor(voxels[..., None] if dimensions == 2 else voxels, dimensions=dimensions, device=device)
    patient = case.patient if case.patient is not None else case.id
    if isinstance(sample.whole, int):
        values = class_probabilities(network, image, settings.predict)
        chances = {names[number]: float(values[number]) for number in names}
        return Scored(case.id, patient, probabilities=chances, truth=names[sample.whole])
    found = voxel_probabilities(network, image, settings.predict, divisor=settings.network.divisor)
    winner = from_tensor(found, dimensions=dimensions).argmax(0)
    return Scored(case.id, patient, dice=_dice(winner, np.asarray(truth).reshape(winner.shape), names))


def _dice(winner: NDArray[Any], truth: NDArray[Any], names: Mapping[int, str]) -> dict[str, float | None]:
    i, j, k = winner.shape
    grid = Geometry(np.eye(4), (i, j, k), physical=False)
    return dice(Labels(winner, grid, names), Labels(truth, grid, names))
