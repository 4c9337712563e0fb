"""Torture: several frames in one file: enhanced CT, MR and PET, mosaics, and frames without a place."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.uid import UID
from torture import Expect, Truth, add, lattice, refused, right, torture, value_at, warned
from torture_dicom import ROOT, Frame, base, ds, enhanced, every, place, put, save, slices

AXIAL = lattice()
OBLIQUE = lattice((0.8, 0.6, 0, -0.48, 0.64, 0.6), origin=(-13.37, 5.21, 17.9))
TILTED = lattice(step=(0, 0.8038, 3.0))
SAGITTAL = lattice((0, 1, 0, 0, 0, -1), origin=(-9, -14, 20))
SHUFFLED = (3, 7, 0, 5, 1, 6, 2, 4)
ALIKE = ("PlaneOrientationSequence", "PixelMeasuresSequence", "PixelValueTransformationSequence")


def _one(folder: Path, frames: Sequence[Frame], modality: str = "CT", **more: Any) -> Path:
    return save(folder / "enhanced.dcm", enhanced(frames, modality, **more))


def _frames(order: Sequence[int] = range(8), grid: Any = AXIAL, **more: Any) -> list[Frame]:
    return [Frame(grid, k, **more) for k in order]


def _ordered(folder: Path, order: Sequence[int], shared: Sequence[str], modality: str, grid: Any) -> Expect:
    _one(folder, _frames(order, grid), modality, shared=shared)
    return right(grid, warning="free" if modality == "PT" else "none")


_READ = {
    "enhanced_ct": (range(8), ALIKE, "CT", OBLIQUE),
    "enhanced_mr": (range(8), ALIKE, "MR", OBLIQUE),
    "enhanced_pet_without_a_unit": (range(8), ALIKE, "PT", AXIAL),
    "enhanced_all_groups_per_frame": (range(8), (), "CT", OBLIQUE),
    "enhanced_orientation_shared_alone": (range(8), ALIKE[:1], "MR", SAGITTAL),
    "enhanced_shuffled_frames": (SHUFFLED, ALIKE, "CT", OBLIQUE),
    "enhanced_reversed_frames": (range(7, -1, -1), ALIKE, "MR", AXIAL),
    "enhanced_sagittal_shuffled": (SHUFFLED, (), "MR", SAGITTAL),
}
for _name, (_order, _shared, _modality, _grid) in _READ.items():
    add(_name, partial(_ordered, order=_order, shared=_shared, modality=_modality, grid=_grid))


@torture
def enhanced_of_one_frame(folder: Path) -> Expect:
    _one(folder, _frames([2]), shared=ALIKE)
    return right(AXIAL.part(2, 3))


@torture
def enhanced_rescaled_frame_by_frame(folder: Path) -> Expect:
    _one(folder, [Frame(AXIAL, k, slope=0.05 + 0.01 * k, intercept=-300.0 - k) for k in SHUFFLED])
    return right(AXIAL)


@torture
def enhanced_tilted(folder: Path) -> Expect:
    _one(folder, _frames(SHUFFLED, TILTED), shared=ALIKE)
    return warned(TILTED)


@torture
def enhanced_rescale_missing_on_one_frame(folder: Path) -> Expect:
    frames = _frames()
    dataset = enhanced(frames)
    del dataset.PerFrameFunctionalGroupsSequence[4].PixelValueTransformationSequence
    save(folder / "e.dcm", dataset)
    return refused("bad-rescale", "series-mixed", "bad-header")


@torture
def enhanced_run_length_encoded(folder: Path) -> Expect:
    dataset = enhanced(_frames(SHUFFLED), shared=ALIKE)
    dataset.compress(UID("1.2.840.10008.1.2.5"), encoding_plugin="pydicom", generate_instance_uid=False)
    save(folder / "e.dcm", dataset)
    return right(AXIAL)


def _content(keyword: str, values: Sequence[int]) -> dict[str, dict[str, Any]]:
    return {"FrameContentSequence": {keyword: list(values) if len(values) > 1 else values[0]}}


def _several(tags: Sequence[dict[str, Any]], *, shuffled: bool = True) -> list[Frame]:
    frames = [Frame(AXIAL, k, offset=100.0 * t, tags=more) for k in range(8) for t, more in enumerate(tags)]
    order = np.random.default_rng(3).permutation(len(frames)) if shuffled else range(len(frames))
    return [frames[n] for n in order]


_TIMES = [{"FrameContentSequence": {"TemporalPositionIndex": t + 1}} for t in range(3)]
_SEVERAL: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "enhanced_times": ("CT", _TIMES),
    "enhanced_echoes": ("MR", [{"MREchoSequence": {"EffectiveEchoTime": t}} for t in (2.3, 4.6, 11.5)]),
    "enhanced_b_values": ("MR", [{"MRDiffusionSequence": {"DiffusionBValue": b}} for b in (0.0, 500.0, 1000.0)]),
    "enhanced_cardiac_phases": (
        "MR",
        [{"CardiacSynchronizationSequence": {"NominalCardiacTriggerDelayTime": t}} for t in (0.0, 40.0, 80.0)],
    ),
    "enhanced_times_by_date_and_time": (
        "MR",
        [{"FrameContentSequence": {"FrameAcquisitionDateTime": f"2026010210{t:02d}00.5"}} for t in (20, 21, 22)],
    ),
    "enhanced_times_by_dimension_index": (
        "MR",
        [{"FrameContentSequence": {"DimensionIndexValues": [1, t + 1]}} for t in range(3)],
    ),
}


def _volumes(folder: Path, name: str) -> Expect:
    modality, tags = _SEVERAL[name]
    _one(folder, _several(tags), modality, shared=ALIKE)
    expect = right(*(Truth(AXIAL, offset=100.0 * t) for t in range(3)), ordered=True)
    return expect.or_refused("slices-duplicate", "series-mixed") if "date" in name or "index" in name else expect


for _name in _SEVERAL:
    add(_name, partial(_volumes, name=_name))


@torture
def enhanced_stacks_of_two_orientations(folder: Path) -> Expect:
    stacks = [(AXIAL, "1"), (SAGITTAL, "2")]
    frames = [
        Frame(grid, k, tags={"FrameContentSequence": {"StackID": name, "InStackPositionNumber": k + 1}})
        for k in range(8)
        for grid, name in stacks
    ]
    _one(folder, frames, "MR")
    return right(AXIAL, SAGITTAL, warning="free")


@torture
def enhanced_orientations_mixed_without_stacks(folder: Path) -> Expect:
    _one(folder, [*_frames(range(4)), *_frames(range(4, 8), SAGITTAL)], "MR")
    return right(AXIAL.part(0, 4), SAGITTAL.part(4, 8), warning="free").or_refused("series-mixed")


@torture
def enhanced_two_stacks_at_a_distance(folder: Path) -> Expect:
    """Two slabs of one orientation, 40 mm apart, each even in itself."""
    frames = [
        Frame(
            AXIAL, k, tags={"FrameContentSequence": {"StackID": str(1 + (k > 9)), "InStackPositionNumber": k % 10 + 1}}
        )
        for k in (0, 1, 2, 3, 15, 16, 17, 18)
    ]
    _one(folder, frames, "MR", shared=ALIKE)
    return right(AXIAL.part(0, 4), AXIAL.part(15, 19), warning="free").or_refused("slices-missing", "slices-uneven")


@torture
def enhanced_lacks_a_frame(folder: Path) -> Expect:
    _one(folder, _frames([0, 1, 2, 4, 5, 6, 7]), shared=ALIKE)
    return refused("slices-missing", "slices-uneven")


@torture
def enhanced_has_a_position_twice(folder: Path) -> Expect:
    _one(folder, [*_frames(), Frame(AXIAL, 3, offset=9.0)], shared=ALIKE)
    return refused("slices-duplicate")


@torture
def enhanced_time_lacks_a_frame(folder: Path) -> Expect:
    _one(folder, _several(_TIMES, shuffled=False)[:-2], "MR", shared=ALIKE)
    refusals = frozenset({"slices-missing", "slices-uneven", "series-mixed"})
    kept = tuple(Truth(AXIAL, offset=100.0 * t) for t in range(1))
    return Expect(kept, warning="free", refusal=refusals, instead=refused(*refusals))


def _broken(folder: Path, name: str) -> Expect:
    dataset = enhanced(_frames(), shared=ALIKE[2:])
    per_frame = dataset.PerFrameFunctionalGroupsSequence
    if name == "position":
        del per_frame[5].PlanePositionSequence
    elif name == "orientation":
        del per_frame[5].PlaneOrientationSequence
    elif name == "measures":
        for group in per_frame:
            del group.PixelMeasuresSequence
    elif name == "groups":
        dataset.PerFrameFunctionalGroupsSequence = per_frame[:7]
    elif name == "all_groups":
        del dataset.PerFrameFunctionalGroupsSequence
    elif name == "pixels":
        dataset.PixelData = dataset.PixelData[: -12 * 10 * 2]
    elif name == "frames":
        dataset.NumberOfFrames = 9
    save(folder / "broken.dcm", dataset)
    return refused(
        "bad-geometry",
        "bad-header",
        "truncated",
        "series-mixed",
        "slices-missing",
        "slices-uneven",
        named=("broken.dcm",),
    )


for _name in ("position", "orientation", "measures", "groups", "all_groups", "pixels", "frames"):
    add(f"enhanced_lacks_{_name}", partial(_broken, name=_name))


@torture
def enhanced_pixel_spacing_changes(folder: Path) -> Expect:
    wide = lattice(spacing=(2.5, 1.5, 3.0))
    _one(folder, [*_frames(range(4)), *_frames(range(4, 8), wide)])
    return right(AXIAL.part(0, 4), wide.part(4, 8), warning="free").or_refused("series-mixed")


@torture
def enhanced_in_two_files(folder: Path) -> Expect:
    """A concatenation: one image, its frames in two files (PS3.3, C.7.6.16.2.2.4)."""
    for number, order in ((1, range(5)), (2, range(5, 8))):
        part = enhanced(_frames(order), shared=ALIKE)
        every([part], ConcatenationUID=f"{ROOT}.60", InConcatenationNumber=number, InConcatenationTotalNumber=2)
        every([part], ConcatenationFrameOffsetNumber=order[0], SOPInstanceUID=f"{ROOT}.6{number}")
        save(folder / f"part{number}.dcm", part)
    return right(AXIAL).or_refused("series-mixed", "slices-missing", "slices-uneven", "unsupported")


@torture
def enhanced_objects_of_two_times(folder: Path) -> Expect:
    for t in range(2):
        one = enhanced(_frames(offset=100.0 * t), shared=ALIKE)
        every([one], SOPInstanceUID=f"{ROOT}.6{t}", InstanceNumber=t + 1, AcquisitionTime=f"10{20 + t}00")
        save(folder / f"time{t}.dcm", one)
    return right(*(Truth(AXIAL, offset=100.0 * t) for t in range(2)), warning="free").or_refused(
        "slices-duplicate", "series-mixed"
    )


@torture
def legacy_converted_enhanced_ct(folder: Path) -> Expect:
    save(
        folder / "legacy.dcm",
        every([enhanced(_frames(SHUFFLED), shared=ALIKE)], SOPClassUID="1.2.840.10008.5.1.4.1.1.2.2")[0],
    )
    return right(AXIAL)


def _csa(tags: dict[str, tuple[str, list[str]]]) -> bytes:
    """Return a header in the manner of Siemens (SV10)."""
    found = b"SV10\x04\x03\x02\x01" + struct.pack("<II", len(tags), 77)
    for name, (kind, values) in tags.items():
        count = 6
        found += name.encode().ljust(64, b"\0") + struct.pack(
            "<i4siii", len(values), kind.encode().ljust(4, b"\0"), 0, count, 77
        )
        for n in range(count):
            item = (values[n].encode() + b"\0") if n < len(values) else b""
            found += struct.pack("<4i", len(item), len(item), 77, len(item)) + item + bytes(-len(item) % 4)
    return found


def mosaic(grid: Any, *, count: int | None = 8, b_value: float | None = None) -> Any:
    """Return a mosaic of 3 x 3 tiles, its last one empty; its position is that of a picture of all tiles."""
    tiles = np.zeros((3 * 10, 3 * 12))
    values = value_at(grid.points()) * 8 + 4096
    for k in range(8):
        row, column = divmod(k, 3)
        tiles[row * 10 : row * 10 + 10, column * 12 : column * 12 + 12] = values[:, :, k].T
    dataset = put(place(base("MR"), grid), tiles)
    along_row, along_column, step = grid.affine[:3, :3].T
    dataset.ImagePositionPatient = ds(*(grid.origin(0) - (36 - 12) / 2 * along_row - (30 - 10) / 2 * along_column))
    dataset.Manufacturer, dataset.ImageType = "SIEMENS", ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
    dataset.SOPInstanceUID, dataset.InstanceNumber = f"{ROOT}.71", 1
    dataset.SpacingBetweenSlices = ds(np.linalg.norm(step))[0]
    dataset.RescaleSlope, dataset.RescaleIntercept = "0.125", "-512"
    tags = {} if count is None else {"NumberOfImagesInMosaic": ("US", [f"{count:8d}"])}
    normal = step / np.linalg.norm(step)
    tags["SliceNormalVector"] = ("FD", [f"{x:.8f}" for x in normal])
    if b_value is not None:
        tags["B_value"] = ("IS", [f"{b_value:g}"])
    block = dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    block.add_new(0x08, "CS", "IMAGE NUM 4")
    block.add_new(0x10, "OB", _csa(tags))
    return dataset


def _one_mosaic(folder: Path, grid: Any) -> Expect:
    save(folder / "mosaic.dcm", mosaic(grid))
    return right(Truth(grid, near_mm=0.02, tolerance=0.15), warning="free").or_refused("unsupported", "bad-geometry")


for _name, _grid in {
    "axial": AXIAL,
    "oblique": OBLIQUE,
    "sagittal": SAGITTAL,
    "head_to_feet": lattice(origin=(-11, -7, 20), step=(0, 0, -3.0)),
}.items():
    add(f"mosaic_{_name}", partial(_one_mosaic, grid=_grid))


@torture
def mosaic_without_its_number_of_images(folder: Path) -> Expect:
    save(folder / "mosaic.dcm", mosaic(AXIAL, count=None))
    return refused("unsupported", "bad-header", "bad-geometry")


@torture
def mosaic_with_more_images_than_tiles(folder: Path) -> Expect:
    save(folder / "mosaic.dcm", mosaic(AXIAL, count=90))
    return refused("unsupported", "bad-header", "bad-geometry")


@torture
def mosaic_without_its_private_header(folder: Path) -> Expect:
    dataset = mosaic(AXIAL)
    dataset.remove_private_tags()
    save(folder / "mosaic.dcm", dataset)
    return refused("unsupported", "bad-header", "bad-geometry")


@torture
def mosaics_of_two_times(folder: Path) -> Expect:
    for t in range(2):
        dataset = mosaic(AXIAL)
        stored = np.frombuffer(dataset.PixelData, "<u2") + t * 800
        every([dataset], PixelData=stored.astype("<u2").tobytes(), SOPInstanceUID=f"{ROOT}.7{t}", InstanceNumber=t + 1)
        every([dataset], AcquisitionNumber=t + 1, AcquisitionTime=f"10200{2 * t}.5")
        save(folder / f"mosaic{t}.dcm", dataset)
    truths = [Truth(AXIAL, offset=100.0 * t, near_mm=0.02, tolerance=0.15) for t in range(2)]
    return right(*truths, ordered=True, warning="free").or_refused("unsupported", "bad-geometry")


@torture
def mosaics_of_two_b_values_that_private_elements_alone_state(folder: Path) -> Expect:
    for n, b in enumerate((1000, 0)):
        dataset = mosaic(AXIAL, b_value=b)
        stored = np.frombuffer(dataset.PixelData, "<u2") + (b // 1000) * 800
        every([dataset], PixelData=stored.astype("<u2").tobytes(), SOPInstanceUID=f"{ROOT}.7{n}", InstanceNumber=n + 1)
        save(folder / f"mosaic{n}.dcm", dataset)
    truths = [Truth(AXIAL, offset=100.0 * (b // 1000), near_mm=0.02, tolerance=0.15) for b in (0, 1000)]
    return right(*truths, ordered=True, warning="free")


def _pictures(folder: Path, modality: str, pixels: np.ndarray, sop_class: str) -> Expect:
    """Frames without a place in the patient: each is a picture, never a slice."""
    dataset = put(base(modality), pixels, allocated=8, bits=8)
    every([dataset], NumberOfFrames=len(pixels), SOPClassUID=sop_class, SOPInstanceUID=f"{ROOT}.81", FrameTime="33")
    save(folder / "frames.dcm", dataset)
    axes = (3, 2, 1) if pixels.ndim == 4 else (2, 1)
    pictures = [np.moveaxis(p, range(p.ndim), [a - 1 for a in axes]) for p in pixels]
    truths = [Truth(None, pixels=(p if p.ndim == 3 else p[None])[..., None]) for p in pictures]
    return right(*truths, ordered=True, warning="free").or_refused("unsupported")


_GREY = np.random.default_rng(2).integers(0, 255, (4, 10, 12))
_COLOUR = np.random.default_rng(2).integers(0, 255, (4, 10, 12, 3))
for _name, _case in {
    "frames_of_ultrasound_in_colour": ("US", _COLOUR, "1.2.840.10008.5.1.4.1.1.3.1"),
    "frames_of_ultrasound_in_grey": ("US", _GREY, "1.2.840.10008.5.1.4.1.1.3.1"),
    "frames_of_secondary_capture": ("SC", _GREY, "1.2.840.10008.5.1.4.1.1.7.2"),
    "frames_of_angiography": ("DX", _GREY, "1.2.840.10008.5.1.4.1.1.12.1"),
}.items():
    add(_name, partial(_pictures, modality=_case[0], pixels=_case[1], sop_class=_case[2]))


@torture
def multi_frame_capture_with_a_place(folder: Path) -> Expect:
    """Secondary capture of a volume, with the slices' vectors (PS3.3, A.8.3.4)."""
    dataset = enhanced(_frames(), shared=ALIKE)
    every([dataset], SOPClassUID="1.2.840.10008.5.1.4.1.1.7.3", Modality="CT")
    save(folder / "capture.dcm", dataset)
    pictures = [Truth(None, pixels=_flat(k)[None, ..., None], tolerance=0.08) for k in range(8)]
    return right(AXIAL, warning="free", instead=right(*pictures, warning="free").or_refused("unsupported"))


def _flat(k: int) -> np.ndarray:
    return np.asarray(value_at(AXIAL.points())[:, :, k])


@torture
def one_classic_slice_beside_an_enhanced_object(folder: Path) -> Expect:
    _one(folder, _frames(), shared=ALIKE)
    lone = slices(AXIAL, offset=9)[3]
    save(folder / "classic.dcm", every([lone], SOPInstanceUID=f"{ROOT}.99")[0])
    lone_truth = Truth(AXIAL.part(3, 4), offset=9)
    apart = Expect((Truth(AXIAL),), warning="free", refusal=frozenset({"slices-missing", "series-mixed"}))
    either = replace(apart, instead=refused("series-mixed", "slices-duplicate"))
    return right(Truth(AXIAL), lone_truth, warning="free", instead=either)
