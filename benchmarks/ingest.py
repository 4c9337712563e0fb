"""medvision beside other readers, on one table: what each makes of every input, and how fast it reads.

    python -m benchmarks.ingest DATA --peers ENVIRONMENT --out OUT

Run it in the root of the repository. DATA is a folder of real data that holds `dicom_series/*.zip`; without it (`-`)
only written inputs are used. ENVIRONMENT holds the other readers; where there is none it is made, from
`benchmarks/ingest/requirements.txt`. A reader that is missing is named as absent. `--only inputs` or `--only speed`
does one half; `--match TEXT` takes the inputs whose names hold the text.

Each reader sees each input in a process forked for it, with 4 GB of memory and `--limit-s` seconds. What can come:

right
    All volumes are there, and every voxel has the true value at the place that the affine gives it. A resampled volume
    counts, where it fills the true one.
refused, with a reason
    Nothing was returned; the reader raised an error of its own, or wrote why.
refused, without
    Nothing was returned, and what was raised is an accident (AttributeError, IndexError, ...), or there are no words;
    a process that died or did not end counts here too.
wrong, with words
    Voxels, places or the number of volumes are wrong, and the reader wrote something that it does not write on a clean
    input. Whether anybody reads it is another matter.
silently wrong
    The same, without a word.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.ingest_inputs import Input, real, written
from benchmarks.ingest_process import Answer, ReaderProcess, python_of
from benchmarks.ingest_readers import ONLY_DICOM, READERS, as_peers_need_it, is_nifti
from benchmarks.ingest_speed import speed

OUTCOMES = ("right", "refused, with a reason", "refused, without", "wrong, with words", "silently wrong")
_GROUPS = {"clean": "Clean inputs", "hazard": "Hazards and damage", "real": "Series of scanners"}


@dataclass(frozen=True)
class Row:
    """What one reader made of one input, why it counts so, and what it wrote that it does not write on a clean one."""

    input: str
    group: str
    reader: str
    outcome: str
    detail: str
    words: str = ""


def main(arguments: list[str] | None = None) -> int:
    """Run as the command line says, write `inputs.md`, `speed.md` and their JSON, and print them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder of real data, or -")
    parser.add_argument("--peers", type=Path, required=True, help="environment of the other readers; made if missing")
    parser.add_argument("--out", type=Path, required=True, help="folder for the tables")
    parser.add_argument("--only", choices=("inputs", "speed"))
    parser.add_argument("--match", default="", help="take the inputs whose names hold this")
    parser.add_argument("--readers", default=",".join(READERS), help="some of them, with commas")
    parser.add_argument("--runs", type=int, default=7, help="of each timing")
    parser.add_argument("--jobs", type=int, default=1, help="readers at a time, for what they make of inputs")
    parser.add_argument("--limit-s", type=float, default=60, help="seconds a reader and input")
    parser.add_argument("--date", help="stands in the tables; none by default, so that a rerun can be compared")
    asked = parser.parse_args(arguments)
    python = python_of(asked.peers)
    names = [name for name in READERS if name in asked.readers.split(",")]
    processes = [ReaderProcess(name, Path(sys.executable) if name == "medvision" else python) for name in names]
    asked.out.mkdir(parents=True, exist_ok=True)
    head = "\n".join(f"- {p.name} {p.version}" if not p.absent else f"- {p.name}: absent" for p in processes)
    head += f"\n- {asked.date}" if asked.date else ""
    present = [process for process in processes if not process.absent]
    try:
        if asked.only != "speed":
            rows = compare(present, asked.data, asked.match, asked.limit_s, asked.jobs)
            _write(asked.out / "inputs", f"{head}\n\n{table(rows)}", [asdict(row) for row in rows])
        if asked.only != "inputs":
            text, numbers = speed(present, asked.data, runs=asked.runs)
            _write(asked.out / "speed", f"{head}\n\n{text}", numbers)
    finally:
        for process in processes:
            process.end()
    return 0


