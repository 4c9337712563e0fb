"""Torture: PET and its SUV, dose, radiographs, colour, real-world values, and objects that are no images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID
from torture import Expect, Truth, add, lattice, refused, right, torture, value_at, warned
from torture_dicom import ROOT, base, ds, every, place, put, save, slices, write

GRID = lattice(origin=(11, 7, 20))  # all values are above zero
_HALF_LIFE = 6586.2  # s, of F-18
_DOSE, _WEIGHT = 3.7e8, 70.0


def _pet(**more: Any) -> list[Dataset]:
    """Return a PET series: injected at 09:20, the series started at 10:20, decay-corrected to its start."""
    tracer = Dataset()
    tracer.RadiopharmaceuticalStartTime = "092000.00"
    tracer.RadionuclideTotalDose = f"{_DOSE:.0f}"
    tracer.RadionuclideHalfLife = f"{_HALF_LIFE}"
    datasets = every(slices(GRID, "PT"), Units="BQML", DecayCorrection="START", PatientWeight=f"{_WEIGHT:g}")
    every(datasets, CorrectedImage=["ATTN", "DECY"], RadiopharmaceuticalInformationSequence=[tracer])
    return every(datasets, **more)


def _tracer(datasets: list[Dataset], **tags: Any) -> list[Dataset]:
    every([dataset.RadiopharmaceuticalInformationSequence[0] for dataset in datasets], **tags)
    return datasets


def _suv(seconds: float = 3600.0) -> Expect:
    """Return SUVbw: Bq/ml x weight in g / dose that is left after `seconds`."""
    factor = _WEIGHT * 1000 / (_DOSE * 0.5 ** (seconds / _HALF_LIFE))
    return right(Truth(GRID, scale=factor, tolerance=0.08 * factor, unit="SUV"), warning="free")


def _as_stored(**more: Any) -> Expect:
    return right(Truth(GRID, unit="BQML"), warning="free", **more)


def _written(folder: Path, make: Callable[[], list[Dataset]], expect: Expect) -> Expect:
    write(folder, make())
    return expect


_INJECTED = {"RadiopharmaceuticalStartTime": None, "RadiopharmaceuticalStartDateTime": "20260102092000.00"}
_YESTERDAY = {"RadiopharmaceuticalStartTime": None, "RadiopharmaceuticalStartDateTime": "20260101233000"}
_MIDNIGHT = {"SeriesTime": "003000", "AcquisitionTime": "003000"}
_PET: dict[str, tuple[Callable[[], list[Dataset]], Expect]] = {
    "pet_in_suv": (_pet, _suv()),
    "pet_injection_with_its_date": (lambda: _tracer(_pet(), **_INJECTED), _suv()),
    "pet_injected_before_midnight": (lambda: _tracer(_pet(**_MIDNIGHT), **_YESTERDAY), _suv()),
    "pet_decay_corrected_to_injection": (lambda: _pet(DecayCorrection="ADMIN"), _suv(0.0)),
    "pet_bed_by_bed": (
        lambda: [every([d], AcquisitionTime=f"10{20 + 3 * (k // 4)}00")[0] for k, d in enumerate(_pet())],
        _suv(),
    ),
    "pet_processed_later": (
        lambda: _pet(SeriesTime="143000", AcquisitionTime="102000"),
        replace(_suv(), instead=_as_stored()),
    ),
    "pet_without_weight": (lambda: _pet(PatientWeight=None), _as_stored()),
    "pet_of_weight_zero": (lambda: _pet(PatientWeight="0"), _as_stored()),
    "pet_without_dose": (lambda: _tracer(_pet(), RadionuclideTotalDose=None), _as_stored()),
    "pet_of_dose_zero": (lambda: _tracer(_pet(), RadionuclideTotalDose="0"), _as_stored()),
    "pet_without_half_life": (lambda: _tracer(_pet(), RadionuclideHalfLife=None), _as_stored()),
    "pet_without_time_of_injection": (lambda: _tracer(_pet(), RadiopharmaceuticalStartTime=None), _as_stored()),
    "pet_without_decay_correction": (lambda: _pet(DecayCorrection=None, CorrectedImage=["ATTN"]), _as_stored()),
    "pet_not_decay_corrected": (lambda: _pet(DecayCorrection="NONE"), _as_stored()),
    "pet_without_its_tracer": (lambda: _pet(RadiopharmaceuticalInformationSequence=None), _as_stored()),
    "pet_injected_after_the_scan": (lambda: _tracer(_pet(), RadiopharmaceuticalStartTime="113000"), _as_stored()),
    "pet_of_counts": (lambda: _pet(Units="CNTS"), right(Truth(GRID, unit="CNTS"), warning="free")),
    "pet_in_suv_already": (lambda: _pet(Units="GML"), right(Truth(GRID), warning="free")),
    "pet_without_units": (lambda: _pet(Units=None), right(GRID, warning="free").or_refused("bad-header")),
}
for _name, (_make, _expect) in _PET.items():
    add(_name, partial(_written, make=_make, expect=_expect))


@torture
def pet_with_a_slope_for_each_slice(folder: Path) -> Expect:
    datasets = _pet()
    for k, dataset in enumerate(datasets):
        slope = 0.05 + 0.01 * k
        put(dataset, value_at(GRID.points())[:, :, k].T / slope)
        every([dataset], RescaleSlope=ds(slope)[0], RescaleIntercept="0")
    write(folder, datasets)
    return _suv()


@torture
def pet_with_weight_on_one_slice_another(folder: Path) -> Expect:
    datasets = _pet()
    every([datasets[4]], PatientWeight="35")
    write(folder, datasets)
    return _as_stored().or_refused("series-mixed")


def _dose(offsets: list[float]) -> Dataset:
    """Return a dose of GRID's values in cGy, stored in steps of 1/8."""
    dataset = base("CT")
    place(dataset, GRID)
    values = np.moveaxis(value_at(GRID.points()), (2, 1, 0), (0, 1, 2))
    put(dataset, values * 8000, allocated=32, bits=32)
    every([dataset], SOPClassUID="1.2.840.10008.5.1.4.1.1.481.2", Modality="RTDOSE", SOPInstanceUID=f"{ROOT}.31")
    every([dataset], NumberOfFrames=8, DoseUnits="GY", DoseType="PHYSICAL", DoseSummationType="PLAN")
    every([dataset], DoseGridScaling="0.000125", GridFrameOffsetVector=ds(*offsets), SliceThickness=None)
    dataset.FrameIncrementPointer = 0x3004000C
    return dataset


