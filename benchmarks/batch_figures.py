"""What :mod:`benchmarks.batch` prints of runs: peak memory, forecasts, growth."""

from __future__ import annotations

import json
import sqlite3
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.inference_process import Measured

GB = 1e9


def large_table(runs: Mapping[str, Measured], limit_gb: float) -> str:
    """Return Markdown: time and peak memory of each command, or that it was killed."""
    lines = ["| | wall s | CPU s | peak GB | |", "|---|---|---|---|---|"]
    for name, run in runs.items():
        end = "done" if run.status == 0 else f"failed ({run.status})"
        if run.over_limit:
            end = f"killed beyond {limit_gb:g} GB"
        lines.append(f"| {name} | {run.wall_s:.0f} | {run.cpu_s:.0f} | {run.peak_bytes / GB:.2f} | {end} |")
    return "\n".join(lines)


@dataclass(frozen=True)
class Forecast:
    """A case's forecast and what became of it; None where it is not told.

    Parameters
    ----------
    case
        Its name.
    forecast_s, forecast_gb, seconds, memory_gb
        Time and peak memory as forecast, and as they became.
    outside_gb
        Peak memory of the whole command, seen from outside.
    """

    case: str
    forecast_s: float | None
    forecast_gb: float | None
    seconds: float | None
    memory_gb: float | None
    outside_gb: float


def forecast_row(name: str, out: Path, case: str, run: Measured) -> Forecast:
    """Return what the record says was forecast of a case, and what the ledger says became of it."""
    record = out / "cases" / case / "record.json"
    found = json.loads(record.read_text(encoding="utf-8")).get("forecast", {}) if record.exists() else {}
    seconds, memory_mb = next(iter(_cases(out)), (None, None))
    memory_gb = None if memory_mb is None else memory_mb * 2**20 / GB
    return Forecast(name, found.get("seconds"), found.get("memory_gb"), seconds, memory_gb, run.peak_bytes / GB)


def forecast_table(rows: Sequence[Forecast]) -> str:
    """Return Markdown: each forecast, what became of it, and how far they are apart."""
    lines = ["| | forecast s | s | off | forecast GB | GB | off | whole command GB |", "|---" * 8 + "|"]
    for row in rows:
        cells = [row.case, _number(row.forecast_s), _number(row.seconds), _off(row.forecast_s, row.seconds)]
        cells += [_number(row.forecast_gb), _number(row.memory_gb), _off(row.forecast_gb, row.memory_gb)]
        lines.append(f"| {' | '.join([*cells, f'{row.outside_gb:.2f}'])} |")
    return "\n".join(lines)


def flatness(out: Path, run: Measured, *, part: int) -> str:
    """Return Markdown: time and memory of the first and the last cases of a batch, and what lies in its folder."""
    cases = _cases(out)
    lines = [f"{len(cases)} cases in {run.wall_s:.0f} s (status {run.status}), peak {run.peak_bytes / GB:.2f} GB\n"]
    lines += ["| | median s a case | mean s | median peak MB |", "|---|---|---|---|"]
    for name, some in ((f"first {part}", cases[:part]), (f"last {part}", cases[-part:])):
        seconds = [case[0] for case in some]
        memory = [case[1] for case in some if case[1] is not None]
        middle = f"{statistics.median(memory):.0f}" if memory else "not told"
        lines.append(f"| {name} | {statistics.median(seconds):.3f} | {statistics.mean(seconds):.3f} | {middle} |")
    lines.append("")
    for name in ("ledger.sqlite", "index.html", "results.csv"):
        path = out / name
        size = f"{path.stat().st_size / 1e6:.2f} MB" if path.exists() else "not there"
        lines.append(f"{name}: {size}")
    return "\n".join(lines)


def _cases(out: Path) -> list[tuple[float, float | None]]:
    """Return the seconds and the peak memory in MB (of 2^20 bytes) of each case, in the order in which they ended."""
    with sqlite3.connect(f"file:{out / 'ledger.sqlite'}?mode=ro", uri=True) as ledger:
        found = ledger.execute("select seconds, peak_memory_mb from cases where state = 'done' order by finished, id")
        rows = [(float(seconds), memory) for seconds, memory in found]
    ledger.close()
    return rows


def _number(value: float | None) -> str:
    return "not told" if value is None else f"{value:.2f}"


def _off(forecast: float | None, became: float | None) -> str:
    if forecast is None or not became:
        return ""
    return f"{100 * (forecast / became - 1):+.0f} %"
