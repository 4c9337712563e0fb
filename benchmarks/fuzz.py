"""Damaged DICOM and NIfTI files through the public reader: what comes out must be values or a reasoned refusal.

    python -m benchmarks.fuzz --count 20000 --seed 1 --jobs 2 --out fuzz

Run it in the root of the repository; it needs the extra ``[codecs]``. Small good files of every kind are damaged (bits
flipped, ends cut, bytes put in or taken out, lengths, tags, VRs and values changed, elements doubled, two files
joined) and given to :func:`medvision.load` in child processes with a cap of memory, a file at a time. Printed are the
outcomes. The exit code is 1 where anything but values, refusals and passed-over files came out: a foreign exception or
warning, a hang, a dead process, more memory than `--memory-mb`, the seed's invented patient named in a message or on
the error stream. Each such file is left in `--out` as a recipe, which `--replay` reads again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import select
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.fuzz_damage import Recipe, draw
from benchmarks.fuzz_seeds import Seed, seeds

_ROOT = Path(__file__).resolve().parent.parent
_GOOD = ("values", "refused", "passed over")
_START_S = 120


@dataclass(frozen=True)
class Limits:
    """What one file may take.

    Parameters
    ----------
    seconds
        Of the clock.
    memory_mb
        By which the process grows while the file is read, in 10^6 bytes.
    """

    seconds: float = 30
    memory_mb: float = 500


@dataclass(frozen=True)
class Result:
    """What became of one damaged file: the outcome, details, CPU time, growth of the process, what libraries wrote."""

    recipe: Recipe
    outcome: str
    detail: str = ""
    cpu_s: float = 0.0
    grown_mb: float = 0.0
    said: str = ""

    @property
    def is_good(self) -> bool:
        """Whether the promise was kept."""
        return self.outcome in _GOOD


def main(arguments: list[str] | None = None) -> int:
    """Run as the command line says; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=20000, help="number of damaged files")
    parser.add_argument("--seed", type=int, default=1, help="start of the random numbers")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--limit-s", type=float, default=30, help="seconds a file")
    parser.add_argument("--memory-mb", type=float, default=500, help="growth of the process in 10^6 bytes a file")
    parser.add_argument("--out", type=Path, default=Path("fuzz"), help="folder for recipes of what went wrong")
    parser.add_argument("--replay", type=Path, nargs="+", help="recipes to read again")
    asked = parser.parse_args(arguments)
    limits = Limits(asked.limit_s, asked.memory_mb)
    if asked.replay:
        recipes = [Recipe.of_json(json.loads(path.read_text(encoding="utf-8"))["recipe"]) for path in asked.replay]
        results = fuzz(recipes, limits=limits)
        print(*(f"{result.outcome}\n{result.detail}" for result in results), sep="\n")
    else:
        good = seeds()
        recipes = [draw(good, n, asked.seed) for n in range(asked.count)]
        results = fuzz(recipes, jobs=asked.jobs, limits=limits)
        for number, result in enumerate(result for result in results if not result.is_good):
            _keep(asked.out / f"{number:04d}.json", result)
        print(summary(results))
    return 0 if all(result.is_good for result in results) else 1


def fuzz(recipes: Iterable[Recipe], *, jobs: int = 1, limits: Limits = Limits()) -> list[Result]:
    """Return what becomes of each recipe's file; each job has a child process of its own."""
    good, drawn = seeds(), list(recipes)
    with ThreadPoolExecutor(jobs) as threads:
        parts = threads.map(lambda n: _read_all(drawn[n::jobs], good, limits), range(jobs))
        return [result for part in parts for result in part]


