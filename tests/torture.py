"""The judge of the torture set: inputs written by code, whose right answer is a number.

A voxel at the patient position (x, y, z) in mm, in DICOM's LPS frame, has the value 3x + 5y + 7z + 40. Each flip,
shift, shear, wrong spacing or wrong rescale of a reader shows as a number. The cases stand in ``torture_*.py``: each is
a function that writes its input into a folder and returns what may come of it.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

import medvision as mv
from medvision.errors import Finding, MedvisionError
from medvision.io.read import Loaded
from medvision.volume import Volume

PLANTED = ("TORTURE", "Planted", "19170203", "1.2.826.0.1.3680043.10.777", "secret words")
"""Identities in the headers, none of which may stand in what medvision says."""

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_WEIGHTS = np.array([3.0, 5.0, 7.0])


@dataclass(frozen=True, eq=False)
class Lattice:
    """Where the voxels (column, row, slice) of a true volume lie: an affine to LPS, mm, that may be sheared."""

    affine: NDArray[np.float64]
    shape: tuple[int, int, int]

    def points(self) -> NDArray[np.float64]:
        """Return (columns, rows, slices, 3) positions."""
        return np.stack(np.indices(self.shape), axis=-1) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def origin(self, k: float) -> NDArray[np.float64]:
        """Return the position of the first voxel of slice `k`."""
        return np.asarray(self.affine[:3, 3] + k * self.affine[:3, 2])

    def part(self, first: int, last: int) -> Lattice:
        """Return the slices from `first` up to and without `last`."""
        affine = self.affine.copy()
        affine[:3, 3] = self.origin(first)
        return Lattice(affine, (*self.shape[:2], last - first))

    @property
    def corners(self) -> NDArray[np.float64]:
        """(8, 3) positions of the corner voxels in RAS."""
        ends = np.array(np.meshgrid(*[(0, size - 1) for size in self.shape], indexing="ij")).reshape(3, -1).T
        return (ends @ self.affine[:3, :3].T + self.affine[:3, 3]) * (-1, -1, 1)


def lattice(
    orientation: Sequence[float] = (1, 0, 0, 0, 1, 0),
    spacing: tuple[float, float, float] = (2.0, 1.5, 3.0),
    origin: tuple[float, float, float] = (-11.0, -7.0, -20.0),
    shape: tuple[int, int, int] = (12, 10, 8),
    step: Sequence[float] | None = None,
) -> Lattice:
    """Return a lattice; `spacing` is between columns, rows and slices, `step` leads from slice to slice."""
    along_row, along_column = np.array(orientation[:3], float), np.array(orientation[3:], float)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = along_row * spacing[0], along_column * spacing[1]
    affine[:3, 2] = np.cross(along_row, along_column) * spacing[2] if step is None else step
    affine[:3, 3] = origin
    return Lattice(affine, shape)


def value_at(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the true value at (..., 3) positions in LPS, mm."""
    return np.asarray(points @ _WEIGHTS + 40)


@dataclass(frozen=True, eq=False)
class Truth:
    """What one volume must be.

    Parameters
    ----------
    lattice
        Where its voxels lie; None for a picture without a place, whose `pixels` are given.
    offset, scale
        The voxels are ``scale * (3x + 5y + 7z + 40 + offset)``.
    tolerance
        How far a voxel may be off: half a step of the stored numbers, mostly.
    near_mm
        How far a corner may be off.
    hidden
        (columns, rows, slices) which voxels hold no measurement.
    unit
        What the unit must contain, e.g. ``"SUV"``.
    pixels
        (channels, columns, rows, slices) the values, where they are not those of the positions.
    spacing_mm
        For a picture: the distances between columns and between rows.
    optional
        The volume may be there, or be left out with a finding.
    """

    lattice: Lattice | None
    offset: float = 0.0
    scale: float = 1.0
    tolerance: float = 0.08
    near_mm: float = 0.01
    hidden: NDArray[np.bool_] | None = None
    unit: str | None = None
    pixels: NDArray[Any] | None = None
    spacing_mm: tuple[float, float] | None = None
    optional: bool = False


