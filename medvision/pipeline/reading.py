"""Reads a ``pipeline.toml``: what is wrong is named with its place and with what it may say."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from medvision.errors import PipelineError
from medvision.pipeline.settings import Settings


def read_settings(path: Path) -> Settings:
    """Read and check a ``pipeline.toml``; numbers in quotes and the like are refused, not converted.

    Raises
    ------
    PipelineError
        It cannot be read, is no TOML, or says what is not allowed; every place is named, with what it may say.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise PipelineError("pipeline-invalid", f"this is no UTF-8, at byte {error.start}", path=path) from error
    except OSError as error:
        raise PipelineError("pipeline-invalid", f"the file cannot be read: {error.strerror}", path=path) from error
    return parse_settings(text, path)


def parse_settings(text: str, path: Path | None = None) -> Settings:
    """Return the settings that the text of a ``pipeline.toml`` says; see :func:`read_settings` for errors.

    Parameters
    ----------
    text
        Without a byte order mark.
    path
        Where it stands, for messages.
    """
    try:
        content = json.dumps(tomllib.loads(text), default=str)
    except tomllib.TOMLDecodeError as error:
        raise PipelineError("pipeline-invalid", f"this is no TOML: {error}", path=path) from error
    except RecursionError:
        raise PipelineError("pipeline-invalid", "this is nested too deeply", path=path) from None
    try:
        return TypeAdapter(Settings).validate_json(content, strict=True)
    except ValidationError as error:
        raise PipelineError("pipeline-invalid", explained(error), path=path) from error


def explained(error: ValidationError) -> str:
    """Return what settings are refused for: every place, what is wrong there, and what is allowed."""
    return "; ".join(_explained(problem) for problem in error.errors(include_url=False))


def schema() -> dict[str, Any]:
    """Return the JSON schema of ``pipeline.toml``, for editors."""
    content = TypeAdapter(Settings).json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **content, "title": "medvision pipeline.toml"}


def _explained(problem: Any) -> str:
    """Return one problem as place, what is wrong, and what is allowed."""
    parts = (part + 1 if isinstance(part, int) else part for part in problem["loc"])  # people count from 1
    place = ".".join(map(str, parts))
    kind = problem["type"]
    if kind == "value_error":  # one of ours: at the top, the message itself names the place
        return f"{place}: {problem['ctx']['error']}" if place else str(problem["ctx"]["error"])
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        allowed = _allowed_keys(problem["loc"][:-1])
        close = difflib.get_close_matches(str(problem["loc"][-1]), allowed, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        return f"{place}: there is no such key{hint}; there are {', '.join(allowed)}"
    if kind == "union_tag_invalid":
        context = problem["ctx"]
        return f"{place}: nothing is called {context['tag']!r}; there are {context['expected_tags']}"
    if kind == "union_tag_not_found":
        return f"{place}: the key 'use' is missing; it names one of {', '.join(_choices(problem['loc']))}"
    given = problem["input"]
    shown = f", got {given!r}" if isinstance(given, str | int | float | bool) else ""
    return f"{place}: {problem['msg']}{shown}"


def _allowed_keys(place: Sequence[str | int]) -> list[str]:
    """Return the keys that the table at `place` may hold, by walking the schema."""
    return sorted(_at(place).get("properties", {}))


def _choices(place: Sequence[str | int]) -> list[str]:
    """Return the names that the key 'use' of the table at `place` may have."""
    return list(_at(place)["discriminator"]["mapping"])


def _at(place: Sequence[str | int]) -> dict[str, Any]:
    whole = schema()
    node: dict[str, Any] = whole
    for part in place:
        node = _inside(node, part, whole)
    return _resolved(node, whole)


def _inside(node: dict[str, Any], part: str | int, whole: dict[str, Any]) -> dict[str, Any]:
    node = _resolved(node, whole)
    if isinstance(part, int):
        found = node.get("items", {})
    elif "discriminator" in node:
        found = {"$ref": node["discriminator"]["mapping"].get(part, "")}
    else:
        found = node.get("properties", {}).get(part, {})
    return dict(found)


def _resolved(node: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    """Return what a node stands for: that which it refers to, and of a table that may be left out, the table."""
    while "$ref" in node or "anyOf" in node:
        tables = [part for part in node.get("anyOf", [node]) if "$ref" in part or "discriminator" in part]
        if tables and "discriminator" in tables[0]:
            return dict(tables[0])
        node = whole["$defs"].get(tables[0]["$ref"].removeprefix("#/$defs/"), {}) if tables else {}
    return node
