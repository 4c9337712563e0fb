"""How often the check against a fingerprint is right: false alarms on cases alike, and faults that are found.

    python benchmarks/fingerprint.py DATA

DATA holds `msd_hippocampus` (200 MR crops), `pneumoniamnist`, `adrenalmnist3d_64` and `dicom_series`. Each crop is held
against the fingerprint of the other patients' crops, the validation pictures and shapes against that of the training
ones. Then faults are put into the same cases.
"""

from __future__ import annotations

import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from medvision import io
from medvision.fingerprint import CaseFigures, Fingerprint, check, measure_case, summarise
from medvision.geometry import Geometry
from medvision.study import Reading
from medvision.volume import Volume

NAMES = {0: "one", 1: "other"}
Fault = Callable[[Volume], Volume]


def main(data: str) -> None:
    """Print a line for each data set, for each size of a small one, and for each fault."""
    _crops(Path(data) / "msd_hippocampus", Path(data) / "dicom_series")
    _pictures(Path(data) / "pneumoniamnist")
    _shapes(Path(data) / "adrenalmnist3d_64")


def is_flagged(case: CaseFigures | Volume, fingerprint: Fingerprint) -> bool:
    """Whether the case would be for review."""
    return any(finding.grade != "note" for finding in check(case, fingerprint))


def inverted(volume: Volume) -> Volume:
    """Return the image with bright and dark exchanged, in the same range."""
    values = volume.voxels.astype(np.float64)
    return volume.with_voxels(values.min() + values.max() - values)


def zeroed(volume: Volume, axis: int, first: int, count: int = 5) -> Volume:
    """Return the image with slices set to 0."""
    voxels = volume.voxels.copy()
    voxels[(slice(None), *[slice(None)] * axis, slice(first, first + count))] = 0
    return volume.with_voxels(voxels)


def spaced(volume: Volume, factor: float) -> Volume:
    """Return the image with its spacing multiplied, as by a wrong header."""
    affine = volume.geometry.affine.copy()
    affine[:3, :3] *= factor
    return replace(volume, geometry=Geometry(affine, volume.geometry.shape))


def middle(volume: Volume, sides_mm: tuple[float, float, float], spacing_mm: float = 1.0) -> Volume:
    """Return a box about the middle of an image, resampled."""
    grid = volume.geometry.reoriented("RAS").resampled((spacing_mm,) * 3)
    sides = np.minimum(np.round(np.array(sides_mm) / spacing_mm).astype(int), grid.shape)
    start = (np.array(grid.shape) - sides) // 2
    return volume.onto(grid.cropped(start.tolist(), (start + sides).tolist()))


def _crops(folder: Path, series: Path) -> None:
    cases = io.scan([folder]).cases
    volumes = [replace(io.read_volume(case), modality="MR") for case in cases]
    figures = [measure_case(v, 0, id=c.id, patient=c.patient) for v, c in zip(volumes, cases, strict=True)]
    alarms = 0
    for patient in {case.patient for case in cases}:
        others = _fingerprint(figure for figure in figures if figure.patient != patient)
        alarms += sum(is_flagged(figure, others) for figure in figures if figure.patient == patient)
    _print("hippocampus, other patients' crops", alarms, len(figures))
    generator = np.random.default_rng(0)
    for size in (5, 10, 20, 40, 80):
        found = total = 0
        for _ in range(10):
            order = generator.permutation(len(figures))
            few = _fingerprint(figures[place] for place in order[:size])
            found += sum(is_flagged(figures[place], few) for place in order[size:])
            total += len(order) - size
        _print(f"hippocampus, {size} crops drawn ten times", found, total)
    known = _fingerprint(figures)
    faults: dict[str, Fault] = {
        "inverted": inverted,
        "inverted, the brightest cut off": lambda v: inverted(
            v.with_voxels(np.minimum(v.voxels, np.percentile(v.voxels, 99.5)))
        ),
        "first 5 slices zero": lambda v: zeroed(v, 2, 0),
        "5 slices within zero": lambda v: zeroed(v, 2, 14),
        "5 sagittal planes zero": lambda v: zeroed(v, 0, 14),
        "spacing 3 mm": lambda v: spaced(v, 3.0),
        "spacing 0.5 mm": lambda v: spaced(v, 0.5),
        "called CT": lambda v: replace(v, modality="CT"),
        "less 1024": lambda v: v.with_voxels(v.voxels.astype(np.float64) - 1024),
    }
    for words, fault in faults.items():
        _print(f"hippocampus, {words}", sum(is_flagged(fault(v), known) for v in volumes), len(volumes))
    for words, volume in _others(series):
        _print(f"hippocampus, {words}", int(is_flagged(volume, known)), 1)


def _others(folder: Path) -> Iterable[tuple[str, Volume]]:
    """Yield other images than crops of a hippocampus in MR."""
    with tempfile.TemporaryDirectory() as there:
        for name in ("ct_ge_tilt", "decubitus_HFS"):
            with zipfile.ZipFile(folder / f"{name}.zip") as archive:
                inputs = [entry for entry in archive.namelist() if "/In/" in entry and entry.endswith(".dcm")]
                archive.extractall(there, inputs)
        reading = Reading(allow_gaps=True, orthogonal=True)
        for case in io.scan([Path(there)], reading=reading).cases:
            volume = io.read_volume(case)
            yield f"a {volume.modality} of the head", volume
            crop = middle(volume, (35, 50, 36))
            if volume.modality == "CT":
                yield "a crop of a CT", crop
                yield "a crop of a CT without a modality", replace(crop, modality=None)


def _pictures(folder: Path) -> None:
    arrays = np.load(next(folder.glob("*.npz")))

    def volumes(name: str) -> list[Volume]:
        shape = arrays[name].shape[1:]
        return [Volume(x.T[None, :, :, None], Geometry.of_picture(shape[1], shape[0])) for x in arrays[name]]

    known = _fingerprint(measure_case(volume, 0) for volume in volumes("train_images"))
    held_out = volumes("val_images")
    faults: dict[str, Fault] = {
        "validation": lambda v: v,
        "inverted": inverted,
        "values x 10": lambda v: v.with_voxels(v.voxels * 10.0),
        "values 0 to 1": lambda v: v.with_voxels(v.voxels / 255.0),
        "values of 12 bits": lambda v: v.with_voxels(v.voxels * 16.0),
    }
    for words, fault in faults.items():
        _print(f"chest pictures, {words}", sum(is_flagged(fault(v), known) for v in held_out), len(held_out))


def _shapes(folder: Path) -> None:
    arrays = np.load(next(folder.glob("*.npz")))

    def figures(name: str) -> list[CaseFigures]:
        return [measure_case(Volume(x[None], Geometry(np.eye(4), x.shape, physical=False)), 0) for x in arrays[name]]

    known = _fingerprint(figures("train_images"))
    held_out = figures("val_images")
    _print("adrenal shapes, validation", sum(is_flagged(case, known) for case in held_out), len(held_out))


def _fingerprint(cases: Iterable[CaseFigures]) -> Fingerprint:
    return summarise(cases, task="classification", names=NAMES)


def _print(words: str, flagged: int, total: int) -> None:
    print(f"{words:50s} {flagged:5d} of {total:5d} flagged ({100 * flagged / total:.1f} %)")


if __name__ == "__main__":
    main(*sys.argv[1:])
