"""Whether a new case is like the training data, figure by figure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from medvision.errors import Finding
from medvision.fingerprint.case import CaseFigures, Values, measure_case
from medvision.fingerprint.limits import (
    ASPECT_FACTOR,
    COARSE_FACTOR,
    EXTENT_FACTOR,
    NEGATIVE_Z,
    SHARE_SHIFT,
    SLABS_KNOWN,
    SPACING_FACTOR,
    VALUE_SHIFT,
    Z_SHIFT,
    nearly_all,
    scaled,
    shifted,
)
from medvision.fingerprint.value import UNKNOWN, Channel, Fingerprint
from medvision.volume import Volume

WORLD = ("left-right", "front-back", "foot-head")
"""The world's axes in words."""
_AXES = "ijk"


@dataclass(frozen=True)
class Comparison:
    """One figure of a case beside what is known of it.

    Parameters
    ----------
    code
        The reason code, where it is outside.
    figure
        What was measured, in words.
    value
        The case's.
    least, greatest
        The limits; None for no limit on that side.
    unit
        Of all three; None for none.
    """

    code: str
    figure: str
    value: float
    least: float | None
    greatest: float | None
    unit: str | None = None

    @property
    def is_outside(self) -> bool:
        """Whether the value lies beyond a limit."""
        below = self.least is not None and self.value < self.least
        return below or (self.greatest is not None and self.value > self.greatest)

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        if self.greatest is None:
            known = f"{self.least:.4g}{unit} or more"
        else:
            known = f"{self.least:.4g} to {self.greatest:.4g}{unit}"
        return f"{self.figure} is {self.value:.4g}{unit}, known is {known}"

    def to_json(self) -> dict[str, float | None]:
        """Return value and limits as JSON values, rounded for a reader."""
        limits = {"value": self.value, "least": self.least, "greatest": self.greatest}
        return {name: None if number is None else float(f"{number:.6g}") for name, number in limits.items()}


def check(case: CaseFigures | Volume, fingerprint: Fingerprint) -> tuple[Finding, ...]:
    """Return how a case differs from the training data: a finding for each reason code, with all figures that are off.

    See :mod:`medvision.fingerprint.limits` for the rule.

    Parameters
    ----------
    case
        The image as stored, or its figures.
    fingerprint
        That of the training data.
    """
    figures = measure_case(case) if isinstance(case, Volume) else case
    outside: dict[str, list[str]] = {}
    for entry in compare(figures, fingerprint):
        if entry.is_outside:
            outside.setdefault(entry.code, []).append(str(entry))
    cases = f"{fingerprint.cases} training case{'s' if fingerprint.cases > 1 else ''}"
    measured = [Finding(code, "warning", f"{'; '.join(off)}, by {cases}") for code, off in outside.items()]
    return (*_stated(figures, fingerprint), *measured, *_slabs(figures, fingerprint))


def check_absent(names: Sequence[str], fingerprint: Fingerprint | None) -> tuple[Finding, ...]:
    """Return a finding for structures that a network found nowhere in a case.

    The case is for review where every training case has the structure: the network may have missed it. What some
    training cases lack, as a tumour, is told and no more, or every healthy case were for review.

    Parameters
    ----------
    names
        The labels that were not found.
    fingerprint
        That of the training data; without one, nothing says that a structure can be absent.

    Examples
    --------
    >>> [str(finding) for finding in check_absent(["liver"], None)][0][:26]
    'the network found no liver'
    """
    usual = {} if fingerprint is None else {entry.name: entry.cases for entry in fingerprint.labels}
    total = 0 if fingerprint is None else fingerprint.cases
    always = [name for name in names if usual.get(name, total) == total]
    findings = []
    if always:
        known = f", and no training case is without ({total:,} cases)" if total else ""
        message = f"the network found no {' and no '.join(always)}{known}"
        findings.append(Finding("nothing-found", "warning", message))
    lacking = [
        f"{name} (absent in {total - usual[name]:,} of {total:,} training cases)"
        for name in names
        if name not in always
    ]
    if lacking:
        cure = "Nothing to do where the patient has none; else look at the image."
        findings.append(Finding("nothing-found", "note", f"the network found no {' and no '.join(lacking)}", cure=cure))
    return tuple(findings)


def compare(figures: CaseFigures, fingerprint: Fingerprint) -> tuple[Comparison, ...]:
    """Return every figure of a case that can be compared, within the limits or not."""
    channels = zip(figures.whole, fingerprint.channels, strict=False)  # another number of them is a finding
    several = len(fingerprint.channels) > 1
    return (
        *(_in_mm if fingerprint.physical and figures.physical else _in_pixels)(figures, fingerprint),
        *(
            entry
            for values, channel in channels
            for entry in _intensities(values, channel, fingerprint, f" of {channel.name}" if several else "")
        ),
    )


