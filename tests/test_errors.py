"""Errors name file, reason and cure, and are what a caller would expect to catch."""

from __future__ import annotations

import builtins
import copy
import pickle
from pathlib import Path

import pytest

from medvision import errors


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.InputError, builtins.ValueError),
        (errors.GeometryError, builtins.ValueError),
        (errors.PipelineError, builtins.ValueError),
        (errors.UsageError, builtins.ValueError),
        (errors.OutputError, builtins.OSError),
        (errors.BusyError, builtins.OSError),
        (errors.ExtraMissingError, builtins.ImportError),
    ],
)
def test_every_error_is_a_builtin_too(kind: type[errors.MedvisionError], builtin: type[Exception]) -> None:
    error = kind("unreadable", "words", path=Path("a.nii"))
    assert isinstance(error, builtin)
    assert isinstance(error, errors.MedvisionError)
    assert error.path == Path("a.nii")
    assert error.finding.grade == "error"


def test_an_error_says_where_what_why_and_what_to_do() -> None:
    text = str(errors.InputError("truncated", "it ends early", path=Path("a.nii")))
    assert text == f"a.nii: it ends early [truncated] {errors.REASONS['truncated'].cure}"


@pytest.mark.parametrize("kind", [errors.MedvisionError, *errors.MedvisionError.__subclasses__()])
@pytest.mark.parametrize(("path", "cure"), [(Path("a.nii"), "Mend it."), (None, None)])
def test_every_error_crosses_processes_whole(
    kind: type[errors.MedvisionError], path: Path | None, cure: str | None
) -> None:
    error = kind("unreadable", "words", path=path, cure=cure)
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(other) is kind
        assert other.finding == error.finding
        assert str(other) == str(error)


def test_a_code_that_is_not_in_the_table_cannot_be_used() -> None:
    with pytest.raises(KeyError, match="nonsense"):
        errors.Finding("nonsense", "note", "words")


def test_a_finding_as_json_tells_all_of_it_and_its_path_on_one_line() -> None:
    finding = errors.Finding("suv", "note", "by a factor of 2", Path("a\nb.dcm"), "None.")
    told = {"code": "suv", "grade": "note", "message": "by a factor of 2", "cure": "None."}
    assert finding.to_json() == {**told, "path": r"a\nb.dcm"}
    assert finding.unplaced().to_json() == {**told, "path": None}
