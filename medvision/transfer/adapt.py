"""Makes a foreign tensor fit where its meaning allows it, by laws that keep what the network answers.

- **Channels.** The layer that reads the image is adapted so that the answer to an image whose channels are all equal
  stays: the kernels are summed over the source's channels, divided by the number of ours, and repeated. So a network
  of colour pictures sees a grey one as it saw grey in red, green and blue, and not at a third of the strength, which
  the mean over the channels would give; and norms after it keep their statistics.
- **From two to three dimensions.** A kernel is repeated along k and divided by how many of its weights along k an
  output sees: its depth (Carreira and Zisserman, CVPR 2017), or in a transposed convolution its depth per stride. On a
  volume that is constant along k, the answer is that to its slice.
- **Positions of patches** are interpolated from grid to grid; those of a plane are repeated along k.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, eq=False)
class Adapted:
    """A tensor that fits.

    Parameters
    ----------
    tensor
        The values.
    notes
        What was done; nothing where it fitted as it was.
    """

    tensor: Any = field(repr=False)
    notes: tuple[str, ...] = ()


def adapt_kernel(
    tensor: Any, shape: Sequence[int], *, reads_image: bool, seen_along_k: float | None = None
) -> Adapted | str:
    """Return the tensor in `shape`, or why it cannot be had in words.

    Parameters
    ----------
    tensor
        (O, I, *spatial) for a kernel; any other tensor fits as it is, or not at all.
    shape
        What is wanted.
    reads_image
        Whether its second axis is the image's channels; those of other layers never change.
    seen_along_k
        How many of its weights along k an output sees; None is all of them, as in a convolution.
    """
    wanted = tuple(shape)
    notes: list[str] = []
    if tensor.ndim == 4 and len(wanted) == 5:
        depth = wanted[-1]
        seen = depth if seen_along_k is None else seen_along_k
        tensor = tensor.unsqueeze(-1).expand(*tensor.shape, depth) / seen
        notes.append(f"repeated {depth} times along k and divided by {seen:g}")
    if reads_image and tensor.ndim == len(wanted) >= 4 and tensor.shape[1] != wanted[1]:
        notes.append(f"{tensor.shape[1]} channels summed" + (f", shared by {wanted[1]}" if wanted[1] > 1 else ""))
        tensor = tensor.sum(1, keepdim=True).expand(-1, wanted[1], *tensor.shape[2:]) / wanted[1]
    if tuple(tensor.shape) == wanted:
        return Adapted(tensor, tuple(notes))
    return _difference(tuple(tensor.shape), wanted)


def adapt_positions(tensor: Any, count: int, *, source_dimensions: int, grid: Sequence[int]) -> Adapted | str:
    """Return (1, patches, D) embeddings of a square or cubic grid on `grid`, linearly interpolated.

    Parameters
    ----------
    tensor
        (1, patches, D) by i, then j, then k.
    count
        Number of positions that are wanted; their grid must have as many.
    source_dimensions
        Of the source's grid, whose sides are equal.
    grid
        The wanted number of patches along each axis.
    """
    from torch.nn.functional import interpolate

    if math.prod(grid) != count:
        return f"the grid of the {count} positions is not known"
    side = round(tensor.shape[1] ** (1 / source_dimensions))
    if side**source_dimensions != tensor.shape[1]:
        return f"{tensor.shape[1]} positions are no grid with {source_dimensions} equal sides"
    if source_dimensions > len(grid):
        return "positions in a volume do not fit those in a plane"
    plane = tuple(grid[:source_dimensions])
    same = plane == (side,) * source_dimensions
    image = tensor.float().transpose(1, 2).reshape(1, -1, *(side,) * source_dimensions)
    mode = "bilinear" if source_dimensions == 2 else "trilinear"
    image = image if same else interpolate(image, size=plane, mode=mode, align_corners=False)
    notes = [] if same else [f"positions interpolated from {'x'.join([str(side)] * source_dimensions)}"]
    if len(grid) > source_dimensions:
        image = image.unsqueeze(-1).expand(*image.shape, grid[-1])
        notes.append(f"repeated {grid[-1]} times along k")
    return Adapted(image.reshape(1, image.shape[1], -1).transpose(1, 2), tuple(notes))


def _difference(came: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    if len(came) == len(wanted) >= 4 and came[:2] == wanted[:2]:
        return f"kernels of {_sides(came[2:])}, and {_sides(wanted[2:])} are wanted"
    if len(came) == 5 and len(wanted) == 4:
        return "kernels of a volume for a network of pictures"
    if came == wanted[::-1]:
        return "the shape fits when transposed, which is never guessed"
    return "another shape"


def _sides(sides: Sequence[int]) -> str:
    return "x".join(map(str, sides))
