"""How work tells how far it is, without knowing who listens."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int, str], None]
"""Called with what is done, what there is in all, and a few words on the last of it."""


def silent(done: int, total: int, words: str) -> None:
    """Tell nobody."""


def named(words: str, progress: Progress) -> Progress:
    """Return a progress that also says what the work is of.

    >>> named("fold 1", print)(3, 10, "loss 0.2")
    3 10 fold 1: loss 0.2
    """
    return lambda done, total, last: progress(done, total, f"{words}: {last}" if last else words)
