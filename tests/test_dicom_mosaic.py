"""Siemens mosaics: unpacked to known slices at known places, or refused."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset, dcmread

from medvision.errors import GeometryError, InputError, MedvisionError
from medvision.io.dicom.csa import b_value, protocol_centres, read_csa
from medvision.io.dicom.mosaic import Mosaic, tiles_of, unpacked
from medvision.io.located import quiet

Fields = Mapping[str, Sequence[str]]

AXIAL = (1, 0, 0, 0, 1, 0)
CORONAL = (1, 0, 0, 0, 0, -1)
SAGITTAL = (0, 1, 0, 0, 0, -1)
SPACING = (2.0, 3.0)  # between rows, between columns: mm
STEP = 4.0
CENTRE = np.array([5.0, -7.0, 11.0])  # of the first tile
ROWS, COLUMNS, COUNT, ACROSS = 3, 2, 5, 3


def csa_bytes(fields: Fields, *, is_marked: bool = True) -> bytes:
    """Write a CSA header as the scanner does; the older kind has no mark, and other lengths."""
    excess = 0 if is_marked else len(next(iter(fields.values())))
    parts = [b"SV10\4\3\2\1" if is_marked else b"", struct.pack("<2I", len(fields), 77)]
    for name, values in fields.items():
        parts.append(struct.pack("<64si4siii", name.encode(), len(values), b"IS", 6, len(values), 77))
        for value in values:
            content = value.encode() + b"\0" if value else b""
            size = len(content)
            parts.append(struct.pack("<4i", size + excess, size, 77, size))
            parts.append(content + b"\0" * (-size % 4))
    return b"".join(parts)


def protocol_text(centres: np.ndarray) -> str:
    """Write slices as the protocol does, where a component of zero is left out."""
    lines = ["### ASCCONV BEGIN ###"]
    for n, centre in enumerate(centres):
        lines.append(f"sSliceArray.asSlice[{n}].dThickness\t = \t3.0")
        pairs = zip(("Sag", "Cor", "Tra"), centre, strict=True)
        lines += [f"sSliceArray.asSlice[{n}].sPosition.d{axis}\t = \t{x}" for axis, x in pairs if x]
    return "\n".join([*lines, "### ASCCONV END ###"])


def mosaic_dataset(
    orientation: Sequence[float] = AXIAL,
    normal: Sequence[float] | None = (0, 0, 1),
    centres: np.ndarray | None = None,
    count: int = COUNT,
) -> Dataset:
    """Return a mosaic's header: five tiles of 3x2 pixels, the middle of the first at CENTRE."""
    along_row, along_column = np.array(orientation[:3]), np.array(orientation[3:])
    half = along_row * SPACING[1] * COLUMNS * ACROSS / 2 + along_column * SPACING[0] * ROWS * ACROSS / 2
    dataset = Dataset()
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
    dataset.Rows, dataset.Columns = ROWS * ACROSS, COLUMNS * ACROSS
    dataset.ImageOrientationPatient = list(orientation)
    dataset.ImagePositionPatient = list(CENTRE - half)  # as if the whole picture lay about the first tile's middle
    dataset.PixelSpacing = list(SPACING)
    dataset.SpacingBetweenSlices = STEP
    fields = {"EchoLinePosition": ["1", "2"], "NumberOfImagesInMosaic": [str(count)]}
    fields["SliceNormalVector"] = [] if normal is None else [f"{x:.8f}" for x in normal]
    block = dataset.private_block(0x29, "SIEMENS CSA HEADER", create=True)
    block.add_new(0x10, "OB", csa_bytes(fields))
    if centres is not None:
        block.add_new(0x20, "OB", csa_bytes({"MrPhoenixProtocol": [protocol_text(centres)]}))
    return dataset


def tiles(dataset: Dataset) -> Mosaic:
    mosaic = tiles_of(dataset)
    assert mosaic is not None
    return mosaic


def centres_along(direction: Sequence[float], count: int = COUNT) -> np.ndarray:
    return CENTRE + np.outer(np.arange(count) * STEP, direction)


def set_csa(dataset: Dataset, fields: Fields) -> None:
    dataset.private_block(0x29, "SIEMENS CSA HEADER")[0x10].value = csa_bytes(fields)


def move(dataset: Dataset, by_mm: Sequence[float]) -> None:
    dataset.ImagePositionPatient = [x + d for x, d in zip(dataset.ImagePositionPatient, by_mm, strict=True)]


def refusal(dataset: Dataset) -> MedvisionError:
    with pytest.raises(MedvisionError) as caught:
        tiles_of(dataset)
    return caught.value


