"""How often the orientation of a hippocampus crop is told.

    python benchmarks/orientation.py DATA PIPELINE...

Each PIPELINE is a folder that a training left, e.g. a fold. Every held-out case of its split is shown as it is and
turned in three ways. Counted is in how many of the comparisons the network agrees better with the image as it is, and
by how much at the least; and how well it agrees with an image as it is, at the least.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from medvision import io
from medvision.pipeline import PipelineFolder
from medvision.workflows.cases.network import ReadyNetwork
from medvision.workflows.cases.segment import AS_STORED, TURNS, segment


def main(data: str, *names: str) -> None:
    """Print a line for each way of turning, and one for images as they are."""
    found = [agreements for name in names for agreements in held_out_agreements(PipelineFolder.open(name), data)]
    for turn in TURNS:
        if turn == AS_STORED:
            continue
        margins = np.array([entry[AS_STORED] - entry[turn] for entry in found])
        better = int((margins > 0).sum())
        print(f"{turn}: as stored is better in {better} of {len(margins)}, by {margins.min():.4f} at the least")
    print(f"as stored: {min(entry[AS_STORED] for entry in found):.4f} at the least")


def held_out_agreements(pipeline: PipelineFolder, data: str) -> list[Mapping[str, float]]:
    """Return for each case that a training held out how well its network agrees with itself, by way of turning."""
    network = ReadyNetwork.in_torch(pipeline.load_network())
    held_out = set(json.loads((pipeline.folder / "training.json").read_text(encoding="utf-8"))["split"]["val"])
    cases = [case for case in io.scan([Path(data)]).cases if case.id in held_out]
    return [segment(io.read_volume(case), case, pipeline.settings, network).checks["agreement"] for case in cases]


if __name__ == "__main__":
    main(*sys.argv[1:])
