"""Optimisers: SGD with Nesterov momentum, and AdamW; which parameters decay is written here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medvision.errors import PipelineError
from medvision.training.settings import Training
from medvision.tuning import Group


def build_optimiser(settings: Training, groups: Sequence[Group]) -> Any:
    """Return the optimiser of `groups`, in their order.

    With sgd, every parameter decays, as in nnU-Net. With adamw, weights of convolutions and of linear layers decay,
    and what only shifts or scales does not: biases and norms, which have one axis, and class tokens and position
    embeddings, which have three with a first one of length 1.

    Each of the optimiser's own groups keeps a ``name`` and its ``rate``, by which :func:`set_learning_rate` multiplies.

    Raises
    ------
    PipelineError
        There is no parameter to train, or one stands in two groups.
    """
    import torch

    _require_each_once(groups)
    if settings.optimiser == "sgd":
        parts = [_part(group, group.name, group.parameters, settings.weight_decay) for group in groups]
        return torch.optim.SGD(
            [part for part in parts if part["params"]],
            settings.learning_rate,
            momentum=settings.momentum,
            nesterov=settings.momentum > 0,  # torch refuses Nesterov's step where there is no momentum
        )
    parts = []
    for group in groups:
        decaying = [parameter for parameter in group.parameters if decays(parameter)]
        others = [parameter for parameter in group.parameters if not decays(parameter)]
        parts.append(_part(group, group.name, decaying, settings.weight_decay))
        parts.append(_part(group, f"{group.name}, no decay", others, 0.0))
    return torch.optim.AdamW([part for part in parts if part["params"]], settings.learning_rate)


def set_learning_rate(optimiser: Any, rate: float) -> None:
    """Set the learning rate of each group: `rate` by the group's own factor."""
    for part in optimiser.param_groups:
        part["lr"] = rate * part["rate"]


def decays(parameter: Any) -> bool:
    """Whether AdamW's decay is for this parameter; see :func:`build_optimiser`."""
    return bool(parameter.ndim > 1 and not (parameter.ndim == 3 and len(parameter) == 1))


def _part(group: Group, name: str, parameters: Sequence[Any], decay: float) -> Mapping[str, Any]:
    return {"name": name, "rate": group.rate, "params": list(parameters), "weight_decay": decay}


def _require_each_once(groups: Sequence[Group]) -> None:
    numbers = [id(parameter) for group in groups for parameter in group.parameters]
    if not numbers:
        raise PipelineError("pipeline-invalid", "no parameter of the network is to be trained")
    if len(set(numbers)) != len(numbers):
        raise PipelineError("pipeline-invalid", "a parameter of the network stands in two groups, or twice in one")
