"""Check what lies in folders: sort it into images, say what each is, whether it can be analysed, and what is wrong."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medvision import io, quality
from medvision.errors import Finding, GeometryError, MedvisionError, nothing_there, printable, unforeseen
from medvision.files import write_text
from medvision.io.read import label_grid
from medvision.progress import Progress, silent
from medvision.report import InventoryRow, Thumbnail, render_inventory, thumbnail
from medvision.report.inventory import Verdict
from medvision.study import AS_IT_STANDS, Case, Collection, Reading, Series, Source, by_image
from medvision.volume import UNNAMED, Labels, Volume

_READ_WHOLE = 64  # volumes; of a series of more, the first, the middle one and the last are read
_CLEAN_A_FOLDER = 12  # images without anything wrong that a page shows of each folder
_OF_ANY_SET = ("duplicate", "near-duplicate")  # what is worth telling of images that only lie in one folder
_KINDS = {"nifti": "NIfTI image", "picture": "picture", "npz": "picture of an archive", "dicom": "DICOM image"}


@dataclass(frozen=True, eq=False)
class Checked:
    """One image: a series, with all its volumes, or a file.

    Parameters
    ----------
    id
        The case's id; None where it cannot become one.
    path
        The file, or the folder of the series.
    series
        What it is; None where its header could not be read.
    findings
        What is wrong with it, or to be known of it.
    facts
        What was measured of its first volume; None where it was not read.
    thumbnail
        A picture of its first volume.
    """

    id: str | None
    path: Path
    series: Series | None
    findings: tuple[Finding, ...]
    facts: quality.Measured | None = None
    thumbnail: Thumbnail | None = None

    @property
    def verdict(self) -> Verdict:
        """``"refused"`` with an error, ``"review"`` with a warning, else ``"accept"``."""
        grades = {finding.grade for finding in self.findings}
        return "refused" if "error" in grades else "review" if "warning" in grades else "accept"

    @property
    def what(self) -> str:
        """What it is, in words."""
        if self.series is None:
            return "not known"
        parts = [self.series.kind, self.series.modality, self.series.orientation]
        words = ", ".join(part for part in parts if part)
        return f"{words}: {self.series.description}" if self.series.description else words

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        series = self.series
        return {
            "id": self.id,
            "path": printable(self.path),
            "verdict": self.verdict,
            "what": self.what,
            "modality": series.modality if series else None,
            "description": series.description if series else None,
            "orientation": series.orientation if series else None,
            "size": list(series.size) if series and series.size else None,
            "volumes": series.volumes if series else None,
            "order": series.order if series else None,
            "geometry": self.facts.geometry.to_json() if self.facts else None,
            "findings": [finding.to_json() for finding in self.findings],
        }


@dataclass(frozen=True, eq=False)
class CheckResult:
    """What a check found.

    Parameters
    ----------
    images
        Every image, in the order of their paths.
    data_set
        What is wrong with the images as a set.
    skipped
        Files that are no images to analyse, and were passed over.
    """

    images: tuple[Checked, ...]
    data_set: tuple[Finding, ...]
    skipped: tuple[Finding, ...]

    def count(self, verdict: Verdict) -> int:
        """Return how many images have a verdict."""
        return sum(image.verdict == verdict for image in self.images)

    def exit_code(self, *, strict: bool = False) -> int:
        """Return 0 all good, 3 no image found, 4 something refused or the set at fault, 5 everything refused."""
        bad = self.count("refused") + (self.count("review") if strict else 0)
        if nothing_there(one.findings[0] if one.findings else None for one in self.images):
            return 3
        if bad == len(self.images):
            return 5
        grades = {finding.grade for finding in self.data_set}
        return 4 if bad or "error" in grades or (strict and "warning" in grades) else 0

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {
            "schema": "medvision.check/1",
            "images": [image.to_json() for image in self.images],
            "data_set": [finding.to_json() for finding in self.data_set],
            "skipped": [finding.to_json() for finding in self.skipped],
            **{verdict: self.count(verdict) for verdict in ("accept", "review", "refused")},
        }


def check(
    inputs: Sequence[Path],
    *,
    reading: Reading = AS_IT_STANDS,
    headers_only: bool = False,
    pictures: bool = False,
    progress: Progress = silent,
) -> CheckResult:
    """Sort what lies in `inputs` into images and say of each what it is and what is wrong with it.

    Every image is read as an analysis would read it; of a series of more than 64 volumes the first, the middle one and
    the last, with a warning. Images that a data set or a manifest lists are also compared with each other: copies,
    outliers, labels, patients on both sides of a split.

    Parameters
    ----------
    inputs
        What :func:`medvision.io.scan` takes.
    reading
        What was decided about how to read.
    headers_only
        Look at headers alone; voxels and labels are not read, and nothing is said of them.
    pictures
        Make a thumbnail of every image.
    progress
        Told of every image.

    Raises
    ------
    UsageError
        ``name-clash``, as :func:`medvision.io.scan`.
    """
    found = io.scan(inputs, reading)
    images = list(_refused(found))
    figures: dict[str, quality.Measured] = {}
    groups = by_image(found.cases)
    for number, cases in enumerate(groups):
        progress(number, len(groups), cases[0].id)
        images.append(_unread(cases) if headers_only else _looked_at(cases, figures, pictures=pictures))
    progress(len(groups), len(groups), "as a set")
    sets = () if headers_only else tuple(_of_sets(found.cases, figures, inputs))
    return CheckResult(tuple(sorted(images, key=lambda one: (one.path, one.id or ""))), sets, found.skipped)


def write_page(result: CheckResult, path: Path, inputs: Sequence[Path], command: str) -> None:
    """Write the page of a check.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    counted = Counter(finding.message.split(":")[0] for finding in result.skipped)
    shown = _shown(result.images)
    rows = [_row(image, inputs) for image in shown]
    title = ", ".join(printable(Path(one.name or str(one))) for one in inputs)
    page = render_inventory(
        rows,
        title=title,
        command=command,
        more=len(result.images) - len(shown),
        data_set=result.data_set,
        skipped=[(words, count) for words, count in sorted(counted.items())],
    )
    write_text(path, page)


