"""What one case shows by itself."""

from __future__ import annotations

from collections.abc import Iterator

from medvision.errors import Finding
from medvision.quality.measured import Measured
from medvision.study import Case, Source


def check_case(case: Case, figures: Measured) -> tuple[Finding, ...]:
    """Return what is wrong with an image and its labels.

    Labels beyond the names that the data set states are an error; a constant image, a constant slab that looks cut
    out, and labels without any foreground are warnings; a named label that is absent, or one that reaches the edge of
    the image, is a note. What readers refuse (labels that are no whole numbers, or on another grid) is not met here.
    """
    return (*_image(case, figures), *_labels(case, figures))


def _image(case: Case, figures: Measured) -> Iterator[Finding]:
    several = len(figures.intensities) > 1
    for number, channel in enumerate(figures.intensities, start=1):
        if channel.least == channel.greatest:
            what = f"channel {number}" if several else "the image"
            text = f"case {case.id}: all voxels of {what} have the value {channel.least:g}"
            yield Finding("constant-image", "warning", text, case.path)
    for slab in figures.slabs:
        if slab.looks_cut:
            of = f" of channel {slab.channel + 1}" if several else ""
            yield Finding("slab-constant", "warning", f"case {case.id}: {slab}{of}", case.path)


def _labels(case: Case, figures: Measured) -> Iterator[Finding]:
    if figures.labels is None:
        return
    path = case.label.path if isinstance(case.label, Source) else case.path
    names = case.label_names or {}
    unnamed = sorted(set(figures.labels) - set(names))
    if names and unnamed:
        text = f"case {case.id}: labels {_numbers(unnamed)} have no name; the data set names {_numbers(sorted(names))}"
        yield Finding("bad-labels", "error", text, path)
    if not figures.labels:
        yield Finding("label-empty", "warning", f"case {case.id}: no voxel has a label", path)
        return
    absent = sorted(set(names) - set(figures.labels))
    if absent:
        yield Finding("label-absent", "note", f"case {case.id}: no voxel has label {_numbers(absent)}", path)
    cut = sorted(number for number, size in figures.labels.items() if size.touches_edge)
    if cut:
        text = f"case {case.id}: label {_numbers(cut)} reaches the edge of the image"
        yield Finding("label-at-edge", "note", text, path)


def _numbers(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))
