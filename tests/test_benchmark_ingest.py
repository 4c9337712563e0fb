"""The judge of benchmarks/ingest.py on answers that are known by hand; no other reader is needed."""

from __future__ import annotations

import sys
import zipfile
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from phantoms import positional, write_dicom_series, write_nifti

from medvision.geometry import Geometry

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def ingest(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the module; a run on an installed wheel has no benchmarks beside its tests."""
    if not (ROOT / "benchmarks" / "ingest.py").exists():
        pytest.skip("benchmarks/ is not here")
    monkeypatch.syspath_prepend(ROOT)
    return import_module("benchmarks.ingest")


def answer(ingest: Any, *images: Any, **more: Any) -> Any:
    return ingest.Answer(images, **more)


@pytest.fixture
def axial(ingest: Any, tmp_path: Path) -> tuple[Any, Any]:
    """Return the plain case of the torture set, and its right image."""
    given = next(ingest.written(tmp_path, lambda name: name == "axial"))
    truth = given.faults.expect.truths[0]
    from benchmarks.ingest_readers import LPS, Image

    voxels = given.faults.torture.value_at(truth.lattice.points())
    return given, Image(voxels[None], LPS @ truth.lattice.affine)


def moved(image: Any, shift: float) -> Any:
    affine = image.affine.copy()
    affine[2, 3] += shift
    return type(image)(image.voxels, affine)


def test_true_values_at_true_places_are_right(ingest: Any, axial: tuple[Any, Any]) -> None:
    given, image = axial
    assert given.group == "clean"
    assert ingest.judged(answer(ingest, image), given, ()) == ("right", "")


def test_a_shift_of_a_millimetre_is_wrong_silently_or_with_words(ingest: Any, axial: tuple[Any, Any]) -> None:
    given, image = axial
    assert ingest.judged(answer(ingest, moved(image, 1.0)), given, ())[0] == "silently wrong"
    assert ingest.judged(answer(ingest, moved(image, 1.0)), given, ["a slice is missing"])[0] == "wrong, with words"


def test_a_volume_too_many_and_a_missing_one_are_wrong(ingest: Any, axial: tuple[Any, Any]) -> None:
    given, image = axial
    assert ingest.judged(answer(ingest, image, moved(image, 30)), given, ())[0] == "silently wrong"
    part = type(image)(image.voxels[..., :4], image.affine)
    assert ingest.judged(answer(ingest, part), given, ())[0] == "silently wrong"


def test_a_finer_grid_with_true_values_is_right(ingest: Any, axial: tuple[Any, Any]) -> None:
    given, image = axial
    affine = image.affine @ np.diag([1, 1, 0.5, 1])
    shape = (*image.voxels.shape[1:3], 2 * image.voxels.shape[3] - 1)
    lattice = given.faults.torture.Lattice(np.diag([-1.0, -1, 1, 1]) @ affine, shape)
    finer = type(image)(given.faults.torture.value_at(lattice.points())[None], affine)
    assert ingest.judged(answer(ingest, finer), given, ())[0] == "right"


def test_a_refusal_has_a_reason_or_none(ingest: Any, axial: tuple[Any, Any]) -> None:
    given, _ = axial
    told = ingest.Answer(None, "InputError", "3 slices are missing", reasoned=True)
    assert ingest.judged(told, given, ())[0] == "refused, with a reason"
    accident = ingest.Answer(None, "KeyError", "'ImagePositionPatient'", reasoned=False)
    assert ingest.judged(accident, given, ())[0] == "refused, without"
    assert ingest.judged(ingest.Answer(()), given, ())[0] == "refused, without"
    assert ingest.judged(ingest.Answer(()), given, ["no slices"])[0] == "refused, with a reason"


def test_a_reader_runs_in_a_process_of_its_own(ingest: Any, tmp_path: Path) -> None:
    grid = Geometry(np.diag([-2.0, -1.0, 3.0, 1.0]), (4, 5, 3))
    write_dicom_series(tmp_path / "in", positional(grid), grid)
    process = ingest.ReaderProcess("medvision", Path(sys.executable))
    try:
        assert process.absent is None
        found = process.read(tmp_path / "in", tmp_path / "out.npz", limit_s=60)
        assert [image.voxels.shape for image in found.images] == [(1, 4, 5, 3)]
        assert np.allclose(found.images[0].affine, grid.affine)
        (tmp_path / "bad.dcm").write_bytes(bytes(128) + b"DICM")
        refused = process.read(tmp_path / "bad.dcm", tmp_path / "out.npz", limit_s=60)
        assert (refused.images, refused.error, refused.reasoned) == (None, "RefusedError", True)
        assert process.seconds(tmp_path / "in") > 0
        with pytest.raises(RuntimeError, match="does not read"):
            process.seconds(tmp_path / "bad.dcm")
    finally:
        process.end()


def test_a_missing_reader_is_named_as_absent(ingest: Any) -> None:
    process = ingest.ReaderProcess("dcm2niix", Path(sys.executable))
    process.end()
    assert process.absent


def test_a_reference_in_another_order_of_axes_is_the_same(ingest: Any, tmp_path: Path) -> None:
    from benchmarks.ingest_inputs import _ByReference
    from benchmarks.ingest_readers import Image

    grid = Geometry.from_spacing((2, 1, 3), (4, 5, 3))
    reference = write_nifti(tmp_path / "ref.nii", positional(grid), grid)
    turned = grid.reoriented("LPS")
    judge = _ByReference([reference])
    assert judge([Image(positional(turned)[None], turned.affine)]) == []
    assert "voxels are up to" in judge([Image(positional(grid)[None], turned.affine)])[0]
    assert "a corner lies 1.00 mm off" in judge([moved(Image(positional(grid)[None], grid.affine), 1.0)])[0]
    assert "missing" in judge([])[0]


def test_peers_are_given_the_files_themselves(ingest: Any, tmp_path: Path) -> None:
    only = tmp_path / "a" / "b" / "one.nii"
    only.parent.mkdir(parents=True)
    only.write_bytes(b"x")
    assert ingest.as_peers_need_it(tmp_path / "a", tmp_path / "z") == only
    (only.parent / "two.nii").write_bytes(b"y")
    assert ingest.as_peers_need_it(tmp_path / "a", tmp_path / "z") == only.parent
    (tmp_path / "a" / "DICOMDIR").write_bytes(b"")
    assert ingest.as_peers_need_it(tmp_path / "a" / "DICOMDIR", tmp_path / "z") == only.parent
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("in/1", "1")
        archive.writestr("in/2", "2")
    assert ingest.as_peers_need_it(tmp_path / "c.zip", tmp_path / "z") == tmp_path / "z" / "in"


def test_the_tables_count_every_outcome(ingest: Any) -> None:
    rows = [ingest.Row("one", "clean", "a", "right", ""), ingest.Row("one", "clean", "b", "silently wrong", "x")]
    text = ingest.table(rows)
    assert "| a | 1 | 1 | 0 | 0 | 0 | 0 |" in text
    assert "| one | right | silently wrong |" in text


def test_a_ratio_is_the_median_of_the_rounds() -> None:
    if not (ROOT / "benchmarks" / "ingest_speed.py").exists():
        pytest.skip("benchmarks/ is not here")
    sys.path.insert(0, str(ROOT))
    try:
        from benchmarks.ingest_speed import as_table, measured
    finally:
        sys.path.remove(str(ROOT))
    ticks = iter([9.0, 9.0, 1.0, 2.0, 2.0, 2.0, 3.0, 12.0])
    seconds = measured({"a": lambda: next(ticks), "b": lambda: next(ticks)}, 3)
    assert seconds == {"a": [1.0, 2.0, 3.0], "b": [2.0, 2.0, 12.0]}
    assert "| b | 2.000 | 2.000 to 12.000 | 0.50 |" in as_table("t", seconds)