def _one_dose(folder: Path, offsets: list[float], expect: Expect) -> Expect:
    save(folder / "dose.dcm", _dose(offsets))
    return expect


_EVEN = [3.0 * k for k in range(8)]
_GRAY = right(Truth(GRID, tolerance=0.08), warning="free").or_refused("unsupported", "not-analysed-here", "no-image")
add("dose", partial(_one_dose, offsets=_EVEN, expect=_GRAY))
add("dose_with_positions_for_offsets", partial(_one_dose, offsets=[20 + z for z in _EVEN], expect=_GRAY))
_NO_DOSE = refused(
    "slices-missing", "slices-uneven", "bad-geometry", "bad-header", "unsupported", "not-analysed-here", "no-image"
)
add("dose_with_uneven_offsets", partial(_one_dose, offsets=[0, 3, 6, 9, 12, 15, 18, 27], expect=_NO_DOSE))
add("dose_with_too_few_offsets", partial(_one_dose, offsets=[*_EVEN[:7]], expect=_NO_DOSE))


_PIXELS = np.random.default_rng(4).integers(0, 4096, (10, 12))


def _radiograph(modality: str, **tags: Any) -> Dataset:
    dataset = put(base(modality), _PIXELS, bits=12)
    every([dataset], SOPInstanceUID=f"{ROOT}.51", PatientOrientation=["L", "F"], PixelSpacing=["0.3", "0.2"])
    every([dataset], ViewPosition="PA", FrameOfReferenceUID=None, PresentationIntentType="FOR PRESENTATION")
    return every([dataset], RescaleSlope="1", RescaleIntercept="0", RescaleType="US", **tags)[0]


def _seen(pixels: np.ndarray = _PIXELS, spacing: tuple[float, float] | None = (0.2, 0.3)) -> Truth:
    return Truth(None, pixels=pixels.T[None, ..., None], tolerance=1e-3, spacing_mm=spacing)


