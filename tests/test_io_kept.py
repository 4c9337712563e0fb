"""What is kept of files: once made, made anew when they change, and never more than there is room for."""

from __future__ import annotations

import gzip
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from phantoms import positional, slice_of, write_nifti
from pydicom.dataset import Dataset

from medvision import io
from medvision.errors import InputError
from medvision.geometry import Geometry
from medvision.io.dicom import parsed
from medvision.io.dicom import read as dicom
from medvision.io.kept import Kept
from medvision.io.nifti import read as nifti
from medvision.io.nifti import read_nifti
from medvision.study import Reading, Source
from medvision.volume import Volume

GRID = Geometry(np.diag([-1.0, -1.0, 3.0, 1.0]), (4, 5, 3))
COUNT = 4


def kept(most_bytes: int = 100) -> tuple[Kept[bytes], list[str]]:
    """Return what keeps the content of files, each of 10 bytes more than it has, and the names of those it read."""
    read: list[str] = []

    def make(files: tuple[Path, ...], *how: object) -> tuple[bytes, int]:
        read.append(files[0].name)
        content = files[0].read_bytes()
        if content == b"bad":
            raise InputError("bad-header", "bad")
        return content, len(content) + 10

    return Kept(make, most_bytes=most_bytes), read


def file(folder: Path, name: str, content: bytes = b"ab") -> tuple[Path]:
    (folder / name).write_bytes(content)
    return (folder / name,)


def test_what_was_made_is_given_again_until_the_file_changes(tmp_path: Path) -> None:
    contents, read = kept()
    a = file(tmp_path, "a")
    assert [contents.of(a), contents.of(a), contents.of(a, "otherwise")] == [b"ab"] * 3
    assert read == ["a", "a"]
    file(tmp_path, "a", b"longer")
    assert contents.of(a) == b"longer"
    file(tmp_path, "a", b"LONGER")
    os.utime(a[0], ns=(1, 1))  # of the same size: the time tells
    assert contents.of(a) == b"LONGER"


def test_the_oldest_makes_room_and_what_is_too_large_is_not_kept(tmp_path: Path) -> None:
    contents, read = kept(most_bytes=30)
    a, b, c = (file(tmp_path, name) for name in "abc")
    for each in (a, b, a, c, a, b):
        contents.of(each)
    assert read == ["a", "b", "c", "b"]
    large = file(tmp_path, "large", bytes(50))
    contents.of(large)
    contents.of(large)
    assert read[4:] == ["large", "large"]


def test_what_is_forgotten_or_failed_is_made_again(tmp_path: Path) -> None:
    contents, read = kept()
    a, bad = file(tmp_path, "a"), file(tmp_path, "bad", b"bad")
    contents.of(a)
    contents.forget(a)
    contents.of(a)
    for _ in range(2):
        with pytest.raises(InputError):
            contents.of(bad)
    assert read == ["a", "a", "bad", "bad"]


def enhanced(folder: Path, shift: int = 0) -> Path:
    """Write an enhanced MR object of volumes at times that are 100 apart in their values."""
    dataset = slice_of(np.zeros((4, 5), np.int16), GRID, 0, "MR")
    del dataset.ImagePositionPatient
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4.1"
    frames = [(volume, k) for volume in range(COUNT) for k in range(3)]
    dataset.NumberOfFrames = len(frames)
    dataset.PerFrameFunctionalGroupsSequence = [
        item(
            FrameContentSequence=[item(TemporalPositionIndex=volume + 1)],
            PlanePositionSequence=[item(ImagePositionPatient=[float(x) for x in (0, 0, 3 * k)])],
        )
        for volume, k in frames
    ]
    pixels = [positional(GRID)[:, :, k].T + 100 * volume + shift for volume, k in frames]
    dataset.PixelData = np.array(pixels, "<i2").tobytes()
    path = folder / "times.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path


