"""Batches that are large in one way or another: one large case, ten shapes, a thousand small cases.

    python -m benchmarks.batch large --environment ENV      # 512 x 512 x 800 CT, 25 classes, beside nnU-Net
    python -m benchmarks.batch forecasts --environment ENV  # forecast of time and memory against what became of them
    python -m benchmarks.batch thousand --environment ENV   # time and memory of the last hundred against the first

ENV is nnU-Net's environment (:mod:`benchmarks.nnunet.environment`), which makes the models; ``--keep DIR`` keeps them
and the images for the next time. ``--quick`` is a small image of each. Linux only.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import batch_cases, batch_figures
from benchmarks.inference_contenders import PROGRAM, ROOT
from benchmarks.inference_process import Measured, measured
from benchmarks.nnunet.environment import environment, variables
from benchmarks.nnunet.predict import predicted

GIB = 2**30
LARGE, SMALL = "106", "105"
"""Numbers of the models, see :mod:`benchmarks.nnunet.untrained`."""


@dataclass(frozen=True)
class Place:
    """Where a benchmark works: nnU-Net's interpreter, and the folder for models, images and outputs."""

    python: Path
    folder: Path

    def model(self, number: str) -> Path:
        """Return nnU-Net's results folder of a model, made where there is none."""
        pattern = f"results/Dataset{number}_*/nnUNetTrainer__*"
        if not list(self.folder.glob(pattern)):
            command = [str(self.python), "-m", "benchmarks.nnunet.untrained", str(self.folder), number]
            environment = variables(self.folder, threads=1) | {"PYTHONPATH": str(ROOT)}
            subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
        return next(self.folder.glob(pattern))

    def pipeline(self, number: str) -> Path:
        """Return medvision's pipeline of a model, made where there is none; without mirroring."""
        made = self.folder / f"pipeline{number}"
        if not made.exists():
            command = [PROGRAM, "import", "nnunet", str(self.model(number)), "--out", str(made), "--no-mirroring"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return made

    def fresh(self, name: str) -> Path:
        """Return a path for outputs at which nothing lies."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder)) / "out"


def large(place: Place, given: argparse.Namespace) -> None:
    """Print time and peak memory of a large CT with many classes, by medvision and by nnU-Net."""
    shape, spacing = ((128, 128, 160), 1.5) if given.quick else ((512, 512, 800), 0.75)
    images = place.folder / f"large{shape[2]}"
    if not list(images.glob("*.nii.gz")):
        batch_cases.phantom(images / "ct_0000.nii.gz", shape, (spacing,) * 3, classes=25)
    print(f"CT of {' x '.join(map(str, shape))} voxels of {spacing} mm, 25 classes, network at 1.5 mm\n")
    limit = int(given.limit_gb * 1e9)
    out = place.fresh("medvision")
    ours = run(place.pipeline(LARGE), images, out, given.options, limit_bytes=limit)
    theirs = predicted(
        place.python,
        place.model(LARGE),
        images,
        place.fresh("nnunet"),
        folds=[0],
        mirrored=False,
        limit_bytes=limit,
    )
    print(batch_figures.large_table({"medvision run": ours, "nnUNetv2_predict": theirs}, given.limit_gb))
    for name, taken in (("medvision", ours), ("nnU-Net", theirs)):
        if taken.status:
            print(f"\nthe last words of {name}:", *[line for _, line in taken.lines[-5:]], sep="\n    ")


def forecasts(place: Place, given: argparse.Namespace) -> None:
    """Print what was forecast of each case, and what became of it."""
    shapes = batch_cases.SHAPES[:2] if given.quick else batch_cases.SHAPES
    rows = []
    for number in (SMALL, LARGE):
        pipeline = place.pipeline(number)
        for shape in shapes:
            name = "x".join(map(str, shape))
            images = place.folder / f"shapes-{name}"
            if not images.exists():
                batch_cases.phantom(images / f"{name}.nii.gz", shape, (1.5,) * 3, classes=25)
            out = place.fresh("forecast")
            taken = run(pipeline, images, out, given.options)
            rows.append(batch_figures.forecast_row(f"{name}, model {number}", out, name, taken))
    print(batch_figures.forecast_table(rows))


def thousand(place: Place, given: argparse.Namespace) -> None:
    """Print whether the time and memory of a case grow with the number of cases before it."""
    count = 40 if given.quick else 1000
    images = place.folder / f"small{count}"
    if not images.exists():
        batch_cases.many(images, count)
    out = place.fresh("thousand")
    taken = run(place.pipeline(SMALL), images, out, given.options)
    start = time.perf_counter()
    again = run(place.pipeline(SMALL), images, out, given.options)
    print(batch_figures.flatness(out, taken, part=max(1, count // 10)))
    print(f"the same command again, nothing left to do: {time.perf_counter() - start:.1f} s (status {again.status})")


def run(pipeline: Path, images: Path, out: Path, options: Sequence[str], *, limit_bytes: int | None = None) -> Measured:
    """Return what ``medvision run`` took."""
    command = [PROGRAM, "run", str(pipeline), str(images), "--out", str(out), *options]
    return measured(command, limit_bytes=limit_bytes)


def main() -> None:
    """Run one of the benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", choices=("large", "forecasts", "thousand"))
    parser.add_argument("--environment", type=Path, required=True)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--limit-gb", type=float, default=16.0, help="beyond which a command is killed")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("options", nargs="*", help="after --: further options of medvision run")
    given = parser.parse_args()
    print(f"{os.cpu_count()} cores, load at the start {os.getloadavg()[0]:.1f}", file=sys.stderr)
    work = {"large": large, "forecasts": forecasts, "thousand": thousand}[given.which]
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.keep.absolute() if given.keep else Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        work(Place(environment(given.environment.absolute()), folder), given)


if __name__ == "__main__":
    main()
