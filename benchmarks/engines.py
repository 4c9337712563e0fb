"""What each engine changes in a pipeline's answers, by which its tolerance is stated.

    python -m benchmarks.engines PIPELINE DATA [--split val] [--cases 60] [--engine NAME ...]

Every case is analysed by torch in fp32 and by each other engine that can run here. Told are the share of voxels (of
images) with the same label, over all and in the worst case, the largest difference of a probability, the differences
of the Dice to the reference (of the AUC), with a 95 % interval over cases, and the time beside that of torch.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from medvision import io
from medvision.engines import NAMES, REFERENCE, Choice, Row, candidates
from medvision.evaluate import bootstrap_interval, dice
from medvision.pipeline import PipelineFolder
from medvision.study import Case
from medvision.volume import Volume
from medvision.workers import cores
from medvision.workflows.batching.engine import Engines
from medvision.workflows.cases.classify import classify
from medvision.workflows.cases.network import ReadyNetwork
from medvision.workflows.cases.segment import segment


@dataclass
class Answers:
    """What an engine says of the cases.

    Parameters
    ----------
    labels
        Of each case: a mask, or the most probable class.
    chances
        Of each case: the probabilities of the classes; None for a mask.
    scores
        Of each case: the mean Dice; None where there is no reference, or no mask.
    seconds
        Of all cases together, but the first.
    """

    labels: list[Any] = field(default_factory=list)
    chances: list[Any] = field(default_factory=list)
    scores: list[float | None] = field(default_factory=list)
    seconds: float = 0.0


def main() -> None:
    """Print a row for each engine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pipeline")
    parser.add_argument("data", type=Path)
    parser.add_argument("--split")
    parser.add_argument("--cases", type=int, default=60)
    parser.add_argument("--engine", action="append", choices=NAMES)
    given = parser.parse_args()
    opened = PipelineFolder.open(given.pipeline)
    pipeline = replace(opened, settings=replace(opened.settings, explain=()))  # maps are no answers
    cases = [case for case in io.scan([given.data]).cases if given.split in (None, case.split)][: given.cases]
    names = given.engine or [each.name for each in candidates() if each.lacks is None and each.name != REFERENCE]
    reference = answers_of(pipeline, cases, REFERENCE)
    print(f"{pipeline.name}, {len(cases)} cases, {cores()} cores\n")
    print("| engine | same labels | in the worst case | largest difference of a probability | Dice | times as fast |")
    print("|---|---|---|---|---|---|")
    for name in names:
        print(row(name, answers_of(pipeline, cases, name), reference))


def answers_of(pipeline: PipelineFolder, cases: list[Case], name: str) -> Answers:
    """Return what an engine says of the cases."""
    network = Engines(pipeline, name, cores(), ours=True).ready(Choice(name, name, cores(), 0, (Row(name),)))
    found = Answers()
    for number, case in enumerate(cases):
        volume = io.read_volume(case)
        started = time.perf_counter()
        if pipeline.settings.task == "segmentation":
            _segmented(volume, case, pipeline, network, found)
        else:
            _classified(volume, pipeline, network, found)
        found.seconds += (time.perf_counter() - started) * (number > 0)
    return found


def row(name: str, found: Answers, reference: Answers) -> str:
    """Return how far an engine's answers are from the reference's."""
    same = np.array([np.mean(a == b) for a, b in zip(found.labels, reference.labels, strict=True)])
    apart = "-"
    if found.chances:
        apart = f"{np.abs(np.array(found.chances) - np.array(reference.chances)).max():.2g}"
    scored = [(a, b) for a, b in zip(found.scores, reference.scores, strict=True) if a is not None and b is not None]
    less = "-"
    if scored:
        change = bootstrap_interval(np.array([a - b for a, b in scored]), None, np.mean, seed=0)
        known = change.low is not None
        less = f"{change.value:+.5f}" + (f" ({change.low:+.5f} to {change.high:+.5f})" if known else "")
    return (
        f"| {name} | {100 * same.mean():.4f} % | {100 * same.min():.4f} % | {apart} | {less} |"
        f" {reference.seconds / found.seconds:.2f} |"
    )


def _segmented(volume: Volume, case: Case, pipeline: PipelineFolder, network: ReadyNetwork, found: Answers) -> None:
    labels = segment(volume, case, pipeline.settings, network).segmentation.labels
    found.labels.append(labels.voxels)
    if case.label is None:
        found.scores.append(None)
        return
    values = dice(labels, io.read_labels(case, pipeline.settings.labels, volume.geometry)).values()
    found.scores.append(float(np.mean([value for value in values if value is not None])))


def _classified(volume: Volume, pipeline: PipelineFolder, network: ReadyNetwork, found: Answers) -> None:
    chances = dict(classify(volume, pipeline.settings, network).answer.probabilities)  # type: ignore[union-attr]
    found.labels.append(np.array(max(chances, key=lambda name: chances[name])))
    found.chances.append(list(chances.values()))
    found.scores.append(None)


if __name__ == "__main__":
    main()
