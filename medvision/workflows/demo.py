"""The main job on something that a fresh machine has: both hippocampi of the MNI152 template."""

from __future__ import annotations

import csv
import io as text_io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from medvision import io
from medvision.errors import ExtraMissingError
from medvision.files import write_text
from medvision.geometry import Geometry
from medvision.pipeline import PipelineFolder
from medvision.progress import Progress, silent
from medvision.volume import Volume
from medvision.workflows.run import BatchResult, run

CENTRES_MM: Mapping[str, tuple[float, float, float]] = {"left": (-28.0, -20.0, -16.0), "right": (28.0, -20.0, -16.0)}
"""Where the hippocampi lie in MNI152 space, RAS+ mm."""

SIZE_MM = (36, 52, 36)
"""The field of view cut around each: that of the training images."""

NOTICE = (
    "This is the MNI152 template, the average of 152 healthy heads, not a patient. It is larger than most heads. "
    "The network was trained on crops of single T1-weighted scans (Medical Segmentation Decathlon, Task04)."
)


def demo(
    out: str | Path, *, engine: str = "auto", command: str = "medvision demo", progress: Progress = silent
) -> BatchResult:
    """Cut both hippocampi from the MNI152 template, run ``mr-hippocampus`` on them, and write the report to `out`.

    The template is the one inside the ``nilearn`` package (ICBM 2009a nonlinear symmetric, 1 mm, without the skull;
    Fonov et al., NeuroImage 2011); nothing is downloaded.

    Raises
    ------
    ExtraMissingError
        The extra ``[demo]`` is not installed.
    """
    template = _template()
    folder = Path(out) / "input"
    rows = []
    for side, centre in CENTRES_MM.items():
        name = f"mni152_{side}_hippocampus.nii.gz"
        io.write_volume(folder / name, cut_around(template, centre))
        rows.append({"image": name, "id": f"mni152_{side}", "side": side, "modality": "MR"})
    table = text_io.StringIO()
    writer = csv.DictWriter(table, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(folder / "cases.csv", table.getvalue())
    pipeline = PipelineFolder.open("mr-hippocampus")
    return run(
        pipeline, [folder / "cases.csv"], Path(out), engine=engine, command=command, notice=NOTICE, progress=progress
    )


def cut_around(volume: Volume, centre_mm: tuple[float, float, float]) -> Volume:
    """Return the 36 x 52 x 36 mm of an axis-aligned volume around a point in the world, in whole voxels."""
    grid = volume.geometry.reoriented("RAS")
    half = np.array(SIZE_MM) / np.array(grid.spacing_mm) / 2
    start = np.round(grid.to_index(centre_mm) - half + 0.5).astype(int)
    return volume.onto(grid.cropped(start, start + np.round(2 * half).astype(int)))


def _template() -> Volume:
    try:
        from nilearn.datasets import load_mni152_template
    except ImportError as error:
        message = "the demo needs nilearn, whose package holds the template"
        raise ExtraMissingError("extra-missing", message, cure="pip install 'medvision-toolkit[demo]'") from error
    image = load_mni152_template(resolution=1)
    values = np.asarray(image.dataobj, dtype=np.float32)
    i, j, k = values.shape
    return Volume(values[None], Geometry(image.affine, (i, j, k)), modality="MR")
