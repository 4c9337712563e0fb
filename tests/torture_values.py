"""Torture: from stored bits to real values: depths, rescale, padding."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from torture import Expect, Lattice, Truth, add, lattice, refused, right, torture, value_at
from torture_dicom import SLOPE, ds, every, patch, put, save, slices, write

AXIAL = lattice()


def _files(folder: Path) -> list[Path]:
    """Return the files of a series that was written, one a slice: there is something to change."""
    files = sorted(folder.iterdir())
    assert len(files) == AXIAL.shape[2]
    return files


def _stored(k: int, slope: float, intercept: float, grid: Lattice = AXIAL) -> np.ndarray:
    """Return (rows, columns) the stored numbers of a slice."""
    return np.round((value_at(grid.points())[:, :, k].T - intercept) / slope)


def deep(allocated: int, bits: int, slope: float, intercept: float, *, signed: bool = False) -> list[Dataset]:
    """Return the slices with their values in this many bits."""
    datasets = slices(AXIAL)
    for k, dataset in enumerate(datasets):
        put(dataset, _stored(k, slope, intercept), allocated=allocated, bits=bits, signed=signed)
        every([dataset], RescaleSlope=ds(slope)[0], RescaleIntercept=ds(intercept)[0])
    return datasets


def _depth(folder: Path, allocated: int, bits: int, slope: float, intercept: float, *, signed: bool) -> Expect:
    write(folder, deep(allocated, bits, slope, intercept, signed=signed))
    return right(Truth(AXIAL, tolerance=abs(slope) * 0.51 + 1e-3))


add("unsigned_8_bit", partial(_depth, allocated=8, bits=8, slope=2, intercept=-200, signed=False))
add("signed_8_bit", partial(_depth, allocated=8, bits=8, slope=2, intercept=0, signed=True))
add("unsigned_12_in_16_bit", partial(_depth, allocated=16, bits=12, slope=SLOPE, intercept=-200, signed=False))
add("signed_16_bit", partial(_depth, allocated=16, bits=16, slope=SLOPE, intercept=0, signed=True))
add("unsigned_32_bit", partial(_depth, allocated=32, bits=32, slope=1e-4, intercept=-4096, signed=False))
add("signed_32_bit", partial(_depth, allocated=32, bits=32, slope=1e-4, intercept=0, signed=True))
add("signed_16_bit_to_the_ends", partial(_depth, allocated=16, bits=16, slope=0.0052, intercept=0, signed=True))
add("negative_slope", partial(_depth, allocated=16, bits=16, slope=-SLOPE, intercept=4096, signed=False))
add("slope_of_a_millionth", partial(_depth, allocated=32, bits=32, slope=1e-6, intercept=-200, signed=False))


def _bits(folder: Path, change: Callable[[np.ndarray], np.ndarray], tags: dict[str, int], *, signed: bool) -> Expect:
    datasets = deep(16, 12, SLOPE, 0 if signed else -200, signed=signed)
    for dataset in datasets:
        stored = np.frombuffer(dataset.PixelData, "<u2")
        dataset.PixelData = change(stored).astype("<u2").tobytes()
    write(folder, every(datasets, **tags))
    return right(AXIAL)


def _junk(stored: np.ndarray) -> np.ndarray:
    return (stored & 0x0FFF) | (np.arange(stored.size) % 16 << 12)


add("12_bit_with_junk_above", partial(_bits, change=_junk, tags={}, signed=False))
add("signed_12_bit_with_junk_above", partial(_bits, change=_junk, tags={}, signed=True))
add("signed_12_bit_without_signs_extended", partial(_bits, change=lambda s: s & 0x0FFF, tags={}, signed=True))
add("signed_12_bit_with_signs_extended", partial(_bits, change=lambda s: s, tags={}, signed=True))


_SIZES = {
    "rows_fewer_than_the_data": {"Rows": 8},
    "rows_more_than_the_data": {"Rows": 11},
    "columns_fewer_than_the_data": {"Columns": 11},
    "columns_more_than_the_data": {"Columns": 20},
    "8_bits_stated_for_16": {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7},
    "32_bits_stated_for_16": {"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31},
    "three_samples_stated_for_one": {
        "SamplesPerPixel": 3,
        "PhotometricInterpretation": "RGB",
        "PlanarConfiguration": 0,
    },
    "two_frames_stated_for_one": {"NumberOfFrames": 2},
    "no_bits_stated": {"BitsAllocated": None},
    "no_rows_stated": {"Rows": None},
    "no_pixel_representation_stated": {"PixelRepresentation": None},
    "no_pixels": {"PixelData": None},
}


def _sizes(folder: Path, tags: dict[str, Any], *, one: bool) -> Expect:
    datasets = slices(AXIAL)
    every(datasets[3:4] if one else datasets, **tags)
    write(folder, datasets)
    return refused(
        "bad-header",
        "truncated",
        "series-mixed",
        "slices-duplicate",
        "unsupported",
        "slices-missing",
        "not-3d",
        "no-image",
        "not-analysed-here",
    )


for _name, _tags in _SIZES.items():
    add(_name, partial(_sizes, tags=_tags, one=False))
    add(f"{_name}_on_one_slice", partial(_sizes, tags=_tags, one=True))


@torture
def high_bit_15_of_12_bits(folder: Path) -> Expect:
    either = _bits(folder, lambda s: (s & 0x0FFF) << 4, {"HighBit": 15}, signed=False)
    return either.or_refused("bad-header", "unsupported")


@torture
def more_bits_stored_than_allocated(folder: Path) -> Expect:
    write(folder, every(deep(16, 16, SLOPE, -4096), BitsStored=20, HighBit=19))
    return refused("bad-header", "unsupported")


@torture
def overlay_in_the_unused_bits(folder: Path) -> Expect:
    expect = _bits(folder, _junk, {}, signed=False)
    for file in _files(folder):
        dataset = dcmread(file)
        for tag, vr, value in ((0x10, "US", 10), (0x11, "US", 12), (0x100, "US", 16), (0x102, "US", 12)):
            dataset.add_new(0x60000000 | tag, vr, value)
        dataset.add_new(0x60000040, "CS", "G")
        dataset.save_as(file)
    return expect


_RESCALE = {
    "slope_zero": {"RescaleSlope": "0"},
    "slope_missing": {"RescaleSlope": None},
    "intercept_missing": {"RescaleIntercept": None},
    "slope_and_intercept_missing": {"RescaleSlope": None, "RescaleIntercept": None},
    "slope_empty": {"RescaleSlope": ""},
}


def _rescale(folder: Path, tags: dict[str, Any], *, one: bool) -> Expect:
    datasets = slices(AXIAL)
    every(datasets[5:6] if one else datasets, **tags)
    write(folder, datasets)
    return refused("bad-rescale", "series-mixed", "bad-header")


for _name, _tags in _RESCALE.items():
    add(f"{_name}_on_one_slice", partial(_rescale, tags=_tags, one=True))
    add(f"{_name}_on_all_slices_of_ct", partial(_rescale, tags=_tags, one=False))


def _written_slope(folder: Path, new: bytes) -> Expect:
    files = write(folder, every(slices(AXIAL), RescaleSlope="0.1250"))
    patch(files[3], b"0.1250", new)
    return refused("bad-rescale", "bad-header", "series-mixed")


for _word in ("nan   ", "inf   ", "0,1250", "abcdef", "1e999 ", "-0.000"):
    add(f"slope_written_as_{_word.strip().replace(',', '_')}", partial(_written_slope, new=_word.encode()))


@torture
def another_slope_for_each_slice(folder: Path) -> Expect:
    datasets = slices(AXIAL)
    for k, dataset in enumerate(datasets):
        slope = 0.05 + 0.013 * k
        put(dataset, _stored(k, slope, -300 - k))
        every([dataset], RescaleSlope=ds(slope)[0], RescaleIntercept=ds(-300 - k)[0])
    write(folder, datasets)
    return right(AXIAL)


def _modality_lut(folder: Path, first: int, *, signed: bool = False) -> Expect:
    """The table holds the values at 1/8; the stored numbers are their places in it."""
    grid = lattice(origin=(11, 7, 20))
    values = np.unique(np.round(value_at(grid.points()) * 8))
    lut = Dataset()
    lut.LUTDescriptor, lut.ModalityLUTType = [len(values), first, 16], "US"
    lut.LUTData = [int(value) for value in values]
    for dataset in (datasets := slices(grid)):
        stored = np.frombuffer(dataset.PixelData, "<u2").reshape(10, 12) * SLOPE - 4096
        put(dataset, np.searchsorted(values, np.round(stored * 8)) + first, signed=signed)
        dataset.ModalityLUTSequence = [lut]
        dataset["ModalityLUTSequence"][0]["LUTDescriptor"].VR = "SS" if signed else "US"
        dataset["ModalityLUTSequence"][0]["LUTData"].VR = "US"
    write(folder, every(datasets, RescaleSlope=None, RescaleIntercept=None))
    return right(Truth(grid, scale=8, tolerance=0.51))


add("modality_lut", partial(_modality_lut, first=0))
add("modality_lut_from_100", partial(_modality_lut, first=100))
add("modality_lut_from_below_zero", partial(_modality_lut, first=-500, signed=True))


@torture
def modality_lut_with_a_slope_beside_it(folder: Path) -> Expect:
    expect = _modality_lut(folder, 0)
    for file in _files(folder):
        save(file, every([dcmread(file)], RescaleSlope="2", RescaleIntercept="0")[0])
    return expect.or_refused("bad-rescale", "bad-header")


@torture
def modality_lut_on_one_slice(folder: Path) -> Expect:
    _modality_lut(folder, 0)
    kept, *others = _files(folder)
    expect = right(lattice(origin=(11, 7, 20)))
    datasets = slices(lattice(origin=(11, 7, 20)))
    number = next(k for k, d in enumerate(datasets) if d.SOPInstanceUID == dcmread(kept).SOPInstanceUID)
    for k, dataset in enumerate(datasets):
        if k != number:
            save(folder / f"{k}.new", dataset)
    for file in others:
        file.unlink()
    return expect.or_refused("series-mixed", "bad-rescale")


def _padded(folder: Path, pad: int, tags: dict[str, int], *, signed: bool, other: int | None = None) -> Expect:
    hidden = np.zeros(AXIAL.shape, bool)
    hidden[:2, :3], hidden[-1] = True, True
    datasets = deep(16, 16, SLOPE, 0 if signed else -200, signed=signed)
    for k, dataset in enumerate(datasets):
        stored = np.frombuffer(dataset.PixelData, "<u2").reshape(10, 12).copy()
        stored[hidden[:, :, k].T] = pad & 0xFFFF
        if other is not None:
            stored[:, -1] = other & 0xFFFF
        dataset.PixelData = stored.tobytes()
        for keyword, value in tags.items():
            setattr(dataset, keyword, value)
            dataset[keyword].VR = "SS" if value < 0 or (signed and value < 32768) else "US"
    write(folder, datasets)
    return right(Truth(AXIAL, hidden=hidden))


add("padding", partial(_padded, pad=-32000, tags={"PixelPaddingValue": -32000}, signed=True))
add("padding_of_63536_stated_as_unsigned", partial(_padded, pad=63536, tags={"PixelPaddingValue": 63536}, signed=True))
add("padding_unsigned", partial(_padded, pad=65535, tags={"PixelPaddingValue": 65535}, signed=False))
_RANGE = {"PixelPaddingValue": -32000, "PixelPaddingRangeLimit": -31000}
add("padding_of_a_range", partial(_padded, pad=-32000, tags=_RANGE, signed=True, other=-31000))
_BACKWARDS = {"PixelPaddingValue": -31000, "PixelPaddingRangeLimit": -32000}
add("padding_of_a_range_backwards", partial(_padded, pad=-32000, tags=_BACKWARDS, signed=True, other=-31500))


@torture
def monochrome1_of_ct(folder: Path) -> Expect:
    write(folder, every(slices(AXIAL), PhotometricInterpretation="MONOCHROME1"))
    return right(AXIAL, warning="free")


@torture
def monochrome1_of_mr(folder: Path) -> Expect:
    write(folder, every(slices(AXIAL, "MR"), PhotometricInterpretation="MONOCHROME1"))
    return right(AXIAL, warning="free")


@torture
def mr_without_any_rescale(folder: Path) -> Expect:
    write(folder, slices(AXIAL, "MR", slope=None))
    return right(Truth(AXIAL, tolerance=0.51))
