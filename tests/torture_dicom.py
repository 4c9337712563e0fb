"""Writing DICOM for the torture set: slices of a lattice whose voxels state their positions, in any disguise."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import config, dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian
from torture import Lattice, value_at

ROOT = "1.2.826.0.1.3680043.10.777"
CLASSES = {
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "PT": "1.2.840.10008.5.1.4.1.1.128",
    "CR": "1.2.840.10008.5.1.4.1.1.1",
    "DX": "1.2.840.10008.5.1.4.1.1.1.1",
    "MG": "1.2.840.10008.5.1.4.1.1.1.2",
    "US": "1.2.840.10008.5.1.4.1.1.6.1",
    "SC": "1.2.840.10008.5.1.4.1.1.7",
}
SLOPE, INTERCEPT = 0.125, -4096.0


def ds(*numbers: float) -> list[str]:
    """Return decimal strings of at most 16 characters."""
    return [f"{number:.9g}" for number in numbers]


def base(modality: str, *, series: int = 1, study: int = 1, patient: str = "TORTURE-7") -> Dataset:
    """Return a data set with identities and no image."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = CLASSES[modality]
    dataset.Modality = "OT" if modality == "SC" else modality
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.PatientName = "Planted^Name"
    dataset.PatientID = patient
    dataset.PatientBirthDate = "19170203"
    dataset.StudyDate, dataset.StudyTime = "20260102", "101500"
    dataset.SeriesDate, dataset.SeriesTime = "20260102", "102000"
    dataset.AcquisitionDate, dataset.AcquisitionTime = "20260102", "102000"
    dataset.SeriesDescription = "secret words"
    dataset.StudyInstanceUID = f"{ROOT}.{study}"
    dataset.SeriesInstanceUID = f"{ROOT}.{study}.{series}"
    dataset.SeriesNumber = series
    dataset.FrameOfReferenceUID = f"{ROOT}.{study}.0"
    return dataset


def put(
    dataset: Dataset, stored: NDArray[Any], *, allocated: int = 16, bits: int = 16, signed: bool = False
) -> Dataset:
    """Put stored numbers into the data set: (rows, columns), (frames, rows, columns) or (..., samples) for colour."""
    colour = stored.ndim > 2 and stored.shape[-1] == 3
    rows_columns = stored.shape[-3:-1] if colour else stored.shape[-2:]
    dataset.SamplesPerPixel = 3 if colour else 1
    dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        dataset.PlanarConfiguration = 0
    dataset.Rows, dataset.Columns = rows_columns
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = allocated, bits, bits - 1
    dataset.PixelRepresentation = int(signed)
    stored = np.round(stored).astype(np.int64) & ((1 << allocated) - 1)
    raw = stored.astype(f"<u{allocated // 8}").tobytes()
    dataset.PixelData = raw + bytes(len(raw) % 2)
    dataset["PixelData"].VR = "OB" if allocated == 8 else "OW"
    return dataset


def slices(
    grid: Lattice,
    modality: str = "CT",
    *,
    offset: float = 0.0,
    slope: float | None = SLOPE,
    intercept: float = INTERCEPT,
    **identity: Any,
) -> list[Dataset]:
    """Return a data set for each slice of the lattice; without a slope, the values themselves are stored, signed."""
    values = np.moveaxis(value_at(grid.points()) + offset, (2, 1, 0), (0, 1, 2))
    return [_slice(grid, k, values[k], modality, slope, intercept, identity) for k in range(grid.shape[2])]


def _slice(
    grid: Lattice,
    k: int,
    values: NDArray[Any],
    modality: str,
    slope: float | None,
    intercept: float,
    identity: dict[str, Any],
) -> Dataset:
    dataset = base(modality, **identity)
    place(dataset, grid, k)
    dataset.InstanceNumber = k + 1
    dataset.SOPInstanceUID = f"{dataset.SeriesInstanceUID}.{k + 1}"
    if slope is None:
        return put(dataset, values, signed=True)
    dataset.RescaleSlope, dataset.RescaleIntercept = ds(slope, intercept)
    return put(dataset, (values - intercept) / slope)


def place(dataset: Dataset, grid: Lattice, k: float = 0) -> Dataset:
    """Set the tags that place slice `k` of the lattice."""
    columns, rows, step = grid.affine[:3, :3].T
    sizes = np.linalg.norm(grid.affine[:3, :3], axis=0)
    dataset.ImagePositionPatient = ds(*grid.origin(k))
    dataset.ImageOrientationPatient = ds(*columns / sizes[0], *rows / sizes[1])
    dataset.PixelSpacing = ds(sizes[1], sizes[0])
    normal = np.cross(columns / sizes[0], rows / sizes[1])
    dataset.SliceThickness = ds(abs(normal @ step))[0]
    dataset.SliceLocation = ds(grid.origin(k) @ normal)[0]
    return dataset


def every(datasets: Sequence[Dataset], **tags: Any) -> list[Dataset]:
    """Set tags in all data sets; None deletes one."""
    for dataset in datasets:
        for keyword, value in tags.items():
            if value is None:
                dataset.pop(keyword, None)
            else:
                setattr(dataset, keyword, value)
    return list(datasets)


