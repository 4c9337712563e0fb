from __future__ import annotations

import gzip
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from phantoms import positional, spheres, write_dicom_series, write_nifti
from PIL import Image

from medvision.errors import GeometryError, InputError, MedvisionError, OutputError, UsageError
from medvision.geometry import Geometry
from medvision.io import load, read_labels, read_volume, scan, write_labels, write_map, write_volume
from medvision.io.located import decoding, located, quiet
from medvision.io.npz import read_member
from medvision.io.pictures import read_indices, read_picture
from medvision.study import Case, Source
from medvision.volume import Labels, Volume

GRID = Geometry(np.array([[0.0, -1.5, 0.0, 11], [2.0, 0, 0, -7], [0, 0, 3.0, 5], [0, 0, 0, 1]]), (5, 6, 4))
NAMES = {1: "left", 2: "right"}


def case(*files: Path, label: Path | None = None, modality: str | None = None) -> Case:
    images = tuple(Source("nifti", (file,)) for file in files)
    return Case("c", images, label=Source("nifti", (label,)) if label else None, modality=modality)


def picture(path: Path, mode: str = "RGB", **options: object) -> Path:
    Image.new(mode, (4, 3)).save(path, **options)  # type: ignore[arg-type]
    return path


def code_of(path: Path) -> str:
    with pytest.raises(MedvisionError) as caught:
        read_picture(path)
    assert caught.value.path == path
    return caught.value.code


def test_channels_are_stacked_on_one_grid(tmp_path: Path) -> None:
    first = write_nifti(tmp_path / "a.nii", positional(GRID), GRID)
    second = write_nifti(tmp_path / "b.nii", positional(GRID) + 1, GRID)
    volume = read_volume(case(first, second, modality="MR"))
    assert volume.voxels.shape == (2, 5, 6, 4)
    assert np.array_equal(volume.voxels[1], volume.voxels[0] + 1)
    assert volume.modality == "MR"


def test_channels_on_two_grids_are_refused_with_the_distance(tmp_path: Path) -> None:
    first = write_nifti(tmp_path / "a.nii", positional(GRID), GRID)
    affine = GRID.affine.copy()
    affine[0, 3] += 2.5
    second = write_nifti(tmp_path / "b.nii", positional(GRID), Geometry(affine, GRID.shape))
    with pytest.raises(MedvisionError, match=r"2\.500 mm") as caught:
        read_volume(case(first, second))
    assert (caught.value.code, caught.value.path) == ("grid-differs", second)


def test_a_stated_modality_must_be_the_files(tmp_path: Path) -> None:
    grid = Geometry.from_spacing((1, 1, 2), (3, 3, 3))
    files = write_dicom_series(tmp_path, positional(grid), grid)
    source = Source("dicom", tuple(files))
    assert read_volume(Case("c", (source,), modality="CT")).modality == "CT"
    assert read_volume(Case("c", (source,))).modality == "CT"
    with pytest.raises(InputError, match="modality-differs") as caught:
        read_volume(Case("c", (source,), modality="Doe^Jane"))
    assert "the file says CT" in str(caught.value)
    assert "Doe" not in str(caught.value)  # a cell of a list: it may hold anything


@pytest.mark.parametrize("kind", ["u1", "i4", "f4", "f8"])
def test_labels_of_whole_numbers_are_read_in_a_small_type(tmp_path: Path, kind: str) -> None:
    image, labels = spheres(GRID)
    path = write_nifti(tmp_path / "l.nii.gz", labels.astype(kind), GRID)
    read = read_labels(case(path, label=path), NAMES, GRID)
    assert np.array_equal(read.voxels, labels)
    assert read.voxels.dtype == np.uint8
    assert set(np.unique(image)) == {0, 100, 200}


def test_scaled_labels_are_read_by_their_real_values(tmp_path: Path) -> None:
    _, labels = spheres(GRID)
    path = write_nifti(tmp_path / "l.nii", (labels * 2).astype("u1"), GRID, scl_slope=0.5)
    assert np.array_equal(read_labels(case(path, label=path), NAMES, GRID).voxels, labels)