@pytest.mark.parametrize(
    ("orientation", "normal"),
    [
        (AXIAL, (0, 0, 1)),
        (AXIAL, (0, 0, -1)),  # numbered head to feet
        (CORONAL, (0, 1, 0)),
        (CORONAL, (0, -1, 0)),
        (SAGITTAL, (1, 0, 0)),  # against the cross product of the orientation, as scanners write it
        (SAGITTAL, (-1, 0, 0)),
        ((0.8, 0.6, 0, -0.6, 0.8, 0), (0, 0, -1)),
    ],
)
def test_the_first_pixel_of_every_tile_lies_where_the_slice_normal_leads(
    orientation: Sequence[float], normal: Sequence[float]
) -> None:
    mosaic = tiles(mosaic_dataset(orientation, normal, centres_along(normal)))
    along_row, along_column = np.array(orientation[:3]), np.array(orientation[3:])
    corner = CENTRE - along_row * SPACING[1] * COLUMNS / 2 - along_column * SPACING[0] * ROWS / 2
    wanted = corner + np.outer(np.arange(COUNT) * STEP, normal)
    assert (mosaic.count, mosaic.rows, mosaic.columns, mosaic.across) == (COUNT, ROWS, COLUMNS, ACROSS)
    np.testing.assert_allclose(mosaic.positions, wanted, atol=1e-9)


@pytest.mark.parametrize("direction", [(0, 0, 1), (0, 0, -1)])
@pytest.mark.parametrize("reverse", [False, True])
def test_the_protocol_gives_the_direction_where_the_normal_is_missing(
    direction: Sequence[float], reverse: bool
) -> None:
    centres = centres_along(direction)[:: -1 if reverse else 1]  # the order of the protocol's slices is not the tiles'
    positions = tiles(mosaic_dataset(AXIAL, None, centres)).positions
    np.testing.assert_allclose(positions[1] - positions[0], np.multiply(direction, STEP), atol=1e-9)


def test_a_slab_in_the_protocol_gives_the_direction_too() -> None:
    middle = centres_along((0, 0, -1)).mean(axis=0, keepdims=True)
    positions = tiles(mosaic_dataset(AXIAL, None, middle)).positions
    np.testing.assert_allclose(positions[1] - positions[0], (0, 0, -STEP), atol=1e-9)


def test_a_direction_that_nothing_states_is_refused() -> None:
    error = refusal(mosaic_dataset(AXIAL, None))
    assert error.code == "unsupported"
    assert "which way" in str(error)


def test_a_normal_that_the_protocol_contradicts_is_refused() -> None:
    error = refusal(mosaic_dataset(AXIAL, (0, 0, 1), centres_along((0, 0, -1))))
    assert isinstance(error, GeometryError)
    assert "protocol" in str(error)


def test_a_position_that_the_protocol_contradicts_is_refused() -> None:
    dataset = mosaic_dataset(AXIAL, (0, 0, 1), centres_along((0, 0, 1)))
    move(dataset, (7, 0, 0))  # more than half a tile
    assert refusal(dataset).code == "bad-geometry"


def test_a_position_moved_a_little_against_the_protocol_is_kept() -> None:
    dataset = mosaic_dataset(AXIAL, (0, 0, 1), centres_along((0, 0, 1)))
    before = tiles(dataset).positions
    move(dataset, (1, 0, 1))  # motion was followed
    np.testing.assert_allclose(tiles(dataset).positions - before, [(1, 0, 1)] * COUNT, atol=1e-9)


def test_the_protocol_gives_the_spacing_where_it_is_missing() -> None:
    dataset = mosaic_dataset(AXIAL, (0, 0, 1), centres_along((0, 0, 1)))
    del dataset.SpacingBetweenSlices
    np.testing.assert_allclose(np.diff(tiles(dataset).positions[:, 2]), STEP)


def test_a_spacing_that_nothing_states_is_refused_and_thickness_does_not_stand_in() -> None:
    dataset = mosaic_dataset()
    del dataset.SpacingBetweenSlices
    dataset.SliceThickness = 4
    assert refusal(dataset).code == "unsupported"


@pytest.mark.parametrize("spacing", [0, -4, 4.1])
def test_a_spacing_that_is_impossible_or_contradicted_is_refused(spacing: float) -> None:
    dataset = mosaic_dataset(AXIAL, (0, 0, 1), centres_along((0, 0, 1)))
    dataset.SpacingBetweenSlices = spacing
    assert refusal(dataset).code == "bad-geometry"


