"""The columns that tables and plots of a batch have in common."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from medvision.report.wording import fixed, percent, significant
from medvision.results import Record

Kind = Literal["volume_ml", "longest_diameter_mm", "components", "mean_intensity", "voxels", "probability", "value"]

_OF_A_LABEL: tuple[Kind, ...] = ("volume_ml", "longest_diameter_mm", "components", "mean_intensity", "voxels")
_WORDS: dict[Kind, tuple[str, str]] = {
    "volume_ml": ("volume", "ml"),
    "longest_diameter_mm": ("longest diameter", "mm"),
    "components": ("parts", ""),
    "mean_intensity": ("mean intensity", ""),
    "voxels": ("voxels", ""),
    "probability": ("probability", ""),
    "value": ("", ""),
}
_MOST_ON_A_PAGE = 12


@dataclass(frozen=True)
class Column:
    """One figure of every case.

    Parameters
    ----------
    name
        Of the label, the class or the value.
    kind
        Which figure of it.
    label
        The label's number in a segmentation; None for all else.
    own_unit
        The unit of a value.
    """

    name: str
    kind: Kind
    label: int | None = None
    own_unit: str = ""

    @property
    def key(self) -> str:
        """The name of the column in a file."""
        if self.kind == "value":
            return f"{self.name} ({self.own_unit})" if self.own_unit else self.name
        return f"p_{self.name}" if self.kind == "probability" else f"{self.name}_{self.kind}"

    @property
    def title(self) -> str:
        """The name of the column on a page."""
        return self.name if self.kind == "value" else f"{self.name}: {_WORDS[self.kind][0]}"

    @property
    def unit(self) -> str:
        """The unit of the numbers; empty for none."""
        return self.own_unit or _WORDS[self.kind][1]

    def of(self, record: Record) -> float | int | None:
        """Return the figure of one case; None where it is not known."""
        if self.kind == "probability":
            return (record.probabilities or {}).get(self.name)
        if self.kind == "value":
            return next((value.value for value in record.values if value.name == self.name), None)
        for measurement in record.measurements:
            if (measurement.label, measurement.name) == (self.label, self.name):
                value: float | int | None = getattr(measurement, self.kind)
                return value
        return None

    def words(self, value: float | None) -> str:
        """Return a figure as text, without its unit."""
        if self.kind in ("components", "voxels"):
            return fixed(value, 0)
        if self.kind in ("mean_intensity", "value"):
            return significant(value)
        if self.kind == "probability":
            return percent(value)
        return fixed(value, 2 if self.kind == "volume_ml" else 1)


def columns_of(records: Iterable[Record]) -> tuple[Column, ...]:
    """Return the columns of all labels, classes and values, in the order in which they come up."""
    found: dict[Column, None] = {}
    for record in records:
        for one in record.measurements:
            found |= dict.fromkeys(Column(one.name, kind, one.label) for kind in _OF_A_LABEL)
        found |= dict.fromkeys(Column(name, "probability") for name in record.probabilities or {})
        found |= dict.fromkeys(Column(one.name, "value", own_unit=shown_unit(one.unit)) for one in record.values)
    return tuple(found)


def page_columns(columns: Iterable[Column], records: list[Record]) -> tuple[Column, ...]:
    """Return the columns that a page shows: those with a figure, and where they are many, one for each label."""
    known = [column for column in columns if any(column.of(record) is not None for record in records)]
    size: Kind = "volume_ml" if any(column.kind == "volume_ml" for column in known) else "voxels"
    shown = [c for c in known if c.kind in (size, "longest_diameter_mm", "mean_intensity", "probability", "value")]
    if len(shown) > _MOST_ON_A_PAGE:
        shown = [column for column in shown if column.kind in (size, "probability", "value")]
    return tuple(shown[:_MOST_ON_A_PAGE])


def shown_unit(unit: str) -> str:
    """Return a unit as it stands beside a number: nothing for a plain number.

    >>> shown_unit("years"), shown_unit("1")
    ('years', '')
    """
    return "" if unit == "1" else unit


def predicted_class(record: Record) -> str:
    """Return the most probable class, or the labels taken for present; empty where neither is asked for."""
    if record.positives is not None:
        return "; ".join(record.positives) or "none"
    probabilities = record.probabilities or {}
    return max(probabilities, key=lambda name: probabilities[name], default="")
