"""Cases are prepared by this process or by several, and kept for the next try."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import SPHERES_TOML, write_sphere_data
from phantoms import write_nifti

from medvision import sealed
from medvision.errors import InputError
from medvision.geometry import Geometry
from medvision.pipeline import PipelineFolder
from medvision.study import Case
from medvision.training import Store
from medvision.workflows.training_data import prepare as preparing
from medvision.workflows.training_data.labelled import labelled_cases
from medvision.workflows.training_data.prepare import PreparedCase, prepare


@pytest.fixture(scope="module")
def spheres(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Case], PipelineFolder]:
    """Return eight cases and an untrained pipeline for them."""
    folder = tmp_path_factory.mktemp("spheres")
    (folder / "pipeline.toml").write_text(SPHERES_TOML, encoding="utf-8")
    return labelled_cases([write_sphere_data(folder / "data")]), PipelineFolder.open(folder)


def content_of(store: Path) -> dict[str, tuple[object, dict[str, bytes]]]:
    """Return all that lies in a store, byte by byte; but safetensors writes the facts of a file in any order."""
    found: dict[str, tuple[object, dict[str, bytes]]] = {}
    for path in store.rglob("*.*"):
        arrays, facts = sealed.load(path)
        found[path.name] = (facts, {name: array.tobytes() for name, array in arrays.items()})
    return found


def as_told(prepared: dict[str, PreparedCase]) -> list[object]:
    return [
        (name, each.digest, each.target_digest, each.figures, each.findings, each.sample.shape)
        for name, each in prepared.items()
    ]


def test_several_processes_prepare_the_same_bytes_as_one_and_go_on_after_a_bad_case(
    tmp_path: Path, spheres: tuple[list[Case], PipelineFolder]
) -> None:
    cases, pipeline = spheres
    alone = prepare(cases, pipeline, Store(tmp_path / "alone"))

    broken = Path(str(cases[5].path))
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError) as caught:
        prepare(cases, pipeline, Store(tmp_path / "apart"), workers=2)
    assert caught.value.path == broken
    broken.write_bytes(whole)
    kept = content_of(tmp_path / "apart")
    assert all(kept[name] == made for name, made in content_of(tmp_path / "alone").items() if name in kept)
    assert len(kept) >= 5, "what was prepared before the bad case is kept"

    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "apart").rglob("*.safetensors")}
    told: list[tuple[int, int]] = []
    apart = prepare(
        cases,
        pipeline,
        Store(tmp_path / "apart"),
        workers=2,
        progress=lambda done, total, _: told.append((done, total)),
    )
    assert content_of(tmp_path / "apart") == content_of(tmp_path / "alone")
    assert {path: path.stat().st_mtime_ns for path in times} == times, "what was kept is not made again"
    assert as_told(apart) == as_told(alone)
    assert told == [(number, 8) for number in range(1, 9)]


def test_an_image_that_a_step_refuses_is_named(tmp_path: Path) -> None:
    text = SPHERES_TOML.replace('use = "rescale"\nsource = [0.0, 200.0]', 'use = "zscore"')
    (tmp_path / "pipeline.toml").write_text(text, encoding="utf-8")
    case = labelled_cases([write_sphere_data(tmp_path)])[0]
    grid = Geometry.from_spacing((2, 2, 2), (24, 14, 12))
    write_nifti(case.path, np.ones(grid.shape, np.float32), grid)
    with pytest.raises(InputError) as caught:
        prepare([case], PipelineFolder.open(tmp_path), Store(tmp_path / "cache"))
    assert (caught.value.code, caught.value.path) == ("constant-image", case.path)


@pytest.mark.parametrize(("available", "wanted"), [(2, 0), (6, 5)])
def test_unless_told_otherwise_processes_are_as_many_as_are_worth_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    spheres: tuple[list[Case], PipelineFolder],
    available: int,
    wanted: int,
) -> None:
    seen = []

    def kept_by(count: int, *others: Any) -> Any:
        seen.append(count)
        return original(0, *others)

    original = preparing._kept_by
    monkeypatch.setattr(preparing, "_kept_by", kept_by)
    monkeypatch.setattr(preparing, "_FEW_CASES", 8)
    monkeypatch.setattr(preparing, "cores", lambda: available)
    prepare(*spheres, Store(tmp_path), workers=None)
    assert seen == [wanted]
