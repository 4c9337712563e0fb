"""A run takes the fastest engine that says the same as torch; what it took stands in every record."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medvision import io
from medvision.engines import NAMES
from medvision.errors import PipelineError, UsageError
from medvision.pipeline import PipelineFolder
from medvision.predict import Tolerance
from medvision.workflows.batching.engine import Engines, chosen_engine, digest_with, digests_of
from medvision.workflows.report import read_record
from medvision.workflows.run import run


@pytest.fixture
def pipeline(sphere_pipeline: Path) -> PipelineFolder:
    return PipelineFolder.open(sphere_pipeline)


@pytest.fixture
def one(sphere_inputs: Path, tmp_path: Path) -> Path:
    """A folder with one image."""
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a.nii.gz").write_bytes((sphere_inputs / "case0.nii.gz").read_bytes())
    return tmp_path / "one"


def tolerant(pipeline: PipelineFolder, labels: float, probability: float) -> PipelineFolder:
    predict = replace(pipeline.settings.predict, tolerance=Tolerance(labels, probability))
    return replace(pipeline, settings=replace(pipeline.settings, predict=predict))


def mask(out: Path) -> np.ndarray:  # type: ignore[type-arg]
    return io.load(out / "cases" / "a" / "mask.nii.gz").volumes["mask"].voxels


def test_another_engine_says_the_same_and_its_record_says_how_closely(
    pipeline: PipelineFolder, one: Path, tmp_path: Path
) -> None:
    run(pipeline, [one], tmp_path / "torch", engine="torch-fp32")
    run(pipeline, [one], tmp_path / "openvino", engine="openvino-fp32")
    assert np.array_equal(mask(tmp_path / "torch"), mask(tmp_path / "openvino"))
    record = read_record(tmp_path / "openvino" / "cases" / "a")
    assert record.manifest.engine == "openvino-fp32"
    assert record.manifest.device == "cpu"
    assert set(record.manifest.versions) - set(read_record(tmp_path / "torch" / "cases" / "a").manifest.versions) == {
        "openvino"
    }
    told = record.checks["engine"]
    assert told["closeness"]["labels"] == pytest.approx(1, abs=1e-3)
    assert 0 < told["closeness"]["largest"] < 1e-2


def test_results_of_another_engine_are_made_again_only_where_one_is_asked_for(
    pipeline: PipelineFolder, one: Path, tmp_path: Path
) -> None:
    assert run(pipeline, [one], tmp_path / "out", engine="openvino-fp32").analysed == 1
    assert run(pipeline, [one], tmp_path / "out", engine="openvino-fp32").analysed == 0
    assert run(pipeline, [one], tmp_path / "out", engine="auto").analysed == 0, "any engine's will do"
    assert run(pipeline, [one], tmp_path / "out", engine="torch-fp32").analysed == 1
    assert read_record(tmp_path / "out" / "cases" / "a").manifest.engine == "torch-fp32"


def test_the_hash_of_a_result_tells_its_engine_but_that_of_the_reference_is_the_pipelines(
    pipeline: PipelineFolder,
) -> None:
    assert digest_with(pipeline, None) == digest_with(pipeline, "torch-fp32") == pipeline.digest
    assert len(digests_of(pipeline, "auto")) == len(NAMES)
    assert digests_of(pipeline, "onnx-fp32") == {digest_with(pipeline, "onnx-fp32")}


def test_an_engine_beyond_the_tolerance_is_refused_before_any_case(
    pipeline: PipelineFolder, one: Path, tmp_path: Path
) -> None:
    with pytest.raises(PipelineError, match="openvino-fp32 is beyond the tolerance") as caught:
        run(tolerant(pipeline, 1.0, 0.0), [one], tmp_path / "out", engine="openvino-fp32")
    assert caught.value.code == "engine-inexact"
    assert not (tmp_path / "out" / "cases").exists()
    with pytest.raises(UsageError, match="there is no engine 'abacus'"):
        run(pipeline, [one], tmp_path / "out", engine="abacus")


def test_auto_tries_engines_once_for_a_pipeline_and_leaves_out_those_beyond_the_tolerance(
    pipeline: PipelineFolder, sphere_inputs: Path
) -> None:
    cases = io.scan([sphere_inputs]).cases
    exact = tolerant(pipeline, 1.0, 0.0)
    choice = chosen_engine(Engines(exact), cases, alone=False)
    assert choice.engine == "torch-fp32"
    assert any(row.inexact and "beyond the tolerance" in str(row.why_not) for row in choice.rows)
    started = time.monotonic()
    assert chosen_engine(Engines(exact), cases, alone=False) == choice
    assert time.monotonic() - started < 5, "from the cache"


def test_engines_are_tried_in_a_process_of_their_own(pipeline: PipelineFolder, sphere_inputs: Path) -> None:
    loose = tolerant(pipeline, 0.5, 1.0)
    choice = chosen_engine(Engines(loose), io.scan([sphere_inputs]).cases, alone=True)
    assert choice.engine in NAMES
    assert choice.inputs == 4
    assert json.loads(json.dumps(choice.to_json()))["engine"] == choice.engine


def test_where_no_image_can_be_read_engines_are_tried_on_an_empty_one(pipeline: PipelineFolder, tmp_path: Path) -> None:
    (tmp_path / "broken.nii").write_bytes(b"no image")
    cases = [replace(case) for case in io.scan([tmp_path / "broken.nii"]).cases]
    choice = chosen_engine(Engines(pipeline, "torch-fp32"), cases, alone=False)
    assert choice.engine == "torch-fp32"
