"""A batch on real Dask workers comes to what one process comes to, whatever becomes of a worker, a case or the run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster_processes import DaskCluster, lines, log, run_with
from fault_runs import harmful, lacking, lightly_opened, make_image, make_images, make_pipeline, tree

from medvision.errors import ExtraMissingError, WorkerError
from medvision.pipeline import PipelineFolder
from medvision.study import Case, Source
from medvision.workflows import run as run_module
from medvision.workflows.batching import cluster as cluster_module
from medvision.workflows.batching import fleet as fleet_module
from medvision.workflows.run import DaskScheduler, Limits, run

CASES = 6


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> PipelineFolder:
    return make_pipeline(tmp_path_factory.mktemp("pipeline") / "blobs")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_images(tmp_path_factory.mktemp("images"), CASES)
    (folder / "notes.dcm").write_text("no DICOM file")
    return folder


@pytest.fixture(scope="module")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """Start a scheduler and two workers, which no test harms."""
    cluster = DaskCluster(tmp_path_factory.mktemp("dask"))
    cluster.start("one", "two")
    yield cluster
    cluster.close()


@pytest.fixture
def frail(tmp_path: Path) -> Iterator[DaskCluster]:
    """Start a scheduler alone, for workers that come to harm."""
    cluster = DaskCluster(tmp_path / "dask")
    yield cluster
    cluster.close()


@pytest.fixture(autouse=True)
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "opened", lightly_opened)


@pytest.fixture(scope="module")
def whole(pipeline: PipelineFolder, images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what one process writes."""
    out = tmp_path_factory.mktemp("whole") / "out"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(run_module, "opened", lightly_opened)
        run(pipeline, [images], out, limits=Limits(workers=1))
    return out


def test_two_workers_come_to_what_one_process_comes_to_and_a_second_run_has_nothing_to_do(
    dask: DaskCluster, pipeline: PipelineFolder, images: Path, whole: Path, tmp_path: Path
) -> None:
    told: list[tuple[int, int, str]] = []
    out = tmp_path / "out"
    address = DaskScheduler(dask.address)
    result = run(pipeline, [images], out, cluster=address, progress=lambda *words: told.append(words))
    assert (result.analysed, result.count("done"), result.exit_code()) == (CASES, CASES, 4)
    assert tree(out) == tree(whole)
    assert lines(out) == lines(whole)
    assert [done for done, total, _ in told if total] == [0, *range(1, CASES + 1), CASES]
    assert "the engine is torch-fp32, tried on the Dask worker" in log(out)
    assert run(pipeline, [images], out, cluster=address).analysed == 0


def test_cases_that_end_their_process_cost_themselves_alone_and_no_worker(
    dask: DaskCluster, pipeline: PipelineFolder, images: Path, whole: Path, tmp_path: Path
) -> None:
    image = make_image(tmp_path / "bad.nii.gz")
    bad = [harmful(image, kind) for kind in ("kill", "late-kill", "bug", "refuse")]
    bad += [harmful(image, "exit", once=tmp_path / "marker")]
    missing = Case("missing", (Source("nifti", (tmp_path / "none.nii.gz",)),))
    result = run_with(pipeline, [images], tmp_path / "out", [*bad, missing], dask)
    causes = {
        entry.id: (entry.state, entry.problem.code) for entry in result.entries if entry.problem and "/" not in entry.id
    }
    assert causes == {
        "kill": ("failed", "worker-lost"),
        "late-kill": ("failed", "worker-lost"),
        "bug": ("failed", "internal"),
        "refuse": ("refused", "truncated"),
        "missing": ("refused", "unreadable"),
    }
    kill = next(entry.problem for entry in result.entries if entry.id == "kill")
    assert kill is not None
    assert kill.message.startswith("case kill: the process that worked on it was ended by signal 9 (SIGKILL)")
    assert {entry.id for entry in result.entries if entry.state == "done"} >= {"exit", "case0"}
    assert log(tmp_path / "out").count("it is tried once more") == 3
    kept = {name: value for name, value in tree(tmp_path / "out").items() if name.startswith("cases/case")}
    assert kept == {name: value for name, value in tree(whole).items() if name.startswith("cases/case")}
    written = {path.parent.name for path in (tmp_path / "out" / "cases").rglob("*") if path.is_file()}
    assert written.isdisjoint(causes), "no half result stands"
    assert all(process.poll() is None for process in dask.workers.values())


def test_a_worker_with_another_version_takes_no_part_and_is_named(
    frail: DaskCluster, pipeline: PipelineFolder, images: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other" / "scipy-0.0.1.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: scipy\nVersion: 0.0.1\n")
    frail.start("old", first=other.parent)
    told: list[str] = []
    with pytest.raises(
        WorkerError, match=r"the Dask worker old takes no part: its version of scipy is 0\.0\.1"
    ) as caught:
        run(
            pipeline,
            [images],
            tmp_path / "out",
            cluster=DaskScheduler(frail.address),
            progress=lambda done, total, words: told.append(words),
        )
    assert caught.value.code == "worker-refused"
    assert any("the Dask worker old takes no part" in words for words in told)
    frail.start("new")
    assert run(pipeline, [images], tmp_path / "out", cluster=DaskScheduler(frail.address)).count("done") == CASES


def test_workers_that_do_not_see_the_output_folder_take_no_part(
    dask: DaskCluster, pipeline: PipelineFolder, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_module, "write_text", lambda *_: None)  # as on another machine's disk
    monkeypatch.setattr(fleet_module, "_REFUSED_SECONDS", 0.1)
    with pytest.raises(WorkerError, match="does not see the folder: No such file or directory") as caught:
        run(pipeline, [images], tmp_path / "out", cluster=DaskScheduler(dask.address))
    assert caught.value.path == tmp_path / "out"


def test_workers_that_do_not_see_an_input_take_no_part(
    dask: DaskCluster, pipeline: PipelineFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = Case("missing", (Source("nifti", (tmp_path / "in" / "none.nii.gz",)),))
    monkeypatch.setattr(fleet_module.archives, "exists", lambda path: True)  # it is seen from here alone
    monkeypatch.setattr(fleet_module, "_REFUSED_SECONDS", 0.1)
    with pytest.raises(WorkerError, match="does not see the inputs") as caught:
        run_with(pipeline, [], tmp_path / "out", [missing], dask)
    assert caught.value.path == tmp_path / "in"


def test_an_engine_that_cannot_run_on_any_worker_ends_the_run_with_the_reason(
    dask: DaskCluster, pipeline: PipelineFolder, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "opened", lacking)
    monkeypatch.setattr(fleet_module, "_REFUSED_SECONDS", 0.1)
    with pytest.raises(ExtraMissingError, match="takes no part: the engine needs a package"):
        run(pipeline, [images], tmp_path / "out", cluster=DaskScheduler(dask.address))
    assert not lines(tmp_path / "out") or all(line[1] != "failed" for line in lines(tmp_path / "out"))
