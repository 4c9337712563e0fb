"""Files on disk, or within zip archives: one way to open both."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO


def opened(path: Path) -> BinaryIO:
    """Return an open binary file."""
    return path.open("rb")
