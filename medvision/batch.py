"""The ledger of a batch: what is done, what failed and why, held in SQLite in the output folder.

"Done" means that the hashes of inputs, pipeline and every written file agree with the ledger, not that a file exists.
Dates and durations stand here alone, so that results are the same bytes whenever they are made.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

from medvision.errors import BusyError, Finding, Grade, OutputError
from medvision.files import sha256_of
from medvision.study import AS_IT_STANDS, Case, Reading, Source

State = Literal["done", "refused", "failed", "skipped"]

_VERSION = 1  # of the tables below; raised with every change of them
_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    id INTEGER PRIMARY KEY, started TEXT NOT NULL, command TEXT NOT NULL, versions TEXT NOT NULL, seconds REAL);
CREATE TABLE IF NOT EXISTS cases (
    id TEXT PRIMARY KEY, state TEXT NOT NULL, verdict TEXT, source TEXT NOT NULL, images TEXT NOT NULL,
    input_sha256 TEXT, pipeline_sha256 TEXT NOT NULL, code TEXT, message TEXT, cure TEXT, files TEXT NOT NULL,
    finished TEXT NOT NULL, seconds REAL NOT NULL, peak_memory_mb REAL);
"""


@dataclass(frozen=True)
class Entry:
    """One line of the ledger.

    Parameters
    ----------
    id
        The case's id; for an input that never became a case, its path.
    state
        ``"done"``; ``"refused"``: the input is at fault; ``"failed"``: we are; ``"skipped"``: it is no image.
    source
        Where the case came from, as it was named.
    pipeline_sha256
        Of the pipeline and of all versions that a result depends on.
    images
        The sources of the case's channels, so that it can be read again; none for an input that never became a case.
    input_sha256
        Of the case's files; None where they could not be read.
    verdict
        ``"accept"`` or ``"review"`` of a case that is done.
    problem
        Why it is not done; it is read back with `source` as its path.
    files
        The SHA-256 of each file written, by its path within the output folder.
    seconds, peak_memory_mb
        What the case took; the memory is the process's greatest so far, None where not known.
    """

    id: str
    state: State
    source: Path
    pipeline_sha256: str
    images: tuple[Source, ...] = ()
    input_sha256: str | None = None
    verdict: str | None = None
    problem: Finding | None = None
    files: Mapping[str, str] | None = None
    seconds: float = 0.0
    peak_memory_mb: float | None = None


class Ledger:
    """The ledger of one output folder, held by one process at a time.

    Use it as a context manager; the folder is made where it is missing, and held until the block ends.

    Raises
    ------
    BusyError
        Another process holds the folder.
    OutputError
        The folder cannot be written, or holds a ledger that is damaged or of another version.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> Self:
        self._held = holding(self.folder)
        self._held.__enter__()
        with contextlib.ExitStack() as undo:
            undo.callback(self._held.__exit__, None, None, None)
            with self._usable():
                self._database = sqlite3.connect(self.folder / "ledger.sqlite")
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
                (_now(), command, json.dumps(versions)),
            )
        yield
        with self._writing() as database:
            database.execute("UPDATE runs SET seconds = ? WHERE id = ?", (time.monotonic() - started, cursor.lastrowid))

    def is_done(self, case: Case, input_sha256: str, pipeline_sha256: str) -> bool:
        """Whether the case was done from the same input by the same pipeline, and all its files are as written."""
        entry = self.entries(case.id).get(case.id)
        if entry is None or entry.state != "done" or entry.pipeline_sha256 != pipeline_sha256:
            return False
        return entry.input_sha256 == input_sha256 and self._holds(entry.files or {})

    def enter(self, *entries: Entry) -> None:
        """Write lines, in place of older ones of the same ids, all or none."""
        with self._writing() as database:
            for entry in entries:
                _write(database, entry)

    def holds(self, entry: Entry, *, but: str = "") -> bool:
        """Whether all files of a case that is done are as they were written, except the one named `but`."""
        files = {name: sha256 for name, sha256 in (entry.files or {}).items() if Path(name).name != but}
        return entry.state == "done" and self._holds(files)

    def forget(self, inputs: Iterable[Path], rejected: Iterable[Path]) -> None:
        """Take out what was refused, failed or skipped within `inputs`, which are looked at anew.

        The results of inputs that are now `rejected` are taken out too, with their files: they no longer hold.
        """
        named = {path.absolute() for path in inputs}
        spoilt = {path.absolute() for path in rejected}
        gone = []
        for entry in self.entries().values():
            if entry.state == "done" and entry.source in spoilt:
                self.remove_files(entry.id)
                gone.append(entry.id)
            elif entry.state != "done" and not named.isdisjoint({entry.source, *entry.source.parents}):
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
        rows = self._database.execute(
            "SELECT id, state, source, images, pipeline_sha256, input_sha256, verdict, code, message, cure, files,"
            " seconds, peak_memory_mb FROM cases WHERE ?1 IS NULL OR id = ?1 ORDER BY id",
            (id_,),
        )
        return {row[0]: _entry(row) for row in rows}

    def hashes(self, paths: Sequence[Path]) -> dict[str, str]:
        """Return the SHA-256 of files within the output folder, by their path in it."""
        return {path.relative_to(self.folder).as_posix(): sha256_of(path) for path in paths}

    def _holds(self, files: Mapping[str, str]) -> bool:
        paths = {name: self.folder / name for name in files}
        return bool(files) and all(path.is_file() and sha256_of(path) == files[name] for name, path in paths.items())

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Enter a transaction, which is whole or not at all."""
        with self._usable(), self._database as database:
            yield database

    @contextlib.contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, ValueError, LookupError, TypeError) as error:
            message = f"the ledger cannot be used: {error}"
            raise OutputError("output-unwritable", message, path=self.folder / "ledger.sqlite") from error


