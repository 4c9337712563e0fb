from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_frames import US, frame, picture
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.errors import InputError
from medvision.io.dicom.frame import Frame
from medvision.io.dicom.mapping import Linear, Mapping, Table
from medvision.io.dicom.values import Values

PATH = Path("series")


def slices(count: int, **stated: Any) -> list[Frame]:
    return [frame(k, rows=1, columns=3, **stated) for k in range(count)]


def gathered(
    frames: list[Frame], mappings: list[Mapping], stored: list[Any], kind: str = "u2"
) -> tuple[np.ndarray, list[str]]:
    values = Values(frames, mappings)
    for number, pixels in enumerate(stored):
        values.put(number, np.array(pixels, dtype=kind))
    found, findings = values.finished(PATH)
    return found, [finding.code for finding in findings]


def of_bits(bits: int, *, signed: bool, **stated: Any) -> dict[str, Any]:
    allocated = 8 if bits <= 8 else 16 if bits <= 16 else 32
    return {
        "bits_allocated": allocated,
        "bits_stored": bits,
        "high_bit": bits - 1,
        "pixel_representation": int(signed),
        **stated,
    }


@settings(max_examples=120, deadline=None)
@given(st.data(), st.sampled_from([1, 8, 10, 12, 16, 17, 32]), st.booleans())
def test_whole_numbers_stay_exact_whatever_their_bits_and_intercepts(
    data: st.DataObject, bits: int, signed: bool
) -> None:
    signed = signed and bits > 1
    low = -(1 << (bits - 1)) if signed else 0
    stated = of_bits(bits, signed=signed)
    intercepts = data.draw(
        st.lists(st.integers(-(1 << 33), 1 << 33) | st.integers(-2000, 2000), min_size=2, max_size=2)
    )
    stored = [[data.draw(st.integers(low, low + (1 << bits) - 1)) for _ in range(3)] for _ in range(2)]
    kind = f"{'i' if signed else 'u'}{stated['bits_allocated'] // 8}"
    found, _ = gathered(
        slices(2, **stated), [Linear(1.0, float(one)) for one in intercepts], [[s] for s in stored], kind
    )
    wanted = [[[value + shift for value in row]] for row, shift in zip(stored, intercepts, strict=True)]
    assert found.dtype.kind in "iu"
    assert found.tolist() == wanted


@pytest.mark.parametrize(
    ("bits", "signed", "intercept", "kind"),
    [
        (8, False, 0, "uint8"),
        (8, True, 0, "int16"),
        (12, False, -1024, "int16"),
        (12, True, 0, "int16"),
        (12, False, 40000, "uint16"),
        (12, False, 70000, "int32"),
        (12, False, 1 << 40, "int64"),
    ],
)
def test_the_type_is_the_smallest_that_holds_what_the_bits_can(
    bits: int, signed: bool, intercept: int, kind: str
) -> None:
    stated = of_bits(bits, signed=signed)
    stored = f"{'i' if signed else 'u'}{stated['bits_allocated'] // 8}"
    found, _ = gathered(slices(1, **stated), [Linear(1.0, intercept)], [[[100, 101, 102]]], stored)
    assert found.tolist() == [[[100 + intercept, 101 + intercept, 102 + intercept]]]
    assert found.dtype == kind


def test_wide_numbers_take_the_type_that_holds_those_that_are_there() -> None:
    stated = of_bits(32, signed=False)
    assert gathered(slices(1, **stated), [Linear(1.0, -5.0)], [[[0, 5, 30000]]], "u4")[0].dtype == np.int16
    assert gathered(slices(1, **stated), [Linear(1.0, 0.0)], [[[0, 5, 70000]]], "u4")[0].dtype == np.int32
    wide = of_bits(16, signed=False)
    assert gathered(slices(1, **wide), [Linear(1.0, -1024.0)], [[[0, 5, 30000]]])[0].dtype == np.int16
    assert gathered(slices(1, **wide), [Linear(1.0, -1024.0)], [[[0, 5, 65535]]])[0].dtype == np.int32


def test_sums_beyond_whole_numbers_become_floats() -> None:
    found, _ = gathered(slices(1), [Linear(1.0, 1e20)], [[[0, 1, 2]]])
    assert found.dtype == np.float32
    assert found[0, 0, 0] == np.float32(1e20)


