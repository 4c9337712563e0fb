"""From the frames of one series to volumes: what lies apart is split, what repeats in one place is told apart.

A series can hold several stacks (orientations, stacks of an enhanced object), and each stack several volumes at one
place: time points, echoes, b-values. Volumes are told apart by what their headers state, never by counting alone.
"""

from __future__ import annotations

import functools
import itertools
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.errors import Finding, InputError
from medvision.io.dicom.frame import Frame, Numbers, rounded
from medvision.io.dicom.objects import image_kind
from medvision.io.dicom.pixels import same_pixels

Frames = tuple[Frame, ...]

_ORDER = (  # by what volumes at one place can be told apart, in this order
    "echo time",
    "echo number",
    "inversion time",
    "component",
    "image type",
    "time index",
    "time",
    "b-value",
    "gradient direction",
    "trigger time",
    "acquisition number",
    "acquisition time",
)
_ALWAYS_APART = (
    "echo number",
    "echo time",
    "inversion time",
    "component",
    "image type",
    "time index",
    "time",
    "b-value",
    "gradient direction",
)
_PICTURES = ("projection", "frames")
_APART_DEGREES = 5.0
_ONE_PLACE_MM = 0.01


@dataclass(frozen=True)
class Group:
    """Volumes in one place, in order.

    Parameters
    ----------
    volumes
        The frames of each volume; complete ones only, unless there is one alone.
    order
        What the volumes are ordered by; empty for one alone.
    refused
        Volumes that lack slices which the others have, and why.
    dropped
        Copies that were left out.
    reason
        Why the frames could not be sorted at all, and are refused together.
    """

    volumes: tuple[Frames, ...]
    order: tuple[str, ...] = ()
    refused: tuple[Finding, ...] = ()
    dropped: tuple[Finding, ...] = ()
    reason: Finding | None = None


def groups_of(frames: Sequence[Frame]) -> list[Group]:
    """Return the volumes that the frames of one series make, in an order that does not depend on that of the files.

    Raises
    ------
    InputError
        What reading the pixels of two frames at one place raises.
    """
    ordered = sorted(frames, key=_name)
    kinds: dict[tuple[str, str], list[Frame]] = defaultdict(list)
    for frame in ordered:
        kind = image_kind(frame.sop_class)
        form = kind.form if kind is not None else "slices"
        # A picture has no neighbours in space: each file stands alone.
        kinds[(form, str(frame.file) if form in _PICTURES else "")].append(frame)
    groups = []
    for (_, alone), members in kinds.items():
        if alone:
            groups.append(_of_picture(members))
            continue
        for numbered in _by_number(members):
            for stack in _by_stack(numbered):
                for plane in _by_orientation(stack):
                    groups += [_group(part) for part in _by_kind(plane)]
    return groups


def _name(frame: Frame) -> tuple[str, int]:
    return (str(frame.file), frame.number)


def _of_picture(frames: Sequence[Frame]) -> Group:
    return Group(tuple((frame,) for frame in frames), ("frame",) if len(frames) > 1 else ())


def _by_number(frames: list[Frame]) -> list[list[Frame]]:
    """Return the frames by Series Number, where several numbers have several frames each.

    Tools that write one Series Instance UID for several series keep the numbers. A number that only one slice states,
    or lacks, makes no series: the slice would be missing from the others' volume.
    """
    numbers: dict[int | None, list[Frame]] = defaultdict(list)
    for frame in frames:
        numbers[frame.series_number].append(frame)
    several = [number for number, members in numbers.items() if number is not None and len(members) > 1]
    return list(numbers.values()) if len(several) > 1 else [frames]


