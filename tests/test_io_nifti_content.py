from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from phantoms import positional, write_nifti

from medvision.errors import MedvisionError
from medvision.geometry import Geometry
from medvision.io.nifti import MAX_BYTES, read_nifti, volumes_in
from medvision.study import Reading

GRID = Geometry(
    np.array([[0.0, -1.5, 0.0, 11.0], [2.0, 0.0, 0.0, -7.0], [0.0, 0.0, 3.0, 5.0], [0.0, 0.0, 0.0, 1.0]]), (5, 6, 4)
)


def code_of(path: Path, part: int | None = None) -> str:
    with pytest.raises(MedvisionError) as caught:
        read_nifti(path, part)
    assert caught.value.path == path
    return caught.value.code


def packed_if(name: str, content: bytes) -> bytes:
    return gzip.compress(content, 1, mtime=0) if name.endswith(".gz") else content


def times(count: int = 3) -> np.ndarray:
    return np.stack([positional(GRID) + 1000 * n for n in range(count)], axis=-1)


@pytest.mark.parametrize("part", [0, 2])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_series_that_is_cut_is_refused_whichever_volume_is_asked_for(tmp_path: Path, name: str, part: int) -> None:
    content = write_nifti(tmp_path / "whole.nii", times(), GRID).read_bytes()
    path = tmp_path / name
    path.write_bytes(packed_if(name, content[:-1]))
    assert volumes_in(path) == 3  # from the header alone
    assert code_of(path, part) == "truncated"


