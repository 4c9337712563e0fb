"""How much of an image a segmentation network sees at once, and how deep it is: from sizes, spacing and memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from medvision.fingerprint import Fingerprint
from medvision.planning.decision import Decision, Request
from medvision.planning.grid import Grid

LEAST_BATCH = 2
"""Patches a step below which gradients are too noisy, so that the patch is cut instead (nnU-Net)."""

MOST_BATCH = 16
"""Patches a step beyond which more steps do more than larger ones."""

SHARE_OF_DATA = 0.05
"""Largest share of all training voxels in one step (nnU-Net)."""

START_VOXELS = {2: 2048**2, 3: 256**3}
"""Voxels of the first patch that is tried, by dimensions (nnU-Net); it is as long along each axis in mm."""

FOREGROUND = 0.5
"""Share of the patches that are laid around a labelled voxel: nnU-Net's third, which of two patches is one."""

LEAST_SIDE = 4
"""Voxels that the coarsest stage keeps along each axis that is halved (nnU-Net)."""

MOST_STAGES = {2: 8, 3: 6}
"""Stages of the network at most, by dimensions (nnU-Net)."""

WIDTH = 32
"""Feature maps of the first stage; every further stage has twice as many (nnU-Net)."""

MOST_CHANNELS = {2: 512, 3: 320}
"""Feature maps of a stage at most, by dimensions (nnU-Net)."""

BYTES = {2: 80, 3: 58}
"""What a training step keeps for its gradients: bytes a voxel of the patch and feature map of the first stage, by
dimensions, of a residual dynunet in fp32. Counted from the tensors that autograd saves."""

ALLOWANCE = 1.5
"""Memory of a step over what it keeps: gradients, the convolutions' own workspace, the optimiser."""


@dataclass(frozen=True)
class Topology:
    """The shape of a U-Net.

    Parameters
    ----------
    strides
        By how much each stage after the first reduces each axis.
    kernels
        The kernel of each stage along each axis.
    """

    strides: tuple[tuple[int, ...], ...]
    kernels: tuple[tuple[int, ...], ...]

    @property
    def divisor(self) -> tuple[int, ...]:
        """What must divide each side of a patch."""
        return tuple(math.prod(axis) for axis in zip(*self.strides, strict=True))

    @property
    def isotropic(self) -> bool:
        """Whether every stage halves every axis, and looks along each."""
        return all(set(row) == {2} for row in self.strides) and all(set(row) == {3} for row in self.kernels)


@dataclass(frozen=True)
class Sampling:
    """What the network sees in a training step.

    Parameters
    ----------
    patch
        Voxels along each axis.
    batch
        Patches a step.
    whole
        Whether every image has that size, so that nothing is cut.
    topology
        The network that goes with it.
    decisions
        The settings, with their reasons.
    """

    patch: tuple[int, ...]
    batch: int
    whole: bool
    topology: Topology
    decisions: tuple[Decision, ...]


def sampling_of(data: Fingerprint, grid: Grid, request: Request) -> Sampling:
    """Return patch, batch and depth of a segmentation network.

    The patch starts with the same length in mm along each axis, no longer than a typical image, and is cut along
    the axis that covers most of the image, until two patches fit into the memory (Isensee et al., Nature Methods 2021).
    """
    patch, topology = _fitted(grid, request)
    held = _memory_gb(patch)
    seen = data.cases * math.prod(grid.shape) * SHARE_OF_DATA / math.prod(patch)
    batch = max(LEAST_BATCH, min(MOST_BATCH, int(request.memory_gb / held), round(seen)))
    whole = grid.fixed and patch == grid.shape
    decisions = (
        _patch_decision(grid, patch, request, whole=whole),
        Decision("train.batch", batch, _batch_reason(held, seen, request)),
        *_foreground(data, whole=whole),
        Decision("predict.window", None if whole else list(patch), _window_reason(whole=whole)),
    )
    return Sampling(patch, batch, whole, topology, decisions)


def topology_of(size: Sequence[int], spacing_mm: Sequence[float]) -> Topology:
    """Return which axes each stage halves: those that are long enough, and not yet much coarser than the finest.

    >>> topology_of((36, 50, 35), (1, 1, 1)).divisor
    (8, 8, 8)
    >>> topology_of((160, 160, 16), (0.8, 0.8, 4.0)).divisor
    (32, 32, 4)
    """
    sizes, spacing = list(size), [float(step) for step in spacing_mm]
    axes = range(len(sizes))
    strides: list[tuple[int, ...]] = []
    kernels: list[tuple[int, ...]] = []
    while True:
        finest = min(spacing)
        before = kernels[-1] if kernels else (1,) * len(sizes)
        kernels.append(tuple(3 if before[a] == 3 or spacing[a] < 2 * finest else 1 for a in axes))
        halved = _halved(sizes, spacing)
        if len(kernels) == MOST_STAGES[len(sizes)] or not halved:
            # A network has three stages; what is too small for them is padded.
            if len(kernels) >= 3:
                return Topology(tuple(strides), (*kernels[:-1], (3,) * len(sizes)))
            halved = {axis for axis in axes if sizes[axis] >= max(sizes) / 2}
        strides.append(tuple(2 if axis in halved else 1 for axis in axes))
        sizes = [math.ceil(sizes[axis] / strides[-1][axis]) for axis in axes]
        spacing = [spacing[axis] * strides[-1][axis] for axis in axes]


