"""A time counts from the start of the command's process, as far as the system tells."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from medvision_cli import clock

SLEEP = "import time; time.sleep(0.5); from medvision_cli import clock; print(time.monotonic() - clock.process_began())"


def stat_of(age_seconds: float) -> bytes:
    """Return the line of a process of that age, whose name holds what would mislead a reader of fields."""
    ticks = int((time.clock_gettime(time.CLOCK_BOOTTIME) - age_seconds) * clock.os.sysconf("SC_CLK_TCK"))
    return b"7 (a) b) S " + b" ".join([b"0"] * 18) + b" " + str(ticks).encode() + b" 0 0\n"


@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="the system does not tell")
def test_what_the_process_did_before_counts() -> None:
    before = time.monotonic()
    told = float(subprocess.run([sys.executable, "-c", SLEEP], capture_output=True, check=True).stdout)
    assert 0.49 <= told <= time.monotonic() - before + 0.02  # the system counts in hundredths


@pytest.mark.parametrize(("age", "told"), [(0.0, 0.0), (3.0, 3.0), (59.0, 59.0)])
def test_the_age_of_the_process_is_read(monkeypatch: pytest.MonkeyPatch, age: float, told: float) -> None:
    monkeypatch.setattr(Path, "read_bytes", lambda _: stat_of(age))
    assert time.monotonic() - clock.process_began() == pytest.approx(told, abs=0.05)


@pytest.mark.parametrize("content", [stat_of(3600.0), b"", b"7 (a) S 1 2", OSError()], ids=["exec", "", "cut", "none"])
def test_where_the_system_does_not_tell_it_has_computed_ever_since(
    monkeypatch: pytest.MonkeyPatch, content: bytes | OSError
) -> None:
    def read(_: Path) -> bytes:
        if isinstance(content, OSError):
            raise content
        return content

    monkeypatch.setattr(Path, "read_bytes", read)
    for computed, told in ((2.0, 2.0), (5000.0, 60.0)):
        monkeypatch.setattr(clock.time, "process_time", lambda seconds=computed: seconds)
        assert time.monotonic() - clock.process_began() == pytest.approx(told, abs=0.05)


def test_a_command_begins_with_its_process_or_where_it_is_called() -> None:
    def began(obj: Any) -> float:
        return clock.command_began(SimpleNamespace(obj=obj))  # type: ignore[arg-type]

    assert began(12.5) == 12.5
    assert began(None) == pytest.approx(time.monotonic(), abs=0.1)


def test_the_command_line_hands_on_when_its_process_began(monkeypatch: pytest.MonkeyPatch) -> None:
    from medvision_cli import app

    given: list[Any] = []
    monkeypatch.setattr(app, "app", lambda **options: given.append(options["obj"]))
    app.main()
    assert given[0] <= time.monotonic()
