"""All rules in the order of the data, and their answers put together as the settings of a pipeline."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter, ValidationError

from medvision.errors import PipelineError
from medvision.fingerprint import Fingerprint
from medvision.pipeline import Settings, explained
from medvision.planning.augmentation import augmentation_of
from medvision.planning.contract import contract_of, explain_of, kind_of
from medvision.planning.decision import Decision, Plan, Request
from medvision.planning.grid import Grid, grid_of
from medvision.planning.loss import loss_of
from medvision.planning.network import classifier, segmenter
from medvision.planning.patch import sampling_of
from medvision.planning.training import training_of
from medvision.planning.values import values_of
from medvision.report.wording import listed

_ORDER = ("name", "task", "description", "labels", "regression", "contract", "steps", "network", "predict", "explain")
_TABLES = ("steps", "explain")
_CURE = "Mend it in the data set, or in the name that is asked for."
_MOST_NAMES = 6  # in a line
_TASKS = {
    "segmentation": "The labels are images.",
    "classification": "Each case has one class.",
    "multilabel": "Each case can have several labels, or none.",
    "regression": "The labels are real values.",
}


def plan(fingerprint: Fingerprint, request: Request) -> Plan:
    """Return the settings that the written rules give for training data, each with its reason.

    Parameters
    ----------
    fingerprint
        What the data are like.
    request
        What they cannot tell.

    Raises
    ------
    PipelineError
        ``pipeline-invalid``: no pipeline can be made of them, e.g. a name that is none, or labels that are numbered
        with gaps.
    """
    grid = grid_of(fingerprint)
    found = [*_card(fingerprint, request), *contract_of(fingerprint, request), *grid.decisions, *values_of(fingerprint)]
    if fingerprint.task == "segmentation":
        found += _dense(fingerprint, grid, request)
    else:
        found += _whole(fingerprint, grid, request)
    found += [*explain_of(fingerprint), *loss_of(fingerprint)]
    decisions = tuple(sorted(found, key=_place))
    return Plan(_settings(decisions), decisions)


def _place(decision: Decision) -> tuple[int, bool]:
    """Return where a decision stands: `train`, the longest table, is the last, and its own table behind its keys."""
    table = decision.setting.split(".")[0]
    nested = decision.setting.count(".") > 1
    return (_ORDER.index(table) if table in _ORDER else len(_ORDER)), nested


def _card(data: Fingerprint, request: Request) -> list[Decision]:
    named: Iterable[tuple[int, str]]
    if data.task == "regression":
        named = enumerate(target.name for target in data.targets)
    else:
        named = ((entry.number, entry.name) for entry in data.labels or data.classes)
    labels = {str(number): name for number, name in named}
    own = "As asked for." if request.named else "Made of the folder's name; --name gives another."
    return [
        Decision("name", request.name, own),
        Decision("task", data.task, _TASKS[data.task]),
        Decision("description", _description(data, list(labels.values())), "What it tells, and of which images."),
        Decision("labels", labels, _naming(request)),
        *_quantities(data),
    ]


def _description(data: Fingerprint, names: list[str]) -> str:
    told = [*names[:_MOST_NAMES], f"{len(names) - _MOST_NAMES} more"] if len(names) > _MOST_NAMES + 1 else names
    images = f"{kind_of(data)}s"
    if data.task == "classification":
        return f"One of {listed(told)}, told from {images}"
    if data.task == "multilabel":
        return f"{listed(told)}: which of them {images} show"
    return f"{listed(told)}, {'estimated from' if data.task == 'regression' else 'outlined in'} {images}"


def _naming(request: Request) -> str:
    if request.unnamed:
        return "By number, as the data set names none. Names that are written here stand on every page."
    return "As the data set names them."


def _quantities(data: Fingerprint) -> list[Decision]:
    if data.task != "regression":
        return []
    why = "The data state no unit, which 1 says. Mean and deviation are measured by the training."
    return [Decision("regression", [{"unit": "1"} for _ in data.targets], why)]


def _dense(data: Fingerprint, grid: Grid, request: Request) -> list[Decision]:
    sampling = sampling_of(data, grid, request)
    voxels = math.prod(sampling.patch)
    return [
        *segmenter(sampling),
        *sampling.decisions,
        *training_of(data, grid, request, batch=sampling.batch, voxels=voxels),
        *augmentation_of(data, grid, request, whole=sampling.whole),
    ]


def _whole(data: Fingerprint, grid: Grid, request: Request) -> list[Decision]:
    network = classifier(data, grid, request)
    return [
        *network.decisions,
        *training_of(data, grid, request, batch=network.batch, voxels=math.prod(grid.shape)),
        *augmentation_of(data, grid, request, whole=True),
    ]


def _settings(decisions: Iterable[Decision]) -> Settings:
    """Put the decisions together, and have them checked as a ``pipeline.toml`` is."""
    content: dict[str, Any] = {}
    for each in decisions:
        if each.value is None:
            continue
        *path, last = each.setting.split(".")
        if path and path[0] in _TABLES:
            content.setdefault(path[0], []).append({"use": last, **each.value})
            continue
        table = content
        for part in path:
            table = table.setdefault(part, {})
        table[last] = each.value
    try:
        return TypeAdapter(Settings).validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        message = f"no pipeline can be made of these data: {explained(error)}"
        raise PipelineError("pipeline-invalid", message, cure=_CURE) from error
