"""The commands that :mod:`benchmarks.inference` holds side by side."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.inference_process import Measured, measured
from benchmarks.nnunet.environment import variables
from benchmarks.nnunet.predict import parts, predicted

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = str(Path(sys.executable).with_name("medvision"))


@dataclass(frozen=True)
class Contender:
    """A whole command.

    Parameters
    ----------
    name
        As it stands in the table.
    go
        Runs it; what it writes goes into the folder given, which does not exist yet.
    mask
        Where the mask of a case lies in that folder.
    where
        Seconds of each part of a run, as far as it tells.
    engine
        What computed the network, as far as it tells.
    """

    name: str
    go: Callable[[Path], Measured]
    mask: Callable[[Path, str], Path]
    where: Callable[[Measured, Path], Mapping[str, float]]
    engine: Callable[[Path], str] = lambda out: ""


@dataclass(frozen=True)
class Work:
    """What every contender is to do.

    Parameters
    ----------
    folder
        nnU-Net's results folder.
    folds
        The networks of it whose mean is taken.
    images
        A folder of ``<case>_0000.nii.gz``.
    mirrored
        Whether to mirror along the axes that the training mirrored along.
    python
        The interpreter of nnU-Net's environment.
    scratch
        A folder for what is made.
    """

    folder: Path
    folds: Sequence[int]
    images: Path
    mirrored: bool
    python: Path
    scratch: Path

    @property
    def cases(self) -> list[str]:
        """The names of the cases."""
        return sorted(path.name.removesuffix("_0000.nii.gz") for path in self.images.glob("*_0000.nii.gz"))


def nnunet(work: Work, *, is_sequential: bool = False) -> Contender:
    """Return ``nnUNetv2_predict``, as it comes or without processes of its own (``-npp 0 -nps 0``)."""

    def go(out: Path) -> Measured:
        options = ("-npp", "0", "-nps", "0") if is_sequential else ()
        return predicted(
            work.python, work.folder, work.images, out, folds=work.folds, mirrored=work.mirrored, options=options
        )

    def where(run: Measured, out: Path) -> Mapping[str, float]:
        found = parts(run)
        return {name.removesuffix("_s"): seconds for name, seconds in asdict(found).items()} if found else {}

    name = "nnUNetv2_predict" + (" -npp 0 -nps 0" if is_sequential else "")
    return Contender(name, go, lambda out, case: out / f"{case}.nii.gz", where)


def monai(work: Work) -> Contender:
    """Return MONAI's transforms and sliding window over nnU-Net's network."""

    def go(out: Path) -> Measured:
        folds = ",".join(map(str, work.folds))
        command = [str(work.python), "-m", "benchmarks.nnunet.monai_windows", str(work.folder), str(work.images)]
        command += [str(out), folds, "mirrored" if work.mirrored else "as stored"]
        environment = variables(work.folder.parents[2]) | {"PYTHONPATH": str(ROOT)}
        return measured(command, environment)

    return Contender("MONAI SlidingWindowInferer", go, lambda out, case: out / f"{case}.nii.gz", lambda run, out: {})


def medvision(work: Work, engine: str) -> Contender:
    """Return ``medvision run`` with an engine, over the folder imported."""
    pipeline, images = imported(work), linked(work)

    def go(out: Path) -> Measured:
        command = [PROGRAM, "run", str(pipeline), str(images), "--out", str(out), "--engine", engine]
        # a cache of its own: what was measured and compiled on this machine before is not known to the first run
        return measured(command, {**os.environ, "XDG_CACHE_HOME": str(work.scratch / "cache")})

    def mask(out: Path, case: str) -> Path:
        return out / "cases" / case / "mask.nii.gz"

    return Contender(f"medvision {engine}", go, mask, ledger_parts, engines_of)


def ledger_parts(run: Measured, out: Path) -> Mapping[str, float]:
    """Return the seconds of a run of medvision: before and after its batch, and the sum over its cases."""
    with sqlite3.connect(f"file:{out / 'ledger.sqlite'}?mode=ro", uri=True) as ledger:
        batch_s = sum(row[0] or 0.0 for row in ledger.execute("select seconds from runs"))
        cases_s = sum(row[0] or 0.0 for row in ledger.execute("select seconds from cases"))
    return {"start and end": run.wall_s - batch_s, "batch": batch_s, "cases together": cases_s}


def engines_of(out: Path) -> str:
    """Return the engines that the records of a run of medvision name."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(out.glob("cases/*/record.json"))]
    return ", ".join(sorted({str(record["manifest"].get("engine", "not told")) for record in records}))


def imported(work: Work) -> Path:
    """Return medvision's pipeline of the folder, made where there is none."""
    pipeline = work.scratch / ("mirrored" if work.mirrored else "plain")
    if pipeline.exists():
        return pipeline
    command = [PROGRAM, "import", "nnunet", str(work.folder), "--out", str(pipeline)]
    command += ["--folds", ",".join(map(str, work.folds)), "--mirroring" if work.mirrored else "--no-mirroring"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return pipeline


def linked(work: Work) -> Path:
    """Return a folder of links to the images, named after their cases without nnU-Net's ``_0000``."""
    folder = work.scratch / "images"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for case in work.cases:
        (folder / f"{case}.nii.gz").symlink_to(work.images / f"{case}_0000.nii.gz")
    return folder