def test_a_wrong_checksum_is_refused_whichever_volume_is_asked_for(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii.gz", times(), GRID)
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    assert code_of(path, 0) == "damaged"


def with_extension(size: int, room: int = 32, flag: int = 1, offset: int | None = None) -> bytes:
    import nibabel as nib

    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape(GRID.shape)
    header.set_sform(GRID.affine, code=1)
    header["pixdim"][1:4] = GRID.spacing_mm
    header["vox_offset"] = 352 + room if offset is None else offset
    header["magic"] = b"n+1"
    extension = np.array([size, 6], "<i4").tobytes() + bytes(max(room - 8, 0))
    return bytes(header.binaryblock + bytes([flag, 0, 0, 0]) + extension[:room] + positional(GRID).tobytes(order="F"))


@pytest.mark.parametrize(
    ("size", "room", "flag"), [(32, 32, 1), (16, 32, 1), (0, 32, 1), (1 << 30, 32, 0), (0, 0, 1), (0, 5, 1)]
)
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_extensions_are_passed_over(tmp_path: Path, name: str, size: int, room: int, flag: int) -> None:
    (tmp_path / name).write_bytes(packed_if(name, with_extension(size, room, flag)))
    assert np.array_equal(read_nifti(tmp_path / name).voxels[0], positional(GRID))


@pytest.mark.parametrize("size", [2**31 - 1, 33, 7, -16])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_an_extension_that_claims_bytes_that_are_not_there_is_refused(tmp_path: Path, name: str, size: int) -> None:
    (tmp_path / name).write_bytes(packed_if(name, with_extension(size)))
    assert code_of(tmp_path / name) == "bad-header"


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_file_cut_at_any_byte_is_refused(tmp_path: Path, name: str) -> None:
    content = packed_if(name, with_extension(32))
    path = tmp_path / name
    for length in range(len(content)):
        path.write_bytes(content[:length])
        assert code_of(path) == "truncated" if length > 2 else code_of(path) in ("truncated", "not-an-image")


def test_a_wrong_length_in_the_trailer_of_gzip_is_refused(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii.gz", positional(GRID), GRID)
    path.write_bytes(path.read_bytes()[:-4] + bytes(4))
    assert code_of(path) == "damaged"


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_claim_that_the_file_is_too_small_for_takes_no_memory(tmp_path: Path, name: str) -> None:
    path = write_nifti(tmp_path / name, positional(GRID), GRID, dim=[3, 2000, 2000, 900, 1, 1, 1, 1])
    assert MAX_BYTES > 2000 * 2000 * 900 * 2
    tracemalloc.start()
    assert code_of(path) == "truncated"
    assert tracemalloc.get_traced_memory()[1] < 3e6
    tracemalloc.stop()


def test_what_a_gzip_file_holds_beyond_the_headers_claim_is_not_inflated(tmp_path: Path) -> None:
    content = write_nifti(tmp_path / "a.nii", positional(GRID), GRID).read_bytes()
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(content + bytes(60_000_000), 1))
    tracemalloc.start()
    assert code_of(path) == "bad-header"
    assert tracemalloc.get_traced_memory()[1] < 3e6
    tracemalloc.stop()


@pytest.mark.parametrize("part", [0.05, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_cut_file_is_refused(tmp_path: Path, name: str, part: float) -> None:
    path = write_nifti(tmp_path / name, np.random.default_rng(0).integers(0, 9999, (20, 20, 20), np.int16))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    assert code_of(path) in ("truncated", "not-an-image")


def test_a_truncated_file_is_refused_with_its_sizes(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii", positional(GRID), GRID)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(MedvisionError, match="200 of 240 bytes"):
        read_nifti(path)


def test_a_wrong_checksum_is_refused_after_intact_data(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii.gz", positional(GRID), GRID)
    content = bytearray(path.read_bytes())
    content[-8] ^= 0xFF
    path.write_bytes(content)
    assert code_of(path) == "damaged"


@pytest.mark.parametrize(("tail", "grade"), [(b"more", "warning"), (bytes(39), "note")])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_bytes_too_few_to_be_a_plane_of_voxels_are_told_and_zeros_are_no_warning(
    tmp_path: Path, name: str, tail: bytes, grade: str
) -> None:
    path = write_nifti(tmp_path / "a.nii", positional(GRID), GRID)
    (tmp_path / name).write_bytes(packed_if(name, path.read_bytes() + tail))
    volume = read_nifti(tmp_path / name)
    assert np.array_equal(volume.voxels[0], positional(GRID))
    assert [(f.code, f.grade) for f in volume.findings] == [("trailing-bytes", grade)]
    assert f"{len(tail)} bytes" in volume.findings[0].message


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_as_many_bytes_behind_the_voxels_as_a_plane_has_are_refused(tmp_path: Path, name: str) -> None:
    path = write_nifti(tmp_path / "a.nii", positional(GRID), GRID)
    (tmp_path / name).write_bytes(packed_if(name, path.read_bytes() + bytes(40)))  # 5 x 4 voxels of 2 bytes
    assert code_of(tmp_path / name) == "bad-header"


@pytest.mark.parametrize(
    ("tail", "codes"), [(b"garbage" * 99, ["trailing-bytes"]), (bytes(500_000), []), (b"\x1f", ["trailing-bytes"])]
)
def test_garbage_behind_the_compressed_data_is_a_warning_and_padding_is_nothing(
    tmp_path: Path, tail: bytes, codes: list[str]
) -> None:
    path = write_nifti(tmp_path / "a.nii.gz", positional(GRID), GRID)
    path.write_bytes(path.read_bytes() + tail)
    volume = read_nifti(path)
    assert np.array_equal(volume.voxels[0], positional(GRID))
    assert [f.code for f in volume.findings] == codes


def test_several_members_of_gzip_are_one_content(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii", positional(GRID), GRID)
    content = path.read_bytes()
    parts = [content[:300], b"", content[300:400], content[400:]]
    path = tmp_path / "a.nii.gz"
    path.write_bytes(bytes(7).join(gzip.compress(part) for part in parts))
    volume = read_nifti(path)
    assert np.array_equal(volume.voxels[0], positional(GRID))
    assert volume.findings == ()
    path.write_bytes(path.read_bytes()[:-30])
    assert code_of(path) == "truncated"


def test_a_file_that_is_gone_is_refused(tmp_path: Path) -> None:
    assert code_of(tmp_path / "none.nii") == "unreadable"


def damaged(content: bytes, generator: np.random.Generator) -> bytes:
    """Return a file's content with up to four bytes changed, cut out, doubled or set to an extreme."""
    changed = bytearray(content)
    for _ in range(generator.integers(1, 5)):
        reach = 348 if generator.random() < 0.7 else len(changed)  # mostly in the header
        place = int(generator.integers(0, max(1, min(reach, len(changed)))))
        length = int(generator.integers(1, 9))
        match generator.integers(0, 5):
            case 0:
                changed[place : place + 1] = generator.bytes(1)
            case 1:
                changed[place : place + length] = [0x00, 0xFF, 0x7F, 0x80][generator.integers(0, 4)].to_bytes() * length
            case 2:
                del changed[place : place + length]
            case 3:
                changed[place:place] = changed[place : place + length]
            case _:
                del changed[int(generator.integers(0, len(changed) + 1)) :]
    return bytes(changed)


def outcome_of(path: Path) -> str:
    try:
        volume = read_nifti(path, 0, Reading(assume_ras=True, nan_to=0))
    except MedvisionError as error:
        return "refused" if error.path == path else "refused without its path"
    return "read" if np.isfinite(volume.voxels).all() and 0 < volume.voxels.size <= 120 else "read wrong"


@pytest.mark.parametrize("seed", range(8))
def test_a_damaged_file_ends_in_values_or_in_a_refusal_that_names_it(tmp_path: Path, seed: int) -> None:
    import nibabel as nib

    two = nib.Nifti2Header()
    two.set_data_dtype(">f4")
    two.set_data_shape((3, 4, 2, 2))
    two.set_sform(np.diag([1, 2, 3, 1]), code=1)
    two.set_data_offset(544)
    other = bytes(two.as_byteswapped(">").binaryblock) + bytes(4) + np.arange(48, dtype=">f4").tobytes()
    path, generator, outcomes = tmp_path / "a.nii", np.random.default_rng(seed), {"read": 0, "refused": 0}
    for plain in (with_extension(32), other):
        for name in ("inside", "inside", "outside", ""):
            for _ in range(32):
                content = damaged(plain, generator) if name != "outside" else gzip.compress(plain, 1, mtime=0)
                content = damaged(content, generator) if name == "outside" else content
                path.write_bytes(gzip.compress(content, 1) if name == "inside" else content)
                outcomes[outcome_of(path)] += 1
    assert min(outcomes.values()) > 20
