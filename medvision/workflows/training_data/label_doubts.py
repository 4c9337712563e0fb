"""What a training finds doubtful about the labels of its cases: sides, labels that none or all have, labels lost."""

from __future__ import annotations

from collections.abc import Sequence

from medvision.errors import Finding, PipelineError
from medvision.fingerprint import CaseFigures, lateral_pairs
from medvision.pipeline import Settings, lateral_faults
from medvision.report.wording import many
from medvision.workflows.training_data.prepare import PreparedCase

_FEW_VALUES = 6  # from fewer, a network learns these cases by heart and not the value


def require_sides_apart(training: Sequence[PreparedCase], settings: Settings) -> None:
    """Refuse samples that are mirrored along left-right where labels lie as left and right ones, whatever their names.

    Where all cases state one and the same side, nothing is told: the inner and the outer label of a left knee lie as
    left and right ones do, and a mirrored knee is a right one with the same labels.

    Raises
    ------
    PipelineError
        The augmentation would show left as right, or right cases would be mirrored to be left ones.
    """
    sides = {entry.case.side for entry in training}
    if settings.task != "segmentation" or (len(sides) == 1 and None not in sides):
        return
    pairs = lateral_pairs([entry.figures for entry in training], settings.labels)
    faults = list(lateral_faults(settings, pairs))
    if faults:
        cure = "Take that axis out of mirror_axes in [train.augmentation]; or name the labels' sides."
        raise PipelineError("pipeline-invalid", "; ".join(faults), cure=cure)


def empty_label(figures: CaseFigures) -> list[Finding]:
    """Return the finding of a case whose label image has no label: nothing is there, or it is not finished."""
    return [Finding("label-empty", "warning", "no voxel has a label")] if figures.labels == {} else []


def label_findings(
    training: Sequence[PreparedCase], held_out: Sequence[PreparedCase], settings: Settings
) -> list[Finding]:
    """Return labels that no training case has, or all have, those that the steps leave no voxel of, and rare values."""
    if settings.task == "regression":
        return _rare(training, settings)
    taught = [*_always(training, held_out, settings), *_absent(training, held_out, settings)]
    return [*taught, *_lost([*training, *held_out], settings)]


def _absent(training: Sequence[PreparedCase], held_out: Sequence[PreparedCase], settings: Settings) -> list[Finding]:
    has, shown = ([_present(entry, settings) for entry in side] for side in (training, held_out))
    absent = [number for number in sorted(settings.labels) if not any(number in numbers for numbers in has)]
    if not absent:
        return []
    names = ", ".join(repr(settings.labels[number]) for number in absent)
    also = sum(any(number in numbers for number in absent) for numbers in shown)
    told = f", and {many(also, 'held-out case')} {'does' if also == 1 else 'do'}" if also else ""
    return [Finding("label-absent", "warning", f"no training case has {names}{told}: it cannot be learnt")]


def _always(training: Sequence[PreparedCase], held_out: Sequence[PreparedCase], settings: Settings) -> list[Finding]:
    """Return of several labels at once those that all training cases have of which that is known."""
    if settings.task != "multilabel":
        return []
    has, shown = ([entry.figures.target or () for entry in side] for side in (training, held_out))
    places = [place for place in range(len(settings.labels)) if {row[place] for row in has} - {None} == {1.0}]
    if not places:
        return []
    names = ", ".join(repr(settings.labels[sorted(settings.labels)[place]]) for place in places)
    without = sum(any(row[place] == 0 for place in places) for row in shown)
    told = f", and {many(without, 'held-out case')} {'does' if without == 1 else 'do'} not" if without else ""
    message = f"all training cases that state it have {names}{told}: it cannot be learnt"
    return [Finding("label-absent", "warning", message)]


def _rare(training: Sequence[PreparedCase], settings: Settings) -> list[Finding]:
    """Return the values of a regression that few training cases state, or all alike."""
    found = []
    for place, number in enumerate(sorted(settings.labels)):
        stated = [entry.figures.target[place] for entry in training if entry.figures.target is not None]
        known, name = [value for value in stated if value is not None], repr(settings.labels[number])
        if len(known) < _FEW_VALUES:
            message = f"{name} is known of {len(known)} of {many(len(training), 'training case')}: too few to learn it"
            found.append(Finding("too-few-cases", "warning", message))
        elif len(set(known)) == 1:
            message = f"{name} is the same in all {len(known)} training cases that state it: it cannot be learnt"
            found.append(Finding("too-few-cases", "warning", message))
    return found


def _present(entry: PreparedCase, settings: Settings) -> set[int]:
    """Return the labels or classes that a case has, as stored."""
    if settings.task == "segmentation":
        return set(entry.figures.labels or ())
    target = entry.figures.target or ()
    if settings.task == "classification":
        return {int(number) for number in target if number is not None}
    return {number for number, mark in zip(sorted(settings.labels), target, strict=True) if mark == 1}


def _lost(cases: Sequence[PreparedCase], settings: Settings) -> list[Finding]:
    """Return the labels of which the steps leave no voxel in some cases, with the number of them."""
    if settings.task != "segmentation":
        return []
    found = []
    for number in sorted(settings.labels):
        stored = [entry for entry in cases if number in (entry.figures.labels or ())]
        lost = sum(not entry.sample.counts.get(number) for entry in stored)
        if lost:
            name = repr(settings.labels[number])
            message = f"the steps leave no voxel of {name} in {lost} of {len(stored)} cases that have it"
            found.append(Finding("label-lost", "warning", message))
    return found
