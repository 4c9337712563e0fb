"""Which series of a study a pipeline takes: rules over what the headers state, and never a guess between two."""

from __future__ import annotations

import os
import re
import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass as plain_dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from medvision.errors import Finding
from medvision.strict import STRICT
from medvision.study import Case, Collection, Series, by_image

_Count = Annotated[int, Field(ge=1)]
_MOST_TEXT = 64  # characters: those of Series Description (LO; PS3.5, 6.2)
_MOST_PATTERN = 100  # characters
_MOST_WAYS = 1 << 20  # in which a pattern can fit at one place, each of which a search may have to try
_MOST_LISTED = 20


@dataclass(frozen=True, config=STRICT)
class Selection:
    """Which series of a DICOM study the pipeline takes: its ``[select]`` table.

    In every study exactly one series must meet all rules; none, or more than one, is an error that lists them. A rule
    that is left out accepts all, and what a series does not state meets no rule. NIfTI files, pictures and the cases of
    a manifest or a data set are not concerned: they are named one by one.

    Parameters
    ----------
    modality
        The DICOM modality, e.g. ``"MR"``.
    description
        A regular expression that is found somewhere in the Series Description; capitals count as small letters. The
        expression has at most 100 characters and no repeated group; it sees the description's first 64 characters.
    orientation
        The plane of the slices; ``"oblique"`` is more than 20 degrees from the three others.
    slices
        The least and the greatest number of slices of a volume.
    volumes
        The least and the greatest number of volumes (time points, echoes, b-values); ``[1, 1]`` leaves out functional
        and diffusion series. Without this rule each volume of a series that holds several is analysed on its own.

    Raises
    ------
    ValueError
        Limits do not rise; or the description is no regular expression, or one whose search can take without end.

    Examples
    --------
    >>> rules = Selection(modality="MR", description="t1.*mprage", slices=(100, 300))
    >>> rules.unmet(Series("MR image", modality="MR", description="SAG T1 MPRAGE", size=(256, 256, 20)))
    ('slices',)
    """

    modality: Annotated[str, Field(min_length=1)] | None = None
    description: Annotated[str, Field(min_length=1, max_length=_MOST_PATTERN)] | None = None
    orientation: Literal["axial", "coronal", "sagittal", "oblique"] | None = None
    slices: tuple[_Count, _Count] | None = None
    volumes: tuple[_Count, _Count] | None = None

    def __post_init__(self) -> None:
        for name, limits in (("slices", self.slices), ("volumes", self.volumes)):
            if limits is not None and limits[0] > limits[1]:
                raise ValueError(f"{name} is the least and the greatest, got {list(limits)}")
        if self.description is not None:
            _check_pattern(self.description)

    def unmet(self, series: Series) -> tuple[str, ...]:
        """Return the names of the rules that the series does not meet."""
        met = {
            "modality": self.modality in (None, series.modality),
            "description": self._describes(series.description),
            "orientation": self.orientation in (None, series.orientation),
            "slices": _within(series.size[2] if series.size else None, self.slices),
            "volumes": _within(series.volumes, self.volumes),
        }
        return tuple(rule for rule, is_met in met.items() if not is_met)

    def _describes(self, description: str | None) -> bool:
        if self.description is None:
            return True
        return description is not None and bool(re.search(self.description, description[:_MOST_TEXT], re.IGNORECASE))


def chosen(collection: Collection, selection: Selection) -> Collection:
    """Return the collection with one series a study: the one that meets all rules.

    The volumes of a series stay together. A series that is not chosen is passed over with a note. One that was refused
    counts where it meets the rules, and stays refused: another is never taken in its place.
    Cases that are no DICOM series stay as they are.

    Parameters
    ----------
    collection
        What :func:`medvision.io.scan` found.
    selection
        The rules.

    Returns
    -------
    The collection; a study without a series to choose is among the rejected, as ``series-none`` or
    ``series-ambiguous``.
    """
    kept: set[str] = set()
    undecided: list[Finding] = []
    passed: list[_Image] = []
    for study in _studies(collection):
        matching = [image for image in study if not selection.unmet(image.series)]
        usable = [image for image in matching if image.cases]
        if len(matching) == 1:
            kept.update(case.id for case in matching[0].cases)
        elif usable:  # one that was refused may be the one that is meant
            undecided.append(_ambiguous(matching))
        elif not matching:
            undecided.append(_none(study))
        passed += [image for image in study if image not in matching]
    no_error = {image.refusal for image in passed if image.refusal}
    return Collection(
        tuple(case for case in collection.cases if case.series is None or case.id in kept),
        (*(finding for finding in collection.rejected if finding not in no_error), *undecided),
        (*collection.skipped, *(_passed_over(image, selection) for image in passed)),
        {finding: series for finding, series in collection.refused_series.items() if finding not in no_error},
    )


