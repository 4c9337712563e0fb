"""The table of a batch as CSV: one row a case, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from medvision.errors import Finding
from medvision.report.columns import Column, columns_of, predicted_class
from medvision.report.facts import CohortRow

# Spreadsheets run a cell that begins with one of these (OWASP, "CSV Injection"), also in their full-width forms.
_FORMULA = "=+-@\uff1d\uff0b\uff0d\uff20"


def results_csv(rows: Sequence[CohortRow]) -> str:
    """Return the results of `rows`, in their order, as CSV with a header line.

    The columns are id, state, verdict, reason and message (the codes and the words of why a case is not done or is for
    review, ``; `` between several), then for each label its volume, diameter, parts, mean intensity and voxels, or for
    each class its probability and last the predicted class; for several labels at once the probability of each and last
    those taken for present, ``; `` between them; for a regression each value, its unit in the head. A figure that is
    not known is empty. Text that a spreadsheet would run as a formula gets an apostrophe in front; numbers are left
    alone.

    Returns
    -------
    UTF-8 text, lines ended by a newline.
    """
    records = [row.record for row in rows if row.record is not None]
    columns = columns_of(records)
    classified = any(column.kind == "probability" for column in columns)
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\n")
    header = ["id", "state", "verdict", "reason", "message", *(column.key for column in columns)]
    writer.writerow([_harmless(name) for name in header + ["predicted"] * classified])
    for row in rows:
        predicted = predicted_class(row.record) if row.record is not None else ""
        writer.writerow(_cells(row, columns) + [_harmless(predicted)] * classified)
    return content.getvalue()


def _cells(row: CohortRow, columns: Sequence[Column]) -> list[str | float | int | None]:
    verdict = row.record.verdict if row.record is not None else ""
    reasons = _reasons(row)
    codes, words = "; ".join(dict.fromkeys(one.code for one in reasons)), "; ".join(one.message for one in reasons)
    cells: list[str | float | int | None] = [_harmless(text) for text in (row.id, row.state, verdict, codes, words)]
    for column in columns:
        value = column.of(row.record) if row.record is not None else None
        # Ten digits: more than any figure holds, and without the noise of binary fractions.
        cells.append(f"{value:.10g}" if isinstance(value, float) else value)
    return cells


def _reasons(row: CohortRow) -> list[Finding]:
    """Return why a case is not done, or why it is for review."""
    if row.reason is not None:
        return [row.reason]
    return [finding for finding in row.record.findings if finding.grade != "note"] if row.record is not None else []


def _harmless(text: str) -> str:
    start = text.lstrip(" ")[:1]
    return f"'{text}" if start and (start in _FORMULA or not start.isprintable()) else text
