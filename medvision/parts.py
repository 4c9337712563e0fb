"""What the parts of a network are for: its stages from stem to head, which encode the image, which answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from medvision.errors import PipelineError

Part = Literal["encoder", "decoder", "head"]
Stages = tuple[tuple[str, tuple[str, ...]], ...]
"""The stages of a network from stem to head: the name of each, and the names of its modules with all below them."""


@dataclass(frozen=True)
class Parts:
    """The parts of a network, told by the names of its modules and tensors.

    Parameters
    ----------
    stages
        All parameters, from stem to head. The last stage is the head: it gives the answer, one row for each of the
        task's classes.
    encoding
        How many stages, from the stem, are the encoder: what can be taken over from another task.
    image
        The tensors whose second axis is the channels of the image.
    positions
        The tensor (1, positions, features) that tells a transformer where a patch lies; None where there is none.

    Raises
    ------
    PipelineError
        The encoder would hold the head, or there is no stage.

    Examples
    --------
    >>> stages = (("stem", ("stem",)), ("stage", ("stage1",)), ("up", ("up",)), ("head", ("fc",)))
    >>> parts = Parts(stages, encoding=2, image=("stem.weight",))
    >>> parts.of("stage1.conv.weight"), parts.of("fc.bias"), parts.of("up.weight")
    ('encoder', 'head', 'decoder')
    >>> parts.head
    ('fc.',)
    """

    stages: Stages
    encoding: int
    image: tuple[str, ...] = ()
    positions: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.encoding < len(self.stages):
            message = f"of {len(self.stages)} stages, {self.encoding} cannot be the encoder: the last one is the head"
            raise PipelineError("pipeline-invalid", message)

    def of(self, name: str) -> Part:
        """Return the part that a tensor belongs to, by its name."""
        number = stage_of(name, self.stages)
        if number == len(self.stages) - 1:
            return "head"
        return "encoder" if number is not None and number < self.encoding else "decoder"

    @property
    def head(self) -> tuple[str, ...]:
        """What the names of the head's tensors begin with."""
        return tuple(f"{module}." for module in self.stages[-1][1])


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
