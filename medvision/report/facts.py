"""What pages need besides records: the pipeline's card, and the state of each case of a batch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from medvision.errors import Finding, InputError, UsageError
from medvision.report.wording import UNKNOWN, figure
from medvision.results import Record

State = Literal["done", "refused", "failed"]


@dataclass(frozen=True)
class PipelineFacts:
    """What a reader must know of the pipeline to judge a result; every text is shown as it stands.

    Parameters
    ----------
    name, version
        Of the pipeline.
    description
        One sentence.
    intended_use
        For whom and what it is meant.
    training_data
        What it has learned from.
    licence
        Of pipeline and weights.
    limits
        One sentence each: where it is known to fail, or was never tried.
    results
        One sentence each, with the interval: how well it did, on what.
    notice
        A sentence for the top of the page, e.g. that the image is a template and not a patient; None for none.
    """

    name: str
    version: str
    description: str
    intended_use: str
    training_data: str
    licence: str
    limits: tuple[str, ...] = ()
    results: tuple[str, ...] = ()
    notice: str | None = None


@dataclass(frozen=True)
class CohortRow:
    """One case of a batch.

    Parameters
    ----------
    id
        The case's id.
    state
        ``"done"``; ``"refused"``: the input was not accepted; ``"failed"``: something broke on the way.
    page
        The case's page, as a path from the folder of the cohort's page with ``/`` between its parts; None for none.
    record
        What was found; None unless done.
    reason
        Why it was refused or failed; None if done.

    Raises
    ------
    UsageError
        A case is done without a record, or refused or failed without a reason.
    """

    id: str
    state: State
    page: str | None = None
    record: Record | None = None
    reason: Finding | None = None

    def __post_init__(self) -> None:
        if self.state == "done" and self.record is None:
            raise UsageError("usage", f"case {self.id} is done, so it needs a record")
        if self.state != "done" and self.reason is None:
            raise UsageError("usage", f"case {self.id} is {self.state}, so it needs a reason")

    @property
    def verdict(self) -> str:
        """``"accept"`` or ``"review"``; the state where there is no result."""
        return self.record.verdict if self.record is not None else self.state


@dataclass(frozen=True)
class Figure:
    """A figure with its interval, as a page shows it.

    Parameters
    ----------
    value
        None where it is not defined.
    low, high
        Of its 95 % interval; None where none was computed.

    Raises
    ------
    InputError
        A number is not finite.

    Examples
    --------
    >>> Figure(0.8912, 0.885, 0.897).words, Figure(0.5).words
    ('0.891 (0.885 to 0.897)', '0.500')
    """

    value: float | None
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if not all(math.isfinite(number) for number in (self.value, self.low, self.high) if number is not None):
            raise InputError("not-finite", "a figure of a page is a finite number")

    @property
    def words(self) -> str:
        """The figure and, where it has one, its interval in brackets."""
        return UNKNOWN if self.value is None else " ".join(filter(None, (figure(self.value), self.span)))

    @property
    def span(self) -> str:
        """The interval in brackets; empty where there is none."""
        return "" if self.low is None or self.high is None else f"({figure(self.low)} to {figure(self.high)})"


@dataclass(frozen=True)
class FoldFacts:
    """One fold of a cross-validation.

    Parameters
    ----------
    number
        From 1.
    state
        ``"waiting"``, ``"running"``, ``"done"`` or ``"failed"``.
    training, held_out
        How many cases it learns from, and is measured on.
    epochs
        Done so far.
    seconds
        Used so far; None where not measured.
    figures
        What was measured on its held-out cases, by name.
    """

    number: int
    state: Literal["waiting", "running", "done", "failed"]
    training: int
    held_out: int
    epochs: int = 0
    seconds: float | None = None
    figures: Mapping[str, Figure] = field(default_factory=dict)


@dataclass(frozen=True)
class CaseFigures:
    """What was measured of one case while it was held out.

    Parameters
    ----------
    case
        Its id.
    fold
        Which held it out.
    values
        By name, e.g. the Dice of each label; None where a figure is not defined.
    """

    case: str
    fold: int
    values: Mapping[str, float | None]