def item(**tags: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return dataset


def packed(folder: Path, shift: int = 0) -> Path:
    volumes = [positional(GRID) + 100 * volume + shift for volume in range(COUNT)]
    return write_nifti(folder / "times.nii.gz", np.stack(volumes, axis=-1), GRID)


def zipped(folder: Path, shift: int = 0) -> Path:
    plain = folder / "times.nii"
    plain.write_bytes(gzip.decompress(packed(folder, shift).read_bytes()))
    (folder / "times.nii.gz").unlink()
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(plain, plain.name)
    plain.unlink()
    return folder / "a.zip"


def volumes_of(path: Path) -> list[Volume]:
    return [io.read_volume(case) for case in io.scan([path]).cases]


@pytest.mark.parametrize("write", [enhanced, packed, zipped])
def test_volumes_of_one_file_are_right_in_any_order_and_a_changed_file_is_noticed(
    tmp_path: Path, write: Callable[..., Path]
) -> None:
    for shift in (0, 7):
        cases = io.scan([write(tmp_path, shift)]).cases
        assert [case.image for case in cases] == ["times"] * COUNT
        for number in (2, 0, 1, 2, 3, 0):
            volume = io.read_volume(cases[number])
            np.testing.assert_array_equal(volume.voxels[0], positional(GRID) + 100 * number + shift)
            assert volume.geometry.matches(GRID)
        for left in tmp_path.iterdir():
            os.utime(left, ns=(1, 1))


def counted(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> list[object]:
    calls: list[object] = []
    original = getattr(module, name)

    def count(*arguments: Any, **named: Any) -> Any:
        calls.append(arguments)
        return original(*arguments, **named)

    monkeypatch.setattr(module, name, count)
    return calls


def test_the_frames_of_a_file_are_read_and_sorted_once_for_its_volumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = counted(monkeypatch, dicom, "read_frames")
    path = enhanced(tmp_path)
    assert len(volumes_of(path)) == COUNT
    assert len(calls) == 1
    volumes_of(path)  # after the last volume nothing is kept
    assert len(calls) == 2


def test_a_packed_file_is_unpacked_once_for_its_volumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = counted(monkeypatch, nifti, "_stored")
    path = packed(tmp_path)
    for number in range(1, 3):
        volumes_of(path)
        assert len(calls) == number


def test_a_packed_file_that_takes_too_much_room_is_read_volume_by_volume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = packed(tmp_path)
    whole = volumes_of(path)
    monkeypatch.setattr(nifti, "_MOST_KEPT", 10)
    calls = counted(monkeypatch, nifti, "_stored")
    apart = volumes_of(path)
    assert len(calls) == COUNT
    for one, other in zip(whole, apart, strict=True):
        np.testing.assert_array_equal(one.voxels, other.voxels)


def test_a_packed_file_is_read_volume_by_volume_where_memory_does_not_suffice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, original = packed(tmp_path), nifti._stored

    def scarce(content: Any, header: Any, first: int, count: int) -> Any:
        if count > 1:
            raise MemoryError
        return original(content, header, first, count)

    monkeypatch.setattr(nifti, "_stored", scarce)
    assert len(volumes_of(path)) == COUNT


def test_a_damaged_packed_file_is_read_once_and_each_volume_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = packed(tmp_path)
    cases = io.scan([path]).cases
    path.write_bytes(path.read_bytes()[:-20])
    calls = counted(monkeypatch, nifti, "_stored")
    for case in cases:
        with pytest.raises(InputError) as caught:
            io.read_volume(case)
        assert (caught.value.code, caught.value.path) == ("truncated", path)
    assert len(calls) == 1


@pytest.mark.parametrize("write", [enhanced, packed])
def test_a_file_that_is_gone_is_refused(tmp_path: Path, write: Callable[..., Path]) -> None:
    path = write(tmp_path)
    cases = io.scan([path]).cases
    io.read_volume(cases[0])
    path.unlink()
    with pytest.raises(InputError) as caught:
        io.read_volume(cases[1])
    assert (caught.value.code, caught.value.path) == ("unreadable", path)


def test_a_volume_can_be_changed_and_the_next_reader_does_not_see_it(tmp_path: Path) -> None:
    path = packed(tmp_path)
    first = read_nifti(path, 0)
    before = first.voxels.copy()
    nifti.open_nifti(path, 0).stored[:] = 99
    np.testing.assert_array_equal(read_nifti(path, 0).voxels, before)


def test_volumes_of_one_file_have_hashes_of_their_own_and_it_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medvision import study

    calls = counted(monkeypatch, study, "sha256_of")
    path = packed(tmp_path)
    os.utime(path, ns=(1, 1))  # of long ago: no later writing can bear the same time
    sources = [Source("nifti", (path,), part=part) for part in range(COUNT)]
    before = {source.digest() for source in sources}
    assert (len(before), len(calls)) == (COUNT, 1)
    packed(tmp_path, shift=1)
    assert not before & {source.digest() for source in sources}
    assert Source("nifti", (path,), part=0, reading=Reading(nan_to=0)).digest() != sources[0].digest()


def test_a_file_changed_a_moment_ago_is_hashed_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from medvision import study

    calls = counted(monkeypatch, study, "sha256_of")
    path = packed(tmp_path)
    source, written = Source("nifti", (path,)), path.stat()
    before = source.digest()
    packed(tmp_path, shift=1)
    os.utime(path, ns=(written.st_atime_ns, written.st_mtime_ns))  # as on a disk with coarse times
    assert source.digest() != before
    assert len(calls) == 2


def test_headers_and_data_sets_are_parsed_once_and_pixels_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = enhanced(tmp_path)
    calls = counted(monkeypatch, parsed, "read_dataset")
    assert parsed.header_of(path) is parsed.header_of(path)
    assert "PixelData" not in parsed.header_of(path)
    assert len(parsed.dataset_of(path).PixelData) == len(parsed.dataset_of(path).PixelData) > 0
    assert len(calls) == 2
    parsed.forget(path)
    parsed.dataset_of(path)
    assert len(calls) == 3
