"""A training step of medvision beside a plain fp32 loop on the same network and the same batches, in turns.

    python benchmarks/training_step.py mr-hippocampus DATA

DATA is labelled data for the pipeline. medvision's step is the one that a training does: batch, variation, loss, clip,
optimiser, running average, with algorithms that give the same bits in every run, and once more without these. The plain
loop has the same batches, loss and optimiser, in fp32, and nothing else. Prints the median time of a step and its range
over the rounds, the ratio of the two with its range, what the same bits cost, and the share of a step that reading and
varying the data takes.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from medvision.frameworks import processor_features, training_precision
from medvision.pipeline import PipelineFolder
from medvision.training import Alone, Batch, Store, build_optimiser, rehearsal
from medvision.tuning import Whole
from medvision.workflows.fitting.job import Job
from medvision.workflows.training_data.labelled import labelled_cases
from medvision.workflows.training_data.prepare import prepare

ROUNDS, STEPS, CASES = 7, 4, 24
Step = Callable[[int], object]


def main(pipeline: str, data: str) -> None:
    """Time all of them and print the table."""
    opened = PipelineFolder.open(pipeline)
    cases = labelled_cases([Path(data)])[:CASES]
    with tempfile.TemporaryDirectory() as folder:
        prepared = list(prepare(cases, opened, Store(Path(folder))).values())
        device = "cuda" if torch.cuda.is_available() else "cpu"
        job = Job(opened, prepared, (), Alone(device, training_precision("auto", device)))
        steps = (job.batches(), step_of(job, deterministic=True), step_of(job, deterministic=False), plain(job))
        for step in steps:
            step(0)
        shown(job, [[timed(step) for step in steps] for _ in range(ROUNDS)])


def step_of(job: Job, *, deterministic: bool) -> Step:
    """Return a training's own step, on a network of its own."""
    network, train = job.pipeline.build_network(training=True), job.pipeline.settings.train
    return rehearsal(network, job.batches(), job.objective(), train, place=job.place, deterministic=deterministic)


def plain(job: Job) -> Step:
    """Return a step as anybody would write it: in fp32, on images of torch's usual layout."""
    device = job.place.device
    network = job.pipeline.build_network(training=True).to(device).train()
    batches, objective = job.batches(), replace(job, place=Alone(device)).objective()
    optimiser = build_optimiser(job.pipeline.settings.train, Whole().groups(network))

    def step(number: int) -> None:
        batch = batches(number)
        objective(network, Batch(batch.images.contiguous(), batch.targets)).backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    return step


def timed(step: Step) -> float:
    """Return the seconds of one step."""
    began = time.monotonic()
    for number in range(STEPS):
        step(number)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (time.monotonic() - began) / STEPS


def shown(job: Job, rows: Sequence[Sequence[float]]) -> None:
    """Print medians and ranges."""
    features = ", ".join(sorted(processor_features())) or "none known"
    print(f"{job.pipeline.name}, {job.place.device}, {torch.get_num_threads()} threads; processor: {features}")
    names = ("data alone", f"medvision ({job.place.precision})", "without the same bits", "plain fp32 loop")
    for name, values in zip(names, zip(*rows, strict=True), strict=True):
        print(f"{name:<22} {statistics.median(values) * 1000:8.1f} ms a step {span(values, 1000)}")
    for name, ratios in (
        ("plain / medvision", [slow / ours for _, ours, _, slow in rows]),
        ("with / without bits", [ours / free for _, ours, free, _ in rows]),
        ("data / medvision", [data / ours for data, ours, _, _ in rows]),
    ):
        print(f"{name:<22} {statistics.median(ratios):8.3f}           {span(ratios, 1)}")


def span(values: Sequence[float], factor: float) -> str:
    """Return the least and the greatest."""
    return f"({min(values) * factor:.3g} to {max(values) * factor:.3g})"


if __name__ == "__main__":
    main(*sys.argv[1:])
