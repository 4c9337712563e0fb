"""What is asked of a plan, and what it answers: settings, and the reason of each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from medvision.errors import UsageError
from medvision.pipeline import Settings

MEMORY_GB = 8.0
"""Memory of the device that trains, for which patch and batch are sized where nothing else is said: a usual GPU's."""


@dataclass(frozen=True)
class Request:
    """What the data cannot tell.

    Parameters
    ----------
    name
        The pipeline's name: lower-case letters, digits and hyphens.
    named
        Whether a person gave that name; else it was made of the folder's.
    unnamed
        Whether the data set names no label, class or value, so that they are called by their numbers.
    memory_gb
        Memory of the device that trains, in 10^9 bytes.
    sides
        Whether every case states the side of the body that it shows, and both sides occur.
    fixed_split
        Whether the data set fixes which cases are held out; the fingerprint is then that of the others.
    """

    name: str
    named: bool = True
    unnamed: bool = False
    memory_gb: float = MEMORY_GB
    sides: bool = False
    fixed_split: bool = False


@dataclass(frozen=True)
class Decision:
    """One setting that was chosen, and why.

    Parameters
    ----------
    setting
        Its place in ``pipeline.toml``, e.g. ``"train.patch"``; of a step or a saliency method ``"steps.zscore"``.
    value
        A JSON value; the settings of a step or a method. None leaves the setting at its default.
    reason
        The rule, with the figures of these data; one or two sentences.

    Raises
    ------
    UsageError
        There is no reason.
    """

    setting: str
    value: Any
    reason: str

    def __post_init__(self) -> None:
        if not self.reason:
            raise UsageError("usage", f"{self.setting}: a decision has a reason", cure="Say why the setting is so.")

    @property
    def shown(self) -> str:
        """The value in one line for a person.

        >>> Decision("train.patch", [40, 56, 40], "whole images fit").shown
        '40 x 56 x 40'
        >>> Decision("steps.clip", {"low": -100.0, "high": 240.0}, "CT").shown
        'low -100, high 240'
        """
        return _shown(self.value, self.setting)

    def to_json(self) -> dict[str, Any]:
        """Return the decision as JSON values."""
        return {"setting": self.setting, "value": self.value, "reason": self.reason}


@dataclass(frozen=True)
class Plan:
    """The settings of a pipeline, and the decisions that they are made of.

    Parameters
    ----------
    settings
        All settings, checked.
    decisions
        In the order of ``pipeline.toml``, the rules' own order within a table.
    """

    settings: Settings
    decisions: tuple[Decision, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return {"settings": self.settings.to_json(), "decisions": [each.to_json() for each in self.decisions]}


_SIZES = ("patch", "window", "shape", "steps.resample.spacing_mm")
_RANGES = ("values", "contract.spacing_mm", "extent_mm", "source")


def _shown(value: Any, place: str) -> str:
    if value is None:
        return "not set"
    if value is True or value is False:
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, dict) and list(value) == ["use"]:
        return str(value["use"])
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(part, f'{place}.{name}')}" for name, part in value.items()) or "yes"
    if isinstance(value, list | tuple):
        apart = " x " if place.endswith(_SIZES) else " to " if place.endswith(_RANGES) else ", "
        if any(isinstance(part, list | tuple) for part in value):
            apart = "; "
        return apart.join(_shown(part, place) for part in value) or "none"
    return value if isinstance(value, str) else json.dumps(value)