def test_an_image_of_another_type_is_no_mosaic() -> None:
    dataset = mosaic_dataset()
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
    assert tiles_of(dataset) is None
    dataset.ImageType = "MOSAICS"
    assert tiles_of(dataset) is None
    del dataset.ImageType
    assert tiles_of(dataset) is None


def test_tiles_counted_in_an_image_of_another_type_are_a_contradiction() -> None:
    dataset = mosaic_dataset()
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
    dataset.private_block(0x19, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", 1)
    assert tiles_of(dataset) is None
    dataset.private_block(0x19, "SIEMENS MR HEADER")[0x0A].value = COUNT
    assert refusal(dataset).code == "bad-header"


def test_a_mosaic_without_a_private_header_is_refused() -> None:
    dataset = mosaic_dataset()
    dataset.private_block(0x29, "SIEMENS CSA HEADER")[0x10].value = b""
    assert refusal(dataset).code == "unsupported"
    dataset.remove_private_tags()
    assert refusal(dataset).code == "unsupported"


def test_a_number_of_tiles_that_is_missing_impossible_or_contradicted_is_refused() -> None:
    dataset = mosaic_dataset()
    set_csa(dataset, {"SliceNormalVector": ["0", "0", "1"]})
    assert refusal(dataset).code == "unsupported"
    for count in ("0", "-3", "1000000", "many"):
        set_csa(dataset, {"NumberOfImagesInMosaic": [count]})
        assert refusal(dataset).code == "bad-header"
    dataset = mosaic_dataset()
    dataset.private_block(0x19, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", COUNT + 1)
    assert refusal(dataset).code == "bad-header"


def test_the_public_number_of_tiles_does_where_the_header_has_none() -> None:
    dataset = mosaic_dataset()
    set_csa(dataset, {"SliceNormalVector": ["0", "0", "1"]})
    dataset.private_block(0x19, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", COUNT)
    assert tiles(dataset).count == COUNT


def test_a_picture_that_tiles_do_not_share_evenly_is_refused() -> None:
    for keyword in ("Rows", "Columns"):
        dataset = mosaic_dataset()
        setattr(dataset, keyword, 10)
        assert refusal(dataset).code == "bad-header"
        delattr(dataset, keyword)
        assert refusal(dataset).code == "bad-header"


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("ImageOrientationPatient", [1, 0, 0, 0.1, 1, 0]),
        ("ImageOrientationPatient", [1, 0, 0]),
        ("ImageOrientationPatient", None),
        ("ImagePositionPatient", [1, 2]),
        ("ImagePositionPatient", None),
        ("PixelSpacing", [0, 1]),
        ("PixelSpacing", None),
        ("SpacingBetweenSlices", [4, 4]),
        ("SpacingBetweenSlices", "1e308"),
    ],
)
def test_a_geometry_that_is_missing_or_impossible_is_refused(keyword: str, value: object) -> None:
    dataset = mosaic_dataset()
    setattr(dataset, keyword, value)
    if keyword == "SpacingBetweenSlices" and value != "1e308":
        assert refusal(dataset).code == "bad-header"
    else:
        assert refusal(dataset).code == "bad-geometry"


@pytest.mark.parametrize("normal", [(0.2, 0, 0.98), (1, 0, 0), (0, 0, 0), (np.nan, 0, 1)])
def test_a_normal_that_the_orientation_contradicts_is_refused(normal: Sequence[float]) -> None:
    assert refusal(mosaic_dataset(AXIAL, normal)).code == "bad-geometry"


def test_a_normal_of_two_numbers_is_refused() -> None:
    assert refusal(mosaic_dataset(AXIAL, (0, 1))).code == "bad-header"


def test_a_mosaic_of_one_tile_needs_no_direction() -> None:
    dataset = mosaic_dataset(AXIAL, None, count=1)
    np.testing.assert_allclose(tiles(dataset).positions[0], dataset.ImagePositionPatient)


def test_a_mosaic_that_does_not_hold_its_tiles_cannot_be_made() -> None:
    for count, rows, columns, across in [(5, 1, 1, 2), (0, 1, 1, 1), (1, 0, 1, 1)]:
        with pytest.raises(InputError, match="do not fit"):
            Mosaic(count, rows, columns, across, np.zeros((count, 3)))
    with pytest.raises(InputError, match="as many positions"):
        Mosaic(4, 1, 1, 2, np.zeros((3, 3)))
    with pytest.raises(GeometryError, match="not finite"):
        Mosaic(1, 1, 1, 1, np.full((1, 3), np.inf))


@given(st.integers(1, 30), st.integers(1, 4), st.integers(1, 4), st.integers(0, 3))
def test_unpacking_gives_back_what_was_tiled(count: int, rows: int, columns: int, background: int) -> None:
    slices = np.arange(count * rows * columns).reshape(count, rows, columns) + 5
    across = int(np.ceil(np.sqrt(count)))
    picture = np.full((across * rows, across * columns), background)
    for n, one in enumerate(slices):
        down, right = divmod(n, across)
        picture[down * rows : (down + 1) * rows, right * columns : (right + 1) * columns] = one
    mosaic = Mosaic(count, rows, columns, across, np.zeros((count, 3)))
    assert np.array_equal(unpacked(picture, mosaic), slices)


def test_tiles_beyond_the_last_that_hold_an_image_are_refused() -> None:
    mosaic = Mosaic(2, 2, 2, 2, np.zeros((2, 3)))
    picture = np.zeros((4, 4), dtype=np.uint16)
    picture[3, 3] = 1
    with pytest.raises(InputError, match="more by its pixels"):
        unpacked(picture, mosaic)


def test_a_picture_of_another_size_is_refused() -> None:
    with pytest.raises(InputError, match="has 4x4 pixels, got 4x5"):
        unpacked(np.zeros((4, 5)), Mosaic(2, 2, 2, 2, np.zeros((2, 3))))


def test_fields_of_both_kinds_of_header_are_read() -> None:
    fields = {"First": ["a", "", "b c"], "None": [], "Number": [" 12 "]}
    wanted = {"First": ("a", "b c"), "None": (), "Number": ("12",)}
    assert read_csa(csa_bytes(fields)) == wanted
    assert read_csa(csa_bytes(fields, is_marked=False)) == wanted


@pytest.mark.parametrize("count", [0, 1001])
def test_a_header_with_an_impossible_number_of_fields_is_refused(count: int) -> None:
    with pytest.raises(InputError, match="1 to 1000 fields"):
        read_csa(b"SV10\4\3\2\1" + struct.pack("<2I", count, 77))


@given(st.integers(0, 400), st.binary(min_size=1, max_size=8))
def test_damage_to_a_header_ends_in_fields_or_a_refusal(at: int, damage: bytes) -> None:
    raw = csa_bytes({"First": ["a", "b"], "Second": ["1.5", ""]})
    damaged = raw[:at] + damage + raw[at + len(damage) :]
    try:
        fields = read_csa(damaged)
    except InputError:
        return
    assert sum(len(value) for values in fields.values() for value in values) <= len(damaged)


def test_a_header_cut_short_is_refused() -> None:
    raw = csa_bytes({"First": ["abcd", "efgh"]})
    for length in range(len(raw) - 3):  # the last three bytes are filling
        with pytest.raises(InputError):
            read_csa(raw[:length])


def test_a_header_that_is_no_bytes_is_refused() -> None:
    dataset = mosaic_dataset()
    dataset.private_block(0x29, "SIEMENS CSA HEADER").add_new(0x10, "LO", "text")
    assert refusal(dataset).code == "bad-header"


def test_slices_of_a_protocol_come_with_their_zeros() -> None:
    centres = np.array([[1.5, 0, -2], [0, 0, 0], [-1.5, 0, 2]])
    found = protocol_centres({"MrProtocol": (protocol_text(centres),)})
    np.testing.assert_array_equal(found, centres)
    assert protocol_centres({"MrProtocol": ("",)}) is None


@pytest.mark.parametrize(
    "line", ["asSlice[1].sPosition.dSag = x", "asSlice[2].sPosition.dSag = 1", "asSlice[1].sPosition.dSag = inf"]
)
def test_impossible_slices_of_a_protocol_are_refused(line: str) -> None:
    text = f"sSliceArray.asSlice[0].sPosition.dSag = 1\nsSliceArray.{line}"
    with pytest.raises(InputError) as caught:
        protocol_centres({"MrPhoenixProtocol": (text,)})
    assert caught.value.code == "bad-header"


def test_the_b_value_comes_from_the_private_element_or_the_header() -> None:
    dataset = mosaic_dataset()
    assert b_value(dataset) is None
    set_csa(dataset, {"B_value": ["1000"]})
    assert b_value(dataset) == 1000
    dataset.private_block(0x19, "SIEMENS MR HEADER", create=True).add_new(0x0C, "IS", 700)
    assert b_value(dataset) == 700
    assert b_value(Dataset()) is None


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "many"])
def test_an_impossible_b_value_tells_nothing(value: str) -> None:
    dataset = mosaic_dataset()
    set_csa(dataset, {"B_value": [value]})
    assert b_value(dataset) is None


