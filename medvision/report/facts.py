"""What pages need besides records: the pipeline's card, and the state of each case of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from medvision.errors import Finding, UsageError
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
