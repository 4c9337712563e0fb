"""DICOM SEG: frames placed by their positions, or refused; made by hand with known answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmwrite
from pydicom.data import get_testdata_file
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.utils import pack_bits
from pydicom.uid import MPEG2MPML, ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLosslessSV1, RLELossless

from medvision.errors import GeometryError, InputError, MedvisionError
from medvision.geometry import Geometry
from medvision.io.dicom.objects import SEGMENTATIONS
from medvision.io.dicom.placing import Planes, placed_on, placed_together
from medvision.io.dicom.segmentation import labels_from, read_segmentation
from medvision.io.located import quiet

ROWS, COLUMNS = 3, 4
SPACING = (2.0, 1.5)  # between rows, between columns: mm
FIRST = np.array([10.0, -20.0, 30.0])  # LPS, mm
AXIAL = (1, 0, 0, 0, 1, 0)
# The grid of an image of 4 columns, 3 rows and 6 slices of 2.5 mm, its first pixel at FIRST; RAS+.
IMAGE = Geometry(
    np.array([[-1.5, 0, 0, -10], [0, -2, 0, 20], [0, 0, 2.5, 30], [0, 0, 0, 1]], dtype=float), (COLUMNS, ROWS, 6)
)


def frame(*pixels: tuple[int, int]) -> np.ndarray:
    """Return (rows, columns) that are 1 at pixels (row, column)."""
    values = np.zeros((ROWS, COLUMNS), dtype=np.uint8)
    for pixel in pixels:
        values[pixel] = 1
    return values


def item(**values: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def segmentation(
    frames: Sequence[tuple[int, float, np.ndarray]],
    *,
    kind: str = "BINARY",
    names: Sequence[str] = ("liver", "spleen"),
    spacing: float | None = 2.5,
    orientation: Sequence[float] = AXIAL,
) -> Dataset:
    """Return a SEG of frames: Segment Number, height along the normal in mm from FIRST, (rows, columns) values."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = SEGMENTATIONS[0], "1.2.3"
    dataset = item(
        SOPClassUID=SEGMENTATIONS[kind == "LABELMAP"],
        SOPInstanceUID="1.2.3",
        Modality="SEG",
        SegmentationType=kind,
        Rows=ROWS,
        Columns=COLUMNS,
        NumberOfFrames=len(frames),
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
        BitsAllocated=1 if kind == "BINARY" else 8,
        BitsStored=1 if kind == "BINARY" else 8,
        HighBit=0 if kind == "BINARY" else 7,
        PixelRepresentation=0,
    )
    dataset.file_meta = meta
    if kind == "FRACTIONAL":
        dataset.MaximumFractionalValue = 200
    dataset.SegmentSequence = [item(SegmentNumber=n, SegmentLabel=name) for n, name in enumerate(names, start=1)]
    measures = item(PixelSpacing=list(SPACING), SliceThickness=2.5)
    if spacing is not None:
        measures.SpacingBetweenSlices = spacing
    dataset.SharedFunctionalGroupsSequence = [
        item(
            PixelMeasuresSequence=[measures],
            PlaneOrientationSequence=[item(ImageOrientationPatient=list(orientation))],
        )
    ]
    normal = np.cross(orientation[:3], orientation[3:])
    dataset.PerFrameFunctionalGroupsSequence = []
    for number, height, _ in frames:
        group = item(PlanePositionSequence=[item(ImagePositionPatient=list(FIRST + normal * height))])
        if kind != "LABELMAP":
            group.SegmentIdentificationSequence = [item(ReferencedSegmentNumber=number)]
        dataset.PerFrameFunctionalGroupsSequence.append(group)
    values = np.stack([values for _, _, values in frames]).astype(np.uint8)
    packed = pack_bits(values) if kind == "BINARY" else values.tobytes()
    dataset.PixelData = packed + b"\0" * (len(packed) % 2)
    return dataset


def saved(dataset: Dataset, folder: Path) -> Path:
    path = folder / "seg.dcm"
    dcmwrite(path, dataset, enforce_file_format=True)
    return path


