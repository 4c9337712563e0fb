"""The step `reorient`: voxels stored in a fixed order of the body's axes."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import AfterValidator
from pydantic.dataclasses import dataclass

from medvision.errors import GeometryError
from medvision.geometry import Geometry, parse_orientation
from medvision.steps.values import as_float32
from medvision.strict import STRICT
from medvision.volume import Volume


def _valid(orientation: str) -> str:
    parse_orientation(orientation)
    return orientation


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Reorient:
    """Store the voxels along the body's axes: flips and swaps of axes only, no value is computed anew.

    An oblique volume keeps its obliqueness; each of its axes takes the nearest direction.

    Parameters
    ----------
    use
        The name of the step.
    orientation
        Where i, j and k point to, as three letters of R/L, A/P and S/I.

    Examples
    --------
    >>> import numpy as np
    >>> from medvision.geometry import Geometry
    >>> scan = Volume(np.zeros((1, 4, 5, 6)), Geometry.from_spacing((1, 1, 2), (4, 5, 6)))
    >>> Reorient(orientation="SPL")(scan).geometry.shape
    (6, 5, 4)
    """

    use: Literal["reorient"] = "reorient"
    orientation: Annotated[str, AfterValidator(_valid)] = "RAS"

    def __call__(self, volume: Volume) -> Volume:
        """Return the volume in the axis order of the settings.

        Raises
        ------
        GeometryError
            The volume is a picture, which states no orientation.
        """
        moved = volume.onto(self.grid(volume.geometry))
        return replace(moved, voxels=as_float32(moved.voxels))

    def grid(self, geometry: Geometry) -> Geometry:
        """Return the grid that the step leads to; GeometryError for that of a picture."""
        if not geometry.physical:
            raise GeometryError(
                "bad-geometry", "this picture states no orientation", cure="Leave out the step `reorient`."
            )
        return geometry.reoriented(self.orientation)
