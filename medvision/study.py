"""What is to be analysed: sources of voxels, cases, and the collections made of them.

A source names files, not yet their voxels: ten thousand cases cost little until one is read.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from medvision.archives import stamp_of
from medvision.errors import Finding, InputError, UsageError
from medvision.files import sha256_of, sha256_of_text
from medvision.grouping import grouped, one_spelling

SourceKind = Literal["nifti", "dicom", "picture", "npz"]
Side = Literal["left", "right"]
_FLOAT32_MOST = (2 - 2**-23) * 2.0**127
_SETTLED_NS = 10_000_000_000  # a file changed less long ago may change again at what it keeps as the same time


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a person decides where an image can be read in more than one way, or is refused as it stands.

    Parameters
    ----------
    allow_gaps
        Unevenly spaced slices are resampled to even spacing, with a warning, instead of refused.
    merge_series
        Parallel series of one study, a slice each, are taken for one volume.
    assume_ras
        A NIfTI file with neither sform nor qform is taken to be stored as RAS+, with a warning.
    nan_to
        What voxels that are NaN or infinite become, a number of float32, with a warning; None refuses them.
    orthogonal
        A sheared volume (tilted gantry) is resampled to axes at right angles, with a warning.
    suv
        PET becomes SUVbw where its header allows it; otherwise it stays as stored.

    Raises
    ------
    UsageError
        `nan_to` is itself no number, or infinite as float32.

    Examples
    --------
    >>> Reading(nan_to=0, orthogonal=True).choices()
    {'nan_to': 0.0, 'orthogonal': True}
    """

    allow_gaps: bool = False
    merge_series: bool = False
    assume_ras: bool = False
    nan_to: float | None = None
    orthogonal: bool = False
    suv: bool = True

    def __post_init__(self) -> None:
        if self.nan_to is not None:
            if not abs(self.nan_to) <= _FLOAT32_MOST:
                text = f"{self.nan_to:g} cannot stand for voxels that are NaN"
                raise UsageError("usage", text, cure="Give a number of float32.")
            object.__setattr__(self, "nan_to", float(self.nan_to) + 0.0)  # 0, 0.0 and -0.0 are one choice

    def choices(self) -> dict[str, bool | float | None]:
        """Return what differs from how images are read as they stand, by the names of the fields."""
        values = {each.name: (getattr(self, each.name), each.default) for each in fields(self)}
        return {name: value for name, (value, default) in values.items() if value != default}


AS_IT_STANDS = Reading()
"""No allowance is made."""


@dataclass(frozen=True)
class Source:
    """Where the voxels of one image come from.

    Parameters
    ----------
    kind
        Which reader understands it.
    files
        One file, or all files of one DICOM volume. A file may lie in a zip archive: its path leads through it.
    member
        For ``"npz"``: the array's name and the index of the picture in it.
    part
        Which of the volumes that the files hold (from 0: time points, echoes, frames, ...); None where they hold one.
    reading
        What was decided about how to read it.

    Raises
    ------
    InputError
        There is no file (``no-image``).
    """

    kind: SourceKind
    files: tuple[Path, ...]
    member: tuple[str, int] | None = None
    part: int | None = None
    reading: Reading = AS_IT_STANDS

    def __post_init__(self) -> None:
        if not self.files:
            raise InputError("no-image", "a source needs at least one file")

    @property
    def path(self) -> Path:
        """The file; for a series of several, their folder."""
        return self.files[0] if len(self.files) == 1 else self.files[0].parent

    def digest(self) -> str:
        """Return the SHA-256 of what is read and how: the files' contents, independent of their names and folder.

        Of how it is read, only what differs from the default counts: a choice that comes later changes no older hash.
        """
        if self.member is not None:
            return sha256_of_text([self._contents_sha256(), *map(str, self.member)])
        chosen = [f"{name}={value}" for name, value in self.reading.choices().items()]
        contents = self._contents_sha256()
        return contents if self.part is None and not chosen else sha256_of_text([contents, str(self.part), *chosen])

    def _contents_sha256(self) -> str:
        stamps = tuple(map(stamp_of, self.files))
        now = time.time_ns()
        if any(abs(now - changed) < _SETTLED_NS for _, changed in stamps):
            return sha256_of(*self.files)
        return _sha256_of_settled(self.files, stamps)