def refusal(dataset: Dataset, folder: Path, geometry: Geometry | None = None) -> MedvisionError:
    path = saved(dataset, folder)
    with pytest.raises(MedvisionError) as caught:
        labels_from(path, geometry=geometry)
    assert caught.value.path == path
    return caught.value


def test_frames_lie_by_their_positions_and_gaps_are_empty(tmp_path: Path) -> None:
    frames = [(2, 10.0, frame((0, 3))), (1, 2.5, frame((1, 2))), (1, 0.0, frame((2, 0)))]
    segments = read_segmentation(saved(segmentation(frames), tmp_path))
    assert segments.names == {1: "liver", 2: "spleen"}
    assert segments.geometry.matches(IMAGE.cropped((0, 0, 0), (COLUMNS, ROWS, 5)), tolerance_mm=1e-9)
    assert np.argwhere(segments.mask(1)).tolist() == [[0, 2, 0], [2, 1, 1]]
    assert np.argwhere(segments.mask(2)).tolist() == [[3, 0, 4]]
    labels = segments.labels()
    assert labels.names == segments.names
    assert (labels.voxels == segments.mask(1) + 2 * segments.mask(2)).all()


def test_frames_lie_on_the_images_grid(tmp_path: Path) -> None:
    path = saved(segmentation([(1, 12.5, frame((1, 2))), (2, 5.0, frame((2, 0)))], spacing=None), tmp_path)
    labels = labels_from(path, geometry=IMAGE)
    assert labels.geometry is IMAGE
    assert {tuple(at): labels.voxels[tuple(at)] for at in np.argwhere(labels.voxels)} == {(2, 1, 5): 1, (0, 2, 2): 2}


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(3)), st.tuples(*[st.booleans()] * 3), st.integers(0, 2**32 - 1))
def test_masks_keep_their_place_whatever_axes_the_image_has(
    tmp_path_factory: pytest.TempPathFactory, order: Sequence[int], flips: Sequence[bool], seed: int
) -> None:
    letters = "".join(("RL", "AP", "SI")[axis][flip] for axis, flip in zip(order, flips, strict=True))
    values = np.random.default_rng(seed).integers(0, 2, (6, ROWS, COLUMNS))
    path = saved(segmentation([(1, 2.5 * n, one) for n, one in enumerate(values)]), tmp_path_factory.mktemp("seg"))
    own = read_segmentation(path)
    on_image = read_segmentation(path, IMAGE.reoriented(letters))
    mine = {tuple(np.round(x, 6)) for x in own.geometry.to_world(np.argwhere(own.mask(1)))}
    theirs = {tuple(np.round(x, 6)) for x in on_image.geometry.to_world(np.argwhere(on_image.mask(1)))}
    assert mine == theirs
    assert len(mine) == values.sum()


@pytest.mark.parametrize("orientation", [(0, 1, 0, 0, 0, -1), (1, 0, 0, 0, 0, -1), (0.8, 0.6, 0, -0.6, 0.8, 0)])
def test_a_pixel_lies_where_position_and_orientation_put_it(tmp_path: Path, orientation: Sequence[float]) -> None:
    path = saved(segmentation([(1, 0.0, frame()), (1, 2.5, frame((2, 1)))], orientation=orientation), tmp_path)
    segments = read_segmentation(path)
    across, down = np.array(orientation[:3]), np.array(orientation[3:])
    wanted = FIRST + np.cross(across, down) * 2.5 + across * SPACING[1] + down * 2 * SPACING[0]
    (there,) = segments.geometry.to_world(np.argwhere(segments.mask(1)))
    np.testing.assert_allclose(there, wanted * (-1, -1, 1), atol=1e-9)


