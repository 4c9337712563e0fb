"""The torture set: every input is read right, or refused, or marked, as the table beside each builder says."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torture_compressed  # noqa: F401 - these add their cases
import torture_files  # noqa: F401
import torture_frames  # noqa: F401
import torture_geometry  # noqa: F401
import torture_modalities  # noqa: F401
import torture_nifti
import torture_series  # noqa: F401
import torture_values  # noqa: F401
from torture import CASES, Expect, Truth, faults, faults_of, faults_of_volume, lattice, loaded, refused, right, value_at
from torture_hostile import HOSTILE, outcomes

from medvision.errors import Finding, MedvisionError
from medvision.geometry import Geometry
from medvision.io import read_labels
from medvision.io.read import Loaded
from medvision.study import Case, Source
from medvision.volume import Volume

MOST_SECONDS = 2.0  # of the processor, for one hostile input
MOST_MB = 300


_TIMED = "two_thousand_small_files"


@pytest.mark.parametrize("name", [name for name in CASES if name not in (*HOSTILE, _TIMED)])
def test_an_input_is_read_right_or_refused_with_its_reason(name: str, tmp_path: Path) -> None:
    assert faults_of(name, tmp_path / name) == []


def test_hostile_inputs_end_soon_and_cheaply(tmp_path: Path) -> None:
    root = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": f"{root.parent}{os.pathsep}{root}"}
    found = outcomes(tmp_path, environment)
    assert list(found) == HOSTILE
    assert {name: outcome["faults"] for name, outcome in found.items() if outcome["faults"]} == {}
    assert {name: outcome["cpu"] for name, outcome in found.items() if outcome["cpu"] > MOST_SECONDS} == {}
    assert {name: outcome["peak_mb"] for name, outcome in found.items() if outcome["peak_mb"] > MOST_MB} == {}


def test_two_thousand_files_are_read_within_seconds(tmp_path: Path) -> None:
    expect = CASES[_TIMED](tmp_path)
    start = time.process_time()
    got = loaded(tmp_path)
    assert time.process_time() - start < 5
    assert faults(got, expect) == []


@pytest.mark.parametrize(
    ("grid", "code"),
    [
        (replace(torture_nifti.GRID, shape=(12, 10, 7)), "grid-differs"),
        (
            lattice(torture_nifti.GRID.affine[:3, :2].T.ravel() / (2, 2, 2, 1.5, 1.5, 1.5), origin=(11.5, 7, 20)),
            "grid-differs",
        ),
        (lattice((-0.8, -0.6, 0, -0.6, 0.8, 0), origin=(28.6, 20.2, 20)), "grid-differs"),
    ],
    ids=["another shape", "half a millimetre off", "mirrored"],
)
def test_a_mask_on_another_grid_is_refused(grid: Any, code: str, tmp_path: Path) -> None:
    import nibabel as nib

    affine = torture_nifti.LPS_TO_RAS @ grid.affine
    nib.save(nib.Nifti1Image(np.ones(grid.shape, "u1"), affine), tmp_path / "mask.nii.gz")
    case = Case(
        "a", (Source("nifti", (tmp_path / "mask.nii.gz",)),), label=Source("nifti", (tmp_path / "mask.nii.gz",))
    )
    image = Geometry(torture_nifti.LPS_TO_RAS @ torture_nifti.GRID.affine, torture_nifti.GRID.shape)
    with pytest.raises(MedvisionError) as caught:
        read_labels(case, {1: "thing"}, image)
    assert caught.value.code == code


@pytest.mark.parametrize("value", [0.5, np.nan, -1.0])
def test_labels_that_are_no_whole_numbers_are_refused(value: float, tmp_path: Path) -> None:
    import nibabel as nib

    data = np.ones((4, 4, 4), "f4")
    data[1, 2, 3] = value
    nib.save(nib.Nifti1Image(data, np.diag([1.0, 1, 1, 1])), tmp_path / "mask.nii.gz")
    source = Source("nifti", (tmp_path / "mask.nii.gz",))
    with pytest.raises(MedvisionError) as caught:
        read_labels(Case("a", (source,), label=source), {1: "thing"}, Geometry.from_spacing((1, 1, 1), (4, 4, 4)))
    assert caught.value.code in ("bad-labels", "not-finite")


# The judge itself: a right volume passes, and each small fault is seen.

GRID = lattice((0.8, 0.6, 0, -0.6, 0.8, 0))


def _volume(affine: np.ndarray | None = None, voxels: np.ndarray | None = None, **more: Any) -> Volume:
    affine = GRID.affine if affine is None else affine
    values = value_at(GRID.points()) if voxels is None else voxels
    return Volume(values[None], Geometry(np.diag([-1.0, -1, 1, 1]) @ affine, values.shape), **more)


def _shifted(voxels: float, axis: int) -> np.ndarray:
    affine = GRID.affine.copy()
    affine[:3, 3] += affine[:3, axis] * voxels
    return affine


def _scaled(axis: int, factor: float) -> np.ndarray:
    affine = GRID.affine.copy()
    affine[:3, axis] *= factor
    return affine


_VALUES = value_at(GRID.points())
_FAULTY: dict[str, Callable[[], Volume]] = {
    **{f"flip of axis {a}": lambda a=a: _volume(voxels=np.flip(_VALUES, a)) for a in range(3)},
    **{f"half a voxel along {a}": lambda a=a: _volume(_shifted(0.5, a)) for a in range(3)},
    **{f"spacing along {a} by a hundredth": lambda a=a: _volume(_scaled(a, 1.01)) for a in range(3)},
    "rescaled": lambda: _volume(voxels=_VALUES * 1.01),
    "intercept dropped": lambda: _volume(voxels=_VALUES + 1),
    "one voxel": lambda: _volume(voxels=np.where(np.arange(960).reshape(12, 10, 8) == 77, 0, _VALUES)),
    "two slices swapped": lambda: _volume(voxels=_VALUES[:, :, [0, 1, 3, 2, 4, 5, 6, 7]]),
    "a slice lacks": lambda: _volume(voxels=_VALUES[:, :, :7]),
    "axes swapped without the affine": lambda: _volume(voxels=_VALUES.transpose(1, 0, 2)),
    "filled up with zeros": lambda: _volume(voxels=np.concatenate([_VALUES[:, :, :5], 0 * _VALUES[:, :, 5:]], axis=2)),
    "LPS for RAS": lambda: Volume(_VALUES[None], Geometry(GRID.affine, GRID.shape)),
    "shear dropped": lambda: _volume(_sheared(0.0)),
}


def _sheared(amount: float) -> np.ndarray:
    affine = GRID.affine.copy()
    affine[:3, 2] += amount * affine[:3, 1]
    return affine


def test_the_judge_passes_what_is_right() -> None:
    assert faults_of_volume(_volume(), Truth(GRID)) == []
    turned = Geometry(np.diag([-1.0, -1, 1, 1]) @ GRID.affine, GRID.shape).reoriented("SAR")
    assert faults_of_volume(_volume().onto(turned, order=0), Truth(GRID)) == []


@pytest.mark.parametrize("fault", [name for name in _FAULTY if name != "shear dropped"])
def test_the_judge_sees_a_fault(fault: str) -> None:
    assert faults_of_volume(_FAULTY[fault](), Truth(GRID)) != []


def test_the_judge_sees_that_a_shear_was_dropped() -> None:
    sheared = replace(GRID, affine=_sheared(0.3))
    assert faults_of_volume(_volume(voxels=value_at(sheared.points())), Truth(sheared)) != []
    assert faults_of_volume(_volume(_sheared(0.3), value_at(sheared.points())), Truth(sheared)) == []


_WARNING = Finding("sheared", "warning", "a warning", Path("x"))
_REFUSAL = Finding("truncated", "error", "a refusal", Path("x"))
_NAMELESS = Finding("truncated", "error", "a refusal")
_LEAK = Finding("truncated", "error", "of Planted^Name", Path("x"))
_OUTCOMES: dict[str, tuple[Loaded, Expect]] = {
    "nothing was read": (Loaded({}, (), ()), right(GRID)),
    "it was refused": (Loaded({}, (_REFUSAL,), ()), right(GRID)),
    "one more volume": (Loaded({"a": _volume(), "b": _volume()}, (), ()), right(GRID)),
    "read and refused": (Loaded({"a": _volume()}, (_REFUSAL,), ()), right(GRID)),
    "a warning on a clean input": (Loaded({"a": _volume(findings=(_WARNING,))}, (), ()), right(GRID)),
    "no warning": (Loaded({"a": _volume()}, (), ()), right(GRID, warning="some")),
    "another warning": (Loaded({"a": _volume(findings=(_WARNING,))}, (), ()), right(GRID, warning=("one-slice",))),
    "read, not refused": (Loaded({"a": _volume()}, (), ()), refused("truncated")),
    "refused for another reason": (Loaded({}, (_REFUSAL,), ()), refused("bad-header")),
    "no file is named": (Loaded({}, (_NAMELESS,), ()), refused("truncated")),
    "a name leaks": (Loaded({}, (_LEAK,), ()), refused("truncated")),
    "a file is not told of": (Loaded({"a": _volume()}, (), ()), right(GRID, named=("Thumbs.db",))),
    "in another order": (
        Loaded({"t2": _volume(), "t10": _volume(voxels=_VALUES + 100)}, (), ()),
        right(Truth(GRID, offset=100), Truth(GRID), ordered=True),
    ),
}


@pytest.mark.parametrize("outcome", _OUTCOMES)
def test_the_judge_sees_a_wrong_outcome(outcome: str) -> None:
    assert faults(*_OUTCOMES[outcome]) != []


def test_the_judge_passes_right_outcomes() -> None:
    both = Loaded({"t2": _volume(), "t10": _volume(voxels=_VALUES + 100)}, (), ())
    assert faults(both, right(Truth(GRID), Truth(GRID, offset=100), ordered=True)) == []
    assert faults(Loaded({}, (_REFUSAL,), ()), refused("truncated")) == []
    assert faults(Loaded({}, (_REFUSAL,), ()), right(GRID).or_refused("truncated")) == []
    assert faults(Loaded({"a": _volume(findings=(_WARNING,))}, (), ()), right(GRID, warning="some")) == []


def test_the_set_has_more_than_eighty_inputs() -> None:
    assert len(CASES) > 500
