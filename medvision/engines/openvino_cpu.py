"""OpenVINO on the processor: the fastest engine there on most networks."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from queue import SimpleQueue
from typing import Any, Literal, final

import numpy as np

from medvision.engines.ahead import in_order
from medvision.engines.cache import NOTHING_KEPT, Cache
from medvision.engines.convert import Ir, example_of, to_int8, to_openvino
from medvision.engines.protocol import Array, Calibration, Model
from medvision.engines.quiet import openvino_module
from medvision.engines.recent import Recent, Shape
from medvision.errors import PipelineError, UsageError

_HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}  # what is not done in int8 is done in fp32
_SHAPES = 4
UNCALIBRATED = "the pipeline has no images by which int8 is calibrated"


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
        ``"bf16"`` needs a processor that computes in it: on others OpenVINO would take fp32 without a word. ``"int8"``
        needs a model with a calibration, and is for inputs of its shape.
    threads
        How many inputs are computed at once.
    cache
        Where converted and compiled models are kept.

    Raises
    ------
    UsageError
        ``engine-unavailable``: the model has no calibration for int8.
    """

    model: Model
    precision: Literal["fp32", "bf16", "int8"] = "fp32"
    threads: int = 1
    cache: Cache = NOTHING_KEPT
    _compiled: Recent[_Requests] = field(default_factory=lambda: Recent(_SHAPES), init=False, repr=False)

    def __post_init__(self) -> None:
        if self.precision == "int8" and self.model.calibration is None:
            raise UsageError("engine-unavailable", f"the engine {self.name} cannot run here: {UNCALIBRATED}")

    @property
    def name(self) -> str:
        """``"openvino-fp32"``, ``"openvino-bf16"`` or ``"openvino-int8"``."""
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
        if self.model.calibration is None or self.precision != "int8":
            key = self._key("converted", values.shape)
            return self._kept(key, lambda: to_openvino(self.model.build(), example_of(values.shape)))
        return self._kept(self._key("in int8", values.shape), partial(self._in_int8, values, self.model.calibration))

    def _in_int8(self, values: Array, calibration: Calibration) -> Ir:
        inputs = calibration.inputs()
        if {each.shape for each in inputs} != {values.shape}:
            message = f"int8 is calibrated for inputs of another shape than {values.shape}"
            raise PipelineError("not-convertible", message, cure="Choose another engine.")
        return to_int8(replace(self, precision="fp32")._ir(values), inputs)

    def _kept(self, key: dict[str, str], make: Callable[[], Ir]) -> Ir:
        kept = self.cache.load(key)
        if kept is not None:
            return Ir(kept["xml"].tobytes(), kept["weights"])
        ir = make()
        self.cache.save(key, {"xml": np.frombuffer(ir.xml, np.uint8), "weights": ir.weights})
        return ir

    def _key(self, what: str, shape: Shape) -> dict[str, str]:
        key = {"what": f"openvino {what}", "network": self.model.identity, "shape": str(shape)}
        calibration = self.model.calibration if self.precision == "int8" else None
        return key if calibration is None else key | {"calibration": calibration.identity}

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
