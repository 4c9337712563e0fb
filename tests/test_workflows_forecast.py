"""What a case takes is said before it is read; one that takes more than there is, is refused with the figure."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from fault_runs import make_images, make_pipeline

from medvision import io
from medvision.contract import Contract
from medvision.engines import Choice, Memory, Row
from medvision.geometry import Geometry
from medvision.pipeline import PipelineFolder
from medvision.predict import Prediction, demand, slabs
from medvision.steps import Resample
from medvision.study import Case, Source
from medvision.workers import available_bytes
from medvision.workflows import run as run_module
from medvision.workflows.batching.attempts import fitting
from medvision.workflows.batching.forecast import Forecast, forecast_of
from medvision.workflows.batching.job import Work
from medvision.workflows.run import Limits, run

MEGABYTE = 2**20
CHOICE = Choice(
    "torch-fp32", "auto", 2, 4, (Row("torch-fp32", seconds=0.5, memory=Memory(0, 100 * MEGABYTE, 50 * MEGABYTE)),)
)
CASE = Case("a", (Source("nifti", (Path("a.nii"),)),))


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> PipelineFolder:
    return make_pipeline(tmp_path_factory.mktemp("pipeline") / "blobs")


def expected(pipeline: PipelineFolder, shape: tuple[int, int, int], *, threads: int = 2, channels: int = 1) -> Forecast:
    header = io.ImageHeader(Geometry.from_spacing((1, 1, 1), shape), channels, 2)
    found = forecast_of(CASE, header, pipeline.settings, CHOICE, threads=threads, base_bytes=0)
    assert found is not None
    return found


def test_the_network_is_asked_as_often_as_was_said(pipeline: PipelineFolder) -> None:
    import numpy as np

    voxels = np.random.default_rng(0).normal(size=(1, 30, 9, 20)).astype(np.float32)
    asked = []

    def over(inputs):  # type: ignore[no-untyped-def]
        for each in inputs:
            asked.append(each.shape)
            yield np.zeros((3, *each.shape[1:]), np.float32)

    for how in (Prediction(window=(8, 8, 8)), Prediction(), Prediction(window=(8, 8), mirror_axes=(0,))):
        asked.clear()
        dimensions = 2 if how.window and len(how.window) == 2 else 3
        held = [slab.values.size for slab in slabs(over, voxels, how, dimensions=dimensions, divisor=4)]
        told = demand((30, 9, 20), how, dimensions=dimensions, divisor=4)
        assert len(asked) == told.inputs * (2 if how.mirror_axes else 1)
        assert {np.prod(shape[1:]) for shape in asked} == {told.size}
        assert max(held) <= 3 * told.held


def test_time_grows_with_the_windows_and_shrinks_with_the_threads(pipeline: PipelineFolder) -> None:
    small, large = expected(pipeline, (8, 8, 8)), expected(pipeline, (8, 8, 80))
    assert (small.inputs, large.inputs) == (1, 19)
    assert large.seconds - small.seconds == pytest.approx(18 * 0.5, rel=0.05)
    assert expected(pipeline, (8, 8, 80), threads=1).seconds > 1.8 * large.seconds


def test_memory_is_that_of_the_engine_and_of_what_is_held(pipeline: PipelineFolder) -> None:
    one, two = (expected(pipeline, (8, 8, 8), threads=threads).memory_mb for threads in (1, 2))
    assert two - one == pytest.approx(50, abs=1), "one further input at the same time"
    large = expected(pipeline, (400, 400, 400)).memory_mb
    voxels = 400**3 / MEGABYTE
    # 2 bytes of the image, 4 of what the network sees, 1 of its labels, 1 of the labels and 4 of the entropy
    buffered = 4 * 3 * 8 * 400 * 400 / MEGABYTE  # all classes, as thick as a window
    planes = 3 * 4 * 3 * 16 * 400 * 400 / MEGABYTE  # their probabilities, some planes at a time
    assert large - two == pytest.approx(12 * voxels + buffered + planes, rel=0.02)
    # Of three channels, the steps take the most: the image, and two copies in float32.
    assert expected(pipeline, (400, 400, 400), channels=3).memory_mb == pytest.approx(125 + 30 * voxels, rel=0.01)


def test_what_the_network_sees_is_what_the_steps_lead_to(pipeline: PipelineFolder) -> None:
    finer = replace(pipeline, settings=replace(pipeline.settings, steps=(Resample(spacing_mm=(0.5, 0.5, 0.5)),)))
    assert expected(finer, (8, 8, 8)).inputs == 27


def test_where_a_side_is_not_stated_both_are_tried(pipeline: PipelineFolder) -> None:
    sided = replace(pipeline, settings=replace(pipeline.settings, contract=Contract(shows="a side", side="left")))
    assert expected(sided, (8, 8, 8)).inputs == 2
    assert expected(pipeline, (8, 8, 8)).inputs == 1


def test_nothing_is_forecast_where_nothing_was_measured(pipeline: PipelineFolder) -> None:
    header = io.ImageHeader(Geometry.from_spacing((1, 1, 1), (8, 8, 8)), 1, 2)
    unknown = Choice("torch-fp32", "auto", 1, 0, (Row("torch-fp32"),))
    assert forecast_of(CASE, header, pipeline.settings, unknown, threads=1, base_bytes=0) is None


def test_a_case_that_would_take_more_memory_than_there_is_is_refused_and_the_ledger_tells_the_figure(
    pipeline: PipelineFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    huge = Choice("torch-fp32", "auto", 1, 1, (Row("torch-fp32", seconds=0.1, memory=Memory(0, 5 * 10**9, 0)),))
    monkeypatch.setattr(run_module, "chosen_engine", lambda *_, **__: huge)
    images = make_images(tmp_path / "in", 1)
    result = run(pipeline, [images], tmp_path / "out", limits=Limits(memory_gb=2))
    (entry,) = result.entries
    assert entry.problem is not None
    assert (entry.state, entry.problem.code) == ("refused", "memory-short")
    told = re.fullmatch(r"it would take (\d+\.\d) GB, of 2\.0 GB", entry.problem.message)
    assert told is not None
    assert float(told[1]) >= 5.0, "the engine, and what this process holds"
    with sqlite3.connect(tmp_path / "out" / "ledger.sqlite") as database:
        ((memory, seconds),) = database.execute("SELECT forecast_memory_mb, forecast_seconds FROM cases")
    assert memory > 5e9 / MEGABYTE
    assert seconds > 0.1


def test_cases_begin_beside_each_other_where_what_they_take_is_there(pipeline: PipelineFolder, tmp_path: Path) -> None:
    large = Choice("torch-fp32", "auto", 1, 1, (Row("torch-fp32", seconds=0.1, memory=Memory(0, 10**9, 0)),))
    one, two, three = io.scan([make_images(tmp_path / "in", 3)]).cases
    work = Work(pipeline, tmp_path / "out", choice=large, memory_gb=2.7)
    fit = fitting(work)
    assert fit is not None
    assert fit(one, [])
    assert fit(one, [two])
    assert not fit(one, [two, three])
    assert fitting(replace(work, memory_gb=None)) is None
    assert fitting(replace(work, choice=None)) is None
    (tmp_path / "in" / "case2.nii.gz").write_bytes(b"no image")
    unread = fitting(work)
    assert unread is not None
    assert unread(one, [two, three]), "what cannot be read takes nothing, and is refused when it is"


def test_what_is_free_is_the_limit_where_none_is_given() -> None:
    free = available_bytes()
    assert free is not None
    assert 10**8 < free < 10**13
    assert Limits().within(free).memory_gb == pytest.approx(free / 1e9)
    assert Limits(memory_gb=3).within(free).memory_gb == 3
    assert Limits().within(None).memory_gb is None