def test_part_of_the_image_is_enough_and_empty_pixels_beyond_it_do_no_harm(tmp_path: Path) -> None:
    path = saved(segmentation([(1, -5.0, frame()), (1, 5.0, frame((1, 1)))]), tmp_path)
    larger = IMAGE.cropped((-1, -2, 0), (COLUMNS, ROWS + 1, 6))
    assert np.argwhere(labels_from(path, geometry=larger).voxels).tolist() == [[2, 3, 2]]
    smaller = IMAGE.cropped((1, 1, 2), (2, 2, 4))
    assert np.argwhere(labels_from(path, geometry=smaller).voxels).tolist() == [[0, 0, 0]]
    assert not labels_from(saved(segmentation([(1, 0, frame())]), tmp_path), geometry=larger).voxels.any()


@pytest.mark.parametrize("start", [(2, 0, 0), (0, 2, 0), (0, 0, 3), (9, 0, 0)])
def test_a_segment_that_reaches_beyond_the_image_is_refused(tmp_path: Path, start: tuple[int, int, int]) -> None:
    seg = segmentation([(1, 5.0, frame((1, 1)))])
    grid = IMAGE.cropped(start, np.add(start, (COLUMNS, ROWS, 3)))
    error = refusal(seg, tmp_path, grid)
    assert error.code == "grid-differs"
    assert "reaches beyond" in str(error)


@pytest.mark.parametrize(
    "image",
    [
        IMAGE.resampled((1.5, 2.0, 2.0)),
        IMAGE.resampled((3.0, 2.0, 2.5)),
        Geometry(IMAGE.affine + np.outer((0.01, 0, 0, 0), (0, 0, 0, 1)), IMAGE.shape),
        Geometry(np.diag([np.cos(0.1), 1, 1, 1]) @ IMAGE.affine, IMAGE.shape),
    ],
)
def test_a_grid_that_is_no_whole_voxels_away_is_refused(tmp_path: Path, image: Geometry) -> None:
    frames = [(1, 2.5 * n, frame((1, 1))) for n in range(4)]
    assert refusal(segmentation(frames), tmp_path, image).code == "grid-differs"


def test_overlapping_segments_are_refused_by_their_numbers_and_readable_one_by_one(tmp_path: Path) -> None:
    seg = segmentation([(2, 0.0, frame((0, 0), (1, 1))), (1, 0.0, frame((1, 1)))])
    error = refusal(seg, tmp_path)
    assert error.code == "segments-overlap"
    assert "segment 1 and to segment 2" in str(error)
    assert "liver" not in str(error)
    segments = read_segmentation(saved(seg, tmp_path))
    assert segments.mask(2).sum() == 2
    assert segments.mask(1).sum() == 1


def test_fractions_are_values_and_no_labels(tmp_path: Path) -> None:
    seg = segmentation([(1, 0.0, frame((0, 1)) * 50), (2, 2.5, frame((2, 2)) * 200)], kind="FRACTIONAL")
    assert refusal(seg, tmp_path).code == "unsupported"
    segments = read_segmentation(saved(seg, tmp_path))
    assert segments.is_fractional
    assert segments.fractions(1)[1, 0, 0] == 0.25
    assert segments.fractions(2)[2, 2, 1] == 1
    assert segments.fractions(2).sum() == 1
    with pytest.raises(InputError, match="fractions"):
        segments.mask(1)


@pytest.mark.parametrize("most", [None, 0, 199, 256])
def test_fractions_of_an_impossible_maximum_are_refused(tmp_path: Path, most: int | None) -> None:
    seg = segmentation([(1, 0.0, frame((0, 1)) * 200)], kind="FRACTIONAL")
    seg.MaximumFractionalValue = most
    assert refusal(seg, tmp_path).code == "bad-header"


def test_a_label_map_holds_its_numbers(tmp_path: Path) -> None:
    seg = segmentation([(0, 0.0, frame((0, 1)) * 2), (0, 5.0, frame((2, 2)))], kind="LABELMAP")
    seg.SegmentSequence.insert(0, item(SegmentNumber=0, SegmentLabel="Background"))
    path = saved(seg, tmp_path)
    labels = labels_from(path)
    assert {tuple(at): labels.voxels[tuple(at)] for at in np.argwhere(labels.voxels)} == {(1, 0, 0): 2, (2, 2, 2): 1}
    assert labels.names == {1: "liver", 2: "spleen"}
    segments = read_segmentation(path)
    assert (segments.mask(2) == (labels.voxels == 2)).all()
    assert segments.fractions(1).sum() == 1


