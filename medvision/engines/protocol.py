"""What an engine is, and what it is given: a network that it can build, and a name for exactly that network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from medvision.answers import Task

Array = NDArray[np.float32]


class Engine(Protocol):
    """Computes a network's outputs; the bits of each depend on its input alone.

    They depend neither on the other inputs nor on how many are computed at once, nor on the number of threads.
    """

    @property
    def name(self) -> str:
        """One of :data:`medvision.engines.NAMES`."""
        ...

    def over(self, inputs: Iterable[Array]) -> Iterator[Array]:
        """Yield what the network says of each input, in their order.

        Parameters
        ----------
        inputs
            Each (C, *spatial); they are taken one by one, a few ahead of the output that is waited for, and left as
            they are. They can differ in their spatial shape; an engine that needs a compilation for each shape keeps a
            few of them.

        Yields
        ------
        (K, *spatial) or (K,), float32: logits, or values of a regression.
        """
        ...


@dataclass(frozen=True)
class Calibration:
    """Real inputs by which the ranges of int8 are set.

    They belong to the network, as its weights do: were they the images of a run, the result of one would depend on the
    others.

    Parameters
    ----------
    inputs
        Returns them, each (C, *spatial), all of the one shape that the engine is then for. It is called only where the
        cache has nothing that was made of them.
    identity
        What tells them from others, e.g. the SHA-256 of their file.
    """

    inputs: Callable[[], Sequence[Array]]
    identity: str


@dataclass(frozen=True)
class Model:
    """A network as engines take it.

    Parameters
    ----------
    build
        Returns the network, a ``torch.nn.Module`` from (1, C, *spatial) to (1, K, *spatial) or (1, K), on the CPU, in
        fp32, in evaluation mode. It is called only by engines that need it: what is in the cache needs neither torch
        nor the network.
    identity
        What tells this network from every other, e.g. the SHA-256 of its weights and of its settings. The cache goes
        by it.
    task
        What the network is asked; agreement between engines is measured by it.
    calibration
        What an engine in int8 needs; without it, there is none.
    """

    build: Callable[[], Any]
    identity: str
    task: Task
    calibration: Calibration | None = None