def _halved(sizes: Sequence[int], spacing: Sequence[float]) -> set[int]:
    long = [axis for axis, size in enumerate(sizes) if size >= 2 * LEAST_SIDE]
    if not long:
        return set()
    finest = min(spacing[axis] for axis in long)
    halved = {axis for axis in long if spacing[axis] < 2 * finest}
    # One axis alone is worth a stage only while it is long (nnU-Net).
    return halved if len(halved) > 1 or sizes[min(halved)] >= 3 * LEAST_SIDE else set()


def width_of(stages: int, dimensions: int) -> tuple[int, ...]:
    """Return the feature maps of each stage.

    >>> width_of(6, 3)
    (32, 64, 128, 256, 320, 320)
    """
    return tuple(min(WIDTH * 2**stage, MOST_CHANNELS[dimensions]) for stage in range(stages))


def _fitted(grid: Grid, request: Request) -> tuple[tuple[int, ...], Topology]:
    patch = _start(grid)
    while True:
        topology = topology_of(patch, grid.spacing_mm)
        padded = tuple(
            max(-(-side // n) * n, 2 * n if n == max(topology.divisor) else n)
            for side, n in zip(patch, topology.divisor, strict=True)
        )
        if _memory_gb(padded) * LEAST_BATCH <= request.memory_gb or max(padded) <= 2 * max(topology.divisor):
            return padded, topology
        # The axis that covers most of the image can best lose some; one that is not halved, or short, loses none.
        can = [axis for axis, side in enumerate(padded) if side > 2 * LEAST_SIDE and topology.divisor[axis] > 1]
        axis = max(can, key=lambda axis: (padded[axis] / grid.shape[axis], padded[axis]))
        patch = tuple(side - (topology.divisor[a] if a == axis else 0) for a, side in enumerate(padded))


def _start(grid: Grid) -> tuple[int, ...]:
    """Return a patch of the same length in mm along each axis, no longer than a typical image."""
    dimensions = len(grid.shape)
    voxel = math.prod(grid.spacing_mm)
    side_mm = (START_VOXELS[dimensions] * voxel) ** (1 / dimensions)
    return tuple(max(1, min(n, round(side_mm / mm))) for n, mm in zip(grid.shape, grid.spacing_mm, strict=True))


def _memory_gb(patch: Sequence[int]) -> float:
    """Return what one patch needs in a training step, in 10^9 bytes."""
    return math.prod(patch) * WIDTH * BYTES[len(patch)] * ALLOWANCE / 1e9


def _patch_decision(grid: Grid, patch: tuple[int, ...], request: Request, *, whole: bool) -> Decision:
    typical = " x ".join(map(str, grid.shape))
    if whole:
        return Decision("train.patch", None, f"Every image is {typical} voxels, which fit as a whole.")
    if all(side >= size for side, size in zip(patch, grid.shape, strict=True)):
        why = f"A typical image is {typical} voxels: a patch holds it, rounded up to what the network can halve."
    else:
        why = (
            f"A typical image is {typical} voxels; of it, {LEAST_BATCH} such patches fit into {request.memory_gb:g} GB."
        )
    return Decision("train.patch", list(patch), why)


def _batch_reason(held: float, seen: float, request: Request) -> str:
    fit = f"Patches that fit into {request.memory_gb:g} GB: {int(request.memory_gb / held):,}"
    share = f"that are {SHARE_OF_DATA:.0%} of all voxels: {seen:.3g}"
    return f"{fit}; {share}; at least {LEAST_BATCH}, at most {MOST_BATCH}."


def _foreground(data: Fingerprint, *, whole: bool) -> tuple[Decision, ...]:
    if whole:
        return ()  # there is nothing to choose
    share = data.foreground_share.p50 if data.foreground_share else 0.0
    why = f"Labels fill {100 * share:.2g}% of a typical image: half of the patches are laid around a labelled voxel."
    return (Decision("train.foreground", FOREGROUND, why),)


def _window_reason(*, whole: bool) -> str:
    return "Images are seen whole." if whole else "What the network was trained on, moved by half of it."
