"""What voxels hold: images (`Volume`) and whole-number masks (`Labels`), each with where they lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.errors import Finding, InputError
from medvision.files import sha256_of_bytes
from medvision.geometry import Geometry
from medvision.resampling import resample


@dataclass(frozen=True, eq=False)
class Volume:
    """An image: values in channels on a grid.

    Parameters
    ----------
    voxels
        (C, I, J, K) real numbers, all finite; made read-only. A picture has K = 1.
    geometry
        The grid of i, j, k.
    modality
        The DICOM modality, e.g. ``"MR"``; None where the file does not state it.
    unit
        The unit of the values, e.g. ``"HU"``; None where they have none or it is not known.
    findings
        What the reader noticed.

    Raises
    ------
    InputError
        The values are not four-dimensional, do not fit the grid, are not real numbers or are not finite.

    Examples
    --------
    >>> volume = Volume(np.zeros((1, 4, 4, 4)), Geometry.from_spacing((1, 1, 1), (4, 4, 4)), modality="MR")
    >>> volume.channels, volume.geometry.shape
    (1, (4, 4, 4))
    """

    voxels: NDArray[Any]
    geometry: Geometry
    modality: str | None = None
    unit: str | None = None
    findings: tuple[Finding, ...] = ()

    def __post_init__(self) -> None:
        voxels = np.asarray(self.voxels).view()
        if voxels.ndim != 4 or voxels.shape[1:] != self.geometry.shape:
            raise InputError("bad-header", f"voxels {voxels.shape} do not fit the grid (C, *{self.geometry.shape})")
        if voxels.dtype.kind not in "iuf":
            raise InputError("bad-header", f"voxels are integers or floats, got {voxels.dtype}")
        if voxels.dtype.kind == "f" and voxels.size and not np.isfinite([voxels.min(), voxels.max()]).all():
            count = int((~np.isfinite(voxels)).sum())
            raise InputError("not-finite", f"{count} of {voxels.size} voxels are NaN or infinite")
        voxels.flags.writeable = False
        object.__setattr__(self, "voxels", voxels)

    @property
    def channels(self) -> int:
        """Number of channels."""
        return int(self.voxels.shape[0])

    def digest(self) -> str:
        """Return the SHA-256 of shape and values, whatever file, axis order or number type they came in."""
        volume = self.onto(self.geometry.reoriented("RAS")) if self.geometry.physical else self
        values = np.add(volume.voxels, 0.0, dtype=np.float64)  # -0.0, which a negative slope leaves, becomes 0.0
        return sha256_of_bytes(str(values.shape).encode(), values.tobytes())

    def with_voxels(self, voxels: NDArray[Any], *, unit: str | None = None) -> Volume:
        """Return the volume with other values on the same grid; their unit is `unit`, None for none."""
        return replace(self, voxels=voxels, unit=unit)

    def onto(self, geometry: Geometry, *, order: int = 1, fill: float | None = 0.0, smooth: bool = False) -> Volume:
        """Return the volume on another grid; see :func:`medvision.resampling.resample`."""
        moved = [resample(c, self.geometry, geometry, order=order, fill=fill, smooth=smooth) for c in self.voxels]
        return replace(self, voxels=moved[0][None] if len(moved) == 1 else np.stack(moved), geometry=geometry)


UNNAMED = {number: f"label {number}" for number in range(1, 1 << 16)}
"""Names of labels that nobody has named: any number may be one."""


@dataclass(frozen=True, eq=False)
class Labels:
    """A mask: one whole number a voxel, with the names of the numbers.

    Parameters
    ----------
    voxels
        (I, J, K) integers, 0 for background; made read-only.
    geometry
        The grid of i, j, k.
    names
        The name of each number above 0.

    Raises
    ------
    InputError
        The values are not integers, do not fit the grid, or hold a number without a name.
    """

    voxels: NDArray[Any]
    geometry: Geometry
    names: Mapping[int, str]

    def __post_init__(self) -> None:
        voxels = np.asarray(self.voxels).view()
        if voxels.shape != self.geometry.shape:
            raise InputError("bad-labels", f"labels {voxels.shape} do not fit the grid {self.geometry.shape}")
        if voxels.dtype.kind not in "iu":
            raise InputError("bad-labels", f"labels are integers, got {voxels.dtype}")
        unknown = sorted(set(np.unique(voxels).tolist()) - set(self.names) - {0})
        if unknown:
            raise InputError("bad-labels", f"no name for {unknown}; there are {dict(self.names)}")
        voxels.flags.writeable = False
        object.__setattr__(self, "voxels", voxels)
        object.__setattr__(self, "names", MappingProxyType(dict(self.names)))

    def digest(self) -> str:
        """Return the SHA-256 of the labels, in one axis order like that of their image: see :meth:`Volume.digest`."""
        labels = self.onto(self.geometry.reoriented("RAS")) if self.geometry.physical else self
        return sha256_of_bytes(str(labels.voxels.shape).encode(), labels.voxels.astype(np.int64).tobytes())

    def onto(self, geometry: Geometry) -> Labels:
        """Return the labels on another grid, by nearest neighbour."""
        return replace(self, voxels=resample(self.voxels, self.geometry, geometry, order=0), geometry=geometry)
