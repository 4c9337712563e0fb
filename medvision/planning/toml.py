"""Settings as a ``pipeline.toml`` that a person can read and edit: each with its reason above, and read back alike."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from medvision.pipeline import Settings
from medvision.planning.decision import Decision

_WIDTH = 118
_LISTS = ("steps", "explain")  # of tables that are told apart by `use`


def pipeline_toml(settings: Settings, decisions: Sequence[Decision] = (), *, head: str = "") -> str:
    """Return the text of a ``pipeline.toml``.

    Settings at their defaults are left out, but for those that were decided on, so that the file says what a plan
    says. Reading the text back gives equal settings.

    Parameters
    ----------
    settings
        What is written.
    decisions
        Their reasons become comments above the settings.
    head
        Lines of comment at the top.
    """
    reasons = {each.setting: each.reason for each in decisions}
    above = [*_comment(head), ""] if head else []
    return "\n".join([*above, *_table("", settings, reasons)]).strip("\n") + "\n"


def _table(place: str, value: Any, reasons: Mapping[str, str], header: str = "") -> Iterator[str]:
    """Yield the lines of one table: its own keys first, for what stands below a header belongs to it."""
    nested: list[tuple[str, Any]] = []
    said = ""  # the reason of several settings in a row stands above the first
    if header:
        yield ""
        yield from _comment(reasons.get(place, ""))
        yield header
    for name, part in _entries(place, value, reasons):
        if _is_table(part) or _is_tables(part):
            nested.append((name, part))
            continue
        reason = reasons.get(_below(place, name), "")
        yield from _comment(reason if reason != said else "")
        said = reason
        yield f"{_key(name)} = {_value(part)}"
    for name, part in nested:
        inner = ".".join(filter(None, (_path(header), _key(name))))
        if _is_table(part):
            yield from _table(_below(place, name), part, reasons, f"[{inner}]")
            continue
        for number, entry in enumerate(part):
            named = f"{name}.{entry.use}" if name in _LISTS and not place else _below(place, name)
            yield from _table(named, entry, reasons if named.startswith(_LISTS) or not number else {}, f"[[{inner}]]")


def _entries(place: str, value: Any, reasons: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """Yield what is to be said of a table: what is no default, what was decided, and what tells it from others."""
    if isinstance(value, Mapping):
        yield from ((str(name), part) for name, part in value.items())
        return
    for each in sorted(fields(value), key=lambda each: each.name != "use"):
        part = getattr(value, each.name)
        known = type(value).__pydantic_fields__[each.name]
        is_said = known.is_required() or each.name == "use" or part != known.get_default(call_default_factory=True)
        decided = any(f"{reason}.".startswith(f"{_below(place, each.name)}.") for reason in reasons)
        if part is None:
            if is_said:
                raise ValueError(f"{_below(place, each.name)}: TOML has no word for None, and the default is another")
            continue
        if is_said or (decided and not _is_empty_tables(part, each.name)):
            yield each.name, part


def _below(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _path(header: str) -> str:
    return header.strip("[]")


def _is_table(value: Any) -> bool:
    return is_dataclass(value) or isinstance(value, Mapping)


def _is_tables(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and all(is_dataclass(part) for part in value)


def _is_empty_tables(value: Any, name: str) -> bool:
    return name in _LISTS and not value


def _comment(words: str) -> list[str]:
    """Return the lines of a comment, in which TOML allows no control character."""
    lines = ["".join(c if c.isprintable() else " " for c in line) for line in words.splitlines()]
    return [f"# {part}" for line in lines for part in textwrap.wrap(line, _WIDTH - 2)]


def _key(name: str) -> str:
    return name if re.fullmatch("[A-Za-z0-9_-]+", name) else _value(name)


def _value(value: Any) -> str:
    """Return a TOML value: strings are escaped as in JSON, and DEL too, which JSON allows and TOML does not."""
    if isinstance(value, list | tuple):
        inside = [_value(part) for part in value]
        line = f"[{', '.join(inside)}]"
        long = len(line) > _WIDTH and any(isinstance(part, str) for part in value)
        return "[\n" + "".join(f"    {part},\n" for part in inside) + "]" if long else line
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)
