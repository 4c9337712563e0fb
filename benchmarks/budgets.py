"""What a training reaches in a given time: planned, trained with `--max-minutes`, measured on a held-out fifth.

    python benchmarks/budgets.py DATA OUT [--minutes 5 15 45]

DATA is labelled data. `medvision plan` makes the settings, and each time is a command of its own, timed as a whole
process; OMP_NUM_THREADS=1 in front of the command gives it one core. Prints a row a time: what was asked and taken, the
figures on the held-out cases, and what was cut.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path


def main() -> None:
    """Plan once, train once a time, and print the rows."""
    parser = argparse.ArgumentParser(description="Measure what a training reaches in a time.")
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, nargs="+", default=[5.0, 15.0, 45.0])
    given = parser.parse_args()
    settings = given.out / "settings"
    if not settings.exists():
        medvision("plan", given.data, "--out", settings)
    for minutes in given.minutes:
        folder = given.out / f"{minutes:g}"
        if folder.exists():
            sys.exit(f"{folder} exists: a training that goes on says nothing of its time")
        began = time.monotonic()
        medvision("train", settings, given.data, "--out", folder, "--max-minutes", f"{minutes:g}")
        taken = time.monotonic() - began
        found = json.loads((folder / "training.json").read_text(encoding="utf-8"))
        print(f"{minutes:g} min asked, {taken:.0f} s taken ({taken / (60 * minutes) - 1:+.1%}): {found['results'][0]}")
        for finding in found["findings"]:
            if finding["code"].startswith("budget"):
                print(f"    {finding['message']}")


def medvision(*arguments: object) -> None:
    """Run the command as a person would; where it fails, so does this."""
    subprocess.run([sys.executable, "-m", "medvision", *map(str, arguments)], check=True)


if __name__ == "__main__":
    main()
