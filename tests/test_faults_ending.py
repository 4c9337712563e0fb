"""However a run ends, nothing of it stays behind, and the same command goes on where it stopped."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
from fault_runs import command, make_images, make_pipeline, tree

from medvision.batch import Ledger

CASES = 4


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pipeline(tmp_path_factory.mktemp("pipeline") / "blobs").folder


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_images(tmp_path_factory.mktemp("images"), CASES)


@pytest.fixture(scope="module")
def whole(pipeline: Path, images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what an undisturbed run writes."""
    out = tmp_path_factory.mktemp("whole") / "out"
    subprocess.run(command("run", pipeline, images, "--out", out), check=True, capture_output=True)
    return out


@contextlib.contextmanager
def running(*words: str | Path, seconds: float = 0.5) -> Iterator[subprocess.Popen[str]]:
    """Start a run whose cases take some time, as a job in the foreground is started."""
    process = subprocess.Popen(
        command(*words),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"FAULT_RUNS_SECONDS": str(seconds)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until(condition: Callable[[], bool], seconds: float = 60.0) -> float:
    """Wait until something is so, and return how long it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds
        time.sleep(0.01)
    return time.monotonic() - began


def children(pid: int) -> list[int]:
    """Return the processes that a process has started for its cases, once they run their own program."""
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        return [int(word) for word in words if b"serve(connection" in Path(f"/proc/{word}/cmdline").read_bytes()]
    return []


def ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def all_ended(pids: Sequence[int]) -> bool:
    return all(ended(pid) for pid in pids)


def done_in(out: Path) -> int:
    """Return how many cases the ledger has as done, by what the log says after each."""
    log = out / "logs" / "run.log"
    return log.read_text(encoding="utf-8").count(" done in ") if log.exists() else 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_run_that_is_told_to_end_says_how_to_go_on_and_leaves_nothing_half_done(
    pipeline: Path, images: Path, whole: Path, tmp_path: Path, number: int, code: int
) -> None:
    out = tmp_path / "out"
    with running("run", pipeline, images, "--out", out, "--workers", "1") as process:
        until(lambda: done_in(out) > 0)
        helpers = children(process.pid)
        process.send_signal(number)
        _, said = process.communicate(timeout=20)
    assert process.returncode == code
    assert "The same command goes on where this one stopped." in said
    assert "Traceback" not in said
    assert helpers
    assert all(ended(pid) for pid in helpers)
    with Ledger(out) as ledger:
        done = [entry.id for entry in ledger.entries().values()]
    assert sorted(path.name for path in (out / "cases").iterdir() if any(path.iterdir())) == done
    assert 0 < len(done) < CASES
    assert "the run ended early" in (out / "logs" / "run.log").read_text()
    subprocess.run(command("run", pipeline, images, "--out", out), check=True, capture_output=True)
    assert tree(out) == tree(whole)


def test_a_second_signal_ends_a_run_at_once_whatever_its_processes_do(
    pipeline: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAULT_RUNS_BEGUN", str(tmp_path / "begun"))
    words = ("run", pipeline, images, "--out", tmp_path / "out", "--workers", "1")
    with running(*words, seconds=60) as process:
        until((tmp_path / "begun").exists)
        (helper,) = children(process.pid)
        os.kill(helper, signal.SIGSTOP)  # it cannot hear that it is to end
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert process.poll() is None
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        assert time.monotonic() - began < 2.0
        assert ended(helper)
    assert process.returncode == 130


def test_a_run_that_is_killed_leaves_no_process_and_its_folder_to_the_next(
    pipeline: Path, images: Path, whole: Path, tmp_path: Path
) -> None:
    """Kill the main process alone at random moments; each next run goes on."""
    out = tmp_path / "out"
    chance = random.Random(5)
    for _ in range(4):
        with running("run", pipeline, images, "--out", out, "--workers", "2", seconds=0.1) as process:
            until(lambda: bool(children(process.pid)) or process.poll() is not None)
            time.sleep(chance.uniform(0.0, 2.5))
            helpers = children(process.pid)
            process.kill()
            process.wait()
            assert until(partial(all_ended, helpers)) < 5.0
    subprocess.run(command("run", pipeline, images, "--out", out), check=True, capture_output=True)
    assert tree(out) == tree(whole)
    assert not list(out.rglob(".medvision-*"))


def test_a_process_that_is_killed_from_outside_costs_no_case(
    pipeline: Path, images: Path, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with running("run", pipeline, images, "--out", out, "--workers", "1") as process:
        until(lambda: done_in(out) > 0)
        (helper,) = children(process.pid)
        os.kill(helper, signal.SIGKILL)
        shown, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert f"{CASES} cases: {CASES} analysed now" in shown
    assert "SIGKILL" in (out / "logs" / "run.log").read_text()
    assert tree(out) == tree(whole)


def test_of_two_runs_on_one_folder_the_second_ends_and_says_who_has_it(
    pipeline: Path, images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with running("run", pipeline, images, "--out", out, seconds=60) as process:
        until(lambda: (out / "logs" / "run.log").exists())
        second = subprocess.run(command("run", pipeline, images, "--out", out), capture_output=True, text=True)
    assert second.returncode == 8
    assert f"another run holds this output folder: process {process.pid} on " in second.stderr


def test_a_nohup_run_is_not_ended_by_the_terminal(pipeline: Path, images: Path, tmp_path: Path) -> None:
    script = "trap '' HUP; exec \"$@\""
    process = subprocess.Popen(
        ["bash", "-c", script, "bash", *command("run", pipeline, images, "--out", tmp_path / "out")],
        stdout=subprocess.DEVNULL,
        env=os.environ | {"FAULT_RUNS_SECONDS": "0.3"},
    )
    until(lambda: (tmp_path / "out" / "logs" / "run.log").exists())
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=60) == 0


def test_a_thread_can_run_the_command_though_it_may_not_set_signals() -> None:
    script = (
        "import threading; from medvision_cli.ending import told_to_end\n"
        "def work():\n    with told_to_end(): print('done')\n"
        "thread = threading.Thread(target=work); thread.start(); thread.join()"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "done\n"
