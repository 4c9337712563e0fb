"""The shipped `ct-adrenal` takes masks as they lie in their archive, answers with maps, and marks all else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from phantoms import write_nifti

from medvision.geometry import Geometry
from medvision.pipeline import PipelineFolder
from medvision.results import Record
from medvision.workflows.report import read_record
from medvision.workflows.run import run

CUBE = Geometry.from_spacing((1, 1, 1), (64, 64, 64))


def gland(half_mm: float) -> NDArray[np.uint8]:
    """Return (64, 64, 64): a Y with limbs of 18 mm, 24 mm high and twice `half_mm` thick: 255 in it, else 0."""
    x, y, z = np.mgrid[:64, :64, :64] - 31.5
    found = np.zeros((64, 64, 64), bool)
    for degrees in (90, 215, 325):
        along, across = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        length = x * along + y * across
        found |= (np.abs(y * along - x * across) < half_mm) & (length > -half_mm) & (length < 18)
    return np.where(found & (np.abs(z) < 12), 255, 0).astype(np.uint8)


def analysed(tmp_path: Path, voxels: NDArray[Any], geometry: Geometry = CUBE) -> Record:
    write_nifti(tmp_path / "in" / "a.nii.gz", voxels, geometry)
    assert run(PipelineFolder.open("ct-adrenal"), [tmp_path / "in"], tmp_path / "out").entries[0].state == "done"
    return read_record(tmp_path / "out" / "cases" / "a")


def test_a_mask_of_an_archive_is_accepted_with_its_size_assumed_and_explained_on_its_page(tmp_path: Path) -> None:
    np.savez(tmp_path / "masks.npz", test_images=gland(1.5)[None], test_labels=np.zeros((1, 1), np.uint8))
    result = run(PipelineFolder.open("ct-adrenal"), [tmp_path / "masks.npz"], tmp_path / "out", split="test")
    (case,) = result.entries
    record = read_record(tmp_path / "out" / "cases" / case.id)
    assert record.verdict == "accept"
    assert [(finding.code, finding.grade) for finding in record.findings] == [("spacing-outside", "note")]
    assert [entry["method"] for entry in record.saliency] == ["hirescam", "smoothed-gradient"]
    page = (tmp_path / "out" / "cases" / case.id / "report.html").read_text(encoding="utf-8")
    assert all(name in page for name in ("hirescam", "smoothed-gradient", "hyperplasia"))


def test_a_thick_gland_is_more_likely_hyperplastic_than_a_thin_one(tmp_path: Path) -> None:
    thin, thick = (analysed(tmp_path / str(half), gland(half)) for half in (1.5, 4.5))
    assert thin.probabilities is not None
    assert thick.probabilities is not None
    assert thin.probabilities["hyperplasia"] < 0.3 < 0.7 < thick.probabilities["hyperplasia"]


@pytest.mark.parametrize(
    ("voxels", "spacing", "codes"),
    [
        (gland(1.5), 1.0, set[str]()),
        (gland(1.5) // 255, 1.0, {"values-outside"}),
        (gland(1.5), 2.0, {"spacing-outside", "size-outside"}),
        (gland(1.5), 1.2, {"size-outside"}),
        (np.zeros((64, 64, 64), np.uint8), 1.0, {"values-outside", "constant-image"}),
        (np.arange(64**3, dtype=np.int16).reshape(64, 64, 64) % 1400 - 1000, 1.0, {"values-outside"}),
        (np.arange(64**3, dtype=np.int64).reshape(64, 64, 64).astype(np.uint8), 1.0, {"values-outside"}),
    ],
    ids=["with directions", "0 and 1", "voxels of 2 mm", "a wider cube", "no gland", "a CT in HU", "a CT in 8 bits"],
)
def test_what_is_no_mask_in_a_cube_of_64_mm_along_known_axes_is_for_review(
    tmp_path: Path, voxels: NDArray[Any], spacing: float, codes: set[str]
) -> None:
    record = analysed(tmp_path, voxels, Geometry.from_spacing((spacing, spacing, spacing), (64, 64, 64)))
    # Arrays have no directions, so that those of a file are always doubted.
    assert codes | {"orientation-doubted"} <= {entry.code for entry in record.findings if entry.grade == "warning"}
    assert record.verdict == "review"


def test_a_picture_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "pictures.npz", test_images=gland(1.5)[:1], test_labels=np.zeros((1, 1), np.uint8))
    result = run(PipelineFolder.open("ct-adrenal"), [tmp_path / "pictures.npz"], tmp_path / "out")
    (case,) = result.entries
    assert case.state == "refused"
    assert case.problem is not None
    assert case.problem.code == "not-3d"