@dataclass(frozen=True, eq=False)
class Expect:
    """What may come of an input.

    Parameters
    ----------
    truths
        The volumes that must be read, in their order where `ordered`; no other may be.
    warning
        ``"none"``: a clean input, no warning; ``"some"``: one at least; ``"free"``; or the codes of which one must be.
    refusal
        The codes of which one must be among the refusals; None: nothing may be refused but the files of `named`.
    named
        File names that must be told of, as skipped or refused or in a finding of the volume.
    entry
        What is loaded; the folder itself where None.
    instead
        Another outcome that is as good.
    """

    truths: tuple[Truth, ...] = ()
    warning: Literal["none", "some", "free"] | tuple[str, ...] = "none"
    refusal: frozenset[str] | None = None
    named: tuple[str, ...] = ()
    ordered: bool = False
    entry: Path | None = None
    instead: Expect | None = None

    def or_refused(self, *codes: str) -> Expect:
        """Return that the input may also be refused as a whole."""
        return replace(self, instead=replace(refused(*codes), named=self.named, entry=self.entry))


def right(*truths: Lattice | Truth, **more: Any) -> Expect:
    """Return that these volumes must be read, and no other."""
    return Expect(tuple(t if isinstance(t, Truth) else Truth(t) for t in truths), **more)


def warned(*truths: Lattice | Truth, codes: tuple[str, ...] = (), **more: Any) -> Expect:
    """Return that these volumes must be read with a warning, of one of the codes if they are given."""
    return right(*truths, warning=codes or "some", **more)


def refused(*codes: str, named: tuple[str, ...] = (), **more: Any) -> Expect:
    """Return that nothing may be read, with a refusal of one of these codes."""
    return Expect(refusal=frozenset(codes), warning="free", named=named, **more)


Builder = Callable[[Path], Expect]
CASES: dict[str, Builder] = {}
"""All cases that were imported, by their names."""


def torture(builder: Builder) -> Builder:
    """Add a case under its function's name."""
    return add(builder.__name__, builder)


def add(name: str, builder: Builder) -> Builder:
    """Add a case."""
    if name in CASES:
        raise KeyError(f"two cases are called {name}")
    CASES[name] = builder
    return builder


