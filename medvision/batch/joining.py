"""The ledgers of shards: which lie in a folder, whether they are whole, and how they become one."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medvision.batch.shard import Shard
from medvision.errors import UsageError

LEDGER = "ledger.sqlite"
"""The name of a folder's ledger."""


@dataclass(frozen=True)
class ShardState:
    """What a ledger says of a shard.

    Parameters
    ----------
    shard
        Which.
    pipeline_sha256, pipeline
        The hash of the pipeline, and where it lay.
    complete
        Whether its last run came to its end.
    """

    shard: Shard
    pipeline_sha256: str
    pipeline: Path
    complete: bool


def ledger_name(shard: Shard | None) -> str:
    """Return the name of the ledger of a folder, or of one shard.

    >>> ledger_name(None), ledger_name(Shard(2, 4))
    ('ledger.sqlite', 'ledger-2-of-4.sqlite')
    """
    return LEDGER if shard is None else f"ledger-{shard.name}.sqlite"


def shards_in(folder: Path) -> dict[Shard, Path]:
    """Return the ledgers of shards in a folder, in their order."""
    found = {}
    for path in folder.glob("ledger-*-of-*.sqlite"):
        found[Shard.parse(path.stem.removeprefix("ledger-"))] = path
    return dict(sorted(found.items()))


def states_of(database: sqlite3.Connection) -> dict[Shard, ShardState]:
    """Return what a ledger says of shards: of itself, or of those that were merged into it."""
    rows = database.execute("SELECT name, pipeline_sha256, pipeline, complete FROM shards")
    states = [ShardState(Shard.parse(name), str(sha256), Path(path), bool(end)) for name, sha256, path, end in rows]
    return {state.shard: state for state in states}


def require_whole(folder: Path, states: Mapping[Shard, ShardState], merged: Mapping[Shard, ShardState]) -> ShardState:
    """Return what is common to the shards that are to be merged.

    Parameters
    ----------
    folder
        The output folder.
    states
        The shards whose ledgers lie there.
    merged
        Those that were merged before; they stand for those that are not there any more.

    Raises
    ------
    UsageError
        There is none; some are missing; there are those of two numbers; one is of another pipeline, or did not come
        to its end. Each is named.
    """
    known = {**merged, **states}
    first = next(iter(states or merged), None)
    if first is None:
        raise UsageError("usage", "no shard has been run here", path=folder, cure="Run each with --shard first.")
    sizes = sorted({shard.of for shard in (states or merged)})
    if len(sizes) > 1:
        message = f"shards of {' and of '.join(map(str, sizes))} lie here"
        raise UsageError("usage", message, path=folder, cure="Run all with the same number of shards.")
    wanted = [Shard(number, first.of) for number in range(1, first.of + 1)]
    _refuse(folder, "missing", [shard for shard in wanted if shard not in known])
    _refuse(folder, "not complete", [shard for shard in wanted if not known[shard].complete])
    state = known[first]
    others = [shard for shard in wanted if known[shard].pipeline_sha256 != state.pipeline_sha256]
    _refuse(folder, f"of another pipeline than {first.name}", others)
    return state


def rows_of(path: Path) -> tuple[list[Sequence[Any]], list[Sequence[Any]], list[Sequence[Any]]]:
    """Return the lines of a ledger: cases, runs and shards."""
    with closing(sqlite3.connect(path)) as database:
        cases = database.execute("SELECT * FROM cases").fetchall()
        runs = database.execute("SELECT started, command, versions, seconds FROM runs ORDER BY id").fetchall()
        return cases, runs, database.execute("SELECT * FROM shards").fetchall()


def _refuse(folder: Path, what: str, shards: Sequence[Shard]) -> None:
    if shards:
        named = " and ".join(shard.name for shard in shards[:5]) + (" and others" if len(shards) > 5 else "")
        are = "is" if len(shards) == 1 else "are"
        raise UsageError("usage", f"{named} {are} {what}", path=folder, cure="Run these shards again, then merge.")
