"""ONNX Runtime on the processor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np

from medvision.engines.ahead import in_order
from medvision.engines.cache import NOTHING_KEPT, Cache
from medvision.engines.convert import example_of, to_onnx
from medvision.engines.protocol import Array, Model
from medvision.engines.quiet import onnxruntime_module
from medvision.engines.recent import Recent

_SHAPES = 4


@final
@dataclass(frozen=True)
class OnnxEngine:
    """A network computed by ONNX Runtime on the processor, in fp32; see :class:`medvision.engines.Engine`.

    Each input is computed by one thread. A model is converted for each shape of inputs, and for the last four of them
    kept.

    Parameters
    ----------
    model
        The network; it is built where the cache does not have its model for a shape.
    threads
        How many inputs are computed at once.
    cache
        Where converted models are kept.
    """

    model: Model
    threads: int = 1
    cache: Cache = NOTHING_KEPT
    _sessions: Recent[Any] = field(default_factory=lambda: Recent(_SHAPES), init=False, repr=False)

    @property
    def name(self) -> str:
        """``"onnx-fp32"``."""
        return "onnx-fp32"

    def over(self, inputs: Iterable[Array]) -> Iterator[Array]:
        """Yield what the network says of each input; see :meth:`medvision.engines.Engine.over`."""
        work = ((self._session(values), values) for values in inputs)
        return in_order(_answer, work, self.threads)

    def prepare(self, values: Array) -> None:
        """Make the model for inputs of a shape, without computing one."""
        self._session(values)

    def _session(self, values: Array) -> Any:
        return self._sessions.of(values.shape, lambda: self._opened(values))

    def _opened(self, values: Array) -> Any:
        onnxruntime = onnxruntime_module()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # a run is computed by the thread that asks
        options.log_severity_level = 3  # errors alone
        return onnxruntime.InferenceSession(self._file(values), options, providers=["CPUExecutionProvider"])

    def _file(self, values: Array) -> bytes:
        key = {"what": "onnx", "network": self.model.identity, "shape": str(values.shape)}
        kept = self.cache.load(key)
        if kept is not None:
            return kept["file"].tobytes()
        made = to_onnx(self.model.build(), example_of(values.shape))
        self.cache.save(key, {"file": np.frombuffer(made, np.uint8)})
        return made


def _answer(work: tuple[Any, Array]) -> Array:
    session, values = work
    found = session.run(None, {"image": np.ascontiguousarray(values, np.float32)[None]})
    return np.array(found[0][0], np.float32)
