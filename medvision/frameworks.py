"""torch and MONAI, imported late and without side effects; where networks run, and in which precision."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.metadata
import platform
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from medvision.errors import UsageError

Precision = Literal["fp32", "bf16"]

_BEYOND_NETWORKS = (
    *("matplotlib", "matplotlib.pyplot", "nibabel", "pandas", "PIL", "pydicom", "sklearn", "tensorboard"),
    # Apart from their packages, which a process may have needed already.
    *("scipy", "scipy.interpolate", "scipy.linalg", "scipy.optimize", "scipy.signal", "scipy.sparse.linalg"),
    *("scipy.spatial", "scipy.stats", "skimage", "skimage.measure", "skimage.morphology"),
)
_VERSIONED = ("torch", "monai", "numpy", "scipy", "scikit-image", "nibabel", "pydicom", "pillow", "isal")


def monai_module(name: str) -> Any:
    """Return e.g. ``monai.networks.nets``.

    Importing MONAI takes seconds, replaces ``warnings.showwarning`` and warns about its own use of other packages;
    the caller's warning machinery is left as it was found.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(f"monai.{name}")


def import_monai_for_networks() -> None:
    """Import MONAI as if what its networks do not need were not installed: a tenth of the time.

    For a process of our own, that does nothing but run networks: the rest of MONAI stays without these packages there.
    They can be imported as ever afterwards, by all others.
    """
    hidden = [name for name in _BEYOND_NETWORKS if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: an import says that there is none
    try:
        monai_module("networks.nets")
    finally:
        for name in hidden:
            del sys.modules[name]


def choose_device(wanted: str = "auto") -> str:
    """Return ``"cuda"`` or ``"cpu"``; ``"auto"`` takes a GPU where there is one.

    Raises
    ------
    UsageError
        A GPU is asked for and none can be used, or the word is unknown.
    """
    import torch

    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cpu" or (wanted == "cuda" and torch.cuda.is_available()):
        return wanted
    raise UsageError("usage", f"device {wanted!r} cannot be used here", cure="Choose auto, cpu, or cuda on a GPU.")


def training_precision(wanted: str, device: str) -> Precision:
    """Return the precision to train in; ``"auto"`` is bf16 on a GPU or a processor that computes in it, else fp32."""
    if wanted == "auto":
        return "bf16" if _computes_in_bf16(device) else "fp32"
    return "bf16" if wanted == "bf16" else "fp32"


def _computes_in_bf16(device: str) -> bool:
    if device == "cpu":
        return bool(processor_features() & {"avx512_bf16", "amx_bf16"})
    import torch

    return bool(torch.cuda.get_device_capability() >= (8, 0))  # Ampere; older ones emulate it


def processor_features() -> set[str]:
    """Return which of the instruction sets that matter to networks the processor has (Linux; else none)."""
    matter = {"avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_tile", "amx_bf16", "amx_int8"}
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return set()
    return matter & set(text.split())


def processor() -> str:
    """Return which processor this is, as far as it is told (Linux), and what it can do that matters to networks."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        stated = [
            line.split(":", 1)[1].strip() for line in lines if line.startswith(("model", "cpu family", "stepping"))
        ]
        return " ".join([platform.machine(), *dict.fromkeys(stated), *sorted(processor_features())])
    return platform.machine()


@contextlib.contextmanager
def autocast(device: str, precision: Precision) -> Iterator[None]:
    """Run the block in `precision` where torch holds it safe."""
    import torch

    with torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bf16"):
        yield


@contextlib.contextmanager
def deterministic_algorithms(wanted: bool = True) -> Iterator[None]:
    """Within the block, use only algorithms that give the same bits in every run; as it was, where not `wanted`.

    On a GPU, operations that have no such algorithm warn and are done all the same.
    """
    import torch

    before = torch.are_deterministic_algorithms_enabled()
    before_warning = torch.is_deterministic_algorithms_warn_only_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory
    if wanted:
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # costs time, and helps to find faults alone
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=before_warning)
        torch.utils.deterministic.fill_uninitialized_memory = filled


@contextlib.contextmanager
def small_convolutions_in_fp32(network: Any) -> Iterator[None]:
    """Within the block, let a convolution whose input has a side shorter than its kernel compute in fp32.

    In bf16 on a CPU, part of such a convolution's weight gradient is memory that nothing has written: values up to
    1e38, NaN at times, other ones in every run (PyTorch 2.13 with oneDNN on AVX-512 BF16, any memory format). Clipped
    by their norm, these gradients would spoil a training without a word.
    """
    from torch import nn

    parts = [part for part in network.modules() if isinstance(part, nn.Conv2d | nn.Conv3d)]
    for part in parts:
        part.forward = _careful(part)
    try:
        yield
    finally:
        for part in parts:
            del part.forward


def _careful(convolution: Any) -> Callable[[Any], Any]:
    import torch

    plain = convolution.forward

    def forward(image: Any) -> Any:
        if all(side >= kernel for side, kernel in zip(image.shape[2:], convolution.kernel_size, strict=True)):
            return plain(image)
        with torch.autocast(image.device.type, enabled=False):
            return plain(image.float())

    return forward


def state_of(network: Any) -> dict[str, Any]:
    """Return the network's parameters and buffers by name, each once; they are the network's own, not copies.

    ``state_dict`` names tensors that two modules share twice, as those of MONAI's ``DynUNet``.
    """
    found: dict[str, Any] = {}
    seen = set()
    for name, tensor in network.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            found[name] = tensor.detach()
    return found


def set_state(network: Any, state: Mapping[str, Any]) -> None:
    """Copy the values of `state` into the network; see :func:`state_of`.

    Raises
    ------
    ValueError
        Names or shapes are not those of the network.
    """
    own = state_of(network)
    wanted = {name: tuple(tensor.shape) for name, tensor in own.items()}
    given = {name: tuple(tensor.shape) for name, tensor in state.items()}
    if wanted != given:
        odd = sorted(name for name in wanted.keys() | given.keys() if wanted.get(name) != given.get(name))
        raise ValueError(f"{len(odd)} of {len(wanted)} tensors do not fit the network, first: {odd[0]}")
    for name, tensor in own.items():
        tensor.copy_(state[name])


def versions() -> Mapping[str, str]:
    """Return the versions of medvision, of Python and of the packages that a result depends on, or "absent"."""
    found = {"medvision": version_of("medvision-toolkit"), "python": platform.python_version()}
    return found | {name: version_of(name) for name in _VERSIONED}


@functools.cache  # looked up for every case
def version_of(name: str) -> str:
    """Return the version of an installed distribution, or "absent"; it is not imported."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "absent"
