"""From what a person names to cases: every file ends as a case, as a rejection or as passed over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from medvision import archives
from medvision.errors import Finding, InputError, MedvisionError, UsageError
from medvision.files import Paths, as_paths
from medvision.io.datasets import DATASET_FILE, cases_in_dataset, is_dataset
from medvision.io.dicom.directory import read_directory
from medvision.io.dicom.series import Placed, find_series, possible_slices
from medvision.io.kinds import LIST_SUFFIXES, case_id, content_of, stem_of
from medvision.io.manifest import cases_in_manifest
from medvision.io.nifti import volumes_in
from medvision.io.npz import cases_in_npz
from medvision.io.walk import refuse_results, walk
from medvision.study import AS_IT_STANDS, Case, Collection, Reading, Series, Source, SourceKind

_NOTHING = Collection(())


@dataclass(frozen=True)
class _Gathered:
    """What one argument gives before DICOM files are sorted into series."""

    collection: Collection = _NOTHING
    dicom: tuple[Path, ...] = ()


def scan(paths: Paths, reading: Reading = AS_IT_STANDS, *, labels: bool = True) -> Collection:
    """Return the cases that files, folders, archives, data sets and manifests hold, from their headers alone.

    An image of several volumes (time points, echoes, frames) becomes as many cases, in order: ``-v001``, ``-v002``, ...

    Parameters
    ----------
    paths
        One or several of: NIfTI files, DICOM files, pictures, archives in the manner of MedMNIST, manifests (CSV, TSV,
        JSON lines), ``dataset.json`` or its folder, and folders of any depth with images of any kind. The output folder
        of a run is no such folder: below one that is named it is passed over, and files in it are read by their names
        alone.
    reading
        What was decided about how to read the images.
    labels
        Whether labels are taken in, that lists, data sets and archives state; else none is looked at, and all cases
        come without.

    Returns
    -------
    The cases in the order of their ids; what was refused; what was passed over. The order depends on names alone.

    Raises
    ------
    UsageError
        ``name-clash``: two cases would write to one output name (capitals and small letters count as one).
    """
    roots = as_paths(paths)
    gathered = [_gathered(path, reading, labels=labels) for path in roots]
    everything = _NOTHING.merged(part.collection for part in gathered)
    unread = possible_slices((*everything.rejected, *everything.skipped))
    dicom = dict.fromkeys(file for part in gathered for file in part.dicom)
    placed, rejected, skipped = find_series(dicom, unread, reading)
    found = everything.merged([_of_series(placed, roots), Collection((), tuple(rejected), tuple(skipped))])
    _check_ids(found.cases)
    return found.merged([Collection((), _fruitless(roots, found))])


def _gathered(path: Path, reading: Reading, *, labels: bool) -> _Gathered:
    try:
        if not archives.exists(path):
            raise InputError("not-found", "there is no such file or folder", path=path)
        if archives.is_folder(path):
            refuse_results(path)
            if path.is_dir() and _holds_dataset(path):
                return _Gathered(cases_in_dataset(path / DATASET_FILE, reading=reading, labels=labels))
            return _below(path, reading, labels=labels)
        if path.suffix.lower() in LIST_SUFFIXES:
            return _Gathered(cases_in_manifest(path, reading, labels=labels))
        if path.suffix.lower() == ".json":
            return _Gathered(cases_in_dataset(path, reading=reading, labels=labels))
        content = content_of(path)
        if content == "directory":
            named = read_directory(path)
            if not named.files and not named.findings:
                raise InputError("no-image", "the DICOMDIR names no file", path=path)
            return _Gathered(Collection((), named.findings), named.files)
        if content is None or content == "archive":
            raise InputError("no-image", "the file is no image", path=path)
        return _of_file(path, content, case_id(stem_of(path)), "", reading, labels=labels)
    except MedvisionError as error:
        return _Gathered(Collection((), (error.finding,)))


def _holds_dataset(folder: Path) -> bool:
    file = folder / DATASET_FILE
    return archives.exists(file) and is_dataset(file)


def _below(folder: Path, reading: Reading, *, labels: bool) -> _Gathered:
    found = walk(folder, is_apart=_holds_dataset)
    parts = [_Gathered(Collection((), found.rejected, found.skipped))]
    for file, kind in found.images:
        inner = file.relative_to(folder)
        name = case_id(*inner.parent.parts, stem_of(file))
        try:
            parts.append(_of_file(file, kind, name, f"{name}_", reading, labels=labels))
        except MedvisionError as error:
            parts.append(_Gathered(Collection((), (error.finding,))))
    for inside in found.datasets:
        parts.append(_inner_dataset(inside, folder, reading, labels=labels))
    return _Gathered(
        _NOTHING.merged(part.collection for part in parts), tuple(file for part in parts for file in part.dicom)
    )


def _inner_dataset(inside: Path, folder: Path, reading: Reading, *, labels: bool) -> _Gathered:
    """Return the cases of a data set below an argument: its labels must not be taken for images."""
    prefix = "_".join(inside.relative_to(folder).parts) + "_"
    try:
        return _Gathered(cases_in_dataset(inside / DATASET_FILE, prefix, reading, labels=labels))
    except MedvisionError as error:
        return _Gathered(Collection((), (error.finding,)))


def _of_file(path: Path, kind: SourceKind, name: str, prefix: str, reading: Reading, *, labels: bool) -> _Gathered:
    if kind == "dicom":
        return _Gathered(dicom=(path,))
    if kind == "npz":
        return _Gathered(Collection(cases_in_npz(path, prefix, labels=labels)))
    count = _volumes_of(path) if kind == "nifti" else 1
    parts = range(count) if count > 1 else (None,)
    sources = [Source(kind, (path,), part=part, reading=reading) for part in parts]
    return _Gathered(Collection(tuple(_cases(name, sources))))


def _volumes_of(path: Path) -> int:
    try:
        return volumes_in(path)
    except MedvisionError:
        return 1  # the case is refused, with its reason, when it is read


def _cases(
    name: str, sources: Sequence[Source], series: Series | None = None, noticed: tuple[Finding, ...] = ()
) -> Iterator[Case]:
    """Give a case for each volume, numbered where there are several."""
    digits = max(3, len(str(len(sources))))
    for number, source in enumerate(sources, start=1):
        one = name if len(sources) == 1 else f"{name}-v{number:0{digits}d}"
        modality = series.modality if series else None
        image = name if len(sources) > 1 else None
        yield Case(one, (source,), modality=modality, series=series, findings=noticed, image=image)


def _of_series(placed: Iterable[Placed], roots: Sequence[Path]) -> Collection:
    cases: list[Case] = []
    rejected = {}
    for one in placed:
        if isinstance(one.found, Finding):
            rejected[one.found] = one.series
        else:
            cases += _cases(_name_of_series(one, roots), one.found, one.series, one.noticed)
    return Collection(tuple(cases), tuple(rejected), refused_series=rejected)


def _name_of_series(placed: Placed, roots: Sequence[Path]) -> str:
    """Return the id of a series: its folder's path below the argument, or the file's name where that was named."""
    found = placed.found if not isinstance(placed.found, Finding) else ()
    files = {file for source in found for file in source.files}
    if len(files) == 1 and (file := files.pop()) in roots:
        name = case_id(stem_of(file))
    else:
        root = next((root for root in roots if placed.folder.is_relative_to(root)), placed.folder)
        inner = placed.folder.relative_to(root).parts
        name = case_id(*inner) if inner else case_id(root.resolve().name)
    return name if placed.number is None else f"{name}-s{placed.number}"


def _check_ids(cases: Iterable[Case]) -> None:
    seen: dict[str, Case] = {}
    for case in cases:
        other = seen.setdefault(case.id.casefold(), case)
        if other is not case:
            both = f"{other.path} ({other.id}) and {case.path} ({case.id})"
            raise UsageError("name-clash", f"{both} would write to the same name", path=case.path)


def _fruitless(roots: Iterable[Path], found: Collection) -> tuple[Finding, ...]:
    """Return a finding for each folder named that gave neither a case nor a refusal."""
    named = [source.path for case in found.cases for source in case.images]
    fruitful: set[Path] = set()
    for path in [*named, *(finding.path for finding in found.rejected if finding.path)]:
        fruitful.update((path, *path.parents))
    text = "there are files, and none is an image to analyse"
    return tuple(
        Finding("no-image", "error", text, root)
        for root in dict.fromkeys(roots)
        if root not in fruitful and archives.is_folder(root)
    )
