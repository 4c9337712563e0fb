"""What a method gives back: the map on the network's input grid, and all that is needed to make it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.errors import UsageError


@dataclass(frozen=True, eq=False)
class ExplainedMap:
    """A saliency map as a method made it: on the grid of the network's input, not yet on that of the scan.

    Parameters
    ----------
    values
        (I, J[, K]) float32, at least 0 and finite; made read-only. Relative values, never stretched to a range: a map
        of zeros says that nothing was found, and stays a map of zeros.
    parameters
        JSON values: the score that was explained, and what the method chose (layer, size of a cell, seed, ...).

    Raises
    ------
    UsageError
        The values are not finite, e.g. because an activation overflowed.
    """

    values: NDArray[np.float32]
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        values = np.asarray(self.values, dtype=np.float32).view()
        if not np.isfinite(values).all():
            raise UsageError("not-explainable", "the map holds values that are not finite")
        values.flags.writeable = False
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))
