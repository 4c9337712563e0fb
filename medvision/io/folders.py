"""Folders that are whole or absent."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from medvision.errors import OutputError


@contextlib.contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Give a temporary folder beside `folder`; when the block ends well, sync its files and put it in that place.

    A reader sees the old folder, none for a moment, or the new one; never a part. An old folder is deleted only where
    it holds nothing but files with names that the new one has too, or that end as they do.

    Raises
    ------
    OutputError
        ``output-exists``: the old folder holds other things; ``output-unwritable``. The old folder is intact.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".medvision-", dir=folder.parent, ignore_cleanup_errors=True) as name:
            new = Path(name) / "new"
            new.mkdir()
            yield new
            for file in new.rglob("*"):
                if file.is_file():
                    _sync(file)
            _check_replaceable(folder, {file.suffix for file in new.iterdir()})
            if folder.exists():
                folder.replace(Path(name) / "old")
            new.replace(folder)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError("output-unwritable", f"writing failed: {error.strerror or error}", path=folder) from error


def refuse_taken(folder: Path) -> None:
    """Raise OutputError where there is something else than an empty folder: for what is to be new."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        cure = "Choose another --out, or delete what is there."
        raise OutputError("output-exists", "something is there already", path=folder, cure=cure)


def _sync(file: Path) -> None:
    with file.open("rb") as written:
        os.fsync(written.fileno())


def _check_replaceable(folder: Path, suffixes: set[str]) -> None:
    """Refuse to delete what this program cannot have written."""
    strange = folder.is_symlink() or (folder.exists() and not folder.is_dir())
    if strange or (folder.is_dir() and any(not _is_ours(child, suffixes) for child in folder.iterdir())):
        raise OutputError("output-exists", "it holds other things than the files to be replaced", path=folder)


def _is_ours(child: Path, suffixes: set[str]) -> bool:
    return child.is_file() and not child.is_symlink() and child.suffix in suffixes
