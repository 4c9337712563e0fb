"""Which parameters of a network are trained, how fast, and from which epoch on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from medvision.parameters import Group as Group


class Tuned(Protocol):
    """How a network is tuned: the parameters in groups, and what is frozen in an epoch."""

    def groups(self, network: Any) -> Sequence[Group]:
        """Return all parameters that are trained at any time, always in the same order.

        Parameters that stay as they are from the first step to the last are in no group.
        """
        ...

    def begin_epoch(self, network: Any, epoch: int, epochs: int) -> None:
        """Set what is frozen in `epoch` (from 0) of `epochs`.

        It is called after ``network.train()``, and again wherever a training goes on: what it sets depends on its
        arguments alone. A frozen module's parameters have ``requires_grad`` off, and the module is put in evaluation
        mode, or its norms would go on to gather statistics.
        """
        ...


@dataclass(frozen=True)
class Whole:
    """The whole network is trained, from the first step on and with one learning rate."""

    def groups(self, network: Any) -> Sequence[Group]:
        """Return one group with all parameters."""
        return [Group("all", tuple(network.parameters()))]

    def begin_epoch(self, network: Any, epoch: int, epochs: int) -> None:
        """Freeze nothing."""
