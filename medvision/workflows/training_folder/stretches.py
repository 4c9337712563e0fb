"""How each stretch of a training ran: one that was stopped may go on elsewhere, or with other arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any

from medvision.files import write_json
from medvision.training import Place, epochs_done
from medvision.workflows.training_folder.state import state_in

_KEPT = "stretches.json"
_UNKNOWN = "not known"


def arithmetic(place: Place, *, deterministic: bool) -> dict[str, str]:
    """Return what can change of a training's arithmetic where it goes on: device, precision, and whether it repeats.

    >>> from medvision.training import Alone
    >>> arithmetic(Alone("cpu", "bf16"), deterministic=True)
    {'device': 'cpu', 'precision': 'bf16', 'deterministic': 'yes'}
    """
    return {"device": place.device, "precision": place.precision, "deterministic": "yes" if deterministic else "no"}


def begin_stretch(checkpoints: Path, how: Mapping[str, str]) -> None:
    """Write down how the epochs run that are done from now on, before the first of them.

    Parameters
    ----------
    checkpoints
        The folder of the training's checkpoints, which say after which epoch it goes on.
    how
        See :func:`arithmetic`; the same names in every stretch.

    Raises
    ------
    PipelineError
        What was written before is damaged.
    """
    after = epochs_done(checkpoints)
    before = [each for each in _stretches(checkpoints) if each["after"] < after]  # else it came to no epoch
    write_json(checkpoints / _KEPT, {"stretches": [*before, {"after": after, "how": dict(how)}]})


def how_it_ran(checkpoints: Path, how: Mapping[str, str], *, epochs: int) -> dict[str, str]:
    """Return how a training of so many epochs ran; what was not the same in all of them, with the epochs of each.

    Parameters
    ----------
    checkpoints
        The folder in which :func:`begin_stretch` wrote.
    how
        How it runs now. Epochs of an earlier version, which wrote nothing down, are said not to be known.

    Raises
    ------
    PipelineError
        What was written is damaged.
    """
    stretches = [each for each in _stretches(checkpoints) if each["after"] < epochs]
    if not stretches or stretches[0]["after"] > 0:
        stretches.insert(0, {"after": 0, "how": dict.fromkeys(how, _UNKNOWN)})
    ends = [after["after"] for _, after in pairwise(stretches)] + [epochs]
    return {name: _told([each["how"][name] for each in stretches], ends) for name in how}


def _stretches(checkpoints: Path) -> list[dict[str, Any]]:
    path = checkpoints / _KEPT
    if not path.is_file():
        return []
    with state_in(path) as content:
        return [{"after": int(each["after"]), "how": dict(each["how"])} for each in content["stretches"]]


def _told(values: list[str], ends: list[int]) -> str:
    """Return one value for all stretches, or each with the epochs in which it held.

    >>> _told(["yes", "yes"], [2, 6]), _told(["yes", "no", "no"], [1, 3, 6])
    ('yes', 'yes (epoch 1), no (epochs 2 to 6)')
    """
    if len(set(values)) == 1:
        return values[0]
    told, first = [], 1
    for value, stretches in groupby(zip(values, ends, strict=True), key=itemgetter(0)):
        last = max(end for _, end in stretches)
        told.append(f"{value} (epoch {last})" if first == last else f"{value} (epochs {first} to {last})")
        first = last + 1
    return ", ".join(told)
