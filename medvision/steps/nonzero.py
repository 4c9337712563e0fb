"""The step `crop_nonzero`, and which voxels belong to an object around which everything was set to 0."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from medvision.errors import InputError
from medvision.strict import STRICT
from medvision.volume import Volume


@dataclass(frozen=True, config=STRICT, kw_only=True)
class CropNonzero:
    """Cut the volume to the smallest box that holds all voxels that are not 0 in some channel, as nnU-Net does.

    Values are neither copied nor converted.

    Parameters
    ----------
    use
        The name of the step.

    Examples
    --------
    >>> from medvision.geometry import Geometry
    >>> voxels = np.zeros((2, 9, 9, 9))
    >>> voxels[0, 4, 4, 4] = voxels[1, 2, 4, 4] = -1
    >>> CropNonzero()(Volume(voxels, Geometry.from_spacing((1, 1, 2), (9, 9, 9)))).geometry.shape
    (3, 1, 1)
    """

    use: Literal["crop_nonzero"] = "crop_nonzero"

    def __call__(self, volume: Volume) -> Volume:
        """Return the box around what is not 0.

        Raises
        ------
        InputError
            ``"constant-image"``: everything is 0.
        """
        spans = []
        for axis in (1, 2, 3):
            there = np.flatnonzero(volume.voxels.any(axis=tuple(other for other in range(4) if other != axis)))
            if not there.size:
                raise InputError("constant-image", "all voxels are 0: there is no object to crop to")
            spans.append((int(there[0]), int(there[-1]) + 1))
        box = tuple(slice(*span) for span in spans)
        grid = volume.geometry.cropped(*zip(*spans, strict=True))
        return replace(volume, voxels=volume.voxels[(slice(None), *box)], geometry=grid)


def object_of(voxels: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which voxels (I, J, K) of an image (C, I, J, K) are not 0 in some channel, or enclosed by such.

    >>> object_of(np.array([[[[1, 1, 1], [1, 0, 1], [1, 1, 1]]]])).all()
    np.False_
    """
    from scipy import ndimage

    return np.asarray(ndimage.binary_fill_holes(voxels.any(axis=0)))
