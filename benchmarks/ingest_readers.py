"""One way to call each reader: a path in, images out, in the world that all share (RAS+, mm).

Each is called as its own documentation shows it, for someone who has a folder and wants what is in it. The libraries
are imported when a reader is made, and in the process that uses it.
"""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Image:
    """What a reader gives: (C, I, J, K) voxels, and the (4, 4) affine from indices to RAS+ in mm."""

    voxels: NDArray[Any]
    affine: NDArray[np.float64]


class RefusedError(Exception):
    """A reader that returned without an image and said why, in its own words."""


Reader = Callable[[Path], list[Image]]


def medvision() -> Reader:
    """Return medvision's reader; what it remarks on goes to the error stream, as the command prints it."""
    import medvision as mv

    def read(path: Path) -> list[Image]:
        loaded = mv.load(path)
        marks = [f for volume in loaded.volumes.values() for f in volume.findings if f.grade != "note"]
        for finding in (*loaded.rejected, *marks):
            print(finding, file=sys.stderr)
        if not loaded.volumes and (loaded.rejected or loaded.skipped):
            raise RefusedError("; ".join(map(str, [*loaded.rejected, *loaded.skipped])))
        names = sorted(loaded.volumes, key=_natural)
        return [Image(loaded.volumes[name].voxels, loaded.volumes[name].geometry.affine) for name in names]

    return read


def monai() -> Reader:
    """Return MONAI's LoadImage: PydicomReader for DICOM, NibabelReader for NIfTI."""
    from monai.transforms import LoadImage

    dicom = LoadImage(reader="PydicomReader", image_only=True, ensure_channel_first=True)
    nifti = LoadImage(reader="NibabelReader", image_only=True, ensure_channel_first=True)

    def read(path: Path) -> list[Image]:
        found = (nifti if is_nifti(path) else dicom)(str(path))
        affine = np.asarray(found.affine, dtype=np.float64)
        voxels = np.asarray(found.numpy())
        voxels = voxels[..., None] if voxels.ndim == 3 else voxels
        return list(_split(voxels, affine))

    return read


def simpleitk() -> Reader:
    """Return SimpleITK: every series that GDCM finds in a folder, or one file."""
    import SimpleITK as Sitk

    def read(path: Path) -> list[Image]:
        if path.is_file():
            return list(of_itk(Sitk.ReadImage(str(path)), Sitk))
        found: list[Image] = []
        for series in Sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(path)):
            reader = Sitk.ImageSeriesReader()
            reader.SetFileNames(Sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(path), series))
            found += of_itk(reader.Execute(), Sitk)
        return found

    return read


def torchio() -> Reader:
    """Return torchio's ScalarImage."""
    tio: Any = importlib.import_module("torchio")

    def read(path: Path) -> list[Image]:
        image = tio.ScalarImage(path)
        voxels, affine = image.data.numpy(), np.asarray(image.affine, dtype=np.float64)
        return [Image(voxels, affine)]

    return read


def dicom2nifti() -> Reader:
    """Return dicom2nifti's convert_directory, and what it wrote."""
    library: Any = importlib.import_module("dicom2nifti")

    def read(path: Path) -> list[Image]:
        path = path.parent if path.is_file() else path  # it reads folders
        with tempfile.TemporaryDirectory() as out:
            library.convert_directory(str(path), out, compression=False, reorient=False)
            return list(written(Path(out)))

    return read


def dcm2niix() -> Reader:
    """Return the program dcm2niix of this environment, and what it wrote."""
    program = Path(sys.executable).with_name("dcm2niix")
    if not program.exists():
        raise ImportError(f"no {program}")

    def read(path: Path) -> list[Image]:
        with tempfile.TemporaryDirectory() as out:
            single = ["-s", "y"] if path.is_file() else []
            command = [str(program), "-z", "n", "-b", "n", *single, "-f", "%s_%n_%p", "-o", out, str(path)]
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
            said = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith(_ROUTINE)]
            print("\n".join(said), file=sys.stderr)
            found = list(written(Path(out)))
            if not found:
                raise RefusedError("\n".join(said))
            return found

    return read


READERS: dict[str, Callable[[], Reader]] = {
    "medvision": medvision,
    "MONAI": monai,
    "SimpleITK": simpleitk,
    "torchio": torchio,
    "dicom2nifti": dicom2nifti,
    "dcm2niix": dcm2niix,
}
"""Every reader by its name; each is made in the process that uses it."""


def scan(path: Path) -> list[Any]:
    """Return the cases of a folder, by medvision, from headers alone."""
    import medvision as mv

    return list(mv.scan([path]).cases)


