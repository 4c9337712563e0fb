"""Who may write to an output folder: one run, or the shards of one, each holding its own ledger."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from medvision.batch.entry import now
from medvision.errors import BusyError, OutputError

_LOCK = ".lock"
_DYING_SECONDS = 6.0  # in which the processes end that a killed run has started; they hold the folder as long


@contextlib.contextmanager
def holding(folder: Path, shard: str | None = None) -> Iterator[tuple[int, ...]]:
    """Hold an output folder against other processes until the block ends; it is made where it is missing.

    What a killed process left of files that it had not finished is removed, unless other shards are at work. Files
    that are given to child processes keep the folder held until the last of them has ended, too.

    Parameters
    ----------
    shard
        The name of the shard that is to be held beside others, as in ``"2-of-4"``; None for the whole folder.

    Yields
    ------
    The open files by which the folder is held (flock(2)).

    Raises
    ------
    BusyError
        Another process holds the folder, or the shard; what is known of it is said.
    OutputError
        The folder cannot be written, or its file system knows no locks.
    """
    with contextlib.ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            files = [_locked(folder / _LOCK, held, shared=shard is not None)]
            if shard is not None:
                _state(files[0], None)  # nobody holds it alone, whatever a killed run has left there
                files.append(_locked(folder / f"{_LOCK}-{shard}", held, shared=False))
            _state(files[-1], {"pid": os.getpid(), "host": socket.gethostname(), "started": now()})
            held.callback(_state, files[-1], None)
        except BusyError:
            raise
        except OSError as error:
            raise OutputError("output-unwritable", f"cannot write here: {error.strerror}", path=folder) from error
        if shard is None:
            remove_parts(folder)
        yield tuple(files)


def require_writable(folder: Path) -> None:
    """Raise OutputError where an output folder cannot be made or written, without making it.

    Raises
    ------
    OutputError
        It, or the folder in which it would be made, is read-only or no folder.
    """
    place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not place.is_dir():
        raise OutputError("output-unwritable", "cannot write here: Not a directory", path=folder)
    if not os.access(place, os.W_OK | os.X_OK):
        read_only = bool(os.statvfs(place).f_flag & os.ST_RDONLY)
        why = "Read-only file system" if read_only else "Permission denied"
        raise OutputError("output-unwritable", f"cannot write here: {why}", path=folder)


def remove_parts(folder: Path) -> None:
    """Remove what :func:`medvision.files.replacing` left in a process that was killed, and nothing of the user's."""
    for part in folder.rglob(".medvision-????????.part*"):
        if f"{part.name}.".startswith(".part.", len(".medvision-????????")) and part.is_file():
            part.unlink(missing_ok=True)


def _locked(path: Path, held: contextlib.ExitStack, *, shared: bool) -> int:
    """Open a file and lock it until `held` ends; one whose holder is no more is waited for, until its children end."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    held.callback(os.close, file)
    until = time.monotonic() + _DYING_SECONDS
    while True:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if not _is_gone(_stated(path)) or time.monotonic() > until:
                raise _busy(path) from error
            time.sleep(0.05)
        else:
            return file


def _busy(path: Path) -> BusyError:
    shards = sorted(path.parent.glob(f"{_LOCK}-*")) if path.name == _LOCK else []
    holders = [words for words in (_words(_stated(place)) for place in [path, *shards]) if words]
    what = "this output folder" if path.name == _LOCK else f"shard {path.name.removeprefix(f'{_LOCK}-')}"
    said = f": {'; '.join(holders)}" if holders else ""
    return BusyError("busy", f"another run holds {what}{said}", path=path.parent)


def _words(holder: dict[str, Any]) -> str:
    if not holder or _is_gone(holder):
        return ""
    return f"process {holder.get('pid')} on {holder.get('host')}, since {holder.get('started')}"


def _is_gone(holder: dict[str, Any]) -> bool:
    """Whether the holder was a process of this machine, and has ended."""
    if holder.get("host") != socket.gethostname() or not isinstance(holder.get("pid"), int):
        return False
    try:
        os.kill(holder["pid"], 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _stated(path: Path) -> dict[str, Any]:
    """Return what the holder of a lock has written there; nothing where it has not, or not yet."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _state(file: int, holder: dict[str, Any] | None) -> None:
    """Say who holds a lock; that the disk takes no more is told where it matters."""
    with contextlib.suppress(OSError):
        os.ftruncate(file, 0)
        if holder is not None:
            os.pwrite(file, json.dumps(holder).encode(), 0)