@pytest.mark.parametrize("value", [1.5, -1, 3, 3e9, np.nan])
def test_labels_that_are_not_the_named_numbers_are_refused(tmp_path: Path, value: float) -> None:
    labels = np.zeros(GRID.shape)
    labels[1, 1, 1] = value
    path = write_nifti(tmp_path / "l.nii", labels, GRID)
    with pytest.raises(InputError) as caught:
        read_labels(case(path, label=path), NAMES, GRID)
    assert (caught.value.code, caught.value.path) == ("bad-labels", path)


def test_labels_on_another_grid_are_refused_with_millimetres_or_sizes(tmp_path: Path) -> None:
    mirrored = Geometry(np.diag([-1.0, 1, 1, 1]) @ GRID.affine, GRID.shape)
    path = write_nifti(tmp_path / "l.nii", np.zeros(GRID.shape, "u1"), mirrored)
    with pytest.raises(MedvisionError, match=r"22\.000 mm") as caught:
        read_labels(case(path, label=path), NAMES, GRID)
    assert caught.value.code == "grid-differs"
    with pytest.raises(MedvisionError, match="5x6x4, the image's 5x6x3"):
        read_labels(case(path, label=path), NAMES, mirrored.cropped((0, 0, 0), (5, 6, 3)))


def test_a_case_without_a_label_image_is_refused(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii", positional(GRID), GRID)
    for label in (None, 1):
        with pytest.raises(InputError, match="label-missing"):
            read_labels(Case("c", (Source("nifti", (path,)),), label=label), NAMES, GRID)
    with pytest.raises(InputError, match="unsupported"):
        read_labels(Case("c", (Source("nifti", (path,)),), label=Source("npz", (path,))), NAMES, GRID)


def test_load_reads_what_it_can_and_tells_the_rest(tmp_path: Path) -> None:
    write_nifti(tmp_path / "good.nii", positional(GRID), GRID)
    write_nifti(tmp_path / "bad.nii", np.ones((2, 2, 2, 1, 3), "u1"))
    (tmp_path / "notes.txt").write_text("x")
    loaded = load(tmp_path, str(tmp_path / "none"))
    assert list(loaded.volumes) == ["good"]
    assert sorted(finding.code for finding in loaded.rejected) == ["not-3d", "not-found"]
    assert [finding.code for finding in loaded.skipped] == ["not-read"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arrays(np.uint16, (3, 4, 5), elements=st.integers(0, 65535)), st.floats(-300, 300), st.floats(0.1, 9))
def test_labels_come_back_as_they_were_written(tmp_path: Path, values: np.ndarray, shift: float, step: float) -> None:
    affine = np.diag([-step, step * 2, 1.0, 1.0])
    affine[:3, 3] = shift, -shift, 1
    labels = Labels(values, Geometry(affine, values.shape), {int(n): str(n) for n in np.unique(values) if n})
    path = tmp_path / "l.nii.gz"
    write_labels(path, labels)
    back = read_labels(case(path, label=path), labels.names, labels.geometry)
    assert np.array_equal(back.voxels, values)


def test_equal_values_are_equal_bytes_without_time_or_name(tmp_path: Path) -> None:
    labels = Labels(spheres(GRID)[1], GRID, NAMES)
    for name in ("a.nii.gz", "b.nii.gz"):
        write_labels(tmp_path / name, labels)
    content = (tmp_path / "a.nii.gz").read_bytes()
    assert content == (tmp_path / "b.nii.gz").read_bytes()
    assert content[3:8] == bytes(5)
    assert gzip.decompress(content)[344:348] == b"n+1\0"


def test_simpleitk_reads_what_was_written(tmp_path: Path) -> None:
    import SimpleITK

    write_map(tmp_path / "m.nii.gz", positional(GRID).astype(np.float32), GRID)
    image = SimpleITK.ReadImage(str(tmp_path / "m.nii.gz"))
    assert np.array_equal(SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0), positional(GRID))
    last = image.TransformIndexToPhysicalPoint((4, 5, 3))
    assert np.allclose(np.array(last) * (-1, -1, 1), GRID.to_world((4, 5, 3)), atol=1e-4)


