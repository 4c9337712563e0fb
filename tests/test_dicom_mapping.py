from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_frames import DOSE, DX, MR, PET, frame
from phantoms import positional, slice_of
from pydicom.dataset import Dataset

from medvision.errors import MedvisionError
from medvision.geometry import Geometry
from medvision.io.dicom import mapping
from medvision.io.dicom.frame import Frame
from medvision.io.dicom.header import read_frames
from medvision.io.dicom.mapping import Linear, RealValues, Table, real_values
from medvision.io.dicom.read import read_dicom

GRID = Geometry(np.diag([-1.0, -1.0, 3.0, 1.0]), (4, 5, 3))
PATH = Path("series")


def values_of(frames: list[Frame], *, suv: bool = True) -> RealValues:
    return real_values(frames, PATH, suv=suv)


def refusal_of(frames: list[Frame]) -> MedvisionError:
    with pytest.raises(MedvisionError) as caught:
        values_of(frames)
    return caught.value


def saved(folder: Path, modality: str = "MR", *each: dict[str, Any], **tags: Any) -> list[Path]:
    """Write a slice for each dictionary of tags, which are added to those of all."""
    files = []
    for k, own in enumerate(each or ({},)):
        dataset = slice_of(positional(GRID)[:, :, k], GRID, k, modality)
        for keyword, value in {**tags, **own}.items():
            setattr(dataset, keyword, value)
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        files.append(folder / f"{k}.dcm")
        dataset.save_as(files[-1], enforce_file_format=True)
    return files


def frames_in(files: list[Path]) -> list[Frame]:
    return [one for file in files for one in read_frames(file)]


def item(**tags: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return dataset


def table(
    entries: list[int], *, first: int = 0, bits: int = 16, kind: str = "US", count: int | None = None
) -> list[Dataset]:
    """Return a Modality LUT Sequence."""
    lut = item(ModalityLUTType="HU")
    lut.add_new(
        0x00283002, "SS" if first < 0 else "US", [len(entries) % 65536 if count is None else count, first, bits]
    )
    content: Any = entries if kind == "US" else np.array(entries, "<u2").tobytes()
    lut.add_new(0x00283006, kind, content)
    return [lut]


def world(slope: Any = 0.5, intercept: Any = -3.0, *, first: int = 0, last: int = 4095, unit: str = "mm2/s") -> Dataset:
    """Return a Real World Value Map."""
    found = item(MeasurementUnitsCodeSequence=[item(CodeValue=unit)] if unit else [])
    for keyword, value in (("RealWorldValueSlope", slope), ("RealWorldValueIntercept", intercept)):
        if value is not None:
            setattr(found, keyword, value)
    found.add_new(0x00409216, "US", first)
    found.add_new(0x00409211, "US", last)
    return found


def test_slope_and_intercept_are_those_of_each_frame() -> None:
    found = values_of([frame(0, slope=2.0, intercept=-1.0), frame(1, slope=0.5, intercept=3.0)])
    assert found.mappings == (Linear(2.0, -1.0), Linear(0.5, 3.0))
    assert (found.unit, found.findings) == ("HU", ())


@pytest.mark.parametrize(
    ("slope", "intercept", "keeps"),
    [(1.0, -1024.0, True), (1.0, 0.5, False), (2.0, 0.0, False), (-1.0, 0.0, False)],
)
def test_whole_numbers_stay_whole_with_a_slope_of_one_and_a_whole_intercept(
    slope: float, intercept: float, keeps: bool
) -> None:
    assert Linear(slope, intercept).keeps_integers is keeps


NONE = {"slope": None, "intercept": None}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (NONE, NONE),
        ({"slope": None}, {"slope": None}),
        ({}, {"intercept": None}),
        ({}, {"slope": 0.0}),
        ({}, {"slope": float("nan")}),
        ({}, {"intercept": float("inf")}),
        ({"sop_class": MR, "modality": "MR"}, {"sop_class": MR, "modality": "MR", **NONE}),
        ({"sop_class": "1.2.3"}, {"sop_class": "1.2.3", **NONE}),
        ({"sop_class": PET, "modality": "PT", **NONE}, {"sop_class": PET, "modality": "PT", **NONE}),
        ({}, {"has_one_rescale": False}),
    ],
)
def test_a_rescale_that_is_missing_or_impossible_is_refused(first: dict[str, Any], second: dict[str, Any]) -> None:
    error = refusal_of([frame(0, **first), frame(1, **second)])
    assert error.code == "bad-rescale"
    assert error.path is not None