def test_each_slice_has_its_own_slope_and_intercept() -> None:
    found, _ = gathered(slices(2), [Linear(2.0, -1.0), Linear(0.5, 10.0)], [[[0, 1, 2]], [[0, 1, 2]]])
    assert found.tolist() == [[[-1, 1, 3]], [[10, 10.5, 11]]]
    assert found.dtype == np.float32


def test_a_table_gives_its_entries_and_its_ends_beyond_them() -> None:
    table = Table(-2, np.array([7, 8, 9], np.uint16))
    stated = of_bits(16, signed=True)
    found, _ = gathered(slices(1, **stated), [table], [[[-3, -1, 5]]], "i2")
    assert found.tolist() == [[[7, 8, 9]]]


def test_a_table_for_each_slice() -> None:
    tables: list[Mapping] = [Table(0, np.array([n, n + 1], np.uint16)) for n in (10, 20)]
    found, _ = gathered(slices(2), tables, [[[0, 1, 1]], [[0, 1, 1]]])
    assert found.tolist() == [[[10, 11, 11]], [[20, 21, 21]]]


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_padding_of_each_slice_becomes_the_least_other_value_of_the_volume(scale: float) -> None:
    frames = [frame(0, padding=0), frame(1, padding=9), frame(2)]
    stored = [[[0, 5, 9]], [[0, 5, 9]], [[4, 5, 9]]]
    found, codes = gathered(frames, [Linear(scale, 0.0)] * 3, stored)
    # The 0 of the second slice is a measurement, and the least of all.
    assert (found / scale).tolist() == [[[0, 5, 9]], [[0, 5, 0]], [[4, 5, 9]]]
    assert codes == ["padding-replaced"]


def test_padding_does_not_count_as_the_least_value() -> None:
    found, codes = gathered(slices(2, padding=0), [Linear(1.0, -10.0)] * 2, [[[0, 5, 9]], [[0, 0, 0]]])
    assert found.tolist() == [[[-5, -5, -1]], [[-5, -5, -5]]]
    assert codes == ["padding-replaced"]


def test_where_all_is_padding_or_none_is_nothing_changes() -> None:
    assert gathered(slices(1, padding=7), [Linear(1.0, 0.0)], [[[7, 7, 7]]])[0].tolist() == [[[7, 7, 7]]]
    found, codes = gathered(slices(1, padding=7), [Linear(1.0, 0.0)], [[[1, 2, 3]]])
    assert (found.tolist(), codes) == ([[[1, 2, 3]]], [])


@pytest.mark.parametrize(("padding", "limit"), [(10, 12), (12, 10), (65526, 65524)])
def test_padding_can_be_a_range_and_a_signed_value_stated_as_unsigned(padding: int, limit: int) -> None:
    signed = padding > 40000
    stated = of_bits(16, signed=signed, padding=padding, padding_limit=limit)
    sign = -1 if signed else 1
    found, _ = gathered(slices(1, **stated), [Linear(1.0, 0.0)], [[[11 * sign, 50, 60]]], "i2" if signed else "u2")
    assert found.tolist() == [[[50, 50, 60]]]


@pytest.mark.parametrize(("padding", "bits", "signed"), [(4096, 12, False), (-1, 12, False), (-2049, 12, True)])
def test_padding_outside_the_bits_that_hold_the_image_is_refused(padding: int, bits: int, signed: bool) -> None:
    values = Values(slices(1, **of_bits(bits, signed=signed, padding=padding)), [Linear(1.0, 0.0)])
    with pytest.raises(InputError) as caught:
        values.put(0, np.zeros((1, 3), "i2" if signed else "u2"))
    assert (caught.value.code, caught.value.path) == ("bad-header", Path("slice000"))


def test_a_picture_stored_bright_to_dark_is_inverted_in_its_bits_and_a_slice_is_not() -> None:
    stated = {"photometric": "MONOCHROME1", "rows": 1, "columns": 3}
    for bits, signed, wanted in ((12, False, [4095, 4090, 0]), (8, True, [-1, -6, 127])):
        pixels = [[0, 5, 4095]] if not signed else [[0, 5, -128]]
        film = picture(**of_bits(bits, signed=signed, **stated))
        found, codes = gathered([film], [Linear(1.0, 0.0)], [pixels], "i1" if signed else "u2")
        assert (found.tolist(), codes) == ([[wanted]], ["inverted"])
    found, codes = gathered([frame(**stated)], [Linear(1.0, 0.0)], [[[0, 5, 9]]])
    assert (found.tolist(), codes) == ([[[0, 5, 9]]], [])