@pytest.mark.parametrize(("kind", "stored"), [("i2", "i2"), ("i8", "i2"), ("u8", "u1"), ("f2", "f4"), ("f8", "f8")])
def test_volumes_are_written_in_a_type_that_tools_know(tmp_path: Path, kind: str, stored: str) -> None:
    import nibabel as nib

    values = np.arange(120).reshape(GRID.shape).astype(kind)
    write_volume(tmp_path / "v.nii.gz", Volume(values[None], GRID))
    image = nib.load(tmp_path / "v.nii.gz")
    assert image.get_data_dtype() == np.dtype(stored)
    assert np.array_equal(np.asanyarray(image.dataobj), values)
    assert [int(image.header[name]) for name in ("sform_code", "qform_code", "xyzt_units")] == [1, 1, 2]


def test_what_nifti_cannot_hold_is_not_written(tmp_path: Path) -> None:
    wide = np.full((1, *GRID.shape), 1 << 40)
    with pytest.raises(InputError, match="too-large"):
        write_volume(tmp_path / "v.nii.gz", Volume(wide, GRID))
    with pytest.raises(UsageError):
        write_volume(tmp_path / "v.nii.gz", Volume(np.zeros((2, *GRID.shape)), GRID))
    with pytest.raises(GeometryError, match="grid-differs"):
        write_map(tmp_path / "v.nii.gz", np.zeros((1, 2, 3), np.float32), GRID)
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError):
        write_map(tmp_path / "file" / "v.nii.gz", np.zeros(GRID.shape, np.float32), GRID)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_sheared_grid_is_written_with_its_sform_alone(tmp_path: Path) -> None:
    affine = GRID.affine.copy()
    affine[1, 2] = 1
    sheared = Geometry(affine, GRID.shape)
    write_volume(tmp_path / "v.nii.gz", Volume(positional(sheared)[None], sheared))
    assert read_volume(case(tmp_path / "v.nii.gz")).geometry.matches(sheared)


def test_labels_of_a_picture_stay_without_a_size(tmp_path: Path) -> None:
    geometry = Geometry.of_picture(4, 3)
    path = tmp_path / "l.nii.gz"
    write_labels(path, Labels(np.ones((4, 3, 1), np.uint8), geometry, {1: "x"}))
    assert read_volume(case(path)).geometry.matches(geometry)


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_picture_is_indexed_by_column_and_row(tmp_path: Path, name: str) -> None:
    pixels = np.zeros((3, 4), np.uint8)
    pixels[2, 1] = 200
    Image.fromarray(pixels).save(tmp_path / name, **({"quality": 100} if name == "a.jpg" else {}))
    (found,) = scan([tmp_path]).cases
    volume = read_volume(found)
    assert volume.voxels.shape == (1, 4, 3, 1)
    assert abs(int(volume.voxels[0, 1, 2, 0]) - 200) <= 2
    assert not volume.geometry.physical
    assert [f.code for f in volume.findings] == (["lossy-compressed"] if name == "a.jpg" else [])


def test_colours_are_channels_and_sixteen_bits_of_grey_are_kept(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (3, 4, 3), np.uint8)
    Image.fromarray(colours).save(tmp_path / "rgb.png")
    assert np.array_equal(read_picture(tmp_path / "rgb.png").voxels[..., 0], colours.transpose(2, 1, 0))
    grey = np.random.default_rng(0).integers(0, 65536, (3, 4), np.uint16)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    volume = read_picture(tmp_path / "grey.png")
    assert np.array_equal(volume.voxels[0, ..., 0], grey.T)
    assert volume.voxels.dtype == np.uint16
    assert np.unique(read_picture(picture(tmp_path / "bit.png", "1")).voxels).tolist() == [0]


