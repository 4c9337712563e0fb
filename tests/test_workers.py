"""One function over many items in processes of their own, each of which may fail or be killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import worker_items
from worker_items import GIB, Unloadable, begin, held_file, refuse, slow, slow_first, stay, work

from medvision.errors import InputError, MedvisionError, UsageError, WorkerError
from medvision.workers import Done, Terms, cores, in_processes, machine


def until(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def gone(pid: int) -> bool:
    """Say whether a process has ended; one that nobody has waited for yet has, too."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


@pytest.fixture(scope="module")
def told() -> tuple[dict[str, Done[str, Any]], list[Any], int]:
    """Return what came of each kind of item in one pool of two, the warnings shown, and the threads left."""
    kinds = ["add", "refuse", "bug", "exit", "warn", "warn again", "kill", "local", "unloadable", "threads", "torch"]
    before = threading.active_count()
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("default")
        done = list(in_processes(work, [*kinds, "pid"], 2, chunk=2, named=lambda item: f"case {item}"))
    assert [each.item for each in done] == [*kinds, "pid"]
    return {each.item: each for each in done}, shown, threading.active_count() - before


def test_results_come_in_the_order_of_the_items_whatever_others_did(told: Any) -> None:
    done, _, threads = told
    assert done["add"].result() == 2
    assert done["pid"].result() != os.getpid()
    assert threads == 0


def test_an_error_of_ours_comes_back_as_itself(told: Any) -> None:
    with pytest.raises(InputError) as caught:
        told[0]["refuse"].result()
    assert str(caught.value) == "a.nii: 600 of 1,200 bytes [truncated] Copy it."


@pytest.mark.parametrize(("item", "kind"), [("bug", "KeyError"), ("local", ""), ("unloadable", "ValueError")])
def test_any_other_error_is_a_bug_of_which_no_words_are_told(told: Any, item: str, kind: str) -> None:
    error = told[0][item].error
    assert isinstance(error, WorkerError)
    assert error.code == "internal"
    assert error.finding.message.startswith(f"case {item}: {kind}")
    assert "Doe" not in str(error)


def test_torch_that_has_no_memory_is_told_from_a_bug(told: Any) -> None:
    assert told[0]["torch"].error.code == "out-of-memory"


def test_a_process_that_exits_or_is_killed_is_told_with_the_item_alone(told: Any) -> None:
    exited, killed = told[0]["exit"].error, told[0]["kill"].error
    assert exited.code == killed.code == "worker-lost"
    assert exited.finding.message == "case exit: the process that worked on it ended by itself with exit code 3"
    assert killed.finding.message.startswith("case kill: the process that worked on it was ended by signal 9 (SIGKILL)")


def test_a_warning_is_shown_once_whatever_the_processes_and_items(told: Any) -> None:
    assert sorted((str(entry.message), entry.category) for entry in told[1]) == [
        ("careful", RuntimeWarning),
        ("odd", UserWarning),
    ]
    assert all(entry.filename == worker_items.__file__ for entry in told[1])