_SEEN = right(_seen(), warning="free")
_IMAGER = {"PixelSpacing": None, "ImagerPixelSpacing": ["0.3", "0.2"]}
_BARE = {"PixelSpacing": None, "PatientOrientation": None}
_RADIOGRAPHS: dict[str, tuple[Dataset, Expect]] = {
    "radiograph_cr": (_radiograph("CR"), _SEEN),
    "radiograph_dx": (_radiograph("DX"), _SEEN),
    "mammogram": (_radiograph("MG", PatientOrientation=["A", "FR"]), _SEEN),
    "radiograph_with_imager_spacing": (_radiograph("CR", **_IMAGER), warned(_seen())),
    "radiograph_without_spacing": (
        _radiograph("CR", **_BARE),
        right(_seen(spacing=None), warning="free").or_refused("bad-geometry"),
    ),
    "radiograph_without_orientation": (
        _radiograph("DX", PatientOrientation=None),
        _SEEN.or_refused("bad-geometry"),
    ),
    "radiograph_monochrome1": (
        _radiograph("DX", PhotometricInterpretation="MONOCHROME1"),
        right(_seen(4095 - _PIXELS), warning="free", instead=_SEEN),
    ),
}


def _one_radiograph(folder: Path, dataset: Dataset, expect: Expect) -> Expect:
    save(folder / "radiograph.dcm", dataset)
    return expect


for _name, (_dataset, _expect) in _RADIOGRAPHS.items():
    add(_name, partial(_one_radiograph, dataset=_dataset, expect=_expect))


@torture
def two_views_in_one_series(folder: Path) -> Expect:
    save(folder / "a.dcm", _radiograph("MG"))
    other = every([_radiograph("MG")], SOPInstanceUID=f"{ROOT}.52", InstanceNumber=2, ViewPosition="MLO")[0]
    save(folder / "b.dcm", put(other, _PIXELS[::-1], bits=12))
    return right(_seen(), _seen(_PIXELS[::-1]), warning="free").or_refused("unsupported")


def _ybr(rgb: np.ndarray) -> np.ndarray:
    """Return YBR_FULL (PS3.3, C.7.6.3.1.2)."""
    matrix = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
    return np.clip(np.round(rgb @ matrix.T + (0, 128, 128)), 0, 255)


_RGB = np.stack(np.meshgrid(np.arange(12) * 20, np.arange(10) * 20), -1)
_RGB = np.concatenate([_RGB, 230 - _RGB[..., :1]], axis=-1)  # (rows, columns, 3), smooth
_RGB[:, 1::2] = _RGB[:, ::2]  # equal neighbours, so that halving their colour loses nothing


def _halved(ybr: np.ndarray) -> bytes:
    """Return YBR_FULL_422: Y Y B R of each two neighbours."""
    pairs = np.concatenate([ybr[:, ::2, :1], ybr[:, 1::2, :1], ybr[:, ::2, 1:]], axis=-1)
    return pairs.astype(np.uint8).tobytes()


def _palette(dataset: Dataset, times: int) -> Dataset:
    codes, indices = np.unique(_RGB.reshape(-1, 3), axis=0, return_inverse=True)
    put(dataset, indices.reshape(10, 12), allocated=8, bits=8)
    dataset.PhotometricInterpretation = "PALETTE COLOR"
    for n, colour in enumerate(("Red", "Green", "Blue")):
        setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", [len(codes), 0, 16])
        table = (codes[:, n] * times).astype("<u2").tobytes()
        setattr(dataset, f"{colour}PaletteColorLookupTableData", table)
    return dataset


def _coloured(name: str) -> Dataset:
    dataset = every([base("SC")], SOPInstanceUID=f"{ROOT}.61", ConversionType="WSD")[0]
    put(dataset, _RGB, allocated=8, bits=8)
    if name == "planar":
        every([dataset], PlanarConfiguration=1, PixelData=np.moveaxis(_RGB, -1, 0).astype(np.uint8).tobytes())
    elif name == "ybr_full":
        put(dataset, _ybr(_RGB), allocated=8, bits=8).PhotometricInterpretation = "YBR_FULL"
    elif name == "ybr_full_422":
        every([dataset], PhotometricInterpretation="YBR_FULL_422", PixelData=_halved(_ybr(_RGB)))
    elif name.startswith("palette"):
        _palette(dataset, 256 if name.endswith("low_bytes_of_zero") else 257)
    elif name == "16_bit":
        put(dataset, _RGB * 200, allocated=16, bits=16)
    elif name == "run_length":
        dataset.compress(UID("1.2.840.10008.1.2.5"), encoding_plugin="pydicom", generate_instance_uid=False)
    return dataset


