"""What training data are like: a frozen value that travels with a pipeline, and names no case and no patient."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field, TypeAdapter
from pydantic.dataclasses import dataclass

from medvision.answers import Task
from medvision.errors import PipelineError
from medvision.files import write_json
from medvision.fingerprint.case import plane_of
from medvision.strict import STRICT

SCHEMA = "medvision.fingerprint/1"
UNKNOWN = "unknown"
"""The key of cases whose modality or unit is not stated."""

_PERCENTILES = (0, 2, 10, 50, 90, 98, 100)
_Count = Annotated[int, Field(ge=0)]
_Share = Annotated[float, Field(ge=0.0, le=1.0)]


@dataclass(frozen=True, config=STRICT)
class Spread:
    """One figure of each case, over the cases: its percentiles 0, 2, 10, 50, 90, 98 and 100.

    Raises
    ------
    ValueError
        They do not rise.

    Examples
    --------
    >>> Spread.of(range(101))
    Spread(least=0.0, p2=2.0, p10=10.0, p50=50.0, p90=90.0, p98=98.0, greatest=100.0)
    """

    least: float
    p2: float
    p10: float
    p50: float
    p90: float
    p98: float
    greatest: float

    def __post_init__(self) -> None:
        if any(low > high for low, high in pairwise(self.percentiles)):
            raise ValueError("percentiles must rise")

    @property
    def percentiles(self) -> tuple[float, ...]:
        """The seven, from the least to the greatest."""
        return (self.least, self.p2, self.p10, self.p50, self.p90, self.p98, self.greatest)

    @classmethod
    def of(cls, values: ArrayLike) -> Spread:
        """Return the spread of one or more finite values."""
        # Interpolation rounds, and may put a percentile the last digit below the one before.
        return cls(*np.maximum.accumulate(np.percentile(np.asarray(values, float), _PERCENTILES)).tolist())


Axes = tuple[Spread, Spread, Spread]
"""One spread an axis: the world's x (left-right), y (back-front), z (foot-head); i, j, k where not physical."""


@dataclass(frozen=True, config=STRICT)
class Pooled:
    """The values of one channel, in the unit of the images, over voxels of all cases together.

    Parameters
    ----------
    mean, sd
        Mean and standard deviation.
    low, median, high
        The percentiles 0.5, 50 and 99.5.
    least, greatest
        The minimum and the maximum.

    Raises
    ------
    ValueError
        The percentiles do not rise.
    """

    mean: float
    sd: Annotated[float, Field(ge=0.0)]
    low: float
    median: float
    high: float
    least: float
    greatest: float

    def __post_init__(self) -> None:
        if not self.least <= self.low <= self.median <= self.high <= self.greatest:
            raise ValueError("least, low, median, high and greatest must rise")


@dataclass(frozen=True, config=STRICT)
class PerCase:
    """The values of one channel case by case, by which a new case is judged: each figure's spread over the cases.

    Parameters
    ----------
    mean, sd, low, median, high, least, greatest
        Those of :class:`Pooled`, of each case.
    low_z, median_z, high_z
        How far low, median and high lie from the case's mean, in its standard deviations: the same for values times
        any factor, and so fit for relative values. 0 for a constant image.
    edge_z
        Mean of the voxels at the steeper half of the edges, less the mean of the others, in standard deviations of
        the case: it changes its sign with an inverted image, whose other figures can be as usual.
    share_zero
        Share of voxels that are exactly 0.
    share_least
        Share of voxels that have the least value.
    """

    mean: Spread
    sd: Spread
    low: Spread
    median: Spread
    high: Spread
    least: Spread
    greatest: Spread
    low_z: Spread
    median_z: Spread
    high_z: Spread
    edge_z: Spread
    share_zero: Spread
    share_least: Spread


@dataclass(frozen=True, config=STRICT)
class Channel:
    """The values of one channel.

    Parameters
    ----------
    name
        What it holds.
    whole, whole_per_case
        Over whole images.
    foreground, foreground_per_case
        Over the labelled voxels of a segmentation; None for other tasks.
    """

    name: str
    whole: Pooled
    whole_per_case: PerCase
    foreground: Pooled | None = None
    foreground_per_case: PerCase | None = None


@dataclass(frozen=True, config=STRICT)
class LabelFigures:
    """One label of a segmentation, over the cases that have it.

    Parameters
    ----------
    number, name
        As in the label images; number 0 is background, and never here.
    cases
        How many cases have a voxel of it.
    share
        Its share of all voxels of all cases, 0 to 1.
    voxels, volume_ml
        Its size in a case; `volume_ml` None where not physical, both None where no case has it.
    parts
        Number of connected parts in a case (faces, edges and corners connect).
    box, box_mm
        Sides of the bounding box of its largest connected part, in voxels and in mm; see `Axes`.
    """

    number: Annotated[int, Field(ge=1)]
    name: str
    cases: _Count
    share: _Share
    voxels: Spread | None
    volume_ml: Spread | None
    parts: Spread | None
    box: Axes | None
    box_mm: Axes | None


@dataclass(frozen=True, config=STRICT)
class ClassFigures:
    """One class of a classification, or one label of several that a case can have at once.

    Parameters
    ----------
    number, name
        From 0.
    cases
        How many cases are of it.
    share
        Their share of all cases.
    """

    number: _Count
    name: str
    cases: _Count
    share: _Share


@dataclass(frozen=True, config=STRICT)
class TargetFigures:
    """One target of a regression, in its own unit, over the cases."""

    name: str
    mean: float
    sd: Annotated[float, Field(ge=0.0)]
    spread: Spread


