"""The map of one method for one image, of a single network or of an ensemble."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from medvision.explain import ExplainedMap, Method
from medvision.networks import members_of


def explained_by(
    method: Method, network: Any, image: Any, target: Any, *, spacing_mm: Sequence[float] | None
) -> ExplainedMap:
    """Return the map of a method; of an ensemble the mean over its members.

    A layer speaks for its own member alone, so that each member is explained by itself. What the method chose (layer,
    size of a cell) is the same for all, since they are built alike; ``score`` is the mean of theirs, and ``members``
    their number.

    Parameters
    ----------
    image
        (1, C, I, J[, K]), on the network's device.
    target
        What is explained, as the method wants it.
    spacing_mm
        Of the voxels of `image`; None for a picture.

    Raises
    ------
    UsageError
        The method does not fit the network.
    """
    maps = [method(member, image, target, spacing_mm=spacing_mm) for member in members_of(network)]
    if len(maps) == 1:
        return maps[0]
    score = float(np.mean([each.parameters["score"] for each in maps]))
    parameters = {**maps[0].parameters, "score": score, "members": len(maps)}
    return replace(maps[0], values=np.mean([each.values for each in maps], axis=0), parameters=parameters)
