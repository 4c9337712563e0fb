"""From what a person names to cases: every file ends as a case, as a rejection or as passed over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from medvision.errors import Finding, InputError, MedvisionError, UsageError
from medvision.io.datasets import DATASET_FILE, cases_in_dataset, is_dataset
from medvision.io.dicom.series import Placed, find_series
from medvision.io.kinds import LIST_SUFFIXES, case_id, kind_of, stem_of
from medvision.io.manifest import cases_in_manifest
from medvision.io.npz import cases_in_npz
from medvision.io.walk import refuse_results, walk
from medvision.study import Case, Collection, Source, SourceKind

_NOTHING = Collection(())


@dataclass(frozen=True)
class _Gathered:
    """What one argument gives before DICOM files are sorted into series."""

    collection: Collection = _NOTHING
    dicom: tuple[Path, ...] = ()


def scan(paths: Sequence[Path]) -> Collection:
    """Return the cases that files, folders, data sets and manifests hold, from their headers alone.

    Parameters
    ----------
    paths
        NIfTI files, DICOM files, pictures, archives in the manner of MedMNIST, manifests (CSV, TSV, JSON lines),
        ``dataset.json`` or its folder, and folders of any depth with images of any kind. The output folder of a run
        is no such folder: below one that is named it is passed over, and files in it are read by their names alone.

    Returns
    -------
    The cases in the order of their ids; what was refused; what was passed over. The order depends on names alone.

    Raises
    ------
    UsageError
        ``name-clash``: two cases would write to one output name (capitals and small letters count as one).
    """
    gathered = [_gathered(Path(path)) for path in paths]
    everything = _NOTHING.merged(part.collection for part in gathered)
    roots = [Path(path) for path in paths]
    unread = [finding for finding in everything.rejected if finding.path and finding.path.suffix.lower() == ".dcm"]
    # DICOM files often have no suffix: an empty one may be a slice too.
    unread += [f for f in everything.skipped if f.path and not f.path.suffix and _is_empty(f.path)]
    placed, rejected, skipped = find_series((file for part in gathered for file in part.dicom), unread)
    found = everything.merged([_of_series(placed, roots), Collection((), tuple(rejected), tuple(skipped))])
    _check_ids(found.cases)
    return found.merged([Collection((), _fruitless(roots, found))])


def _is_empty(path: Path) -> bool:
    return path.is_file() and path.stat().st_size == 0


def _gathered(path: Path) -> _Gathered:
    try:
        if not path.exists():
            raise InputError("not-found", "there is no such file or folder", path=path)
        if path.is_dir():
            refuse_results(path)
            return _Gathered(cases_in_dataset(path / DATASET_FILE)) if _holds_dataset(path) else _below(path)
        if path.suffix.lower() in LIST_SUFFIXES:
            return _Gathered(cases_in_manifest(path))
        if path.suffix.lower() == ".json":
            return _Gathered(cases_in_dataset(path))
        kind = kind_of(path)
        if kind is None:
            raise InputError("no-image", "the file is no image", path=path)
        return _of_file(path, kind, case_id(stem_of(path)), "")
    except MedvisionError as error:
        return _Gathered(Collection((), (error.finding,)))


def _holds_dataset(folder: Path) -> bool:
    file = folder / DATASET_FILE
    return file.is_file() and is_dataset(file)


def _below(folder: Path) -> _Gathered:
    found = walk(folder, is_apart=_holds_dataset)
    parts = [_Gathered(Collection((), found.rejected, found.skipped))]
    for file, kind in found.images:
        inner = file.relative_to(folder)
        name = case_id(*inner.parent.parts, stem_of(file))
        try:
            parts.append(_of_file(file, kind, name, f"{name}_"))
        except MedvisionError as error:
            parts.append(_Gathered(Collection((), (error.finding,))))
    for inside in found.datasets:
        parts.append(_inner_dataset(inside, folder))
    return _Gathered(
        _NOTHING.merged(part.collection for part in parts), tuple(file for part in parts for file in part.dicom)
    )


def _inner_dataset(inside: Path, folder: Path) -> _Gathered:
    """Return the cases of a data set below an argument: its labels must not be taken for images."""
    prefix = "_".join(inside.relative_to(folder).parts) + "_"
    try:
        return _Gathered(cases_in_dataset(inside / DATASET_FILE, prefix))
    except MedvisionError as error:
        return _Gathered(Collection((), (error.finding,)))


def _of_file(path: Path, kind: SourceKind, name: str, prefix: str) -> _Gathered:
    if kind == "dicom":
        return _Gathered(dicom=(path,))
    if kind == "npz":
        return _Gathered(Collection(cases_in_npz(path, prefix)))
    return _Gathered(Collection((Case(name, (Source(kind, (path,)),)),)))


def _of_series(placed: Iterable[Placed], roots: Sequence[Path]) -> Collection:
    cases, rejected = [], []
    for one in placed:
        if isinstance(one.found, Finding):
            rejected.append(one.found)
            continue
        name = _name_of_series(one, roots)
        cases.append(Case(name, (Source("dicom", one.found.files),), modality=one.found.modality))
    return Collection(tuple(cases), tuple(rejected))


def _name_of_series(placed: Placed, roots: Sequence[Path]) -> str:
    """Return the id of a series: its folder's path below the argument, or the file's name where that was named."""
    files = placed.found.files if not isinstance(placed.found, Finding) else ()
    if len(files) == 1 and files[0] in roots:
        return case_id(stem_of(files[0]))
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
        if root.is_dir() and root not in fruitful
    )
