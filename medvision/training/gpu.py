"""What can make a training on a GPU faster: arithmetic flags, put back afterwards, and compilation, where it helps.

Whether `torch.compile` helps depends on the network, the patch, the GPU and the version; so it is measured.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from medvision.errors import Finding
from medvision.frameworks import Precision, state_of

_WORTH_STEPS = 2000  # in fewer, a training has ended before a compilation, of a minute or more, has paid for itself
_STEPS, _WARM = 8, 3  # timed, and done before; the first ones compile
_GAIN = 1.05  # that compilation must bring: less is within the noise of a clock


@dataclass(frozen=True)
class Chosen:
    """What to call for a network's outputs, and a word about it.

    Parameters
    ----------
    called
        The network, or the network compiled; both have the same weights.
    finding
        What was measured.
    """

    called: Any
    finding: Finding


@contextlib.contextmanager
def gpu_arithmetic(precision: Precision, *, deterministic: bool) -> Iterator[None]:
    """Within the block, let cuDNN try algorithms, and use TF32 only where less than fp32 was asked for.

    By torch's defaults convolutions in fp32 are done in TF32, with 10 bits in place of 23: asked for fp32, a training
    gets fp32. Without a GPU the flags do nothing.
    """
    import torch

    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32
    cudnn.benchmark = not deterministic
    cudnn.allow_tf32 = matmul.allow_tf32 = precision != "fp32"
    try:
        yield
    finally:
        cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32 = before


def fastest(
    network: Any, step: Callable[[Any], object], *, device: str, steps: int, deterministic: bool
) -> tuple[Any, tuple[Finding, ...]]:
    """Return what to call for a network's outputs, and what was measured.

    It is the network itself on a CPU, where every bit is to be the same in every run, and before too few steps.
    """
    if not device.startswith("cuda") or deterministic or steps < _WORTH_STEPS:
        return network, ()
    chosen = measured_compile(network, step, clock=synchronised_clock)
    return chosen.called, (chosen.finding,)


def measured_compile(
    network: Any,
    step: Callable[[Any], object],
    *,
    compiler: Callable[[Any], Any] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Chosen:
    """Time some steps with the network and with the network compiled, and return the faster.

    Parameters
    ----------
    network
        A ``torch.nn.Module``; its weights, buffers and gradients are left as they were.
    step
        Computes outputs and gradients by what it is given, without a step of the optimiser.
    compiler
        ``torch.compile`` where None.
    clock
        Seconds, after all work on the GPU is done; see ``torch.cuda.synchronize``.
    """
    import torch

    kept = {name: tensor.clone() for name, tensor in state_of(network).items()}
    try:
        plain = _seconds(step, network, clock)
        compiled = (compiler or torch.compile)(network)
        fast = _seconds(step, compiled, clock)
    except Exception as error:  # noqa: BLE001 - a compiler fails in many ways, and is not needed
        message = f"torch.compile failed ({type(error).__name__}): the network is used as it is"
        return Chosen(network, Finding("network-compiled", "note", message))
    finally:
        for name, tensor in state_of(network).items():
            tensor.copy_(kept[name])
        network.zero_grad(set_to_none=True)
    words = f"a step takes {1000 * plain:.1f} ms, and {1000 * fast:.1f} ms compiled"
    better = plain > _GAIN * fast
    message = f"{words}: the network is {'compiled' if better else 'used as it is'}"
    return Chosen(compiled if better else network, Finding("network-compiled", "note", message))


def synchronised_clock() -> float:
    """Return seconds, after all work on the GPU is done."""
    finish("cuda")
    return time.perf_counter()


def finish(device: str) -> None:
    """Wait until all work on a GPU is done; a CPU has done it when it is asked."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize()


def _seconds(step: Callable[[Any], object], called: Any, clock: Callable[[], float]) -> float:
    """Return the median time of some steps, after some that are not counted."""
    for _ in range(_WARM):
        step(called)
    times = []
    for _ in range(_STEPS):
        began = clock()
        step(called)
        times.append(clock() - began)
    return statistics.median(times)
