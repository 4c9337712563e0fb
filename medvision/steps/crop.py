"""The step `crop_foreground`: the box around the object, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from medvision.steps.foreground import foreground
from medvision.steps.values import as_float32
from medvision.strict import STRICT
from medvision.volume import Volume


@dataclass(frozen=True, config=STRICT, kw_only=True)
class CropForeground:
    """Cut the volume to the smallest box that holds its foreground, plus a margin; it never grows.

    Parameters
    ----------
    use
        The name of the step.
    threshold
        Voxels of the first channel above it are foreground, in the unit of the volume; None for all that lie above
        the smallest value of the image.
    margin_mm
        Width of what is kept around the box, in mm (in pixels for a picture), rounded up to whole voxels.

    Examples
    --------
    >>> from medvision.geometry import Geometry
    >>> voxels = np.zeros((1, 9, 9, 9))
    >>> voxels[0, 4, 4, 4] = 1
    >>> scan = Volume(voxels, Geometry.from_spacing((1, 1, 2), (9, 9, 9)))
    >>> CropForeground(margin_mm=2)(scan).geometry.shape
    (5, 5, 3)
    """

    use: Literal["crop_foreground"] = "crop_foreground"
    threshold: float | None = None
    margin_mm: Annotated[float, Field(ge=0)] = 0.0

    def __call__(self, volume: Volume) -> Volume:
        """Return the box around the foreground.

        Raises
        ------
        InputError
            There is no foreground.
        """
        inside = foreground(volume.voxels[0], self.threshold)
        lines = [np.flatnonzero(inside.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1))]
        # Less a thousandth of a voxel, so that the rounding noise of a spacing does not add one.
        margin = np.ceil(self.margin_mm / np.asarray(volume.geometry.spacing) - 1e-3).astype(int)
        start = np.maximum(0, [line[0] for line in lines] - margin)
        stop = np.minimum(volume.geometry.shape, [line[-1] + 1 for line in lines] + margin)
        cropped = volume.onto(volume.geometry.cropped(start.tolist(), stop.tolist()))
        return replace(cropped, voxels=as_float32(cropped.voxels))
