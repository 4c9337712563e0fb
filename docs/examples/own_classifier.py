"""Train a classifier on your own pictures, and measure it on pictures that it has not seen.

    python docs/examples/own_classifier.py --out own

The pictures are made here, so that the answer is known: noise, with a bright disk in half of them. They lie in one
.npz file in the manner of MedMNIST. A shipped pipeline is copied, its TOML edited, trained, run and evaluated; then
the disks must have been told from the noise. It takes about half a minute on two cores.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import medvision as mv
from medvision.files import write_text
from medvision.pipeline import find

SIDE = 28
CASES = {"train": 64, "val": 24, "test": 24}
EDITS = {
    'name = "cxr-pneumonia"': 'name = "disk-or-noise"',
    '"Pneumonia or not in a paediatric chest X-ray reduced to 28 x 28 pixels"': '"A bright disk, or noise alone"',
    '"A frontal chest X-ray of a child, cut square, one grey channel"': '"A synthetic picture of 28 x 28 pixels"',
    '["grey, bone bright"]': '["grey"]',
    '0 = "normal"': '0 = "noise"',
    '1 = "pneumonia"': '1 = "disk"',
    "channels = [16, 32, 64, 128]": "channels = [8, 16, 32, 64]",
    "epochs = 20": "epochs = 5",
    "steps_per_epoch = 25": "steps_per_epoch = 20",
    "batch = 64": "batch = 16",
    "average = 0.98": "average = 0.5",
}
CARD = """[card]
intended_use = "An example. It tells disks from noise, and nothing else."
training_data = "Synthetic pictures, made by docs/examples/own_classifier.py."
licence = "Apache-2.0"
limits = ["It has seen no medical image."]
"""


def main() -> None:
    """Make pictures, train on them, and print how well the disks are told from the noise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="a folder for everything that is written")
    out: Path = parser.parse_args().out

    data = out / "disks.npz"
    write_pictures(data, seed=0)
    shipped = find("cxr-pneumonia") / "pipeline.toml"
    write_text(out / "settings" / "pipeline.toml", edited(shipped.read_text(encoding="utf-8")))

    trained = mv.Pipeline.open(out / "settings").train(data, out / "disk-or-noise")
    for sentence in trained.results:
        print(f"validation: {sentence}")

    pipeline = mv.Pipeline.open(trained.folder)
    batch = pipeline.run(data, out / "results", split="test")
    evaluation = pipeline.evaluate(out / "results", data, split="test")
    print(f"test: {batch.count('done')} done, {batch.count('review')} of them for review")
    print(f"test: AUC {evaluation.estimates['AUC']}")
    print(f"report: {out / 'results' / 'index.html'}")


def write_pictures(path: Path, *, seed: int) -> None:
    """Write noise (class 0) and noise with a disk (class 1) to an .npz in the manner of MedMNIST."""
    random = np.random.default_rng(seed)
    arrays: dict[str, NDArray[np.uint8]] = {}
    for split, count in CASES.items():
        labels = np.arange(count, dtype=np.uint8) % 2
        arrays[f"{split}_images"] = np.stack([picture(random, disk=bool(label)) for label in labels])
        arrays[f"{split}_labels"] = labels[:, None]
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, allow_pickle=False, **arrays)


def picture(random: np.random.Generator, *, disk: bool) -> NDArray[np.uint8]:
    """Return (rows, columns) noise, with a disk of 4 to 6 pixels radius somewhere on request."""
    values = random.normal(90.0, 30.0, (SIDE, SIDE))
    if disk:
        row, column = random.uniform(8, SIDE - 8, 2)
        rows, columns = np.mgrid[:SIDE, :SIDE]
        values += 25.0 * (np.hypot(rows - row, columns - column) < random.uniform(4, 6))
    return np.clip(values, 0, 255).astype(np.uint8)


def edited(text: str) -> str:
    """Return the settings of a pipeline with what is ours in them; the card is written anew."""
    settings, _, _ = text.partition("[card]")
    for old, new in EDITS.items():
        if settings.count(old) != 1:
            raise SystemExit(f"{old!r} stands {settings.count(old)} times in the pipeline, once is expected")
        settings = settings.replace(old, new)
    return settings + CARD


if __name__ == "__main__":
    main()