@pytest.mark.parametrize("name", ["csa2_b0.bin", "csa2_b1000.bin", "csa2_zero_len.bin.gz"])
def test_real_headers_are_read_as_nibabel_reads_them(name: str) -> None:
    with quiet():
        from nibabel.nicom import csareader
    raw = (Path(csareader.__file__).parent / "tests" / "data" / name).read_bytes()
    raw = gzip.decompress(raw) if name.endswith(".gz") else raw
    theirs = csareader.read(raw)["tags"]
    ours = read_csa(raw)
    assert list(ours) == list(theirs)
    for field, tag in theirs.items():
        texts = [item for item in tag["items"] if item not in ("", b"")]
        assert len(ours[field]) == len(texts)
        for our, their in zip(ours[field], texts, strict=True):
            assert our == their.strip() if isinstance(their, str) else type(their)(our) == their


def test_a_real_diffusion_mosaic_is_unpacked_as_nibabel_does() -> None:
    with quiet():
        from nibabel.nicom import dicomwrappers
    for name, b in (("siemens_dwi_0.dcm.gz", 0), ("siemens_dwi_1000.dcm.gz", 1000)):
        raw = gzip.decompress((Path(dicomwrappers.__file__).parent / "tests" / "data" / name).read_bytes())
        with quiet():
            dataset = dcmread(io.BytesIO(raw))
            wrapper = dicomwrappers.wrapper_from_data(dataset)
            theirs, affine = wrapper.get_unscaled_data(), wrapper.affine
            mosaic = tiles(dataset)
            assert np.array_equal(unpacked(dataset.pixel_array, mosaic), np.asarray(theirs).transpose(2, 0, 1))
            assert b_value(dataset) == b
        np.testing.assert_allclose(mosaic.positions[0], affine[:3, 3], atol=1e-6)
        np.testing.assert_allclose(mosaic.positions[-1], affine[:3] @ [0, 0, mosaic.count - 1, 1], atol=1e-4)


