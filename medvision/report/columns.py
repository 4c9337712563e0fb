"""The columns that tables and plots of a batch have in common."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from medvision.report.wording import fixed, percent, significant
from medvision.results import Record

Kind = Literal["volume_ml", "longest_diameter_mm", "components", "mean_intensity", "voxels", "probability"]

_OF_A_LABEL: tuple[Kind, ...] = ("volume_ml", "longest_diameter_mm", "components", "mean_intensity", "voxels")
_WORDS: dict[Kind, tuple[str, str]] = {
    "volume_ml": ("volume", "ml"),
    "longest_diameter_mm": ("longest diameter", "mm"),
    "components": ("parts", ""),
    "mean_intensity": ("mean intensity", ""),
    "voxels": ("voxels", ""),
    "probability": ("probability", ""),
}
_MOST_ON_A_PAGE = 12


@dataclass(frozen=True)
class Column:
    """One figure of every case.

    Parameters
    ----------
    name
        Of the label or class.
    kind
        Which figure of it.
    label
        The label's number; None for a class.
    """

    name: str
    kind: Kind
    label: int | None = None

    @property
    def key(self) -> str:
        """The name of the column in a file."""
        return f"p_{self.name}" if self.kind == "probability" else f"{self.name}_{self.kind}"

    @property
    def title(self) -> str:
        """The name of the column on a page."""
        return f"{self.name}: {_WORDS[self.kind][0]}"

    @property
    def unit(self) -> str:
        """The unit of the numbers; empty for none."""
        return _WORDS[self.kind][1]

    def of(self, record: Record) -> float | int | None:
        """Return the figure of one case; None where it is not known."""
        if self.kind == "probability":
            return (record.probabilities or {}).get(self.name)
        for measurement in record.measurements:
            if (measurement.label, measurement.name) == (self.label, self.name):
                value: float | int | None = getattr(measurement, self.kind)
                return value
        return None

    def words(self, value: float | None) -> str:
        """Return a figure as text, without its unit."""
        if self.kind in ("components", "voxels"):
            return fixed(value, 0)
        if self.kind == "mean_intensity":
            return significant(value)
        if self.kind == "probability":
            return percent(value)
        return fixed(value, 2 if self.kind == "volume_ml" else 1)


def columns_of(records: Iterable[Record]) -> tuple[Column, ...]:
    """Return the columns of all labels and classes, in the order in which they come up."""
    found: dict[Column, None] = {}
    for record in records:
        for one in record.measurements:
            found |= dict.fromkeys(Column(one.name, kind, one.label) for kind in _OF_A_LABEL)
        found |= dict.fromkeys(Column(name, "probability") for name in record.probabilities or {})
    return tuple(found)


def page_columns(columns: Iterable[Column], records: list[Record]) -> tuple[Column, ...]:
    """Return the columns that a page shows: those with a figure, and where they are many, one for each label."""
    known = [column for column in columns if any(column.of(record) is not None for record in records)]
    size: Kind = "volume_ml" if any(column.kind == "volume_ml" for column in known) else "voxels"
    shown = [c for c in known if c.kind in (size, "longest_diameter_mm", "mean_intensity", "probability")]
    if len(shown) > _MOST_ON_A_PAGE:
        shown = [column for column in shown if column.kind in (size, "probability")]
    return tuple(shown[:_MOST_ON_A_PAGE])


def predicted_class(record: Record) -> str:
    """Return the most probable class of a classification; empty for a segmentation."""
    probabilities = record.probabilities or {}
    return max(probabilities, key=lambda name: probabilities[name], default="")
