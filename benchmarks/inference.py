"""medvision beside nnU-Net and MONAI's sliding window: whole commands, the same weights, the same cases.

    python -m benchmarks.inference FOLDER IMAGES --environment ENV [--labels DIR] [--no-mirroring] [--quick]

FOLDER is a results folder of nnU-Net (``.../results/Dataset.../nnUNetTrainer__nnUNetPlans__3d_fullres``), IMAGES holds
``<case>_0000.nii.gz``, ENV is nnU-Net's environment, which is made where there is none (see
:mod:`benchmarks.nnunet.environment`). The contenders take turns, forwards and backwards, so that another load of the
machine meets them alike; a ratio is that of two runs of one round. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.inference_contenders import Contender, Work, medvision, monai, nnunet
from benchmarks.inference_process import Measured
from benchmarks.inference_scores import Scores, dice_difference, scores
from benchmarks.nnunet.environment import environment

ENGINES = ("auto", "torch-fp32")
GIB = 2**30


@dataclass(frozen=True)
class Turn:
    """One run of a contender: what it took, where the time went, how good it is (None where it failed), its engine."""

    measured: Measured
    where: Mapping[str, float]
    scores: Scores | None
    engine: str = ""


def main() -> None:
    """Run the contenders and print the tables."""
    given = _arguments()
    with tempfile.TemporaryDirectory(dir=given.scratch) as scratch:
        python = environment(given.environment.absolute())
        images, folder = given.images.absolute(), given.folder.absolute()
        work = Work(folder, given.folds, images, not given.no_mirroring, python, Path(scratch))
        contenders = [nnunet(work), *(medvision(work, engine) for engine in given.engines)]
        contenders += [] if given.quick else [nnunet(work, is_sequential=True), monai(work)]
        load = os.getloadavg()[0]
        ours = [one for one in contenders if one.name.startswith("medvision")][:1]
        first_use = {} if given.quick else {one.name: first(one, Path(scratch)) for one in ours}
        rounds = 1 if given.quick else given.rounds
        turns = in_turns(contenders, work.cases, truths(given.labels, work.cases), rounds, Path(scratch))
    mirroring = "mirrored along the axes of the training" if work.mirrored else "without mirroring"
    print(f"{len(work.cases)} cases, {len(work.folds)} network(s), {mirroring}; {os.cpu_count()} cores, ", end="")
    print(f"load at the start {load:.1f}, {rounds} round(s)\n")
    print(table(turns), "\n")
    print(where_table(turns))
    for name, wall_s in first_use.items():
        print(f"\n{name}, the very first run on this machine: {wall_s:.1f} s")
    if given.json:
        given.json.write_text(json.dumps(as_json(turns), indent=1), encoding="utf-8")


def in_turns(
    contenders: Sequence[Contender], cases: Sequence[str], labels: Mapping[str, Path], rounds: int, scratch: Path
) -> dict[str, list[Turn]]:
    """Return the turns of each contender; the first contender's masks are what the others' are held against."""
    turns: dict[str, list[Turn]] = {contender.name: [] for contender in contenders}
    reference = scratch / "reference"
    for number in range(rounds):
        for contender in contenders if number % 2 == 0 else reversed(contenders):
            out = scratch / "out"
            run = contender.go(out)
            if contender is contenders[0] and not reference.exists() and not run.status:
                shutil.copytree(out, reference)
            others = {} if contender is contenders[0] else {case: contenders[0].mask(reference, case) for case in cases}
            if run.status:
                turns[contender.name].append(Turn(run, {}, None))
            else:
                masks = {case: contender.mask(out, case) for case in cases}
                found = scores(masks, labels, others)
                turns[contender.name].append(Turn(run, contender.where(run, out), found, contender.engine(out)))
            shutil.rmtree(out, ignore_errors=True)
    return turns


def first(contender: Contender, scratch: Path) -> float:
    """Return the seconds of a run before all others, in which engines are measured and compiled."""
    run = contender.go(scratch / "first")
    shutil.rmtree(scratch / "first", ignore_errors=True)
    return run.wall_s


def truths(labels: Path | None, cases: Sequence[str]) -> dict[str, Path]:
    """Return the true mask of each case that has one."""
    if labels is None:
        return {}
    return {case: labels / f"{case}.nii.gz" for case in cases if (labels / f"{case}.nii.gz").exists()}


def table(turns: Mapping[str, Sequence[Turn]]) -> str:
    """Return Markdown: medians over rounds; the ratio is that of the first contender's time to this one's."""
    names = ("wall s (least to most)", "times as fast (least to most)", "CPU s", "peak GiB", "Dice", "less the first's")
    lines = [f"| | {' | '.join(names)} | same labels (worst case) |", "|---" * (len(names) + 2) + "|"]
    reference = next(iter(turns.values()))
    for name, taken in turns.items():
        walls = [turn.measured.wall_s for turn in taken]
        ratios = [a.measured.wall_s / b.measured.wall_s for a, b in zip(reference, taken, strict=True)]
        cells = [name, _spread(walls, 1), _spread(ratios, 1)]
        cells.append(f"{statistics.median(turn.measured.cpu_s for turn in taken):.1f}")
        cells.append(f"{max(turn.measured.peak_bytes for turn in taken) / GIB:.2f}")
        lines.append(f"| {' | '.join([*cells, *_agreement(taken[-1], reference[-1])])} |")
    return "\n".join(lines)


def where_table(turns: Mapping[str, Sequence[Turn]]) -> str:
    """Return Markdown: the seconds of each part of the last round, as far as the contender tells."""
    lines = ["| | engine | where the time goes, s |", "|---|---|---|"]
    for name, taken in turns.items():
        parts = ", ".join(f"{part} {seconds:.1f}" for part, seconds in taken[-1].where.items())
        lines.append(f"| {name} | {taken[-1].engine} | {parts or 'not told'} |")
    return "\n".join(lines)


def as_json(turns: Mapping[str, Sequence[Turn]]) -> dict[str, Any]:
    """Return every figure of every turn, without what the commands said."""
    figures: dict[str, Any] = {}
    for name, taken in turns.items():
        rows = [{**asdict(turn.measured), "where": dict(turn.where), "engine": turn.engine} for turn in taken]
        for row, turn in zip(rows, taken, strict=True):
            del row["lines"]
            row |= {"dice": dict(turn.scores.dice), "same": dict(turn.scores.same)} if turn.scores else {}
        figures[name] = rows
    return figures


def _agreement(turn: Turn, reference: Turn) -> list[str]:
    if turn.scores is None or reference.scores is None:
        return [f"failed ({turn.measured.status})", "", ""]
    dice = turn.scores.mean_dice
    difference = dice_difference(turn.scores, reference.scores) if turn.scores.same else None
    same = list(turn.scores.same.values())
    worst = f"{100 * statistics.mean(same):.4f} % ({100 * min(same):.4f} %)" if same else ""
    return ["" if dice is None else f"{dice:.4f}", _signed(difference), worst]


def _signed(difference: Any) -> str:
    if difference is None or difference.value is None:
        return ""
    interval = "" if difference.low is None else f" ({difference.low:+.4f} to {difference.high:+.4f})"
    return f"{difference.value:+.4f}{interval}"


def _spread(values: Sequence[float], digits: int) -> str:
    middle = f"{statistics.median(values):.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--environment", type=Path, required=True)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--folds", type=int, nargs="+", default=[0])
    parser.add_argument("--engines", nargs="*", default=ENGINES)
    parser.add_argument("--no-mirroring", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one round of nnU-Net and medvision")
    parser.add_argument("--scratch", type=Path, help="a folder for what is made, removed at the end")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