def near(path: Path, inputs: Sequence[Path]) -> str:
    """Return a path as seen from the input that it lies in, behind the input's name."""
    root = next((one for one in inputs if path.is_relative_to(one)), None)
    return printable(path if root is None else Path(root.name) / path.relative_to(root))


def _shown(images: Sequence[Checked]) -> list[Checked]:
    """Return the images that a page shows: all with something to tell, and some of those of a folder without."""
    seen: Counter[tuple[Path, str]] = Counter()
    shown = []
    for image in images:
        kind = (image.path.parent, image.series.kind if image.series else "")
        seen[kind] += image.verdict == "accept"
        if image.verdict != "accept" or seen[kind] <= _CLEAN_A_FOLDER:
            shown.append(image)
    return shown


def _refused(found: Collection) -> Iterator[Checked]:
    for finding in found.rejected:
        series = found.refused_series.get(finding)
        yield Checked(None, finding.path or Path(), series, (finding,))


def _unread(cases: Sequence[Case]) -> Checked:
    return Checked(cases[0].id, cases[0].path, _described(cases, None), _told(cases[0].findings))


def _looked_at(cases: Sequence[Case], figures: dict[str, quality.Measured], *, pictures: bool) -> Checked:
    """Return what reading an image shows; whatever goes wrong with it is its finding, and stops no other."""
    try:
        return _checked(cases, figures, pictures=pictures)
    except Exception as error:  # noqa: BLE001 - one image must never stop the others; its words may hold values
        return replace(_unread(cases), findings=(unforeseen(error, cases[0].path),))


