"""What stages hand on: segmentations, classes, labels, values, saliency, measurements, and the record of a case.

Everything spatial lies on the grid of the input. A record is the one source of the page, the table and the JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from medvision.answers import Classification as Classification
from medvision.answers import MultiLabel as MultiLabel
from medvision.answers import Regression as Regression
from medvision.answers import Task
from medvision.answers import Value as Value
from medvision.errors import Finding, InputError
from medvision.geometry import Geometry
from medvision.volume import Labels

Verdict = Literal["accept", "review"]
_SCHEMAS = ("medvision.record/1", "medvision.record/2")  # the last is written, all are read


@dataclass(frozen=True, eq=False)
class Saliency:
    """A map of what a network attended to, or was unsure of.

    Parameters
    ----------
    values
        (I, J, K) float32 on the input's grid, at least 0 and finite; made read-only.
    geometry
        The input's grid.
    method
        ``"hirescam"``, ``"smoothed-gradient"``, ``"entropy"``, ...
    target
        The label or class that is explained.
    unit
        The unit of the values, e.g. ``"bit"``; None for relative values.
    parameters
        What is needed to make the map again (layer, cell size in mm, sigma, seed, ...).

    Raises
    ------
    InputError
        The map does not fit the grid (``bad-header``), or holds negative or not finite values (``not-finite``).
    """

    values: NDArray[np.float32]
    geometry: Geometry
    method: str
    target: str
    unit: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        values = np.asarray(self.values, dtype=np.float32).view()
        if values.shape != self.geometry.shape:
            raise InputError("bad-header", f"a map {values.shape} does not fit the grid {self.geometry.shape}")
        if not np.isfinite(values).all() or float(values.min()) < 0:
            raise InputError("not-finite", f"the {self.method} map holds values that are negative or not finite")
        values.flags.writeable = False
        object.__setattr__(self, "values", values)

    @property
    def is_empty(self) -> bool:
        """Whether the map is the same everywhere, and so shows nothing."""
        return bool(self.values.max() == self.values.min())

    def to_json(self) -> dict[str, Any]:
        """Return all but the values, with their range, as JSON values."""
        return {
            "method": self.method,
            "target": self.target,
            "unit": self.unit,
            "maximum": float(self.values.max()),
            "empty": self.is_empty,
            "parameters": dict(self.parameters),
        }


@dataclass(frozen=True)
class Segmentation:
    """The labels that a network gives to a volume, on the input's grid, and how sure it is.

    Parameters
    ----------
    labels
        The mask.
    entropy
        Predictive entropy in bit.
    confidence
        For each label found, the mean probability of that label over its voxels; 0 to 1.
    """

    labels: Labels
    entropy: Saliency
    confidence: Mapping[str, float]


@dataclass(frozen=True)
class Measurement:
    """What is measured of one label; None where it cannot be known.

    Parameters
    ----------
    label, name
        The number and the name of the label.
    voxels
        Number of voxels.
    components
        Number of connected parts (faces, edges and corners connect).
    volume_ml
        Volume in ml.
    longest_diameter_mm
        The greatest distance between two points of the surface of the largest part, in mm.
    mean_intensity, sd_intensity
        Of the first channel of the input, in its own unit.
    centroid_ras_mm
        Centre of mass in world coordinates.
    touches_edge
        Whether the label reaches the edge of the field of view, so that it may be cut off.
    """

    label: int
    name: str
    voxels: int
    components: int
    volume_ml: float | None
    longest_diameter_mm: float | None
    mean_intensity: float | None
    sd_intensity: float | None
    centroid_ras_mm: tuple[float, float, float] | None
    touches_edge: bool


@dataclass(frozen=True)
class Manifest:
    """Everything needed to make a result again. It holds no date and no path: the same run gives the same bytes.

    Parameters
    ----------
    command
        The command line that analyses the file or folder that the case came from.
    pipeline, pipeline_sha256, weights_sha256
        The pipeline's name and version, and the hashes of its settings and weights.
    input_sha256
        The hash of the files of the case's images.
    versions
        Of medvision and the packages that a result depends on.
    device, engine
        Where and by what the network ran, e.g. ``"cpu"`` and ``"torch-fp32"``.
    seed
        Of everything random.
    side
        The side of the body that was stated for the case; None where none was.
    """

    command: str
    pipeline: str
    pipeline_sha256: str
    weights_sha256: str
    input_sha256: str
    versions: Mapping[str, str]
    device: str
    engine: str
    seed: int
    side: str | None = None


@dataclass(frozen=True)
class Record:
    """All that is known of one analysed case; ``record.json`` is this value.

    Parameters
    ----------
    case
        The case's id.
    task
        ``"segmentation"``, ``"classification"``, ``"multilabel"`` or ``"regression"``.
    geometry
        The input's grid.
    modality
        The input's modality; None where not stated.
    findings
        What was noticed, by readers and by checks.
    manifest
        Where it came from.
    measurements
        One for each label of a segmentation; empty for all else.
    probabilities
        One for each class, or for each of several labels; None for all else.
    thresholds
        Of several labels that can hold at once, the probability from which on each is taken for present; None for all
        else.
    values
        One for each label of a regression; empty for all else.
    confidence
        Mean probability of each label found by a segmentation; None for all else.
    saliency
        The maps that were made, without their values.
    files
        What was written: the role of each file, and its name within the case's folder.
    checks
        Figures behind the findings, e.g. the confidence in each orientation that was tried.
    notice
        A sentence for the head of the page, e.g. that this is a template and not a patient.
    """

    case: str
    task: Task
    geometry: Geometry
    modality: str | None
    findings: tuple[Finding, ...]
    manifest: Manifest
    measurements: tuple[Measurement, ...] = ()
    probabilities: Mapping[str, float] | None = None
    confidence: Mapping[str, float] | None = None
    saliency: tuple[Mapping[str, Any], ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    checks: Mapping[str, Any] = field(default_factory=dict)
    notice: str | None = None
    thresholds: Mapping[str, float] | None = None
    values: tuple[Value, ...] = ()

    @property
    def positives(self) -> tuple[str, ...] | None:
        """Of several labels that can hold at once, those taken for present; None for another task."""
        if self.probabilities is None or self.thresholds is None:
            return None
        return MultiLabel(self.probabilities, self.thresholds).positives

    @property
    def answer(self) -> Classification | MultiLabel | Regression | None:
        """What was said of the image as a whole; None for a segmentation."""
        if self.values:
            return Regression(self.values)
        if self.probabilities is None:
            return None
        if self.thresholds is None:
            return Classification(self.probabilities)
        return MultiLabel(self.probabilities, self.thresholds)

    @property
    def verdict(self) -> Verdict:
        """``"accept"`` where nothing was found but notes, else ``"review"``."""
        return "accept" if all(finding.grade == "note" for finding in self.findings) else "review"

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON values."""
        return {
            "schema": _SCHEMAS[-1],
            "case": self.case,
            "task": self.task,
            "verdict": self.verdict,
            "modality": self.modality,
            "notice": self.notice,
            "findings": [finding.unplaced().to_json() for finding in self.findings],
            "measurements": [asdict(measurement) for measurement in self.measurements],
            "probabilities": dict(self.probabilities) if self.probabilities is not None else None,
            "thresholds": dict(self.thresholds) if self.thresholds is not None else None,
            "positives": list(self.positives) if self.positives is not None else None,
            "values": [asdict(value) for value in self.values],
            "confidence": dict(self.confidence) if self.confidence is not None else None,
            "saliency": [dict(entry) for entry in self.saliency],
            "files": dict(self.files),
            "checks": dict(self.checks),
            "geometry": self.geometry.to_json(),
            "manifest": asdict(self.manifest),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any], *, path: Path | None = None) -> Record:
        """Return the record that :meth:`to_json` wrote, of this version or of an older one.

        Raises
        ------
        InputError
            The content is no record of such a version, or is damaged.
        """
        if not isinstance(content, Mapping) or content.get("schema") not in _SCHEMAS:
            raise InputError("bad-header", f"this is no record of the schemas {' and '.join(_SCHEMAS)}", path=path)
        try:
            return cls._read(content)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError("bad-header", "the record is damaged", path=path) from error

    @classmethod
    def _read(cls, content: Mapping[str, Any]) -> Record:
        grid = content["geometry"]
        i, j, k = grid["shape"]
        return cls(
            case=content["case"],
            task=content["task"],
            geometry=Geometry(np.array(grid["affine_ras_mm"]), (i, j, k), grid["spacing_mm"] is not None),
            modality=content["modality"],
            findings=tuple(Finding(f["code"], f["grade"], f["message"], cure=f["cure"]) for f in content["findings"]),
            manifest=Manifest(**content["manifest"]),
            measurements=tuple(_measurement(entry) for entry in content["measurements"]),
            probabilities=content["probabilities"],
            confidence=content["confidence"],
            saliency=tuple(content["saliency"]),
            files=content["files"],
            checks=content["checks"],
            notice=content["notice"],
            **(_newer(content) if content["schema"] != _SCHEMAS[0] else {}),
        )


def map_names(methods: Sequence[str]) -> tuple[str, ...]:
    """Return a name for each map of a case, by the methods that made them: later ones of a method are numbered.

    >>> map_names(["hirescam", "hirescam", "entropy"])
    ('hirescam', 'hirescam-2', 'entropy')
    """
    counts = [list(methods[: place + 1]).count(method) for place, method in enumerate(methods)]
    return tuple(method if n == 1 else f"{method}-{n}" for method, n in zip(methods, counts, strict=True))


def _newer(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the first version of records did not hold: several labels at once, and values."""
    values = tuple(
        Value(each["name"], each["value"], each["unit"], tuple(each["known"]) if each["known"] is not None else None)
        for each in content["values"]
    )
    return {"thresholds": content["thresholds"], "values": values}


def _measurement(entry: Mapping[str, Any]) -> Measurement:
    centroid = entry["centroid_ras_mm"]
    return Measurement(**{**entry, "centroid_ras_mm": tuple(centroid) if centroid is not None else None})
