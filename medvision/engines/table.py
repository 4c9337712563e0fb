"""The engines by name, and which of them can run on this machine."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from medvision.engines.cache import NOTHING_KEPT, Cache
from medvision.engines.cuda import CudaEngine
from medvision.engines.onnx_cpu import OnnxEngine
from medvision.engines.openvino_cpu import OpenVinoEngine
from medvision.engines.protocol import Engine, Model
from medvision.engines.torch_cpu import TorchEngine
from medvision.errors import ExtraMissingError, UsageError
from medvision.frameworks import processor_features, version_of

EngineName = Literal[
    "torch-fp32", "torch-bf16", "openvino-fp32", "openvino-bf16", "openvino-int8", "onnx-fp32", "cuda-fp32", "cuda-amp"
]
NAMES: tuple[EngineName, ...] = get_args(EngineName)
"""The engines. All but the first are compared with it."""

REFERENCE: EngineName = "torch-fp32"
"""The engine that the others are compared with; it is always there."""

_DEVICES = ("/dev/nvidiactl", "/dev/dxg")  # of the driver on Linux, and on Linux within Windows


@dataclass(frozen=True)
class Candidate:
    """An engine, and why it cannot run here.

    Parameters
    ----------
    name
        One of :data:`NAMES`.
    lacks
        What is missing, in words; None where it can run.
    cure
        What to do about it, where anything can be done.
    extra
        Whether what is missing is a package that an extra brings.
    """

    name: EngineName
    lacks: str | None = None
    cure: str | None = None
    extra: bool = False


def candidates() -> tuple[Candidate, ...]:
    """Return every engine, and for those that cannot run here the reason.

    Examples
    --------
    >>> candidates()[0]
    Candidate(name='torch-fp32', lacks=None, cure=None, extra=False)
    """
    return tuple(_candidate(name) for name in NAMES)


def open_engine(name: str, model: Model, *, threads: int = 1, cache: Cache = NOTHING_KEPT) -> Engine:
    """Return an engine by name.

    Parameters
    ----------
    name
        One of :data:`NAMES`.
    threads
        How many inputs are computed at once, each by one thread; on a GPU without effect.
    cache
        Where converted and compiled models are kept; see :func:`medvision.engines.user_cache`.

    Raises
    ------
    ExtraMissingError
        A package is missing.
    UsageError
        ``engine-unavailable``: this machine cannot run it; ``usage``: there is no engine of that name.
    """
    return _BUILDERS[require(name)](model, threads, cache)


def require(name: str) -> EngineName:
    """Return the name of an engine that can run here; raises as :func:`open_engine` does."""
    found = next((candidate for candidate in candidates() if candidate.name == name), None)
    if found is None:
        raise UsageError("usage", f"there is no engine {name!r}", cure=f"Choose auto or one of {', '.join(NAMES)}.")
    if found.extra:
        raise ExtraMissingError("extra-missing", f"the engine {name} needs a package: {found.lacks}", cure=found.cure)
    if found.lacks is not None:
        raise UsageError("engine-unavailable", f"the engine {name} cannot run here: {found.lacks}", cure=found.cure)
    return found.name


def versions_of(name: str) -> dict[str, str]:
    """Return the versions of the packages that an engine's results depend on, beyond torch.

    >>> versions_of("torch-fp32")
    {}
    """
    family, _, precision = name.partition("-")
    return {package: version_of(package) for part in (family, precision) for package in _PACKAGES.get(part, {})}


def _candidate(name: EngineName) -> Candidate:
    family, _, precision = name.partition("-")
    if precision == "bf16" and not processor_features() & {"avx512_bf16", "amx_bf16"}:
        return Candidate(name, "the processor does not compute in bf16")
    if family == "cuda" and not _has_cuda():
        return Candidate(name, "there is no GPU that torch can use")
    if precision == "int8" and not processor_features() & {"avx512_vnni", "amx_int8"}:
        return Candidate(name, "the processor does not compute in int8")
    for package, extra in {**_PACKAGES.get(family, {}), **_PACKAGES.get(precision, {})}.items():
        if importlib.util.find_spec(package) is None:
            return Candidate(
                name, f"{package} is not installed", f"pip install 'medvision-toolkit[{extra}]'", extra=True
            )
    return Candidate(name)


def _has_cuda() -> bool:
    if not any(Path(device).exists() for device in _DEVICES):
        return False  # torch, which takes seconds to import, is not asked
    import torch

    return bool(torch.cuda.is_available())


_PACKAGES: Mapping[str, Mapping[str, str]] = {
    "openvino": {"openvino": "openvino"},
    "int8": {"nncf": "int8"},
    "onnx": {"onnxruntime": "onnx", "onnx": "onnx", "onnxscript": "onnx"},
}
"""What a family or a precision needs beyond torch, and the extra that brings it."""

_BUILDERS: Mapping[EngineName, Callable[[Model, int, Cache], Engine]] = {
    "torch-fp32": lambda model, threads, _: TorchEngine(model.build(), "fp32", threads),
    "torch-bf16": lambda model, threads, _: TorchEngine(model.build(), "bf16", threads),
    "openvino-fp32": lambda model, threads, cache: OpenVinoEngine(model, "fp32", threads, cache),
    "openvino-bf16": lambda model, threads, cache: OpenVinoEngine(model, "bf16", threads, cache),
    "openvino-int8": lambda model, threads, cache: OpenVinoEngine(model, "int8", threads, cache),
    "onnx-fp32": OnnxEngine,
    "cuda-fp32": lambda model, *_: CudaEngine(model.build(), "fp32"),
    "cuda-amp": lambda model, *_: CudaEngine(model.build(), "amp"),
}
