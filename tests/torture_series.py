"""Torture: slices that belong together or not: several series, patients, orientations, times, echoes, b-values."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from torture import Expect, Truth, add, lattice, refused, right, torture
from torture_dicom import ROOT, ds, every, put, slices, write

AXIAL = lattice()
SAGITTAL = lattice((0, 1, 0, 0, 0, -1), origin=(-9, -14, 20))

_Vary = Callable[[Dataset, int, int], None]


def _volumes(count: int, vary: _Vary, modality: str = "MR") -> list[Dataset]:
    """Return volumes at one place, of which each is 100 above the one before; `vary` gets slice, volume and k."""
    found = []
    for t in range(count):
        for k, dataset in enumerate(slices(AXIAL, modality, offset=100.0 * t)):
            dataset.SOPInstanceUID = f"{dataset.SeriesInstanceUID}.{t + 1}.{k + 1}"
            dataset.InstanceNumber = t * 8 + k + 1
            vary(dataset, t, k)
            found.append(dataset)
    return found


def _truths(count: int) -> tuple[Truth, ...]:
    return tuple(Truth(AXIAL, offset=100.0 * t) for t in range(count))


def _by(keyword: str, values: list[Any]) -> _Vary:
    return lambda dataset, t, k: setattr(dataset, keyword, values[t])


def _direction(dataset: Dataset, t: int, k: int) -> None:
    dataset.DiffusionBValue = [0.0, 1000.0, 1000.0, 1000.0][t]
    if t:
        dataset.DiffusionGradientOrientation = np.eye(3)[t - 1].tolist()


def _echo_and_time(dataset: Dataset, t: int, k: int) -> None:
    dataset.TemporalPositionIdentifier, dataset.EchoTime = t // 2 + 1, ["4.6", "9.2"][t % 2]
    dataset.EchoNumbers = t % 2 + 1


def _acquisition_of_slice(dataset: Dataset, t: int, k: int) -> None:
    dataset.AcquisitionTime = dataset.ContentTime = f"1020{10 * t + k:02d}.250000"


def _slice_by_slice(dataset: Dataset, t: int, k: int) -> None:
    _by("TemporalPositionIdentifier", [1, 2, 3])(dataset, t, k)
    dataset.InstanceNumber = k * 3 + t + 1


def _image_type(dataset: Dataset, t: int, k: int) -> None:
    dataset.ImageType = ["ORIGINAL", "PRIMARY", ["M", "P", "W", "F"][t]]


_SPLIT = {
    "two_times_by_temporal_position": (2, _by("TemporalPositionIdentifier", [1, 2])),
    "twelve_times_by_temporal_position": (12, _by("TemporalPositionIdentifier", list(range(1, 13)))),
    "three_times_slice_by_slice": (3, _slice_by_slice),
    "two_times_by_acquisition_time": (2, _by("AcquisitionTime", ["102000", "102130.5"])),
    "two_times_over_midnight": (
        2,
        lambda d, t, k: every([d], AcquisitionDate=f"2026010{2 + t}", AcquisitionTime=["235900", "000100"][t]),
    ),
    "two_times_by_acquisition_time_of_slices": (2, _acquisition_of_slice),
    "phases_by_trigger_time": (4, _by("TriggerTime", ["0", "95.5", "201", "1002"])),
    "echoes_by_echo_time": (3, _by("EchoTime", ["2.46", "4.92", "12.3"])),
    "b_values": (3, _by("DiffusionBValue", [0.0, 50.0, 1000.0])),
    "directions_of_one_b_value": (4, _direction),
    "two_echoes_at_two_times": (4, _echo_and_time),
    "two_acquisition_numbers": (2, _by("AcquisitionNumber", [1, 2])),
    "magnitude_and_phase_by_image_type": (2, _image_type),
    "dixon_by_image_type": (4, _image_type),
}


def _split(folder: Path, name: str) -> Expect:
    count, vary = _SPLIT[name]
    write(folder, _volumes(count, vary))
    one_order = not any(word in name for word in ("directions", "image_type", "two_echoes_at"))
    return right(*_truths(count), ordered=one_order)


for _name in _SPLIT:
    add(_name, partial(_split, name=_name))


@torture
def phases_of_cardiac_ct(folder: Path) -> Expect:
    write(folder, _volumes(3, _by("NominalPercentageOfCardiacPhase", [10.0, 40.0, 70.0]), "CT"))
    return right(*_truths(3)).or_refused("slices-duplicate", "series-mixed")


@torture
def two_volumes_told_apart_by_instance_number_alone(folder: Path) -> Expect:
    write(folder, _volumes(2, lambda dataset, t, k: None))
    return right(*_truths(2), warning="free").or_refused("slices-duplicate", "series-mixed")


@torture
def times_at_other_positions_each(folder: Path) -> Expect:
    """Two volumes, of which one was taken half a slice further: sorted by position alone they would make one."""
    further = lattice(origin=(-11.0, -7.0, -18.5))
    both = [*every(slices(AXIAL, "MR"), TemporalPositionIdentifier=1, AcquisitionTime="102000")]
    later = every(slices(further, "MR", offset=100), TemporalPositionIdentifier=2, AcquisitionTime="102100")
    for dataset in later:
        dataset.SOPInstanceUID += ".2"
    write(folder, [*both, *later])
    return right(Truth(AXIAL), Truth(further, offset=100), warning="free").or_refused(
        "slices-duplicate", "series-mixed", "slices-missing", "slices-uneven"
    )


_ONE_VOLUME: dict[str, _Vary] = {
    "acquisition_time_of_each_slice": lambda d, t, k: every(
        [d], AcquisitionTime=f"1020{k:02d}.5", ContentTime=f"1030{k:02d}"
    ),
    "acquisition_number_of_each_slice": lambda d, t, k: every([d], AcquisitionNumber=k + 1),
    "acquisition_numbers_of_two_stations": lambda d, t, k: every([d], AcquisitionNumber=1 + k // 4),
    "trigger_time_of_each_slice": lambda d, t, k: every([d], TriggerTime=f"{k * 83.3:.1f}"),
    "interleaved_acquisition_times": lambda d, t, k: every([d], AcquisitionTime=f"1020{(k % 2) * 30 + k:02d}"),
    "echo_time_with_rounding": lambda d, t, k: every([d], EchoTime=["2.46", "2.4600001"][k % 2]),
    "window_and_comments_differ": lambda d, t, k: every(
        [d], WindowCenter=str(40 + k), WindowWidth="400", ImageComments=f"{k}"
    ),
    "exposure_and_tube_current_differ": lambda d, t, k: every([d], XRayTubeCurrent=100 + k, Exposure=5 + k),
    "smallest_and_largest_pixel_differ": lambda d, t, k: every(
        [d], SmallestImagePixelValue=k, LargestImagePixelValue=9000 + k
    ),
    "image_type_of_two_words": lambda d, t, k: every([d], ImageType=["DERIVED", "SECONDARY"]),
}


def _one_volume(folder: Path, name: str) -> Expect:
    write(folder, _volumes(1, _ONE_VOLUME[name], "CT" if "tube" in name else "MR"))
    return right(AXIAL)


for _name in _ONE_VOLUME:
    add(_name, partial(_one_volume, name=_name))


@torture
def last_time_point_lacks_slices(folder: Path) -> Expect:
    datasets = _volumes(3, _by("TemporalPositionIdentifier", [1, 2, 3]))
    write(folder, datasets[:20])
    refusals = frozenset({"slices-missing", "slices-uneven", "series-mixed"})
    none = refused(*refusals)
    return Expect(_truths(2), warning="free", refusal=refusals, instead=none)


@torture
def one_time_point_lacks_a_slice_within(folder: Path) -> Expect:
    datasets = _volumes(3, _by("TemporalPositionIdentifier", [1, 2, 3]))
    write(folder, datasets[:11] + datasets[12:])
    refusals = frozenset({"slices-missing", "slices-uneven", "series-mixed"})
    kept = (_truths(3)[0], _truths(3)[2])
    return Expect(kept, warning="free", refusal=refusals, instead=refused(*refusals))


@torture
def one_time_point_has_a_slice_twice(folder: Path) -> Expect:
    datasets = _volumes(2, _by("TemporalPositionIdentifier", [1, 2]))
    other = slices(AXIAL, "MR", offset=55)[2]
    every([other], TemporalPositionIdentifier=2, SOPInstanceUID=f"{ROOT}.77")
    write(folder, [*datasets, other])
    refusals = frozenset({"slices-duplicate", "series-mixed"})
    return Expect(_truths(1), warning="free", refusal=refusals, instead=refused(*refusals))


def _localizer(count: int) -> list[Dataset]:
    found = slices(SAGITTAL.part(3, 3 + count), "CT")
    for n, dataset in enumerate(found):
        dataset.SOPInstanceUID = f"{dataset.SeriesInstanceUID}.90{n}"
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    return found


def _with_localizer(folder: Path, count: int) -> Expect:
    write(folder, slices(AXIAL))
    write(folder, _localizer(count), prefix="scout")
    truths = (Truth(AXIAL), Truth(SAGITTAL.part(3, 3 + count), optional=True))
    any_code = refused("one-slice", "series-mixed", "unsupported", "localizer").refusal
    with_refusal = Expect(truths, warning="free", refusal=any_code)
    return right(*truths, warning="free", instead=with_refusal)


add("localizer_of_one_slice_in_the_series", partial(_with_localizer, count=1))
add("localizer_of_three_slices_in_the_series", partial(_with_localizer, count=3))


@torture
def three_planes_of_one_slice_each(folder: Path) -> Expect:
    grids = [AXIAL.part(4, 5), SAGITTAL.part(4, 5), lattice((1, 0, 0, 0, 0, -1)).part(4, 5)]
    datasets = [dataset for grid in grids for dataset in slices(grid, "MR")]
    for n, dataset in enumerate(datasets):
        dataset.SOPInstanceUID += f".{n}"
    write(folder, every(datasets, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]))
    return right(*(Truth(grid) for grid in grids), warning="free").or_refused(
        "series-mixed", "unsupported", "localizer"
    )


@torture
def two_series_in_one_folder(folder: Path) -> Expect:
    other = lattice(origin=(-11.0, -7.0, -18.5))
    write(folder, [*slices(AXIAL), *slices(other, offset=50, series=2)])
    return right(Truth(AXIAL), Truth(other, offset=50))


@torture
def two_series_under_one_name_of_folders(folder: Path) -> Expect:
    write(folder / "A" / "scan", slices(AXIAL))
    write(folder / "B" / "scan", slices(SAGITTAL, series=2))
    return right(AXIAL, SAGITTAL)


@torture
def a_series_below_the_folder_of_another(folder: Path) -> Expect:
    write(folder, slices(AXIAL))
    write(folder / "more", slices(SAGITTAL, series=2))
    return right(AXIAL, SAGITTAL)


@torture
def one_series_in_two_folders(folder: Path) -> Expect:
    datasets = slices(AXIAL)
    write(folder / "disc 1", datasets[:3])
    write(folder / "disc 2", datasets[3:])
    return right(AXIAL)


@torture
def two_patients_in_one_folder(folder: Path) -> Expect:
    write(folder, [*slices(AXIAL), *slices(AXIAL, offset=70, study=2, patient="TORTURE-8")])
    return right(Truth(AXIAL), Truth(AXIAL, offset=70))


@torture
def two_patients_with_one_series_uid(folder: Path) -> Expect:
    """As careless anonymisers leave them."""
    other = slices(AXIAL, offset=70, patient="TORTURE-8")
    write(folder, [*slices(AXIAL), *every(other, StudyInstanceUID=f"{ROOT}.2")])
    return right(Truth(AXIAL), Truth(AXIAL, offset=70), warning="free").or_refused("series-mixed", "slices-duplicate")


@torture
def halves_of_two_patients_make_one_stack(folder: Path) -> Expect:
    datasets = slices(AXIAL)
    every(datasets[4:], PatientID="TORTURE-8")
    write(folder, datasets)
    return refused("series-mixed")


_FOREIGN = {
    "patient_id": {"PatientID": "TORTURE-8"},
    "study_uid": {"StudyInstanceUID": f"{ROOT}.2"},
    "frame_of_reference": {"FrameOfReferenceUID": f"{ROOT}.2.0"},
    "patient_id_and_study": {"PatientID": "TORTURE-8", "StudyInstanceUID": f"{ROOT}.2"},
    "pixel_representation": {"PixelRepresentation": 1},
    "bits_stored": {"BitsStored": 12, "HighBit": 11},
    "modality": {"Modality": "MR", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4"},
    "rescale_type": {"RescaleType": "US", "RescaleIntercept": "0"},
    "photometric_interpretation": {"PhotometricInterpretation": "MONOCHROME1"},
}


def _foreign(folder: Path, tags: dict[str, Any], k: int) -> Expect:
    datasets = slices(AXIAL)
    every([datasets[k]], **tags)
    files = write(folder, datasets)
    return refused("series-mixed", "slices-missing", "slices-uneven", named=(files[k].name,))


for _name, _tags in _FOREIGN.items():
    add(f"{_name}_of_one_slice_is_foreign", partial(_foreign, tags=_tags, k=4))
add("patient_id_of_the_first_slice_is_foreign", partial(_foreign, tags=_FOREIGN["patient_id"], k=0))
add("patient_id_of_one_slice_is_empty", partial(_foreign, tags={"PatientID": ""}, k=3))


@torture
def pixel_spacing_changes_half_way(folder: Path) -> Expect:
    wide = lattice(spacing=(2.5, 1.5, 3.0))
    write(folder, [*slices(AXIAL)[:4], *slices(wide)[4:]])
    return right(AXIAL.part(0, 4), wide.part(4, 8), warning="free").or_refused("series-mixed")


@torture
def pixel_spacing_of_one_slice_differs(folder: Path) -> Expect:
    datasets = slices(AXIAL)
    datasets[4] = slices(lattice(spacing=(2.05, 1.5, 3.0)))[4]
    write(folder, datasets)
    return refused("series-mixed", "slices-missing", "slices-uneven")


@torture
def orientation_changes_half_way(folder: Path) -> Expect:
    datasets = slices(SAGITTAL)
    for dataset in datasets:
        dataset.SOPInstanceUID += ".7"
    write(folder, [*slices(AXIAL), *datasets])
    return right(AXIAL, SAGITTAL, warning="free").or_refused("series-mixed")


@torture
def orientation_of_one_slice_is_mirrored(folder: Path) -> Expect:
    datasets = slices(AXIAL)
    datasets[4].ImageOrientationPatient = ds(-1, 0, 0, 0, 1, 0)
    write(folder, datasets)
    return refused("series-mixed", "slices-missing", "slices-uneven")


@torture
def orientation_turns_from_slice_to_slice(folder: Path) -> Expect:
    """Radial slices, as of a heart or a joint."""
    datasets = []
    for n in range(8):
        c, s = np.cos(n * np.pi / 8), np.sin(n * np.pi / 8)
        one = slices(lattice((c, s, 0, 0, 0, -1)).part(0, 1), "MR")[0]
        one.SOPInstanceUID += f".{n}"
        datasets.append(one)
    write(folder, datasets)
    truths = [Truth(lattice((np.cos(a), np.sin(a), 0, 0, 0, -1)).part(0, 1)) for a in np.arange(8) * np.pi / 8]
    return right(*truths, warning="free").or_refused("series-mixed", "unsupported")


@torture
def matrix_changes_half_way(folder: Path) -> Expect:
    small = lattice(shape=(9, 10, 8))
    write(folder, [*slices(AXIAL)[:4], *slices(small)[4:]])
    return right(AXIAL.part(0, 4), small.part(4, 8), warning="free").or_refused("series-mixed")


@torture
def one_instance_uid_for_all(folder: Path) -> Expect:
    write(folder, every(slices(AXIAL), SOPInstanceUID=f"{ROOT}.5"))
    return right(AXIAL, warning="some")


@torture
def a_series_uid_for_each_slice(folder: Path) -> Expect:
    datasets = slices(AXIAL)
    for k, dataset in enumerate(datasets):
        dataset.SeriesInstanceUID = f"{ROOT}.1.{k + 10}"
    write(folder, datasets)
    return refused("series-mixed", "slices-missing", "slices-uneven", named=("merge",))


@torture
def series_uid_missing(folder: Path) -> Expect:
    write(folder, every(slices(AXIAL), SeriesInstanceUID=None))
    return refused("bad-header").or_refused("series-mixed")


@torture
def two_thousand_small_files(folder: Path) -> Expect:
    grid = lattice(shape=(4, 4, 50))
    for number in range(40):
        datasets = slices(grid, offset=number, series=number + 1)
        write(folder, datasets, prefix=f"s{number:02d}_")
    return right(*(Truth(grid, offset=number) for number in range(40)))


@torture
def a_colour_capture_in_the_series(folder: Path) -> Expect:
    """A screen shot of the dose, as some scanners append it to the series."""
    shot = slices(AXIAL)[0]
    every([shot], SOPClassUID="1.2.840.10008.5.1.4.1.1.7", SOPInstanceUID=f"{ROOT}.88", ImagePositionPatient=None)
    every([shot], ImageOrientationPatient=None, PixelSpacing=None, RescaleSlope=None, RescaleIntercept=None)
    pixels = np.random.default_rng(0).integers(0, 255, (6, 7, 3))
    put(shot, pixels, allocated=8, bits=8)
    write(folder, slices(AXIAL))
    write(folder, [shot], prefix="shot")
    picture = Truth(None, pixels=np.moveaxis(pixels, (2, 1, 0), (0, 1, 2))[..., None], optional=True)
    refusal = refused("series-mixed", "unsupported").refusal
    return right(
        Truth(AXIAL),
        picture,
        warning="free",
        instead=Expect((Truth(AXIAL),), warning="free", refusal=refusal, instead=refused("series-mixed")),
    )
