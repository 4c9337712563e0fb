"""The process in which one reader lives: it answers questions of :mod:`benchmarks.ingest`, one line of JSON each.

``{"read": path, "out": file}`` reads in a process forked for this input, under a cap of memory and of time;
``{"time": path, "work": "read"}`` reads here, and answers how long it took. This file needs numpy and the reader; not
medvision.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ingest_readers import OTHER_WORK, READERS, Reader, RefusedError

_ADDRESS_SPACE = 4_000_000_000  # on top of what the libraries take
_ACCIDENTS = (
    "AssertionError",
    "AttributeError",
    "IndexError",
    "KeyError",
    "MemoryError",
    "RecursionError",
    "StopIteration",
    "TypeError",
    "UnboundLocalError",
    "UnicodeDecodeError",
    "UnicodeEncodeError",
    "ZeroDivisionError",
)


def main(name: str) -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    for library in ("nibabel", "pydicom"):  # once, not in every forked process
        with contextlib.suppress(ImportError):
            importlib.import_module(library)
    try:
        reader = READERS[name]()
    except ImportError as error:
        answers.write(json.dumps({"absent": str(error)}) + "\n")
        return
    answers.write(json.dumps({"version": _version(name)}) + "\n")
    for line in sys.stdin:
        asked = json.loads(line)
        answer = _timed(reader, asked) if "time" in asked else _apart(name, reader, asked)
        answers.write(json.dumps(answer) + "\n")


def _version(name: str) -> str:
    from importlib import metadata

    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.version({"medvision": "medvision-toolkit"}.get(name, name))
    return "unknown"


def _timed(reader: Reader, asked: dict[str, Any]) -> dict[str, Any]:
    """Do the work here, warmed up by all the work before it; what it returns is thrown away."""
    work = OTHER_WORK.get(asked["work"], reader)
    with tempfile.TemporaryFile() as talk, _redirected(talk.fileno()):
        try:
            start = time.perf_counter()
            done = work(Path(asked["time"]))
            seconds = time.perf_counter() - start
        except Exception as error:  # noqa: BLE001 - told, with its kind
            return {"text": f"{type(error).__name__}: {error}"[:500]}
    return {"seconds": seconds} if done else {"text": "nothing was returned"}


def _apart(name: str, reader: Reader, asked: dict[str, Any]) -> dict[str, Any]:
    """Read in a forked process; answer what it left."""
    out = Path(asked["out"])
    child = os.fork()
    if not child:
        try:
            os.setsid()
            _read(name, reader, Path(asked["read"]), out)
        finally:
            os._exit(0)
    end = time.monotonic() + float(asked["limit_s"])
    while not os.waitpid(child, os.WNOHANG)[0]:
        if time.monotonic() > end:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return {"error": "hang", "text": f"no end in {asked['limit_s']} s", "reasoned": False, "said": ""}
        time.sleep(0.005)
    try:
        found: dict[str, Any] = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {"error": "death", "text": "the process died", "reasoned": False, "said": ""}
    return found


def _read(name: str, reader: Reader, path: Path, out: Path) -> None:
    size = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + _ADDRESS_SPACE, size + _ADDRESS_SPACE))
    found: dict[str, Any] = {}
    with tempfile.TemporaryFile() as talk:
        with _redirected(talk.fileno()):
            try:
                images = reader(path)
                arrays: dict[str, Any] = {f"voxels{n}": image.voxels for n, image in enumerate(images)}
                arrays |= {f"affine{n}": image.affine for n, image in enumerate(images)}
                np.savez(out, **arrays)
                found["images"] = len(images)
            except BaseException as error:  # noqa: BLE001 - what it is, is the question
                found |= _refusal(name, error)
        talk.seek(0)
        found["said"] = talk.read(20000).decode(errors="replace")
    out.with_suffix(".json").write_text(json.dumps(found), encoding="utf-8")


def _refusal(name: str, error: BaseException) -> dict[str, Any]:
    """Return what was raised; reasoned where the reader's own code raised it, and not by accident."""
    kind, text = type(error).__name__, str(error)
    last = traceback.extract_tb(error.__traceback__)[-1].filename
    package = {"MONAI": "monai"}.get(name, name)
    own = f"{os.sep}{package}{os.sep}" in last and kind not in _ACCIDENTS
    return {
        "error": kind,
        "text": text[:2000],
        "reasoned": bool(text.strip()) and (own or isinstance(error, RefusedError)),
    }


@contextlib.contextmanager
def _redirected(target: int) -> Any:
    """Send what is written on the standard streams, by any library, to a file."""
    kept = os.dup(1), os.dup(2)
    os.dup2(target, 1)
    os.dup2(target, 2)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for stream, old in zip((1, 2), kept, strict=True):
            os.dup2(old, stream)
            os.close(old)


if __name__ == "__main__":
    main(*sys.argv[1:])
