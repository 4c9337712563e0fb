"""What a batch makes of the workers of a cluster, as a cluster of no process tells of them."""

from __future__ import annotations

import importlib.util
import itertools
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fault_runs import command, make_image, make_pipeline

from medvision.batch import Entry
from medvision.engines import Choice, Row
from medvision.errors import ExtraMissingError, MedvisionError, OutputError, UsageError, WorkerError
from medvision.pipeline import PipelineFolder
from medvision.study import Case, Source
from medvision.workers import Done
from medvision.workflows.batching import connecting, fleet, station
from medvision.workflows.batching.cluster import entries_on
from medvision.workflows.batching.fleet import Asked
from medvision.workflows.batching.job import Work
from medvision.workflows.batching.station import Facts, Meeting, Station, Unfit, Unseen, analysed_at, met
from medvision.workflows.run import DaskScheduler, Limits, SlurmJobs, run

Answer = Callable[..., Any]


class Task:
    """What Dask calls a future, which has its result already."""

    numbers = itertools.count()

    def __init__(self, value: Any) -> None:
        self.value = value
        self.key = f"task-{next(self.numbers)}"

    def add_done_callback(self, told: Callable[[Task], None]) -> None:
        if self.value is not None:  # None: never done
            told(self)

    def result(self, timeout: float) -> Any:
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


class Client:
    """A cluster whose workers are facts by address, and answer at once."""

    def __init__(self, workers: dict[str, Facts], analyse: Answer) -> None:
        self.workers = workers
        self.analyse = analyse
        self.status = "running"
        self.tried: list[tuple[str, str]] = []  # worker, engine that was asked for
        self.stations: dict[str, tuple[Any, ...]] = {}
        self.cancelled: list[Task] = []

    def nthreads(self) -> dict[str, int]:
        return {address: facts.threads for address, facts in self.workers.items()}

    def submit(self, function: Any, *arguments: Any, workers: list[str], **named: Any) -> Task:
        (address,) = workers
        if function is met:
            return Task(self.workers[address])
        if function is Station:
            self.stations[address] = arguments
            return Task("station")
        if function is analysed_at:
            return Task(self.analyse(address, arguments[1], named["certain"]))
        self.tried.append((address, arguments[0].wanted))
        return Task(function(*arguments, alone=named["alone"]))

    def cancel(self, tasks: list[Task], *, force: bool) -> None:
        self.cancelled += tasks

    def run(self, function: Any, keys: list[str], workers: list[str], on_error: str) -> dict[str, bool]:
        return dict.fromkeys(workers, False)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> PipelineFolder:
    return make_pipeline(tmp_path_factory.mktemp("pipeline") / "blobs")


@pytest.fixture
def cases(tmp_path: Path) -> list[Case]:
    images = [make_image(tmp_path / f"case{number}.nii.gz", number) for number in range(3)]
    return [Case(path.name.partition(".")[0], (Source("nifti", (path,)),)) for path in images]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(fleet, "_REFUSED_SECONDS", 0.05)
    monkeypatch.setattr(fleet, "_NONE_SECONDS", 0.2)


def facts(name: str, processor: str = "x86", **named: Any) -> Facts:
    return Facts(name, station.package_versions(), processor, **named)


def openvino(engines: Any, cases: Any, *, alone: bool) -> Choice:
    """Choose OpenVINO, from whatever is asked for."""
    return Choice("openvino-fp32", engines.wanted, 1, 0, (Row("openvino-fp32", seconds=float(engines.threads)),))


def done(address: str, case: Case, certain: bool) -> Done[Case, Entry]:
    return Done(case, Entry(case.id, "done", case.path, address))


def over(
    client: Client, cases: list[Case], pipeline: PipelineFolder, out: Path, choose: Any = openvino, **named: Any
) -> tuple[list[Entry], list[str]]:
    """Return the entries, in the order of ids, and what was told."""
    told: list[str] = []
    out.mkdir(exist_ok=True)
    asked = Asked(work=Work(pipeline, out), engine="auto", limits=Limits(), choose=choose, **named)
    entries = entries_on(client, cases, asked, prepare=lambda case: None, say=told.append, warn=told.append)
    return sorted(entries, key=lambda entry: entry.id), told


def test_engines_are_tried_once_on_each_kind_of_processor_and_all_have_the_same(
    cases: list[Case], pipeline: PipelineFolder, tmp_path: Path
) -> None:
    kinds = {"a": facts("a", threads=3, memory_gb=7.0), "b": facts("b"), "c": facts("c", "arm", threads=2)}
    client = Client(kinds, done)
    over(client, [*cases, *(replace(case, id=f"{case.id}-b") for case in cases)], pipeline, tmp_path / "out")
    assert client.tried[0] == ("a", "auto")
    assert client.tried[1:] == [("c", "openvino-fp32")]
    work, terms, _ = client.stations["a"]
    assert (work.choice.engine, work.choice.wanted, work.threads, work.memory_gb, work.ours) == (
        *("openvino-fp32", "auto", 3, 7.0),
        True,
    )
    assert (terms.threads, terms.memory_gb, terms.stalled_minutes, terms.held) == (3, 7.0, 15.0, ())


