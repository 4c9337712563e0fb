"""The process that reads damaged files: under a cap of memory, and able to die without taking the run along.

It is started by :mod:`benchmarks.fuzz`. Each line of its input is a path, each line of its output what became of it.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

from benchmarks.fuzz_seeds import IDENTITY

_ADDRESS_SPACE = 2_000_000_000  # on top of what the libraries take


def main(first: str, talk: str) -> None:
    """Read `first`, a good file, to load the libraries; then answer."""
    import medvision

    answers = os.fdopen(os.dup(1), "w", buffering=1)
    medvision.load(first)
    talked = os.open(talk, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    os.dup2(talked, 1)
    os.dup2(talked, 2)
    limit = _status("VmSize") + _ADDRESS_SPACE
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    answers.write("ready\n")
    for line in sys.stdin:
        answers.write(json.dumps(_answer(Path(json.loads(line)), talked)) + "\n")


def _answer(path: Path, talked: int) -> dict[str, Any]:
    _forget_peak()
    before, start = _status("VmRSS"), time.process_time()
    with warnings.catch_warnings(record=True) as escaped:
        warnings.simplefilter("always")
        outcome, detail = _outcome(path)
    seconds, grown = time.process_time() - start, _status("VmHWM") - before
    sys.stdout.flush()
    sys.stderr.flush()
    said = os.pread(talked, 2000, 0).decode(errors="replace")
    os.ftruncate(talked, 0)
    os.lseek(talked, 0, os.SEEK_SET)
    if escaped:
        outcome, detail = "warning", warnings.formatwarning(*_facts(escaped[0])) + detail
    if IDENTITY in said or IDENTITY in str(detail):
        outcome, detail = "identity told", f"{outcome}: {detail} {said}"
    return {"outcome": outcome, "detail": detail, "said": said, "cpu_s": seconds, "grown_bytes": grown}


def _facts(found: warnings.WarningMessage) -> tuple[str, type[Warning], str, int]:
    return str(found.message), found.category, f'File "{found.filename}"', found.lineno


def _outcome(path: Path) -> tuple[str, str]:
    import medvision
    from medvision.io.dicom.segmentation import read_segmentation

    try:
        loaded = medvision.load(path)
        if any(finding.message == "segmentation" for finding in loaded.skipped):  # labels are read by their own name
            read_segmentation(path)
            return "values", ""
    except medvision.MedvisionError as error:
        if IDENTITY in str(error):
            return "internal", str(error)
        return "refused", error.code
    except Exception as error:  # noqa: BLE001 - what it is, is the question
        return type(error).__name__, traceback.format_exc()
    findings = [*loaded.rejected, *loaded.skipped]
    told = " ".join(map(str, findings))
    codes = {finding.code for finding in loaded.rejected}
    if IDENTITY in told or "internal" in codes:
        return "internal", told
    if loaded.volumes:
        return "values", "and refused" if codes else ""
    if codes:
        return "refused", "+".join(sorted(codes))
    return ("passed over", "") if findings else ("lost without a word", "")


def _status(field: str) -> int:
    """Return a field of the process's status, in bytes."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    return 0


def _forget_peak() -> None:
    """Let the peak of memory count from here (Linux); where that is not allowed, it stands for all files so far."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


if __name__ == "__main__":
    main(*sys.argv[1:])