def _checked(cases: Sequence[Case], figures: dict[str, quality.Measured], *, pictures: bool) -> Checked:
    """Return what reading the volumes of one image shows."""
    chosen = cases if len(cases) <= _READ_WHOLE else (cases[0], cases[len(cases) // 2], cases[-1])
    findings: list[Finding] = []
    first: Volume | None = None
    for case in chosen:
        try:
            volume = io.read_volume(case)
        except MedvisionError as error:
            findings.append(error.finding)
            continue
        findings += volume.findings
        known = {finding.code for finding in volume.findings}
        if first is None:  # one volume stands for its series: time points are alike, and no copies
            findings += [one for one in _measured(cases[0], case, volume, figures) if one.code not in known]
        first = first or volume
    if len(cases) > len(chosen):
        text = f"{len(chosen)} of {len(cases)} volumes were read: the first, the middle one and the last"
        findings.append(Finding("checked-in-part", "warning", text, cases[0].path))
    return Checked(
        cases[0].id,
        cases[0].path,
        _described(cases, first),
        _told(findings),
        figures.get(cases[0].id),
        thumbnail(first) if first is not None and pictures else None,
    )


def _measured(named: Case, case: Case, volume: Volume, figures: dict[str, quality.Measured]) -> list[Finding]:
    """Measure a volume, enter it under the name of its image, and return what is wrong with it and its labels."""
    labels: Labels | None = None
    findings: list[Finding] = []
    if isinstance(case.label, Source):
        try:
            labels = io.read_labels(case, case.label_names or UNNAMED, volume.geometry)
        except MedvisionError as error:
            findings.append(_explained(error, case.label, volume))
    figures[named.id] = quality.measured(volume, labels)
    return [*findings, *quality.check_case(case, figures[named.id])]


def _explained(error: MedvisionError, label: Source, volume: Volume) -> Finding:
    """Return why a label is refused; of one on another grid also what would explain the difference."""
    finding = error.finding
    if not isinstance(error, GeometryError) or error.code != "grid-differs":
        return finding
    try:
        explanation = quality.compare_grids(label_grid(label), volume.geometry).explanation
    except MedvisionError:
        return finding
    return finding if explanation is None else replace(finding, message=f"{finding.message}; {explanation}")


def _told(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return each finding once: the volumes of a series mostly say the same."""
    seen: dict[tuple[str, str, str], Finding] = {}
    for finding in findings:
        seen.setdefault((finding.code, finding.grade, finding.message), finding)
    return tuple(seen.values())


def _described(cases: Sequence[Case], volume: Volume | None) -> Series:
    """Return what an image is by its header, or else by what was read of it."""
    first = cases[0]
    if first.series is not None:
        return first.series
    size = volume.geometry.shape if volume is not None else None
    return Series(_KINDS[first.images[0].kind], modality=first.modality, size=size, volumes=len(cases))


def _of_sets(
    cases: Sequence[Case], figures: Mapping[str, quality.Measured], inputs: Sequence[Path]
) -> Iterator[Finding]:
    """Give what is wrong with each data set: an archive, a data set's folder, or else an input."""
    sets: dict[tuple[Path, bool], list[Case]] = defaultdict(list)
    for case in cases:
        if case.id in figures:
            sets[_set_of(case, inputs)].append(case)
    for (path, is_listed), members in sorted(sets.items()):
        for finding in quality.check_cohort(members, {case.id: figures[case.id] for case in members}):
            if is_listed or finding.code in _OF_ANY_SET:
                yield replace(finding, path=path)


def _set_of(case: Case, inputs: Sequence[Path]) -> tuple[Path, bool]:
    """Return what holds the set that a case belongs to, and whether it was listed there and not just found."""
    path = case.images[0].path
    if case.images[0].kind == "npz":
        return path, True
    if case.label_names is not None:
        return path.parent.parent, True
    is_listed = case.label is not None or case.split is not None or case.patient is not None
    return next((one for one in inputs if path.is_relative_to(one)), path.parent), is_listed


def _row(image: Checked, inputs: Sequence[Path]) -> InventoryRow:
    series, facts = image.series, []
    if series and series.size:
        facts.append(("Size", " x ".join(map(str, series.size))))
    if image.facts and image.facts.geometry.physical:
        facts.append(("Spacing", " x ".join(f"{step:.3g}" for step in image.facts.geometry.spacing) + " mm"))
        facts.append(("Stored as", image.facts.geometry.orientation))
    if series and series.volumes > 1:
        facts.append(("Volumes", f"{series.volumes}, by {series.order or 'place in the file'}"))
    if image.facts:
        values = image.facts.intensities[0]
        facts.append(("Values", f"{values.least:.5g} to {values.greatest:.5g}, median {values.median:.5g}"))
    name = near(image.path, inputs)
    label = name if image.id is None or image.id in name else f"{name} ({image.id})"
    return InventoryRow(label, image.what, tuple(facts), image.verdict, image.findings, image.thumbnail)
