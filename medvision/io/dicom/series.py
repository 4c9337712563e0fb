"""From files to series: every DICOM file ends in one series, is left out with its reason, or is refused."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from medvision.errors import Finding, InputError, MedvisionError
from medvision.io.dicom.grid import stacked
from medvision.io.dicom.header import Header, read_header
from medvision.io.located import quiet


@dataclass(frozen=True)
class Sorted:
    """The files of one volume in the order of their positions, and their modality."""

    files: tuple[Path, ...]
    modality: str


@dataclass(frozen=True)
class Placed:
    """A series, or why it is refused, with the folder that holds all its files.

    Parameters
    ----------
    folder
        The folder that is common to all its files.
    number
        1, 2, ... among the series of that folder, in the order of their Series Instance UIDs; None where it is alone.
    found
        The series, or the reason of its refusal.
    """

    folder: Path
    number: int | None
    found: Sorted | Finding


def find_series(
    files: Iterable[Path], unread: Sequence[Finding] = ()
) -> tuple[list[Placed], list[Finding], list[Finding]]:
    """Sort DICOM files into series.

    Parameters
    ----------
    files
        DICOM files.
    unread
        Files named as DICOM that cannot be opened as such: a series beside them may lack a slice, and is refused.

    Returns
    -------
    The series in the order of their folders, the files that were refused, the files that were left out.
    """
    with quiet():
        headers, rejected, skipped = _headers(files)
        unread = [*unread, *rejected]
        groups: dict[str, list[Header]] = defaultdict(list)
        for header in headers:
            groups[str(header.series)].append(header)
        lone = _lone_slices(groups)
        at_folder: dict[Path, list[str]] = defaultdict(list)
        for series, members in groups.items():
            at_folder[_common_folder(members)].append(series)
        placed = []
        for folder, names in sorted(at_folder.items()):
            for n, series in enumerate(sorted(names), start=1):
                found = _series(groups[series], folder, unread, apart=series in lone)
                placed.append(Placed(folder, n if len(names) > 1 else None, found))
    return placed, rejected, skipped


def only_series(files: Sequence[Path], folder: Path, unread: Sequence[Finding] = ()) -> Sorted:
    """Return the one series among the files of a folder that a manifest names as an image.

    Raises
    ------
    InputError
        There is none (``no-image``) or more than one (``series-mixed``), or it is refused.
    """
    placed, rejected, _ = find_series(files, unread)
    if not placed and rejected:
        raise _raised(rejected[0])
    if not placed:
        raise InputError("no-image", "no DICOM series lies there", path=folder)
    if len(placed) > 1:
        raise InputError("series-mixed", f"{len(placed)} series lie there, one image is meant", path=folder)
    found = placed[0].found
    if isinstance(found, Finding):
        raise _raised(found)
    return found


def _raised(finding: Finding) -> InputError:
    return InputError(finding.code, finding.message, path=finding.path, cure=finding.cure)


def _headers(files: Iterable[Path]) -> tuple[list[Header], list[Finding], list[Finding]]:
    headers, rejected, skipped = [], [], []
    for file in files:
        try:
            header = read_header(file)
        except MedvisionError as error:
            rejected.append(error.finding)
            continue
        if not header.is_analysed:
            text = f"an object of SOP class {header.sop_class}"
            skipped.append(Finding("not-analysed-here", "note", text, file))
        elif header.series is None:
            rejected.append(Finding("bad-header", "error", "it states no Series Instance UID (0020,000E)", file))
        else:
            headers.append(header)
    return headers, rejected, skipped


def _common_folder(members: Sequence[Header]) -> Path:
    folders = {member.file.parent for member in members}
    if len({folder.is_absolute() for folder in folders}) > 1:
        folders = {folder.absolute() for folder in folders}
    return Path(os.path.commonpath(folders))


def _lone_slices(groups: Mapping[str, Sequence[Header]]) -> set[str]:
    """Return the series of one slice that lie parallel in one study: together they may be one volume."""
    alike: dict[tuple[object, ...], set[str]] = defaultdict(set)
    for series, members in groups.items():
        first = members[0]
        if len(members) == 1 and first.position and first.orientation:
            cosines = tuple(round(cosine, 3) for cosine in first.orientation)
            alike[(first.study, first.patient, first.frame_of_reference, cosines, first.rows, first.columns)].add(
                series
            )
    return {series for together in alike.values() if len(together) > 1 for series in together}


def _series(members: Sequence[Header], folder: Path, unread: Sequence[Finding], *, apart: bool) -> Sorted | Finding:
    try:
        stack = stacked(members)
    except MedvisionError as error:
        return _for_all(error.finding, len(members))
    if apart:
        text = "several series of one slice each lie parallel in one study: one volume may have been taken apart"
        return Finding("series-mixed", "error", text, stack.headers[0].file)
    folders = {member.file.parent for member in members}
    beside = next((f for f in unread if f.path is not None and f.path.parent in folders), None)
    if beside is not None and beside.path is not None and not stack.headers[0].is_projection:
        text = f"{beside.path.name} beside its {len(members)} slices cannot be read, and may be one of them"
        return _for_all(Finding("slices-missing", "error", text, folder), len(members))
    first = stack.headers[0]
    return Sorted(tuple(header.file for header in stack.headers), first.modality or "")


def _for_all(finding: Finding, count: int) -> Finding:
    """Return the finding about one slice as the reason of the refusal of the whole series."""
    if count == 1:
        return finding
    return Finding(
        finding.code, "error", f"{finding.message}; all {count} slices are refused", finding.path, finding.cure
    )
