"""The images and the figures of benchmarks/batch.py, on answers that are known by hand; nnU-Net is not needed."""

from __future__ import annotations

import json
import sqlite3
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
MB = 2**20


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that imports; a run on an installed wheel has no benchmarks beside its tests."""
    if not (ROOT / "benchmarks" / "batch.py").exists():
        pytest.skip("benchmarks/ is not here")
    monkeypatch.syspath_prepend(ROOT)
    return lambda name: import_module(f"benchmarks.{name}")


def run_of(module: Any, **more: Any) -> Any:
    given = {"wall_s": 10.0, "cpu_s": 4.0, "peak_bytes": 5_000_000_000, "status": 0, "over_limit": False, "lines": ()}
    return module("inference_process").Measured(**(given | more))


def test_a_phantom_has_each_label_at_its_own_intensity(module: Any) -> None:
    phantom = module("nnunet.phantom")
    voxels, labels = phantom.body((40, 50, 60), (4.0, 4.0, 4.0), classes=5, seed=1)
    assert voxels.shape == labels.shape == (40, 50, 60)
    assert voxels.dtype == np.int16
    assert set(np.unique(labels)) == {0, 1, 2, 3, 4}
    for label in range(1, 5):
        assert abs(voxels[labels == label].mean() - (label - 1) * phantom.STEP_HU) < 3
    assert abs(voxels[0, 0].mean() - phantom.AIR_HU) < 3
    assert abs(voxels[labels == 0].max() - phantom.BODY_HU) < 8 * phantom.NOISE_HU
    again = phantom.body((40, 50, 60), (4.0, 4.0, 4.0), classes=5, seed=1)[0]
    assert (again == voxels).all()
    assert (phantom.body((40, 50, 60), (4.0, 4.0, 4.0), classes=5, seed=2)[0] != voxels).any()


def test_small_cases_are_written_each_with_other_bytes(module: Any, tmp_path: Path) -> None:
    import nibabel

    module("batch_cases").many(tmp_path / "small", 3)
    paths = sorted((tmp_path / "small").iterdir())
    assert [path.name for path in paths] == ["case0000.nii.gz", "case0001.nii.gz", "case0002.nii.gz"]
    assert nibabel.load(paths[0]).get_data_dtype() == np.int16
    assert len({path.read_bytes() for path in paths}) == 3


def test_a_command_that_was_killed_is_said_to_be(module: Any) -> None:
    runs = {"a": run_of(module), "b": run_of(module, status=-9, over_limit=True), "c": run_of(module, status=1)}
    text = module("batch_figures").large_table(runs, 16.0)
    assert "| a | 10 | 4 | 5.00 | done |" in text
    assert "| b | 10 | 4 | 5.00 | killed beyond 16 GB |" in text
    assert "| c | 10 | 4 | 5.00 | failed (1) |" in text


def ledger(out: Path, rows: list[tuple[str, str, float, float | None, str]]) -> None:
    out.mkdir(exist_ok=True)
    with sqlite3.connect(out / "ledger.sqlite") as database:
        database.execute("create table cases (id, state, seconds, peak_memory_mb, finished)")
        database.executemany("insert into cases values (?, ?, ?, ?, ?)", rows)
    database.close()


def test_a_forecast_stands_beside_what_became_of_it(module: Any, tmp_path: Path) -> None:
    figures = module("batch_figures")
    ledger(tmp_path, [("a", "done", 10.0, 1e9 / MB, "1")])
    record = tmp_path / "cases" / "a" / "record.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"forecast": {"seconds": 11.0, "memory_gb": 0.9}}))
    row = figures.forecast_row("shape", tmp_path, "a", run_of(module))
    assert "| shape | 11.00 | 10.00 | +10 % | 0.90 | 1.00 | -10 % | 5.00 |" in figures.forecast_table([row])


def test_what_is_not_told_is_said_not_to_be(module: Any, tmp_path: Path) -> None:
    figures = module("batch_figures")
    ledger(tmp_path, [("a", "refused", 10.0, None, "1")])
    row = figures.forecast_row("shape", tmp_path, "a", run_of(module))
    assert "| shape | not told | not told |  | not told | not told |  | 5.00 |" in figures.forecast_table([row])


def test_the_last_cases_are_held_against_the_first_to_end(module: Any, tmp_path: Path) -> None:
    rows = [(f"c{n}", "done", 1.0 + (n < 2), 100.0 * (1 + (n < 2)), f"2026-01-01T00:00:{9 - n:02d}") for n in range(6)]
    ledger(tmp_path, [*rows, ("bad", "failed", 99.0, None, "2026-01-01T00:00:00")])
    text = module("batch_figures").flatness(tmp_path, run_of(module), part=2)
    assert "6 cases in 10 s (status 0), peak 5.00 GB" in text
    assert "| first 2 | 1.000 | 1.000 | 100 |" in text
    assert "| last 2 | 2.000 | 2.000 | 200 |" in text
    assert "ledger.sqlite: 0.0" in text
    assert "index.html: not there" in text