def test_a_palette_and_an_alpha_channel_that_hides_nothing_are_converted_with_a_note(tmp_path: Path) -> None:
    palette = Image.new("P", (4, 3), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    palette.save(tmp_path / "p.png")
    volume = read_picture(tmp_path / "p.png")
    assert volume.voxels[:, 0, 0, 0].tolist() == [10, 20, 30]
    assert [f.code for f in volume.findings] == ["converted"]
    Image.new("RGBA", (4, 3), (1, 2, 3, 255)).save(tmp_path / "a.png")
    volume = read_picture(tmp_path / "a.png")
    assert volume.voxels[:, 0, 0, 0].tolist() == [1, 2, 3]
    assert [f.code for f in volume.findings] == ["converted"]


def test_label_pictures_are_read_by_their_indices(tmp_path: Path) -> None:
    labels = Image.new("P", (4, 3), 2)
    labels.putpalette([0, 0, 0, 9, 9, 9, 255, 0, 0])
    labels.save(tmp_path / "l.png")
    found = Case("c", (Source("picture", (tmp_path / "l.png",)),), label=Source("picture", (tmp_path / "l.png",)))
    assert np.unique(read_labels(found, NAMES, Geometry.of_picture(4, 3)).voxels).tolist() == [2]
    with pytest.raises(InputError, match="bad-labels"):
        read_indices(picture(tmp_path / "c.png"))


def test_pictures_that_would_lose_something_are_refused(tmp_path: Path) -> None:
    assert code_of(picture(tmp_path / "alpha.png", "RGBA")) == "unsupported"
    assert code_of(picture(tmp_path / "key.png", "L", transparency=0)) == "unsupported"
    assert code_of(picture(tmp_path / "cmyk.jpg", "CMYK")) == "unsupported"
    turned = Image.Exif()
    turned[0x0112] = 6
    assert code_of(picture(tmp_path / "turned.jpg", "L", exif=turned)) == "unsupported"
    frames = [Image.new("L", (4, 3), n) for n in range(3)]
    frames[0].save(tmp_path / "frames.png", save_all=True, append_images=frames[1:])
    assert code_of(tmp_path / "frames.png") == "not-3d"


def test_colours_of_sixteen_bits_are_refused(tmp_path: Path) -> None:
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes(6 * 2) for _ in range(2))
    header = struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(content)
    assert code_of(tmp_path / "a.png") == "unsupported"


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_cut_or_damaged_picture_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)).save(path)
    content = path.read_bytes()
    for part in (0.05, 0.5, 0.97):
        path.write_bytes(content[: int(len(content) * part)])
        assert code_of(path) in ("truncated", "bad-header")
    path.write_bytes(b"rubbish" * 30)
    assert code_of(path) == "bad-header"
    path.unlink()
    assert code_of(path) == "unreadable"


@pytest.mark.parametrize("limit", [3, 7])
def test_a_picture_of_too_many_pixels_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    assert code_of(picture(tmp_path / "a.png")) == "too-large"


def archive(path: Path, **arrays_: np.ndarray) -> Path:
    np.savez_compressed(path, **arrays_)
    return path


def test_an_archive_gives_cases_with_splits_and_classes(tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (3, 6, 5), np.uint8)
    path = archive(
        tmp_path / "z.npz", train_images=pictures, train_labels=np.array([[1], [0], [1]]), test_images=pictures
    )
    found = scan([path])
    assert [(c.id, c.split, c.label) for c in found.cases[:4]] == [
        ("test_00000", "test", None),
        ("test_00001", "test", None),
        ("test_00002", "test", None),
        ("train_00000", "train", 1),
    ]
    assert scan([tmp_path]).cases[0].id == "z_test_00000"
    volume = read_volume(found.cases[4])
    assert np.array_equal(volume.voxels[0, ..., 0], pictures[1].T)
    assert not volume.geometry.physical


def test_archives_hold_colours_and_volumes_with_axes_as_stored(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (2, 6, 5, 3), np.uint8)
    volumes = np.random.default_rng(1).integers(0, 256, (2, 6, 5, 4), np.uint8)
    path = archive(tmp_path / "z.npz", train_images=colours, val_images=volumes)
    assert np.array_equal(read_member(path, ("train_images", 1)).voxels[..., 0], colours[1].transpose(2, 1, 0))
    volume = read_member(path, ("val_images", 0))
    assert np.array_equal(volume.voxels[0], volumes[0])
    assert volume.geometry.shape == (6, 5, 4)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_last_axis_of_one_or_three_is_channels(tmp_path: Path, channels: int) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (2, 6, 5), np.uint8)
    path = archive(tmp_path / "z.npz", val_images=grey, test_images=np.stack([grey] * channels, axis=-1))
    plain, with_channels = (read_member(path, (f"{split}_images", 1)) for split in ("val", "test"))
    assert np.array_equal(with_channels.voxels, np.concatenate([plain.voxels] * channels))
    assert with_channels.geometry.shape == plain.geometry.shape == (5, 6, 1)
    assert with_channels.geometry.matches(plain.geometry)
    assert not with_channels.geometry.physical


