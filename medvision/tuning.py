"""How a network is tuned: which parameters are trained, how fast, and from when on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from medvision.errors import PipelineError


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


class Tuning(Protocol):
    """How a network is tuned: what a training asks of it, and what is done to the network before and after."""

    def prepare(self, network: Any, *, seed: int) -> None:
        """Change the network for the training, in place; before its parameters are asked for."""
        ...

    def groups(self, network: Any) -> Sequence[Group]:
        """Return all parameters that are trained at any time, always in the same order.

        Parameters that stay as they are from the first step to the last are in no group.
        """
        ...

    def begin_epoch(self, network: Any, share: float) -> None:
        """Set what is frozen in the epoch that begins when `share` of the training, 0 to 1, is done.

        The share never goes back, while the number of epochs is not known to a training that has a time. It is called
        after ``network.train()``, and again wherever a training goes on: what it sets depends on its arguments alone.
        A frozen module's parameters have ``requires_grad`` off, and the module is put in evaluation mode, or its norms
        would go on to gather statistics.
        """
        ...

    def finish(self, network: Any) -> None:
        """Give the network, in place, the parameters that it has without tuning; its answers stay the same."""
        ...


@dataclass(frozen=True)
class Whole:
    """The whole network is trained, from the first step on and with one learning rate."""

    def prepare(self, network: Any, *, seed: int) -> None:
        """Change nothing."""

    def groups(self, network: Any) -> Sequence[Group]:
        """Return one group with all parameters."""
        return [Group("all", tuple(network.parameters()))]

    def begin_epoch(self, network: Any, share: float) -> None:
        """Freeze nothing."""

    def finish(self, network: Any) -> None:
        """Change nothing."""
