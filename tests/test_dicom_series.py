from __future__ import annotations

import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torture_frames  # noqa: F401 - these add their cases
import torture_geometry  # noqa: F401
import torture_modalities  # noqa: F401
import torture_series  # noqa: F401
import torture_values  # noqa: F401
from hypothesis import given, settings
from hypothesis import strategies as st
from phantoms import write_dicom_series
from torture import CASES, Truth, faults_of_volume, lattice
from torture_dicom import ROOT, Frame, base, enhanced, every, put, save, slices, write

from medvision.errors import InputError
from medvision.geometry import Geometry
from medvision.io import read_volume, scan
from medvision.io.dicom import read, series
from medvision.io.dicom.frame import Frame as Header
from medvision.io.dicom.read import read_dicom
from medvision.io.dicom.series import find_series, only_series
from medvision.io.located import quiet
from medvision.study import Collection, Reading, Source
from medvision.volume import Volume

AXIAL = lattice()
SAGITTAL = lattice((0, 1, 0, 0, 0, -1), origin=(-9, -14, 20))
_HERE = ("torture_frames", "torture_geometry", "torture_modalities", "torture_series", "torture_values")


def module_of(name: str) -> str:
    builder: Any = CASES[name]
    return str(getattr(builder, "func", builder).__module__)


def meant_and_read(files: Sequence[Path], monkeypatch: pytest.MonkeyPatch) -> list[tuple[set[Any], set[Any]]]:
    """Return which frames the scan meant by each source, and which are read by it."""
    pairs: list[tuple[tuple[Header, ...], Source]] = []
    real = series._sources

    def spied(frames: Any, groups: Any, reading: Any) -> Any:
        found = real(frames, groups, reading)
        for group, sources in zip(groups, found, strict=True):
            pairs.extend(zip(group.volumes, sources, strict=True))
        return found

    monkeypatch.setattr(series, "_sources", spied)
    placed, _, _ = find_series(files)
    good = {
        (source.part, frozenset(source.files)) for one in placed if isinstance(one.found, tuple) for source in one.found
    }
    out = []
    with quiet():
        for volume, source in pairs:
            if (source.part, frozenset(source.files)) in good:
                taken = read._volume_of(read._sorted(source.files)[0], source.part, source.path)
                out.append(({(f.file, f.number) for f in volume}, {(f.file, f.number) for f in taken}))
    return out


def test_each_source_reads_the_frames_that_the_scan_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = 0
    for name in [name for name in CASES if module_of(name) in _HERE and name != "two_thousand_small_files"]:
        folder = tmp_path / name
        folder.mkdir()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            CASES[name](folder)
        files = sorted(file for file in folder.rglob("*") if file.is_file() and file.suffix in ("", ".dcm"))
        with monkeypatch.context() as patch:
            for meant, taken in meant_and_read(files, patch):
                assert meant == taken, name
                seen += 1
    assert seen > 200


def volumes_of(found: Collection) -> list[Volume]:
    return [read_volume(case) for case in found.cases]


def check(found: Collection, *truths: Truth) -> None:
    """Hold the cases, in their order, against what they must be."""
    volumes = volumes_of(found)
    assert [faults_of_volume(volume, truth) for volume, truth in zip(volumes, truths, strict=True)] == [[]] * len(
        truths
    )


def offset(*offsets: float) -> list[Truth]:
    return [Truth(AXIAL, offset=one) for one in offsets]


def codes(found: Collection) -> list[str]:
    return [finding.code for finding in found.rejected]


def at_times(*times: int, **identity: Any) -> list[Any]:
    """Return classic slices of volumes at one place, 100 above each other by their time."""
    datasets = []
    for time in times:
        for dataset in slices(AXIAL, "MR", offset=100.0 * time, **identity):
            dataset.SOPInstanceUID += f".{time}"
            dataset.TemporalPositionIdentifier = time
            datasets.append(dataset)
    return datasets


