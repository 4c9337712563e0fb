"""The segments of a DICOM SEG object, on one grid: masks, fractions, or labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from medvision.errors import InputError
from medvision.geometry import Geometry
from medvision.io.dicom.frame import Frame
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
    frame_of_reference
        The UID of the coordinates that the file's positions are of: to be compared, never shown or written.
    series
        The UIDs of the series that it refers to, likewise.
    """

    kind: Kind
    names: Mapping[int, str]
    frames: NDArray[Any]
    numbers: tuple[int, ...]
    placement: Placement
    frame_of_reference: str | None = field(default=None, repr=False)
    series: frozenset[str] = field(default=frozenset(), repr=False)

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

    def check_of(self, images: Sequence[Frame]) -> None:
        """Refuse segments that are of none of `images`, as far as both sides state what they are of.

        An equal grid is no proof: scanners give every patient the same one. Segments of an image share its frame of
        reference (PS3.3, C.7.4.1) and refer to its series (C.12.2).

        Parameters
        ----------
        images
            A frame of each image that they may belong to.

        Raises
        ------
        InputError
            ``label-of-another``.
        """
        places = {image.frame_of_reference for image in images} - {None}
        if self.frame_of_reference is not None and places and self.frame_of_reference not in places:
            raise InputError("label-of-another", "its Frame of Reference UID is not that of the image")
        series = {image.series for image in images} - {None}
        if self.series and series and self.series.isdisjoint(series):
            raise InputError("label-of-another", "it refers to another series than the image (Referenced Series)")

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
