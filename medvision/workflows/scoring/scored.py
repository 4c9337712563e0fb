"""One case beside the truth, as all figures are made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Scored:
    """One case beside the truth.

    Parameters
    ----------
    case
        The case's id.
    patient
        The case's :attr:`medvision.study.Case.patient_key`. Not written anywhere.
    dice, hausdorff95_mm
        By label name; None where a figure is not defined. Empty but for a segmentation.
    probabilities
        The probability of each class or label; None for a segmentation and a regression.
    truth
        The true one of several classes.
    thresholds, marks
        Of several labels that can hold at once: from which probability on each is taken for present, and whether it
        is; None where that is not known.
    values, truths, units
        Of a regression, by name: the values found, the true ones (None where one is not known), and their units.
    """

    case: str
    patient: str
    dice: Mapping[str, float | None] = field(default_factory=dict)
    hausdorff95_mm: Mapping[str, float | None] = field(default_factory=dict)
    probabilities: Mapping[str, float] | None = None
    truth: str | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    marks: Mapping[str, bool | None] = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)
    truths: Mapping[str, float | None] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)

    @property
    def names_patient(self) -> bool:
        """Whether the case states whose it is; else it counts as a patient of its own."""
        return self.patient != f"case {self.case}"

    def to_json(self) -> dict[str, Any]:
        """Return all but the patient as JSON values."""
        return {key: value for key, value in asdict(self).items() if key != "patient"}
