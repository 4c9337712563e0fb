"""One case beside the truth, as all figures are made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from medvision.study import Case


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


def scored_of(entries: Sequence[Mapping[str, Any]], held_out: Sequence[Case]) -> tuple[Scored, ...]:
    """Return what :meth:`Scored.to_json` gave of held-out cases, in their order.

    Raises
    ------
    ValueError
        These are other cases, fewer, or some of them twice.
    """
    by_case = {entry["case"]: entry for entry in entries}
    if len(by_case) != len(entries) or by_case.keys() != {case.id for case in held_out}:
        raise ValueError("these are not the cases that are held out")
    return tuple(Scored(patient=case.patient_key, **by_case[case.id]) for case in held_out)
