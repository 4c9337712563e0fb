"""The limits of :mod:`medvision.quality.limits`, measured on real data: false alarms, and planted copies found."""

from __future__ import annotations

import io
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from medvision.geometry import Geometry
from medvision.io import read_labels, read_volume, scan
from medvision.quality import Measured, check_case, check_cohort, measured, near_copies
from medvision.resampling import resample
from medvision.study import Case
from medvision.volume import Volume

pytestmark = pytest.mark.slow

Cohort = tuple[dict[str, Case], dict[str, Measured]]
PLANTED = 20  # cases of each data set that are copied


def read(folder: Path, every: int = 1) -> Cohort:
    cases = {case.id: case for case in scan([folder]).cases[::every]}
    figures = {}
    for name, case in cases.items():
        volume = read_volume(case)
        labels = read_labels(case, case.label_names, volume.geometry) if case.label_names else None
        figures[name] = measured(volume, labels)
    return cases, figures


@pytest.fixture(scope="module")
def crops(shared_data: Path) -> Cohort:
    return read(shared_data / "msd_hippocampus")


@pytest.fixture(scope="module")
def radiographs(shared_data: Path) -> Cohort:
    return read(shared_data / "pneumoniamnist")


@pytest.fixture(scope="module")
def shapes(shared_data: Path) -> Cohort:
    return read(shared_data / "adrenalmnist3d_64", every=4)


def found_in(cohort: Cohort) -> Counter[tuple[str, str]]:
    cases, figures = cohort
    findings = [*check_cohort(list(cases.values()), figures)]
    findings += [finding for name, case in cases.items() for finding in check_case(case, figures[name])]
    return Counter((finding.code, finding.grade) for finding in findings)


def test_crops_give_warnings_for_those_stored_in_another_range_of_values_and_no_other(crops: Cohort) -> None:
    cases, figures = crops
    odd = {name for name, entry in figures.items() if not 500 < entry.intensities[0].high < 1500}
    assert len(odd) == 63
    assert found_in(crops) == {("intensity-outlier", "warning"): 63}
    named = {finding.message.split(":")[0] for finding in check_cohort(list(cases.values()), figures)}
    assert named == {f"case {name}" for name in odd}


def test_radiographs_have_exact_copies_some_in_both_splits_and_no_other_pair_is_near(radiographs: Cohort) -> None:
    found = found_in(radiographs)
    assert found.pop(("intensity-outlier", "warning")) < 0.01 * len(radiographs[0])  # dark and faint pictures
    assert found == {("duplicate", "warning"): 16, ("split-leak", "error"): 8, ("split-ungrouped", "warning"): 1}


def test_shapes_give_a_warning_for_the_two_that_fill_less_than_half_a_per_cent(shapes: Cohort) -> None:
    found = found_in(shapes)
    assert found.pop(("intensity-outlier", "warning"), 0) <= 2
    assert found == {("split-ungrouped", "warning"): 1}


# planted copies

Change = Callable[[NDArray[np.float32], Geometry, np.random.Generator], tuple[NDArray[Any], Geometry]]


