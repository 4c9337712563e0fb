"""A ``pipeline.toml`` with some settings changed: every other line, and every comment, stays as it was."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeGuard

from medvision.errors import PipelineError
from medvision.pipeline import Settings, parse_settings
from medvision.planning.toml import pipeline_toml

if TYPE_CHECKING:
    from tomlkit.items import Item

_ADDED = "set by the training"
_ANEW = "Written anew by a training: in the file that it was given, settings could not be changed and its words kept."


def changed_toml(text: str, before: Settings, after: Settings) -> str:
    """Return the text of a ``pipeline.toml`` whose settings a training changed; reading it back gives `after`.

    So the reasons that a plan or a person wrote above the settings go on to the trained pipeline. A setting that is
    another one now says so behind its value. A file whose form does not allow it (a table in one line that another is
    to come into) is written anew, without its comments: what it says must be right before all else.

    Parameters
    ----------
    text
        Of the file with `before`.
    before, after
        All settings, checked.
    """
    changed = _changed(text, before, after)
    try:
        if changed is not None and parse_settings(changed) == after:
            return changed
    except PipelineError:
        pass  # what was made of it is no pipeline.toml any more
    return pipeline_toml(after, head=_ANEW)


def _changed(text: str, before: Settings, after: Settings) -> str | None:
    """Return the text with its settings changed in place; None where a table has a form that takes no more in."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    document = tomlkit.parse(text)
    try:
        _change(document, before.to_json(), after.to_json())
    except (TOMLKitError, ValueError):
        return None
    return _raised(tomlkit.dumps(document), text)


def _raised(text: str, before: str) -> str:
    """Move each new setting up to those of its table.

    It was added at the table's end, where the words above the next table stand, which would be taken for its own; an
    empty line came with it.
    """
    # A line of TOML ends with a line feed and nothing else: a comment may hold what other texts end a line with.
    known, lines, is_raised = set(map(str.rstrip, before.split("\n"))), list[str](), False
    for line in re.split(r"(?<=\n)", text):
        if is_raised and not line.strip():
            continue
        place = len(lines)
        if _ADDED in line and line.rstrip() not in known:
            while place and (not lines[place - 1].strip() or lines[place - 1].startswith("#")):
                place -= 1
        is_raised = place < len(lines)
        lines.insert(place, line)
    return "".join(lines)


def _change(table: Any, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Bring a table of the file from what it said to what it shall say."""
    import tomlkit

    for key in before:
        if after.get(key) is None:
            table.pop(key, None)  # TOML has no word for None, and it is the default of whatever can be None
    for key, value in after.items():
        old = before.get(key)
        if value is None or value == old:
            continue
        if isinstance(value, dict) and isinstance(old, dict):
            if key not in table:
                table[key] = tomlkit.table()
            _change(table[key], old, value)
        elif _are_tables(value) and _are_tables(old) and len(value) == len(old):
            for entry, one, other in zip(table[key], old, value, strict=True):
                _change(entry, one, other)
        else:
            table[key] = _marked(value, old, added=key not in table)


def _are_tables(value: Any) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(value, list) and bool(value) and all(isinstance(entry, dict) for entry in value)


def _marked(value: Any, old: Any, *, added: bool) -> Item:
    """Return a value with a word on what it was, or would be by default."""
    import tomlkit

    item: Item = tomlkit.item(_without_none(value))
    if isinstance(value, dict) or _are_tables(value):
        return item
    word, was = (_ADDED, "by default") if added else ("changed by the training", "it was")
    item.comment(word if old is None else f"{word}; {was} {json.dumps(old)}")
    return item


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(part) for key, part in value.items() if part is not None}
    return [_without_none(part) for part in value] if isinstance(value, list) else value
