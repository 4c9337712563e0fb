"""The parameters of a network: its stages from stem to head, and groups that are trained equally fast."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from medvision.errors import PipelineError

Stages = tuple[tuple[str, tuple[str, ...]], ...]
"""The stages of a network from stem to head: the name of each, and the names of its modules with all below them."""


@dataclass(frozen=True, eq=False)
class Group:
    """Parameters that are trained equally fast.

    Parameters
    ----------
    name
        What they are, for tables and logs; each of a training has another name.
    parameters
        The network's own ``torch.nn.Parameter``, each in one group alone.
    rate
        The factor on the learning rate, 0 or more.

    Raises
    ------
    PipelineError
        The rate is below 0, or not finite.
    """

    name: str
    parameters: tuple[Any, ...]
    rate: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.rate) and self.rate >= 0):
            raise PipelineError("pipeline-invalid", f"the rate of {self.name!r} must be 0 or more, got {self.rate}")


def stage_of(name: str, stages: Stages) -> int | None:
    """Return the number of the stage that a module or parameter is of, from 0 at the stem; None for none.

    >>> stages = (("stem", ("conv1", "bn1")), ("head", ("fc",)))
    >>> stage_of("bn1.weight", stages), stage_of("fc", stages), stage_of("conv10.bias", stages)
    (0, 1, None)
    """
    for number, (_, modules) in enumerate(stages):
        if any(name == module or name.startswith(f"{module}.") for module in modules):
            return number
    return None


def parameters_by_stage(network: Any, stages: Stages) -> list[dict[str, Any]]:
    """Return the parameters of each stage by name, each parameter once, under its first name.

    Raises
    ------
    PipelineError
        A parameter is of no stage: it would be frozen, or trained, unseen.
    """
    found: list[dict[str, Any]] = [{} for _ in stages]
    for name, parameter in network.named_parameters():
        number = stage_of(name, stages)
        if number is None:
            raise PipelineError("pipeline-invalid", f"no stage of the network holds its parameter {name!r}")
        found[number][name] = parameter
    return found