def write(folder: Path, datasets: Sequence[Dataset], prefix: str = "", suffix: str = ".dcm") -> list[Path]:
    """Write the data sets under names in another order than theirs; return the paths in theirs."""
    folder.mkdir(parents=True, exist_ok=True)
    order = np.random.default_rng(5).permutation(len(datasets))
    files = [folder / f"{prefix}{number:03d}{suffix}" for number in order]
    for file, dataset in zip(files, datasets, strict=True):
        save(file, dataset)
    return files


def save(file: Path, dataset: Dataset) -> Path:
    """Write one data set, right or wrong."""
    if "SOPInstanceUID" not in dataset and "NumberOfFrames" in dataset:
        dataset.SOPInstanceUID = f"{dataset.SeriesInstanceUID}.1"
    dataset.file_meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", CLASSES["SC"])
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", f"{ROOT}.9")
    mode = config.settings.writing_validation_mode
    config.settings.writing_validation_mode = config.IGNORE
    try:
        dataset.save_as(file, enforce_file_format=True)
    finally:
        config.settings.writing_validation_mode = mode
    return file


def patch(file: Path, old: bytes, new: bytes) -> Path:
    """Replace bytes in a file by others of the same number, for values that no library writes."""
    content = file.read_bytes()
    if len(old) != len(new) or old not in content:
        raise ValueError(f"{old!r} cannot be replaced")
    file.write_bytes(content.replace(old, new))
    return file


def transcoded(dataset: Dataset, syntax: str) -> Dataset:
    """Return the data set with its pixels compressed by GDCM to one of ``gdcm.TransferSyntax``'s names."""
    import gdcm

    with tempfile.TemporaryDirectory() as folder:
        plain, packed = Path(folder) / "a.dcm", Path(folder) / "b.dcm"
        save(plain, dataset)
        reader = gdcm.ImageReader()
        reader.SetFileName(str(plain))
        if not reader.Read():
            raise ValueError("GDCM cannot read it")
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, syntax)))
        change.SetInput(reader.GetImage())
        if not change.Change():
            raise ValueError(f"GDCM cannot write {syntax}")
        writer = gdcm.ImageWriter()
        writer.SetFileName(str(packed))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        writer.Write()
        compressed = dcmread(packed)
    dataset.file_meta.TransferSyntaxUID = UID(compressed.file_meta.TransferSyntaxUID)
    dataset.PixelData = compressed.PixelData
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return dataset


@dataclass
class Frame:
    """One frame of an enhanced object; `tags` holds functional groups: sequence keyword -> its item's tags."""

    grid: Lattice
    k: float
    offset: float = 0.0
    slope: float = SLOPE
    intercept: float = INTERCEPT
    tags: dict[str, dict[str, Any]] | None = None


_ENHANCED = {
    "CT": "1.2.840.10008.5.1.4.1.1.2.1",
    "MR": "1.2.840.10008.5.1.4.1.1.4.1",
    "PT": "1.2.840.10008.5.1.4.1.1.130",
}


def enhanced(frames: Sequence[Frame], modality: str = "CT", *, shared: Sequence[str] = (), **identity: Any) -> Dataset:
    """Return an enhanced multi-frame object; the functional groups named in `shared` are taken from the first frame."""
    dataset = base(modality, **identity)
    dataset.SOPClassUID = _ENHANCED[modality]
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    dataset.InstanceNumber = 1
    dataset.NumberOfFrames = len(frames)
    groups = [_groups(frame) for frame in frames]
    dataset.SharedFunctionalGroupsSequence = [_items({name: groups[0][name] for name in shared})]
    dataset.PerFrameFunctionalGroupsSequence = [
        _items({name: tags for name, tags in group.items() if name not in shared}) for group in groups
    ]
    return put(dataset, np.stack([_stored(frame) for frame in frames]))


def _stored(frame: Frame) -> NDArray[np.float64]:
    points = frame.grid.points()[:, :, 0] + frame.grid.origin(frame.k) - frame.grid.origin(0)
    return np.asarray((value_at(points).T + frame.offset - frame.intercept) / frame.slope)


def _groups(frame: Frame) -> dict[str, dict[str, Any]]:
    placed = place(Dataset(), frame.grid, frame.k)
    groups: dict[str, dict[str, Any]] = {
        "PlanePositionSequence": {"ImagePositionPatient": placed.ImagePositionPatient},
        "PlaneOrientationSequence": {"ImageOrientationPatient": placed.ImageOrientationPatient},
        "PixelMeasuresSequence": {"PixelSpacing": placed.PixelSpacing, "SliceThickness": placed.SliceThickness},
        "PixelValueTransformationSequence": {
            "RescaleSlope": ds(frame.slope)[0],
            "RescaleIntercept": ds(frame.intercept)[0],
            "RescaleType": "US",
        },
    }
    return {**groups, **(frame.tags or {})}


def _items(groups: dict[str, dict[str, Any]]) -> Dataset:
    dataset = Dataset()
    for name, tags in groups.items():
        item = Dataset()
        for keyword, value in tags.items():
            setattr(item, keyword, value)
        setattr(dataset, name, [item])
    return dataset