def test_a_worker_on_which_the_engine_is_refused_takes_no_part_and_is_told(
    cases: list[Case], pipeline: PipelineFolder, tmp_path: Path
) -> None:
    def choose(engines: Any, cases: Any, *, alone: bool) -> Any:
        if engines.wanted != "auto":
            return UsageError("engine-unavailable", "the processor does not compute in bf16")
        return openvino(engines, cases, alone=alone)

    client = Client({"a": facts("a"), "c": facts("c", "arm")}, done)
    entries, told = over(client, cases, pipeline, tmp_path / "out", choose)
    assert [(entry.id, entry.pipeline_sha256) for entry in entries] == [(case.id, "a") for case in cases]
    assert "the Dask worker c takes no part: the processor does not compute in bf16 [engine-unavailable]" in told


def test_a_worker_that_is_lost_twice_with_a_case_or_that_dask_gives_up_is_told_as_lost(
    cases: list[Case], pipeline: PipelineFolder, tmp_path: Path
) -> None:
    def analyse(address: str, case: Case, certain: bool) -> Any:
        return CancelledError() if case.id == "case1" else done(address, case, certain)

    entries, told = over(Client({"a": facts("a")}, analyse), cases, pipeline, tmp_path / "out")
    assert [(entry.id, entry.state) for entry in entries] == [("case0", "done"), ("case1", "failed"), ("case2", "done")]
    problem = entries[1].problem
    assert problem is not None
    assert (problem.code, problem.message) == (
        "worker-lost",
        "case case1: the Dask worker a was lost while it worked on it",
    )
    assert sum("it is tried once more" in words for words in told) == 1


def test_a_worker_that_fails_at_what_it_is_asked_takes_no_part_and_its_case_goes_elsewhere(
    cases: list[Case], pipeline: PipelineFolder, tmp_path: Path
) -> None:
    def analyse(address: str, case: Case, certain: bool) -> Any:
        if address == "a":
            return ModuleNotFoundError("Doe")
        return (
            done(address, case, certain) if address == "c" else Unfit(ExtraMissingError("extra-missing", "no engine"))
        )

    client = Client({name: facts(name) for name in ("a", "b", "c")}, analyse)
    entries, told = over(client, cases, pipeline, tmp_path / "out")
    assert [entry.pipeline_sha256 for entry in entries] == ["c", "c", "c"]
    assert (
        "the Dask worker a takes no part: it cannot do what it is asked (ModuleNotFoundError) [worker-refused]" in told
    )
    assert "the Dask worker b takes no part: no engine [extra-missing]" in told


def test_a_case_whose_file_is_nowhere_is_done_all_the_same_so_that_it_is_told(
    cases: list[Case], pipeline: PipelineFolder, tmp_path: Path
) -> None:
    def analyse(address: str, case: Case, certain: bool) -> Any:
        return done(address, case, certain) if certain else Unseen(tmp_path / "nowhere.nii")

    entries, told = over(Client({"a": facts("a")}, analyse), cases, pipeline, tmp_path / "out")
    assert len(entries) == 3
    assert not any("takes no part" in words for words in told)


def test_without_a_worker_the_run_ends_after_a_while_or_waits(
    cases: list[Case], pipeline: PipelineFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(WorkerError, match="there has been no Dask worker for 0 seconds") as caught:
        over(Client({}, done), cases, pipeline, tmp_path / "out")
    assert caught.value.code == "worker-refused"

    class Later(Client):
        looks = 0

        def nthreads(self) -> dict[str, int]:
            self.looks += 1
            return super().nthreads() if self.looks > 40 else {}

    entries, told = over(Later({"a": facts("a")}, done), cases, pipeline, tmp_path / "out", patient=True)
    assert len(entries) == 3
    assert sum("the jobs wait in the queue, or cannot reach this machine" in words for words in told) == 1


def test_a_scheduler_that_is_no_more_or_answers_with_an_error_ends_the_run(
    cases: list[Case], pipeline: PipelineFolder, tmp_path: Path
) -> None:
    lost, broken = Client({"a": facts("a")}, done), Client({"a": facts("a")}, done)
    lost.status = "connecting"
    broken.nthreads = lambda: [][1]  # type: ignore[assignment, misc]
    for client in (lost, broken):
        with pytest.raises(WorkerError, match="the Dask scheduler is no more") as caught:
            over(client, cases, pipeline, tmp_path / "out")
        assert caught.value.code == "scheduler-unreachable"


def test_results_that_cannot_be_written_end_the_run_and_what_is_under_way_is_cancelled_and_removed(
    cases: list[Case], pipeline: PipelineFolder, tmp_path: Path
) -> None:
    begun = tmp_path / "out" / "cases" / "case1" / "mask.nii.gz"

    def analyse(address: str, case: Case, certain: bool) -> Any:
        if case.id == "case0":
            return Done(case, None, OutputError("disk-full", "no room"))
        begun.parent.mkdir(parents=True, exist_ok=True)
        begun.write_bytes(b"half")
        return None

    client = Client({"a": facts("a"), "b": facts("b")}, analyse)
    with pytest.raises(OutputError, match="no room"):
        over(client, cases, pipeline, tmp_path / "out")
    assert client.cancelled
    assert not begun.exists()
    assert not list((tmp_path / "out").glob(".medvision-*"))


def test_what_a_worker_sees_of_the_folders_is_told(tmp_path: Path) -> None:
    note = tmp_path / ".medvision-01234567.part"
    meeting = Meeting(note, "words", tmp_path)
    assert station._unseen(meeting) == (tmp_path, "No such file or directory")
    note.write_text("others")
    assert station._unseen(meeting) == (tmp_path, "another folder lies there")
    note.write_text("words")
    assert station._unseen(meeting) is None
    assert station._unseen(replace(meeting, pipeline=tmp_path / "no")) == (tmp_path / "no", "No such file or directory")
    assert [path.name for path in tmp_path.iterdir()] == [note.name]


def test_a_folder_that_a_worker_cannot_write_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    note = tmp_path / ".medvision-01234567.part"
    note.write_text("words")

    def refuse(*_: object) -> None:
        raise OutputError("output-unwritable", "no") from OSError(30, "Read-only file system")

    monkeypatch.setattr(station, "write_text", refuse)
    assert station._unseen(Meeting(note, "words", tmp_path)) == (tmp_path, "it cannot be written")


def test_the_names_of_gpus_tell_machines_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "0000:01:00.0").mkdir()
    (tmp_path / "0000:01:00.0" / "information").write_text("Model: \t\t Some GPU\nIRQ: 12\n")
    monkeypatch.setattr(station, "_GPUS", tmp_path)
    assert station._gpus() == ["Some GPU"]


