"""From files to series: every DICOM file ends in a volume, is left out with its reason, or is refused."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from medvision.errors import Finding, InputError, MedvisionError
from medvision.files import sha256_of_text
from medvision.io.dicom.admission import is_unknown_volume
from medvision.io.dicom.frame import Frame
from medvision.io.dicom.grid import Stack, check_together, stacked
from medvision.io.dicom.header import read_frames
from medvision.io.dicom.objects import image_kind, name_of, other_object
from medvision.io.dicom.volumes import Group, groups_of
from medvision.io.kinds import claimed_kind
from medvision.io.located import quiet
from medvision.study import AS_IT_STANDS, Reading, Series, Source

_AT_ONCE, _BATCH = 8, 64  # threads overlap waiting for slow disks; each takes a batch of files
_PLANES = ("sagittal", "coronal", "axial")
_OBLIQUE_DEGREES = 20.0


@dataclass(frozen=True)
class Placed:
    """Volumes at one place of one series, or why they are refused, with the folder that holds their files.

    Parameters
    ----------
    folder
        The folder that is common to all its files.
    number
        1, 2, ... among those of that folder, in the order of their Series Instance UIDs; None where it is alone.
    series
        What it is, by its headers.
    found
        A source for each volume, in order, or the reason of the refusal.
    noticed
        What the files beside it give reason to say.
    """

    folder: Path
    number: int | None
    series: Series
    found: tuple[Source, ...] | Finding
    noticed: tuple[Finding, ...] = ()


@dataclass
class _Sorted:
    """What the files came to, as it grows."""

    placed: list[Placed] = field(default_factory=list)
    rejected: list[Finding] = field(default_factory=list)
    skipped: list[Finding] = field(default_factory=list)


def find_series(
    files: Iterable[Path], unread: Sequence[Finding] = (), reading: Reading = AS_IT_STANDS
) -> tuple[list[Placed], list[Finding], list[Finding]]:
    """Sort DICOM files into series.

    Parameters
    ----------
    files
        DICOM files.
    unread
        Files named as DICOM that are none: a series beside them may lack a slice, and is marked for review. Beside
        damaged DICOM files, a series is refused.
    reading
        What was decided about how to read.

    Returns
    -------
    The series in the order of their folders, the files that were refused, the files that were left out.
    """
    result = _Sorted()
    with quiet():
        series = _by_series(_frames(files, result), result)
        if reading.merge_series:
            series = _merged(series)
        lone = _lone_slices(series)
        at_folder: dict[Path, list[tuple[Group, tuple[Source, ...], bool]]] = defaultdict(list)
        damaged = tuple(result.rejected)
        for name in sorted(series):
            groups = _groups(series[name])
            for group, sources in zip(groups, _sources(series[name], groups, reading), strict=True):
                at_folder[_common_folder(group)].append((group, sources, name in lone))
        for folder, groups_there in sorted(at_folder.items()):
            for n, (group, sources, apart) in enumerate(groups_there, start=1):
                found = _checked(group, sources, reading, damaged, apart=apart)
                number = n if len(groups_there) > 1 else None
                result.placed.append(Placed(folder, number, _described(group), found, _beside(group, unread)))
                result.rejected += group.refused
                result.skipped += group.dropped
    return result.placed, result.rejected, result.skipped


def only_series(
    files: Sequence[Path], folder: Path, unread: Sequence[Finding] = (), reading: Reading = AS_IT_STANDS
) -> Source:
    """Return the one volume among the files of a folder that a manifest names as an image.

    Raises
    ------
    InputError
        There is none (``no-image``), more than one series (``series-mixed``) or volume (``not-3d``), or it is refused.
    """
    placed, rejected, _ = find_series(files, unread, reading)
    if rejected:  # what cannot be read may be a part of what is meant
        raise _raised(rejected[0])
    if not placed:
        raise InputError("no-image", "no DICOM series lies there", path=folder)
    if len(placed) > 1:
        raise InputError("series-mixed", f"{len(placed)} series lie there, one image is meant", path=folder)
    found = placed[0].found
    if isinstance(found, Finding):
        raise _raised(found)
    if placed[0].noticed:
        raise _raised(placed[0].noticed[0])
    if len(found) > 1:
        raise InputError("not-3d", f"{len(found)} volumes lie there, one image is meant", path=folder)
    return found[0]


def possible_slices(findings: Iterable[Finding]) -> list[Finding]:
    """Return those findings that are about files which may have been DICOM slices.

    Their names promise DICOM, or they are empty and their names promise nothing: slices often have no suffix.
    """
    return [
        finding
        for finding in findings
        if finding.path is not None
        and (claimed_kind(finding.path) == "dicom" or (finding.code == "truncated" and not claimed_kind(finding.path)))
    ]


def _raised(finding: Finding) -> InputError:
    return InputError(finding.code, finding.message, path=finding.path, cure=finding.cure)


def _frames(files: Iterable[Path], result: _Sorted) -> list[Frame]:
    """Read all headers, several at a time."""
    ordered = list(files)
    batches = [ordered[n : n + _BATCH] for n in range(0, len(ordered), _BATCH)]
    if len(batches) < 2:
        read = [_read_batch(batch) for batch in batches]
    else:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            read = list(pool.map(_read_batch, batches))
    frames: list[Frame] = []
    for found, rejected in read:
        frames += found
        result.rejected += rejected
    return frames


def _read_batch(files: Sequence[Path]) -> tuple[list[Frame], list[Finding]]:
    frames: list[Frame] = []
    rejected = []
    for file in files:
        try:
            frames += read_frames(file)
        except MedvisionError as error:
            rejected.append(error.finding)
    return frames, rejected


def _by_series(frames: Sequence[Frame], result: _Sorted) -> dict[str, list[Frame]]:
    """Return the frames to analyse by their Series Instance UID; a file is left out as a whole or not at all."""
    series: dict[str, list[Frame]] = defaultdict(list)
    with_slices = {frame.file for frame in frames if not _is_localizer(frame)}
    for frame in frames:
        if not _is_image(frame) or frame.file not in with_slices:
            if frame.number == 0:
                result.skipped.append(_left_out(frame))
        elif frame.series is None and _is_picture(frame):
            series[str(frame.file)].append(frame)  # it stands alone in any case
        elif frame.series is None:
            text = "it states no Series Instance UID (0020,000E)"
            result.rejected.append(Finding("bad-header", "error", text, frame.file))
        else:
            series[frame.series].append(frame)
    return series


def _is_image(frame: Frame) -> bool:
    if other_object(frame.sop_class) is not None:
        return False
    return frame.rows is not None or image_kind(frame.sop_class) is not None or is_unknown_volume(frame)


def _is_picture(frame: Frame) -> bool:
    kind = image_kind(frame.sop_class)
    return kind is not None and kind.form in ("projection", "frames")


def _is_localizer(frame: Frame) -> bool:
    return frame.modality == "CT" and "LOCALIZER" in frame.image_type


def _left_out(frame: Frame) -> Finding:
    words = "localizer: a projection, not a slice" if _is_localizer(frame) else name_of(frame.sop_class)
    return Finding("not-analysed-here", "note", words, frame.file)


def _groups(frames: Sequence[Frame]) -> list[Group]:
    """Return the volumes of one series; what belongs to another patient or study refuses it as a whole."""
    try:
        check_together(frames, only=("study", "patient"))
        return groups_of(frames)
    except MedvisionError as error:
        return [Group((tuple(frames),), reason=error.finding)]


def _merged(series: Mapping[str, list[Frame]]) -> dict[str, list[Frame]]:
    """Return parallel series of one slice each as one series, as allowed."""
    merged: dict[str, list[Frame]] = defaultdict(list)
    lone = _lone_slices(series)
    for name, members in series.items():
        key = str(_likeness(members[0])) if name in lone else name
        merged[key] += members
    return merged


def _lone_slices(series: Mapping[str, Sequence[Frame]]) -> set[str]:
    """Return the series of one slice that lie parallel in one study: together they may be one volume."""
    alike: dict[tuple[object, ...], set[str]] = defaultdict(set)
    for name, members in series.items():
        if len(members) == 1 and members[0].position and members[0].orientation:
            alike[_likeness(members[0])].add(name)
    return {name for together in alike.values() if len(together) > 1 for name in together}


def _likeness(frame: Frame) -> tuple[object, ...]:
    cosines = tuple(round(cosine, 3) + 0.0 for cosine in frame.orientation or ())
    return (frame.study, frame.patient, frame.frame_of_reference, cosines, frame.rows, frame.columns)


def _common_folder(group: Group) -> Path:
    folders = _folders(group)
    if len({folder.is_absolute() for folder in folders}) > 1:
        folders = {folder.absolute() for folder in folders}
    return Path(os.path.commonpath(folders))


def _folders(group: Group) -> set[Path]:
    return {frame.file.parent for volume in group.volumes for frame in volume}


def _checked(
    group: Group, sources: tuple[Source, ...], reading: Reading, damaged: Sequence[Finding], *, apart: bool
) -> tuple[Source, ...] | Finding:
    """Return the sources of a group's volumes, or why all of them are refused."""
    files = {frame.file for volume in group.volumes for frame in volume}
    found = _reason(group, reading, damaged, apart=apart)
    if isinstance(found, list):
        return tuple(map(_in_order, sources, found))
    if len(files) == 1:
        return found
    return Finding(found.code, "error", f"{found.message}; all {len(files)} files are refused", found.path, found.cure)