@dataclass(frozen=True, config=STRICT)
class Fingerprint:
    """What training data are like; ``fingerprint.json`` in a pipeline's folder. It holds no id.

    Parameters
    ----------
    task
        ``"segmentation"``, ``"classification"`` (one of several classes), ``"multilabel"`` or ``"regression"``.
    dimensions
        2 where every image is one slice or picture, else 3.
    cases, patients
        How many; a case without a named patient counts as a patient of its own.
    modalities
        Cases of each DICOM modality; ``"unknown"`` where not stated.
    units
        Cases of each unit of the values, e.g. ``"HU"``; ``"unknown"`` where not stated.
    orientations
        Cases stored in each order of axes, e.g. ``"LPS"``; empty where not physical.
    absolute
        Whether values mean the same in all cases (CT in HU, pictures of 8 bits), and not only within one (MR).
    physical
        Whether the images state their size in mm; where one does not, nothing in mm is known.
    shape
        Number of voxels along each axis; see `Axes`.
    spacing_mm, extent_mm
        Distance of voxels and side of the field of view along each axis; None where not physical.
    aspect
        Side of the field of view along the first axis over that along the second; of a flat image, of its plane.
    anisotropy
        Greatest spacing over the least, at least 1; of a flat image, in its plane; None where not physical.
    channels
        The values of each channel.
    slabs
        How many cases have slices of one value beside full ones; see :mod:`medvision.intensities`.
    labels
        Of a segmentation, in the order of their numbers; else empty.
    foreground_share
        Share of a case's voxels that have any label; None but for a segmentation.
    foreground_box, foreground_box_mm
        Sides of the bounding box of the largest connected part of all labels together, in voxels and in mm.
    classes
        Of a classification, of one class or several labels, in the order of their numbers; else empty.
    imbalance
        Cases of the most frequent class for each of the rarest that occurs, at least 1; None but for classes.
    targets
        Of a regression; else empty.
    sided
        Pairs of labels or classes that are the left and the right one of a structure, as (left, right) by name.
    lateral
        Pairs of labels that lie as the left and the right one of a structure, whatever they are called; see
        :mod:`medvision.fingerprint.laterality`.

    Raises
    ------
    ValueError
        The figures of another task are there, or counts do not add up.
    """

    task: Task
    dimensions: Literal[2, 3]
    cases: Annotated[int, Field(ge=1)]
    patients: Annotated[int, Field(ge=1)]
    modalities: Mapping[str, _Count]
    units: Mapping[str, _Count]
    orientations: Mapping[str, _Count]
    absolute: bool
    physical: bool
    shape: Axes
    spacing_mm: Axes | None
    extent_mm: Axes | None
    aspect: Spread
    anisotropy: Spread | None
    channels: Annotated[tuple[Channel, ...], Field(min_length=1)]
    slabs: _Count = 0
    labels: tuple[LabelFigures, ...] = ()
    foreground_share: Spread | None = None
    foreground_box: Axes | None = None
    foreground_box_mm: Axes | None = None
    classes: tuple[ClassFigures, ...] = ()
    imbalance: float | None = None
    targets: tuple[TargetFigures, ...] = ()
    sided: tuple[tuple[str, str], ...] = ()
    lateral: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        wanted = {"segmentation": "labels", "regression": "targets"}.get(self.task, "classes")
        for name in ("labels", "classes", "targets"):
            if bool(getattr(self, name)) != (name == wanted):
                raise ValueError(f"a {self.task} has {wanted}")
        counted = {sum(counts.values()) for counts in (self.modalities, self.units)}
        if self.patients > self.cases or counted != {self.cases}:
            raise ValueError("patients, modalities or units do not fit the number of cases")
        if any((figure is None) == self.physical for figure in (self.spacing_mm, self.extent_mm, self.anisotropy)):
            raise ValueError("spacing_mm, extent_mm and anisotropy are known where images are physical, and only there")

    @property
    def plane(self) -> tuple[int, ...]:
        """The axes that the images show: all of a volume's, of flat images all but the thin one.

        Flat images that state their size can lie in any plane; the world's axes of it stay in their order.
        """
        return plane_of([side.greatest for side in self.shape], flat=self.dimensions == 2)

    @property
    def modality(self) -> str | None:
        """The modality of all cases; None where they differ, or where none states it."""
        stated = set(self.modalities) - {UNKNOWN}
        return stated.pop() if len(stated) == 1 and UNKNOWN not in self.modalities else None

    def to_json(self) -> dict[str, Any]:
        """Return the fingerprint as JSON values."""
        return {"schema": SCHEMA, **TypeAdapter(Fingerprint).dump_python(self, mode="json")}

    def save(self, path: Path) -> None:
        """Write the fingerprint as JSON, whole or not at all."""
        write_json(path, self.to_json())

    @classmethod
    def open(cls, path: Path) -> Fingerprint:
        """Read a fingerprint.

        Raises
        ------
        PipelineError
            It cannot be read, is of another schema, or is damaged.
        """
        try:
            content = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            raise PipelineError("fingerprint-invalid", "this is no readable JSON", path=path) from error
        if not isinstance(content, dict) or content.pop("schema", None) != SCHEMA:
            raise PipelineError("fingerprint-invalid", f"this is not of the schema {SCHEMA}", path=path)
        try:
            return TypeAdapter(cls).validate_json(json.dumps(content), strict=True)
        except ValueError as error:
            raise PipelineError("fingerprint-invalid", "the fingerprint is damaged", path=path) from error