def _stated(figures: CaseFigures, fingerprint: Fingerprint) -> Iterator[Finding]:
    """Yield what headers and arrays say by themselves."""
    known = sorted(set(fingerprint.modalities) - {UNKNOWN})
    words = " or ".join(known)
    if known and figures.modality is not None and figures.modality not in known:
        message = f"the training data are {words}, the image is {figures.modality}"
        yield Finding("modality-differs", "warning", message)
    if known and figures.modality is None and UNKNOWN not in fingerprint.modalities:
        message = f"the training data are {words}; the file states no modality"
        yield Finding("modality-unknown", "note", message)
    # A file format that states no unit is not unlike: CT is in HU whether or not NIfTI says so.
    if figures.unit is not None and UNKNOWN not in fingerprint.units and figures.unit not in fingerprint.units:
        units = " or ".join(fingerprint.units)
        yield Finding("unit-differs", "warning", f"the training data are in {units}, the image is in {figures.unit}")
    if len(figures.whole) != len(fingerprint.channels):
        message = f"{len(fingerprint.channels)} channel(s) are known, got {len(figures.whole)}"
        yield Finding("channels-differ", "warning", message)
    if fingerprint.physical and not figures.physical:
        message = "the file states no physical size, so spacing and field of view cannot be compared"
        yield Finding("spacing-outside", "warning", message)
    if figures.physical and not fingerprint.physical and fingerprint.dimensions == 3:
        message = "the training data state no directions, so nothing tells whether the axes of the image are theirs"
        yield Finding("orientation-doubted", "warning", message)


def _in_mm(figures: CaseFigures, fingerprint: Fingerprint) -> Iterator[Comparison]:
    rows = (
        ("spacing-outside", "spacing", figures.spacing_mm, fingerprint.spacing_mm, SPACING_FACTOR),
        ("size-outside", "field of view", figures.extent_mm, fingerprint.extent_mm, EXTENT_FACTOR),
    )
    for code, what, values, spreads, factor in rows:
        for axis, value, spread in zip(range(3), values or (), spreads or (), strict=True):
            if figures.flat and figures.shape[axis] == 1:
                continue  # the thickness of a single slice says nothing about what it shows
            limits = scaled(spread, fingerprint.cases, factor=factor)
            yield Comparison(code, f"{what} {WORLD[axis]}", value, *limits, "mm")


def _in_pixels(figures: CaseFigures, fingerprint: Fingerprint) -> Iterator[Comparison]:
    """Yield the sizes of images in voxels: more of them lose nothing, where fewer cannot show what was learned."""
    both_flat = figures.flat and fingerprint.dimensions == 2  # and each may lie in a plane of its own
    pairs = zip(figures.plane, fingerprint.plane, strict=True) if both_flat else ((axis, axis) for axis in range(3))
    for axis, known in pairs:
        least = nearly_all(fingerprint.shape[known], fingerprint.cases)[0] / COARSE_FACTOR
        what = f"the number of voxels along {_AXES[axis]}"
        yield Comparison("size-outside", what, figures.shape[axis], least, None)
    if both_flat:
        limits = scaled(fingerprint.aspect, fingerprint.cases, factor=ASPECT_FACTOR)
        width, height = (figures.shape[axis] for axis in figures.plane)
        aspect = width / height
        yield Comparison("size-outside", "the ratio of width to height", aspect, *limits)


def _intensities(values: Values, channel: Channel, fingerprint: Fingerprint, of: str) -> Iterator[Comparison]:
    known, found, cases = channel.whole_per_case, values.intensity, fingerprint.cases
    code = "values-outside"
    if fingerprint.absolute:
        floor = VALUE_SHIFT * channel.whole.sd
        for name, words in _IN_UNIT.items():
            limits = shifted(getattr(known, name), cases, floor=floor)
            yield Comparison(code, f"{words}{of}", getattr(found, name), *limits)
    else:
        for name, words in _IN_SD.items():
            limits = shifted(getattr(known, f"{name}_z"), cases, floor=Z_SHIFT)
            yield Comparison(code, f"{words}{of}", values.z(getattr(found, name)), *limits, "SD from the mean")
        if known.least.least >= 0:
            yield Comparison(code, f"the least value{of}", found.least, -NEGATIVE_Z * found.sd, None)
    limits = shifted(known.edge_z, cases, floor=Z_SHIFT)
    yield Comparison(code, f"the brightness of edges beside that of planes{of}", values.edge_z, *limits, "SD")
    limits = shifted(known.share_zero, cases, floor=SHARE_SHIFT)
    yield Comparison(code, f"the share of voxels that are 0{of}", values.share_zero, *limits)


def _slabs(figures: CaseFigures, fingerprint: Fingerprint) -> Iterator[Finding]:
    if fingerprint.slabs > SLABS_KNOWN * fingerprint.cases:
        return
    several = len(figures.whole) > 1
    for axis, slab in figures.slabs[:1]:
        of = f" of channel {slab.channel + 1}" if several else ""
        more = f", and {len(figures.slabs) - 1} more such places" if len(figures.slabs) > 1 else ""
        yield Finding("slab-constant", "warning", f"along {_AXES[axis]}, {slab}{of}{more}")


_IN_UNIT = {
    "mean": "the mean value",
    "sd": "the standard deviation of the values",
    "low": "the percentile 0.5 of the values",
    "median": "the median value",
    "high": "the percentile 99.5 of the values",
}
_IN_SD = {
    "low": "the percentile 0.5 of the values",
    "median": "the median value",
    "high": "the percentile 99.5 of the values",
}