def test_a_label_map_with_a_value_or_a_background_that_is_not_described_is_refused(tmp_path: Path) -> None:
    seg = segmentation([(0, 0.0, frame((0, 1)) * 3)], kind="LABELMAP")
    assert refusal(seg, tmp_path).code == "bad-header"
    seg = segmentation([(0, 0.0, frame((0, 1)))], kind="LABELMAP")
    seg.PixelPaddingValue = 2
    assert refusal(seg, tmp_path).code == "unsupported"
    seg.PixelPaddingValue = 0
    seg.SegmentSequence[0].SegmentNumber = 0
    assert refusal(seg, tmp_path).code == "unsupported"
    seg.SegmentSequence[0].SegmentedPropertyTypeCodeSequence = [item(CodeValue="125040")]
    assert "no segment describes" in str(refusal(seg, tmp_path))


def test_names_that_are_known_are_used(tmp_path: Path) -> None:
    path = saved(segmentation([(1, 0.0, frame((0, 1)))], names=["Liver"]), tmp_path)
    assert labels_from(path, {1: "liver", 2: "spleen"}).names == {1: "liver", 2: "spleen"}
    assert labels_from(path, {1: "an organ"}).names == {1: "an organ"}
    with pytest.raises(InputError, match="segment 1 is called 'liver', which is label 2 here"):
        labels_from(path, {1: "spleen", 2: "liver"})
    with pytest.raises(InputError, match="no name for"):
        labels_from(path, {2: "spleen"})


def test_a_segment_without_a_label_is_called_by_its_number(tmp_path: Path) -> None:
    assert labels_from(saved(segmentation([(1, 0.0, frame())], names=[""]), tmp_path)).names == {1: "segment 1"}


def test_a_segment_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no segment 3; there are"):
        read_segmentation(saved(segmentation([(1, 0.0, frame())]), tmp_path)).fractions(3)


def test_the_spacing_is_the_usual_distance_where_the_stated_one_does_not_fit(tmp_path: Path) -> None:
    for stated in (None, 2.0, 5.0):
        seg = segmentation([(1, height, frame()) for height in (0, 2.5, 5.001, 12.5)], spacing=stated)
        geometry = read_segmentation(saved(seg, tmp_path)).geometry
        assert geometry.shape[2] == 6
        assert geometry.spacing_mm[2] == pytest.approx(2.5, abs=1e-3)


def test_a_stated_spacing_makes_room_for_slices_that_are_left_out(tmp_path: Path) -> None:
    seg = segmentation([(1, 0.0, frame()), (1, 5.0, frame()), (1, 10.0, frame())])
    assert read_segmentation(saved(seg, tmp_path)).geometry.shape[2] == 5


def test_distances_that_are_no_multiples_are_refused(tmp_path: Path) -> None:
    seg = segmentation([(1, 0.0, frame()), (1, 2.5, frame()), (1, 6.0, frame())])
    assert refusal(seg, tmp_path).code == "slices-missing"


def test_frames_of_a_tilted_gantry_make_a_sheared_grid(tmp_path: Path) -> None:
    seg = segmentation([(1, 2.5 * n, frame((1, 1))) for n in range(4)])
    for n, group in enumerate(seg.PerFrameFunctionalGroupsSequence):
        group.PlanePositionSequence[0].ImagePositionPatient[1] += 0.7 * n
    segments = read_segmentation(saved(seg, tmp_path))
    assert segments.geometry.is_sheared
    assert np.argwhere(segments.mask(1)).tolist() == [[1, 1, k] for k in range(4)]
    seg.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence[0].ImagePositionPatient[1] += 0.7
    assert refusal(seg, tmp_path).code == "slices-missing"


