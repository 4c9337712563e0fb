"""What lies below a folder: each file once, in an order that does not depend on the file system."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from medvision.errors import Finding, InputError, MedvisionError
from medvision.io.kinds import LIST_SUFFIXES, claimed_kind, kind_of
from medvision.study import SourceKind

_Place = Literal["folder", "file", "apart"]
_LEDGER = "ledger.sqlite"  # stands in every output folder of a run


@dataclass(frozen=True)
class Found:
    """The files below a folder.

    Parameters
    ----------
    images
        Each image file with its kind, sorted by path.
    datasets
        Folders that hold a data set of their own; they were not entered.
    rejected, skipped
        As in :class:`medvision.study.Collection`.
    """

    images: tuple[tuple[Path, SourceKind], ...]
    datasets: tuple[Path, ...]
    rejected: tuple[Finding, ...]
    skipped: tuple[Finding, ...]


def walk(folder: Path, *, is_apart: Callable[[Path], bool] = lambda _: False) -> Found:
    """Return what lies below `folder`, at any depth.

    Loops of symbolic links are cut, pipes, sockets and devices are passed over unopened, and folders without any file
    are rejected. A folder below `folder` for which `is_apart` holds is handed back unentered, as a data set; one that
    holds the results of a run is skipped as a whole, since its masks and maps would be taken for cases.
    """
    images: list[tuple[Path, SourceKind]] = []
    findings: list[Finding] = []
    places: dict[_Place, list[Path]] = {"folder": [], "file": [], "apart": []}
    for entry in _entries(folder, is_apart):
        if isinstance(entry, Finding):
            findings.append(entry)
        else:
            places[entry[0]].append(entry[1])
    for file in sorted(places["file"]):
        found = _examined(file)
        if isinstance(found, Finding):
            findings.append(found)
        else:
            images.append((file, found))
    occupied = [*places["file"], *places["apart"], *(finding.path for finding in findings if finding.path)]
    for empty in _empty(folder, places["folder"], occupied):
        findings.append(Finding("empty-folder", "error", "no file lies in it", empty))
    findings.sort(key=lambda finding: str(finding.path))
    return Found(
        tuple(images),
        tuple(sorted(places["apart"])),
        tuple(finding for finding in findings if finding.grade == "error"),
        tuple(finding for finding in findings if finding.grade != "error"),
    )


def refuse_results(folder: Path) -> None:
    """Refuse the output folder of a run as a place of images.

    Raises
    ------
    InputError
        ``no-image``: there is a ledger in it.
    """
    if (folder / _LEDGER).exists():
        cure = "Name the folder of the scans; a single file in here can be read by its name."
        raise InputError("no-image", "it holds the results of a medvision run", path=folder, cure=cure)


def _entries(folder: Path, is_apart: Callable[[Path], bool]) -> Iterator[tuple[_Place, Path] | Finding]:
    """Give every folder and regular file, and a finding for what is neither; a stack, since trees can be deep."""
    seen: set[tuple[int, int]] = set()
    stack = [folder]
    while stack:
        here = stack.pop()
        try:
            status = here.stat()
            with os.scandir(here) as scan:
                children = sorted(scan, key=lambda child: child.name)
        except OSError as error:
            yield Finding("unreadable", "error", f"the folder cannot be opened: {error.strerror}", here)
            continue
        if (status.st_dev, status.st_ino) in seen:
            yield Finding("not-read", "note", "a link to a folder that was read already", here)
            continue
        seen.add((status.st_dev, status.st_ino))
        if here != folder and any(child.name == _LEDGER for child in children):
            yield Finding("not-read", "note", "results of a medvision run", here)
            continue
        if here != folder and is_apart(here):
            yield "apart", here
            continue
        yield "folder", here
        for child in children:
            if _is_folder(child):
                # Links wait at the bottom, so that a folder is met under its own name first.
                stack.insert(0 if child.is_symlink() else len(stack), Path(child.path))
            else:
                yield _file_or_finding(child)


def _is_folder(child: os.DirEntry[str]) -> bool:
    try:
        return child.is_dir()
    except OSError:
        return False


def _file_or_finding(child: os.DirEntry[str]) -> tuple[_Place, Path] | Finding:
    path = Path(child.path)
    try:
        regular = child.is_file()
    except OSError:
        regular = False
    if regular:
        return "file", path
    if child.is_symlink() and claimed_kind(path):
        return Finding("not-found", "error", "a link that leads nowhere", path)
    return Finding("not-read", "note", "a pipe, a socket, a device or a broken link", path)


def _examined(file: Path) -> SourceKind | Finding:
    # "._scan.nii.gz" and the like are notes of a file system, temporary names are half-written files.
    if file.name.startswith("."):
        return Finding("not-read", "note", "a hidden file", file)
    try:
        kind = kind_of(file)
    except MedvisionError as error:
        return error.finding
    if kind is None and file.suffix.lower() in LIST_SUFFIXES:
        words = "perhaps a list of cases: it was not used"
        return Finding("not-read", "note", words, file, "To use what it states (sides, labels), name it as the input.")
    return kind if kind is not None else Finding("not-read", "note", "not an image", file)


def _empty(root: Path, folders: Iterable[Path], occupied: Iterable[Path]) -> list[Path]:
    """Return the topmost folders below which no file lies."""
    full = set(occupied)
    for path in tuple(full):
        for parent in path.parents:
            if parent in full:
                break
            full.add(parent)
            if parent == root:
                break
    empty = {folder for folder in folders if folder not in full}
    return sorted(folder for folder in empty if folder.parent not in empty or folder == root)
