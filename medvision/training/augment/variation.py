"""The parameters of a variation: a value."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any


@dataclass(frozen=True, eq=False)
class Variation:
    """Everything by which a batch of B samples of C channels and d spatial axes is varied.

    All tensors are on the CPU and have B rows. Where C stands, 1 serves all channels alike.

    Parameters
    ----------
    mirrored
        (B, d) bool: the axes that are mirrored, before all else.
    matrices
        (B, d, d + 1) float32: from normalised output to normalised input coordinates, last axis first, as
        ``torch.nn.functional.affine_grid`` takes them without aligned corners.
    knots
        (B, d, 7, ..., 7) float32: displacement of the knots of a cubic B-spline along each axis, first axis first, in
        units of their distance, a quarter of the side; None where nothing is deformed.
    noise
        (B,) float32: standard deviation; 0 for none.
    seeds
        (B,) int64: of the noise.
    blur
        (B, C, d) float32: standard deviation in voxels along each axis; 0 for none.
    brightness, contrast
        (B, C) float32: factors of the values, and of their distance to the mean.
    low_resolution
        (B, C) float32: the share of each axis' voxels that is left, above 0 to 1.
    gamma_inverted, gamma
        (B, C) float32: exponents, on values turned over and on values as they are.
    erased
        (B, d, 2) float32: start and length of a box, as shares of each side; a length of 0 for none.
    keeps_range
        Whether values stay in their channel's range when the contrast changes.
    keeps_statistics
        Whether gamma leaves each channel's mean and standard deviation.
    """

    mirrored: Any
    matrices: Any
    knots: Any | None
    noise: Any
    seeds: Any
    blur: Any
    brightness: Any
    contrast: Any
    low_resolution: Any
    gamma_inverted: Any
    gamma: Any
    erased: Any
    keeps_range: bool = True
    keeps_statistics: bool = True

    @classmethod
    def still(cls, batch: int, dimensions: int) -> Variation:
        """Return the one that changes nothing."""
        import torch

        one = torch.ones(batch, 1)
        return cls(
            mirrored=torch.zeros(batch, dimensions, dtype=torch.bool),
            matrices=torch.eye(dimensions, dimensions + 1).repeat(batch, 1, 1),
            knots=None,
            noise=torch.zeros(batch),
            seeds=torch.zeros(batch, dtype=torch.int64),
            blur=torch.zeros(batch, 1, dimensions),
            brightness=one,
            contrast=one,
            low_resolution=one,
            gamma_inverted=one,
            gamma=one,
            erased=torch.zeros(batch, dimensions, 2),
        )

    def __len__(self) -> int:
        return len(self.noise)

    def __getitem__(self, rows: Any) -> Variation:
        """Return the variation of some samples alone.

        Parameters
        ----------
        rows
            A number, a slice, or a list or tensor of numbers or of B truth values.
        """
        import torch

        chosen = torch.arange(len(self))[rows].reshape(-1)
        tensors = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: each[chosen] for name, each in tensors.items() if torch.is_tensor(each)})