def rewrite(path: Path) -> list[Any]:
    """Read by medvision and write the voxels as ``.nii`` files, unsynced, as dcm2niix does; return them."""
    from nibabel.nifti1 import Nifti1Header

    import medvision as mv

    files = []
    with tempfile.TemporaryDirectory() as out:
        for name, volume in mv.load(path).volumes.items():
            header = Nifti1Header()
            header.set_data_dtype(volume.voxels.dtype)
            header.set_data_shape(volume.geometry.shape)
            header.set_sform(volume.geometry.affine, code=1)
            header["vox_offset"], header["magic"] = 352, b"n+1"
            files.append(Path(out) / f"{name}.nii")
            with files[-1].open("wb") as file:
                file.write(header.binaryblock + bytes(4))
                np.ascontiguousarray(volume.voxels[0].T).tofile(file)
    return files


OTHER_WORK: dict[str, Callable[[Path], list[Any]]] = {"scan": scan, "rewrite": rewrite}
"""What else is measured of medvision."""

ONLY_DICOM = ("dicom2nifti", "dcm2niix")
_ROUTINE = ("Chris Rorden", "Compression will be", "Found ", "Convert ", "Conversion required")


def is_nifti(path: Path) -> bool:
    """Return whether the name says NIfTI."""
    return path.name.endswith((".nii", ".nii.gz", ".hdr", ".img"))


def as_peers_need_it(path: Path, folder: Path) -> Path:
    """Return the folder of files, or the one file, that a person would name to a reader of one series.

    A zip archive is unpacked below `folder`, a DICOMDIR is left for the files beside it, and a folder that holds one
    thing and nothing else is entered.
    """
    path = _entered(path.parent if path.name == "DICOMDIR" else path)
    if not path.is_file() or not zipfile.is_zipfile(path):
        return path
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if not member.filename.startswith("/") and ".." not in member.filename:
                archive.extract(member, folder)
    return _entered(folder)


def _entered(path: Path) -> Path:
    """Return what a folder holds where that is one thing, and so on."""
    while path.is_dir():
        inside = [child for child in path.iterdir() if child.name != "DICOMDIR"]
        if len(inside) != 1 or inside[0].is_symlink() or not (inside[0].is_dir() or inside[0].is_file()):
            break
        path = inside[0]
    return path


def of_itk(image: Any, itk: Any) -> Iterator[Image]:
    """Give the volumes of a SimpleITK image."""
    if image.GetDimension() == 4:
        size = list(image.GetSize())
        for t in range(size[3]):
            yield from of_itk(itk.Extract(image, [*size[:3], 0], [0, 0, 0, t]), itk)
        return
    affine = np.eye(4)
    if image.GetDimension() == 2:
        affine[:2, :2] = np.array(image.GetDirection()).reshape(2, 2) * image.GetSpacing()
        affine[:2, 3] = image.GetOrigin()
    else:
        affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
        affine[:3, 3] = image.GetOrigin()
    voxels = itk.GetArrayFromImage(image)
    channels = voxels if image.GetNumberOfComponentsPerPixel() > 1 else voxels[..., None]
    planes = channels if channels.ndim == 4 else channels[None]
    yield Image(planes.transpose(3, 2, 1, 0), LPS @ affine)


def written(folder: Path) -> Iterator[Image]:
    """Give the volumes of the NIfTI files below a folder."""
    for file in sorted([*folder.rglob("*.nii"), *folder.rglob("*.nii.gz")]):
        yield from from_nifti(file)


def from_nifti(file: Path) -> Iterator[Image]:
    """Give the volumes of a NIfTI file, as nibabel reads it."""
    import nibabel

    image = nibabel.load(file)
    stored = np.asanyarray(image.dataobj)
    names = stored.dtype.names
    voxels = np.stack([stored[name] for name in names]) if names else stored[None]
    voxels = voxels[..., None] if voxels.ndim == 3 else voxels
    yield from _split(voxels, np.asarray(image.affine, dtype=np.float64))


def _split(voxels: NDArray[Any], affine: NDArray[np.float64]) -> Iterator[Image]:
    """Give (C, I, J, K) volumes of (C, I, J, K, ...) voxels."""
    if voxels.ndim == 4:
        yield Image(voxels, affine)
    else:
        flat = voxels.reshape(*voxels.shape[:4], -1)
        yield from (Image(flat[..., n], affine) for n in range(flat.shape[-1]))


def _natural(text: str) -> list[tuple[int, str]]:
    """Return a key that sorts t2 before t10."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", text)]
