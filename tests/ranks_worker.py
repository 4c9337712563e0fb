"""Shared trainings of the tests; started as ``python ranks_worker.py FOLDER JOB=PORT...``.

The packages are imported once, and each process of each job is a fork: a start from nothing takes seconds.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medvision.errors import MedvisionError
from medvision.training import Sample, Sampler, Supervised, Training, Validation, VariedBatches, optimise, ranks
from medvision.training.losses import CrossEntropy, DiceCE
from medvision.training.place import Place
from medvision.training.settings import Augmentation
from medvision.tuning import Whole

BATCH, STEPS = 4, 3


def samples(task: str) -> list[Sample]:
    """Return discs of two brightnesses in noise: of masks very unlike in size, so that Dice depends on the sharing."""
    random = np.random.default_rng(3)
    rows, columns = np.mgrid[:12, :12]
    found = []
    for number in range(8):
        mask = (rows - 6) ** 2 + (columns - 5) ** 2 < (1 + number) ** 2 / 2
        image = (mask * (1 + number % 2) + 0.3 * random.standard_normal((12, 12))).astype(np.float32)
        found.append(Sample(f"c{number}", image[None], mask.astype(np.uint8) if task == "segmentation" else number % 2))
    return found


def network(task: str) -> Any:
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.InstanceNorm2d(4, affine=True), torch.nn.ReLU()]
    if task == "segmentation":
        return torch.nn.Sequential(*layers, torch.nn.Conv2d(4, 2, 1))
    return torch.nn.Sequential(*layers, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, 2))


def trained(task: str, place: Place, folder: Path) -> dict[str, Any]:
    """Train for a few steps of plain gradient descent, which shows every difference of a gradient undamped."""
    settings = Training(
        epochs=2,
        steps_per_epoch=STEPS,
        batch=BATCH,
        optimiser="sgd",
        momentum=0.0,
        learning_rate=0.1,
        average=0.5,
        validate_every=1,
        clip=1.0,
        augmentation=Augmentation(probability=1.0),
    )
    net = network(task)
    called = []

    def validate(kept: Any) -> Validation:
        called.append(place.rank)
        return Validation(float(sum(p.detach().sum() for p in kept.parameters())), {"one": 1.0})

    loss = DiceCE() if task == "segmentation" else CrossEntropy()
    weights = torch.tensor([0.5, 1.5])
    fitted = optimise(
        net,
        VariedBatches(Sampler(samples(task), settings), settings, place=place),
        Supervised(loss, weights, 0.1, place=place),
        validate,
        settings,
        folder=folder / task,
        tuning=Whole(),
        place=place,
    )
    rows = [{key: value for key, value in row.items() if not key.startswith("seconds")} for row in fitted.rows]
    values = torch.cat([p.detach().flatten() for p in net.parameters()]).tolist()
    return {"rows": rows, "epoch": fitted.epoch, "weights": values, "validated_by": called}


def gathered_gradient(place: Place) -> dict[str, Any]:
    """Return the gradient of a loss that is no mean of the parts' losses, by DDP and by the whole batch at once."""
    inputs = torch.arange(8.0).reshape(4, 2)
    net = torch.nn.Linear(2, 1, bias=False)
    torch.nn.init.constant_(net.weight, 0.25)
    forward, _ = place.setup(net, torch.optim.SGD(net.parameters(), 1.0))
    total = place.gather(forward(inputs[place.rows(4)]).sum())
    place.backward(total**2)
    return {"loss": float((total**2).detach()), "gradient": net.weight.grad[0].tolist()}


def good(place: Place, folder: Path) -> dict[str, Any]:
    order = folder / "order.txt"
    with place.in_turn(), order.open("a") as file:
        file.write(f"{place.rank}")
    place.barrier()
    return {
        "order": order.read_text(),
        "from_first": place.from_first(lambda: {"rank": place.rank}),
        "mean": place.mean(float(place.rank)),
        "gradient": gathered_gradient(place),
        "segmentation": trained("segmentation", place, folder),
        "classification": trained("classification", place, folder),
    }


def fails(place: Place, how: str) -> None:
    """End one process in the middle of a step, or while the others wait for the first."""
    who, way, when = how.split("-")
    part = torch.ones(1, requires_grad=True)
    place.gather(part)
    if place.rank == int(who):
        if way == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise MedvisionError("internal", "the disk of this machine is full")
    if when == "waiting":
        place.from_first(lambda: 1)
    place.gather(part)


def work(job: str, folder: Path) -> int:
    """Do one process's part of a job, and return its exit code."""
    torch.set_num_threads(1)
    ranks.ROLL_CALL_SECONDS = 1.0
    try:
        with ranks.Ranks("cpu", "fp32", devices=2, freezes=False, timeout_seconds=60) as place:
            if job == "good":
                (folder / f"{place.rank}.json").write_text(json.dumps(good(place, folder)))
            else:
                fails(place, job)
    except MedvisionError as error:
        (folder / f"{os.environ['LOCAL_RANK']}.error").write_text(f"{type(error).__name__}: {error.finding.message}")
        return 5
    return 0


def start(job: str, rank: int, port: str, folder: Path) -> int:
    """Return the process id of a fork that does one part of a job."""
    pid = os.fork()
    if pid:
        return pid
    os.environ |= {"LOCAL_RANK": str(rank), "NODE_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    code = 1
    try:
        code = work(job, folder)
    except BaseException:  # noqa: BLE001 - a fork must never run on into what its parent does
        (folder / f"{rank}.trace").write_text(traceback.format_exc())
    finally:
        os._exit(code)


def main(folder: Path, jobs: dict[str, str]) -> None:
    """Do all jobs side by side, and write how each process ended."""
    running = {}
    for job, port in jobs.items():
        (folder / job).mkdir()
        for rank in range(2):
            running[start(job, rank, port, folder / job)] = folder / job / f"{rank}.code"
    while running:
        pid, status = os.wait()
        running.pop(pid).write_text(str(os.waitstatus_to_exitcode(status)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), dict(word.split("=") for word in sys.argv[2:]))
