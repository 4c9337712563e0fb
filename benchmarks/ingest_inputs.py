"""What the readers are given, and what is right: written inputs with a physical truth, and real series.

Written inputs are the torture set of the tests: a voxel at the patient position (x, y, z) holds 3x + 5y + 7z + 40. Real
series are the zip archives of a folder, each with `In/` (files) and `Ref/` or `dcm2niix/` (what must come out).
"""

from __future__ import annotations

import importlib
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmarks.ingest_readers import LPS, Image
from medvision.errors import MedvisionError
from medvision.geometry import Geometry
from medvision.volume import Volume

_TESTS = Path(__file__).resolve().parent.parent / "tests"
Group = Literal["clean", "hazard", "real"]


@dataclass(frozen=True, eq=False)
class Input:
    """One input.

    Parameters
    ----------
    name
        As it stands in the table.
    group
        ``"clean"``: legal, and must be read; ``"hazard"``: may be refused, and must not be wrong in silence;
        ``"real"``: a series of a scanner.
    path
        What a reader is given.
    faults
        Says in words what is wrong with the images that came; nothing for a right answer.
    """

    name: str
    group: Group
    path: Path
    faults: Callable[[Sequence[Image]], list[str]]


def written(folder: Path, is_wanted: Callable[[str], bool]) -> Iterator[Input]:
    """Write each case of the torture set whose name is wanted below `folder`, and give it."""
    sys.path.insert(0, str(_TESTS))
    torture: Any = importlib.import_module("torture")
    for module in sorted(_TESTS.glob("torture_*.py")):
        importlib.import_module(module.stem)
    for name, build in torture.CASES.items():
        if is_wanted(name):
            (folder / name).mkdir(parents=True)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pydicom's, about what is wrong on purpose
                expect = build(folder / name)
            is_clean = expect.refusal is None and expect.instead is None and expect.warning == "none"
            faults = _ByTorture(torture, expect)
            yield Input(name, "clean" if is_clean else "hazard", expect.entry or folder / name, faults)


def real(archives: Path, folder: Path) -> Iterator[Input]:
    """Unpack each archive below `folder`, and give its series."""
    for archive in sorted(archives.glob("*.zip")):
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(folder)
        here = folder / archive.stem
        references = sorted(here.glob("Ref/*.nii*")) or sorted(here.glob("dcm2niix/*.nii*"))
        faults = _ByReference(references) if references else _BySlices(sorted((here / "In").rglob("*.dcm")))
        yield Input(archive.stem, "real", here / "In", faults)


@dataclass(frozen=True, eq=False)
class _ByTorture:
    """Judge by the linear truth; units and words are not asked of peers."""

    torture: Any
    expect: Any

    def __call__(self, images: Sequence[Image]) -> list[str]:
        tried = [self._faults(images, self.expect)]
        if self.expect.instead is not None:
            tried.append(self._faults(images, self.expect.instead))
        return min(tried, key=len)

    def _faults(self, images: Sequence[Image], expect: Any) -> list[str]:
        left = dict(enumerate(images))
        found = []
        for n, truth in enumerate(expect.truths):
            about = {key: self._compared(image, replace(truth, unit=None)) for key, image in left.items()}
            match = next((key for key, faults in about.items() if not faults), None)
            if match is not None:
                del left[match]
            elif not truth.optional:
                nearest = min(about.values(), key=len, default=["it is missing"])
                found.append(f"volume {n + 1} of {len(expect.truths)}: {'; '.join(nearest)}")
        if not expect.truths and images:
            return ["there is an image, and there should be none"]
        for image in left.values():
            if not any(self._lies_right(image, truth) for truth in expect.truths):
                found.append(f"a volume {image.voxels.shape} that is not the truth")
        return found

    def _compared(self, image: Image, truth: Any) -> list[str]:
        if self._lies_right(image, truth):
            return []
        try:
            volume = Volume(image.voxels, Geometry(image.affine, _sizes(image)))
        except MedvisionError as error:
            return [f"no geometry: {error.code}"]
        faults: list[str] = self.torture.faults_of_volume(volume, truth)
        return faults

    def _lies_right(self, image: Image, truth: Any) -> bool:
        """Whether the voxels within the true volume are right and fill it: a resampled volume is right too.

        Voxels that hold no measurement (padding) are not looked at.
        """
        if truth.lattice is None or len(image.voxels) != 1:
            return False
        lattice = truth.lattice
        points = self.torture.Lattice(LPS @ image.affine, _sizes(image)).points()
        try:
            index = (points - lattice.affine[:3, 3]) @ np.linalg.inv(lattice.affine[:3, :3]).T
        except np.linalg.LinAlgError:
            return False
        voxel = abs(np.linalg.det(lattice.affine[:3, :3]))
        whole = np.prod(lattice.shape) * voxel
        within = ((index >= -0.01) & (index <= np.array(lattice.shape) - 0.99)).all(axis=-1)
        if truth.hidden is not None:
            nearest = np.clip(np.round(index).astype(int), 0, np.array(lattice.shape) - 1)
            within &= ~truth.hidden[tuple(np.moveaxis(nearest, -1, 0))]
            whole -= truth.hidden.sum() * voxel
        wanted = truth.scale * (self.torture.value_at(points) + truth.offset)
        off = np.abs(image.voxels[0].astype(np.float64) - wanted)[within]
        filled = within.sum() * abs(np.linalg.det(image.affine[:3, :3]))
        return bool(off.size and off.max() <= max(truth.tolerance, 0.6 * truth.scale) and filled >= 0.8 * whole)


