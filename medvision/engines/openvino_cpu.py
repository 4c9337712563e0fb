"""OpenVINO on the processor: the fastest engine there on most networks."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, final

import numpy as np

from medvision.engines.ahead import in_order
from medvision.engines.cache import NOTHING_KEPT, Cache
from medvision.engines.convert import Ir, to_openvino
from medvision.engines.protocol import Array, Model
from medvision.engines.quiet import openvino_module
from medvision.engines.recent import Recent, Shape
from medvision.frameworks import Precision

_HINTS = {"fp32": "f32", "bf16": "bf16"}
_SHAPES = 4


@final
@dataclass(frozen=True)
class OpenVinoEngine:
    """A network computed by OpenVINO on the processor; see :class:`medvision.engines.Engine`.

    Each input is one request of one thread, and several requests run at once: the bits of an output would depend on
    the number of threads of a request. A model is compiled for each shape of inputs, and for the last four of them
    kept.

    Parameters
    ----------
    model
        The network; it is built where the cache does not have its model for a shape.
    precision
        ``"bf16"`` needs a processor that computes in it: on others OpenVINO would take fp32 without a word.
    threads
        How many inputs are computed at once.
    cache
        Where converted and compiled models are kept.
    """

    model: Model
    precision: Precision = "fp32"
    threads: int = 1
    cache: Cache = NOTHING_KEPT
    _compiled: Recent[_Requests] = field(default_factory=lambda: Recent(_SHAPES), init=False, repr=False)

    @property
    def name(self) -> str:
        """``"openvino-fp32"`` or ``"openvino-bf16"``."""
        return f"openvino-{self.precision}"

    def over(self, inputs: Iterable[Array]) -> Iterator[Array]:
        """Yield what the network says of each input; see :meth:`medvision.engines.Engine.over`."""
        # Models are made here, in the caller's thread: a conversion sets filters of warnings, which all threads share.
        work = ((self._requests(values), values) for values in inputs)
        return in_order(lambda each: each[0].answer(each[1]), work, self.threads)

    def prepare(self, values: Array) -> None:
        """Make the model for inputs of a shape, without computing one."""
        self._requests(values)

    def _requests(self, values: Array) -> _Requests:
        return self._compiled.of(values.shape, lambda: _Requests.of(self._compile(values), self.threads))

    def _compile(self, values: Array) -> Any:
        """Return the compiled model for inputs of a shape, from the cache where it is there and can be used."""
        key = self._key("compiled", values.shape) | {"precision": self.precision}
        core, settings = openvino_module().Core(), self._settings()
        kept = self.cache.load(key)
        if kept is not None:
            try:
                return core.import_model(io.BytesIO(kept["blob"].tobytes()), "CPU", settings)
            except RuntimeError:  # whole, but of a processor or a version that OpenVINO tells from this one
                kept = None
        compiled = core.compile_model(self._ir(values).model(), "CPU", settings)
        if self.cache.keeps:
            self.cache.save(key, {"blob": np.frombuffer(_bytes(compiled.export_model()), np.uint8)})
        return compiled

    def _ir(self, values: Array) -> Ir:
        key = self._key("converted", values.shape)
        kept = self.cache.load(key)
        if kept is None:
            ir = to_openvino(self.model.build(), values)
            self.cache.save(key, {"xml": np.frombuffer(ir.xml, np.uint8), "weights": ir.weights})
            return ir
        return Ir(kept["xml"].tobytes(), kept["weights"])

    def _key(self, what: str, shape: Shape) -> dict[str, str]:
        return {"what": f"openvino {what}", "network": self.model.identity, "shape": str(shape)}

    def _settings(self) -> dict[str, Any]:
        return {
            "INFERENCE_PRECISION_HINT": _HINTS[self.precision],
            "NUM_STREAMS": str(self.threads),
            "INFERENCE_NUM_THREADS": self.threads,
            "ENABLE_CPU_PINNING": False,  # several processes would be bound to the same cores
        }


@final
@dataclass(frozen=True)
class _Requests:
    """The requests of one compiled model, each of one thread."""

    free: SimpleQueue[Any]

    @classmethod
    def of(cls, compiled: Any, count: int) -> _Requests:
        free: SimpleQueue[Any] = SimpleQueue()
        for _ in range(count):
            free.put(compiled.create_infer_request())
        return cls(free)

    def answer(self, values: Array) -> Array:
        """Return what the network says of an input (C, *spatial); waits for a free request."""
        request = self.free.get()
        try:
            request.infer({0: np.ascontiguousarray(values, np.float32)[None]}, share_inputs=True)
            return np.array(request.get_output_tensor(0).data[0], np.float32)
        finally:
            self.free.put(request)


def _bytes(exported: Any) -> bytes:
    """Return what OpenVINO gives as bytes or as a stream, by its version."""
    return bytes(exported) if isinstance(exported, bytes) else bytes(exported.getvalue())
