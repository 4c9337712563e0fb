"""What a DICOMDIR names: the directory of a CD, or of another medium (PS3.10, 8; PS3.3, F)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medvision import archives
from medvision.errors import Finding, InputError
from medvision.io.located import decoding, located, quiet

_MAX_BYTES = 1 << 29  # some million records
_RECORDS = 0x00041220  # Directory Record Sequence
_IN_USE = 0x00041410  # Record In-use Flag
_FILE_ID = 0x00041500  # Referenced File ID


@dataclass(frozen=True)
class Directory:
    """The files that a DICOMDIR names.

    Parameters
    ----------
    files
        Those that are there, in the order of the records, each once.
    findings
        What is to be told: an error where files are not there, since a medium copied in part is a loss in silence.
    """

    files: tuple[Path, ...]
    findings: tuple[Finding, ...] = ()


def read_directory(path: Path) -> Directory:
    """Return the files that a DICOMDIR names, on disk or within an archive.

    Names are matched without regard to capitals, and to the ``;1`` that ISO 9660 puts behind them: copies of a medium
    differ in both.

    Raises
    ------
    InputError
        ``unsafe-path``: a name is absolute or leads out of the DICOMDIR's folder, through symbolic links too;
        ``bad-header``: it has no records or cannot be understood; ``too-large``, ``unreadable``.
    """
    with located(path):
        names = [_parts(value) for value in _file_ids(path)]
        match = _matcher(path.parent)
        found = [match(parts) for parts in names]
        files = tuple(dict.fromkeys(file for file in found if file is not None))
        _check_inside(files, path.parent)
    missing = sum(file is None for file in found)
    if not missing:
        return Directory(files)
    text = f"the DICOMDIR names {len(names)} files, and {missing} of them are not there"
    return Directory(files, (Finding("not-found", "error", text, path, "Copy the whole medium again."),))


def _file_ids(path: Path) -> list[list[str]]:
    """Return the components of every Referenced File ID, and of nothing else: records hold names of patients."""
    from pydicom import dcmread

    size = archives.size_of(path)
    if size > _MAX_BYTES:
        raise InputError("too-large", f"the DICOMDIR has {size:,} bytes, {_MAX_BYTES:,} are accepted")
    with archives.opened(path) as file, quiet(), decoding("the DICOMDIR"):
        records = dcmread(file, force=True, specific_tags=[_RECORDS]).get(_RECORDS)
        if records is None:
            raise InputError("bad-header", "it has no Directory Record Sequence (0004,1220)")
        values = [_value(record, _FILE_ID) for record in records.value if _value(record, _IN_USE) != 0]
        return [[value] if isinstance(value, str) else [str(part) for part in value] for value in values if value]


def _value(record: Any, tag: int) -> Any:
    element = record.get(tag)
    return None if element is None else element.value


def _parts(components: Iterable[str]) -> tuple[str, ...]:
    """Return the names that lead to a file; some writers put them into one component, separated by a slash."""
    name = "/".join(component.strip() for component in components)
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if name.startswith("/") or re.match("[A-Za-z]:", name) or "\0" in name or ".." in parts or not parts:
        raise InputError("unsafe-path", "the DICOMDIR names a file outside its folder")
    return parts


def _matcher(folder: Path) -> Callable[[Iterable[str]], Path | None]:
    """Return what finds a file below `folder` by its names."""
    list_names = _names_on_disk if archives.archive_of(folder / "x") is None else _lister(folder)
    known: dict[Path, dict[str, list[str]]] = {}

    def match(parts: Iterable[str]) -> Path | None:
        place = folder
        for part in parts:
            if place not in known:
                known[place] = defaultdict(list)
                for name in list_names(place):
                    known[place][_key(name)].append(name)
            alike = known[place].get(_key(part), [])
            if part not in alike and len(alike) != 1:
                return None
            place = place / (part if part in alike else alike[0])
        return place if archives.exists(place) and not archives.is_folder(place) else None

    return match


def _names_on_disk(folder: Path) -> Iterable[str]:
    return (child.name for child in folder.iterdir()) if folder.is_dir() else ()


def _lister(folder: Path) -> Callable[[Path], Iterable[str]]:
    below: dict[Path, set[str]] = defaultdict(set)
    for file in archives.members(folder):
        path = file
        while path != folder and path.name not in below[path.parent]:
            below[path.parent].add(path.name)
            path = path.parent
    return lambda place: below.get(place, ())


def _key(name: str) -> str:
    """Return what is left of a name on every medium.

    >>> _key("im000001.;1"), _key("IM000001")
    ('IM000001', 'IM000001')
    """
    return re.sub(r"\.?(;\d+)?$", "", name).upper()


def _check_inside(files: Iterable[Path], folder: Path) -> None:
    root = folder.resolve()
    if not all(file.resolve().is_relative_to(root) for file in files):
        raise InputError("unsafe-path", "a link leads from a file that the DICOMDIR names to outside its folder")