@dataclass(frozen=True, eq=False)
class _ByReference:
    """Judge by reference files: the same values at the same places, in whatever order of axes."""

    references: Sequence[Path]

    def __call__(self, images: Sequence[Image]) -> list[str]:
        from benchmarks.ingest_readers import from_nifti

        left = [volume for image in images if (volume := _in_ras(image)) is not None]
        wanted = [_in_ras(image) for file in self.references for image in from_nifti(file)]
        found = []
        for n, reference in enumerate(wanted):
            about = [_differences(volume, reference) for volume in left]
            nearest = min(range(len(about)), key=lambda i: len(about[i]), default=None)
            if nearest is None:
                found.append(f"volume {n + 1} of {len(wanted)}: it is missing")
            elif about[nearest]:
                found.append(f"volume {n + 1} of {len(wanted)}: {'; '.join(about[nearest])}")
            else:
                del left[nearest]
        return [*found, *([f"{len(left)} volumes more than there are"] if left else [])]


@dataclass(frozen=True, eq=False)
class _BySlices:
    """Judge an uneven or tilted series by the position that each of its files states."""

    files: Sequence[Path]

    def __call__(self, images: Sequence[Image]) -> list[str]:
        return [fault for image in images for fault in self._faults(image)]

    def _faults(self, image: Image) -> list[str]:
        """Compare sampled voxels with the two slices between which they lie."""
        origins, stack, plane = self._read()
        volume = _in_ras(image)
        if volume is None:
            return ["no geometry"]
        random = np.random.default_rng(0)
        at = np.stack([random.integers(0, size, 4000) for size in volume.geometry.shape], axis=1)
        values = volume.voxels[0][tuple(at.T)]
        points = volume.geometry.to_world(at) @ LPS[:3, :3]
        normal = np.cross(plane[:, 0], plane[:, 1])
        normal /= np.linalg.norm(normal)
        heights, depth = origins @ normal, points @ normal
        upper = np.clip(np.searchsorted(heights, depth), 1, len(heights) - 1)
        share = (depth - heights[upper - 1]) / (heights[upper] - heights[upper - 1])
        inside = (share >= -1e-3) & (share <= 1 + 1e-3)
        origin = origins[upper - 1] + share[:, None] * (origins[upper] - origins[upper - 1])
        column, row = np.linalg.lstsq(plane, (points - origin).T, rcond=None)[0]
        inside &= (column >= 0) & (column <= stack.shape[2] - 1) & (row >= 0) & (row <= stack.shape[1] - 1)
        c, r = (
            np.round(column).astype(int).clip(0, stack.shape[2] - 1),
            np.round(row).astype(int).clip(0, stack.shape[1] - 1),
        )
        wanted = stack[upper - 1, r, c] * (1 - share) + stack[upper, r, c] * share
        off = np.abs(values - wanted)[inside]
        whole = (heights[-1] - heights[0]) * np.linalg.norm(plane[:, 0]) * np.linalg.norm(plane[:, 1]) * stack[0].size
        reach = inside.mean() * np.prod(volume.geometry.shape) * abs(np.linalg.det(volume.geometry.affine[:3, :3]))
        if reach < 0.8 * whole:
            return [f"{reach / whole:.0%} of the true volume is filled"]
        return [] if (off <= 20).mean() > 0.9 else [f"{(off > 20).mean():.0%} of voxels are over 20 HU off"]

    def _read(self) -> tuple[Any, Any, Any]:
        from pydicom import dcmread

        datasets = [dcmread(file) for file in self.files]
        axes = np.array(datasets[0].ImageOrientationPatient, float).reshape(2, 3)
        normal = np.cross(*axes)
        datasets.sort(key=lambda dataset: float(np.dot(normal, np.array(dataset.ImagePositionPatient, float))))
        origins = np.array([dataset.ImagePositionPatient for dataset in datasets], float)
        stack = np.stack([d.pixel_array * float(d.RescaleSlope) + float(d.RescaleIntercept) for d in datasets])
        row_mm, column_mm = map(float, datasets[0].PixelSpacing)
        return origins, stack, np.stack([axes[0] * column_mm, axes[1] * row_mm], axis=1)


def _sizes(image: Image) -> tuple[int, int, int]:
    i, j, k = image.voxels.shape[1:4]
    return int(i), int(j), int(k)


def _in_ras(image: Image) -> Volume | None:
    """Return the image with its axes in the order of the world's; None where it lies nowhere."""
    try:
        grid = Geometry(image.affine, _sizes(image))
        return Volume(image.voxels.astype(np.float64), grid).onto(grid.reoriented("RAS"), order=0)
    except MedvisionError:
        return None


def _differences(volume: Volume, reference: Volume | None) -> list[str]:
    if reference is None or volume.voxels.shape != reference.voxels.shape:
        wanted = None if reference is None else reference.voxels.shape
        return [f"the shape is {volume.voxels.shape}, not {wanted}", "", ""]
    found = []
    apart = np.linalg.norm(volume.geometry.corners - reference.geometry.corners, axis=1).max()
    if apart > 0.01:
        found.append(f"a corner lies {apart:.2f} mm off")
    off = np.abs(volume.voxels - reference.voxels).max()
    if off > 1e-3 * max(1.0, np.abs(reference.voxels).max()):
        found.append(f"voxels are up to {off:.3g} off")
    return found