@pytest.mark.parametrize("name", ["RescaleSlope", "RescaleIntercept"])
def test_a_rescale_of_several_values_is_refused(tmp_path: Path, name: str) -> None:
    error = refusal_of(frames_in(saved(tmp_path, "CT", {}, {name: ["1", "2"]})))
    assert (error.code, error.path) == ("bad-rescale", tmp_path / "1.dcm")


def test_values_without_a_rescale_are_as_stored_but_for_ct_and_pet() -> None:
    for sop_class, modality in ((MR, "MR"), (DX, "DX")):
        found = values_of([frame(k, sop_class=sop_class, modality=modality, **NONE) for k in range(2)])
        assert (found.mappings, found.unit) == ((Linear(1.0, 0.0),) * 2, None)


@pytest.mark.parametrize(
    ("stated", "unit"),
    [
        ({"rescale_type": "HU"}, "HU"),
        ({"rescale_type": "US"}, None),
        ({"rescale_type": "HU_MOD"}, "HU_MOD"),
        ({"sop_class": MR, "modality": "MR"}, None),
        ({"sop_class": "1.2.3", "modality": "CT"}, "HU"),
        ({"sop_class": PET, "modality": "PT", "units": "CNTS"}, "CNTS"),
    ],
)
def test_the_unit_is_what_header_or_modality_say(stated: dict[str, Any], unit: str | None) -> None:
    assert values_of([frame(**stated)], suv=False).unit == unit


@pytest.mark.parametrize("scaling", [None, 0.0, -1.0, float("nan")])
def test_a_dose_needs_its_scaling(scaling: float | None) -> None:
    stated = {"sop_class": DOSE, "modality": "RTDOSE"}
    assert values_of([frame(scaling=0.25, **stated)]).mappings == (Linear(0.25, 0.0),)
    assert refusal_of([frame(scaling=scaling, **stated)]).code == "bad-rescale"


@pytest.mark.parametrize(
    ("dose", "unit", "told"),
    [
        (("GY", "PHYSICAL"), "GY", None),
        (("GY", "EFFECTIVE"), "GY", None),
        (("GY", None), "GY", "Dose Type is missing"),
        (("RELATIVE", "PHYSICAL"), None, "Dose Units is RELATIVE"),
        ((None, "PHYSICAL"), None, "Dose Units is missing"),
        (("CGY", "PHYSICAL"), None, "Dose Units is neither"),
    ],
)
def test_a_dose_is_in_gray_where_it_says_so(
    dose: tuple[str | None, str | None], unit: str | None, told: str | None
) -> None:
    found = values_of([frame(sop_class=DOSE, modality="RTDOSE", scaling=0.5, dose=dose)])
    assert found.unit == unit
    assert [finding.grade for finding in found.findings] == ["warning"] * (told is not None)
    assert all(str(told) in finding.message for finding in found.findings)


def test_errors_of_a_dose_are_no_dose() -> None:
    of_errors = frame(sop_class=DOSE, modality="RTDOSE", scaling=0.5, dose=("GY", "ERROR"))
    assert refusal_of([of_errors]).code == "unsupported"


def test_unit_and_type_of_a_dose_are_those_of_its_file(tmp_path: Path) -> None:
    (found,) = frames_in(saved(tmp_path, "MR", DoseUnits="RELATIVE", DoseType="ERROR"))
    assert found.dose == ("RELATIVE", "ERROR")


def test_a_modality_lut_is_read_for_each_slice(tmp_path: Path) -> None:
    files = saved(
        tmp_path, "MR", {"ModalityLUTSequence": table([5, 6, 7])}, {"ModalityLUTSequence": table([8, 9], first=3)}
    )
    one, other = (m for m in values_of(frames_in(files)).mappings if isinstance(m, Table))
    assert (one.first, one.entries.tolist()) == (0, [5, 6, 7])
    assert (other.first, other.entries.tolist()) == (3, [8, 9])
    assert values_of(frames_in(files)).unit == "HU"


