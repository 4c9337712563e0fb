"""The fingerprint of a training's data: measured while cases are prepared, and written beside the weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from medvision.errors import Finding
from medvision.files import sha256_of
from medvision.fingerprint import CaseFigures, Target, doubts, measure_case, summarise
from medvision.pipeline import FINGERPRINT, Settings
from medvision.study import Case
from medvision.volume import Volume


def measured(case: Case, volume: Volume, target: Target) -> CaseFigures:
    """Return the figures of a case to train on, before any step; :meth:`CaseFigures.to_text` keeps them in a cache.

    Parameters
    ----------
    volume
        The image as stored.
    target
        The labels of a segmentation on the image's grid, the class's number, or a number (None where not known) for
        each label of a multilabel task and each value of a regression, in the order of the pipeline's labels.
    """
    return measure_case(volume, target, id=case.id, patient=case.patient, modality=case.modality)


def write_fingerprint(figures: Sequence[CaseFigures], settings: Settings, out: Path) -> tuple[str, tuple[Finding, ...]]:
    """Write ``fingerprint.json`` to `out`; return its SHA-256 for the weights' card, and what the data make doubtful.

    Parameters
    ----------
    figures
        Of the cases that were trained on, and of no held-out one: what is judged by it must be new to it.

    Raises
    ------
    InputError
        There is no case, or their targets do not fit the task.
    OutputError
        The folder cannot be written.
    """
    fingerprint = summarise(figures, task=settings.task, names=settings.labels, channels=settings.contract.channels)
    fingerprint.save(out / FINGERPRINT)
    return sha256_of(out / FINGERPRINT), doubts(figures)
