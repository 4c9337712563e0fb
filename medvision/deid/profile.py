"""The table of PS3.15, Annex E: which attribute is treated how, under which options.

The table itself is data (``profile.json``); where neither it nor :mod:`medvision.deid.elements` allows an element, the
element goes.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

from medvision.deid.lettering import Box
from medvision.errors import UsageError

BASIC = ("113100", "Basic Application Confidentiality Profile")
PIXELS_CLEANED = ("113101", "Clean Pixel Data Option")

OPTIONS: dict[str, tuple[str, str]] = {
    "retain-uids": ("113110", "Retain UIDs Option"),
    "retain-device-identity": ("113109", "Retain Device Identity Option"),
    "retain-institution-identity": ("113112", "Retain Institution Identity Option"),
    "retain-patient-characteristics": ("113108", "Retain Patient Characteristics Option"),
    "retain-dates-full": ("113106", "Retain Longitudinal Temporal Information Full Dates Option"),
    "retain-dates-modified": ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    "retain-safe-private": ("113111", "Retain Safe Private Option"),
    "clean-descriptors": ("113105", "Clean Descriptors Option"),
    "clean-structured-content": ("113104", "Clean Structured Content Option"),
    "clean-graphics": ("113103", "Clean Graphics Option"),
}
"""The options, with their codes and meanings (PS3.16, CID 7050)."""


@dataclass(frozen=True)
class DeidOptions:
    """What is kept beyond the basic profile, and what happens to lettering in pixels.

    Parameters
    ----------
    profile
        Names from :data:`OPTIONS`.
    blank
        Rectangles that are made blank in every frame, of every file.
    blank_detected
        Lettering that is detected is made blank; a file where some is left, or none is found although its header says
        that there is some, is refused.
    accept_burned_in
        Files pass although lettering is suspected: somebody has looked at them.

    Raises
    ------
    UsageError
        No option has such a name, or two choices exclude each other.

    Examples
    --------
    >>> DeidOptions(frozenset({"retain-uids"})).codes()
    [('113100', 'Basic Application Confidentiality Profile'), ('113110', 'Retain UIDs Option')]
    """

    profile: frozenset[str] = frozenset()
    blank: tuple[Box, ...] = ()
    blank_detected: bool = False
    accept_burned_in: bool = False

    def __post_init__(self) -> None:
        if unknown := sorted(self.profile - OPTIONS.keys()):
            raise UsageError("usage", f"no option is called {unknown[0]}", cure=f"There are: {', '.join(OPTIONS)}.")
        if {"retain-dates-full", "retain-dates-modified"} <= self.profile:
            raise UsageError("usage", "dates are retained either in full or modified, not both")
        if self.blank_detected and self.accept_burned_in:
            raise UsageError("usage", "lettering is either made blank where detected or accepted, not both")

    def codes(self) -> list[tuple[str, str]]:
        """Return code and meaning of the profile and its options, as the files will state them."""
        return [BASIC, *(code for name, code in OPTIONS.items() if name in self.profile)]

    def treatment(self, tag: int) -> str | None:
        """Return the table's action codes for a tag, e.g. ``"X/Z"``; None where the table does not list it.

        An option that says to clean (C) goes before one that says to keep (K), and both before the basic profile.
        """
        row = _row(tag)
        if row is None:
            return None
        said = {row[option] for option in self.profile if option in row}
        return "C" if "C" in said else "K" if "K" in said else str(row["basic"])


def edition() -> str:
    """Return where the table comes from: its two halves are of two editions of the standard."""
    table = _content()
    return f"{table['source']}, {_editions()}; {table['note']}"


def method() -> str:
    """Return where the table comes from in at most 64 characters, for the files to state."""
    return f"DICOM PS3.15 table E.1-1, {_editions()}"


def _editions() -> str:
    return f"basic profile {_content()['basic_edition']}, options {_content()['options_edition']}"


def _row(tag: int) -> dict[str, str] | None:
    name = f"{tag:08X}"
    if name[:2] == "50":
        name = "50xxxxxx"
    elif name[:2] == "60" and int(name[2:4], 16) < 0x20:
        name = f"60xx{name[4:]}"
    return _rows().get(name)


@functools.cache
def _rows() -> dict[str, dict[str, str]]:
    return {row["tag"]: row for row in _content()["attributes"]}


@functools.cache
def _content() -> Any:
    return json.loads(resources.files("medvision.deid").joinpath("profile.json").read_text(encoding="utf-8"))
