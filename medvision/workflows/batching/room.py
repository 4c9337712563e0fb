"""Whether the disk has room for what a run will write."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

from medvision.batch import Entry
from medvision.errors import OutputError
from medvision.study import Case

_PAGE_BYTES = 100_000  # of page and record, whatever the image
_LEAST_SHARE = 0.02  # of an image's bytes, for masks and maps that say the same almost everywhere
_LOOKED_AT = 32  # cases, which stand for all: to look at each file of ten thousand series takes minutes


def needed_bytes(missing: Sequence[Case], done: Iterable[Entry], out: Path) -> int:
    """Return roughly what the results of cases will take: as much as those of cases that are done, or the least.

    Parameters
    ----------
    missing
        The cases that are to be analysed.
    done
        What is done in `out`; the first of them are looked at.
    out
        The output folder.
    """
    sizes = [_written_bytes(entry, out) for entry in islice(done, _LOOKED_AT)]
    if not sizes:
        sizes = [_PAGE_BYTES + int(_LEAST_SHARE * _input_bytes(case)) for case in missing[:_LOOKED_AT]]
    return len(missing) * sum(sizes) // max(1, len(sizes))


def require_room(out: Path, needed: int, cases: int) -> None:
    """Raise OutputError where the disk has less room than is needed.

    Raises
    ------
    OutputError
        What is needed and what is free are named (``disk-full``).
    """
    if free_bytes(out) < needed:
        raise no_room(out, needed, cases)


def no_room(path: Path, needed: int, cases: int, *, why: str = "") -> OutputError:
    """Return the error that says what is needed for some cases, and what is free where `path` lies."""
    message = f"{cases} cases need about {_words(needed)}, and {_words(free_bytes(path))} are free"
    return OutputError("disk-full", "; ".join(filter(None, [why, message])), path=path)


def free_bytes(path: Path) -> int:
    """Return what is free on the disk where a file or folder lies, or would lie."""
    place = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    return shutil.disk_usage(place).free


def _written_bytes(entry: Entry, out: Path) -> int:
    paths = [out / name for name in entry.files or {}]
    return sum(path.stat().st_size for path in paths if path.is_file())


def _input_bytes(case: Case) -> int:
    files = [file for image in case.images for file in image.files]
    return sum(file.stat().st_size for file in files if file.is_file())


def _words(size: int) -> str:
    """Return a size in the unit that suits it.

    >>> _words(0), _words(130_000), _words(2_500_000_000)
    ('0.0 MB', '0.1 MB', '2.5 GB')
    """
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
