"""One line of the ledger, and how SQLite holds it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from medvision.errors import Finding, Grade
from medvision.study import AS_IT_STANDS, Reading, Source

State = Literal["done", "refused", "failed", "skipped"]

COLUMNS = (
    "id, state, verdict, source, images, input_sha256, pipeline_sha256, code, message, cure, files, finished, seconds,"
    " peak_memory_mb, forecast_seconds, forecast_memory_mb"
)
"""The columns of the table ``cases``, in the order of :func:`row_of`."""


@dataclass(frozen=True)
class Entry:
    """One line of the ledger.

    Parameters
    ----------
    id
        The case's id; for an input that never became a case, its path.
    state
        ``"done"``; ``"refused"``: the input is at fault; ``"failed"``: we are; ``"skipped"``: it is no image.
    source
        Where the case came from, as it was named.
    pipeline_sha256
        Of the pipeline and of all versions that a result depends on.
    images
        The sources of the case's channels, so that it can be read again; none for an input that never became a case.
    input_sha256
        Of the case's files; None where they could not be read.
    verdict
        ``"accept"`` or ``"review"`` of a case that is done.
    problem
        Why it is not done; it is read back with `source` as its path.
    files
        The SHA-256 of each file written, by its path within the output folder.
    seconds, peak_memory_mb
        What the case took; the memory is the greatest that its process held meanwhile, None where not known.
    forecast_seconds, forecast_memory_mb
        What it was to take, as was said before it was read; None where that could not be told.
    """

    id: str
    state: State
    source: Path
    pipeline_sha256: str
    images: tuple[Source, ...] = ()
    input_sha256: str | None = None
    verdict: str | None = None
    problem: Finding | None = None
    files: Mapping[str, str] | None = None
    seconds: float = 0.0
    peak_memory_mb: float | None = None
    forecast_seconds: float | None = None
    forecast_memory_mb: float | None = None


def row_of(entry: Entry) -> tuple[object, ...]:
    """Return what the table holds of an entry, finished now."""
    problem = entry.problem
    return (
        *(entry.id, entry.state, entry.verdict, os.fsencode(entry.source.absolute()).decode(errors="replace")),
        *(json.dumps([_source_json(image) for image in entry.images]), entry.input_sha256, entry.pipeline_sha256),
        *((problem.code, problem.message, problem.cure) if problem else (None, None, None)),
        *(json.dumps(dict(entry.files or {})), now(), entry.seconds, entry.peak_memory_mb),
        *(entry.forecast_seconds, entry.forecast_memory_mb),
    )


def entry_of(row: Sequence[object]) -> Entry:
    """Return the entry that a row of the table holds.

    Raises
    ------
    ValueError, LookupError, TypeError
        The row was damaged.
    """
    id_, state, verdict, source, images, input_, pipeline, code, message, cure, files, _, *figures = row
    seconds, memory, *forecasts = figures
    grade: Grade = "note" if state == "skipped" else "error"
    problem = Finding(str(code), grade, str(message), Path(str(source)), str(cure)) if code else None
    return Entry(
        id=str(id_),
        state=state,  # type: ignore[arg-type]
        source=Path(str(source)),
        pipeline_sha256=str(pipeline),
        images=tuple(_source(image) for image in json.loads(str(images))),
        input_sha256=str(input_) if input_ else None,
        verdict=str(verdict) if verdict else None,
        problem=problem,
        files=json.loads(str(files)),
        seconds=float(str(seconds)),
        peak_memory_mb=_number(memory),
        forecast_seconds=_number(forecasts[0]),
        forecast_memory_mb=_number(forecasts[1]),
    )


def _number(value: object) -> float | None:
    return None if value is None else float(str(value))


def now() -> str:
    """Return the time, in UTC, as the ledger and the log state it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _source_json(source: Source) -> dict[str, Any]:
    files = [str(file.absolute()) for file in source.files]
    how = {} if source.reading == AS_IT_STANDS else {"reading": asdict(source.reading)}
    return {"kind": source.kind, "files": files, "member": source.member, "part": source.part, **how}


def _source(content: Mapping[str, Any]) -> Source:
    member = content["member"]
    files = tuple(Path(file) for file in content["files"])
    return Source(
        content["kind"],
        files,
        (str(member[0]), int(member[1])) if member else None,
        content.get("part"),
        Reading(**content.get("reading", {})),
    )