@pytest.mark.parametrize("name", ["0.dcm", "1.dcm"])
def test_a_mosaic_whose_picture_was_cut_down_is_refused(name: str) -> None:
    with quiet():
        from nibabel.nicom import csareader

        dataset = dcmread(Path(csareader.__file__).parent / "tests" / "data" / name)
        assert refusal(dataset).code == "bad-header"


@pytest.mark.parametrize(
    ("archive", "file", "reference", "volume"),
    [
        ("mosaic_ep2d_Int_4", "IM-0003-0004.dcm", "4_ep2d_Int.nii", 3),
        ("bits12", "12bitUnsigned.dcm", "2.nii", None),
        ("bits12", "12bitUnsigned_0x0F0F.dcm", "3.nii", None),
        ("bits12", "12bitSigned_0x0F0F.dcm", "4.nii", None),
    ],
)
def test_a_scanners_mosaic_equals_its_reference(
    shared_data: Path, tmp_path: Path, archive: str, file: str, reference: str, volume: int | None
) -> None:
    with zipfile.ZipFile(shared_data / "dicom_series" / f"{archive}.zip") as packed:
        picture = packed.read(f"{archive}/In/{file}")
        content = packed.read(f"{archive}/Ref/{reference}")
    with quiet():
        import nibabel

        image = nibabel.Nifti1Image.from_bytes(content)
        dataset = dcmread(io.BytesIO(picture))
        mosaic = tiles(dataset)
        slices = unpacked(dataset.pixel_array, mosaic)
    wanted = np.asanyarray(image.dataobj)
    wanted = wanted if volume is None else wanted[..., volume]
    assert np.array_equal(slices.transpose(2, 1, 0)[:, ::-1], wanted)  # references run their rows upwards
    axes = np.reshape(dataset.ImageOrientationPatient, (2, 3)).astype(float)
    for i in (0, mosaic.columns - 1):
        for j in (0, mosaic.rows - 1):
            for k in (0, mosaic.count - 1):
                along = axes[0] * i * dataset.PixelSpacing[1] + axes[1] * j * dataset.PixelSpacing[0]
                place = (mosaic.positions[k] + along) * (-1, -1, 1)
                theirs = image.header.get_sform()[:3] @ [i, mosaic.rows - 1 - j, k, 1]
                np.testing.assert_allclose(place, theirs, atol=1e-3)