def test_a_lone_slice_is_as_thick_as_it_says(tmp_path: Path) -> None:
    seg = segmentation([(1, 0.0, frame((0, 0))), (2, 0.0, frame((1, 0)))], spacing=None)
    assert read_segmentation(saved(seg, tmp_path)).geometry.spacing_mm == (1.5, 2.0, 2.5)
    del seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SliceThickness
    assert refusal(seg, tmp_path).code == "bad-geometry"
    seg = segmentation([(1, 0.0, frame((0, 0))), (2, 0.0, frame((1, 0)))])
    seg.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0].ImagePositionPatient[0] += 1.5
    assert refusal(seg, tmp_path).code == "bad-geometry"


def test_two_frames_of_a_segment_at_one_place_are_refused(tmp_path: Path) -> None:
    seg = segmentation([(1, 0.0, frame((0, 0))), (1, 0.0, frame((1, 0)))])
    assert refusal(seg, tmp_path).code == "slices-duplicate"


def test_frames_that_would_need_a_giant_grid_are_refused(tmp_path: Path) -> None:
    seg = segmentation([(1, 0.0, frame()), (1, 0.02, frame()), (1, 1e8, frame())], spacing=None)
    assert refusal(seg, tmp_path).code == "slices-missing"
    seg = segmentation([(1, 0.0, frame()), (1, 5e8, frame())])
    assert refusal(seg, tmp_path).code == "too-large"


@pytest.mark.parametrize("sequence", ["PixelMeasuresSequence", "PlaneOrientationSequence"])
def test_a_geometry_that_is_missing_is_refused(tmp_path: Path, sequence: str) -> None:
    seg = segmentation([(1, 0.0, frame())])
    del seg.SharedFunctionalGroupsSequence[0][sequence]
    assert refusal(seg, tmp_path).code == "bad-geometry"
    del seg.SharedFunctionalGroupsSequence
    assert refusal(seg, tmp_path).code == "bad-geometry"


def test_a_frame_without_position_is_refused_by_its_number(tmp_path: Path) -> None:
    seg = segmentation([(1, 0.0, frame()), (1, 2.5, frame())])
    del seg.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence
    error = refusal(seg, tmp_path)
    assert error.code == "bad-geometry"
    assert "frame 2" in str(error)


def test_an_impossible_orientation_or_spacing_is_refused(tmp_path: Path) -> None:
    assert refusal(segmentation([(1, 0.0, frame())], orientation=(1, 0, 0, 1, 0, 0)), tmp_path).code == "bad-geometry"
    seg = segmentation([(1, 0.0, frame())])
    seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing = [0, 1]
    assert refusal(seg, tmp_path).code == "bad-geometry"


def test_frames_of_different_orientations_are_refused_and_their_own_group_comes_first(tmp_path: Path) -> None:
    seg = segmentation([(1, 0.0, frame()), (1, 2.5, frame())])
    turned = item(ImageOrientationPatient=[0, 1, 0, 1, 0, 0])
    seg.PerFrameFunctionalGroupsSequence[1].PlaneOrientationSequence = [turned]
    error = refusal(seg, tmp_path)
    assert isinstance(error, GeometryError)
    assert "same for all frames" in str(error)


@pytest.mark.parametrize(
    ("keyword", "value", "code"),
    [
        ("SOPClassUID", None, "bad-header"),
        ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.66.5", "unsupported"),
        ("TotalPixelMatrixRows", 100, "unsupported"),
        ("SegmentationType", "SURFACE", "unsupported"),
        ("NumberOfFrames", 2, "bad-header"),
        ("Rows", 0, "bad-header"),
        ("BitsAllocated", 8, "bad-header"),
        ("SamplesPerPixel", 3, "bad-header"),
        ("PixelRepresentation", 1, "bad-header"),
        ("SegmentSequence", [], "bad-header"),
        ("PixelData", b"", "truncated"),
        ("Rows", 60000, "truncated"),
    ],
)
def test_a_header_that_is_impossible_or_of_another_object_is_refused(
    tmp_path: Path, keyword: str, value: Any, code: str
) -> None:
    seg = segmentation([(1, 0.0, frame())])
    setattr(seg, keyword, value)
    assert refusal(seg, tmp_path).code == code