def test_names_of_unknown_arrays_are_not_quoted(tmp_path: Path) -> None:
    path = archive(tmp_path / "z.npz", **{"Doe^Jane": np.zeros((2, 3, 3))})
    (finding,) = scan([path]).rejected
    assert "it has 1 arrays, and none is" in finding.message
    assert "Doe" not in str(finding)


def test_an_archive_is_unpacked_once_and_again_when_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path / "z.npz", train_images=np.zeros((2, 3, 3), np.uint8))
    loads = []
    original = np.load
    monkeypatch.setattr(np, "load", lambda *a, **k: loads.append(a) or original(*a, **k))
    for n in (0, 1, 0):
        read_member(path, ("train_images", n))
    assert len(loads) == 1
    archive(path, train_images=np.ones((2, 30, 3), np.uint8))
    assert read_member(path, ("train_images", 0)).voxels.max() == 1


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ({"images": np.zeros((2, 3, 3))}, "unsupported"),
        ({"train_images": np.zeros((2, 3))}, "unsupported"),
        ({"train_images": np.zeros((2, 3, 3), object)}, "unsupported"),
        ({"train_images": np.zeros((2, 3, 3)), "train_labels": np.full((2, 4), 7)}, "bad-labels"),
        ({"train_images": np.zeros((2, 3, 3)), "train_labels": np.zeros(3, int)}, "bad-labels"),
        ({"train_images": np.zeros((2, 3, 3)), "train_labels": np.array(["a", "b"])}, "bad-labels"),
        ({"train_images": np.zeros((2, 3, 3)), "train_labels": np.array([None, 1])}, "bad-header"),
    ],
)
@pytest.mark.parametrize("named", [True, False])
def test_archives_of_another_form_are_refused(
    tmp_path: Path, content: dict[str, np.ndarray], code: str, named: bool
) -> None:
    path = archive(tmp_path / "z.npz", **content)
    assert [finding.code for finding in scan([path if named else tmp_path]).rejected] == [code]


def test_damaged_archives_are_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "z.npz", train_images=np.random.default_rng(0).integers(0, 256, (20, 30, 30), np.uint8))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert [finding.code for finding in scan([path]).rejected] == ["bad-header"]
    damaged = bytearray(content)
    damaged[len(content) // 2] ^= 0xFF
    path.write_bytes(damaged)
    with pytest.raises(InputError) as caught:
        read_member(path, ("train_images", 0))
    assert (caught.value.code, caught.value.path) == ("bad-header", path)


def test_an_archive_that_claims_too_much_or_lacks_the_picture_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "z.npz", train_images=np.zeros((2, 3, 3), np.uint8))
    with pytest.raises(InputError, match="2 pictures, number 5"):
        read_member(path, ("train_images", 5))
    with pytest.raises(InputError, match="unsupported"):
        read_member(path, ("val_images", 0))
    with pytest.raises(InputError, match="none is named"):
        read_volume(Case("c", (Source("npz", (path,)),)))
    with zipfile.ZipFile(path, "w") as file, file.open("train_images.npy", "w") as member:
        np.lib.format.write_array_header_2_0(
            member, {"descr": "|u1", "fortran_order": False, "shape": (10**5, 10**5, 9)}
        )
    assert [finding.code for finding in scan([path]).rejected] == ["too-large"]


def test_errors_learn_their_file_and_quote_nothing(tmp_path: Path) -> None:
    for raised, code in ((MemoryError(), "too-large"), (OSError(5, "I/O error"), "unreadable")):
        with pytest.raises(InputError) as caught, located(tmp_path):
            raise raised
        assert (caught.value.code, caught.value.path) == (code, tmp_path)
    with pytest.raises(InputError) as caught, located(tmp_path), located(tmp_path / "inner"), decoding("the tag"):
        raise ValueError("Born^1970")
    assert caught.value.path == tmp_path / "inner"
    assert str(caught.value).startswith(f"{tmp_path / 'inner'}: the tag cannot be understood (ValueError)")


def test_quiet_leaves_filters_as_they_were() -> None:
    before = list(warnings.filters)
    with quiet():
        warnings.warn("Born^1970", stacklevel=1)
    assert warnings.filters == before