def _colour(folder: Path, name: str) -> Expect:
    save(folder / "colour.dcm", _coloured(name))
    pixels = _RGB * (200 if name == "16_bit" else 1)
    seen = [
        Truth(None, pixels=np.moveaxis(pixels * k, (2, 1, 0), (0, 1, 2))[..., None], tolerance=2 * k)
        for k in (1, 257, 256)
    ]
    expect = right(seen[0], warning="free").or_refused("unsupported")
    if name.startswith("palette"):  # its tables have 16 bits: as they are, or as the 8 bits that they stand for
        return right(seen[2 if name.endswith("zero") else 1], warning="free", instead=expect)
    return expect


for _name in (
    "rgb",
    "planar",
    "ybr_full",
    "ybr_full_422",
    "palette",
    "palette_with_low_bytes_of_zero",
    "16_bit",
    "run_length",
):
    add(f"colour_{_name}", partial(_colour, name=_name))


def _real_world(folder: Path, modality: str) -> Expect:
    """A map to mm2/s beside the modality's own rescale: either may be used, if the unit says which."""
    code = every([Dataset()], CodeValue="um2/s", CodingSchemeDesignator="UCUM", CodeMeaning="um2/s")[0]
    item = every([Dataset()], RealWorldValueIntercept=-512.0, RealWorldValueSlope=0.25, LUTLabel="ADC")[0]
    every([item], MeasurementUnitsCodeSequence=[code], RealWorldValueFirstValueMapped=0)
    item.RealWorldValueLastValueMapped = 65535
    for tag in ("RealWorldValueFirstValueMapped", "RealWorldValueLastValueMapped"):
        item[tag].VR = "US"
    datasets = every(slices(GRID, modality), RealWorldValueMappingSequence=[item])
    write(folder, datasets)
    mapped = Truth(GRID, scale=2, offset=(4096 * 2 - 512) / 2, tolerance=0.16, unit="um2/s")
    return right(mapped, warning="free", instead=right(GRID, warning="free"))


add("real_world_value_map", partial(_real_world, modality="MR"))


_OTHERS = {
    "structured_report": ("1.2.840.10008.5.1.4.1.1.88.22", "SR"),
    "rt_structure_set": ("1.2.840.10008.5.1.4.1.1.481.3", "RTSTRUCT"),
    "rt_plan": ("1.2.840.10008.5.1.4.1.1.481.5", "RTPLAN"),
    "key_object_selection": ("1.2.840.10008.5.1.4.1.1.88.59", "KO"),
    "presentation_state": ("1.2.840.10008.5.1.4.1.1.11.1", "PR"),
    "registration": ("1.2.840.10008.5.1.4.1.1.66.1", "REG"),
    "encapsulated_pdf": ("1.2.840.10008.5.1.4.1.1.104.1", "DOC"),
    "raw_data": ("1.2.840.10008.5.1.4.1.1.66", "OT"),
    "waveform": ("1.2.840.10008.5.1.4.1.1.9.1.1", "ECG"),
}


def _beside(folder: Path, sop_class: str, modality: str, *, alone: bool) -> Expect:
    other = base("CT", series=1 if modality == "PR" else 7)
    every([other], SOPClassUID=sop_class, Modality=modality, SOPInstanceUID=f"{ROOT}.71")
    save(folder / "object.dcm", other)
    if alone:
        return refused("no-image", "not-analysed-here", "unsupported")
    write(folder, slices(GRID))
    return right(GRID, named=("object.dcm",))


for _name, (_sop_class, _modality) in _OTHERS.items():
    add(f"{_name}_beside_images", partial(_beside, sop_class=_sop_class, modality=_modality, alone=False))
add("structured_report_alone", partial(_beside, sop_class=_OTHERS["structured_report"][0], modality="SR", alone=True))


@torture
def segmentation_beside_images(folder: Path) -> Expect:
    mask = np.zeros((8, 10, 12), np.uint8)
    mask[2:5, 3:7, 4:9] = 1
    seg = put(base("CT", series=5), mask, allocated=8, bits=1)
    every([seg], SOPClassUID="1.2.840.10008.5.1.4.1.1.66.4", Modality="SEG", SOPInstanceUID=f"{ROOT}.72")
    every(
        [seg],
        BitsAllocated=1,
        NumberOfFrames=8,
        SegmentationType="BINARY",
        PixelData=np.packbits(mask, bitorder="little").tobytes(),
    )
    save(folder / "seg.dcm", seg)
    write(folder, slices(GRID))
    return right(GRID, named=("seg.dcm",))
