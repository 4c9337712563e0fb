"""Tell what this machine has, and what that means for medvision."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from medvision.frameworks import processor_features, training_precision, versions

_EXTRAS = {
    "demo": ("nilearn", "the demo's template"),
    "codecs": ("gdcm", "compressed DICOM"),
}


@dataclass(frozen=True)
class Diagnosis:
    """What a machine has.

    Parameters
    ----------
    medvision
        The installed version.
    versions
        Of Python and the packages that results depend on.
    system, processor, cores
        The operating system, the processor's kind, and how many processors this process may use.
    features
        Instruction sets that matter to networks.
    gpus
        Names of the GPUs that torch can use.
    training_precision
        What training would compute in, by default.
    memory_free_gb, disk_free_gb
        What is free; the disk is that of the current folder. None where the system does not tell.
    extras
        For each optional extra whether it is installed.
    advice
        What to do about what was found; a sentence each.
    """

    medvision: str
    versions: dict[str, str]
    system: str
    processor: str
    cores: int
    features: tuple[str, ...]
    gpus: tuple[str, ...]
    training_precision: str
    memory_free_gb: float | None
    disk_free_gb: float | None
    extras: dict[str, bool]
    advice: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the diagnosis as JSON values."""
        return {"schema": "medvision.doctor/1", **asdict(self)}


def doctor() -> Diagnosis:
    """Look at this machine; nothing is changed or sent."""
    gpus = _gpus()
    extras = {name: importlib.util.find_spec(module) is not None for name, (module, _) in _EXTRAS.items()}
    memory, disk = _free_memory_gb(), round(shutil.disk_usage(Path.cwd()).free / 1e9, 1)
    precision = training_precision("auto", "cuda" if gpus else "cpu")
    return Diagnosis(
        medvision=importlib.metadata.version("medvision-toolkit"),
        versions=dict(versions()),
        system=platform.platform(),
        processor=platform.machine(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        features=tuple(sorted(processor_features())),
        gpus=gpus,
        training_precision=precision,
        memory_free_gb=memory,
        disk_free_gb=disk,
        extras=extras,
        advice=tuple(_advice(extras, memory, disk, precision)),
    )


def _advice(extras: dict[str, bool], memory: float | None, disk: float, precision: str) -> list[str]:
    advice = [
        f"For {_EXTRAS[name][1]}: pip install 'medvision-toolkit[{name}]'"
        for name, installed in extras.items()
        if not installed
    ]
    if memory is not None and memory < 4:
        advice.append("Less than 4 GB of memory is free: large volumes may not fit.")
    if disk < 2:
        advice.append("Less than 2 GB of disk is free here: choose another place for --out.")
    if precision == "fp32":
        advice.append("This processor does not compute in bf16: training runs in fp32, about half as fast.")
    return advice


def _gpus() -> tuple[str, ...]:
    import torch

    return tuple(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count()))


def _free_memory_gb() -> float | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    free = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), None)
    return round(int(free) / 1e6, 1) if free else None
