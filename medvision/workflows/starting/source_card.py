"""What the card beside weights says that they were learned on, compared with what a training shows them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medvision.errors import Finding
from medvision.pipeline import PRETRAINING, Settings
from medvision.steps import BORDERS, STEPS
from medvision.workflows.training_folder.pretraining_card import PretrainingCard

_NOT_IN_SHAPES = ("heads", "norm", "stem_stride", "stem_pool", "strides", "window")
"""What changes what a network computes, and no shape of its weights."""


@dataclass(frozen=True)
class CardDifferences:
    """How what a card states differs from the settings of a training.

    Parameters
    ----------
    findings
        How the input differs, where it does.
    fresh_head
        Why the head starts fresh, in words; None where it answers the same questions, or nothing is stated.
    """

    findings: tuple[Finding, ...] = ()
    fresh_head: str | None = None


def differences_of(folder: Path | None, name: str, settings: Settings) -> CardDifferences:
    """Return how the card in a folder of weights differs from the settings of a training that starts from them.

    Parameters
    ----------
    folder
        With ``weights.json``, of a pipeline or of a pretraining; None where there is no card.
    name
        What the source is called.
    settings
        Of the training.

    Raises
    ------
    PipelineError
        It is the card of a pretraining, and damaged.
    """
    if folder is None:
        return CardDifferences()
    card = _read(folder / "weights.json")
    theirs = _meaning_of(card, folder / "weights.json")
    found = []
    for what, differing in (
        ("on other input", [*_input_differences(theirs, card, settings)]),
        ("by another network", [*_network_differences(theirs, settings)]),
    ):
        if differing:
            found.append(Finding("start-differs", "warning", f"{name} was learned {what}: {'; '.join(differing)}"))
    answers = _other_answers(theirs, settings)
    if answers is not None:
        found.append(Finding("start-differs", "warning", f"{name}: {answers}, so that the head starts fresh"))
    return CardDifferences(tuple(found), answers)


def _meaning_of(card: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    """Return the settings that a card states; none for one of an unknown kind."""
    if str(card.get("schema", "")).startswith(PRETRAINING):
        pretrained = PretrainingCard.read(path)
        return {"contract": pretrained.contract, "steps": pretrained.steps, "network": pretrained.network}
    return card["meaning"] if isinstance(card.get("meaning"), dict) else {}


def _input_differences(theirs: Mapping[str, Any], card: Mapping[str, Any], settings: Settings) -> Iterator[str]:
    """Yield in words what differs in what the network sees."""
    ours, stated = settings.to_json(), theirs.get("contract")
    contract: Mapping[str, Any] = stated if isinstance(stated, dict) else {}
    modality = card.get("modality") or contract.get("modality")
    here = settings.contract.modality
    if modality and here and modality != here:
        yield f"modality {modality}, here {here}"
    for key in ("channels", "side"):
        if key in contract and contract[key] != ours["contract"][key]:
            yield f"{key} {_words(contract[key])}, here {_words(ours['contract'][key])}"
    if isinstance(theirs.get("steps"), list):
        yield from _step_differences(theirs["steps"], ours["steps"])


def _network_differences(theirs: Mapping[str, Any], settings: Settings) -> Iterator[str]:
    """Yield settings that change what a network of such weights computes; of others the shapes of the weights tell."""
    stated, ours = theirs.get("network"), settings.to_json()["network"]
    if not isinstance(stated, dict) or stated.get("use") != ours["use"]:
        return
    for key in _NOT_IN_SHAPES:
        if key in stated and key in ours and stated[key] != ours[key]:
            yield f"{key} {_words(stated[key])}, here {_words(ours[key])}"


def _step_differences(theirs: Sequence[Any], ours: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the steps that one side has and the other has not, or with other settings; new settings are passed over."""
    came = [step for step in theirs if isinstance(step, dict) and _shows(step.get("use"))]
    here = [step for step in ours if _shows(step["use"])]
    if [step["use"] for step in came] != [step["use"] for step in here]:
        yield f"steps {_names(came)}, here {_names(here)}"
        return
    for old, new in zip(came, here, strict=True):
        for key in old.keys() & new.keys():
            if old[key] != new[key]:
                yield f"{old['use']} with {key} {_words(old[key])}, here {_words(new[key])}"


def _shows(use: object) -> bool:
    """Return whether a step of this name changes what a structure looks like."""
    return isinstance(use, str) and use in STEPS and not issubclass(STEPS[use], BORDERS)


def _other_answers(theirs: Mapping[str, Any], settings: Settings) -> str | None:
    """Return how the answers of a head differ from those that are wanted, in words; None where they do not."""
    ours = settings.to_json()
    if not isinstance(theirs.get("labels"), dict) or "task" not in theirs:
        return None
    if theirs["task"] != settings.task:
        return f"its head is that of a {theirs['task']}"
    if _folded(theirs["labels"]) != _folded(ours["labels"]):
        return f"its head is for {_labels(theirs['labels'])}, here are {_labels(ours['labels'])}"
    units = [[each.get("unit") for each in side.get("regression", [])] for side in (theirs, ours)]
    return None if units[0] == units[1] else f"its head gives values in {_words(units[0])}, here {_words(units[1])}"


def _folded(labels: Mapping[Any, Any]) -> dict[str, str]:
    return {str(number): str(name).casefold() for number, name in labels.items()}


def _labels(labels: Mapping[Any, Any]) -> str:
    return ", ".join(f"{number} {name}" for number, name in labels.items())


def _names(steps: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(step["use"] for step in steps) or "none"


def _words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "none" if value is None else str(value)


def _read(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
