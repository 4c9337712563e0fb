"""The configuration of a bundle as data: references within the file are followed, and nothing of it is ever run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medvision.errors import PipelineError
from medvision.importing.monai_bundle.component import Component, Expression, unsupported

LIMIT_BYTES = 4 << 20
"""Size above which a configuration is not read."""

_DEPTH = 40  # of tables within tables, references included
_PARTS = 100_000  # of all that references lead to, so that a few of them cannot grow without end


@dataclass(frozen=True)
class Document:
    """A configuration file.

    Parameters
    ----------
    path
        Where it lies.
    content
        Its JSON.
    """

    path: Path
    content: Mapping[str, Any] = field(repr=False)

    @classmethod
    def open(cls, path: Path) -> Document:
        """Read a configuration.

        Raises
        ------
        PipelineError
            ``import-invalid``: it is missing, too large, no JSON, or no table.
        """
        try:
            text = path.read_bytes() if path.stat().st_size <= LIMIT_BYTES else None
            content = None if text is None else json.loads(text)
        except OSError as error:
            raise PipelineError("import-invalid", f"the file cannot be read: {error.strerror}", path=path) from error
        except (ValueError, RecursionError) as error:
            raise PipelineError("import-invalid", "this is no JSON", path=path) from error
        if text is None:
            raise PipelineError("import-invalid", f"it has more than {LIMIT_BYTES:,} bytes", path=path)
        if not isinstance(content, dict):
            raise PipelineError("import-invalid", "this is no table of JSON", path=path)
        return cls(path, content)

    def part(self, name: str) -> Any:
        """Return what stands under a name, with what it refers to in place; None where nothing does.

        Tables with a ``_target_`` become a :class:`Component`, and words that only MONAI could work out an
        :class:`Expression`, which is no fault as long as nobody needs its value.

        Raises
        ------
        PipelineError
            ``import-unsupported``: a reference leads nowhere, round in a circle, or too far.
        """
        found = _Walk(self).resolved(self.content.get(name), name, ())
        return None if found is _DISABLED else found


@dataclass
class _Walk:
    """One way through a document: how many parts it has passed."""

    document: Document
    parts: int = 0

    def resolved(self, value: Any, place: str, above: tuple[str, ...], depth: int = 0) -> Any:
        """Return a value with all references in it followed; `above` are those that led here."""
        self.parts += 1
        if depth > _DEPTH or self.parts > _PARTS:
            raise self._refused(place, "its references lead too far")
        if isinstance(value, str):
            return self._word(value, place, above, depth)
        if isinstance(value, list):
            listed = [self.resolved(part, f"{place}.{n}", above, depth + 1) for n, part in enumerate(value)]
            return [part for part in listed if part is not _DISABLED]
        if isinstance(value, dict):
            return self._table(value, place, above, depth)
        return value

    def _table(self, value: dict[str, Any], place: str, above: tuple[str, ...], depth: int) -> Any:
        found = {key: self.resolved(part, f"{place}.{key}", above, depth + 1) for key, part in value.items()}
        disabled = found.pop("_disabled_", False)
        if not isinstance(disabled, bool):
            raise self._refused(f"{place}._disabled_", "whether it is used cannot be told")
        if disabled:
            return _DISABLED
        found = {key: part for key, part in found.items() if part is not _DISABLED}
        if "_target_" not in found:
            return found
        target, mode = found.pop("_target_"), found.pop("_mode_", "default")
        if not isinstance(target, str):
            raise self._refused(f"{place}._target_", "what it is cannot be told")
        if mode != "default":
            raise self._refused(f"{place}._mode_", "only the mode 'default' is read")
        arguments = {key: part for key, part in found.items() if key not in ("_desc_", "_requires_")}
        return Component(self.document.path, place, target, arguments)

    def _word(self, value: str, place: str, above: tuple[str, ...], depth: int) -> Any:
        """Return a plain word, what a reference leads to, or an expression."""
        if value.startswith(("$", "%")):
            return Expression(value)
        if not value.startswith("@"):
            return value
        if value in above:
            raise self._refused(place, f"the reference {value!r} leads back to itself")
        keys = value[1:].replace("::", "#").split("#")
        return self.resolved(self._at(keys, value, place), ".".join(keys), (*above, value), depth + 1)

    def _at(self, keys: list[str], value: str, place: str) -> Any:
        node: Any = self.document.content
        for key in keys:
            if isinstance(node, dict) and key in node:
                node = node[key]
            elif isinstance(node, list) and key.isdecimal() and int(key) < len(node):
                node = node[int(key)]
            elif isinstance(node, str) and node.startswith("@"):
                raise self._refused(place, f"the reference {value!r} leads through another one")
            else:
                raise self._refused(place, f"the reference {value!r} leads nowhere in this file")
        return node

    def _refused(self, place: str, why: str) -> PipelineError:
        return unsupported(self.document.path, place, why)


_DISABLED = object()