def test_each_process_has_one_thread_and_the_caller_keeps_its_own(told: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert told[0]["threads"].result() == ["1", "1", "1"]
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert next(in_processes(work, ["threads"], 1)).result() == ["1", "1", "1"]
    assert next(in_processes(work, ["threads"], 1, terms=Terms(threads=3))).result() == ["3", "3", "3"]
    assert os.environ["OMP_NUM_THREADS"] == "7"


def test_too_much_memory_in_use_fails_the_item_and_no_other(capfd: pytest.CaptureFixture[str]) -> None:
    kinds = ["add", "reserve", "fill", "add", "print"]
    _, reserved, failed, after, _ = in_processes(work, kinds, 1, terms=Terms(memory_gb=1.0))
    assert reserved.result() == 8 * GIB  # what is not touched takes no memory
    assert isinstance(failed.error, WorkerError)
    assert failed.error.code == "out-of-memory"
    held = re.fullmatch(r"item 3: it held (\d\.\d\d) GB; 1 GB is the limit", failed.error.finding.message)
    assert held
    assert 1.0 < float(held[1]) < 8.0
    assert after.result() == 2
    # A library's output must not stand among a command's results.
    assert capfd.readouterr() == ("", "from a child\n")


def test_of_several_that_hold_too_much_memory_together_the_greatest_is_ended() -> None:
    done = {each.item: each for each in in_processes(work, ["wait", "fill"], 2, terms=Terms(memory_gb=1.0))}
    assert done["wait"].result() is None
    error = done["fill"].error
    assert error is not None
    assert re.search(r", and others beside it 0\.[01]", error.finding.message), "a process of Python is about 0.05 GB"


def test_an_item_that_takes_too_long_is_ended_whatever_it_does() -> None:
    hung, spun, added = in_processes(work, ["hang", "spin", "add"], 1, terms=Terms(minutes=0.01))
    for done in (hung, spun):
        assert done.error is not None
        assert done.error.code == "timed-out"
        assert done.error.finding.message.endswith("it took more than 0.01 minutes, which is the limit")
    assert added.result() == 2


def test_an_item_that_computes_nothing_is_ended_and_one_that_computes_is_not() -> None:
    hung, computed = in_processes(work, ["hang", "compute"], 1, terms=Terms(stalled_minutes=0.01))
    assert hung.error is not None
    assert hung.error.finding.message == "item 1: it computed nothing for 0.01 minutes"
    assert computed.result() is None


def test_limits_are_looked_at_while_others_answer_all_the_time() -> None:
    items = ["hang", *["add"] * 4000]
    hung = next(each for each in in_processes(work, items, 2, ordered=False, terms=Terms(minutes=0.01)) if each.error)
    assert hung.item == "hang"


def test_what_takes_long_to_open_is_opened_once_in_each_process() -> None:
    function: Any = begin
    found = [done.result() for done in in_processes(function, ["a", "b"], 1, begins=True)]
    assert found == [("a", 1), ("b", 1)]


def test_an_item_waits_until_it_fits_beside_those_that_are_under_way(tmp_path: Path) -> None:
    asked: list[tuple[int, list[int]]] = []

    def fit(item: int, others: Sequence[int]) -> bool:
        asked.append((item, list(others)))
        return item + sum(others) <= 5

    found = [done.result() for done in in_processes(slow, [3, 4, 1, 9], 3, fit=fit)]
    assert found == [3, 4, 1, 9]
    assert (4, [3]) in asked
    assert (9, [1]) in asked or (9, [4]) in asked or (9, [4, 1]) in asked
    assert (1, [4]) in asked, "which fits"


def test_a_file_that_is_given_stays_open_in_each_process(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as file:
        done = next(in_processes(held_file, [file.fileno()], 1, terms=Terms(held=(file.fileno(),))))
    assert done.result() == (tmp_path / "lock").stat().st_ino


@pytest.mark.parametrize("name", ["threads", "memory_gb", "minutes", "stalled_minutes"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_a_limit_that_is_not_positive_is_refused(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=name):
        Terms(**{name: value})


def test_a_process_that_has_ended_holds_no_memory_and_computes_nothing() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert (machine.resident_bytes(ended.pid), machine.computed_seconds(ended.pid)) == (0, 0.0)
    assert machine.resident_bytes(os.getpid()) > 1e6
    assert machine.computed_seconds(os.getpid()) > 0.0


def test_a_process_that_is_killed_while_it_has_nothing_to_do_costs_nothing() -> None:
    with closing(in_processes(work, ["pid", "add", "pid"], 1)) as done:
        first = next(done).result()
        os.kill(first, signal.SIGKILL)
        how = os.WEXITED | os.WNOHANG | os.WNOWAIT
        assert until(lambda: os.waitid(os.P_PID, first, how) is not None)
        added, second = done
    assert added.result() == 2
    assert second.result() != first


def test_ctrl_c_ends_all_processes_after_they_have_tidied_up(tmp_path: Path) -> None:
    script = (
        "import signal, sys; from pathlib import Path; sys.path[:0] = sys.argv[1:2]; from worker_items import stay;"
        "from medvision.workers import in_processes;"
        # It is ignored where a shell runs the tests in the background.
        "signal.signal(signal.SIGINT, signal.default_int_handler); next(in_processes(stay, [Path(sys.argv[2])], 1))"
    )
    command = [sys.executable, "-c", script, str(Path(__file__).parent), str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as parent:
        assert until((tmp_path / "begun").exists)
        parent.send_signal(signal.SIGINT)
        said = parent.communicate(timeout=60)[1]
    assert said.rstrip().endswith("KeyboardInterrupt")
    assert (tmp_path / "tidied").exists()
    assert gone(int((tmp_path / "begun").read_text()))


def test_processes_end_with_their_parent_however_it_ends(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; sys.path[:0] = sys.argv[1:2]; from worker_items import stay;"
        "from medvision.workers import in_processes; next(in_processes(stay, [Path(sys.argv[2])], 1))"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(Path(__file__).parent), str(tmp_path)]) as parent:
        assert until((tmp_path / "begun").exists)
        parent.kill()
    assert until(lambda: gone(int((tmp_path / "begun").read_text())))
    assert (tmp_path / "tidied").exists()


def test_a_tied_process_ends_with_its_parent_even_where_it_cannot_notice(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; sys.path[:0] = sys.argv[1:2]; from worker_items import deaf;"
        "from medvision.workers import Terms, in_processes;"
        "next(in_processes(deaf, [Path(sys.argv[2])], 1, terms=Terms(tied=True)))"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(Path(__file__).parent), str(tmp_path)]) as parent:
        assert until((tmp_path / "begun").exists)
        parent.kill()
    assert until(lambda: gone(int((tmp_path / "begun").read_text())), 2.0)


def test_thousands_of_items_are_taken_as_they_are_needed_and_no_earlier() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(3000):
            taken += 1
            yield number

    ahead = 0
    for expected, done in enumerate(in_processes(slow_first, items(), 2, chunk=50)):
        ahead = max(ahead, taken - expected)
        assert done.result() == expected
    assert (expected, taken) == (2999, 3000)
    assert ahead <= 400  # four chunks for each process, though the first item kept all others waiting


def test_without_order_a_slow_item_keeps_nobody_waiting() -> None:
    found = [done.result() for done in in_processes(slow_first, range(40), 2, ordered=False)]
    assert sorted(found) == list(range(40))
    assert found[0] != 0


def test_no_process_at_all_is_refused() -> None:
    with pytest.raises(UsageError):
        next(in_processes(abs, [1], 0))


@pytest.mark.parametrize(
    ("function", "error", "words"),
    [
        (Unloadable(int, "Doe"), WorkerError, "the work cannot begin in another process: ValueError"),
        (Unloadable(os._exit, 5), WorkerError, "a process ended by itself with exit code 5 before it could begin"),
        (Unloadable(refuse), InputError, "600 of 1,200 bytes"),
    ],
)
def test_a_process_that_cannot_begin_is_no_fault_of_an_item(
    function: Unloadable, error: type[MedvisionError], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        next(in_processes(function, [1], 1))
    assert "Doe" not in str(caught.value)


def test_a_machine_that_starts_no_process_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/python")
    with pytest.raises(WorkerError, match="no further process can be started: No such file"):
        next(in_processes(abs, [1], 1))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "ended by itself with exit code 0"),
        (-11, "was ended by signal 11 (SIGSEGV, a library touched memory that is not its own)"),
        (-1, "was ended by signal 1 (SIGHUP)"),
        (-40, "was ended by signal 40"),
    ],
)
def test_an_exit_code_is_said_in_words(code: int, words: str) -> None:
    assert machine.how_ended(code, {}) == words


def test_want_of_memory_is_claimed_only_where_the_kernel_has_counted_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = tmp_path / "memory.events"
    counters = {"the container": (str(counter),), "the machine": (str(tmp_path / "none"),)}
    monkeypatch.setattr(machine, "_COUNTERS", counters)
    assert machine.memory_kills() == {}
    counter.write_text("low 0\noom 3\noom_kill 2\n", encoding="ascii")
    before = machine.memory_kills()
    assert before == {"the container": 2}
    assert machine.how_ended(-9, before).endswith("which, is not known")
    assert machine.how_ended(-9, {}).endswith("which, is not known")
    counter.write_text("low 0\noom 3\noom_kill 3\n", encoding="ascii")
    assert "meanwhile the kernel ended a process of the container for want of memory" in machine.how_ended(-9, before)


def test_cores_are_those_that_the_container_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    quota = tmp_path / "cpu.max"
    monkeypatch.setattr(machine, "_QUOTA", str(quota))
    found = [cores()]
    for text in ("max 100000", "250000 100000", "50000 100000"):
        quota.write_text(text, encoding="ascii")
        found.append(cores())
    assert found == [8, 8, 2, 1]


def test_what_is_raised_meanwhile_ends_all_work_in_order(tmp_path: Path) -> None:
    def look() -> None:
        if (tmp_path / "begun").exists():
            raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        list(in_processes(stay, [tmp_path], 1, meanwhile=look))
    assert (tmp_path / "tidied").exists()
    assert gone(int((tmp_path / "begun").read_text()))