def faults_of(name: str, folder: Path) -> list[str]:
    """Build a case in the folder, load it, and return what is wrong with what came, in words."""
    folder.mkdir(parents=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, about what is wrong in what we write on purpose
        expect = CASES[name](folder)
    return faults(loaded(expect.entry or folder), expect)


def loaded(path: Path) -> Loaded:
    """Load; an error for the call as a whole counts as a refusal."""
    try:
        return mv.load(path)
    except MedvisionError as error:
        return Loaded({}, (error.finding,), ())


def faults(got: Loaded, expect: Expect) -> list[str]:
    """Return in words what is wrong with what was loaded; nothing for a right answer."""
    found = [*_faults_of_volumes(got, expect), *_faults_of_words(got, expect)]
    if found and expect.instead is not None:
        other = faults(got, expect.instead)
        return [*found, *(f"or else: {fault}" for fault in other)] if other else []
    return found


def _faults_of_volumes(got: Loaded, expect: Expect) -> list[str]:
    found = []
    left = dict(sorted(got.volumes.items(), key=lambda item: _natural(item[0])))
    for n, truth in enumerate(expect.truths):
        tried = dict(list(left.items())[:1]) if expect.ordered else left
        wrong = {case: faults_of_volume(volume, truth) for case, volume in tried.items()}
        match = next((case for case, about in wrong.items() if not about), None)
        if match is not None:
            del left[match]
        elif not truth.optional:
            nearest = min(wrong.values(), key=len, default=["there is none"])
            found.append(f"volume {n + 1} of {len(expect.truths)}: {'; '.join(nearest)}")
    if left:
        found.append(f"SILENT: {len(left)} volumes that should not be: {[v.voxels.shape for v in left.values()]}")
    return found


def faults_of_volume(volume: Volume, truth: Truth) -> list[str]:
    """Return in words how a volume differs from its truth."""
    if truth.unit is not None and truth.unit not in str(volume.unit):
        return [f"the unit is {volume.unit}, not {truth.unit}"]
    if truth.lattice is None:
        return _faults_of_picture(volume, truth)
    geometry = volume.geometry
    if volume.channels != 1 or sorted(geometry.shape) != sorted(truth.lattice.shape):
        return [f"the shape is {volume.voxels.shape}, not {truth.lattice.shape}"]
    found = []
    apart = np.linalg.norm(truth.lattice.corners[:, None] - geometry.corners[None], axis=2).min(axis=1).max()
    if not apart <= truth.near_mm:
        found.append(f"a corner lies {apart:.3f} mm off")
    points = Lattice((_LPS_TO_RAS @ geometry.affine), geometry.shape).points()
    wanted = truth.scale * (value_at(points) + truth.offset)
    off = np.abs(volume.voxels[0].astype(np.float64) - wanted)
    if truth.hidden is not None:
        measured = ~_turned(truth.hidden, volume, truth.lattice)
        ends = wanted[measured].min() - truth.tolerance, wanted[measured].max() + truth.tolerance
        hidden = volume.voxels[0][~measured]
        if hidden.min() < ends[0] or hidden.max() > ends[1]:
            found.append(f"padding has the values {hidden.min():g} to {hidden.max():g}")
        off = off[measured]
    if not off.max() <= truth.tolerance:
        found.append(f"voxels are up to {off.max():.3g} off, {off.mean():.3g} on average")
    return found


def _turned(mask: NDArray[np.bool_], volume: Volume, lattice: Lattice) -> NDArray[np.bool_]:
    """Return the mask of the lattice in the order of the volume's voxels."""
    points = volume.geometry.to_world(np.stack(np.indices(volume.geometry.shape), axis=-1)) * (-1, -1, 1)
    index = np.round((points - lattice.affine[:3, 3]) @ np.linalg.inv(lattice.affine[:3, :3]).T).astype(int)
    i, j, k = np.clip(np.moveaxis(index, -1, 0), 0, np.array(lattice.shape)[:, None, None, None] - 1)
    return np.asarray(mask[i, j, k])


def _faults_of_picture(volume: Volume, truth: Truth) -> list[str]:
    assert truth.pixels is not None
    if volume.voxels.shape != truth.pixels.shape:
        return [f"the shape is {volume.voxels.shape}, not {truth.pixels.shape}"]
    if truth.spacing_mm is not None and not np.allclose(volume.geometry.spacing[:2], truth.spacing_mm):
        return [f"the spacing is {volume.geometry.spacing}, not {truth.spacing_mm}"]
    off = np.abs(volume.voxels.astype(np.float64) - truth.pixels).max()
    return [] if off <= truth.tolerance else [f"pixels are up to {off:.3g} off"]


def _faults_of_words(got: Loaded, expect: Expect) -> list[str]:
    told = [*got.rejected, *got.skipped, *(f for volume in got.volumes.values() for f in volume.findings)]
    found = [*_faults_of_findings(told), *_faults_of_warnings(got.volumes, expect)]
    for name in expect.named:
        if not any(name in str(finding) for finding in told):
            found.append(f"{name} is not told of")
    others = [f for f in got.rejected if not any(name in str(f) for name in expect.named)]
    codes = sorted({finding.code for finding in got.rejected})
    if expect.refusal is None and others:
        found.append(f"FALSE REFUSAL: {others[0].code}: {others[0].message}")
    if expect.refusal is not None and not got.rejected:
        found.append("nothing is refused")
    if expect.refusal and got.rejected and not expect.refusal & set(codes):
        found.append(f"refused for {codes}, not {sorted(expect.refusal)}: {got.rejected[0].message}")
    return found


def _faults_of_findings(told: Iterable[Finding]) -> list[str]:
    found = []
    for finding in told:
        said = f"{finding.message} {finding.cure}"
        found += [f"{token!r} leaks in {finding.code}" for token in PLANTED if token in said]
        if finding.grade == "error" and (finding.path is None or not finding.cure):
            found.append(f"a refusal names no file or no cure: {finding}")
    return found


def _faults_of_warnings(volumes: Mapping[str, Volume], expect: Expect) -> list[str]:
    if not expect.truths:
        return []
    given = {f.code: f.message for volume in volumes.values() for f in volume.findings if f.grade == "warning"}
    if expect.warning == "none" and given:
        return [f"a clean input has warnings: {given}"]
    if expect.warning == "some" and not given and volumes:
        return ["SILENT: there is no warning"]
    if isinstance(expect.warning, tuple) and not set(expect.warning) & set(given) and volumes:
        return [f"SILENT: warned of {sorted(given)}, not of {sorted(expect.warning)}"]
    return []


def _natural(text: str) -> list[tuple[int, str]]:
    """Return a key that sorts t2 before t10."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", text)]
