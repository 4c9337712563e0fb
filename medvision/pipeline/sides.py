"""Refuses trainings that would teach a network to mistake left for right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from medvision.geometry import parse_orientation
from medvision.sides import sided

if TYPE_CHECKING:
    from medvision.pipeline.settings import Settings


def side_faults(settings: Settings) -> Iterator[str]:
    """Yield what of the augmentation would show left as right, or upright as turned, where that matters.

    Where labels have sides or the network knows one side, a sample mirrored along the left-right axis shows a right
    structure and calls it left; so does, by its place, one turned so far that left comes to the right. Where the
    orientation is to be checked by how well the network agrees with mirrored and turned images, none of those may be
    trained on. Which axis of the voxels is which follows from the last step `reorient`; without one, each may be any.
    """
    return _faults(settings, _watched(settings))


def lateral_faults(settings: Settings, pairs: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Yield what would show left as right, where labels are told by where they lie and not by their names.

    Parameters
    ----------
    pairs
        The left and the right label of each pair by name, as measured in the training cases.
    """
    if not pairs:
        return
    reason = f"{pairs[0][0]!r} lies to the left of {pairs[0][1]!r} in nearly all training cases, beside it and as large"
    yield from _faults(settings, [(0, reason)])
    if settings.contract.side:
        yield f"contract.side: cases of the other side are mirrored, but {reason}"


def _faults(settings: Settings, watched: Iterable[tuple[int, str]]) -> Iterator[str]:
    augmentation, dimensions = settings.train.augmentation.resolved(), settings.contract.dimensions
    place = "train.augmentation"
    for world, reason in watched:
        axis = voxel_axis(settings, world)
        what = "an axis that may run" if axis is None else f"axis {axis}, which runs"
        between = "from left to right" if world == 0 else "from front to back"
        told = "; no step `reorient` fixes the axes" if axis is None else ""
        if augmentation.probabilities.mirror and any(axis in (None, each) for each in augmentation.mirror_axes):
            yield f"{place}.mirror_axes: mirrored along {what} {between}, but {reason}{told}"
        if augmentation.probabilities.rotation and any(
            augmentation.turns_across(each, dimensions) for each in (range(dimensions) if axis is None else [axis])
        ):
            degrees = f"{augmentation.rotation_degrees:g} degrees"
            yield f"{place}.rotation_degrees: {degrees} can turn round {what} {between}, but {reason}{told}"


def voxel_axis(settings: Settings, world: int) -> int | None:
    """Return which axis of the network's grid runs along a world axis (0 is left-right); None where no step says so."""
    worlds: list[int] = []
    for step in settings.steps:
        if step.use == "reorient":
            worlds = [axis for axis, _ in parse_orientation(step.orientation)]
        elif step.use == "transpose" and worlds:
            worlds = [worlds[axis] for axis in step.axes]
    return worlds.index(world) if worlds else None


def _watched(settings: Settings) -> Iterator[tuple[int, str]]:
    """Yield world axes along which no sample may be mirrored, with the reason."""
    names = sided(settings.labels.values())
    if names:
        yield 0, f"labels have sides ({', '.join(repr(name) for name in names[:2])})"
    elif settings.contract.side:
        yield 0, f"the network knows its structure as a {settings.contract.side} one (contract.side)"
    if settings.contract.orientation_check:
        reason = "such an image could no longer be told from an upright one (contract.orientation_check)"
        yield from ((world, reason) for world in (0, 1))
