"""Which engine was chosen, and what was measured of each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from medvision.engines.closeness import Closeness
from medvision.strict import STRICT


@dataclass(frozen=True, config=STRICT)
class Memory:
    """The peak of an engine's memory, in bytes; None is what the system does not tell, or what was not measured.

    Parameters
    ----------
    opening
        While it is opened, its model converted before.
    first
        With one input.
    further
        What every further input adds that is computed at the same time.
    """

    opening: int | None
    first: int | None
    further: int | None

    def at_once(self, inputs: int) -> int | None:
        """Return the peak with as many inputs at the same time.

        >>> Memory(opening=600, first=500, further=200).at_once(1), Memory(600, 500, 200).at_once(3)
        (600, 900)
        """
        if self.opening is None or self.first is None or self.further is None:
            return None
        return max(self.opening, self.first + (inputs - 1) * self.further)


@dataclass(frozen=True, config=STRICT)
class Row:
    """What was measured of one engine.

    Parameters
    ----------
    name
        One of :data:`medvision.engines.NAMES`.
    why_not
        Why it is not used; None of the one that is.
    seconds
        For an input, with as many computed at once as there are threads; None where it was not measured.
    memory
        What the engine takes, beyond what the process took before; None where it was not measured.
    closeness
        How far its outputs are from those of the reference; None where it was not measured, or they are not finite.
    inexact
        Whether it is beyond the tolerance.
    """

    name: str
    why_not: str | None = None
    seconds: float | None = None
    memory: Memory | None = None
    closeness: Closeness | None = None
    inexact: bool = False


@dataclass(frozen=True, config=STRICT)
class Choice:
    """Which engine is used on this machine for a network, and why.

    Parameters
    ----------
    engine
        Its name.
    wanted
        What was asked for: ``"auto"``, or an engine by name.
    threads
        How many inputs were computed at once when it was measured.
    inputs
        On how many inputs the engines were compared.
    rows
        A row for each engine.

    Raises
    ------
    ValueError
        There is not one row of the engine.
    """

    engine: str
    wanted: str
    threads: int
    inputs: int
    rows: tuple[Row, ...]

    def __post_init__(self) -> None:
        if [row.name for row in self.rows if row.why_not is None] != [self.engine]:
            raise ValueError("one row is that of the engine that is used")

    @property
    def used(self) -> Row:
        """What was measured of the engine that is used."""
        return next(row for row in self.rows if row.name == self.engine)

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Choice:
        """Return the choice of which :meth:`to_json` gave the values; ValueError where they are none."""
        return TypeAdapter(cls).validate_json(json.dumps(values), strict=True)

    def told(self) -> list[str]:
        """Return what a person should know of the choice: which engine, and which others are not exact enough.

        >>> rows = (Row("torch-fp32"), Row("onnx-fp32", "beyond the tolerance: largest difference 0.2", inexact=True))
        >>> Choice("torch-fp32", "auto", 1, 4, rows).told()
        ['the engine is torch-fp32', 'onnx-fp32 is not used: beyond the tolerance: largest difference 0.2']
        """
        others = [f"{row.name} is not used: {row.why_not}" for row in self.rows if row.inexact]
        return [f"the engine is {self.engine}", *others]

    def for_record(self) -> dict[str, Any]:
        """Return what a case's record says of it: nothing that differs from run to run, as seconds and bytes do.

        Nor what was found of other engines: that depends on how many there was time to try.
        """
        close = self.used.closeness
        return {
            "engine": self.engine,
            "inputs": self.inputs,
            "closeness": None if close is None else asdict(close),
        }
