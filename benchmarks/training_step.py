"""A training step of medvision beside a plain fp32 loop on the same network and the same batches, in turns.

    python benchmarks/training_step.py mr-hippocampus DATA

DATA is labelled data for the pipeline. Prints the median time of a step and its range over the rounds, the ratio of the
two with its range, and the share of a step that reading and varying the data takes.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from medvision.frameworks import processor_features, small_convolutions_in_fp32, training_precision
from medvision.pipeline import PipelineFolder
from medvision.training import Alone, Batch, Store, build_optimiser
from medvision.tuning import Whole
from medvision.workflows.fitting.job import Job
from medvision.workflows.fitting.prepare import prepare
from medvision.workflows.train import labelled_cases

ROUNDS, STEPS, CASES = 7, 4, 24


def main(pipeline: str, data: str) -> None:
    """Time both loops and print the table."""
    opened = PipelineFolder.open(pipeline)
    cases = labelled_cases([Path(data)])[:CASES]
    with tempfile.TemporaryDirectory() as folder:
        prepared = list(prepare(cases, opened, Store(Path(folder))).values())
        device = "cuda" if torch.cuda.is_available() else "cpu"
        job = Job(opened, prepared, (), Alone(device, training_precision("auto", device)))
        batches = job.batches()
        ours, plain = loop(job, job.objective()), loop(job, plain_objective(job))
        for step in (ours, plain):
            step(batches(0))
        rows = [
            (timed(batches, lambda batch: None), timed(batches, ours), timed(batches, plain)) for _ in range(ROUNDS)
        ]
    shown(job, rows)


def loop(job: Job, objective: Callable[[Any, Batch], Any]) -> Callable[[Batch], None]:
    """Return one step, on a network of its own, as a function of the batch."""
    network = job.pipeline.build_network(training=True).to(job.place.device).train()
    optimiser = build_optimiser(job.pipeline.settings.train, Whole().groups(network))

    def step(batch: Batch) -> None:
        with small_convolutions_in_fp32(network):
            objective(network, batch).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 12.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    return step


def plain_objective(job: Job) -> Callable[[Any, Batch], Any]:
    """Return the same loss, by a network in fp32 whose images have torch's usual layout."""
    from dataclasses import replace

    fp32 = replace(job, place=Alone(job.place.device)).objective()
    return lambda network, batch: fp32(network, Batch(batch.images.contiguous(), batch.targets))


def timed(batches: Callable[[int], Batch], step: Callable[[Batch], None]) -> float:
    """Return the seconds of one step, its data included."""
    began = time.monotonic()
    for number in range(STEPS):
        step(batches(number))
    return (time.monotonic() - began) / STEPS


def shown(job: Job, rows: list[tuple[float, float, float]]) -> None:
    """Print medians and ranges."""
    data, ours, plain = zip(*rows, strict=True)
    ratios = [slow / fast for _, fast, slow in rows]
    shares = [part / whole for part, whole, _ in rows]
    features = ", ".join(sorted(processor_features())) or "none known"
    print(f"{job.pipeline.name}, {job.place.device}, {torch.get_num_threads()} threads; processor: {features}")
    for name, values in (
        ("data alone", data),
        (f"medvision ({job.place.precision})", ours),
        ("plain fp32 loop", plain),
    ):
        print(f"{name:<20} {statistics.median(values) * 1000:8.1f} ms a step {span(values, 1000)}")
    print(f"plain / medvision    {statistics.median(ratios):8.2f}           {span(ratios, 1)}")
    print(f"share of data        {statistics.median(shares):8.1%}           {span(shares, 1)}")


def span(values: tuple[float, ...] | list[float], factor: float) -> str:
    """Return the least and the greatest."""
    return f"({min(values) * factor:.3g} to {max(values) * factor:.3g})"


if __name__ == "__main__":
    main(*sys.argv[1:])
