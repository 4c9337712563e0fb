"""What is written to stdout and stderr, whoever reads it, and whether they are open at all."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

from medvision.errors import OutputError


def open_all() -> None:
    """Make stdin, stdout and stderr places that can be written to, and in any words.

    Where one was closed (``>&-``), the next file to be opened would get its number, and messages of libraries would be
    written into it. A name that the terminal's encoding does not know is shown with escapes in place of an error.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it gets the lowest number that is free: this one
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8")  # Python has none for what was closed
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


@contextlib.contextmanager
def heard_or_not() -> Iterator[None]:
    """Let nothing that the block prints be missed by those who want to read it, nor harm the work where nobody does.

    Raises
    ------
    OutputError
        What stdout leads to takes no more, as a file on a full disk.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:  # as of `| head`, which has read what it wants
        _mute()
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        _mute()
        message = f"stdout cannot be written: {error.strerror}"
        raise OutputError("output-unwritable", message, cure="The results themselves are whole.") from error


def _mute() -> None:
    """Let what is left for stdout go nowhere: Python would complain of it as it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