@dataclass(frozen=True)
class Series:
    """What one image is, by its header: for lists and for choosing. None where the file does not state it.

    Parameters
    ----------
    kind
        In a few words: ``"CT image"``, ``"enhanced MR"``, ``"mosaic"``, ``"NIfTI image"``, ``"picture"``, ...; those of
        DICOM are the names in the documentation's table of objects.
    modality
        The DICOM modality.
    description
        The Series Description, as a person typed it: shown to the person whose data it is, never logged.
    number
        The Series Number.
    orientation
        ``"axial"``, ``"coronal"``, ``"sagittal"`` or ``"oblique"``: the plane of the slices.
    size
        Columns, rows and slices.
    volumes
        How many volumes (time points, echoes, b-values, frames) it holds.
    order
        What the volumes are ordered by, e.g. ``"time"``.
    study
        A hash that images of one study of one patient share.
    uid
        A hash that the volumes of this image share, and no other image of the same scan.
    """

    kind: str
    modality: str | None = None
    description: str | None = None
    number: int | None = None
    orientation: str | None = None
    size: tuple[int, int, int] | None = None
    volumes: int = 1
    order: str | None = None
    study: str | None = None
    uid: str | None = None


@dataclass(frozen=True)
class Numbers:
    """The numbers that a list states of a case; what they mean says the task of the pipeline.

    To a pipeline of several labels, they are the numbers of the labels that the case has, and it has no other; to a
    regression, they are the values, in the order of its labels.

    Parameters
    ----------
    given
        The numbers in their order; None where one is not known (``?``).
    unknown
        Numbers of labels of which it is not known whether the case has them (``?5``).

    Raises
    ------
    InputError
        A number is not finite.

    Examples
    --------
    >>> Numbers((0, 3), unknown=(5,))
    Numbers(given=(0.0, 3.0), unknown=(5,))
    """

    given: tuple[float | None, ...]
    unknown: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not all(math.isfinite(number) for number in self.given if number is not None):
            raise InputError("bad-labels", "a label or value is no finite number")
        given = tuple(None if number is None else float(number) + 0.0 for number in self.given)
        object.__setattr__(self, "given", given)


@dataclass(frozen=True)
class Flags:
    """Which of all labels a case has, in the order of the labels.

    Parameters
    ----------
    values
        True, False, or None where it is not known; one for each label.
    """

    values: tuple[bool | None, ...]


Label = Source | int | Numbers | Flags
"""What is known of a case: the source of its labels, its class, or numbers."""


