"""Torture: one classic series whose geometry is unusual, or wrong."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from torture import Expect, Lattice, Truth, add, lattice, refused, right, torture, warned
from torture_dicom import ds, every, patch, place, slices, write

AXIAL = lattice()
_C, _S = np.cos(np.radians(25)), np.sin(np.radians(25))
OBLIQUE = lattice((_C, _S * _S, -_S * _C, 0, _C, _S), origin=(-13.37, 5.21, 17.9))
TILTED = lattice(step=(0, 0.8038, 3.0))  # 15 degrees

CLEAN = {
    "axial": AXIAL,
    "sagittal": lattice((0, 1, 0, 0, 0, -1)),
    "sagittal_stored_the_other_way": lattice((0, -1, 0, 0, 0, 1)),
    "coronal": lattice((1, 0, 0, 0, 0, -1)),
    "coronal_head_to_feet_rows": lattice((0, 0, -1, 1, 0, 0)),
    "oblique_about_two_axes": OBLIQUE,
    "oblique_by_45_degrees": lattice((np.sqrt(0.5), np.sqrt(0.5), 0, -np.sqrt(0.5), np.sqrt(0.5), 0)),
    "decubitus_right": lattice((0, 1, 0, -1, 0, 0)),
    "decubitus_left": lattice((0, -1, 0, 1, 0, 0)),
    "feet_first_supine": lattice((-1, 0, 0, 0, 1, 0)),
    "prone": lattice((-1, 0, 0, 0, -1, 0)),
    "slices_against_the_normal": lattice(step=(0, 0, -3.0), origin=(-11, -7, 40)),
    "pixels_four_times_as_high_as_wide": lattice(spacing=(0.5, 2.0, 3.0)),
    "pixels_four_times_as_wide_as_high": lattice(spacing=(2.0, 0.5, 3.0)),
    "table_at_1500_mm": lattice(origin=(-211.5, -7, -1500.0)),
    "slices_thinner_than_pixels": lattice(spacing=(2.0, 1.5, 0.625), shape=(12, 10, 30)),
    "one_column": lattice(shape=(1, 10, 8)),
    "square_matrix": lattice(spacing=(1.5, 1.5, 1.5), shape=(10, 10, 10)),
}


def _clean(folder: Path, grid: Lattice) -> Expect:
    intercept = -12000.0 if "1500" in folder.name else -4096.0
    write(folder, slices(grid, slope=0.25 if "1500" in folder.name else 0.125, intercept=intercept))
    return right(Truth(grid, tolerance=0.15))


for _name, _grid in CLEAN.items():
    add(_name, partial(_clean, grid=_grid))


def _numbered(folder: Path, numbers: list[int | None]) -> Expect:
    datasets = slices(OBLIQUE)
    for dataset, number in zip(datasets, numbers, strict=True):
        every([dataset], InstanceNumber=number)
    write(folder, datasets)
    return right(OBLIQUE)


add("instance_numbers_reversed", partial(_numbered, numbers=list(range(8, 0, -1))))
add("instance_numbers_at_random", partial(_numbered, numbers=[3, 8, 1, 2, 7, 6, 4, 5]))
add("instance_numbers_missing", partial(_numbered, numbers=[None] * 8))
add("instance_numbers_all_one", partial(_numbered, numbers=[1] * 8))
add("instance_numbers_partly_missing", partial(_numbered, numbers=[1, None, 3, None, 5, None, 7, None]))


_CONTRADICTIONS = {
    "slice_thickness_wrong": {"SliceThickness": "5"},
    "slice_thickness_zero": {"SliceThickness": "0"},
    "slice_thickness_missing": {"SliceThickness": None},
    "slices_overlap": {"SliceThickness": "6", "SpacingBetweenSlices": "3"},
    "spacing_between_slices_wrong": {"SpacingBetweenSlices": "7"},
    "spacing_between_slices_negative": {"SpacingBetweenSlices": "-3"},
    "slice_locations_wrong": {"SliceLocation": "12"},
    "slice_locations_missing": {"SliceLocation": None},
    "patient_position_contradicts": {"PatientPosition": "FFP"},
    "gantry_tag_without_a_tilt": {"GantryDetectorTilt": "15"},
    "frame_of_reference_missing": {"FrameOfReferenceUID": None},
    "instance_uids_missing_sop_only": {"ImageType": None, "SeriesNumber": None, "StudyDate": None},
}


def _contradicting(folder: Path, tags: dict[str, str | None]) -> Expect:
    write(folder, every(slices(AXIAL), **tags))
    return right(AXIAL)


for _name, _tags in _CONTRADICTIONS.items():
    add(_name, partial(_contradicting, tags=_tags))


def _moved(folder: Path, shifts_mm: list[float], grid: Lattice = AXIAL) -> list[Path]:
    """Write slices that are moved along the normal, their values with them."""
    datasets = [
        slices(
            lattice(origin=tuple(grid.origin(k + s / 3))),
        )[0]
        for k, s in enumerate(shifts_mm)
    ]
    for k, dataset in enumerate(datasets):
        dataset.InstanceNumber, dataset.SOPInstanceUID = k + 1, f"{dataset.SeriesInstanceUID}.{k + 1}"
    return write(folder, datasets)


@torture
def jitter_of_5_micrometres(folder: Path) -> Expect:
    _moved(folder, [0.005 * (-1) ** k for k in range(8)])
    return right(Truth(AXIAL, tolerance=0.15))


@torture
def jitter_of_a_tenth_of_the_spacing(folder: Path) -> Expect:
    _moved(folder, [0.3 * (-1) ** k for k in range(8)])
    return refused("slices-missing", "slices-uneven")


@torture
def positions_rounded_to_hundredths(folder: Path) -> Expect:
    grid = lattice(spacing=(2.0, 1.5, 0.68359375), shape=(12, 10, 30))
    datasets = slices(grid)
    for k, dataset in enumerate(datasets):
        dataset.ImagePositionPatient = [f"{x:.2f}" for x in grid.origin(k)]
    write(folder, datasets)
    return right(Truth(grid, tolerance=0.15), warning="free")


@torture
def orientation_with_noise_of_1e7(folder: Path) -> Expect:
    datasets = slices(AXIAL)
    noise = np.random.default_rng(1).normal(0, 1e-7, (8, 6))
    for dataset, row in zip(datasets, noise, strict=True):
        dataset.ImageOrientationPatient = [f"{x:.9f}" for x in np.array([1, 0, 0, 0, 1, 0]) + row]
    write(folder, datasets)
    return right(AXIAL)


@torture
def orientation_rounded_to_four_digits(folder: Path) -> Expect:
    write(folder, every(slices(OBLIQUE), ImageOrientationPatient=[f"{x:.4f}" for x in _cosines(OBLIQUE)]))
    return right(Truth(OBLIQUE, tolerance=0.2), warning="free")


def _cosines(grid: Lattice) -> np.ndarray:
    return np.array([float(x) for x in place(slices(grid)[0], grid).ImageOrientationPatient])


@torture
def decimal_strings_with_exponents_and_spaces(folder: Path) -> Expect:
    datasets = every(
        slices(AXIAL),
        PixelSpacing=["1.5E+00 ", " 2.00"],
        ImageOrientationPatient=["1.0", "0e0", "0", "-0.0", "+1", "0 "],
    )
    for k, dataset in enumerate(datasets):
        dataset.ImagePositionPatient = ["-1.1e+01", " -7 ", f"{-20 + 3 * k:.6e}"]
    write(folder, datasets)
    return right(AXIAL)


@torture
def two_slices(folder: Path) -> Expect:
    write(folder, slices(AXIAL.part(0, 2)))
    return right(AXIAL.part(0, 2))


@torture
def one_slice_takes_its_thickness(folder: Path) -> Expect:
    write(folder, slices(AXIAL.part(2, 3)))
    return right(AXIAL.part(2, 3))


@torture
def one_slice_without_thickness(folder: Path) -> Expect:
    write(folder, every(slices(AXIAL.part(2, 3)), SliceThickness=None))
    return refused("bad-geometry").or_refused("one-slice")


@torture
def tilted_gantry(folder: Path) -> Expect:
    write(folder, every(slices(TILTED), GantryDetectorTilt="15"))
    return warned(TILTED)


@torture
def tilted_gantry_of_an_oblique_series(folder: Path) -> Expect:
    grid = lattice(tuple(_cosines(OBLIQUE)), origin=(3, 4, 5), step=OBLIQUE.affine[:3, 2] + OBLIQUE.affine[:3, 1] * 0.4)
    write(folder, slices(grid))
    return warned(Truth(grid, tolerance=0.1))


@torture
def tilted_slightly(folder: Path) -> Expect:
    grid = lattice(step=(0, 0.02, 3.0), shape=(12, 10, 30))  # 0.4 degrees, 0.6 mm at the end
    write(folder, slices(grid))
    return right(grid, warning="free")


@torture
def tilted_and_uneven(folder: Path) -> Expect:
    datasets = slices(lattice(step=(0, 0.8038, 3.0), shape=(12, 10, 14)))
    write(folder, datasets[:5] + datasets[6::2])
    return refused("slices-missing", "slices-uneven")


@torture
def sideways_step_of_one_slice(folder: Path) -> Expect:
    datasets = slices(AXIAL)
    place(datasets[4], lattice(origin=(-7.0, -7.0, -20.0)), 4)
    write(folder, datasets)
    return refused("slices-missing", "slices-uneven", "series-mixed", "bad-geometry", "unsupported")


@torture
def sideways_curve(folder: Path) -> Expect:
    datasets = []
    for k in range(8):
        grid = lattice(origin=(-11.0 + 0.15 * k * k, -7.0, -20.0))
        datasets.append(slices(grid)[k])
    write(folder, datasets)
    return refused("slices-missing", "slices-uneven", "series-mixed", "bad-geometry", "unsupported")


def _without(folder: Path, gone: list[int], count: int = 9) -> Expect:
    datasets = slices(lattice(shape=(12, 10, count)))
    write(folder, [dataset for k, dataset in enumerate(datasets) if k not in gone])
    return refused("slices-missing", "slices-uneven")


add("one_slice_missing", partial(_without, gone=[4]))
add("one_slice_missing_at_a_third", partial(_without, gone=[3]))
add("second_slice_missing", partial(_without, gone=[1]))
add("several_slices_missing", partial(_without, gone=[2, 3, 6]))
add("half_of_the_gaps_are_double", partial(_without, gone=[2, 4, 6], count=10))
add("one_of_three_slices_far_away", partial(_without, gone=[2, 3, 4, 5, 6, 7]))


@torture
def spacing_changes_in_the_middle(folder: Path) -> Expect:
    _moved(folder, [0, 0, 0, 0, 1.5, 3, 4.5, 6])
    return refused("slices-missing", "slices-uneven")


@torture
def spacing_grows(folder: Path) -> Expect:
    _moved(folder, [0.1 * k * k for k in range(8)])
    return refused("slices-missing", "slices-uneven")


@torture
def duplicate_with_the_same_pixels(folder: Path) -> Expect:
    datasets = slices(AXIAL)
    write(folder, datasets)
    write(folder, [datasets[3]], prefix="copy")
    return right(AXIAL, warning="free")


@torture
def duplicate_with_other_pixels(folder: Path) -> Expect:
    datasets = slices(AXIAL)
    other = slices(AXIAL, offset=9)[3]
    other.SOPInstanceUID += ".9"
    write(folder, datasets)
    write(folder, [other], prefix="other")
    return refused("slices-duplicate", named=("other000.dcm",))


@torture
def all_slices_twice_in_two_folders(folder: Path) -> Expect:
    write(folder / "a", slices(AXIAL))
    write(folder / "a copy", slices(AXIAL), prefix="x")
    return right(AXIAL, warning="free")


@torture
def all_slices_twice_with_new_instance_uids(folder: Path) -> Expect:
    copies = slices(AXIAL)
    for dataset in copies:
        dataset.SOPInstanceUID += ".5"
    write(folder, [*slices(AXIAL), *copies])
    return right(AXIAL, warning="free").or_refused("slices-duplicate")


@torture
def nearly_one_position_with_other_pixels(folder: Path) -> Expect:
    _moved(folder, [0, 0, 0, -2.98, 0, 0, 0, 0])
    return refused("slices-duplicate", "slices-missing", "slices-uneven")


_ONE_SLICE = {
    "position": {"ImagePositionPatient": None},
    "orientation": {"ImageOrientationPatient": None},
    "pixel_spacing": {"PixelSpacing": None},
}


def _missing(folder: Path, tags: dict[str, None], count: int) -> Expect:
    datasets = slices(AXIAL)
    every(datasets[-count:], **tags)
    write(folder, datasets)
    return refused("bad-geometry", "series-mixed")


for _name, _tags in _ONE_SLICE.items():
    add(f"{_name}_missing_on_one_slice", partial(_missing, tags=_tags, count=1))
    add(f"{_name}_missing", partial(_missing, tags=_tags, count=8))


@torture
def imager_pixel_spacing_alone_on_ct(folder: Path) -> Expect:
    write(folder, every(slices(AXIAL), PixelSpacing=None, ImagerPixelSpacing=["1.5", "2"]))
    return refused("bad-geometry")


_COSINES, _SPACINGS = b"1\\0\\0\\0\\1\\0 ", b"1.5\\2.0 "
_IMPOSSIBLE = {
    "orientation_not_orthogonal": (_COSINES, b"1\\0\\0\\.1\\1\\0"),
    "orientation_not_of_unit_length": (_COSINES, b"2\\0\\0\\0\\1\\0 "),
    "orientation_zero": (_COSINES, b"0\\0\\0\\0\\0\\0 "),
    "orientation_of_five_numbers": (_COSINES, b"1\\0\\0\\0\\1   "),
    "orientation_of_words": (_COSINES, b"1\\0\\0\\x\\1\\0 "),
    "pixel_spacing_with_decimal_commas": (_SPACINGS, b"1,5\\2,0 "),
    "pixel_spacing_zero": (_SPACINGS, b"0.0\\2.0 "),
    "pixel_spacing_negative": (_SPACINGS, b"1.5\\-2.0"),
    "pixel_spacing_of_one_number": (_SPACINGS, b"1.5     "),
    "pixel_spacing_nan": (_SPACINGS, b"nan\\nan "),
    "position_of_words": (b"-11\\-7\\", b"abc\\-7\\"),
    "position_infinite": (b"-11\\-7\\", b"inf\\-7\\"),
}


def _impossible(folder: Path, old: bytes, new: bytes) -> Expect:
    for file in write(folder, every(slices(AXIAL), PixelSpacing=["1.5", "2.0"])):
        patch(file, old, new)
    return refused("bad-geometry", "bad-header", "series-mixed")


for _name, (_old, _new) in _IMPOSSIBLE.items():
    add(_name, partial(_impossible, old=_old, new=_new))


@torture
def positions_of_two_numbers(folder: Path) -> Expect:
    write(folder, every(slices(AXIAL), ImagePositionPatient=["-11", "-7"]))
    return refused("bad-geometry", "bad-header")


@torture
def position_empty_on_one_slice(folder: Path) -> Expect:
    datasets = slices(AXIAL)
    datasets[5].ImagePositionPatient = []
    write(folder, datasets)
    return refused("bad-geometry", "series-mixed")


@torture
def all_slices_at_one_position(folder: Path) -> Expect:
    write(folder, every(slices(AXIAL), ImagePositionPatient=ds(*AXIAL.origin(0))))
    return refused("slices-duplicate", "bad-geometry")
