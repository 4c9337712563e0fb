"""One engine tried on real inputs: what it says, how long it takes, and how much memory."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from medvision.engines.cache import Cache
from medvision.engines.choice import Memory
from medvision.engines.memory import forget_peak, peak_bytes, resident_bytes
from medvision.engines.onnx_cpu import OnnxEngine
from medvision.engines.openvino_cpu import OpenVinoEngine
from medvision.engines.protocol import Array, Engine, Model
from medvision.engines.table import open_engine
from medvision.engines.torch_cpu import TorchEngine
from medvision.frameworks import state_of

_ROUNDS = 3
_SPARE = 10  # rounds for which there must be time: a further one of a slow engine would keep others from being tried
_HOPELESS = 2.0  # times as slow for the first input as the fastest so far: not worth a round
_CLOSE = 1.3  # times as slow in a round: worth another, in which it may be faster


@dataclass(frozen=True)
class Trial:
    """What an engine did with the inputs.

    Parameters
    ----------
    outputs
        Of the inputs in their order; of the first alone where it was stopped after that.
    alone
        Seconds for the first input by itself.
    seconds
        For an input, with as many computed at once as there are threads: the least of a few rounds. None where it was
        stopped after the first input, being much slower than another.
    memory
        What the engine takes, beyond what the process took before.
    """

    outputs: tuple[Array, ...]
    alone: float
    seconds: float | None
    memory: Memory


def try_engine(
    name: str,
    model: Model,
    inputs: Sequence[Array],
    *,
    threads: int,
    cache: Cache,
    best: Trial | None,
    seconds_left: Callable[[], float],
) -> Trial:
    """Try an engine on inputs; one that is much slower than the `best` so far on the first of them alone.

    Raises
    ------
    MedvisionError
        The engine cannot run, or cannot take the network.
    """
    _prepare(open_engine(name, model, cache=cache), inputs[0])  # what conversions take is not what later runs take
    told, before = forget_peak(), resident_bytes()
    engine = open_engine(name, model, threads=threads, cache=cache)
    _prepare(engine, inputs[0])
    opening = _with_weights(engine, _since(before, told=told))
    told = forget_peak()
    alone, outputs = _timed(engine, inputs[:1])
    first = _since(before, told=told)
    if best is not None and alone > _HOPELESS * best.alone:
        return Trial(tuple(outputs), alone, None, Memory(opening, _with_weights(engine, first), None))
    full = _filled(inputs, threads)
    told = forget_peak()
    took, more = _timed(engine, full)
    kept = outputs[0].nbytes * (1 + len(full) - threads)  # held here for the comparison, and by nobody in a run
    further = _further(first, _since(before, told=told), kept, threads)
    seconds = _least(engine, full[:threads], took / len(full), best, seconds_left)
    memory = Memory(opening, _with_weights(engine, first), further)
    return Trial((*outputs, *more[: len(inputs) - 1]), alone, seconds, memory)


def _prepare(engine: Engine, values: Array) -> None:
    if isinstance(engine, OpenVinoEngine | OnnxEngine):
        engine.prepare(values)


def _timed(engine: Engine, inputs: Sequence[Array]) -> tuple[float, list[Array]]:
    began = time.perf_counter()
    outputs = list(engine.over(inputs))
    return time.perf_counter() - began, outputs


def _filled(inputs: Sequence[Array], threads: int) -> list[Array]:
    """Return all inputs but the first, and so many once more that every thread has as many of them.

    >>> _filled([0, 1, 2, 3], 2)  # numbers in place of inputs
    [1, 2, 3, 0]
    """
    rest = list(inputs[1:])
    wanted = max(1, -(-len(rest) // threads)) * threads
    return rest + list(itertools.islice(itertools.cycle(inputs), wanted - len(rest)))


def _least(
    engine: Engine, inputs: Sequence[Array], seconds: float, best: Trial | None, seconds_left: Callable[[], float]
) -> float:
    """Return the least time for an input, of the round before and of more, where they can matter and time is left."""
    for _ in range(_ROUNDS - 1):
        rival = None if best is None else best.seconds
        slow = rival is not None and seconds > _CLOSE * rival
        if slow or seconds_left() < _SPARE * seconds * len(inputs):
            break
        seconds = min(seconds, _timed(engine, inputs)[0] / len(inputs))
    return seconds


def _since(before: int | None, *, told: bool) -> int | None:
    """Return by how much the peak lies above what was held before; None where the system does not tell."""
    peak = peak_bytes() if told else None
    return None if peak is None or before is None else max(0, peak - before)


def _further(first: int | None, all_at_once: int | None, kept: int, threads: int) -> int | None:
    """Return the memory of each further input; of one thread, as much as the first takes: it cannot be more."""
    if first is None or all_at_once is None or threads == 1:
        return first
    return max(0, all_at_once - kept - first) // (threads - 1)


def _with_weights(engine: Engine, taken: int | None) -> int | None:
    """Return the memory of an engine with its weights: those of torch were there before the first measurement."""
    if taken is None or not isinstance(engine, TorchEngine):
        return taken
    return taken + sum(int(tensor.nbytes) for tensor in state_of(engine.network).values())
