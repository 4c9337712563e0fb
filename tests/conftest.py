"""Fixtures that more than one test file needs."""

from __future__ import annotations

from pathlib import Path

import pytest

_SHARED = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data(request: pytest.FixtureRequest) -> Path:
    """Return the folder of real data beside the repository; the test is left out where there is none."""
    folder = request.config.getoption("--data")
    path = Path(folder) if folder else _SHARED
    if not path.is_dir():
        pytest.skip("no folder of real data: give one with --data")
    return path


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--data", default=None, help="folder of real data (default: shared/data beside the repository)")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    left_out = [r for r in terminalreporter.stats.get("skipped", []) if "no folder of real data" in str(r.longrepr)]
    if left_out:
        terminalreporter.write_line(f"{len(left_out)} tests on real data were left out: no such folder here")