def frames_at(*times: int, grid: Any = AXIAL, places: Sequence[int] = range(8)) -> list[Frame]:
    return [
        Frame(grid, k, offset=100.0 * time, tags={"FrameContentSequence": {"TemporalPositionIndex": time}})
        for time in times
        for k in places
    ]


@settings(max_examples=12, deadline=None)
@given(st.permutations(range(24)), st.randoms(use_true_random=False))
def test_names_and_order_of_files_do_not_change_a_series_of_volumes(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], random: Any
) -> None:
    folder = tmp_path_factory.mktemp("named")
    for name, dataset in zip(order, at_times(1, 2, 3), strict=True):
        save(folder / f"{name:02d}", dataset)
    files = list(folder.iterdir())
    random.shuffle(files)
    placed, rejected, _ = find_series(files)
    assert rejected == []
    ((found),) = [one.found for one in placed]
    assert isinstance(found, tuple)
    for source, truth in zip(found, offset(100, 200, 300), strict=True):
        shuffled = list(source.files)
        random.shuffle(shuffled)
        assert faults_of_volume(read_dicom(shuffled, source.part), truth) == []


@settings(max_examples=12, deadline=None)
@given(st.permutations(range(24)))
def test_the_order_of_frames_does_not_change_an_enhanced_object(
    tmp_path_factory: pytest.TempPathFactory, order: list[int]
) -> None:
    frames = frames_at(1, 2, 3)
    file = save(tmp_path_factory.mktemp("shuffled") / "e.dcm", enhanced([frames[n] for n in order]))
    for part, truth in enumerate(offset(100, 200, 300)):
        assert faults_of_volume(read_dicom([file], part), truth) == []


def test_a_series_over_folders_and_an_archive_is_one_volume(tmp_path: Path) -> None:
    datasets = slices(AXIAL)
    write(tmp_path / "in" / "a", datasets[:3])
    write(tmp_path / "in" / "b" / "c", datasets[3:5])
    with zipfile.ZipFile(tmp_path / "in" / "rest.zip", "w") as archive:
        for file in write(tmp_path / "apart", datasets[5:]):
            archive.write(file, file.name)
    found = scan([tmp_path / "in"])
    check(found, Truth(AXIAL))
    assert (codes(found), [case.id for case in found.cases]) == ([], ["in"])


def test_a_series_in_two_arguments_is_one_volume(tmp_path: Path) -> None:
    datasets = slices(AXIAL)
    write(tmp_path / "a", datasets[:3])
    write(tmp_path / "b", datasets[3:])
    check(scan([tmp_path / "a", tmp_path / "b"]), Truth(AXIAL))


