"""A pipeline's network made ready for cases: an engine for its answers, and the module itself where a map needs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from medvision.engines import Engine
from medvision.engines.torch_cpu import TorchEngine


@dataclass(frozen=True)
class ReadyNetwork:
    """A network that is asked about images.

    Parameters
    ----------
    engine
        What gives its answers.
    load
        Returns the network in torch, in evaluation mode; called once, and only where a saliency map is made.
    compared
        How the engine was compared with torch in fp32, for the record; empty where it was not.
    """

    engine: Engine
    load: Callable[[], Any]
    compared: Mapping[str, Any] = field(default_factory=dict)

    @property
    def device(self) -> str:
        """Where the network is: ``"cpu"`` or ``"cuda"``."""
        return "cuda" if self.engine.name.startswith("cuda") else "cpu"

    @classmethod
    def in_torch(cls, network: Any) -> ReadyNetwork:
        """Return a network that torch computes in fp32, on the processor."""
        return cls(TorchEngine(network), lambda: network)

    @cached_property
    def module(self) -> Any:
        """The network in torch."""
        return self.load()
