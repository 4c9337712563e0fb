"""Which voxels count as the object, and what a step says when there are none."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.errors import InputError


def foreground(channel: NDArray[Any], threshold: float | None) -> NDArray[np.bool_]:
    """Return which voxels of one channel lie above `threshold`; above its smallest value where None.

    Raises
    ------
    InputError
        No voxel does: ``"constant-image"`` where all values are the same, else ``"no-foreground"``.

    Examples
    --------
    >>> foreground(np.array([0, 3, 1]), None).tolist()
    [False, True, True]
    """
    floor = float(channel.min()) if threshold is None else threshold
    require_foreground(channel, floor)
    above: NDArray[np.bool_] = channel > floor
    return above


def require_foreground(channel: NDArray[Any], floor: float) -> None:
    """Raise InputError where no voxel of a channel lies above `floor`; see :func:`foreground`."""
    if channel.max() > floor:
        return
    if channel.min() == channel.max():
        raise InputError("constant-image", "all voxels are the same: there is no foreground to find")
    raise InputError("no-foreground", f"no voxel lies above {floor:g}")