@dataclass(frozen=True)
class Case:
    """One thing to analyse, or to learn from.

    Parameters
    ----------
    id
        Names outputs; letters, digits, ``.``, ``_`` and ``-`` only.
    images
        A source for each channel, or one source that holds all.
    label
        For segmentation a source of labels; for one of several classes its number; for several labels at once their
        :class:`Numbers` or :class:`Flags`; for a regression its values as :class:`Numbers`; None where unknown. A whole
        number that stands alone is an int, and may be any of the three.
    patient
        What keeps a patient's cases together in a split, as :func:`medvision.grouping.one_spelling` writes it; None
        where unknown or empty. Never written to a result.
    split
        ``"train"``, ``"val"`` or ``"test"`` where the data set fixes it.
    label_names
        The name of each number in the label image, where the data set states them.
    modality
        The modality where the data set states it and the image file cannot.
    attributes
        All further columns of a manifest, e.g. sex, age, scanner, side.
    series
        What the image is by its header, where it is a DICOM series.
    findings
        What the scan noticed; it becomes part of the volume's findings.
    image
        Of one of several volumes (time points, ...) the id of the image that holds them all; None of a whole image.

    Raises
    ------
    InputError
        The id cannot name an output, or the side is no side (``bad-manifest``); or there is no image (``no-image``).
    """

    id: str
    images: tuple[Source, ...]
    label: Label | None = None
    patient: str | None = None
    split: str | None = None
    modality: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    label_names: Mapping[int, str] | None = None
    series: Series | None = None
    findings: tuple[Finding, ...] = ()
    image: str | None = None

    def __post_init__(self) -> None:
        if not self.id or self.id != safe_id(self.id):
            # The id itself is not quoted: a list can hold patients' names there.
            rule = "it has 1 to 120 letters, digits, '.', '_' and '-', and starts with none of '.' and '-'"
            raise InputError("bad-manifest", f"the id cannot name an output: {rule}")
        if not self.images:
            raise InputError("no-image", f"case {self.id} names no image")
        if self.side is None and "side" in self.attributes:
            raise InputError("bad-manifest", f"case {self.id}: side is 'left' or 'right', got another word")
        object.__setattr__(self, "attributes", MappingProxyType(dict(self.attributes)))
        if self.patient is not None:
            object.__setattr__(self, "patient", one_spelling(self.patient) or None)

    def __reduce__(self) -> tuple[Callable[..., Case], tuple[()]]:
        """Return how to build the case again: pickle knows no read-only mapping."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return partial(Case, **values | {"attributes": dict(self.attributes)}), ()

    @property
    def path(self) -> Path:
        """The file or folder of the first image."""
        return self.images[0].path

    @property
    def patient_key(self) -> str:
        """What cases of one patient share, and no others: a case that names no patient is one of its own.

        >>> source = Source("picture", (Path("a.png"),))
        >>> Case("7", (source,)).patient_key, Case("a", (source,), patient="7").patient_key
        ('case 7', 'patient 7')
        """
        return f"case {self.id}" if self.patient is None else f"patient {self.patient}"

    @property
    def stated(self) -> tuple[float, ...]:
        """The numbers that are known of the case as a whole, by which cases are spread over the sides of a split.

        Its class; the labels that it has; or its values. None for a label image.
        """
        if isinstance(self.label, Flags):
            return tuple(float(number) for number, value in enumerate(self.label.values) if value)
        if isinstance(self.label, Numbers):
            return tuple(number for number in self.label.given if number is not None)
        return (float(self.label),) if isinstance(self.label, int) else ()

    @property
    def side(self) -> Side | None:
        """The side of the body that the case shows, where stated."""
        stated = self.attributes.get("side", "").strip().lower()
        return {"left": "left", "l": "left", "right": "right", "r": "right"}.get(stated)  # type: ignore[return-value]

    def label_digest(self) -> str:
        """Return what tells what is known of the case: the label's SHA-256 or numbers, and the names of the numbers."""
        label = self.label.digest() if isinstance(self.label, Source) else repr(self.label)
        names = sorted((self.label_names or {}).items())
        return sha256_of_text([label, repr(names)]) if names else label

    def images_digest(self) -> str:
        """Return the SHA-256 of the images' files."""
        return sha256_of_text([source.digest() for source in self.images])

    def digest(self) -> str:
        """Return the SHA-256 of everything about the case that a result can depend on: images, modality, side."""
        noticed = [f"{finding.code}: {finding.message}" for finding in self.findings]
        return sha256_of_text([self.images_digest(), str(self.modality), str(self.side), *noticed])


@dataclass(frozen=True)
class Collection:
    """What was found: the cases, and everything that was left out, with its reason.

    Parameters
    ----------
    cases
        In the order of their ids.
    rejected
        What was meant as an image and cannot be used; each is an error of the batch.
    skipped
        What was passed over because it is no image (text files, reports, folders' own files); told, no error.
    refused_series
        What the series are that were rejected as a whole, by their finding.
    """

    cases: tuple[Case, ...]
    rejected: tuple[Finding, ...] = ()
    skipped: tuple[Finding, ...] = ()
    refused_series: Mapping[Finding, Series] = field(default_factory=dict)

    def merged(self, others: Iterable[Collection]) -> Collection:
        """Return this collection and `others` as one, cases in the order of their ids."""
        parts = [self, *others]
        return Collection(
            tuple(sorted((case for part in parts for case in part.cases), key=lambda case: case.id)),
            tuple(finding for part in parts for finding in part.rejected),
            tuple(finding for part in parts for finding in part.skipped),
            {finding: series for part in parts for finding, series in part.refused_series.items()},
        )


def by_image(cases: Iterable[Case]) -> list[tuple[Case, ...]]:
    """Return the cases image by image: several volumes of one image together, in their order."""
    return grouped(cases, lambda case: (case.image is not None, case.image or case.id))


@lru_cache(maxsize=1 << 14)
def _sha256_of_settled(files: tuple[Path, ...], stamps: tuple[tuple[int, int], ...]) -> str:
    """Return the hash of files, which is kept until one of them changes: folds and repeats ask for it again."""
    return sha256_of(*files)


def safe_id(text: str) -> str:
    """Return `text` with everything but letters, digits, ``.``, ``_`` and ``-`` replaced by ``_``.

    >>> safe_id("scan 1/T1 w")
    'scan_1_T1_w'
    """
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in text).lstrip(".-")
    return kept[:120]
