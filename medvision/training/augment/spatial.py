"""Samples moved in space: mirrored exactly, and turned, scaled, shifted and deformed in one go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from medvision.training.augment.variation import Variation

CELLS = 4
"""Cells between the knots of a deformation, along each axis."""
KNOTS = CELLS + 3
"""Knots along each axis: a cubic B-spline reaches one beyond the first cell and two beyond the last's start."""

_PLANES = ((1, 2), (0, 2), (0, 1))
"""The axes that a rotation about axis 0, 1, 2 mixes."""


def move(variation: Variation, images: Any, labels: Any | None) -> None:
    """Change images, linearly interpolated, and their labels, by nearest neighbour, in place.

    Beyond its edge an image goes on with the edge's values, and so do its labels: a structure that the border cuts is
    not taught to end there.

    Parameters
    ----------
    images
        (B, C, *spatial) float32, contiguous.
    labels
        (B, *spatial) of any integer type, or None.
    """
    from torch.nn import functional

    for axis, chosen in enumerate(variation.mirrored.unbind(1)):
        rows = _numbers(chosen, images)
        if len(rows):
            for tensor, first in ((images, 2), (labels, 1)):
                if tensor is not None:
                    tensor[rows] = tensor[rows].flip(first + axis)
    moved = _moved(variation)
    rows = _numbers(moved, images)
    if not len(rows):
        return
    grid = sampling_grid(variation[moved], images.shape[2:], images.device)
    images[rows] = functional.grid_sample(images[rows], grid, padding_mode="border", align_corners=False)
    if labels is not None:
        floats = labels[rows].unsqueeze(1).float()  # exact up to 2^24
        nearest = functional.grid_sample(floats, grid, mode="nearest", padding_mode="border", align_corners=False)
        labels[rows] = nearest.squeeze(1).to(labels.dtype)


def affine_matrices(angles: Any, zoom: Any, shifts: Any, sides: Sequence[float]) -> Any:
    """Return matrices as ``affine_grid`` takes them, whose axes run last first and from -1 to 1 whatever their length.

    Parameters
    ----------
    angles
        (B, 3) in radians, about axes 0, 1 and 2; of those of a picture only the last counts.
    zoom
        (B, d) factors by which things grow along the output's axes.
    shifts
        (B, d) shares of the side by which the output looks further on.
    sides
        d lengths in a unit that all share.
    """
    import torch

    lengths = torch.tensor(sides, dtype=torch.float32)
    linear = _rotations(angles, len(sides)) / zoom.unsqueeze(1)
    scaled = linear * lengths.reshape(1, 1, -1) / lengths.reshape(1, -1, 1)
    return torch.cat([scaled.flip((1, 2)), 2 * shifts.flip(1).unsqueeze(-1)], dim=2)


def sampling_grid(variation: Variation, shape: Sequence[int], device: Any) -> Any:
    """Return where in the input each output voxel is looked up: (B, *shape, d), normalised, last axis first."""
    import torch

    dimensions = len(shape)
    matrices = variation.matrices.to(device)
    grid = torch.empty(len(matrices), *shape, dimensions, device=device)
    places = [_places(size, device).reshape(-1, *[1] * (number)) for number, size in enumerate(reversed(shape))]
    numbers = matrices.reshape(*matrices.shape, *[1] * dimensions)
    for row in range(dimensions):
        # All but the last sum are of planes or lines: only it has the size of the whole.
        parts = [numbers[:, row, column] * place for column, place in enumerate(places)]
        parts[-1] = parts[-1] + numbers[:, row, -1]
        torch.add(sum(parts[1:-1], parts[0]), parts[-1], out=grid[..., row])
    if variation.knots is not None:
        grid += _displacements(variation.knots.to(device), shape).flip(1).movedim(1, -1)
    return grid


def _numbers(chosen: Any, images: Any) -> Any:
    """Return the numbers of the chosen rows, on the images' device."""
    return chosen.nonzero().squeeze(1).to(images.device)


def _moved(variation: Variation) -> Any:
    """Return (B,) whether a sample must be looked up anew."""
    import torch

    dimensions = variation.mirrored.shape[1]
    moved = (variation.matrices != torch.eye(dimensions, dimensions + 1)).flatten(1).any(1)
    if variation.knots is None:
        return moved
    return moved | (variation.knots != 0).flatten(1).any(1)


def _rotations(angles: Any, dimensions: int) -> Any:
    """Return (B, d, d) rotation matrices: about axis 2 first, then 1, then 0."""
    import torch

    total = torch.eye(3).repeat(len(angles), 1, 1)
    for (a, b), angle in zip(_PLANES, angles.unbind(1), strict=True):
        turn = torch.eye(3).repeat(len(angles), 1, 1)
        turn[:, a, a] = turn[:, b, b] = angle.cos()
        turn[:, a, b] = -angle.sin()
        turn[:, b, a] = angle.sin()
        total = total @ turn
    return total[:, :dimensions, :dimensions]


def _places(size: int, device: Any) -> Any:
    """Return the normalised coordinates of the voxels' centres along an axis."""
    import torch

    return (2 * torch.arange(size, device=device) + 1) / size - 1


def _displacements(knots: Any, shape: Sequence[int]) -> Any:
    """Return (B, d, *shape) displacements in normalised coordinates: the spline's value at every voxel."""
    import torch

    field = knots * (2 / CELLS)
    for size in shape:
        # Each product takes the first axis of knots away, and adds one of voxels at the end.
        field = torch.tensordot(field, _spline(size, knots.device), dims=([2], [0]))
    return field


def _spline(size: int, device: Any) -> Any:
    """Return (KNOTS, size): what each knot counts at each voxel of an axis."""
    import torch

    places = (_places(size, device) + 1) * (CELLS / 2)
    away = (places - torch.arange(-1, KNOTS - 1, device=device).unsqueeze(1)).abs()
    near = 2 / 3 - away**2 + away**3 / 2
    return torch.where(away < 1, near, (2 - away).clamp_min(0) ** 3 / 6)
