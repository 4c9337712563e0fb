"""The ledger of a batch: what is done, what failed and why, held in SQLite in the output folder.

"Done" means that the hashes of inputs, pipeline and every written file agree with the ledger, not that a file exists.
Dates and durations stand here and in the log alone, so that results are the same bytes whenever they are made.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Self

from medvision.batch.entry import COLUMNS, Entry, entry_of, now, row_of
from medvision.batch.hold import holding
from medvision.batch.joining import LEDGER, ShardState, ledger_name, rows_of, shards_in, states_of
from medvision.batch.shard import Shard
from medvision.errors import OutputError, UsageError
from medvision.files import sha256_of
from medvision.study import Case

_VERSION = 2  # of the tables below; raised with every change of them
_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    id INTEGER PRIMARY KEY, started TEXT NOT NULL, command TEXT NOT NULL, versions TEXT NOT NULL, seconds REAL);
CREATE TABLE IF NOT EXISTS cases (
    id TEXT PRIMARY KEY, state TEXT NOT NULL, verdict TEXT, source TEXT NOT NULL, images TEXT NOT NULL,
    input_sha256 TEXT, pipeline_sha256 TEXT NOT NULL, code TEXT, message TEXT, cure TEXT, files TEXT NOT NULL,
    finished TEXT NOT NULL, seconds REAL NOT NULL, peak_memory_mb REAL, forecast_seconds REAL, forecast_memory_mb REAL);
CREATE TABLE IF NOT EXISTS shards (
    name TEXT PRIMARY KEY, pipeline_sha256 TEXT NOT NULL, pipeline TEXT NOT NULL, complete INTEGER NOT NULL);
"""