def test_a_modality_lut_of_signed_pixels_starts_below_zero_however_that_is_written(tmp_path: Path) -> None:
    entries = list(range(1000, 1600))
    voxels = positional(GRID)[:, :, :1] - 20  # places in the table, -100 being its first
    assert voxels.min() < 0 < voxels.max()
    written = [{"ModalityLUTSequence": table(entries, first=first)} for first in (-100, 65436)]
    for number, tags in enumerate(written):
        (tmp_path / str(number)).mkdir()
        pixels = np.ascontiguousarray(voxels[:, :, 0].T).tobytes()
        volume = read_dicom(saved(tmp_path / str(number), "MR", {**tags, "PixelData": pixels}))
        wanted = np.clip(voxels.astype(int) + 100, 0, 599) + 1000
        assert np.array_equal(volume.voxels[0], wanted)


def test_a_modality_lut_of_65536_entries_says_zero_of_them(tmp_path: Path) -> None:
    entries = list(range(65535, -1, -1))  # in words: US holds 32,767 values at most
    files = saved(tmp_path, "MR", {"ModalityLUTSequence": table(entries, kind="OW"), "PixelRepresentation": 0})
    (found,) = values_of(frames_in(files)).mappings
    assert isinstance(found, Table)
    assert len(found.entries) == 65536
    assert found.entries[[0, 1, 65535]].tolist() == [65535, 65534, 0]


def test_a_modality_lut_of_bytes_is_read_from_words(tmp_path: Path) -> None:
    lut = item()
    lut.add_new(0x00283002, "US", [4, 0, 8])
    lut.add_new(0x00283006, "OW", bytes([9, 8, 7, 6]))
    (found,) = values_of(frames_in(saved(tmp_path, "MR", {"ModalityLUTSequence": [lut]}))).mappings
    assert isinstance(found, Table)
    assert found.entries.tolist() == [9, 8, 7, 6]


def test_tables_of_several_units_have_none(tmp_path: Path) -> None:
    other = table([1, 2])
    other[0].ModalityLUTType = "OD"
    files = saved(tmp_path, "MR", {"ModalityLUTSequence": table([1, 2])}, {"ModalityLUTSequence": other})
    assert values_of(frames_in(files)).unit is None


@pytest.mark.parametrize(
    "broken",
    [
        [],
        [item()],
        table([1, 2], bits=7),
        table([1, 2], bits=17),
        table([1, 2, 3], count=0),
        table([1, 2, 3], count=5),
    ],
    ids=["no item", "an empty item", "7 bits", "17 bits", "65,536 entries of three", "five entries of three"],
)
def test_a_modality_lut_that_is_none_is_refused(tmp_path: Path, broken: list[Dataset]) -> None:
    error = refusal_of(frames_in(saved(tmp_path, "MR", {"ModalityLUTSequence": broken})))
    assert error.code in ("bad-rescale", "bad-header")
    assert error.path == tmp_path / "0.dcm"


def test_a_slice_without_the_table_of_the_others_is_refused(tmp_path: Path) -> None:
    error = refusal_of(frames_in(saved(tmp_path, "MR", {"ModalityLUTSequence": table([1, 2])}, {})))
    assert (error.code, error.path) == ("bad-rescale", tmp_path / "1.dcm")


def test_a_real_world_map_says_what_the_values_are_where_no_slope_does(tmp_path: Path) -> None:
    each = [{"RealWorldValueMappingSequence": [world(0.5 + k)]} for k in range(2)]
    found = values_of(frames_in(saved(tmp_path, "MR", *each)))
    assert found.mappings == (Linear(0.5, -3.0, (0, 4095)), Linear(1.5, -3.0, (0, 4095)))
    assert found.unit == "mm2/s"
    assert [finding.code for finding in found.findings] == ["converted"]


@pytest.mark.parametrize(
    ("units", "unit"), [(("1", "1"), None), (("", ""), None), (("a", "b"), None), (("a", "a"), "a")]
)
def test_the_unit_of_real_world_maps_is_one_or_none(tmp_path: Path, units: tuple[str, str], unit: str | None) -> None:
    each = [{"RealWorldValueMappingSequence": [world(unit=one)]} for one in units]
    assert values_of(frames_in(saved(tmp_path, "MR", *each))).unit == unit


