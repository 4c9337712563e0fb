"""torch on a GPU."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np

from medvision.engines.protocol import Array
from medvision.engines.torch_cpu import array_of, refuse_training, tensor_of

BATCH = 2
"""How many windows go to the GPU at once."""


@final
@dataclass(frozen=True)
class CudaEngine:
    """A network computed by torch on a GPU; see :class:`medvision.engines.Engine`.

    Inputs of one shape that follow each other are computed together. A batch always has the same size, and is filled
    up with its last input: for another size cuDNN can take another algorithm, with other last bits.

    Parameters
    ----------
    network
        A ``torch.nn.Module`` in evaluation mode, on the CPU; what is computed with is a copy.
    precision
        ``"fp32"`` without TF32, or ``"amp"``: fp16 where torch holds it safe, with the channels last in memory.
    batch
        How many inputs are computed at once.
    device
        As torch names it.

    Raises
    ------
    ValueError
        The network is in training mode.
    """

    network: Any
    precision: Literal["fp32", "amp"] = "amp"
    batch: int = BATCH
    device: str = "cuda"

    def __post_init__(self) -> None:
        import torch

        refuse_training(self.network)
        own = copy.deepcopy(self.network).to(self.device)
        if self._channels_last:
            for tensor in own.parameters():  # of each rank its own layout: a network can hold both 2D and 3D
                if tensor.ndim in (4, 5):
                    layout = torch.channels_last if tensor.ndim == 4 else torch.channels_last_3d
                    tensor.data = tensor.data.contiguous(memory_format=layout)
        object.__setattr__(self, "network", own)

    @property
    def name(self) -> str:
        """``"cuda-fp32"`` or ``"cuda-amp"``."""
        return f"cuda-{self.precision}"

    def over(self, inputs: Iterable[Array]) -> Iterator[Array]:
        """Yield what the network says of each input; see :meth:`medvision.engines.Engine.over`."""
        for group in batches(inputs, self.batch):
            yield from self._answers(group)

    @property
    def _channels_last(self) -> bool:
        return self.precision == "amp"

    def _answers(self, group: Sequence[Array]) -> list[Array]:
        import torch

        full = [*group, *[group[-1]] * (self.batch - len(group))]
        images = torch.cat([tensor_of(values, channels_last=self._channels_last) for values in full])
        kind = self.device.partition(":")[0]
        with torch.inference_mode(), _exact(), torch.autocast(kind, enabled=self.precision == "amp"):
            outputs = self.network(images.to(self.device))
        found = array_of(outputs[: len(group)])
        return [np.ascontiguousarray(each) for each in found]


def batches(inputs: Iterable[Array], size: int) -> Iterator[list[Array]]:
    """Yield groups of up to `size` inputs of one shape that follow each other.

    Examples
    --------
    >>> [len(group) for group in batches([np.zeros(side, np.float32) for side in (4, 4, 4, 8)], 2)]
    [2, 1, 1]
    """
    group: list[Array] = []
    for each in inputs:
        if group and (len(group) == size or group[-1].shape != each.shape):
            yield group
            group = []
        group.append(each)
    if group:
        yield group


@contextlib.contextmanager
def _exact() -> Iterator[None]:
    """Within the block, compute fp32 as fp32, by algorithms that are the same in every run."""
    import torch

    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32, matmul.allow_tf32
    cudnn.benchmark, cudnn.deterministic = False, True
    cudnn.allow_tf32 = matmul.allow_tf32 = False
    try:
        yield
    finally:
        cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32, matmul.allow_tf32 = before
