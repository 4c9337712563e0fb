"""Files that are whole or absent: atomic writes and content hashes."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from medvision.archives import opened
from medvision.errors import OutputError

Paths = str | Path | Iterable[str | Path]
"""One path, or several."""

_CHUNK = 1 << 20
_PREFIX = ".medvision-"  # of temporary names; by it, the ledger knows what a killed run left


def as_paths(paths: Paths) -> list[Path]:
    """Return one path, or several, as a list.

    >>> as_paths("a.nii") == as_paths([Path("a.nii")]) == [Path("a.nii")]
    True
    """
    return [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]


@contextlib.contextmanager
def replacing(path: Path, *, synced: bool = True) -> Iterator[Path]:
    """Give a temporary path beside `path`; when the block ends well, sync it and put it in `path`'s place.

    A reader sees the old file or the new one, never a part. The temporary file is removed when the block fails.

    Parameters
    ----------
    synced
        Whether to wait until the disk holds the content; only for what is checked when read, and can be made again,
        may that be left out.

    Raises
    ------
    OutputError
        The folder cannot be written, or the disk is full; the old file is intact.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=_PREFIX, suffix=f".part{''.join(path.suffixes)}", dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise OutputError(_code_of(error), f"cannot write here: {error.strerror}", path=path) from error
    temporary = Path(name)
    try:
        yield temporary
        if synced:
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(_code_of(error), f"writing failed: {error.strerror or error}", path=path) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write `content` to `path` as UTF-8, whole or not at all."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    """Write `content` as readable JSON (UTF-8, NaN refused), whole or not at all."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_figure(path: Path, figure: Any) -> None:
    """Write a figure of matplotlib as PNG, whole or not at all, without a word about the software that drew it."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120, metadata={"Software": None})


def sha256_of(*paths: Path) -> str:
    """Return the SHA-256 of the contents of files, on disk or in archives, one after another, as 64 hex digits."""
    total = hashlib.sha256()
    for path in paths:
        for chunk in _chunks(path):
            total.update(chunk)
    return total.hexdigest()


def sha256_of_bytes(*parts: bytes) -> str:
    """Return the SHA-256 of `parts`, one after another, as 64 hex digits."""
    total = hashlib.sha256()
    for part in parts:
        total.update(part)
    return total.hexdigest()


def sha256_of_text(parts: Iterable[str]) -> str:
    """Return the SHA-256 of `parts`, each ended by a zero byte, as 64 hex digits.

    >>> sha256_of_text(["a", "b"]) == sha256_of_text(["ab"])
    False
    """
    # Names of files that are no UTF-8 come with surrogates.
    return sha256_of_bytes(*(part.encode(errors="surrogateescape") + b"\0" for part in parts))


def _chunks(path: Path) -> Iterator[bytes]:
    with opened(path) as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _code_of(error: OSError) -> str:
    return "disk-full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "output-unwritable"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