@plain_dataclass(frozen=True)
class _Image:
    """The cases of one series, a volume each; or why it was refused."""

    series: Series
    cases: tuple[Case, ...] = ()
    refusal: Finding | None = None

    @property
    def path(self) -> Path | None:
        if self.refusal is not None:
            return self.refusal.path
        return self.cases[0].path

    def __str__(self) -> str:
        """Return what may be told of it: its description may not, for a person typed it."""
        series = self.series
        name = self.cases[0].id if self.cases else "a refused one"
        size = "x".join(map(str, series.size)) if series.size else "size not known"
        facts = [series.modality or "no modality", series.orientation or "no plane", size]
        if len(self.cases) > 1:
            name = f"{name} to {self.cases[-1].id}"
        if series.volumes > 1:
            facts.append(f"{series.volumes} volumes")
        if self.refusal:
            facts.append(self.refusal.code)
        return f"{name} ({', '.join(facts)})"


def _studies(collection: Collection) -> list[list[_Image]]:
    """Return the series study by study; those that state neither study nor patient may be of one."""
    images = [_Image(cases[0].series, cases) for cases in by_image(collection.cases) if cases[0].series]
    images += [_Image(series, refusal=finding) for finding, series in collection.refused_series.items()]
    studies: dict[str | None, list[_Image]] = defaultdict(list)
    for image in images:
        studies[image.series.study].append(image)
    return list(studies.values())


def _ambiguous(candidates: Sequence[_Image]) -> Finding:
    facts: dict[str, list[object]] = {
        "modality": [image.series.modality for image in candidates],
        "description": [image.series.description for image in candidates],
        "orientation": [image.series.orientation for image in candidates],
        "slices": [image.series.size and image.series.size[2] for image in candidates],
        "volumes": [image.series.volumes for image in candidates],
    }
    telling = [rule for rule, values in facts.items() if len(set(values)) > 1]
    cure = (
        f"`medvision check` describes them; tell them apart in [select], by {' or '.join(telling)}."
        if telling
        else "[select] cannot tell them apart: name the files of one, or its folder where it lies there alone."
    )
    text = f"{len(candidates)} series of one study meet the rules of [select]: {_listed(candidates)}"
    return Finding("series-ambiguous", "error", text, _common_path(candidates), cure)


def _none(study: Sequence[_Image]) -> Finding:
    text = f"no series of the study meets the rules of [select]: {_listed(study)}"
    return Finding("series-none", "error", text, _common_path(study))


def _passed_over(image: _Image, selection: Selection) -> Finding:
    rules = " and ".join(selection.unmet(image.series))
    return Finding("not-selected", "note", f"not chosen by [select], for its {rules}: {image}", image.path)


def _listed(images: Sequence[_Image]) -> str:
    more = len(images) - _MOST_LISTED
    return "; ".join([*map(str, images[:_MOST_LISTED]), *([f"{more} more"] if more > 0 else [])])


def _common_path(images: Sequence[_Image]) -> Path | None:
    paths = [image.path for image in images if image.path is not None]
    if len({path.is_absolute() for path in paths}) > 1:
        paths = [path.absolute() for path in paths]
    return Path(os.path.commonpath(paths)) if paths else None


def _within(count: int | None, limits: tuple[int, int] | None) -> bool:
    return limits is None or (count is not None and limits[0] <= count <= limits[1])


def _check_pattern(pattern: str) -> None:
    """Refuse what is no regular expression, and one whose search could take without end on some description."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what may mean something else in later versions
            re.compile(pattern, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError, Warning) as error:
        raise ValueError(f"description is no regular expression: {error}") from None
    plain = re.sub(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", "x", pattern)  # escapes and sets stand for one character
    if re.search(r"\)[*+{]|\(\?[a-z-]*x", plain):  # in verbose patterns, space and comments hide what is repeated
        raise ValueError("description repeats a group, or has the flag x: its search can take without end")
    repeats, choices = len(re.findall(r"[*+{]", plain)), len(re.findall(r"[|?]", plain))
    if _MOST_TEXT**repeats * 2**choices > _MOST_WAYS:
        raise ValueError("description has too many of *, +, {}, ? and |: its search can take without end")
