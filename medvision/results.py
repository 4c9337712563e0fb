"""What stages hand on: segmentations, classifications, saliency, measurements, and the record of a case.

Everything spatial lies on the grid of the input. A record is the one source of the page, the table and the JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from medvision.errors import Finding, InputError
from medvision.geometry import Geometry
from medvision.volume import Labels

Verdict = Literal["accept", "review"]


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
class Classification:
    """The probability of each class; they sum to 1.

    Raises
    ------
    InputError
        A probability lies outside 0 to 1, or they do not sum to 1.
    """

    probabilities: Mapping[str, float]

    def __post_init__(self) -> None:
        values = list(self.probabilities.values())
        if not values or not min(values) >= 0 or not abs(sum(values) - 1) <= 1e-3:  # so worded, NaN is refused too
            raise InputError("not-finite", f"probabilities lie in 0 to 1 and sum to 1, got {values}")

    @property
    def predicted(self) -> str:
        """The most probable class."""
        return max(self.probabilities, key=lambda name: self.probabilities[name])


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
    device, precision
        Where and how the network ran, e.g. ``"cpu"`` and ``"fp32"``.
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
    precision: str
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
        ``"segmentation"`` or ``"classification"``.
    geometry
        The input's grid.
    modality
        The input's modality; None where not stated.
    findings
        What was noticed, by readers and by checks.
    manifest
        Where it came from.
    measurements
        One for each label; empty for a classification.
    probabilities
        One for each class; None for a segmentation.
    confidence
        Mean probability of each label found; None for a classification.
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
    task: Literal["segmentation", "classification"]
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

    @property
    def verdict(self) -> Verdict:
        """``"accept"`` where nothing was found but notes, else ``"review"``."""
        return "accept" if all(finding.grade == "note" for finding in self.findings) else "review"

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON values."""
        return {
            "schema": "medvision.record/1",
            "case": self.case,
            "task": self.task,
            "verdict": self.verdict,
            "modality": self.modality,
            "notice": self.notice,
            "findings": [finding.unplaced().to_json() for finding in self.findings],
            "measurements": [asdict(measurement) for measurement in self.measurements],
            "probabilities": dict(self.probabilities) if self.probabilities is not None else None,
            "confidence": dict(self.confidence) if self.confidence is not None else None,
            "saliency": [dict(entry) for entry in self.saliency],
            "files": dict(self.files),
            "checks": dict(self.checks),
            "geometry": self.geometry.to_json(),
            "manifest": asdict(self.manifest),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any], *, path: Path | None = None) -> Record:
        """Return the record that :meth:`to_json` wrote.

        Raises
        ------
        InputError
            The content is no record of this version, or is damaged.
        """
        if not isinstance(content, Mapping) or content.get("schema") != "medvision.record/1":
            raise InputError("bad-header", "this is no record of the schema medvision.record/1", path=path)
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
        )


def _measurement(entry: Mapping[str, Any]) -> Measurement:
    centroid = entry["centroid_ras_mm"]
    return Measurement(**{**entry, "centroid_ras_mm": tuple(centroid) if centroid is not None else None})