@contextlib.contextmanager
def holding(folder: Path) -> Iterator[None]:
    """Hold an output folder against other processes until the block ends; it is made where it is missing.

    What a killed process left of files that it had not finished is removed.

    Raises
    ------
    BusyError
        Another process holds the folder.
    OutputError
        The folder cannot be written.
    """
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock", timeout=0)
        lock.acquire()
    except Timeout as error:
        raise BusyError("busy", "another run holds this output folder", path=folder) from error
    except (OSError, NotImplementedError) as error:  # the latter where the file system knows no locks
        reason = getattr(error, "strerror", None) or error
        raise OutputError("output-unwritable", f"cannot write here: {reason}", path=folder) from error
    try:
        _remove_parts(folder)
        yield
    finally:
        lock.release()


def _write(database: sqlite3.Connection, entry: Entry) -> None:
    problem = entry.problem
    values = (
        *(entry.id, entry.state, entry.verdict, os.fsencode(entry.source.absolute()).decode(errors="replace")),
        *(json.dumps([_source_json(image) for image in entry.images]), entry.input_sha256, entry.pipeline_sha256),
        *((problem.code, problem.message, problem.cure) if problem else (None, None, None)),
        *(json.dumps(dict(entry.files or {})), _now(), entry.seconds, entry.peak_memory_mb),
    )
    database.execute(f"INSERT OR REPLACE INTO cases VALUES ({', '.join('?' * len(values))})", values)  # noqa: S608


def peak_memory_mb() -> float | None:
    """Return the greatest memory that this process has held, in MB; None where the system does not tell."""
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _remove_parts(folder: Path) -> None:
    """Remove what :func:`medvision.files.replacing` left in a process that was killed, and nothing of the user's."""
    for part in folder.rglob(".medvision-????????.part*"):
        if f"{part.name}.".startswith(".part.", len(".medvision-????????")) and part.is_file():
            part.unlink(missing_ok=True)


def _prepare(database: sqlite3.Connection) -> None:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version not in (0, _VERSION):  # 0: a new file
        raise ValueError(f"it has version {version}, and {_VERSION} is read")
    database.execute("PRAGMA synchronous = FULL")
    database.executescript(f"{_SCHEMA} PRAGMA user_version = {_VERSION};")


def _entry(row: Sequence[object]) -> Entry:
    id_, state, source, images, pipeline, input_, verdict, code, message, cure, files, seconds, memory = row
    grade: Grade = "note" if state == "skipped" else "error"
    problem = Finding(str(code), grade, str(message), Path(str(source)), str(cure)) if code else None
    return Entry(
        id=str(id_),
        state=state,  # type: ignore[arg-type]
        source=Path(str(source)),
        pipeline_sha256=str(pipeline),
        images=tuple(_source(image) for image in json.loads(str(images))),
        input_sha256=str(input_) if input_ else None,
        verdict=str(verdict) if verdict else None,
        problem=problem,
        files=json.loads(str(files)),
        seconds=float(str(seconds)),
        peak_memory_mb=float(str(memory)) if memory is not None else None,
    )


def _source_json(source: Source) -> dict[str, Any]:
    files = [str(file.absolute()) for file in source.files]
    how = {} if source.reading == AS_IT_STANDS else {"reading": asdict(source.reading)}
    return {"kind": source.kind, "files": files, "member": source.member, "part": source.part, **how}


def _source(content: Mapping[str, Any]) -> Source:
    member = content["member"]
    files = tuple(Path(file) for file in content["files"])
    return Source(
        content["kind"],
        files,
        (str(member[0]), int(member[1])) if member else None,
        content.get("part"),
        Reading(**content.get("reading", {})),
    )


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