def test_colours_are_three_values_a_pixel_and_a_palette_fills_its_type() -> None:
    stated = {"sop_class": US, "rows": 1, "columns": 2, **of_bits(8, signed=False)}
    colours = [[[0, 100, 255], [1, 2, 3]]]
    for photometric in ("RGB", "PALETTE COLOR"):
        found, _ = gathered([picture(photometric=photometric, **stated)], [Linear(1.0, 0.0)], [colours], "u1")
        assert (found.tolist(), found.dtype) == ([colours], np.uint8)
    wide = picture(photometric="PALETTE COLOR", **stated)
    found, _ = gathered([wide], [Linear(1.0, 0.0)], [[[[0, 100, 65535]]]], "u2")
    assert (found.tolist(), found.dtype) == ([[[[0, 100, 65535]]]], np.uint16)


def test_floating_point_pixels_stay_as_they_are() -> None:
    stated = {"sop_class": "1.2.840.10008.5.1.4.1.1.30", "bits_stored": None, "high_bit": None, "bits_allocated": 32}
    found, _ = gathered(slices(1, padding=3, **stated), [Linear(1.0, 0.0)], [[[0.5, 3, 1e9]]], "f4")
    assert (found.tolist(), found.dtype) == ([[[0.5, 3, 1e9]]], np.float32)


@pytest.mark.parametrize(
    ("ends", "stored", "wanted"),
    [
        ((-9.0, -9.0), [-9.0, 0.5, 2.0], [0.5, 0.5, 2.0]),
        ((-5.0, -9.0), [-7.0, 0.5, -9.5], [-9.5, 0.5, -9.5]),
        ((np.nan, np.nan), [np.nan, 0.5, 2.0], [0.5, 0.5, 2.0]),
    ],
)
def test_floating_point_padding_becomes_the_least_other_value(
    ends: tuple[float, float], stored: list[float], wanted: list[float]
) -> None:
    stated = {"sop_class": "1.2.840.10008.5.1.4.1.1.30", "bits_stored": None, "high_bit": None, "bits_allocated": 32}
    found, codes = gathered(slices(1, float_padding=ends, **stated), [Linear(1.0, 0.0)], [[stored]], "f4")
    assert (found[0, 0].tolist(), codes) == (wanted, ["padding-replaced"])


def test_voxels_outside_the_range_of_a_map_are_told_of_but_for_padding() -> None:
    line = Linear(2.0, 0.0, (1.0, 5.0))
    assert gathered(slices(1), [line], [[[1, 3, 5]]])[1] == []
    assert gathered(slices(1), [line], [[[0, 3, 5]]])[1] == ["bad-rescale"]
    assert gathered(slices(1), [line], [[[1, 3, 6]]])[1] == ["bad-rescale"]
    assert gathered(slices(1, padding=9), [line], [[[1, 3, 9]]])[1] == ["padding-replaced"]


@pytest.mark.parametrize(
    ("photometric", "shape", "codes"),
    [
        ("MONOCHROME2", "INVERSE", ["bad-header"]),
        ("MONOCHROME2", "IDENTITY", []),
        ("MONOCHROME2", None, []),
        ("MONOCHROME1", "INVERSE", ["inverted"]),
    ],
)
def test_a_picture_whose_two_orders_contradict_each_other_is_told_of(
    photometric: str, shape: str | None, codes: list[str]
) -> None:
    film = picture(photometric=photometric, presentation=shape, rows=1, columns=3)
    assert gathered([film], [Linear(1.0, 0.0)], [[[0, 5, 9]]])[1] == codes
    slab = frame(photometric="MONOCHROME2", presentation="INVERSE")
    assert gathered([slab], [Linear(1.0, 0.0)], [[[0, 5, 9]]])[1] == []


def test_a_volume_without_pixels_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        Values(slices(1), [Linear(1.0, 0.0)]).finished(PATH)
    assert (caught.value.code, caught.value.path) == ("truncated", PATH)
