"""What lies below a folder or in an archive: each file once, in an order that does not depend on the file system."""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

from medvision import archives
from medvision.errors import Finding, InputError, MedvisionError
from medvision.io.dicom.directory import read_directory
from medvision.io.kinds import LIST_SUFFIXES, claimed_kind, content_of
from medvision.io.located import located
from medvision.study import SourceKind

_Place = Literal["folder", "file", "apart"]
_Image = tuple[Path, SourceKind]
_Test = Callable[[Path], bool]
_LEDGER = "ledger.sqlite"  # stands in every output folder of a run
_UNPACK = "Unpack it, and name the folder."


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


def walk(folder: Path, *, is_apart: _Test = lambda _: False) -> Found:
    """Return what lies below `folder`, at any depth, zip archives included.

    `folder` may be an archive, or lie in one; an archive within an archive is not entered. Loops of symbolic links are
    cut, and what is linked is read once. Pipes, sockets and devices are passed over unopened, and folders without any
    file are rejected. A folder below `folder` for which `is_apart` holds is handed back unentered, as a data set; in an
    archive it is rejected. One that is hidden, or holds the results of a run, is skipped as a whole: masks and maps
    would be taken for cases. A DICOMDIR is not trusted: what it names is compared with what is there.

    Raises
    ------
    InputError
        What :func:`medvision.archives.members` refuses, where `folder` is an archive; of others it is a finding.
    """
    images: list[_Image] = []
    findings: list[Finding] = []
    places: dict[_Place, list[Path]] = {"folder": [], "file": [], "apart": []}
    is_inside = archives.is_folder(folder) and not folder.is_dir()
    for entry in () if is_inside else _entries(folder, is_apart):
        if isinstance(entry, Finding):
            findings.append(entry)
        else:
            places[entry[0]].append(entry[1])
    full = {*(file.parent for file in places["file"]), *places["apart"], *(f.path for f in findings if f.path)}
    files = sorted(places["file"], key=lambda file: file.parts)
    examined = chain.from_iterable(_examined(file, is_apart) for file in files)
    for found in _in_archive(folder, is_apart, is_root=True) if is_inside else examined:
        if isinstance(found, Finding):
            findings.append(found)
        else:
            images.append(found)
    for empty in _empty(folder, places["folder"], full):
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
    if archives.exists(folder / _LEDGER):
        cure = "Name the folder of the scans; a single file in here can be read by its name."
        raise InputError("no-image", "it holds the results of a medvision run", path=folder, cure=cure)


def _entries(folder: Path, is_apart: _Test) -> Iterator[tuple[_Place, Path] | Finding]:
    """Give every folder and regular file, and a finding for what is neither; a stack, since trees can be deep."""
    seen: set[tuple[int, int]] = set()
    links: list[Path] = []
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
        names = {child.name for child in children}
        if here != folder and (closed := _hidden(here) or _closed(here, names, is_apart)):
            yield closed
            continue
        yield "folder", here
        for child in children:
            path = here / child.name
            # Links wait, so that what they lead to is met under its own name first.
            if _holds(child.is_dir):
                stack.insert(0 if child.is_symlink() else len(stack), path)
            elif child.name.startswith("."):  # not read, so that a link to it is
                yield "file", path
            elif child.is_symlink():
                links.append(path)
            else:
                seen.add((status.st_dev, child.inode()))
                yield _file_or_finding(path, is_file=_holds(child.is_file))
    for link in sorted(links):
        yield _linked(link, seen)


def _hidden(folder: Path) -> Finding | None:
    return Finding("not-read", "note", "a hidden folder", folder) if folder.name.startswith(".") else None


def _closed(folder: Path, names: Container[str], is_apart: _Test) -> tuple[_Place, Path] | Finding | None:
    """Return what stands for a folder that is not entered; None for one that is."""
    if _LEDGER in names:
        return Finding("not-read", "note", "results of a medvision run", folder)
    return ("apart", folder) if is_apart(folder) else None


def _holds(test: Callable[[], bool]) -> bool:
    """Whether a test of a folder's entry holds; some ask the system, which may refuse to answer."""
    try:
        return test()
    except OSError:
        return False


