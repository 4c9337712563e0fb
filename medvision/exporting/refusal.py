"""What a pipeline has and another format has not."""

from __future__ import annotations

from medvision.errors import Finding, PipelineError


def unsupported(place: str, why: str, cure: str | None = None) -> PipelineError:
    """Return the error that names a setting which an export cannot hold."""
    return PipelineError("export-unsupported", f"{place}: {why}", cure=cure)


def differs(message: str) -> Finding:
    """Return the note that tells where the other program's result can differ."""
    return Finding("export-differs", "note", message)
