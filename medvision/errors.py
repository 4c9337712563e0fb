"""What can go wrong, said so that a person can act on it.

Every problem has a stable reason code. :data:`medvision.reasons.REASONS` says what each code means, why it matters and
what to do; the errors, the ledger, ``--json`` and the pages all use it.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from medvision.reasons import REASONS as REASONS
from medvision.reasons import Reason as Reason

Grade = Literal["error", "warning", "note"]


_NOTHING_THERE = ("empty-folder", "no-image")


@dataclass(frozen=True)
class Finding:
    """Something that was noticed about a file, a case or a data set.

    Parameters
    ----------
    code
        A key of :data:`medvision.reasons.REASONS`.
    grade
        ``"error"``: the case is refused; ``"warning"``: the result is marked for review; ``"note"``: told, no more.
    message
        One sentence with the facts. It must not hold anything that identifies a patient.
    path
        The file or folder that it is about, if there is one.
    cure
        What to do; the code's usual cure where it is not given.

    Raises
    ------
    KeyError
        `code` is no reason code.
    """

    code: str
    grade: Grade
    message: str
    path: Path | None = None
    cure: str | None = None

    def __post_init__(self) -> None:
        if self.code not in REASONS:
            raise KeyError(f"{self.code!r} is not a reason code")
        if self.cure is None:
            object.__setattr__(self, "cure", REASONS[self.code].cure)

    def to_json(self) -> dict[str, str | None]:
        """Return the finding as JSON values.

        >>> Finding("suv", "note", "by a factor of 2", Path("a.dcm")).to_json()["path"]
        'a.dcm'
        """
        path = printable(self.path) if self.path is not None else None
        return {"code": self.code, "grade": self.grade, "path": path, "message": self.message, "cure": self.cure}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Finding:
        """Return the finding of which :meth:`to_json` gave the values.

        >>> Finding.from_json({"code": "suv", "grade": "note", "path": None, "message": "by 2", "cure": None}).message
        'by 2'
        """
        path = None if values["path"] is None else Path(values["path"])
        return cls(values["code"], values["grade"], values["message"], path, values["cure"])

    def unplaced(self) -> Finding:
        """Return the finding without its path: for files that are the same wherever the input lay."""
        return replace(self, path=None)

    def __str__(self) -> str:
        where = f"{printable(self.path)}: " if self.path is not None else ""
        return f"{where}{self.message} [{self.code}] {self.cure}"


def unforeseen(error: Exception, path: Path | None, cure: str | None = None) -> Finding:
    """Return where an error arose that nobody foresaw, and its type, but not its words: they may hold values of a file.

    >>> try: {}["Doe"]
    ... except KeyError as error: unforeseen(error, Path("a.dcm"))
    Finding(code='internal', grade='error', message='KeyError at ...
    """
    place = traceback.extract_tb(error.__traceback__)[-1]
    message = f"{type(error).__name__} at {Path(place.filename).name}, line {place.lineno}"
    return Finding("internal", "error", message, path, cure)


def printable(path: Path | str) -> str:
    r"""Return a name as one line that any terminal and file of text takes: other characters become escapes.

    >>> print(printable("a\nb"), printable(Path("Kopf ü")))
    a\nb Kopf ü
    """
    text = str(path)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def nothing_there(problems: Iterable[Finding | None]) -> bool:
    """Return whether all that is wrong is that there was no image; None is an image that has no problem.

    >>> nothing_there([Finding("no-image", "error", "no image")]), nothing_there([None])
    (True, False)
    """
    return all(problem is not None and problem.code in _NOTHING_THERE for problem in problems)


class MedvisionError(Exception):
    """Base of all errors that medvision raises on purpose; see :class:`Finding` for the parameters.

    Examples
    --------
    >>> error = InputError("truncated", "600 of 1,200 bytes are there", path=Path("a.nii.gz"))
    >>> print(error)
    a.nii.gz: 600 of 1,200 bytes are there [truncated] Copy or download it again; compare its size with the source.
    """

    def __init__(self, code: str, message: str, *, path: Path | None = None, cure: str | None = None) -> None:
        self.finding = Finding(code, "error", message, path, cure)
        super().__init__(str(self.finding))

    def __reduce__(self) -> tuple[Callable[..., MedvisionError], tuple[str, str]]:
        """Return how to build the error again: pickle would give the builtin's arguments, which are one text."""
        finding = self.finding
        return partial(type(self), path=finding.path, cure=finding.cure), (finding.code, finding.message)

    @property
    def code(self) -> str:
        """The reason code."""
        return self.finding.code

    @property
    def path(self) -> Path | None:
        """The file or folder that the error is about."""
        return self.finding.path


class InputError(MedvisionError, ValueError):
    """An image, a label or a list of cases cannot be used; exit code 4 or 5."""


class GeometryError(MedvisionError, ValueError):
    """A geometry is impossible, or two do not agree."""


class PipelineError(MedvisionError, ValueError):
    """A pipeline, its settings or its weights are refused; exit code 7."""


class OutputError(MedvisionError, OSError):
    """Something cannot be written; exit code 6."""


class BusyError(MedvisionError, OSError):
    """Another run holds the output folder; exit code 8."""


class UsageError(MedvisionError, ValueError):
    """The request contradicts itself; exit code 2."""


class ProcessLostError(MedvisionError, ConnectionError):
    """One of the processes of a training failed, and this one cannot go on without it."""


class WorkerError(MedvisionError, RuntimeError):
    """A process that worked on a case was lost, ran out of memory, or failed in a way that nobody foresaw."""


class ExtraMissingError(MedvisionError, ImportError):  # type: ignore[misc]  # ImportError.path is a str
    """An optional package is needed and not installed; exit code 2."""
