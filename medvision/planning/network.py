"""Which network, and how large."""

from __future__ import annotations

from dataclasses import dataclass

from medvision.fingerprint import Fingerprint
from medvision.planning.decision import Decision, Request
from medvision.planning.grid import Grid
from medvision.planning.patch import MOST_CHANNELS, Sampling, width_of
from medvision.report.wording import many

SMALL_SIDE = 64
"""Longest side up to which a classifier has one block a stage, in voxels: few layers see all of a small image."""

FINE_STEM = 48
"""Shortest side below which the first convolution keeps every voxel (He et al., CVPR 2016, on pictures of 32)."""

POOLED_STEM = 128
"""Shortest side from which the stem is the original's: stride 2, and pooling; its last maps have a 32nd of the side."""

WIDTHS = ((500, 16), (10_000, 32), (None, 64))
"""Feature maps of a classifier's first stage up to a number of cases, in 2D. Those of the first cxr-pneumonia and of
ResNet-18; a wide network learns few cases by heart."""

LEAST_BATCH = 4
MOST_BATCH = 128
CASES_A_PLACE = 16
"""A step of a classifier sees so many cases at least and at most, and at most one case in so many: a pass has as many
steps."""

BYTES = 60
"""What a training step of a small resnet keeps: bytes for each voxel behind the stem and feature map there."""

MOST_BLOCKS_CASES = 1000
"""Cases from which a classifier of larger images has the two blocks a stage of ResNet-18."""


@dataclass(frozen=True)
class Classifier:
    """A classifier's batch and settings."""

    batch: int
    decisions: tuple[Decision, ...]


def segmenter(sampling: Sampling) -> tuple[Decision, ...]:
    """Return the U-Net that goes with the patches."""
    topology, dimensions = sampling.topology, len(sampling.patch)
    stages, most = len(topology.kernels), MOST_CHANNELS[dimensions]
    sides = " x ".join(str(side // n) for side, n in zip(sampling.patch, topology.divisor, strict=True))
    found = [
        Decision("network.use", "dynunet", "A segmentation: the U-Net of nnU-Net, with residual blocks."),
        Decision(
            "network.channels",
            list(width_of(stages, dimensions)),
            f"{stages} stages, down to {sides} voxels; each has twice the feature maps of the last, at most {most}.",
        ),
    ]
    if not topology.isotropic:
        why = "Voxels are longer along one axis, or there are few of them: it is halved once the others are as coarse."
        found.append(Decision("network.strides", [list(row) for row in topology.strides], why))
        why = "The same axis is looked along once the others are as coarse."
        found.append(Decision("network.kernels", [list(row) for row in topology.kernels], why))
    return tuple(found)


def classifier(data: Fingerprint, grid: Grid, request: Request) -> Classifier:
    """Return the residual network for whole images, by their size and the number of cases."""
    width = next(width for most, width in WIDTHS if most is None or data.cases < most)
    width //= 2 if data.dimensions == 3 else 1
    blocks = 1 if max(grid.shape) <= SMALL_SIDE or data.cases < MOST_BLOCKS_CASES else 2
    side = " x ".join(map(str, grid.shape))
    flat = "; in 3D half of it, as a kernel has three times the weights" if data.dimensions == 3 else ""
    stem, stem_stride = _stem(grid)
    batch, why = _batch(data, grid, request, width, stem_stride)
    return Classifier(
        batch,
        (
            Decision("network.use", "resnet", f"A {data.task}: a residual network."),
            Decision(
                "network.blocks",
                [blocks] * 4,
                f"Images of {side}, {many(data.cases, 'case')}: small or few ones need no depth.",
            ),
            Decision(
                "network.channels",
                [width * 2**n for n in range(4)],
                f"{many(data.cases, 'case')}: a wide network learns few of them by heart{flat}.",
            ),
            *stem,
            Decision("train.batch", batch, why),
        ),
    )


def _stem(grid: Grid) -> tuple[list[Decision], int]:
    """Return the settings of the first convolution, and by how much it and the pooling reduce each side."""
    shortest = min(grid.shape)
    if shortest >= POOLED_STEM:
        why = f"The shortest side is {shortest}: the original's first convolution and pooling."
        kernel, stride, pool = 7, 2, True
    else:
        kernel, stride, pool = 3, 1 if shortest < FINE_STEM else 2, False
        why = f"The shortest side is {shortest}: a coarser first convolution would leave few voxels to the last stage."
    names = {"stem_kernel": kernel, "stem_stride": stride, "stem_pool": pool}
    return [Decision(f"network.{name}", value, why) for name, value in names.items()], stride * (2 if pool else 1)


def _batch(data: Fingerprint, grid: Grid, request: Request, width: int, stride: int) -> tuple[int, str]:
    voxels = 1.0
    for side in grid.shape:
        voxels *= max(1, side // stride)
    fit = int(request.memory_gb * 1e9 / (voxels * width * BYTES))
    most = max(1, min(MOST_BATCH, fit, data.cases // CASES_A_PLACE))
    batch = max(LEAST_BATCH, 2 ** (most.bit_length() - 1))
    why = (
        f"Images that fit into {request.memory_gb:g} GB: {fit:,}; one case in {CASES_A_PLACE}: "
        f"{data.cases // CASES_A_PLACE:,}; {LEAST_BATCH} to {MOST_BATCH}, and a power of 2."
    )
    return batch, why