def test_an_enhanced_object_found_twice_is_read_once(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        save(tmp_path / folder / "e.dcm", enhanced(frames_at(1, 2)))
    found = scan([tmp_path])
    check(found, *offset(100, 200))
    assert codes(found) == []
    assert {finding.code for finding in found.skipped} == {"slices-duplicate"}


def test_volumes_of_several_enhanced_objects_are_told_apart_by_their_own_files(tmp_path: Path) -> None:
    save(tmp_path / "a.dcm", enhanced(frames_at(1, 2)))
    two = enhanced(frames_at(3))
    two.SOPInstanceUID = f"{ROOT}.2"
    save(tmp_path / "b.dcm", two)
    found = scan([tmp_path])
    check(found, *offset(100, 200, 300))
    assert [(len(case.images[0].files), case.images[0].part) for case in found.cases] == [(1, 0), (1, 1), (1, None)]


def test_volumes_that_share_files_by_way_of_others_are_numbered_together(tmp_path: Path) -> None:
    parts = [frames_at(1) + frames_at(2, places=range(3)), frames_at(2, places=range(3, 8)) + frames_at(3)]
    for number, frames in enumerate(parts):
        dataset = enhanced(frames)
        dataset.SOPInstanceUID = f"{ROOT}.{number + 1}"
        save(tmp_path / f"{number}.dcm", dataset)
    found = scan([tmp_path])
    check(found, *offset(100, 200, 300))
    assert [(len(case.images[0].files), case.images[0].part) for case in found.cases] == [(2, 0), (2, 1), (2, 2)]


def test_files_that_would_be_sorted_otherwise_on_their_own_are_named_with_the_whole_series(tmp_path: Path) -> None:
    """A single frame of a third stack keeps the two stacks of another object together, which lie side by side."""
    stacked = [
        Frame(
            AXIAL,
            k,
            offset=100.0 * t,
            tags={"FrameContentSequence": {"StackID": str(k // 4 + 1), "TemporalPositionIndex": t + 1}},
        )
        for t in range(2)
        for k in range(8)
    ]
    lone = [Frame(SAGITTAL, 3, tags={"FrameContentSequence": {"StackID": "3", "TemporalPositionIndex": 1}})]
    for number, frames in enumerate((stacked, lone)):
        dataset = enhanced(frames)
        dataset.SOPInstanceUID = f"{ROOT}.{number + 1}"
        save(tmp_path / f"{number}.dcm", dataset)
    found = scan([tmp_path])
    check(found, *offset(0, 100), Truth(SAGITTAL.part(3, 4)))
    assert {len(case.images[0].files) for case in found.cases} == {2}


def test_frames_of_a_clip_name_their_own_file(tmp_path: Path) -> None:
    for number in range(2):
        clip = base("US")
        clip.SOPClassUID, clip.NumberOfFrames = "1.2.840.10008.5.1.4.1.1.3.1", 3
        clip.SOPInstanceUID = f"{ROOT}.{number}"
        put(clip, np.arange(90).reshape(3, 5, 6) + 90 * number, allocated=8, bits=8)
        save(tmp_path / f"{number}.dcm", clip)
    found = scan([tmp_path])
    assert [(case.path.name, case.images[0].part) for case in found.cases] == [
        (f"{n}.dcm", k) for n in range(2) for k in range(3)
    ]
    assert [int(volume.voxels.min()) for volume in volumes_of(found)] == [0, 30, 60, 90, 120, 150]


@pytest.mark.parametrize("first", [True, False])
def test_a_localizer_among_the_frames_of_a_file_does_not_shift_its_volumes(tmp_path: Path, first: bool) -> None:
    view = Frame(SAGITTAL, 3, tags={"CTImageFrameTypeSequence": {"FrameType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}})
    frames = [view, *frames_at(1, 2)] if first else [*frames_at(1, 2), view]
    save(tmp_path / "e.dcm", enhanced(frames))
    found = scan([tmp_path])
    check(found, *offset(100, 200))
    assert codes(found) == ["unsupported"]


def test_a_file_of_localizers_alone_is_passed_over(tmp_path: Path) -> None:
    views = [
        Frame(SAGITTAL, k, tags={"CTImageFrameTypeSequence": {"FrameType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}})
        for k in (2, 3)
    ]
    save(tmp_path / "scout.dcm", enhanced(views, series=2))
    write(tmp_path, slices(AXIAL))
    found = scan([tmp_path])
    check(found, Truth(AXIAL))
    assert [(f.code, f.path.name if f.path else "") for f in found.skipped] == [("not-analysed-here", "scout.dcm")]


def test_a_volume_that_lacks_slices_refuses_itself_and_no_series_beside_it(tmp_path: Path) -> None:
    write(tmp_path, at_times(1, 2)[:-2])
    write(tmp_path, slices(AXIAL, series=2), prefix="other")
    found = scan([tmp_path])
    check(found, Truth(AXIAL, offset=100), Truth(AXIAL))
    assert codes(found) == ["slices-missing"]


@pytest.mark.parametrize("number", [None, 9])
def test_a_slice_at_the_end_with_another_series_number_is_not_cut_off(tmp_path: Path, number: int | None) -> None:
    datasets = slices(AXIAL)
    every(datasets[7:], SeriesNumber=number)
    write(tmp_path, datasets)
    check(scan([tmp_path]), Truth(AXIAL))


def a_series_each() -> list[Any]:
    datasets = slices(AXIAL)
    for k, dataset in enumerate(datasets):
        dataset.SeriesInstanceUID, dataset.SeriesNumber = f"{ROOT}.1.{k + 10}", k + 1
    return datasets


def test_slices_of_a_series_each_are_merged_where_that_was_said(tmp_path: Path) -> None:
    write(tmp_path, a_series_each())
    assert set(codes(scan([tmp_path]))) == {"series-mixed"}
    found = scan([tmp_path], Reading(merge_series=True))
    check(found, Truth(AXIAL))
    assert codes(found) == []


@pytest.mark.parametrize(
    "tags", [{"PatientID": "OTHER"}, {"StudyInstanceUID": "1.2.3"}, {"FrameOfReferenceUID": "1.2.3"}]
)
def test_merging_takes_no_slice_of_another_patient_study_or_frame_of_reference(
    tmp_path: Path, tags: dict[str, str]
) -> None:
    datasets = a_series_each()
    every(datasets[4:], **tags)
    write(tmp_path, datasets)
    found = scan([tmp_path], Reading(merge_series=True))
    halves = sorted(volumes_of(found), key=lambda volume: volume.geometry.affine[2, 3])
    truths = [Truth(AXIAL.part(0, 4)), Truth(AXIAL.part(4, 8))]
    assert [faults_of_volume(*pair) for pair in zip(halves, truths, strict=True)] == [[], []]


def test_merging_leaves_series_of_several_slices_as_they_are(tmp_path: Path) -> None:
    write(tmp_path, [*slices(AXIAL)[:4], *slices(AXIAL, series=2)[4:]])
    check(scan([tmp_path], Reading(merge_series=True)), Truth(AXIAL.part(0, 4)), Truth(AXIAL.part(4, 8)))


def test_an_enhanced_object_and_classic_slices_in_one_series_are_no_volume(tmp_path: Path) -> None:
    save(tmp_path / "e.dcm", enhanced([Frame(AXIAL, k) for k in range(4)]))
    write(tmp_path, slices(AXIAL)[4:])
    found = scan([tmp_path])
    assert (found.cases, codes(found)) == ((), ["series-mixed"])


def test_a_slice_turned_in_its_plane_refuses_the_series(tmp_path: Path) -> None:
    datasets = slices(AXIAL)
    every([datasets[7]], ImageOrientationPatient=["0", "1", "0", "-1", "0", "0"])
    write(tmp_path, datasets)
    found = scan([tmp_path])
    assert (found.cases, codes(found)) == ((), ["series-mixed"])


def test_more_files_than_a_batch_are_read_by_several_threads(tmp_path: Path) -> None:
    tall = lattice(shape=(2, 2, 70))
    write(tmp_path, slices(tall))
    check(scan([tmp_path]), Truth(tall))


@pytest.mark.parametrize(
    ("grid", "plane"),
    [
        (AXIAL, "axial"),
        (SAGITTAL, "sagittal"),
        (lattice((1, 0, 0, 0, 0, -1)), "coronal"),
        (lattice((0.8, 0.6, 0, -0.6, 0.8, 0)), "axial"),
        (lattice((1, 0, 0, 0, 0.8, 0.6)), "oblique"),
    ],
)
def test_a_series_is_described_by_its_header(tmp_path: Path, grid: Any, plane: str) -> None:
    write(tmp_path, slices(grid, "MR"))
    (case,) = scan([tmp_path]).cases
    assert case.series is not None
    assert (case.series.kind, case.series.modality, case.series.number) == ("MR image", "MR", 1)
    assert (case.series.orientation, case.series.size, case.series.volumes) == (plane, (12, 10, 8), 1)
    assert case.series.study is not None
    assert ROOT not in case.series.study


def test_volumes_are_described_by_their_number_and_what_they_are_ordered_by(tmp_path: Path) -> None:
    write(tmp_path, at_times(1, 2))
    (first, _) = scan([tmp_path]).cases
    assert first.series is not None
    assert (first.series.volumes, first.series.order) == (2, "time")


def test_a_series_without_orientation_has_no_plane(tmp_path: Path) -> None:
    for stated in (None, ["0"] * 6):
        write(tmp_path, every(slices(AXIAL), ImageOrientationPatient=stated))
        placed, _, _ = find_series(sorted(tmp_path.glob("*.dcm")))
        assert placed[0].series.orientation == (None if stated is None else "oblique")


def test_pictures_without_a_series_uid_stand_alone(tmp_path: Path) -> None:
    for number in range(2):
        film = put(base("DX"), np.arange(30).reshape(5, 6) + number)
        every([film], SeriesInstanceUID=None, SOPInstanceUID=f"{ROOT}.{number}")
        save(tmp_path / f"{number}.dcm", film)
    assert [case.path.name for case in scan([tmp_path]).cases] == ["0.dcm", "1.dcm"]


def refusal_of(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        only_series(sorted(folder.rglob("*.dcm")), folder)
    assert caught.value.path is not None
    return caught.value.code


def test_the_one_volume_of_a_folder_is_its_image(tmp_path: Path) -> None:
    files = write(tmp_path, slices(AXIAL))
    assert only_series(files, tmp_path).files == tuple(files)


def test_a_folder_that_is_no_one_volume_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert refusal_of(tmp_path / "empty") == "no-image"
    write(tmp_path / "two", [*slices(AXIAL), *slices(AXIAL, series=2)])
    assert refusal_of(tmp_path / "two") == "series-mixed"
    write(tmp_path / "times", at_times(1, 2))
    assert refusal_of(tmp_path / "times") == "not-3d"
    write(tmp_path / "gap", [d for k, d in enumerate(slices(AXIAL)) if k != 4])
    assert refusal_of(tmp_path / "gap") == "slices-missing"
    write(tmp_path / "damaged", slices(AXIAL)[:1])[0].write_bytes(bytes(128) + b"DICM" + bytes(40))
    assert refusal_of(tmp_path / "damaged") == "bad-header"


def test_a_folder_whose_second_volume_lacks_slices_is_no_image(tmp_path: Path) -> None:
    write(tmp_path, at_times(1, 2)[:-2])
    assert refusal_of(tmp_path) == "slices-missing"


def test_a_folder_with_a_file_that_may_be_a_slice_is_no_image(tmp_path: Path) -> None:
    files = write(tmp_path, slices(AXIAL))
    unread = scan([tmp_path]).rejected
    assert unread == ()
    (tmp_path / "999.dcm").write_bytes(b"a text")
    found = scan([tmp_path]).rejected
    with pytest.raises(InputError) as caught:
        only_series(files, tmp_path, found)
    assert caught.value.code == "slices-missing"


def test_text_is_read_by_its_character_set_in_classic_and_other_files_alike(tmp_path: Path) -> None:
    grid = Geometry.from_spacing((1, 1, 2), (4, 4, 3))
    tags = {"SpecificCharacterSet": "ISO_IR 192", "SeriesDescription": "Schädel"}
    write_dicom_series(tmp_path, np.zeros(grid.shape, np.int16), grid, **tags)
    (case,) = scan([tmp_path]).cases
    assert case.series is not None
    assert case.series.description == "Schädel"


def test_a_warning_about_a_neighbour_does_not_name_it_in_words(tmp_path: Path) -> None:
    grid = Geometry.from_spacing((1, 1, 2), (4, 4, 3))
    write_dicom_series(tmp_path, np.zeros(grid.shape, np.int16), grid)
    (tmp_path / "DOE_JANE.dcm").write_bytes(b"")
    (case,) = scan([tmp_path]).cases
    assert [finding.code for finding in case.findings] == ["slices-missing"]
    assert "DOE" not in case.findings[0].message
