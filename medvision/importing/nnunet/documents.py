"""The JSON files of a results folder, read into values that are checked: what is missing or odd is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from medvision.errors import PipelineError

FOREIGN = ConfigDict(extra="ignore", allow_inf_nan=False)
"""How another program's tables are read: what we have no use for is passed over, what we use is checked."""

LIMIT_BYTES = 64 << 20
"""Size above which such a file is not read."""

_Value = TypeVar("_Value")


def read_document(path: Path, kind: type[_Value]) -> _Value:
    """Return what a JSON file says.

    Raises
    ------
    PipelineError
        ``import-invalid``: it is missing, too large, no JSON, or a key is missing or of another type.
    """
    try:
        if path.stat().st_size > LIMIT_BYTES:
            raise PipelineError("import-invalid", f"the file has more than {LIMIT_BYTES:,} bytes", path=path)
        content = path.read_bytes()
    except OSError as error:
        raise PipelineError("import-invalid", f"the file cannot be read: {error.strerror}", path=path) from error
    return _checked(content, kind, path, "")


def as_value(table: Any, kind: type[_Value], path: Path, place: str) -> _Value:
    """Return a part of a JSON file that has been read, at a place in it; see :func:`read_document`."""
    return _checked(json.dumps(table).encode(), kind, path, place)


def unsupported(message: str, path: Path | None = None, *, cure: str | None = None) -> PipelineError:
    """Return the error that says what of a model no pipeline here does."""
    return PipelineError("import-unsupported", message, path=path, cure=cure)


def _checked(content: bytes, kind: type[_Value], path: Path, place: str) -> _Value:
    try:
        return TypeAdapter(kind).validate_json(content, strict=True)
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, filter(None, (place, *each['loc'])))) or 'the file'}: {each['msg']}"
            for each in error.errors(include_url=False)
        ]
        more = f"; and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise PipelineError("import-invalid", "; ".join(faults[:3]) + more, path=path) from error