@pytest.mark.parametrize(
    ("first", "last", "wanted"),
    [(0, 9, (0, 9)), (65526, 9, (-10, 9)), (32768, 32767, (-32768, 32767)), (0, 65535, (0, 65535))],
)
def test_the_range_of_a_map_may_be_written_unsigned_for_signed_pixels(
    tmp_path: Path, first: int, last: int, wanted: tuple[int, int]
) -> None:
    maps = [world(first=first, last=last)]
    files = saved(tmp_path, "MR", RealWorldValueMappingSequence=maps, PixelRepresentation=1)
    (found,) = values_of(frames_in(files)).mappings
    assert isinstance(found, Linear)
    assert found.stated_for == wanted


def test_the_range_of_a_map_may_be_floating_point_or_missing(tmp_path: Path) -> None:
    bare = world()
    del bare[0x00409216], bare[0x00409211]
    files = saved(tmp_path, "MR", {"RealWorldValueMappingSequence": [bare]})
    assert values_of(frames_in(files)).mappings == (Linear(0.5, -3.0, None),)
    bare.DoubleFloatRealWorldValueFirstValueMapped, bare.DoubleFloatRealWorldValueLastValueMapped = -0.5, 1e6
    files = saved(tmp_path, "MR", {"RealWorldValueMappingSequence": [bare]})
    assert values_of(frames_in(files)).mappings == (Linear(0.5, -3.0, (-0.5, 1e6)),)


def test_a_slope_goes_before_a_real_world_map_and_ct_stays_in_hu(tmp_path: Path) -> None:
    tags = {"RealWorldValueMappingSequence": [world()], "RescaleSlope": "2", "RescaleIntercept": "1"}
    assert values_of(frames_in(saved(tmp_path, "MR", tags))).mappings == (Linear(2.0, 1.0),)
    assert refusal_of([frame(has_real_world_map=True, **NONE)]).code == "bad-rescale"


@pytest.mark.parametrize(
    "maps",
    [
        [],
        [world(slope=[0.5, 1.0])],
        [world(slope=None)],
        [world(intercept=None)],
        [world(slope=0.0)],
        [world(slope=float("nan"))],
        [world(last=99), world(2.0, first=100)],
    ],
    ids=["none", "two slopes", "no slope", "no intercept", "slope 0", "slope NaN", "two ranges"],
)
def test_a_real_world_map_that_is_not_one_line_is_refused(tmp_path: Path, maps: list[Dataset]) -> None:
    error = refusal_of(frames_in(saved(tmp_path, "MR", {"RealWorldValueMappingSequence": maps})))
    assert (error.code, error.path) == ("bad-rescale", tmp_path / "0.dcm")


def test_of_maps_to_several_units_over_one_range_the_first_is_used(tmp_path: Path) -> None:
    maps = [world(2.0, unit="a"), world(3.0, unit="b")]
    found = values_of(frames_in(saved(tmp_path, "MR", {"RealWorldValueMappingSequence": maps})))
    assert (found.mappings, found.unit) == ((Linear(2.0, -3.0, (0, 4095)),), "a")


def test_a_slice_without_the_real_world_map_of_the_others_is_refused(tmp_path: Path) -> None:
    error = refusal_of(frames_in(saved(tmp_path, "MR", {"RealWorldValueMappingSequence": [world()]}, {})))
    assert (error.code, error.path) == ("bad-rescale", tmp_path / "1.dcm")


