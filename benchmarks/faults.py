"""Kill runs at random moments, and see that the same command goes on to the very bytes of an undisturbed run.

    python benchmarks/faults.py [--kills 50] [--cases 12] [--seed 0]

Each kill is SIGKILL of the main process alone, or of it and all its processes, by turns. The cases are analysed without
a network, as in the tests, so that most moments are those of files, ledger and processes.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from fault_runs import command, make_images, make_pipeline, tree  # type: ignore[import-not-found]


def main() -> None:
    """Measure, and say what was found; the exit code is 1 where a run came to anything else."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--cases", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        pipeline, images = make_pipeline(place / "pipeline").folder, make_images(place / "in", wanted.cases)
        began = time.monotonic()
        whole = command("run", pipeline, images, "--out", place / "whole")
        subprocess.run(whole, check=True, capture_output=True)
        seconds = time.monotonic() - began
        found = [_killed(pipeline, images, place, number, seconds, wanted) for number in range(wanted.kills)]
        orphans = max((each[1] for each in found), default=0.0)
        same = sum(each[0] for each in found)
    print(f"{same} of {wanted.kills} kills: the next run came to the same bytes; the last process of a killed run")
    print(f"was gone after {orphans:.2f} s at most")
    sys.exit(same != wanted.kills or orphans > 5.0)


def _killed(
    pipeline: Path, images: Path, place: Path, number: int, seconds: float, wanted: argparse.Namespace
) -> tuple[bool, float]:
    """Kill a run, go on, and return whether the result is the same, and how long processes stayed."""
    out = place / f"out{number}"
    words = command("run", pipeline, images, "--out", out, "--workers", "2")
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(random.Random(f"{wanted.seed} {number}").uniform(0.2, 1.1) * seconds)  # noqa: S311 - no secret
    helpers = _children(process.pid)
    process.kill()
    if number % 2:
        for helper in helpers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(helper, signal.SIGKILL)
    process.wait()
    killed = time.monotonic()
    while any(Path(f"/proc/{helper}/cmdline").exists() and _runs(helper) for helper in helpers):
        time.sleep(0.01)
    stayed = time.monotonic() - killed
    done = subprocess.run(words, capture_output=True).returncode
    return done == 0 and tree(out) == tree(place / "whole") and not list(out.rglob(".medvision-*")), stayed


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    except OSError:
        return []


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


if __name__ == "__main__":
    main()
