"""Low-rank adapters: a frozen network learns by a small matrix beside each of its weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from medvision.errors import UsageError
from medvision.parts import Stages, parameters_by_stage, stage_of
from medvision.tuning import Group

_ADAPTER = ".parametrizations.weight.0."


@dataclass(frozen=True)
class LowRank:
    """Train low-rank changes of the weights of linear layers and convolutions, and the head (Hu et al., ICLR 2022).

    A weight W, seen as a matrix of its first axis by all others, becomes W + (alpha / rank) B A; B (rows, rank) starts
    at 0, so that the network starts as it is. Weights for which A and B would not be smaller than W stay frozen, and
    so do norms with their statistics, biases and embeddings. The head, which is new, is trained as a whole. At the end
    the change is added to W: what is saved is the plain network, with the same answers.

    Parameters
    ----------
    stages
        The network's stages from stem to head.
    rank
        Rank of each change.
    alpha
        Scale of each change, divided by `rank`.

    Raises
    ------
    UsageError
        `rank` or `alpha` does not lie above 0.
    """

    stages: Stages
    rank: int
    alpha: float

    def __post_init__(self) -> None:
        if self.rank < 1 or not (math.isfinite(self.alpha) and self.alpha > 0):
            raise UsageError("usage", f"rank and alpha lie above 0, got {self.rank} and {self.alpha}")

    def prepare(self, network: Any, *, seed: int) -> None:
        """Put an adapter beside each weight that it fits; A is drawn with `seed`.

        Raises
        ------
        UsageError
            There is no layer beside which an adapter of this rank would be smaller than the layer itself.
        """
        import torch
        from torch.nn.utils import parametrize

        layers = [part for part in self._layers(network) if self.rank < _least_useless(part.weight)]
        if not layers:
            raise self._misfit(network)
        generator = torch.Generator().manual_seed(seed)
        for part in layers:
            parametrize.register_parametrization(
                part, "weight", _adapter()(part.weight, self.rank, self.alpha, generator)
            )

    def groups(self, network: Any) -> list[Group]:
        """Return the adapters and the head."""
        stages = parameters_by_stage(network, self.stages)
        adapters = [part for stage in stages[:-1] for name, part in stage.items() if _ADAPTER in name]
        return [Group("adapters", tuple(adapters)), Group(self.stages[-1][0], tuple(stages[-1].values()))]

    def begin_epoch(self, network: Any, share: float) -> None:
        """Freeze all but adapters and head, the statistics of norms and dropout included."""
        head = len(self.stages) - 1
        for number, parameters in enumerate(parameters_by_stage(network, self.stages)):
            for name, parameter in parameters.items():
                parameter.requires_grad_(number == head or _ADAPTER in name)
        for name, module in network.named_modules():
            if stage_of(name, self.stages) not in (None, head):
                module.eval()

    def finish(self, network: Any) -> None:
        """Add each change to its weight, and take the adapters away."""
        from torch.nn.utils import parametrize

        for part in list(network.modules()):
            if parametrize.is_parametrized(part, "weight"):
                _merge(part)
        network.requires_grad_(True)

    def _layers(self, network: Any) -> Iterator[Any]:
        """Give the linear layers and convolutions before the head."""
        from torch import nn

        convolutions = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
        for name, part in network.named_modules():
            before_head = stage_of(name, self.stages[:-1]) is not None
            if before_head and isinstance(part, (nn.Linear, *convolutions)):
                yield part

    def _misfit(self, network: Any) -> UsageError:
        greatest = max((_least_useless(part.weight) for part in self._layers(network)), default=1) - 1
        if greatest < 1:
            words = "lora needs linear layers or convolutions before the head, and this network has none that it fits"
            return UsageError("usage", words, cure="Choose full, head, last:N, discriminative or staged.")
        words = f"adapters of rank {self.rank} are smaller than no layer of this network"
        return UsageError("usage", words, cure=f"Choose lora:r=1 to lora:r={greatest}.")


def _least_useless(weight: Any) -> int:
    """Return the least rank whose two matrices have as many numbers as the weight, or more."""
    rows = len(weight)
    columns = weight.numel() // rows
    return int(-(-rows * columns // (rows + columns)))


def _merge(part: Any) -> None:
    """Make the weight that the layer uses its own, as a plain parameter in its old place."""
    import torch

    with torch.no_grad():
        weight = part.weight
        plain = part.parametrizations.weight.original
        plain.copy_(weight)
    bias = part.bias
    # Not by torch's remove_parametrizations: it takes the weight from the class, which copies of the network share.
    part.__class__ = type(part).__bases__[0]
    del part.parametrizations
    del part.bias
    part.register_parameter("weight", plain)
    part.register_parameter("bias", bias)


@cache
def _adapter() -> Any:
    """Return the class of adapters; torch is imported where they are used."""
    import torch
    from torch import nn

    class Adapter(nn.Module):  # type: ignore[misc]  # torch is untyped here
        """The low-rank change of one weight."""

        def __init__(self, weight: Any, rank: int, alpha: float, generator: Any) -> None:
            super().__init__()
            rows = len(weight)
            columns = weight.numel() // rows
            bound = 1 / math.sqrt(columns)
            start = (torch.rand(rank, columns, generator=generator) * 2 - 1) * bound
            self.down = nn.Parameter(start.to(weight))
            self.up = nn.Parameter(torch.zeros(rows, rank).to(weight))
            self.scale = alpha / rank

        def forward(self, weight: Any) -> Any:
            """Return the weight with its change, in the weight's own precision: what is merged is what was trained."""
            with torch.autocast(weight.device.type, enabled=False):
                return weight + (self.scale * (self.up @ self.down)).reshape(weight.shape)

    return Adapter