@pytest.mark.parametrize("place", ["frame", "shared", "file"])
def test_a_real_world_map_can_lie_with_a_frame_with_all_frames_or_with_the_file(tmp_path: Path, place: str) -> None:
    dataset = slice_of(positional(GRID)[:, :, 0], GRID, 0, "MR")
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4.1"
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.NumberOfFrames = 3
    dataset.PixelData = dataset.PixelData * 3
    positions = [[0.0, 0.0, 3.0 * k] for k in range(3)]
    dataset.PerFrameFunctionalGroupsSequence = [
        item(PlanePositionSequence=[item(ImagePositionPatient=position)]) for position in positions
    ]
    dataset.SharedFunctionalGroupsSequence = [item()]
    if place == "frame":
        for k, group in enumerate(dataset.PerFrameFunctionalGroupsSequence):
            group.RealWorldValueMappingSequence = [world(1.0 + k)]
    elif place == "shared":
        dataset.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence = [world(7.0)]
    else:
        dataset.RealWorldValueMappingSequence = [world(9.0)]
    dataset.save_as(tmp_path / "e.dcm", enforce_file_format=True)
    slopes = [one.slope for one in values_of(frames_in([tmp_path / "e.dcm"])).mappings if isinstance(one, Linear)]
    assert slopes == {"frame": [1.0, 2.0, 3.0], "shared": [7.0] * 3, "file": [9.0] * 3}[place]
    stored = np.frombuffer(dataset.PixelData, "<i2").reshape(3, 5, 4).transpose(2, 1, 0)
    assert np.allclose(read_dicom([tmp_path / "e.dcm"]).voxels[0], stored * np.array(slopes) - 3)


PET_TAGS = {
    "Units": "BQML",
    "CorrectedImage": ["ATTN", "DECY"],
    "DecayCorrection": "ADMIN",
    "PatientWeight": "70",
}


def tracer(dose: str = "350000000") -> list[Dataset]:
    return [item(RadionuclideTotalDose=dose)]


def test_pet_becomes_suv_by_the_factor_of_its_header(tmp_path: Path) -> None:
    tags = {**PET_TAGS, "RadiopharmaceuticalInformationSequence": tracer(), "RescaleSlope": "2"}
    frames = frames_in(saved(tmp_path, "PT", {}, {"RescaleIntercept": "5"}, **tags))
    found = values_of(frames)
    # 70,000 g / 350,000,000 Bq = 0.0002
    assert [(one.slope, one.intercept) for one in found.mappings if isinstance(one, Linear)] == [
        (pytest.approx(4e-4), 0),
        (pytest.approx(4e-4), pytest.approx(1e-3)),
    ]
    assert (found.unit, [finding.grade for finding in found.findings]) == ("SUVbw", ["note"])
    assert values_of(frames, suv=False).unit == "BQML"


def test_pet_in_suv_already_keeps_its_values(tmp_path: Path) -> None:
    found = values_of(frames_in(saved(tmp_path, "PT", Units="GML")))
    assert (found.mappings, found.unit, found.findings) == ((Linear(1.0, 0.0),), "SUVbw", ())


@pytest.mark.parametrize(
    ("each", "unit"),
    [
        (({}, {"PatientWeight": "71"}), "BQML"),
        (({}, {"RadiopharmaceuticalInformationSequence": tracer("175000000")}), "BQML"),
        (({"PatientWeight": ""}, {}), "BQML"),
        (({"Units": "CNTS"}, {"Units": "CNTS"}), "CNTS"),
        (({"Units": ""}, {"Units": ""}), None),
    ],
)
def test_pet_that_cannot_become_suv_stays_as_stored_with_a_warning(
    tmp_path: Path, each: tuple[dict[str, Any], ...], unit: str | None
) -> None:
    files = saved(tmp_path, "PT", *each, **PET_TAGS, RadiopharmaceuticalInformationSequence=tracer())
    found = values_of(frames_in(files))
    assert (found.mappings, found.unit) == ((Linear(1.0, 0.0),) * 2, unit)
    assert [(finding.code, finding.grade) for finding in found.findings] == [("suv-unknown", "warning")]
    assert "71" not in found.findings[0].message


def test_slices_with_a_slope_and_slices_with_a_map_alone_are_no_volume() -> None:
    mr = {"sop_class": MR, "modality": "MR"}
    mapped = frame(1, has_real_world_map=True, **mr, **NONE)
    assert refusal_of([frame(0, **mr), mapped]).code == "bad-rescale"


def test_the_header_of_a_file_of_many_frames_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (one,) = frames_in(saved(tmp_path, "PT", **PET_TAGS, RadiopharmaceuticalInformationSequence=tracer()))
    asked = []
    real = mapping.suv_factor
    monkeypatch.setattr(mapping, "suv_factor", lambda dataset: asked.append(1) or real(dataset))
    assert values_of([one, one]).unit == "SUVbw"
    assert asked == [1]
