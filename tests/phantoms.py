"""Phantoms: images whose right answer is known by hand.

The voxels of :func:`positional` state where they lie, so that each flip, shift, shear or wrong spacing of a reader
shows as a number.
"""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, PositronEmissionTomographyImageStorage

from medvision.geometry import Geometry

_SOP_CLASSES = {"CT": CTImageStorage, "MR": MRImageStorage, "PT": PositronEmissionTomographyImageStorage}
_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0])


ORIENTATIONS = tuple(
    "".join(letters) for pairs in itertools.permutations(("RL", "AP", "SI")) for letters in itertools.product(*pairs)
)
"""The 48 orders in which the axes of a volume can be stored."""


def world(geometry: Geometry) -> NDArray[np.float64]:
    """Return (I, J, K, 3) world coordinates of the voxels' centres, RAS+ in mm."""
    return geometry.to_world(np.stack(np.indices(geometry.shape), axis=-1))


def positional(geometry: Geometry) -> NDArray[np.int16]:
    """Return (I, J, K) the value 3x + 5y + 7z + 40 of each voxel's place, rounded."""
    return np.round(world(geometry) @ (3.0, 5.0, 7.0) + 40).astype(np.int16)


def sphere(geometry: Geometry, centre_mm: tuple[float, float, float], radius_mm: float) -> NDArray[np.bool_]:
    """Return (I, J, K) which voxels have their centre within a sphere."""
    return np.asarray(np.linalg.norm(world(geometry) - np.array(centre_mm), axis=-1) <= radius_mm)


def spheres(geometry: Geometry, *, noise: float = 0.0, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return (I, J, K) an image of two bright spheres side by side, and their labels 1 and 2.

    The values are 100 and 200 on a background of 0, with Gaussian noise of the standard deviation `noise`.
    """
    middle = geometry.to_world((np.array(geometry.shape) - 1) / 2)
    radius = min(geometry.extent) / 5
    labels = np.zeros(geometry.shape, dtype=np.uint8)
    for number, shift in ((1, -1.2), (2, 1.2)):
        x, y, z = middle + geometry.directions[:, 0] * shift * radius
        labels[sphere(geometry, (x, y, z), radius)] = number
    generator = np.random.default_rng(seed)
    image = labels.astype(np.float32) * 100 + generator.normal(0, 1, geometry.shape).astype(np.float32) * noise
    return image, labels


def write_nifti(
    path: Path,
    voxels: NDArray[Any],
    geometry: Geometry | None = None,
    *,
    sform_code: int = 1,
    qform_code: int = 1,
    **fields: Any,
) -> Path:
    """Write voxels as NIfTI-1, by nibabel; `fields` are set in the header just before it is written."""
    grid = geometry or Geometry.from_spacing((1, 1, 1), (*voxels.shape, 1, 1, 1)[:3])
    header = nib.Nifti1Header()
    header.set_data_dtype(voxels.dtype)
    header.set_data_shape(voxels.shape)
    header.set_qform(grid.affine, code=qform_code, strip_shears=True)
    header.set_sform(grid.affine, code=sform_code)
    header.set_xyzt_units("mm")
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    for name, value in fields.items():
        header[name] = value
    content = header.binaryblock + bytes(4) + voxels.tobytes(order="F")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, mtime=0) if path.name.endswith(".gz") else content)
    return path


def write_dicom_series(
    folder: Path,
    voxels: NDArray[Any],
    geometry: Geometry,
    *,
    modality: str = "CT",
    slices: Mapping[int, Mapping[str, Any]] | None = None,
    **tags: Any,
) -> list[Path]:
    """Write one single-frame DICOM file for each slice along k; return them in the order of k.

    File names and Instance Numbers run against the positions. `tags` are set in every file, `slices` in single ones by
    their k; None deletes a tag. Stored values are the voxels; CT is written with Rescale Slope 1 and Intercept 0.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for k in range(geometry.shape[2]):
        dataset = slice_of(voxels[:, :, k], geometry, k, modality)
        for keyword, value in {**tags, **(slices or {}).get(k, {})}.items():
            if value is not None:
                setattr(dataset, keyword, value)
            elif keyword in dataset:
                delattr(dataset, keyword)
        dataset.file_meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", CTImageStorage)
        files.append(folder / f"{geometry.shape[2] - k:04d}.dcm")
        dataset.save_as(files[-1], enforce_file_format=True)
    return files


def slice_of(pixels: NDArray[Any], geometry: Geometry, k: int, modality: str = "CT") -> Dataset:
    """Return the DICOM data set of one slice; `pixels` are (columns, rows) in 16 bits."""
    count = geometry.shape[2]
    axes = _RAS_TO_LPS @ geometry.directions
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.826.0.1.9.{k + 1}"
    dataset.SOPClassUID = _SOP_CLASSES[modality]
    dataset.SOPInstanceUID = f"1.2.826.0.1.9.{k + 1}"
    dataset.Modality = modality
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.PatientName = "Phantom^Known"
    dataset.PatientID = "PHANTOM-7"
    dataset.PatientBirthDate = "19700101"
    dataset.StudyInstanceUID = "1.2.826.0.1.1"
    dataset.SeriesInstanceUID = "1.2.826.0.1.2"
    dataset.FrameOfReferenceUID = "1.2.826.0.1.3"
    dataset.InstanceNumber = count - k
    dataset.ImagePositionPatient = [round(x, 6) for x in (_RAS_TO_LPS @ geometry.to_world((0, 0, k))).tolist()]
    dataset.ImageOrientationPatient = [round(x, 9) for x in axes[:, :2].T.ravel().tolist()]
    dataset.PixelSpacing = [geometry.spacing[1], geometry.spacing[0]]
    dataset.SliceThickness = geometry.spacing[2]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape[1], pixels.shape[0]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = 1 if pixels.dtype.kind == "i" else 0
    if modality != "MR":
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0
    if modality == "PT":
        dataset.Units = "BQML"
    dataset.PixelData = np.ascontiguousarray(pixels.T).astype(f"<{pixels.dtype.kind}2").tobytes()
    return dataset