def summary(results: Iterable[Result]) -> str:
    """Return the outcomes as a table of text, most frequent first."""
    results = list(results)
    lines = [f"{count:8d}  {outcome}" for outcome, count in Counter(r.outcome for r in results).most_common()]
    codes = Counter(r.detail for r in results if r.outcome == "refused").most_common()
    lines += [f"{count:8d}    {code}" for code, count in codes]
    largest = max(results, key=lambda r: r.grown_mb)
    slowest = max(results, key=lambda r: r.cpu_s)
    lines.append(f"largest growth of the process: {largest.grown_mb:.0f} MB ({largest.recipe.seed})")
    lines.append(f"longest CPU time: {slowest.cpu_s:.2f} s ({slowest.recipe.seed})")
    said = sum(bool(result.said) for result in results)
    lines.append(f"libraries wrote on the error stream: {said} times, no identity among it")
    causes: dict[str, list[Result]] = {}
    for result in results:
        if not result.is_good:
            causes.setdefault(_cause(result), []).append(result)
    for cause, those in sorted(causes.items(), key=lambda item: -len(item[1])):
        first = those[0].recipe
        lines.append(f"{len(those):8d}  {cause} (e.g. {first.seed}: {', '.join(first.kinds)})")
    return "\n".join(lines)


def _cause(result: Result) -> str:
    """Return a line by which results of one cause are counted: of a traceback, its last frame of ours."""
    lines = [line.strip() for line in result.detail.splitlines()]
    ours = [line for line in lines if line.startswith("File ") and "medvision" in line]
    where = ours[-1].partition("/medvision/")[2] if ours else re.sub(r"\d+|[^ -~]+", "#", " ".join(lines))[:80]
    return f"{result.outcome}: {where}"


def _keep(path: Path, result: Result) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"recipe": result.recipe.as_json(), "outcome": result.outcome, "detail": result.detail}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _read_all(recipes: Sequence[Recipe], good: Mapping[str, Seed], limits: Limits) -> list[Result]:
    """Read files one after another; a new child process is started wherever one had to be ended."""
    results = []
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as ends:
        child = None
        for recipe in recipes:
            if child is None:
                child = _Child(Path(folder), good["ct-explicit"])
                ends.callback(child.end)
            path = _written(Path(folder) / "in", good[recipe.seed], recipe)
            results.append(_judged(recipe, child.ask(path, limits.seconds), limits))
            if results[-1].outcome in ("hang", "death of the process", "MemoryError"):
                child.end()
                child = None
    return results


def _written(folder: Path, seed: Seed, recipe: Recipe) -> Path:
    """Write the damaged file, and beside it the others of its seed; return what is to be read."""
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    others = () if seed.wrap == "zip" else seed.others
    for name, content in [*others, (seed.target, recipe.made(seed))]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder if others else folder / seed.target


def _judged(recipe: Recipe, answer: Mapping[str, Any], limits: Limits) -> Result:
    grown = answer.get("grown_bytes", 0) / 1e6
    outcome, detail = answer["outcome"], answer["detail"]
    if outcome in _GOOD and grown > limits.memory_mb:
        outcome, detail = "too much memory", f"{grown:.0f} MB; {outcome} {detail}"
    return Result(recipe, outcome, detail, answer.get("cpu_s", 0.0), grown, answer.get("said", ""))


class _Child:
    """A process that reads files by their paths."""

    def __init__(self, folder: Path, first: Seed) -> None:
        good = folder / "good.dcm"
        good.write_bytes(first.content)
        command = [sys.executable, "-m", "benchmarks.fuzz_child", str(good), str(folder / "talk.txt")]
        self._process = subprocess.Popen(command, cwd=_ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self._line(_START_S) != "ready\n":
            self.end()
            raise RuntimeError("the child process did not start: is medvision installed with its extra [codecs]?")

    def ask(self, path: Path, seconds: float) -> dict[str, Any]:
        """Return what became of the file."""
        if self._process.stdin is None:
            raise RuntimeError("the child process has no input")
        self._process.stdin.write(json.dumps(str(path)) + "\n")
        self._process.stdin.flush()
        line = self._line(seconds)
        if line is None:
            return {"outcome": "hang", "detail": f"no answer in {seconds:g} s"}
        if not line:
            return {"outcome": "death of the process", "detail": f"exit code {self._process.wait()}"}
        answer: dict[str, Any] = json.loads(line)
        return answer

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                stream.close()

    def _line(self, seconds: float) -> str | None:
        """Return the next line; an empty one where the process has ended, None after `seconds`."""
        if self._process.stdout is None or not select.select([self._process.stdout], [], [], seconds)[0]:
            return None
        return self._process.stdout.readline()


if __name__ == "__main__":
    sys.exit(main())