def test_more_pixels_than_memory_should_hold_are_refused(tmp_path: Path) -> None:
    seg = segmentation([(1, 0.0, frame())])
    seg.Rows = seg.Columns = 60000
    assert refusal(seg, tmp_path).code == "too-large"


def test_segments_that_are_not_described_or_described_twice_are_refused(tmp_path: Path) -> None:
    seg = segmentation([(3, 0.0, frame())])
    assert "not described" in str(refusal(seg, tmp_path))
    seg = segmentation([(1, 0.0, frame())])
    seg.SegmentSequence[1].SegmentNumber = 1
    assert refusal(seg, tmp_path).code == "bad-header"


@pytest.mark.parametrize(("syntax", "code"), [(JPEGLosslessSV1, "codec-missing"), (MPEG2MPML, "unsupported")])
def test_an_encoding_that_no_decoder_reads_is_refused(tmp_path: Path, syntax: str, code: str) -> None:
    seg = segmentation([(0, 0.0, frame())], kind="LABELMAP")
    seg.PixelData = encapsulate([b"\1\2\3\4"])
    seg.file_meta.TransferSyntaxUID = syntax
    assert refusal(seg, tmp_path).code == code


@pytest.mark.parametrize(
    ("syntax", "fragments"),
    [(JPEG2000Lossless, [b"\xff\x4f\xff\x51damaged."]), (RLELossless, []), (RLELossless, [b"\1\2"])],
)
def test_compressed_pixels_that_are_damaged_are_refused(tmp_path: Path, syntax: str, fragments: list[bytes]) -> None:
    seg = segmentation([(0, 0.0, frame())], kind="LABELMAP")
    seg.PixelData = encapsulate(fragments) if fragments else encapsulate([b"\1\2"])[:-10] + b"\xfe\xff\xdd\xe0\0\0\0\0"
    seg.file_meta.TransferSyntaxUID = syntax
    assert refusal(seg, tmp_path).code == "bad-header"


def test_a_file_meta_information_of_an_odd_length_is_refused(tmp_path: Path) -> None:
    path = saved(segmentation([(1, 0.0, frame())]), tmp_path)
    raw = path.read_bytes()
    assert raw[132:140] == b"\2\0\0\0UL\4\0"
    path.write_bytes(raw[:138] + b"\5" + raw[139:])
    with pytest.raises(InputError) as caught:
        read_segmentation(path)
    assert caught.value.code == "bad-header"


def test_a_file_that_is_no_dicom_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "seg.dcm"
    path.write_bytes(b"")
    with pytest.raises(InputError):
        read_segmentation(path)
    with pytest.raises(InputError) as caught:
        read_segmentation(tmp_path / "absent.dcm")
    assert caught.value.path == tmp_path / "absent.dcm"


def test_a_file_that_states_no_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "seg.dcm"
    seg = segmentation([(1, 0.0, frame())])
    del seg.file_meta
    dcmwrite(path, seg, implicit_vr=False, little_endian=True)
    with pytest.raises(InputError, match="Transfer Syntax"):
        read_segmentation(path)


def test_a_transfer_syntax_that_is_none_is_refused_and_not_quoted(tmp_path: Path) -> None:
    path = saved(segmentation([(1, 0.0, frame())]), tmp_path)
    raw = path.read_bytes()
    assert raw.count(b"1.2.840.10008.1.2.1\0") == 1
    path.write_bytes(raw.replace(b"1.2.840.10008.1.2.1\0", b"DOE JANE 1970-01-01 "))
    with pytest.raises(InputError) as caught:
        read_segmentation(path)
    assert "DOE" not in str(caught.value)


