"""Errors that name their file, whichever layer or library noticed them."""

from __future__ import annotations

import contextlib
import logging
import struct
import sys
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from medvision.errors import InputError, MedvisionError

# What libraries raise on damaged content. Their texts can quote the file, so that only the kind is passed on.
_DAMAGE = (
    ArithmeticError,
    AttributeError,
    BufferError,
    EOFError,
    LookupError,
    RuntimeError,
    StopIteration,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


@contextlib.contextmanager
def located(path: Path) -> Iterator[None]:
    """Give errors raised in the block the path they are about, where they do not name one.

    Raises
    ------
    InputError
        Also for what the system refuses: ``unreadable``, and ``too-large`` where memory does not suffice.
    """
    try:
        yield
    except MedvisionError as error:
        if error.path is not None:
            raise
        finding = error.finding
        raise type(error)(finding.code, finding.message, path=path, cure=finding.cure) from error
    except MemoryError as error:
        raise InputError("too-large", "there is not enough memory for it", path=path) from error
    except OSError as error:
        raise InputError("unreadable", f"reading failed: {error.strerror or type(error).__name__}", path=path) from None


@contextlib.contextmanager
def decoding(what: str) -> Iterator[None]:
    """Turn what a library raises on damaged content into a refusal that quotes nothing of the content.

    Raises
    ------
    InputError
        ``bad-header``, with `what` and the kind of the library's error.
    """
    try:
        yield
    except MedvisionError:
        raise
    except OSError as error:
        if error.errno is not None:
            raise
        raise _not_understood(what, error) from None
    except _damage() as error:
        raise _not_understood(what, error) from None


def _not_understood(what: str, error: Exception) -> InputError:
    return InputError("bad-header", f"{what} cannot be understood ({type(error).__name__})")


def _damage() -> tuple[type[Exception], ...]:
    """Return what damage raises, pydicom's own kinds included where it is in use."""
    if "pydicom" not in sys.modules:
        return _DAMAGE
    from pydicom.errors import BytesLengthException

    return (*_DAMAGE, BytesLengthException)


def known_uid(text: str) -> str:
    """Return a UID as it may stand in a message: one of the standard; others can hold what identifies.

    >>> known_uid("1.2.840.10008.1.2"), known_uid("DOE^JANE")
    ('1.2.840.10008.1.2', '(private)')
    """
    return text if text.startswith("1.2.840.10008.") and text.replace(".", "").isdigit() else "(private)"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep libraries from warning or logging in the block: pydicom's texts quote values that can identify."""
    logger = logging.getLogger("pydicom")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)  # its modules' loggers take the level from it
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
