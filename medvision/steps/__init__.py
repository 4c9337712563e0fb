"""What is done to an image before the network sees it: one frozen dataclass a step, called with a volume.

Steps never change their input, give float32 values, and keep world coordinates: the geometry of what they return says
where its voxels lie. The fields of a step are its settings, in Python as in a ``pipeline.toml``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated

from pydantic import Field

from medvision.steps.channelwise import Normalise
from medvision.steps.clip import Clip, Window
from medvision.steps.crop import CropForeground
from medvision.steps.nonzero import CropNonzero
from medvision.steps.normalise import Percentile, Rescale, ZScore
from medvision.steps.pad import Pad
from medvision.steps.reorient import Reorient
from medvision.steps.resample import Resample, Resize
from medvision.steps.resample_apart import Orders, ResampleApart
from medvision.steps.sequence import BORDERS, SPATIAL, apply, apply_to_labels, grid_after, orders_back, undo
from medvision.steps.standardise import Standardise, ZScoreNonzero
from medvision.steps.transpose import Transpose
from medvision.steps.values import as_float32

Step = Annotated[
    Reorient
    | Resample
    | Resize
    | CropForeground
    | Pad
    | Clip
    | Window
    | Rescale
    | ZScore
    | ZScoreNonzero
    | Standardise
    | Percentile
    | Normalise
    | CropNonzero
    | ResampleApart
    | Transpose,
    Field(discriminator="use"),
]
"""Any step; its field `use` tells which."""

STEPS: Mapping[str, type] = MappingProxyType(
    {
        step.use: step
        for step in (
            Reorient,
            Resample,
            Resize,
            CropForeground,
            Pad,
            Clip,
            Window,
            Rescale,
            ZScore,
            ZScoreNonzero,
            Standardise,
            Percentile,
            Normalise,
            CropNonzero,
            ResampleApart,
            Transpose,
        )
    }
)
"""The steps by name."""

__all__ = [
    "BORDERS",
    "SPATIAL",
    "STEPS",
    "Clip",
    "CropForeground",
    "CropNonzero",
    "Normalise",
    "Orders",
    "Pad",
    "Percentile",
    "Reorient",
    "Resample",
    "ResampleApart",
    "Rescale",
    "Resize",
    "Standardise",
    "Step",
    "Transpose",
    "Window",
    "ZScore",
    "ZScoreNonzero",
    "apply",
    "apply_to_labels",
    "as_float32",
    "grid_after",
    "orders_back",
    "undo",
]