def _file_or_finding(path: Path, *, is_file: bool) -> tuple[_Place, Path] | Finding:
    return ("file", path) if is_file else Finding("not-read", "note", "a pipe, a socket or a device", path)


def _linked(link: Path, seen: set[tuple[int, int]]) -> tuple[_Place, Path] | Finding:
    """Return the file that a link leads to under the link's name, unless it was met already."""
    try:
        status = link.stat()
    except OSError:
        if claimed_kind(link):
            return Finding("not-found", "error", "a link that leads nowhere", link)
        return Finding("not-read", "note", "a broken link", link)
    if (status.st_dev, status.st_ino) in seen:
        return Finding("not-read", "note", "a link to a file that was read already", link)
    seen.add((status.st_dev, status.st_ino))
    return _file_or_finding(link, is_file=stat.S_ISREG(status.st_mode))


def _examined(file: Path, is_apart: _Test, *, is_inside: bool = False) -> Iterator[_Image | Finding]:
    """Give a file with its kind, or what an archive holds, or why there is nothing to read."""
    # "._scan.nii.gz" and the like are notes of a file system, temporary names are half-written files.
    if file.name.startswith("."):
        yield Finding("not-read", "note", "a hidden file", file)
        return
    try:
        content = content_of(file, is_regular=True)
        if content == "archive" and not is_inside:
            yield from _in_archive(file, is_apart)
        elif content == "archive":
            yield Finding("not-read", "note", "an archive within an archive: it was not entered", file, _UNPACK)
        elif content == "npz" and is_inside:
            yield Finding("unsupported", "error", "an .npz file within an archive is not read", file, _UNPACK)
        elif content == "directory":
            yield from _compared(file)
        else:
            yield (file, content) if content else _passed_over(file)
    except MedvisionError as error:
        yield error.finding


def _in_archive(root: Path, is_apart: _Test, *, is_root: bool = False) -> Iterator[_Image | Finding]:
    """Give what lies in an archive, or below a folder of one."""
    with located(root):
        files = archives.members(root)
    if not files:
        yield Finding("empty-folder", "error", "no file lies in it", root)
    names: dict[Path, set[str]] = defaultdict(set)
    for file in files:
        names[file.parent].add(file.name)
    shut: set[Path] = set()
    for folder in sorted({folder for deep in names for folder in (deep, *deep.parents)}):
        if folder.parent in shut:
            shut.add(folder)
        elif folder.is_relative_to(root):
            hidden = None if is_root and folder == root else _hidden(folder)
            closed = hidden or _closed(folder, names[folder], is_apart)
            if closed:
                shut.add(folder)
                yield closed if isinstance(closed, Finding) else _data_set(folder)
    for file in files:
        if file.parent not in shut:
            yield from _examined(file, is_apart, is_inside=True)


def _data_set(folder: Path) -> Finding:
    return Finding("unsupported", "error", "a data set within an archive is not read", folder, _UNPACK)


def _compared(directory: Path) -> Iterator[Finding]:
    """Give what a DICOMDIR is worth telling; one that is damaged keeps no file from being read."""
    text = "a DICOMDIR: what lies in its folder is read, whatever it names"
    try:
        yield from read_directory(directory).findings
    except MedvisionError as error:
        if error.code == "unsafe-path":
            yield error.finding
        text = f"{text}; {error.finding.message}"
    yield Finding("not-analysed-here", "note", text, directory)


def _passed_over(file: Path) -> Finding:
    """Return why a file is left out; one that is empty and whose name could be a slice's is told apart."""
    with located(file):
        if archives.size_of(file) == 0 and (not file.suffix or file.suffix[1:].isdigit()):
            return Finding("truncated", "note", "the file is empty (0 bytes)", file)
    if file.suffix.lower() in LIST_SUFFIXES:
        words = "perhaps a list of cases: it was not used"
        return Finding("not-read", "note", words, file, "To use what it states (sides, labels), name it as the input.")
    return Finding("not-read", "note", "not an image", file)


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
