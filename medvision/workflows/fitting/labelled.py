"""The cases of a training: all of them labelled, or none is taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from medvision import io
from medvision.errors import InputError
from medvision.report.wording import many
from medvision.study import Case
from medvision.workflows.fitting.label_names import require_same_names


def labelled_cases(data: Sequence[Path], labels: Mapping[int, str] | None = None) -> list[Case]:
    """Return all cases; for a training, anything that cannot be used is an error, so that nothing is missed.

    Parameters
    ----------
    labels
        The names that are meant by the numbers; None where no training is to take them for these.

    Raises
    ------
    InputError
        A file cannot be used, there is no case, one has no label, or labels have plainly other names in the data.
    """
    found = io.scan(data)
    if found.rejected:
        first = found.rejected[0]
        message = f"{len(found.rejected)} of the files named cannot be used, first: {first.message}"
        raise InputError(first.code, message, path=first.path)
    if not found.cases:
        raise InputError("label-missing", "there is no case in the data", path=data[0])
    unlabelled = [case.id for case in found.cases if case.label is None]
    if unlabelled:
        have = "has" if len(unlabelled) == 1 else "have"
        message = f"{len(unlabelled)} of {many(len(found.cases), 'case')} {have} no label, first: {unlabelled[0]}"
        raise InputError("label-missing", message, path=data[0])
    require_same_names(found.cases, labels or {})
    return list(found.cases)
