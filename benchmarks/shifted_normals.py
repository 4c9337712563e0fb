"""How well a classifier of pneumonia does on normals that are unlike those it was trained on.

    python benchmarks/shifted_normals.py DATA OUT PIPELINE...

DATA is pneumoniamnist_trainval.npz (MedMNIST v2, the official train and val splits), PIPELINE a shipped pipeline or a
folder. The official test split is known to hold other normals than the two others, and nothing may be tuned on it. So
two splits with such a shift are made of the two: the normals are put in order by a measure of the picture (how sharp it
is, how like the mean normal), the fifth with the least of it is held out, and the next fifth is left out altogether, so
that there is a gap. With them an eighth of the pneumonias is held out, by chance: of the cases held out, some 36 % are
normal. Each pipeline is trained on the rest; prints AUC and accuracy on what is held out, at the pipeline's own
decision. A training as of cxr-pneumonia takes some two minutes of one core.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medvision.pipeline import PipelineFolder
from medvision.workflows.train import train

Pictures = NDArray[np.float64]
Measure = Callable[[Pictures], NDArray[np.float64]]
PARTS, PNEUMONIAS = 5, 8


def main(data: str, out: str, *pipelines: str) -> None:
    """Print the table."""
    images, labels = _pictures(Path(data))
    for name, measure in MEASURES.items():
        file = Path(out) / f"{name}.npz"
        file.parent.mkdir(parents=True, exist_ok=True)
        held_out, left_out = _shifted(images, labels, measure)
        kept = np.setdiff1d(np.arange(len(labels)), np.concatenate([held_out, left_out]))
        np.savez(
            file,
            train_images=images[kept],
            train_labels=labels[kept, None],
            val_images=images[held_out],
            val_labels=labels[held_out, None],
        )
        for number, pipeline in enumerate(pipelines, 1):
            found = train(PipelineFolder.open(pipeline), [file], Path(out) / f"{name}-{number}")
            print(f"{name:<8} {pipeline}: {'; '.join(found.results[:2])}", flush=True)


def sharpness(pictures: Pictures) -> NDArray[np.float64]:
    """Return the mean absolute difference of neighbouring pixels."""
    along = [np.abs(np.diff(pictures, axis=axis)).mean(axis=(1, 2)) for axis in (1, 2)]
    return np.asarray(along[0] + along[1])


def likeness(pictures: Pictures) -> NDArray[np.float64]:
    """Return how far they correlate with their mean."""
    scaled = _standard(pictures).reshape(len(pictures), -1)
    return np.asarray(scaled @ scaled.mean(axis=0))


MEASURES: dict[str, Measure] = {"soft": sharpness, "unlike": likeness}


def _pictures(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    with np.load(path) as arrays:
        images = np.concatenate([arrays["train_images"], arrays["val_images"]])
        return images, np.concatenate([arrays["train_labels"], arrays["val_labels"]]).ravel()


def _shifted(
    images: NDArray[np.uint8], labels: NDArray[np.uint8], measure: Measure
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the places of the cases held out, and of the normals that are left out beside them."""
    normals, pneumonias = np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)
    order = normals[np.argsort(measure(images[normals].astype(np.float64)), kind="stable")]
    count = len(normals) // PARTS
    some = np.random.default_rng(5).permutation(pneumonias)[: len(pneumonias) // PNEUMONIAS]
    return np.concatenate([order[:count], some]), order[count : 2 * count]


def _standard(pictures: Pictures) -> Pictures:
    mean, deviation = (f(pictures, axis=(1, 2), keepdims=True) for f in (np.mean, np.std))
    return np.asarray((pictures - mean) / deviation)


if __name__ == "__main__":
    main(*sys.argv[1:])
