"""What a trained network says of the cases held out, beside the truth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.evaluate import dice
from medvision.geometry import Geometry
from medvision.pipeline import Settings
from medvision.predict import whole
from medvision.training import Validation
from medvision.volume import Labels
from medvision.workflows.cases.classify import answered
from medvision.workflows.scoring.scores import Scored, deciding, estimates, scored_answer
from medvision.workflows.training_data.prepare import PreparedCase


def score(network: Any, held_out: Sequence[PreparedCase], settings: Settings) -> list[Scored]:
    """Return what the network says of each held-out case, on the network's grid, beside the truth.

    The network is left in evaluation mode.
    """
    network.eval()
    return [_scored(network, prepared, settings) for prepared in held_out]


def validation(scored: Sequence[Scored], settings: Settings) -> Validation:
    """Return the figures of a validation, and the one that decides: ``scores.deciding``."""
    found = estimates(scored, seed=None).items()
    figures = {name: estimate.value for name, estimate in found if estimate.value is not None}
    return Validation(deciding(figures, settings), figures)


def _scored(network: Any, prepared: PreparedCase, settings: Settings) -> Scored:
    case, sample = prepared.case, prepared.sample
    dimensions, names = settings.contract.dimensions, dict(settings.labels)
    voxels, truth = sample.part(tuple(slice(0, size) for size in sample.shape))
    voxels = voxels[..., None] if len(sample.shape) == 2 else voxels
    over = partial(_over, network)
    if settings.task != "segmentation":
        return scored_answer(case, answered(over, voxels, settings), settings)
    divisor = settings.network.divisor
    winner = whole(over, voxels, settings.predict, dimensions=dimensions, divisor=divisor).argmax(0)
    return Scored(case.id, case.patient_key, dice=_dice(winner, np.asarray(truth).reshape(winner.shape), names))


def _over(network: Any, inputs: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """Yield what a network says of each input, where it is being trained and with all of torch's threads."""
    import torch

    device = next(network.parameters()).device
    for values in inputs:
        with torch.inference_mode():
            yield network(torch.from_numpy(values)[None].to(device))[0].float().cpu().numpy()


def _dice(winner: NDArray[Any], truth: NDArray[Any], names: Mapping[int, str]) -> dict[str, float | None]:
    i, j, k = winner.shape
    grid = Geometry(np.eye(4), (i, j, k), physical=False)
    return dice(Labels(winner, grid, names), Labels(truth, grid, names))
