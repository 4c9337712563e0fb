"""What is said about each reason code."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reason:
    """What a reason code means, what it would do to an analysis if it were ignored, and the usual cure."""

    what: str
    why: str
    cure: str
