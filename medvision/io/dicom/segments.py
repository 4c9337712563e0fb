"""The segments of a DICOM SEG object, on one grid: masks, fractions, or labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from medvision.errors import InputError
from medvision.geometry import Geometry
from medvision.io.dicom.placing import Placement
from medvision.volume import Labels

Kind = Literal["BINARY", "FRACTIONAL", "LABELMAP"]


@dataclass(frozen=True, eq=False)
class Segments:
    """The segments of one file, on one grid.

    Parameters
    ----------
    kind
        ``"BINARY"`` and ``"LABELMAP"`` hold masks, ``"FRACTIONAL"`` a probability or an occupancy for each voxel.
    names
        The Segment Label of each Segment Number.
    frames
        (F, rows, columns): booleans, fractions from 0 to 1, or Segment Numbers, as of `kind`; made read-only.
    numbers
        The segment of each frame; 0 in a label map.
    placement
        The grid, and where the frames lie on it.
    """

    kind: Kind
    names: Mapping[int, str]
    frames: NDArray[Any]
    numbers: tuple[int, ...]
    placement: Placement

    def __post_init__(self) -> None:
        frames = self.frames.view()
        frames.flags.writeable = False
        object.__setattr__(self, "frames", frames)
        object.__setattr__(self, "names", MappingProxyType(dict(self.names)))

    @property
    def geometry(self) -> Geometry:
        """The grid of all segments."""
        return self.placement.geometry

    @property
    def is_fractional(self) -> bool:
        """Whether segments hold fractions, which are no masks before a threshold."""
        return self.kind == "FRACTIONAL"

    def mask(self, number: int) -> NDArray[np.bool_]:
        """Return (I, J, K) which voxels belong to a segment.

        Raises
        ------
        InputError
            ``bad-labels``: there is no such segment; ``unsupported``: it holds fractions.
        """
        self._require_masks()
        return self._filled(number, np.dtype(bool))

    def fractions(self, number: int) -> NDArray[np.float32]:
        """Return (I, J, K) how much of each voxel belongs to a segment, or how probably: 0 to 1.

        Raises
        ------
        InputError
            ``bad-labels``: there is no such segment.
        """
        return self._filled(number, np.dtype(np.float32))

    def labels(self) -> Labels:
        """Return one number a voxel, the Segment Number.

        Raises
        ------
        InputError
            ``segments-overlap``: a voxel belongs to two segments, which are named by their numbers; ``unsupported``:
            segments hold fractions.
        """
        self._require_masks()
        voxels = np.zeros(self.geometry.shape, dtype=np.min_scalar_type(max(self.names, default=0)))
        for number, frame, there in self._parts(voxels):
            painted = frame * voxels.dtype.type(number or 1)
            both = (painted != 0) & (there != 0) & (painted != there)
            if both.any():
                one, other = sorted((int(there[both][0]), int(painted[both][0])))
                raise InputError("segments-overlap", f"a voxel belongs to segment {one} and to segment {other}")
            np.maximum(there, painted, out=there)
        return Labels(voxels, self.geometry, self.names)

    def _require_masks(self) -> None:
        if self.is_fractional:
            text = "its segments are fractions (Segmentation Type FRACTIONAL), not masks"
            raise InputError("unsupported", text, cure="Store them as BINARY, by a threshold that you choose.")

    def _filled(self, number: int, kind: np.dtype[Any]) -> NDArray[Any]:
        if number not in self.names:
            raise InputError("bad-labels", f"there is no segment {number}; there are {sorted(self.names)}")
        voxels = np.zeros(self.geometry.shape, dtype=kind)
        for of, frame, there in self._parts(voxels):
            if of in (number, 0):
                values = frame if of else frame == number
                np.maximum(there, values.astype(kind, copy=False), out=there)
        return voxels

    def _parts(self, voxels: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any], NDArray[Any]]]:
        """Give each frame's segment, its part on the grid, and the view of `voxels` where that lies."""
        along = self.placement.along_frames(voxels)
        for n, number in enumerate(self.numbers):
            part = self.placement.part(n, self.frames.shape[1:])
            if part is not None:
                yield number, self.frames[n][part[1]], along[part[0]]
