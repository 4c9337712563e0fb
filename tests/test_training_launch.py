"""Starting the processes of a training, and ending all of them when one fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from medvision.errors import UsageError
from medvision.training.launch import Ended, launch, launched, require_launched
from medvision.training.ranks import Ranks


def _run(script: str, folder: Path, *, processes: int = 2, grace_seconds: float = 10.0) -> Ended:
    before = "import os, sys, signal, time, pathlib; rank = os.environ['LOCAL_RANK']; out = pathlib.Path(sys.argv[1])\n"
    return launch([sys.executable, "-c", before + script, str(folder)], processes, grace_seconds=grace_seconds)


def test_each_process_is_told_who_it_is_and_where_the_first_one_is(tmp_path: Path) -> None:
    names = "[os.environ[n] for n in ('RANK', 'NODE_RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT')]"
    ended = _run(f"(out / rank).write_text(' '.join({names}))", tmp_path, processes=3)
    assert ended == Ended(0, None)
    found = [(tmp_path / str(rank)).read_text().rsplit(" ", 1) for rank in range(3)]
    assert [words for words, _ in found] == [f"{rank} 0 3 127.0.0.1" for rank in range(3)]
    assert len({port for _, port in found}) == 1


def test_only_the_first_process_is_heard(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    _run("print('from', rank, flush=True)", tmp_path)
    assert capfd.readouterr().out == "from 0\n"


def test_a_process_that_fails_leaves_the_others_time_to_say_so(tmp_path: Path) -> None:
    script = "sys.exit(7) if rank == '1' else (time.sleep(0.5), (out / 'said').write_text('x'), sys.exit(5))"
    assert _run(script, tmp_path) == Ended(7, 1)
    assert (tmp_path / "said").is_file()


def test_a_process_that_is_killed_is_named_by_its_signal(tmp_path: Path) -> None:
    assert _run("os.kill(os.getpid(), signal.SIGKILL) if rank == '0' else None", tmp_path) == Ended(-9, 0)


def test_one_that_hangs_after_another_failed_is_ended_even_if_it_does_not_listen(tmp_path: Path) -> None:
    script = (
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); (out / rank).write_text('up')\n"
        "while not (out / '0').is_file() or not (out / '1').is_file(): time.sleep(0.01)\n"
        "sys.exit(3) if rank == '0' else time.sleep(60)"
    )
    began = time.monotonic()
    assert _run(script, tmp_path, grace_seconds=0.3) == Ended(3, 0)
    assert time.monotonic() - began < 30


def test_an_interrupted_start_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("medvision.training.launch._watched", interrupted)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        _run("time.sleep(60)", tmp_path)
    assert time.monotonic() - began < 30


def test_one_that_is_told_to_end_ends_its_processes_first(tmp_path: Path) -> None:
    script = f"""
        import sys
        from medvision.training.launch import launch
        inner = "import os, pathlib, time; pathlib.Path({str(tmp_path)!r}, os.environ['LOCAL_RANK'])"
        inner += ".write_text(str(os.getpid())); time.sleep(60)"
        launch([sys.executable, "-c", inner], 2)
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stderr=subprocess.PIPE)
    files = [tmp_path / "0", tmp_path / "1"]
    until = time.monotonic() + 30
    while not all(file.is_file() and file.read_text() for file in files):
        assert time.monotonic() < until
        time.sleep(0.02)
    process.terminate()
    _, told = process.communicate(timeout=30)
    assert told.endswith(b"KeyboardInterrupt\n")
    for file in files:
        with pytest.raises(ProcessLookupError):
            os.kill(int(file.read_text()), 0)


def test_when_the_launcher_is_killed_its_processes_end_by_themselves(tmp_path: Path) -> None:
    inner = f"""
        import os, pathlib, time
        from medvision.training.launch import end_with_launcher
        end_with_launcher()
        rank = os.environ["LOCAL_RANK"]
        pathlib.Path({str(tmp_path)!r}, rank).write_text(str(os.getpid()))
        while rank == "0":  # one is at work, the other waits
            pass
        time.sleep(60)
    """
    script = "import sys; from medvision.training.launch import launch\n"
    script += f"launch([sys.executable, '-c', {textwrap.dedent(inner)!r}], 2)"
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE)
    files = [tmp_path / "0", tmp_path / "1"]
    try:
        until = time.monotonic() + 30
        while not all(file.is_file() and file.read_text() for file in files):
            assert time.monotonic() < until
            time.sleep(0.02)
        process.kill()
        assert process.communicate(timeout=10) == (None, b"")  # the pipe is closed once nobody holds it any more
    except subprocess.TimeoutExpired:
        for file in files:
            os.kill(int(file.read_text()), signal.SIGKILL)
        raise


def test_a_process_that_was_started_otherwise_does_not_end_with_its_input() -> None:
    script = "import time; from medvision.training.launch import end_with_launcher\n"
    script += "end_with_launcher(); time.sleep(0.3); print('up')"
    environment = {**os.environ, "LOCAL_RANK": "0"}
    ended = subprocess.run(
        [sys.executable, "-c", script], env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, b"up\n")


def test_outside_the_main_thread_signals_stay_as_they_are(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    found: list[Ended] = []
    thread = threading.Thread(target=lambda: found.append(_run("pass", tmp_path)))
    thread.start()
    thread.join(30)
    assert found == [Ended(0, None)]
    assert signal.getsignal(signal.SIGTERM) is before
    _run("pass", tmp_path)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        ({"LOCAL_RANK": "1"}, True),
        ({"SLURM_PROCID": "0"}, False),
        ({"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1"}, False),
        ({"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "2"}, True),
    ],
)
def test_a_process_knows_whether_it_is_one_of_several(environment: dict[str, str], expected: bool) -> None:
    assert launched(environment) is expected


def test_processes_that_nobody_started_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.delenv("SLURM_PROCID", raising=False)
    with pytest.raises(UsageError, match="4 processes on each of 2 machines were not started"):
        Ranks("cpu", "fp32", devices=4, nodes=2)
    monkeypatch.setenv("LOCAL_RANK", "0")
    require_launched(4, 2)


def test_signals_have_the_numbers_that_messages_name() -> None:
    assert Ended(-signal.SIGKILL, 1).words == "process 1 was ended by signal 9"