def jpeg(voxels: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the slices after JPEG of quality 50."""
    eight = np.round(255 * (voxels - voxels.min()) / np.ptp(voxels)).astype(np.uint8)

    def again(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
        buffer = io.BytesIO()
        Image.fromarray(plane).save(buffer, "JPEG", quality=50)
        return np.asarray(Image.open(buffer))

    return np.stack([again(eight[:, :, k]) for k in range(eight.shape[2])], axis=-1)


def resampled(voxels: NDArray[np.float32], grid: Geometry, factor: float) -> tuple[NDArray[Any], Geometry]:
    spacing = [step * (factor if size > 1 else 1) for step, size in zip(grid.spacing, grid.shape, strict=True)]
    coarser = grid.resampled(spacing)
    return resample(voxels, grid, coarser, order=1, smooth=True), coarser


def shifted(voxels: NDArray[np.float32], *axes: int) -> NDArray[np.float32]:
    kept = [axis for axis in axes if voxels.shape[axis] > 1]
    return np.roll(voxels, [1] * len(kept), kept)


def cropped(voxels: NDArray[np.float32], grid: Geometry) -> tuple[NDArray[np.float32], Geometry]:
    start = [1 if size > 1 else 0 for size in grid.shape]
    stop = [size - first for size, first in zip(grid.shape, start, strict=True)]
    return voxels[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))], grid.cropped(start, stop)


CHANGES: dict[str, Change] = {
    "rescaled": lambda v, g, r: (v * 1.7 + 100, g),
    "gamma 0.8": lambda v, g, r: ((v - v.min()) ** 0.8, g),
    "4 bits": lambda v, g, r: (np.round(15 * (v - v.min()) / np.ptp(v)), g),
    "JPEG 50": lambda v, g, r: (jpeg(v), g),
    "noise 5 %": lambda v, g, r: (v + r.normal(0, 0.05 * v.std(), v.shape), g),
    "noise 20 %": lambda v, g, r: (v + r.normal(0, 0.2 * v.std(), v.shape), g),
    "mirrored": lambda v, g, r: (v[::-1], g),
    "resampled 1.3": lambda v, g, r: resampled(v, g, 1.3),
    "resampled 2": lambda v, g, r: resampled(v, g, 2.0),
    "shifted i": lambda v, g, r: (shifted(v, 0), g),
    "shifted ijk": lambda v, g, r: (shifted(v, 0, 1, 2), g),
    "mirrored, shifted": lambda v, g, r: (shifted(v[::-1], 1), g),
    "cropped by 1": lambda v, g, r: cropped(v, g),
}

LEAST = {  # share found: crops, radiographs, shapes
    "rescaled": (1.0, 1.0, 1.0),
    "gamma 0.8": (1.0, 1.0, 1.0),
    "4 bits": (1.0, 1.0, 1.0),
    "JPEG 50": (1.0, 1.0, 1.0),
    "noise 5 %": (1.0, 1.0, 1.0),
    "noise 20 %": (1.0, 0.95, 1.0),
    "mirrored": (1.0, 1.0, 1.0),
    "resampled 1.3": (1.0, 0.95, 1.0),
    "resampled 2": (1.0, 0.5, 1.0),
    "shifted i": (1.0, 0.9, 1.0),
    "shifted ijk": (0.95, 0.6, 0.3),
    "mirrored, shifted": (1.0, 0.9, 1.0),
    "cropped by 1": (0.0, 0.0, 0.95),
}


def copies(cohort: Cohort, change: Change) -> Iterator[tuple[str, Measured]]:
    cases, figures = cohort
    counts = Counter(entry.digest for entry in figures.values())
    single = sorted(name for name, entry in figures.items() if counts[entry.digest] == 1)
    generator = np.random.default_rng(0)
    for name in generator.permutation(single)[:PLANTED].tolist():
        volume = read_volume(cases[name])
        voxels, grid = change(volume.voxels[0].astype(np.float32), volume.geometry, generator)
        yield name, measured(Volume(voxels[None], grid))


def shares_found(cohort: Cohort) -> dict[str, float]:
    """Return which share of the copies is found, by what was done to them."""
    found = dict.fromkeys(CHANGES, 0)
    for kinds in (tuple(CHANGES)[start : start + 4] for start in range(0, len(CHANGES), 4)):
        planted = {(kind, name): entry for kind in kinds for name, entry in copies(cohort, CHANGES[kind])}
        together = {**cohort[1], **{f"{name}-{kind}": entry for (kind, name), entry in planted.items()}}
        pairs = {(pair.first, pair.second) for pair in near_copies(together)}
        for (kind, name), entry in planted.items():
            found[kind] += (name, f"{name}-{kind}") in pairs or entry.digest == cohort[1][name].digest
    return {kind: count / PLANTED for kind, count in found.items()}


@pytest.mark.parametrize("place", range(3), ids=("crops", "radiographs", "shapes"))
def test_planted_copies_are_found(place: int, crops: Cohort, radiographs: Cohort, shapes: Cohort) -> None:
    cases, figures = (crops, radiographs, shapes)[place]
    some = sorted(cases)[:: 2 if place == 1 else 1]
    found = shares_found(({name: cases[name] for name in some}, {name: figures[name] for name in some}))
    sys.stdout.write(f"\n{found}\n")  # pytest -s shows it
    assert {what: share for what, share in found.items() if share < LEAST[what][place]} == {}
