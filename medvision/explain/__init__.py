"""Where an answer came from: saliency maps of classes, labels, values and segmentations, and the entropy of answers.

Methods work on a network and one input tensor, and give a map on the grid of that tensor. They leave the network, its
gradients and the global random state as found. A map is a hypothesis until it has been tested, e.g. against the map of
a network with random weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated

from pydantic import Field

from medvision.explain.entropy import entropy, surprise
from medvision.explain.hirescam import HiResCam, SegHiResCam
from medvision.explain.maps import ExplainedMap
from medvision.explain.scores import Output, Region
from medvision.explain.smoothed_gradient import SmoothedGradient

Method = Annotated[HiResCam | SmoothedGradient | SegHiResCam, Field(discriminator="use")]
"""Any method; its field `use` tells which."""

SALIENCY: Mapping[str, type[HiResCam] | type[SmoothedGradient] | type[SegHiResCam]] = MappingProxyType(
    {"hirescam": HiResCam, "smoothed-gradient": SmoothedGradient, "seg-hirescam": SegHiResCam}
)
"""The methods by name; the `tasks` of a method are the kinds of network that it explains."""

__all__ = [
    "SALIENCY",
    "ExplainedMap",
    "HiResCam",
    "Method",
    "Output",
    "Region",
    "SegHiResCam",
    "SmoothedGradient",
    "entropy",
    "surprise",
]
