"""One part of a bundle's configuration: the name of what is meant, and its arguments, all accounted for."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medvision.errors import PipelineError

NEEDED = object()
"""Stands for the default of an argument that has none."""

_FLOATS = re.compile(r"\$?(?:(?:np|numpy|torch)\.)?float(?:32|64)?")
_SHOWN = 80  # characters of a value in a message


@dataclass(frozen=True)
class Expression:
    """Words that only MONAI could work out: Python behind ``$``, or what another file holds behind ``%``."""

    words: str

    def __repr__(self) -> str:
        return self.words


@dataclass(frozen=True)
class Component:
    """A table with a ``_target_``.

    Parameters
    ----------
    path
        The file.
    place
        Where in it, as names joined by points, numbered from 0 as MONAI numbers.
    target
        The ``_target_``: the name of a class, which is compared with a list and never looked up.
    arguments
        All others.
    """

    path: Path
    place: str
    target: str
    arguments: Mapping[str, Any] = field(repr=False)

    @property
    def name(self) -> str:
        """The name of the class; that of another program's class stays whole, and so is on no list.

        >>> Component(Path("a"), "b", "monai.networks.nets.UNet", {}).name
        'UNet'
        >>> Component(Path("a"), "b", "scripts.nets.UNet", {}).name
        'scripts.nets.UNet'
        """
        return self.target.rsplit(".", 1)[-1] if self.target.startswith("monai.") else self.target

    def read(
        self,
        known: Mapping[str, Any],
        *,
        fixed: Mapping[str, Any] | None = None,
        floats: Collection[str] = (),
        ignored: Collection[str] = (),
    ) -> dict[str, Any]:
        """Return the arguments that are `known`, with their defaults.

        Parameters
        ----------
        known
            Name to default; :data:`NEEDED` where there is none.
        fixed
            Arguments that can have one value alone: name to value, that of their default.
        floats
            Arguments that state a type of number: one of 32 or 64 bits, which makes no difference here, or none.
        ignored
            Arguments that change no number.

        Raises
        ------
        PipelineError
            ``import-unsupported``: one is missing, is an expression, has another value, or is not known.
        """
        for name, value in self.arguments.items():
            if name in ignored:
                continue
            if name in floats:
                self._check_float(name, value)
            elif name in (fixed or {}):
                self._check_fixed(name, value, (fixed or {})[name])
            elif name not in known:
                raise self.refused(name, f"{self.name} with it is not known here")
        found = {name: self.arguments.get(name, default) for name, default in known.items()}
        for name, value in found.items():
            if value is NEEDED:
                raise self.refused(name, f"{self.name} needs it")
            self._check_plain(name, value)
        return found

    def refused(self, argument: str, why: str) -> PipelineError:
        """Return the error that names an argument, its value, and why it is not taken."""
        given = self.arguments.get(argument)
        shown = f" is {shown_as(given)}: " if argument in self.arguments else ": "
        return PipelineError("import-unsupported", f"{self.place}.{argument}{shown}{why}", path=self.path)

    def _check_plain(self, name: str, value: Any) -> None:
        if holds_expression(value):
            why = "only MONAI could work that out, and nothing of a bundle is run here"
            error = self.refused(name, why)
            cure = "Write the value itself in its place, in a copy of the bundle."
            raise PipelineError(error.code, error.finding.message, path=self.path, cure=cure)

    def _check_fixed(self, name: str, value: Any, wanted: Any) -> None:
        self._check_plain(name, value)
        if value is not None and comparable(value) != comparable(wanted):
            raise self.refused(name, f"only {shown_as(wanted)} can be done here")

    def _check_float(self, name: str, value: Any) -> None:
        words = value.words if isinstance(value, Expression) else value
        if words is not None and not (isinstance(words, str) and _FLOATS.fullmatch(words)):
            raise self.refused(name, "only numbers of 32 or 64 bits are computed with here")


def unsupported(path: Path, place: str, why: str, cure: str | None = None) -> PipelineError:
    """Return the error that names a place in a configuration."""
    return PipelineError("import-unsupported", f"{place}: {why}", path=path, cure=cure)


def holds_expression(value: Any) -> bool:
    """Whether anything in a value is an expression."""
    if isinstance(value, Mapping):
        return any(map(holds_expression, value.values()))
    if isinstance(value, list):
        return any(map(holds_expression, value))
    return isinstance(value, Expression)


def comparable(value: Any) -> Any:
    """Return a value in which lists of one number repeated, case of words and kind of number make no difference.

    >>> comparable([3, 3, 3]) == comparable(3), comparable("INSTANCE") == comparable("instance")
    (True, True)
    """
    if isinstance(value, list | tuple) and value and all(part == value[0] for part in value):
        return comparable(value[0])
    return value.lower() if isinstance(value, str) else value


def shown_as(value: Any) -> str:
    """Return a value for a message, on one line and not too long."""
    text = value.words if isinstance(value, Expression) else repr(value)
    line = "".join(c if c.isprintable() else " " for c in text)
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."
