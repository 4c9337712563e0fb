"""Left and right labels are told by where they lie, and labels that only lie apart are not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medvision.fingerprint import CaseFigures, Fingerprint, lateral_pairs, measure_case, summarise
from medvision.geometry import Geometry
from medvision.pipeline import lateral_faults, read_settings
from medvision.volume import Labels, Volume

GRID = Geometry.from_spacing((1.0, 1.0, 1.0), (24, 20, 18))
NAMES = {1: "hemi 1", 2: "hemi 2"}
PIPELINE = """
name = "a"
task = "segmentation"
description = "b"
[contract]
shows = "c"
{side}
[labels]
1 = "hemi 1"
2 = "hemi 2"
[[steps]]
use = "reorient"
[network]
use = "dynunet"
[train]
patch = [16, 16, 16]
[train.augmentation]
{mirror}
"""
Box = tuple[slice, slice, slice]


def measured(one: Box | None, other: Box | None, *, physical: bool = True) -> CaseFigures:
    voxels = np.zeros(GRID.shape, np.uint8)
    for number, box in ((1, one), (2, other)):
        if box is not None:
            voxels[box] = number
    grid = replace(GRID, physical=physical)
    return measure_case(Volume(np.zeros((1, *GRID.shape), np.float32), grid), Labels(voxels, grid, NAMES))


def box(i: int, j: int, k: int, size: int = 4) -> Box:
    return slice(i, i + size), slice(j, j + size), slice(k, k + size)


BESIDE = measured(box(3, 8, 7), box(16, 9, 7))
EXCHANGED = measured(box(16, 9, 7), box(3, 8, 7))


def test_labels_side_by_side_in_nearly_all_cases_are_left_and_right_whatever_they_are_called() -> None:
    assert lateral_pairs([BESIDE] * 3, NAMES) == (("hemi 1", "hemi 2"),)
    assert lateral_pairs([EXCHANGED] * 3, NAMES) == (("hemi 2", "hemi 1"),)
    assert lateral_pairs([BESIDE] * 19 + [EXCHANGED], NAMES) == (("hemi 1", "hemi 2"),)
    assert lateral_pairs([BESIDE] * 18 + [EXCHANGED], NAMES) == ()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (box(9, 2, 7), box(11, 14, 7)),  # front and back, a little to one side
        (box(6, 2, 7), box(14, 8, 7)),  # aslant
        (box(9, 8, 7), box(10, 8, 7, size=5)),  # one within the other's extent
        (box(2, 8, 7, size=9), box(18, 10, 10)),  # eleven times as large
        (box(9, 8, 7), None),
        (None, None),
    ],
)
def test_labels_that_lie_otherwise_are_no_left_and_right(one: Box | None, other: Box | None) -> None:
    assert lateral_pairs([measured(one, other)] * 5, NAMES) == ()


def test_images_that_state_no_place_tell_no_side() -> None:
    case = measured(box(3, 8, 7), box(16, 9, 7), physical=False)
    assert lateral_pairs([case] * 5, NAMES) == ()
    assert summarise([case] * 5, task="segmentation", names=NAMES).lateral == ()


def test_the_fingerprint_keeps_them_and_an_older_one_without_is_read(tmp_path: Path) -> None:
    known = summarise([BESIDE] * 5, task="segmentation", names=NAMES)
    assert known.lateral == (("hemi 1", "hemi 2"),)
    known.save(tmp_path / "new.json")
    assert Fingerprint.open(tmp_path / "new.json") == known
    text = (tmp_path / "new.json").read_text()
    older = text[: text.index(',\n  "lateral"')] + "\n}\n"
    (tmp_path / "old.json").write_text(older)
    assert Fingerprint.open(tmp_path / "old.json") == replace(known, lateral=())


@pytest.mark.parametrize(
    ("mirror", "side", "places"),
    [
        ("mirror_axes = [0]", "", ["train.augmentation.mirror_axes"]),
        ("mirror_axes = [1, 2]", "", []),
        ("mirror_axes = [0]\n[train.augmentation.probabilities]\nmirror = 0.0", "", []),
        ("", 'side = "left"', ["contract.side"]),
    ],
)
def test_mirroring_along_left_and_right_is_a_fault_of_such_labels(
    tmp_path: Path, mirror: str, side: str, places: list[str]
) -> None:
    (tmp_path / "pipeline.toml").write_text(PIPELINE.format(mirror=mirror, side=side))
    settings = read_settings(tmp_path / "pipeline.toml")
    assert list(lateral_faults(settings, ())) == []
    faults = list(lateral_faults(settings, [("hemi 1", "hemi 2")]))
    assert [fault.split(":")[0] for fault in faults] == places
    assert all("lies to the left of 'hemi 2'" in fault for fault in faults)


def test_front_and_back_of_one_hippocampus_are_no_left_and_right(shared_data: Path) -> None:
    from medvision import io

    names = {1: "one", 2: "other"}
    figures = []
    for case in io.scan([shared_data / "msd_hippocampus"]).cases[::10]:
        volume = io.read_volume(case)
        figures.append(measure_case(volume, io.read_labels(case, names, volume.geometry)))
    assert lateral_pairs(figures, names) == ()
