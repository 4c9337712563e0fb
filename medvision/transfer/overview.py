"""Many tensors in few lines: those of a file by their names, those of a match by the network's stages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from medvision.parts import Part, Parts, stage_of
from medvision.transfer.match import STATES, Match, Row, State

_LARGE = 0.4  # share of all tensors from which on a group is told by what is in it
_MOST = 48  # groups that one is told by: the blocks of the largest transformers
_Start = tuple[str, ...]  # the first words of a name, between its points


@dataclass(frozen=True)
class Group:
    """Tensors whose names begin alike.

    Parameters
    ----------
    name
        What the names have in common.
    tensors
        How many there are.
    parameters
        How many numbers they hold.
    """

    name: str
    tensors: int
    parameters: int


@dataclass(frozen=True)
class StageCounts:
    """What became of the tensors of one stage of a network.

    Parameters
    ----------
    name
        The stage; empty for tensors of none.
    part
        What it is for.
    counts
        Number of tensors in each state.
    parameters, taken
        How many numbers it has, and how many of them become the source's.
    """

    name: str
    part: Part
    counts: Mapping[State, int]
    parameters: int
    taken: int


@dataclass(frozen=True)
class Reason:
    """Why tensors were not taken as they were, or not at all.

    Parameters
    ----------
    state
        What became of them.
    why
        What was done, or why nothing was.
    names
        Their names in the network.
    """

    state: State
    why: str
    names: tuple[str, ...]


def groups(shapes: Mapping[str, Sequence[int]]) -> tuple[Group, ...]:
    """Return tensors grouped by how their names begin, in the order of the file.

    What holds more than two fifths of all is told by the groups within it.

    >>> shapes = {"m.stem.weight": (4, 1, 3, 3), "m.blocks.0.weight": (4, 4), "m.fc.weight": (2, 4), "m.fc.bias": (2,)}
    >>> [(group.name, group.tensors, group.parameters) for group in groups(shapes)]
    [('m.stem', 1, 36), ('m.blocks', 1, 16), ('m.fc.weight', 1, 8), ('m.fc.bias', 1, 2)]
    """
    found: dict[_Start, list[str]] = {(): list(shapes)}
    while True:
        large = {start: names for start, names in found.items() if len(names) > _LARGE * len(shapes)}
        split = {start: inner for start, names in large.items() if 1 <= len(inner := _within(start, names)) <= _MOST}
        if not split:
            break
        parts = [split.get(start, {start: names}) for start, names in found.items()]
        found = {start: names for part in parts for start, names in part.items()}
    return tuple(
        Group(".".join(start), len(names), sum(prod(shapes[each]) for each in names)) for start, names in found.items()
    )


def stages(matched: Match, parts: Parts) -> tuple[StageCounts, ...]:
    """Return what became of each stage of the network, from stem to head; a stage without tensors is left out."""
    rows: dict[int | None, list[Row]] = defaultdict(list)
    for row in matched.rows:
        rows[stage_of(row.name, parts.stages)].append(row)
    named = [*enumerate(name for name, _ in parts.stages), (None, "")]
    return tuple(_counted(name, rows[number]) for number, name in named if rows[number])


def reasons(matched: Match) -> tuple[Reason, ...]:
    """Return why tensors were adapted, skipped or missing, those of one reason together, the most numerous first."""
    found: dict[tuple[State, str], list[str]] = defaultdict(list)
    for row in matched.rows:
        if row.state != "loaded":
            found[row.state, row.why].append(row.name)
    told = [Reason(state, why, tuple(names)) for (state, why), names in found.items()]
    return tuple(sorted(told, key=lambda reason: (STATES.index(reason.state), -len(reason.names))))


def _within(start: _Start, names: Sequence[str]) -> dict[_Start, list[str]]:
    """Return the names of a group by one word more of their beginning; nothing where none has one."""
    inner: dict[_Start, list[str]] = defaultdict(list)
    for name in names:
        inner[tuple(name.split(".")[: len(start) + 1])].append(name)
    return {} if set(inner) == {start} else dict(inner)


def _counted(name: str, rows: Sequence[Row]) -> StageCounts:
    counts = {state: sum(row.state == state for row in rows) for state in STATES}
    taken = sum(row.numbers for row in rows if row.taken)
    return StageCounts(name, rows[0].part, counts, sum(row.numbers for row in rows), taken)
