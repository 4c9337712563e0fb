"""The page of a batch: counts, what went wrong, plots, and a table that leads to every case."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medvision.errors import REASONS, Finding
from medvision.report.columns import Column, columns_of, page_columns, predicted_class
from medvision.report.facts import CohortRow, PipelineFacts
from medvision.report.pages import render
from medvision.report.plots import HEIGHT, WIDTH, strip_of
from medvision.results import Record

_ORDER = {"failed": 0, "refused": 1, "review": 2, "accept": 3}


@dataclass(frozen=True)
class _TableRow:
    row: CohortRow
    codes: tuple[str, ...]
    cells: tuple[str, ...]
    predicted: str


def render_cohort(
    rows: Sequence[CohortRow],
    *,
    title: str,
    pipeline: PipelineFacts,
    command: str,
    left_out: Sequence[Finding] = (),
    summary: Mapping[str, Any] | None = None,
) -> str:
    """Return the page of a batch: one HTML file without scripts or outside resources.

    Parameters
    ----------
    rows
        Every case, in any order.
    title
        Of the page.
    pipeline
        The pipeline's card.
    command
        The command line of the batch.
    left_out
        What was found beside the cases and not analysed; a file's name is shown without its folder.
    summary
        Further facts for "How this was made", as names and values.
    """
    ordered = sorted(rows, key=lambda row: (_ORDER[row.verdict], row.id))
    records = [row.record for row in ordered if row.record is not None]
    columns = columns_of(records)
    shown = page_columns(columns, records)
    strips = [strip for column in shown if (strip := strip_of(column, ordered)) is not None]
    table = [_table_row(row, row.record, shown) for row in ordered if row.record is not None]
    codes = dict.fromkeys(code for one in table for code in one.codes)
    counts = Counter(row.verdict for row in ordered)
    return render(
        "cohort.html",
        {
            "title": title,
            "pipeline": pipeline,
            "command": command,
            "counts": {verdict: counts[verdict] for verdict in ("accept", "review", "refused", "failed")},
            "review": {code: [one for one in table if code in one.codes] for code in codes},
            "reasons": REASONS,
            "stopped": [row for row in ordered if row.record is None],
            "table": table,
            "columns": shown,
            "all_columns": len(columns),
            "classified": any(record.probabilities for record in records),
            "several": any(record.positives is not None for record in records),
            "strips": strips,
            "plot_size": (WIDTH, HEIGHT),
            "left_out": left_out,
            "summary": summary or {},
        },
    )


def _table_row(row: CohortRow, record: Record, columns: Sequence[Column]) -> _TableRow:
    codes = tuple(dict.fromkeys(finding.code for finding in record.findings if finding.grade == "warning"))
    cells = tuple(column.words(column.of(record)) for column in columns)
    return _TableRow(row, codes, cells, predicted_class(record))
