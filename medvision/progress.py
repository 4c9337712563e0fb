"""How work tells how far it is, without knowing who listens."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int, str], None]
"""Called with what is done, what there is in all, and a few words on the last of it."""


def silent(done: int, total: int, words: str) -> None:
    """Tell nobody."""
