"""What the cases of a data set show together."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from medvision.errors import Finding
from medvision.quality.copies import NearCopy, exact_copies, near_copies
from medvision.quality.leaks import check_patients, listed, one_of_each_split
from medvision.quality.limits import FAR, IMBALANCED, LEAST_COHORT, RARELY_ABSENT
from medvision.quality.measured import Measured
from medvision.quality.outliers import outliers
from medvision.study import Case, Flags, Numbers, Source


def check_cohort(cases: Sequence[Case], figures: Mapping[str, Measured]) -> tuple[Finding, ...]:
    """Return what is wrong with a data set as a whole.

    The same patient or the same image in two splits is an error, an image nearly the same in two splits a warning; so
    are copies within a split, copies whose labels differ, outliers and labels that are absent here and present almost
    everywhere. Imbalanced classes are a note. Every message names a case, and no patient.

    Parameters
    ----------
    cases
        All cases of the data set, also those that could not be read.
    figures
        What was measured, by the case's id.

    Examples
    --------
    >>> import numpy as np
    >>> from pathlib import Path
    >>> from medvision.geometry import Geometry
    >>> from medvision.quality import check_cohort, measured
    >>> from medvision.study import Source
    >>> from medvision.volume import Volume
    >>> image = Volume(np.arange(64).reshape(1, 4, 4, 4), Geometry.from_spacing((1, 1, 1), (4, 4, 4)))
    >>> source = Source("nifti", (Path("image.nii"),))
    >>> cases = [Case("a", (source,), patient="1", split="train"), Case("b", (source,), patient="2", split="val")]
    >>> for finding in check_cohort(cases, {case.id: measured(image) for case in cases}):
    ...     print(finding.grade, finding.message)
    error the same image stands in two splits: case a (train) and case b (val)
    """
    known = {case.id: case for case in cases}
    return (
        *check_patients(cases),
        *_exact(known, figures),
        *(_near(pair, known) for pair in near_copies(figures)),
        *_outlying(known, figures),
        *_absent(known, figures),
        *_classes(cases),
    )


def _exact(known: Mapping[str, Case], figures: Mapping[str, Measured]) -> Iterator[Finding]:
    for group in exact_copies(figures):
        across = one_of_each_split(known[case] for case in group)
        if across:
            where = " and ".join(f"case {case.id} ({case.split})" for case in across)
            text = f"the same image stands in {'two' if len(across) == 2 else len(across)} splits: {where}"
            yield Finding("split-leak", "error", text, across[0].path)
        named, path = listed(f"case {case}" for case in group), known[group[0]].path
        labels = {(figures[case].labels_digest, _class_of(known[case])) for case in group} - {(None, None)}
        if len(labels) > 1:
            yield Finding("labels-contradict", "warning", f"the same image with labels that differ: {named}", path)
        elif not across:
            yield Finding("duplicate", "warning", f"the same image, voxel by voxel: {named}", path)


def _near(pair: NearCopy, known: Mapping[str, Case]) -> Finding:
    first, second = known[pair.first], known[pair.second]
    alike = f"similarity {pair.similarity:.2f}{', mirrored' if pair.mirrored else ''}"
    if one_of_each_split((first, second)):
        where = f"case {first.id} ({first.split}) and case {second.id} ({second.split})"
        return Finding(
            "split-leak", "warning", f"nearly the same image stands in two splits: {where}; {alike}", first.path
        )
    # Follow-up scans of one patient can be that similar, and are no fault.
    own = first.patient is not None and first.patient == second.patient
    text = f"nearly the same image{' of one patient' if own else ''}: case {first.id} and case {second.id}; {alike}"
    return Finding("near-duplicate", "note" if own else "warning", text, first.path)


def _class_of(case: Case) -> int | Numbers | Flags | None:
    return None if isinstance(case.label, Source) else case.label


def _outlying(known: Mapping[str, Case], figures: Mapping[str, Measured]) -> Iterator[Finding]:
    for found in outliers(figures):
        text = (
            f"case {found.case}: {found.figure} is {found.value:.4g}, the median is {found.median:.4g}; "
            f"{found.distance:.3g} robust standard deviations away, the limit is {FAR:g}"
        )
        yield Finding(found.code, "warning", text, known[found.case].path)


def _absent(known: Mapping[str, Case], figures: Mapping[str, Measured]) -> Iterator[Finding]:
    """Yield labels that are absent from a case and present in almost all others."""
    labelled = {case: set(entry.labels) for case, entry in sorted(figures.items()) if entry.labels}
    if len(labelled) < LEAST_COHORT:
        return
    counts = Counter(number for numbers in labelled.values() for number in numbers)
    for number, count in sorted(counts.items()):
        without = [case for case, numbers in labelled.items() if number not in numbers]
        if without and len(without) <= RARELY_ABSENT * len(labelled):
            text = f"label {number} is in {count} of {len(labelled)} cases, and not in: "
            text += listed(f"case {case}" for case in without)
            yield Finding("label-absent", "warning", text, known[without[0]].path)


def _classes(cases: Sequence[Case]) -> Iterator[Finding]:
    """Yield classes that are rare, or absent from a split."""
    # Beside real values or several labels at once, a number that stands alone is no class either.
    if any(isinstance(case.label, Numbers | Flags) for case in cases):
        return
    by_split: dict[str | None, Counter[int]] = defaultdict(Counter)
    for case in cases:
        if isinstance(case.label, int):
            by_split[case.split][case.label] += 1
    total = sum(by_split.values(), Counter[int]())
    if not total:
        return
    most, rarest = total.most_common()[0], total.most_common()[-1]
    if len(total) == 1 or rarest[1] < IMBALANCED * most[1]:
        text = f"{most[1]} cases are of class {most[0]}, {rarest[1]} of class {rarest[0]}"
        only = f"all {most[1]} cases are of class {most[0]}"
        yield Finding("classes-imbalanced", "note", only if len(total) == 1 else text)
    for split, counts in by_split.items():
        absent = sorted(set(total) - set(counts))
        if split is not None and absent:
            text = f"no case of {split} is of class {', '.join(map(str, absent))}"
            yield Finding("classes-imbalanced", "note", text)