def test_a_compressed_label_map_is_read(tmp_path: Path) -> None:
    seg = segmentation([(0, 0.0, frame((0, 1)) * 2), (0, 2.5, frame((2, 2)))], kind="LABELMAP")
    plain = labels_from(saved(seg, tmp_path)).voxels
    seg.compress(RLELossless)
    assert np.array_equal(labels_from(saved(seg, tmp_path)).voxels, plain)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1500), st.binary(min_size=1, max_size=6))
def test_damage_ends_in_segments_or_a_refusal(tmp_path_factory: pytest.TempPathFactory, at: int, damage: bytes) -> None:
    path = saved(segmentation([(1, 0.0, frame((0, 1))), (2, 5.0, frame((2, 2)))]), tmp_path_factory.mktemp("seg"))
    raw = path.read_bytes()
    path.write_bytes(raw[:at] + damage + raw[at + len(damage) :])
    try:
        segments = read_segmentation(path)
    except MedvisionError:
        return
    assert segments.frames.shape == (2, segments.geometry.shape[1], segments.geometry.shape[0])


def test_planes_that_run_along_the_same_axis_of_a_grid_are_refused() -> None:
    steps = np.array([[1.0, 1.0], [0.0, 0.1], [0.0, 0.0]])  # both are nearest to the first axis
    with pytest.raises(GeometryError, match="not voxels of the grid"):
        placed_on(Planes(np.zeros((1, 3)), steps, (2, 2)), Geometry(np.eye(4), (4, 4, 4)))


@settings(max_examples=50)
@given(st.sets(st.integers(0, 60), min_size=2, max_size=20), st.integers(0, 2**32 - 1))
def test_rounded_positions_find_their_slices(heights: set[int], seed: int) -> None:
    wanted = np.array(sorted({0, 1} | heights))
    rounding = np.random.default_rng(seed).uniform(-0.004, 0.004, (len(wanted), 3))
    positions = np.outer(wanted, (0, 0, 1.7)) + rounding
    placement = placed_together(Planes(positions, np.eye(3)[:, :2], (5, 5)))
    assert placement.places[:, 0].tolist() == wanted.tolist()


@pytest.mark.parametrize("name", ["liver_1frame.dcm", "liver_expb_1frame.dcm"])
def test_a_file_with_groups_for_more_frames_than_it_has_is_refused(name: str) -> None:
    with quiet(), pytest.raises(InputError) as caught:
        read_segmentation(Path(str(get_testdata_file(name))))
    assert caught.value.code == "bad-header"


@pytest.mark.parametrize(
    ("name", "slices", "voxels"),
    [
        ("seg_image_ct_binary", 3, {1: 638}),
        ("seg_image_ct_binary_overlap", 165, {1: 64, 2: 16}),
        ("seg_image_ct_binary_single_frame", 1, {1: 1832}),
    ],
)
def test_masks_of_another_writer_are_read(shared_data: Path, name: str, slices: int, voxels: dict[int, int]) -> None:
    segments = read_segmentation(shared_data / "dicom_objects" / "highdicom" / f"{name}.dcm")
    assert segments.geometry.shape[2] == slices
    assert {number: int(segments.mask(number).sum()) for number in segments.names} == voxels


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("seg_image_ct_binary_overlap", "segments-overlap"),
        ("seg_image_ct_true_fractional", "unsupported"),
        ("seg_image_ct_binary_fractional", "unsupported"),
        ("seg_image_cr_binary", "bad-geometry"),
        ("seg_image_sm_dots", "unsupported"),
        ("seg_image_sm_dots_tiled_full", "unsupported"),
        ("seg_image_sm_control_labelmap", "unsupported"),
        ("ct_image", "unsupported"),
        ("sr_document", "unsupported"),
    ],
)
def test_what_makes_no_labels_is_refused_with_a_reason(shared_data: Path, name: str, code: str) -> None:
    with pytest.raises(MedvisionError) as caught:
        labels_from(shared_data / "dicom_objects" / "highdicom" / f"{name}.dcm")
    assert caught.value.code == code