def _in_order(source: Source, stack: Stack) -> Source:
    """Return a source with its files in the order of their slices; the numbering of parts needs another."""
    if source.part is not None:
        return source
    return replace(source, files=tuple(dict.fromkeys(frame.file for frame in stack.frames)))


def _reason(group: Group, reading: Reading, damaged: Sequence[Finding], *, apart: bool) -> list[Stack] | Finding:
    """Return the volumes of a group as stacks, or why they are refused."""
    if group.reason is not None:
        return group.reason
    try:
        stacks = [stacked(volume, reading) for volume in group.volumes]
    except MedvisionError as error:
        return error.finding
    first = stacks[0].frames[0]
    if apart:
        text = "several series of one slice each lie parallel in one study: one volume may have been taken apart"
        return Finding("series-mixed", "error", text, first.file, "If they are one volume, say so: --merge-series.")
    beside = _near(group, damaged)
    if beside is None:
        return stacks
    text = "a file beside its slices is damaged, and may be one of them"
    return Finding("slices-missing", "error", text, beside)


def _near(group: Group, findings: Sequence[Finding]) -> Path | None:
    """Return the first file that a finding is about in a folder with slices of the group."""
    if group.volumes[0][0].position is None:
        return None
    folders = _folders(group)
    return next((f.path for f in findings if f.path is not None and f.path.parent in folders), None)


