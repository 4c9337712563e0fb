"""The cases of a training: all of them labelled, or none is taken."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path

from medvision import io
from medvision.errors import InputError
from medvision.report.wording import many
from medvision.study import Case
from medvision.workflows.training_data.label_names import require_same_names


def labelled_cases(data: Sequence[Path], labels: Mapping[int, str] | None = None) -> list[Case]:
    """Return all cases; for a training, anything that cannot be used is an error, so that nothing is missed.

    Cases of the split ``"test"`` are among them, with or without a label: no training sees them, and none of their
    patients may stand on another side.

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
        message = f"{many(len(found.rejected), 'item')} cannot be used, first: {first.message}"
        raise InputError(first.code, message, path=first.path, cure=first.cure)
    cases = [case for case in found.cases if case.split != "test"]
    if not cases:
        raise InputError("label-missing", "there is no case to train on in the data", path=data[0] if data else None)
    unlabelled = [case.id for case in cases if case.label is None]
    if unlabelled:
        have = "has" if len(unlabelled) == 1 else "have"
        message = f"{len(unlabelled)} of {many(len(cases), 'case')} {have} no label, first: {unlabelled[0]}"
        meant = difflib.get_close_matches("label", {name for case in cases for name in case.attributes}, n=1)
        if meant and len(unlabelled) == len(cases):
            message += f"; the column {meant[0]!r} is not 'label'"
        raise InputError("label-missing", message, path=data[0])
    require_same_names(found.cases, labels or {})
    return list(found.cases)