class Ledger:
    """The ledger of one output folder, held by one process at a time.

    Use it as a context manager; the folder is made where it is missing, and held until the block ends. Within it,
    ``held`` are the open files by which it is held; see :func:`medvision.batch.holding`.

    Parameters
    ----------
    folder
        The output folder.
    shard
        Only this share of the batch, whose ledger is a file of its own, beside others that are at work; None for all.
    merging
        Whether ledgers of shards may lie there, which are to be merged.

    Raises
    ------
    BusyError
        Another process holds the folder.
    OutputError
        The folder cannot be written, or holds a ledger that is damaged or of another version.
    UsageError
        The ledgers of shards that have not been merged lie there.
    """

    def __init__(self, folder: Path, shard: Shard | None = None, *, merging: bool = False) -> None:
        self.folder = folder
        self.shard = shard
        self._merging = merging
        self._path = folder / ledger_name(shard)

    def __enter__(self) -> Self:
        self._held = holding(self.folder, self.shard.name if self.shard is not None else None)
        self.held = self._held.__enter__()
        with contextlib.ExitStack() as undo:
            undo.callback(self._held.__exit__, None, None, None)
            self._require_merged()
            with self._usable():
                self._database = sqlite3.connect(self._path)
                undo.callback(self._database.close)
                _prepare(self._database)
                self.entries()
            undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()
        self._held.__exit__(None, None, None)

    @contextlib.contextmanager
    def run(self, command: str, versions: Mapping[str, str]) -> Iterator[None]:
        """Enter a run: when it started, its command line and the versions; when the block ends, how long it took."""
        started = time.monotonic()
        with self._writing() as database:
            cursor = database.execute(
                "INSERT INTO runs (started, command, versions) VALUES (?, ?, ?)",
                (now(), command, json.dumps(versions)),
            )
        yield
        with self._writing() as database:
            database.execute("UPDATE runs SET seconds = ? WHERE id = ?", (time.monotonic() - started, cursor.lastrowid))

    def is_done(self, case: Case, input_sha256: str, digests: Set[str]) -> bool:
        """Whether the case was done from this input by a pipeline of `digests`, and all its files are as written."""
        if not self.has_done(case.id, digests):
            return False
        entry = self.entries(case.id)[case.id]
        return entry.input_sha256 == input_sha256 and self._holds(entry.files or {})

    @contextlib.contextmanager
    def share(self, pipeline_sha256: str, pipeline: Path) -> Iterator[None]:
        """Take over what the folder's ledger holds of this share; when the block ends well, the shard is complete."""
        if self.shard is None:
            yield
            return
        with self._usable():
            main = self.folder / LEDGER
            with contextlib.closing(sqlite3.connect(main)) as database:  # by it, a scan knows the folder for results
                _prepare(database)
        fresh = not states_of(self._database)
        taken = [row for row in rows_of(main)[0] if self.shard.takes(row[0])] if fresh else []
        row = (self.shard.name, pipeline_sha256, str(pipeline.absolute()))
        with self._writing() as database:
            _insert(database, "cases", taken)
            _insert(database, "shards", [(*row, 0)])
        yield
        with self._writing() as database:
            _insert(database, "shards", [(*row, 1)])

    def merged(self) -> dict[Shard, ShardState]:
        """Return the shards that have been merged into this ledger."""
        with self._usable():
            return states_of(self._database)

    def join(self, paths: Iterable[Path]) -> None:
        """Take over all lines of the ledgers of shards, in place of what this one held of their shares."""
        with self._usable():
            known = {row[:2] for row in self._database.execute("SELECT started, command FROM runs")}
            parts = [rows_of(path) for path in paths]
        with self._writing() as database:
            for cases, runs, shards in parts:
                (shard,) = (Shard.parse(row[0]) for row in shards)
                gone = [id_ for (id_,) in database.execute("SELECT id FROM cases") if shard.takes(id_)]
                database.executemany("DELETE FROM cases WHERE id = ?", [(id_,) for id_ in gone])
                _insert(database, "cases", cases)
                _insert(database, "shards", shards)
                new = [row for row in runs if row[:2] not in known]
                database.executemany("INSERT INTO runs (started, command, versions, seconds) VALUES (?, ?, ?, ?)", new)

    def has_done(self, id_: str, digests: Set[str]) -> bool:
        """Whether a case was done by a pipeline of one of `digests`; :meth:`is_done` then looks at the files."""
        entry = self.entries(id_).get(id_)
        return entry is not None and entry.state == "done" and entry.pipeline_sha256 in digests

    def enter(self, *entries: Entry) -> None:
        """Write lines, in place of older ones of the same ids, all or none."""
        with self._writing() as database:
            _insert(database, "cases", [row_of(entry) for entry in entries])

    def holds(self, entry: Entry, *, but: str = "") -> bool:
        """Whether all files of a case that is done are as they were written, except the one named `but`."""
        files = {name: sha256 for name, sha256 in (entry.files or {}).items() if Path(name).name != but}
        return entry.state == "done" and self._holds(files)

    def forget(self, inputs: Iterable[Path], rejected: Iterable[Path], kept: Collection[str] = ()) -> None:
        """Take out what was refused, failed or skipped within `inputs`, which are looked at anew, but for `kept` ids.

        The results of inputs that are now `rejected` are taken out too, with their files: they no longer hold.
        """
        named = {path.absolute() for path in inputs}
        spoilt = {path.absolute() for path in rejected}
        gone = []
        for entry in self.entries().values():
            if entry.state == "done" and entry.source in spoilt:
                self.remove_files(entry.id)
                gone.append(entry.id)
            elif (
                entry.state != "done"
                and entry.id not in kept
                and not named.isdisjoint({entry.source, *entry.source.parents})
            ):
                gone.append(entry.id)
        with self._writing() as database:
            database.executemany("DELETE FROM cases WHERE id = ?", [(id_,) for id_ in gone])

    def remove_files(self, id_: str) -> None:
        """Remove what an earlier run wrote for a case, before it is analysed again."""
        for entry in self.entries(id_).values():
            self.remove([self.folder / name for name in entry.files or {}])

    def remove(self, paths: Iterable[Path]) -> None:
        """Remove files within the output folder; a path that leads out of it is an OutputError, whoever wrote it."""
        for path in paths:
            if not path.resolve().is_relative_to(self.folder.resolve()):
                raise OutputError("output-unwritable", "the ledger names a file outside its folder", path=self.folder)
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise OutputError("output-unwritable", f"cannot be removed: {error.strerror}", path=path) from error

    def entries(self, id_: str | None = None) -> dict[str, Entry]:
        """Return all lines by id, in the order of ids; or only the one of `id_`."""
        chosen, values = ("", ()) if id_ is None else ("WHERE id = ?", (id_,))
        rows = self._database.execute(f"SELECT {COLUMNS} FROM cases {chosen} ORDER BY id", values)  # noqa: S608
        return {row[0]: entry_of(row) for row in rows}

    def hashes(self, paths: Sequence[Path]) -> dict[str, str]:
        """Return the SHA-256 of files within the output folder, by their path in it."""
        return hashes_of(self.folder, paths)

    def _holds(self, files: Mapping[str, str]) -> bool:
        paths = {name: self.folder / name for name in files}
        return bool(files) and all(path.is_file() and sha256_of(path) == files[name] for name, path in paths.items())

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Enter a transaction, which is whole or not at all."""
        with self._usable(), self._database as database:
            yield database

    def _require_merged(self) -> None:
        shards = [] if self.shard is not None or self._merging else list(shards_in(self.folder))
        if shards:
            message = f"shards lie here that have not been merged: {shards[0].name}"
            raise UsageError("usage", message, path=self.folder, cure=f"Run `medvision merge {self.folder}` first.")

    @contextlib.contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, ValueError, LookupError, TypeError) as error:
            message = f"the ledger cannot be used: {error}"
            code = "disk-full" if "disk is full" in str(error) else "output-unwritable"
            raise OutputError(code, message, path=self._path) from error


def hashes_of(folder: Path, paths: Sequence[Path]) -> dict[str, str]:
    """Return the SHA-256 of files within the output folder, by their path in it."""
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in paths}


def _insert(database: sqlite3.Connection, table: str, rows: Sequence[Sequence[object]]) -> None:
    if rows:
        marks = ", ".join("?" * len(rows[0]))
        database.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", rows)  # noqa: S608 - names of ours


def _prepare(database: sqlite3.Connection) -> None:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version not in (0, _VERSION):  # 0: a new file
        raise ValueError(f"it has version {version}, and {_VERSION} is read")
    database.execute("PRAGMA synchronous = FULL")
    database.executescript(f"{_SCHEMA} PRAGMA user_version = {_VERSION};")