def compare(processes: Sequence[ReaderProcess], data: Path, wanted: str, limit_s: float, jobs: int) -> list[Row]:
    """Return what each reader makes of each input; `jobs` readers work at a time."""
    with tempfile.TemporaryDirectory() as made:
        inputs = list(written(Path(made) / "written", lambda name: wanted in name))
        if (data / "dicom_series").is_dir():
            inputs += [given for given in real(data / "dicom_series", Path(made) / "real") if wanted in given.name]
        with ThreadPoolExecutor(jobs) as threads:
            tasks = [threads.submit(_all_by, process, inputs, Path(made), limit_s) for process in processes]
            return [row for task in tasks for row in task.result()]


def _all_by(process: ReaderProcess, inputs: Sequence[Input], made: Path, limit_s: float) -> list[Row]:
    """Return what one reader makes of each input."""
    own = made / process.name
    own.mkdir()
    routine = _routine(process, own, limit_s)
    rows = []
    for given in inputs:
        needed = as_peers_need_it(given.path, own / "unpacked" / given.name)
        if is_nifti(needed) and process.name in ONLY_DICOM:
            continue
        path = given.path if process.name == "medvision" else needed
        answer = process.read(path, own / "out.npz", limit_s=limit_s)
        words = [line for line in answer.said if _pattern(line) not in routine]
        outcome, detail = judged(answer, given, words)
        rows.append(Row(given.name, given.group, process.name, outcome, detail, " / ".join(words)[:300]))
    print(f"{process.name}: {len(rows)} inputs", file=sys.stderr)
    return rows


def _routine(process: ReaderProcess, made: Path, limit_s: float) -> frozenset[str]:
    """Return what a reader says on an input without any fault."""
    given = next(written(made / "routine", lambda name: name == "axial"))
    return frozenset(map(_pattern, process.read(given.path, made / "routine.npz", limit_s=limit_s).said))


def _pattern(line: str) -> str:
    """Return a line without its numbers and paths."""
    return re.sub(r"\S*/\S*|[\d.]+", "#", line)


def judged(answer: Answer, given: Input, words: Sequence[str]) -> tuple[str, str]:
    """Return the outcome, and a line on it; `words` are those that the reader does not write on a clean input."""
    if answer.images is None or not answer.images:
        has_reason = answer.reasoned or (answer.images is not None and bool(words))
        text = answer.text or " ".join(words)
        return OUTCOMES[1 if has_reason else 2], f"{answer.error}: {text}"[:300]
    faults = given.faults(answer.images)
    if not faults:
        return "right", ""
    return OUTCOMES[3 if words else 4], "; ".join(faults)[:300]


def table(rows: Iterable[Row]) -> str:
    """Return Markdown: a table of counts for each group, then every input with what each reader made of it."""
    rows = list(rows)
    parts = []
    for group, title in _GROUPS.items():
        of_group = [row for row in rows if row.group == group]
        if of_group:
            parts += [_counts(title, of_group), _each(of_group)]
    return "\n\n".join(parts)


def _counts(title: str, rows: Sequence[Row]) -> str:
    lines = [f"## {title}", "", f"| reader | inputs | {' | '.join(OUTCOMES)} |", "|---" * (len(OUTCOMES) + 2) + "|"]
    for reader in dict.fromkeys(row.reader for row in rows):
        counts = Counter(row.outcome for row in rows if row.reader == reader)
        lines.append(f"| {reader} | {counts.total()} | {' | '.join(str(counts[o]) for o in OUTCOMES)} |")
    return "\n".join(lines)


def _each(rows: Sequence[Row]) -> str:
    readers = list(dict.fromkeys(row.reader for row in rows))
    cells: dict[str, dict[str, str]] = {}
    for row in rows:
        cells.setdefault(row.input, {})[row.reader] = row.outcome
    lines = [f"| input | {' | '.join(readers)} |", "|---" * (len(readers) + 1) + "|"]
    lines += [f"| {name} | {' | '.join(found.get(r, '') for r in readers)} |" for name, found in cells.items()]
    return "\n".join(lines)


def _write(path: Path, text: str, content: Sequence[Mapping[str, object]] | Mapping[str, object]) -> None:
    path.with_suffix(".md").write_text(text + "\n", encoding="utf-8")
    path.with_suffix(".json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    sys.exit(main())
