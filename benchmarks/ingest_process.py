"""A reader's process, as :mod:`benchmarks.ingest` sees it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ingest_readers import Image

ROOT = Path(__file__).resolve().parent.parent
_REQUIREMENTS = ROOT / "benchmarks" / "ingest" / "requirements.txt"


def python_of(environment: Path) -> Path:
    """Return the interpreter of an environment with the peers; it is made where there is none (minutes)."""
    python = environment / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "-r", str(_REQUIREMENTS)], check=True)
    return python


@dataclass(frozen=True)
class Answer:
    """What a reader made of an input.

    Parameters
    ----------
    images
        What it returned; None where it returned nothing.
    error, text
        The kind and the words of what it raised instead.
    reasoned
        Whether it refused on purpose, in words.
    said
        The lines it wrote on the standard streams.
    """

    images: tuple[Image, ...] | None
    error: str = ""
    text: str = ""
    reasoned: bool = False
    said: tuple[str, ...] = ()


class ReaderProcess:
    """A process with one reader in it.

    Parameters
    ----------
    name
        A key of :data:`benchmarks.ingest_readers.READERS`.
    python
        The interpreter that has it.
    """

    def __init__(self, name: str, python: Path) -> None:
        self.name = name
        self.python = python
        self._process = subprocess.Popen(
            [str(python), "-m", "benchmarks.ingest_child", name],
            cwd=ROOT,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        started = self._line()
        self.absent: str | None = started.get("absent")
        self.version: str = started.get("version", "")

    def read(self, path: Path, out: Path, *, limit_s: float) -> Answer:
        """Return what the reader makes of a path; `out` is a file for what it returns, removed again."""
        found = self._ask({"read": str(path), "out": str(out), "limit_s": limit_s})
        said = tuple(line.strip() for line in found.get("said", "").splitlines() if line.strip())
        out.with_suffix(".json").unlink(missing_ok=True)
        if "images" not in found:
            return Answer(None, found["error"], found["text"], bool(found["reasoned"]), said)
        with np.load(out) as arrays:
            images = [Image(arrays[f"voxels{n}"], arrays[f"affine{n}"]) for n in range(found["images"])]
        out.unlink()
        return Answer(tuple(images), said=said)

    def seconds(self, path: Path, work: str = "read") -> float:
        """Return how long the reader takes for a path: to ``"read"`` it, or what else it can do."""
        found = self._ask({"time": str(path), "work": work})
        if "seconds" not in found:
            raise RuntimeError(f"{self.name} does not {work} {path.name}: {found.get('text')}")
        return float(found["seconds"])

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        if self._process.stdin is None:
            raise RuntimeError("the process has no input")
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return self._line()

    def _line(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            return {"absent": "its process ended", "error": "death", "text": "the process died", "reasoned": False}
        found: dict[str, Any] = json.loads(line)
        return found
