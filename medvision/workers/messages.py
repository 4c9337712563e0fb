"""What a process and those that it has started say to each other.

Values go as they are, functions by their names, over a pipe that only the two hold: never through a file, nor to or
from anything that medvision did not start itself, since unpacking runs code that the message names.
"""

from __future__ import annotations

from pickle import dumps, loads
from typing import Any


def packed(value: Any) -> bytes:
    """Return a value as bytes for the other process."""
    return dumps(value)


def unpacked(content: bytes) -> Any:
    """Return the value that the other process has packed."""
    return loads(content)  # noqa: S301 - from a process of ours
