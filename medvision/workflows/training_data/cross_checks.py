"""What cases show beside each other: copies, copies whose labels differ, and images of another modality."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from medvision.errors import Finding
from medvision.files import sha256_of_text
from medvision.fingerprint import Target
from medvision.grouping import grouped
from medvision.report.wording import many
from medvision.training import Split, copies
from medvision.volume import Labels

_MODALITY_CURE = "Take out what is not meant, or mend what is stated; `modality` in [contract] names the one that is."


@dataclass(frozen=True)
class CaseHashes:
    """What of a case is held against the other cases.

    Parameters
    ----------
    id
        The case's.
    image
        The hash of its voxels.
    target
        That of what is to be learned of it, see :func:`target_digest`; None where nothing is.
    modality
        The DICOM modality; None where it is not stated.
    """

    id: str
    image: str
    target: str | None
    modality: str | None


def cross_check(
    parts: Split, cases: Sequence[CaseHashes], *, any_modality: bool
) -> tuple[list[Finding], dict[str, Sequence[Any]]]:
    """Return what cases show beside each other, and by code the ids of the cases that it is about.

    Parameters
    ----------
    parts
        Who is trained on, and who is held out.
    cases
        Those of both sides.
    any_modality
        Whether the pipeline states no modality, by which each case would be judged.
    """
    known = {case.id: case for case in cases}
    digests = {case.id: case.image for case in cases}
    sides = {"training": [known[case.id] for case in parts.train], "validation": [known[case.id] for case in parts.val]}
    everyone = [case for side in sides.values() for case in side]
    leaked, repeated = copies(parts, digests), {name: repeats(side) for name, side in sides.items()}
    findings = [_leaked(len(leaked), len(parts.val))] if leaked else []
    findings += [_repeated(name, len(again), sides[name]) for name, again in repeated.items() if again]
    differing, others = contradictions(everyone), of_other_modality(everyone) if any_modality else []
    if differing:
        stand = "stands" if len(differing) == 1 else "stand"
        text = f"{many(len(differing), 'image')} {stand} in {sum(map(len, differing))} cases with labels that differ"
        findings.append(Finding("labels-contradict", "warning", text))
    if others:
        findings.append(_mixed(everyone))
    named: dict[str, Sequence[Any]] = {
        "split-leak": leaked,
        "duplicate": [pair for again in repeated.values() for pair in again],
        "labels-contradict": differing,
        "modality-differs": others,
    }
    return findings, {code: ids for code, ids in named.items() if ids}


def repeats(cases: Sequence[CaseHashes]) -> list[tuple[str, str]]:
    """Return each case whose image and label an earlier one has, and that one.

    >>> repeats([CaseHashes("a", "1", "x", None), CaseHashes("b", "1", "x", None), CaseHashes("c", "1", "y", None)])
    [('b', 'a')]
    """
    groups = grouped(cases, key=lambda case: (case.image, case.target))
    return [(case.id, first.id) for first, *others in groups for case in others]


def contradictions(cases: Sequence[CaseHashes]) -> list[list[str]]:
    """Return the cases of each image that is there with different labels.

    >>> contradictions([CaseHashes("a", "1", "x", None), CaseHashes("b", "1", "y", None)])
    [['a', 'b']]
    """
    same = grouped(cases, key=lambda case: case.image)
    return [[case.id for case in group] for group in same if len({case.target for case in group}) > 1]


def of_other_modality(cases: Sequence[CaseHashes]) -> list[str]:
    """Return the cases whose stated modality is not the most frequent one.

    >>> of_other_modality([CaseHashes(name, name, None, stated) for name, stated in (("a", "MR"), ("b", "CT"))])
    ['b']
    """
    stated = Counter(case.modality for case in cases if case.modality is not None)
    most = stated.most_common(1)[0][0] if stated else None
    return [case.id for case in cases if case.modality not in (None, most)]


def target_digest(target: Target) -> str:
    """Return the hash of what is to be learned of a case: of labels, of the class, or of numbers.

    >>> target_digest(1) == target_digest([1.0]), target_digest([1, 0]) == target_digest([1, None])
    (True, False)
    """
    if isinstance(target, Labels):
        return target.digest()
    numbers = [target] if isinstance(target, int) else target
    return sha256_of_text([repr([None if n is None or np.isnan(n) else float(n) for n in numbers])])


def _leaked(count: int, held_out: int) -> Finding:
    told = "is an exact copy of a training image" if count == 1 else "are exact copies of training images"
    return Finding("split-leak", "warning", f"{count:,} of {many(held_out, 'validation image')} {told}")


def _repeated(side: str, again: int, cases: Sequence[CaseHashes]) -> Finding:
    labelled = any(case.target is not None for case in cases)
    of, noun = ("the image and label of ", "case") if labelled else ("", "image")
    told = f"repeats {of}another, so it counts twice"
    if again > 1:
        told = f"repeat {of}others, so that these count more than once"
    return Finding("duplicate", "warning", f"{again:,} of {many(len(cases), f'{side} {noun}')} {told}")


def _mixed(cases: Sequence[CaseHashes]) -> Finding:
    stated = Counter(case.modality or "not stated" for case in cases)
    counts = ", ".join(f"{count:,} {name}" for name, count in stated.most_common())
    text = f"not all images are of one modality: {counts}"
    return Finding("modality-differs", "warning", text, cure=_MODALITY_CURE)