def _beside(group: Group, unread: Sequence[Finding]) -> tuple[Finding, ...]:
    beside = _near(group, unread)
    if beside is None:
        return ()
    text = "a file beside its slices is no DICOM file: if it was one of them, the volume is cut short"
    return (Finding("slices-missing", "warning", text, beside, "Compare the number of slices with the source."),)


def _sources(frames: Sequence[Frame], groups: Sequence[Group], reading: Reading) -> list[tuple[Source, ...]]:
    """Return a source for each volume; those that share files are told apart by their number among these."""
    volumes = [volume for group in groups for volume in group.volumes]
    files = [tuple(dict.fromkeys(frame.file for frame in volume)) for volume in volumes]
    found = {number: Source("dicom", names, reading=reading) for number, names in enumerate(files)}
    for linked in _linked(files):
        members = [number for number, names in enumerate(files) if linked.issuperset(names)]
        if _read_alone([frame for frame in frames if frame.file in linked]) != [volumes[n] for n in members]:
            # Apart from the rest of the series, they would be sorted in another way: it is named as a whole.
            linked, members = {frame.file for frame in frames}, list(range(len(volumes)))
        for part, number in enumerate(members):
            found[number] = Source("dicom", tuple(sorted(linked)), part=part, reading=reading)
    sources = iter(found.values())
    return [tuple(next(sources) for _ in group.volumes) for group in groups]


def _read_alone(frames: Sequence[Frame]) -> list[tuple[Frame, ...]]:
    return [volume for group in _groups(frames) for volume in group.volumes]


def _linked(files: Sequence[tuple[Path, ...]]) -> list[set[Path]]:
    """Return the sets of files that several volumes share, directly or by way of others."""
    users = Counter(file for names in files for file in names)
    sets: list[set[Path]] = []
    for names in files:
        if any(users[file] > 1 for file in names):
            joined = set(names).union(*(one for one in sets if not one.isdisjoint(names)))
            sets = [*(one for one in sets if one.isdisjoint(names)), joined]
    return sets


def _described(group: Group) -> Series:
    first, count = group.volumes[0][0], len(group.volumes[0])
    words = f"{first.modality or 'unknown'} object" if is_unknown_volume(first) else name_of(first.sop_class)
    return Series(
        kind="mosaic" if first.tile is not None else words,
        modality=first.modality,
        description=first.description,
        number=first.series_number,
        orientation=_plane(first),
        size=(first.columns or 0, first.rows or 0, count),
        volumes=len(group.volumes),
        order=", ".join(group.order) or None,
        study=sha256_of_text([first.study or "", str(first.patient)])[:16] if first.study or first.patient else None,
        uid=sha256_of_text([str(first.file), str(first.number)])[:16],
    )


def _plane(frame: Frame) -> str | None:
    """Return the plane of a slice: the world axis that its normal is within 20 degrees of."""
    if frame.orientation is None:
        return None
    normal = np.cross(frame.orientation[:3], frame.orientation[3:])
    nearest = int(np.abs(normal).argmax())
    length = float(np.linalg.norm(normal))
    if length == 0 or abs(normal[nearest]) / length < np.cos(np.radians(_OBLIQUE_DEGREES)):
        return "oblique"
    return _PLANES[nearest]