@pytest.mark.parametrize(
    ("state", "status", "wanted"),
    [("executing", "running", True), ("cancelled", "running", False), ("executing", "closing", False)],
)
def test_a_result_is_unwanted_once_its_task_is_cancelled_or_its_worker_ends(
    state: str, status: str, wanted: bool
) -> None:
    tasks = {"key": SimpleNamespace(state=state)}
    worker = SimpleNamespace(state=SimpleNamespace(tasks=tasks), status=SimpleNamespace(name=status))
    if wanted:
        station._require_wanted(worker, "key")
        with pytest.raises(station.Unwanted):
            station._require_wanted(worker, "forgotten")
    else:
        with pytest.raises(station.Unwanted):
            station._require_wanted(worker, "key")


@pytest.mark.parametrize("address", ["", "node1", "node1:8786", "tcp://", "tcp://node1:port", "http://node1:80"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="is no address of a Dask scheduler"):
        DaskScheduler(address)


def test_nobody_at_the_address_is_told_before_anything_is_read(pipeline: PipelineFolder, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(UsageError, match=f"no Dask scheduler answers at tcp://127.0.0.1:{port}: Connection refused"):
        run(pipeline, [tmp_path], tmp_path / "out", cluster=DaskScheduler(f"tcp://127.0.0.1:{port}"))
    assert not (tmp_path / "out").exists()


@pytest.fixture
def somebody() -> Iterator[str]:
    """Listen at an address, and end every conversation at once."""
    import threading

    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            while True:
                try:
                    server.accept()[0].close()
                except OSError:
                    return

        threading.Thread(target=answer, daemon=True).start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"


def test_somebody_else_at_the_address_is_told(somebody: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "_CONNECT_SECONDS", 1.0)
    with (
        pytest.raises(UsageError, match=r"no Dask scheduler answers at .* while connecting"),
        connecting.connected(DaskScheduler(somebody), tmp_path),
    ):
        pass


@pytest.mark.parametrize("name", ["jobs", "hours", "cores", "memory_gb"])
@pytest.mark.parametrize("value", [0, -1, float("inf")])
def test_jobs_of_nothing_are_refused(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"{name} is"):
        SlurmJobs(**{"jobs": 1, name: value})  # type: ignore[arg-type]


def test_a_machine_without_slurm_and_one_without_the_packages_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UsageError, match="there is no Slurm on this machine"):
        connecting.require_cluster(SlurmJobs(jobs=1))
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "dask_jobqueue" else find(name))
    with pytest.raises(MedvisionError, match="dask_jobqueue is not installed") as caught:
        connecting.require_cluster(SlurmJobs(jobs=1))
    assert "medvision-toolkit[cluster]" in str(caught.value.finding.cure)


def test_two_clusters_and_a_number_of_workers_beside_a_cluster_are_refused(
    pipeline: PipelineFolder, tmp_path: Path
) -> None:
    words = ("run", pipeline.folder, tmp_path, "--out", tmp_path / "out", "--scheduler", "tcp://127.0.0.1:1")
    for further, message in (
        (("--slurm", "2"), "--scheduler and --slurm are two clusters"),
        (("--workers", "2"), "leave --workers out"),
    ):
        refused = subprocess.run(command(*words, *further), capture_output=True, text=True)
        assert refused.returncode == 2
        assert message in refused.stderr