def _by_stack(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Return the stacks of enhanced objects, where they are stacks of several frames."""
    stacks: dict[str, list[Frame]] = defaultdict(list)
    for frame in frames:
        stacks[str(frame.ordered_by("stack"))].append(frame)
    return list(stacks.values()) if min(map(len, stacks.values())) > 1 else [list(frames)]


def _by_kind(frames: list[Frame]) -> list[list[Frame]]:
    """Return frames apart that are of another echo, time or b-value in other places: no volume holds both."""
    places = _places(frames)
    if places is None or _repeats(frames, places) > 1:
        return [frames]
    for name in _ALWAYS_APART:
        if name == "image type" and frames[0].modality != "MR":
            continue  # CT marks single slices in it, e.g. ADD
        values: dict[Any, list[Frame]] = defaultdict(list)
        for frame in frames:
            values[rounded(frame, name)].append(frame)
        if len(values) > 1 and None not in values and min(map(len, values.values())) > 1:
            return [values[value] for value in sorted(values)]
    return [frames]


def _by_orientation(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Return the frames by the plane that they lie in, planes that differ by less than 5 degrees together.

    Raises
    ------
    InputError
        ``series-mixed``: frames lie in parallel planes, but turned or mirrored in them.
    """
    planes: list[tuple[Any, list[Frame]]] = []
    for frame in frames:
        normal = _normal(frame)
        fitting = next((members for other, members in planes if _is_near(normal, other)), None)
        if fitting is None:
            if any(abs(normal[6:] @ other[6:]) > np.cos(np.radians(_APART_DEGREES)) for other, _ in planes):
                text = "this slice lies parallel to others of its series, but turned or mirrored"
                raise InputError("series-mixed", text, path=frame.file)
            planes.append((normal, [frame]))
        else:
            fitting.append(frame)
    return [members for _, members in planes]


def _normal(frame: Frame) -> Any:
    return None if frame.orientation is None else _axes(frame.orientation)


@functools.lru_cache(maxsize=64)
def _axes(orientation: Numbers) -> NDArray[np.float64]:
    """Return (9,) the directions of a row, of a column and of their normal; slices of a series mostly share them."""
    axes = np.array([*orientation, *np.cross(orientation[:3], orientation[3:])])
    axes.flags.writeable = False
    return axes


def _is_near(one: Any, other: Any) -> bool:
    """Whether rows, columns and normals lie within 5 degrees; a missing orientation goes with any."""
    if one is None or other is None:
        return True
    return bool(np.linalg.norm((one - other).reshape(3, 3), axis=1).max() < np.radians(_APART_DEGREES))


def _group(frames: list[Frame]) -> Group:
    places = _places(frames)
    if places is None or max(Counter(places.values()).values()) == 1:
        return Group((tuple(frames),))
    cells = [_Cell(tuple(frames), ())]
    for name in _ORDER:
        cells = [part for cell in cells for part in _told_apart(cell, name, places)]
    cells = [part for cell in cells for part in _by_time(cell, places)]
    names = tuple(name for name in _ORDER if any(name in cell.names for cell in cells))
    _check_times(cells, names, places)
    kept, dropped = [], []
    for cell in cells:
        without, copies = _without_copies(cell.frames, places)
        kept.append(without)
        dropped += copies
    whole, refused = _complete(kept, places)
    if not whole:  # no way to tell them apart gives one whole volume: they are refused for repeating their places
        return Group((tuple(frames),))
    return Group(tuple(whole), names, tuple(refused), tuple(dropped))


@dataclass(frozen=True)
class _Cell:
    """Frames that may be one volume, and by what they were told apart from others."""

    frames: Frames
    names: tuple[str, ...]


def _places(frames: Sequence[Frame]) -> dict[tuple[str, int], int] | None:
    """Return for each frame the number of its place along the normal; None where a position is missing."""
    normal = next((_normal(frame)[6:] for frame in frames if frame.orientation is not None), None)
    if normal is None or any(frame.position is None for frame in frames):
        return None
    along = np.array([frame.position for frame in frames]) @ normal
    order = np.argsort(along, kind="stable")
    numbers = np.concatenate([[0], np.cumsum(np.diff(along[order]) > _ONE_PLACE_MM)])
    return {_name(frames[n]): int(place) for n, place in zip(order, numbers, strict=True)}


def _repeats(frames: Sequence[Frame], places: dict[tuple[str, int], int]) -> int:
    return max(Counter(places[_name(frame)] for frame in frames).values())


def _told_apart(cell: _Cell, name: str, places: dict[tuple[str, int], int]) -> list[_Cell]:
    """Return the cell split by a value, where that has as many as volumes can be there, and all state it."""
    values: dict[Any, list[Frame]] = defaultdict(list)
    for frame in cell.frames:
        values[rounded(frame, name)].append(frame)
    if None in values or not 1 < len(values) <= _repeats(cell.frames, places):
        return [cell]
    return [_Cell(tuple(values[value]), (*cell.names, name)) for value in sorted(values)]


def _check_times(cells: list[_Cell], names: tuple[str, ...], places: dict[tuple[str, int], int]) -> None:
    """Refuse volumes told apart by Acquisition Number alone where the times sort the slices in another way.

    Raises
    ------
    InputError
        ``series-mixed``.
    """
    if names != ("acquisition number",):
        return
    by_time = _by_time(_Cell(tuple(frame for cell in cells for frame in cell.frames), ()), places)
    if len(by_time) > 1 and {frozenset(map(_name, cell.frames)) for cell in by_time} != {
        frozenset(map(_name, cell.frames)) for cell in cells
    }:
        text = "Acquisition Number and Acquisition Time sort its slices into different volumes"
        raise InputError("series-mixed", text, path=cells[0].frames[0].file)


def _by_time(cell: _Cell, places: dict[tuple[str, int], int]) -> list[_Cell]:
    """Return the cell split by rank of time in each place, where all of one volume is older than all of the next."""
    count = _repeats(cell.frames, places)
    times = [frame.ordered_by("acquisition time") for frame in cell.frames]
    if count == 1 or any(time is None for time in times):
        return [cell]
    at: dict[int, list[Frame]] = defaultdict(list)
    for _, frame in sorted(zip(times, cell.frames, strict=True), key=lambda pair: (pair[0], _name(pair[1]))):
        at[places[_name(frame)]].append(frame)
    if {len(members) for members in at.values()} != {count}:
        return [cell]
    volumes = list(zip(*at.values(), strict=True))
    ends = [[_time(frame) for frame in volume] for volume in volumes]
    if any(max(one) >= min(other) for one, other in itertools.pairwise(ends)):
        return [cell]
    return [_Cell(volume, (*cell.names, "acquisition time")) for volume in volumes]


def _time(frame: Frame) -> float:
    return float(frame.ordered_by("acquisition time"))  # type: ignore[arg-type]  # asked for only where it is there


def _without_copies(frames: Frames, places: dict[tuple[str, int], int]) -> tuple[Frames, list[Finding]]:
    """Return the frames without those that repeat another one's place and pixels."""
    at: dict[int, list[Frame]] = defaultdict(list)
    dropped = []
    for frame in frames:
        others = at[places[_name(frame)]]
        if any(_is_copy(frame, other) for other in others):
            text = "a copy of another slice, with the same place and pixels: it was left out"
            dropped.append(Finding("slices-duplicate", "note", text, frame.file, "Nothing to do."))
        else:
            others.append(frame)
    return tuple(frame for members in at.values() for frame in members), dropped


def _is_copy(one: Frame, other: Frame) -> bool:
    renamed = replace(
        one,
        file=other.file,
        number=other.number,
        sop_instance=other.sop_instance,
        order=other.order,
        image_type=other.image_type,
        pixels=other.pixels,
    )
    return renamed == other and same_pixels(one, other)


def _complete(volumes: list[Frames], places: dict[tuple[str, int], int]) -> tuple[list[Frames], list[Finding]]:
    """Return the volumes that have slices in all places, and why others are refused."""
    everywhere = set(places.values())
    whole, refused = [], []
    for number, volume in enumerate(volumes, start=1):
        found = {places[_name(frame)] for frame in volume}
        if found == everywhere:
            whole.append(volume)
        else:
            text = f"volume {number} of {len(volumes)} has slices in {len(found)} of {len(everywhere)} places"
            refused.append(Finding("slices-missing", "error", text, volume[0].file))
    return whole, refused
