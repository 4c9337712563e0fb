"""Whether a pretraining without labels helps trainings on few labels, measured on two tasks, whatever comes of it.

    python benchmarks/transfer.py DATA OUT [--quick]

DATA holds msd_hippocampus/ (Medical Segmentation Decathlon, Task04, with `subject` in its dataset.json) and
pneumoniamnist/pneumoniamnist_trainval.npz (MedMNIST v2). For each task, the shipped pipeline's network is pretrained on
the images of the training side alone, that of mr-hippocampus with half its feature maps; then it is trained on few
labelled cases, from scratch and from the pretraining, on the same subsets with the same seeds, and measured on the same
held-out cases: a fifth of the subjects, and the validation split. All keep their last weights, so that the held-out
cases choose nothing. Prints a table as Markdown, with intervals over patients and seeds, and leaves it in
OUT/transfer.md. About an hour on two cores with AMX; the same command goes on with what was stopped. --quick shows
within minutes that it works, and says nothing else.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from medvision import io
from medvision.files import write_text
from medvision.pipeline import PipelineFolder
from medvision.planning import pipeline_toml
from medvision.workflows.comparing.ways import Way
from medvision.workflows.learning_curve import CurveDesign, LearningCurve, learning_curve
from medvision.workflows.pretrain import PretrainingResult, pretrain
from medvision.workflows.train import Machine, Start

QUICK_CASES = 40


@dataclass(frozen=True)
class Task:
    """What is compared.

    Parameters
    ----------
    pipeline
        The shipped pipeline.
    data
        Below DATA.
    sizes
        Labelled cases to train on.
    network
        What differs from its `[network]`.
    pretraining, training
        What differs from the pipeline's own `[train]`: of the pretraining, and of each training after it.
    few
        Writes a small part of the data, for --quick.
    """

    pipeline: str
    data: str
    sizes: tuple[int, ...]
    network: Mapping[str, Any]
    pretraining: Mapping[str, Any]
    training: Mapping[str, Any]
    few: Callable[[Path, Path], Path]


def main() -> None:
    """Measure both tasks and print the table."""
    parser = argparse.ArgumentParser(description="Measure what a pretraining without labels brings.")
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--quick", action="store_true", help="a few steps on a few cases: to see that it works")
    given = parser.parse_args()
    sections = [measured(task, given.data, given.out / task.pipeline, quick=given.quick) for task in TASKS]
    text = "\n".join(["Of a few steps, to see that it works: no result.\n"] * given.quick + sections)
    write_text(given.out / "transfer.md", text)
    print(text)


def measured(task: Task, data: Path, out: Path, *, quick: bool) -> str:
    """Pretrain, train and compare; return the section of the table."""
    source, sizes, repeats = data / task.data, task.sizes, 3
    steps: dict[str, Any] = {}
    if quick:
        source, sizes, repeats = task.few(source, out), task.sizes[:1], 2
        steps = {"epochs": 2, "steps_per_epoch": 8, "validate_every": 2}
    machine = Machine(cache=out / "cache")
    before = pretrain(
        settings_of(task, out / "settings-pretraining", dict(task.pretraining) | steps),
        [source],
        out / "pretraining",
        machine=machine,
        progress=told(f"{task.pipeline}, pretraining"),
    )
    curve = learning_curve(
        settings_of(task, out / "settings", dict(task.training) | steps),
        [source],
        out / "curve",
        CurveDesign(sizes, repeats, (Way("scratch"), Way("pretrained", Start(str(out / "pretraining"))))),
        machine=machine,
        progress=told(f"{task.pipeline}, trainings"),
    )
    return section(task, before, curve)


def settings_of(task: Task, folder: Path, changes: Mapping[str, Any]) -> PipelineFolder:
    """Write the pipeline's settings with changes of its training, and open them."""
    settings = PipelineFolder.open(task.pipeline).settings
    network: Any = settings.network
    network = replace(network, **dict(task.network))
    changed = replace(settings, network=network, train=replace(settings.train, **dict(changes)))
    write_text(folder / "pipeline.toml", pipeline_toml(changed))
    return PipelineFolder.open(folder)


def section(task: Task, before: PretrainingResult, curve: LearningCurve) -> str:
    """Return the table of a task."""
    scratch = {round(point.cases): point for point in curve.points if point.start == "scratch"}
    lines = [
        f"### {task.pipeline}: {curve.figure} on {curve.held_out} held-out cases",
        "",
        f"Pretrained without labels on {len(before.train)} images. {' '.join(before.results)}",
        "",
        "| Labelled cases | from scratch | from the pretraining | difference | seeds | steps |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for point in curve.points:
        if point.difference is not None:
            cells = [point.cases, scratch[round(point.cases)].level, point.level, point.difference]
            cells += [len(point.level.runs), point.steps]
            lines.append(
                "| " + " | ".join(f"{cell:g}" if isinstance(cell, float | int) else str(cell) for cell in cells) + " |"
            )
    return "\n".join([*lines, ""])


def told(words: str) -> Callable[[int, int, str], None]:
    """Return a progress that says a line for every tenth of the work."""
    said: set[tuple[str, int]] = set()

    def tell(done: int, total: int, last: str) -> None:
        place = (last.split(":")[0], 10 * done // max(total, 1))
        if place not in said:
            said.add(place)
            print(f"{words}: {done} of {total} {last}", file=sys.stderr, flush=True)

    return tell


def few_volumes(source: Path, out: Path) -> Path:
    """Write a list of the first cases of a data set."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / "few.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "image", "label", "patient", "modality"])
        for case in io.scan([source]).cases[:QUICK_CASES]:
            image, label = (getattr(part, "path", None) for part in (case.images[0], case.label))
            writer.writerow(
                [case.id, Path(str(image)).resolve(), Path(str(label)).resolve(), case.patient, case.modality]
            )
    return out / "few.csv"


def few_pictures(source: Path, out: Path) -> Path:
    """Write the first pictures of each split of an archive."""
    out.mkdir(parents=True, exist_ok=True)
    counts = {"train": 4 * QUICK_CASES, "val": QUICK_CASES}
    with np.load(source) as archive:
        arrays = {name: archive[name][: counts[name.split("_")[0]]] for name in archive.files if name[:4] != "test"}
    np.savez(out / "few.npz", **arrays)
    return out / "few.npz"


# A step takes 0.34 s of one core: 3000 of pretraining and 18 trainings of 500 are some 40 minutes of two cores.
VOLUMES: dict[str, Any] = {"patch": (32, 48, 32), "keep": "last"}
# A step takes 0.2 s of one core, of pretraining 0.4 s: 2000 and 24 trainings of 250 are some 20 minutes of two cores.
PICTURES: dict[str, Any] = {"batch": 64, "keep": "last"}
TASKS = (
    Task(
        "mr-hippocampus",
        "msd_hippocampus",
        (5, 10, 20),
        {"channels": (16, 32, 64, 128)},  # half as wide, or it takes hours
        VOLUMES | {"epochs": 30, "steps_per_epoch": 100, "validate_every": 5},
        VOLUMES | {"epochs": 10, "steps_per_epoch": 50, "validate_every": 10},
        few_volumes,
    ),
    Task(
        "cxr-pneumonia",
        "pneumoniamnist/pneumoniamnist_trainval.npz",
        (50, 100, 200, 400),
        {},
        PICTURES | {"epochs": 20, "steps_per_epoch": 100, "validate_every": 5},
        PICTURES | {"epochs": 5, "steps_per_epoch": 50, "validate_every": 5},
        few_pictures,
    ),
)


if __name__ == "__main__":
    main()
