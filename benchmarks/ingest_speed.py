"""How fast series are read, beside other readers and beside the reading of the bytes alone."""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.ingest_process import ReaderProcess
from benchmarks.ingest_series import long_series, many_files, real_series

Contender = Callable[[], float]
"""Does its work once, and returns the seconds."""


def speed(processes: Sequence[ReaderProcess], data: Path, *, runs: int) -> tuple[str, dict[str, Any]]:
    """Return the tables as Markdown, and the seconds of every run.

    The contenders of a table take turns (A B C, A B C, ...) after a round that is not counted, so that another load of
    the machine meets them alike. A ratio is the median of the ratios of the rounds.
    """
    numbers: dict[str, Any] = {"cores": os.cpu_count(), "machine": platform.machine(), "load": os.getloadavg()}
    parts = [
        f"{os.cpu_count()} cores ({platform.machine()}), load at the start {os.getloadavg()[0]:.1f}, {runs} rounds"
    ]
    with tempfile.TemporaryDirectory() as made:
        for title, contenders in _tables(processes, data, Path(made)):
            numbers[title] = seconds = measured(contenders, runs)
            parts.append(as_table(title, seconds))
    return "\n\n".join(parts), numbers


def _tables(processes: Sequence[ReaderProcess], data: Path, made: Path) -> Iterator[tuple[str, dict[str, Contender]]]:
    by_name = {process.name: process for process in processes}
    series = {**real_series(data, made / "real"), "512 x 512 x 400 CT, uncompressed": long_series(made / "long")}
    for title, folder in series.items():
        in_python = [name for name in by_name if name not in ("dicom2nifti", "dcm2niix")]
        readers = {name: partial(by_name[name].seconds, folder) for name in in_python}
        yield f"{title}: read, in a running process", {**readers, "the bytes alone": partial(bytes_alone, folder)}
        if "dcm2niix" in by_name:
            program = by_name["dcm2niix"].python.with_name("dcm2niix")
            for form, pair in _conversions(by_name["medvision"], program, folder, made / "out").items():
                yield f"{title}: convert to {form}", pair
        shutil.rmtree(folder)
    files = many_files(made / "many")
    for is_cold in (False, True):
        state = "not in the page cache" if is_cold else "in the page cache"
        yield f"headers of {len(files):,} files, {state}", _scans(by_name["medvision"], files, is_cold=is_cold)


def measured(contenders: Mapping[str, Contender], runs: int) -> dict[str, list[float]]:
    """Return the seconds of each contender in each round."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(runs + 1):
        for name, contender in contenders.items():
            taken = contender()
            if number:
                seconds[name].append(taken)
    return seconds


def as_table(title: str, seconds: Mapping[str, Sequence[float]]) -> str:
    """Return Markdown; the ratio is that of the first contender to each."""
    first = next(iter(seconds))
    lines = [f"## {title}", "", f"| | median s | least to most s | {first} / this |", "|---|---|---|---|"]
    for name, taken in seconds.items():
        ratio = statistics.median(a / b for a, b in zip(seconds[first], taken, strict=True))
        lines.append(
            f"| {name} | {statistics.median(taken):.3f} | {min(taken):.3f} to {max(taken):.3f} | {ratio:.2f} |"
        )
    return "\n".join(lines)


def _conversions(medvision: ReaderProcess, dcm2niix: Path, folder: Path, out: Path) -> dict[str, dict[str, Contender]]:
    """Return like beside like, unpacked and packed, a table each: what one writes, the disk still holds for the next.

    The whole command has the start of Python in it, which stands beside it.
    """
    mine = [
        str(Path(sys.executable).with_name("medvision")),
        "convert",
        str(folder),
        "--to",
        "nifti",
        "--out",
        str(out),
    ]
    theirs = [str(dcm2niix), "-b", "n", "-f", "%s", "-o", str(out)]
    return {
        ".nii": {
            "medvision, read and write in a running process": lambda: medvision.seconds(folder, "rewrite"),
            "dcm2niix -z n": lambda: _command([*theirs, "-z", "n", str(folder)], out),
        },
        ".nii.gz": {
            "medvision convert, the command": lambda: _command(mine, out, is_made=False),
            "dcm2niix -z y": lambda: _command([*theirs, "-z", "y", str(folder)], out),
            "python -c 'import numpy'": lambda: _command([sys.executable, "-c", "import numpy"], out),
        },
    }


def _command(command: Sequence[str], out: Path, *, is_made: bool = True) -> float:
    shutil.rmtree(out, ignore_errors=True)
    if is_made:
        out.mkdir()
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def bytes_alone(folder: Path) -> float:
    """Return the seconds that opening, reading and closing every file takes."""
    start = time.perf_counter()
    for file in sorted(folder.iterdir()):
        with file.open("rb", buffering=0) as opened:
            opened.read()
    return time.perf_counter() - start


def _scans(medvision: ReaderProcess, files: Mapping[Path, int], *, is_cold: bool) -> dict[str, Contender]:
    folder = next(iter(files)).parent.parent

    def prepared(work: Contender) -> Contender:
        def run() -> float:
            if is_cold:
                _evict(files)
            return work()

        return run

    return {
        "medvision, scan": prepared(lambda: medvision.seconds(folder, "scan")),
        "the bytes needed (list, open, read up to the pixels, close)": prepared(lambda: _up_to_pixels(files)),
        "pydicom, dcmread(stop_before_pixels=True)": prepared(lambda: _by_pydicom(files)),
    }


def _up_to_pixels(files: Mapping[Path, int]) -> float:
    folder = next(iter(files)).parent.parent
    sizes = {str(path): size for path, size in files.items()}
    start = time.perf_counter()
    for here, _, names in os.walk(folder):
        for name in names:
            path = f"{here}{os.sep}{name}"
            handle = os.open(path, os.O_RDONLY)
            os.read(handle, sizes[path])
            os.close(handle)
    return time.perf_counter() - start


def _by_pydicom(files: Mapping[Path, int]) -> float:
    from pydicom import dcmread

    start = time.perf_counter()
    for path in files:
        dcmread(path, stop_before_pixels=True)
    return time.perf_counter() - start


def _evict(files: Mapping[Path, int]) -> None:
    """Put the files out of the page cache (Linux); they were synced when they were written."""
    for path in files:
        handle = os.open(path, os.O_RDONLY)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)
