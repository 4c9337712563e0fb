"""medvision: from a folder of scans to a report, for segmentation and classification, never silently wrong.

>>> import medvision as mv
>>> sorted(mv.__all__)  # doctest: +NORMALIZE_WHITESPACE
['Case', 'Geometry', 'Labels', 'MedvisionError', 'Pipeline', 'Reading', 'Volume', '__version__', 'check', 'convert',
 'deidentify', 'demo', 'doctor', 'load', 'plan', 'pretrain', 'scan', 'train']
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medvision.errors import MedvisionError as MedvisionError
    from medvision.geometry import Geometry as Geometry
    from medvision.io import load as load
    from medvision.io import scan as scan
    from medvision.study import Case as Case
    from medvision.study import Reading as Reading
    from medvision.volume import Labels as Labels
    from medvision.volume import Volume as Volume
    from medvision.workflows.calls import check as check
    from medvision.workflows.calls import convert as convert
    from medvision.workflows.calls import deidentify as deidentify
    from medvision.workflows.calls import plan as plan
    from medvision.workflows.demo import demo as demo
    from medvision.workflows.doctor import doctor as doctor
    from medvision.workflows.pipeline import Pipeline as Pipeline
    from medvision.workflows.pipeline import pretrain_by_name as pretrain  # noqa: F401 - the public name `pretrain`
    from medvision.workflows.pipeline import train_by_name as train  # noqa: F401 - the public name `train`

__version__ = "0.1.0"

# Where each public name lives. They are imported when first asked for, so that `import medvision` costs nothing.
_HOMES = {
    "Case": "medvision.study:Case",
    "Geometry": "medvision.geometry:Geometry",
    "Labels": "medvision.volume:Labels",
    "MedvisionError": "medvision.errors:MedvisionError",
    "Pipeline": "medvision.workflows.pipeline:Pipeline",
    "Reading": "medvision.study:Reading",
    "Volume": "medvision.volume:Volume",
    "check": "medvision.workflows.calls:check",
    "convert": "medvision.workflows.calls:convert",
    "deidentify": "medvision.workflows.calls:deidentify",
    "demo": "medvision.workflows.demo:demo",
    "doctor": "medvision.workflows.doctor:doctor",
    "load": "medvision.io:load",
    "plan": "medvision.workflows.calls:plan",
    "pretrain": "medvision.workflows.pipeline:pretrain_by_name",
    "scan": "medvision.io:scan",
    "train": "medvision.workflows.pipeline:train_by_name",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'medvision' has no attribute {name!r}")
    module, member = _HOMES[name].split(":")
    return getattr(import_module(module), member)


def __dir__() -> list[str]:
    return sorted(__all__)
