"""torch on the processor: the reference that the other engines are compared with, and its bf16 form."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from medvision.engines.ahead import in_order
from medvision.engines.protocol import Array
from medvision.frameworks import Precision, autocast


@final
@dataclass(frozen=True)
class TorchEngine:
    """A network computed by torch on the processor; see :class:`medvision.engines.Engine`.

    Each input is computed by one thread, and several inputs by as many: of one input, torch's own threads divide sums
    otherwise for every number of them, and the last bits with it.

    Parameters
    ----------
    network
        A ``torch.nn.Module`` in evaluation mode; it is left as it is.
    precision
        ``"bf16"`` computes under autocast, with the channels last in memory. That is faster; in fp32 it is not.
    threads
        How many inputs are computed at once.

    Raises
    ------
    ValueError
        The network is in training mode.
    """

    network: Any
    precision: Precision = "fp32"
    threads: int = 1

    def __post_init__(self) -> None:
        refuse_training(self.network)

    @property
    def name(self) -> str:
        """``"torch-fp32"`` or ``"torch-bf16"``."""
        return f"torch-{self.precision}"

    def over(self, inputs: Iterable[Array]) -> Iterator[Array]:
        """Yield what the network says of each input; see :meth:`medvision.engines.Engine.over`."""
        if self.threads == 1:
            yield from in_order(self._alone, inputs, 1)
            return
        import torch

        before = torch.get_num_threads()
        try:
            # Each thread of Python has its own number of torch's threads: the caller's stays as it is.
            yield from in_order(self._answer, inputs, self.threads, at_start=lambda: torch.set_num_threads(1))
        finally:
            torch.set_num_threads(before)  # for threads that begin later, and for MKL, which knows one number for all

    def _alone(self, values: Array) -> Array:
        with one_thread():
            return self._answer(values)

    def _answer(self, values: Array) -> Array:
        import torch

        with torch.inference_mode(), autocast("cpu", self.precision):
            image = tensor_of(values, channels_last=self.precision == "bf16")
            return array_of(self.network(image)[0])


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute the block by one thread."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def refuse_training(network: Any) -> None:
    """Raise ValueError where a network is not in evaluation mode: it would drop features and learn statistics."""
    if network.training:
        raise ValueError("the network is in training mode: call its `eval`")


def tensor_of(values: Array, *, channels_last: bool) -> Any:
    """Return an input (C, *spatial) as a tensor (1, C, *spatial)."""
    import torch

    values = np.require(values, np.float32, ["C", "W"])  # torch warns of arrays that cannot be written
    image = torch.from_numpy(values)[None]
    if not channels_last or image.ndim not in (4, 5):
        return image
    return image.contiguous(memory_format=torch.channels_last if image.ndim == 4 else torch.channels_last_3d)


def array_of(output: Any) -> Array:
    """Return an output as an array of its own, float32, in C order."""
    return np.ascontiguousarray(output.float().cpu().numpy())
