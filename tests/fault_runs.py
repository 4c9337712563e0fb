"""Small runs on which faults are tried: a pipeline that needs no training, cases that harm their process, and trees.

It imports little, as each process of a run imports it anew.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from phantoms import write_nifti

from medvision import io
from medvision.engines import Choice, Row
from medvision.errors import ExtraMissingError, InputError
from medvision.frameworks import versions
from medvision.measure import measure
from medvision.pipeline import PipelineFolder
from medvision.results import Manifest, Record, Segmentation
from medvision.study import Case, Source
from medvision.volume import Labels
from medvision.workflows.batching import job
from medvision.workflows.batching.engine import Engines, chosen_engine
from medvision.workflows.cases.analyse import Analysis

TOML = """
name = "blobs"
task = "segmentation"
description = "Anything, from weights drawn by chance"
[contract]
shows = "anything"
[labels]
1 = "dim"
2 = "bright"
[[steps]]
use = "reorient"
[[steps]]
use = "rescale"
source = [0.0, 200.0]
[network]
use = "dynunet"
channels = [4, 4, 4]
[predict]
window = [8, 8, 8]
[[explain]]
use = "seg-hirescam"
"""
DATED = ("ledger.sqlite", ".lock", "run.log")
"""What of an output folder holds dates."""


def make_pipeline(folder: Path, description: str = "Anything, from weights drawn by chance") -> PipelineFolder:
    """Write a pipeline whose weights are drawn by its seed, and open it."""
    from medvision.networks import WeightsCard, save_weights

    folder.mkdir(parents=True)
    toml = TOML.replace("Anything, from weights drawn by chance", description)
    (folder / "pipeline.toml").write_text(toml, encoding="utf-8")
    drawn = PipelineFolder.open(folder)
    sha256 = save_weights(folder / "weights.safetensors", drawn.build_network())
    card = WeightsCard(sha256, drawn.settings.meaning(), None, "as stored", None, "", "", (), {})
    card.save(folder / "weights.json")
    return PipelineFolder.open(folder)


def make_image(path: Path, seed: int = 0, side: int = 10) -> Path:
    """Write an image of noise."""
    values = np.random.default_rng(seed).uniform(0, 200, (side, side, side)).astype(np.float32)
    write_nifti(path, values)
    return path


def make_images(folder: Path, count: int) -> Path:
    """Write images of noise, ``case0.nii.gz`` and so on."""
    for number in range(count):
        make_image(folder / f"case{number}.nii.gz", number)
    return folder


def tree(folder: Path) -> dict[str, str]:
    """Return the hash of every file but those that hold dates, by its path."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in DATED)
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def lighten() -> None:
    """Let runs that this process starts analyse without a network: a case takes no time, nor does its process."""
    from medvision.workflows import run

    run.opened = lightly_opened
    run.chosen_engine = untried


def lightly_opened(work: job.Work) -> job.Opened:
    """Return what analyses a case by thresholds; it is called in a process of its own."""
    job.analyse = _by_thresholds  # type: ignore[assignment]
    return job.Opened(work, None)  # type: ignore[arg-type]


def lacking(work: job.Work) -> job.Opened:
    """Fail as where the engine's package is not installed."""
    raise ExtraMissingError("extra-missing", "the engine needs a package", cure="Install it.")


def untried(engines: Engines, cases: Sequence[Case], *, alone: bool) -> Choice:
    """Take torch in fp32 without trying any engine, which takes seconds, unless one is asked for by name."""
    if engines.wanted != "auto":
        return chosen_engine(engines, cases, alone=alone)
    return Choice("torch-fp32", "auto", 1, 0, (Row("torch-fp32"),))


def command(*words: str | Path) -> list[str]:
    """Return the command line of medvision that analyses without a network."""
    here = str(Path(__file__).parent)
    script = f"import sys; sys.path.insert(0, {here!r}); import fault_runs; fault_runs.lighten(); fault_runs.main()"
    return [sys.executable, "-c", script, *map(str, words)]


def main() -> None:
    """Run the command line."""
    from medvision_cli.app import main

    main()


def _by_thresholds(case: Case, pipeline: PipelineFolder, *_: object, **__: object) -> Analysis:
    volume = io.read_volume(case)
    if "FAULT_RUNS_BEGUN" in os.environ:
        Path(os.environ["FAULT_RUNS_BEGUN"]).touch()
    time.sleep(float(os.environ.get("FAULT_RUNS_SECONDS", "0")))
    if "FAULT_RUNS_FILLS" in os.environ:
        _fill(Path(os.environ["FAULT_RUNS_FILLS"]) / "filler", int(os.environ["FAULT_RUNS_LEAVES"]))
    found = Labels(
        np.digitize(volume.voxels[0], (100, 150)).astype(np.uint8), volume.geometry, pipeline.settings.labels
    )
    hashes = (pipeline.settings_sha256, pipeline.require_weights().sha256, case.images_digest())
    manifest = Manifest("", pipeline.name, *hashes, versions(), "cpu", "none", 0)
    record = Record(case.id, "segmentation", volume.geometry, None, (), manifest, measurements=measure(found, volume))
    return Analysis(record, volume, Segmentation(found, None, {}), ())  # type: ignore[arg-type]


class Harmful(Case):
    """A case that does something to its process: before it is read, or once its results are written.

    ``how`` stands in the attributes: a key of :data:`HARMS`, with ``late-`` in front where it comes last, and with
    ``once`` a file that makes it harmless once it is there.
    """

    _asked: ClassVar[dict[str, int]] = {}

    def __reduce__(self) -> tuple[Callable[..., Harmful], tuple[()]]:
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return partial(Harmful, **values | {"attributes": dict(self.attributes)}), ()

    def digest(self) -> str:
        """Return the hash, as cases do; the first time, and the second, are the moments to do harm."""
        self._asked[self.id] = self._asked.get(self.id, 0) + 1
        how, once = self.attributes["how"], self.attributes.get("once")
        late = how.startswith("late-")
        if self._asked[self.id] == 1 + late and not (once and Path(once).exists()):
            if once:
                Path(once).touch()
            HARMS[how.removeprefix("late-")]()
        return super().digest()


def harmful(image: Path, how: str, once: Path | None = None) -> Case:
    """Return a case that is called by what it does."""
    attributes = {"how": how} | ({"once": str(once)} if once else {})
    return Harmful(how, (Source("nifti", (image,)),), attributes=attributes)


def _allocate() -> None:
    held = [np.ones(1 << 24, dtype=np.float64) for _ in range(24)]  # 3 GB, touched
    time.sleep(60 + len(held))


def _fill(filler: Path, leaves: int) -> None:
    """Fill a disk, once, until so much is free."""
    if not filler.exists():
        filler.write_bytes(bytes(max(0, shutil.disk_usage(filler.parent).free - leaves)))


def _raise(error: BaseException) -> None:
    raise error


HARMS: dict[str, Callable[[], Any]] = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "kill-parent": lambda: (os.kill(os.getppid(), signal.SIGKILL), time.sleep(60)),
    "crash": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "exit": lambda: os._exit(3),
    "hang": lambda: time.sleep(600),
    "spin": lambda: [None for _ in iter(int, 1)],
    "allocate": _allocate,
    "no-memory": lambda: _raise(MemoryError()),
    "bug": lambda: _raise(KeyError("Doe^" + "Jane")),
    "refuse": lambda: _raise(InputError("truncated", "600 of 1,200 bytes")),
}
