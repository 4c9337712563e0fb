"""Series to measure the speed of reading with: a real one in several encodings, a long one, ten thousand files."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

_ROOT = "1.2.826.0.1.3680043.2.1143.88"
_RLE, _JPEG_LS = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80"


def real_series(data: Path, folder: Path) -> dict[str, Path]:
    """Return folders of the real CT of 28 slices, by what they are; none where the data are not there.

    Its slices are tilted and uneven, which several readers refuse or place wrongly: to let all do the same work, the
    positions are made even, and nothing else is changed.
    """
    from pydicom import dcmread

    archive = data / "dicom_series" / "ct_ge_tilt.zip"
    if not archive.exists():
        return {}
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(folder)
    datasets = [dcmread(file) for file in sorted((folder / "ct_ge_tilt" / "In").glob("*.dcm"))]
    for n, dataset in enumerate(sorted(datasets, key=lambda d: float(d.ImagePositionPatient[2]))):
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.ImagePositionPatient = [-125, -125, 5 * n]
        dataset.SpacingBetweenSlices, dataset.GantryDetectorTilt = 5, 0
    made = {"CT of 28 slices, uncompressed": None, "CT of 28 slices, RLE": _RLE, "CT of 28 slices, JPEG-LS": _JPEG_LS}
    for title, syntax in made.items():
        (folder / title).mkdir()
        for n, dataset in enumerate(datasets):
            if syntax:
                dataset.decompress() if dataset.file_meta.TransferSyntaxUID.is_compressed else None
                dataset.compress(syntax, generate_instance_uid=False)
            dataset.save_as(folder / title / f"{n:03d}.dcm")
    return {title: folder / title for title in made}


def long_series(folder: Path, *, count: int = 400, size: int = 512) -> Path:
    """Write an axial CT of `count` slices and return its folder."""
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 200, (size, size), dtype=np.int16)
    for k in range(count):
        _slice(0, k, np.roll(noise, k, axis=0) + np.int16(k)).save_as(folder / f"{k:04d}.dcm", enforce_file_format=True)
    return folder


def many_files(folder: Path, *, series: int = 25, count: int = 400, size: int = 64) -> dict[Path, int]:
    """Write series of small slices, synced; return for each file how many bytes lie before its pixels."""
    found = {}
    pixels = np.zeros((size, size), np.int16)
    for s in range(series):
        here = folder / f"s{s:02d}"
        here.mkdir(parents=True)
        for k in range(count):
            path = here / f"{k:04d}.dcm"
            _slice(s, k, pixels).save_as(path, enforce_file_format=True)
            found[path] = path.stat().st_size - pixels.nbytes
    os.sync()
    return found


def _slice(series: int, k: int, pixels: np.ndarray[Any, Any]) -> Any:
    """Return a CT slice with as many elements as a scanner writes, less the private ones."""
    from pydicom.dataset import Dataset, FileMetaDataset

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", f"{_ROOT}.{series}.{k}.1"
    for name in ("Study", "Series", "Acquisition", "Content"):
        setattr(dataset, f"{name}Date", "20200102")
        setattr(dataset, f"{name}Time", "101010.123000")
    dataset.AccessionNumber, dataset.Modality, dataset.Manufacturer = "A1", "CT", "Nobody"
    dataset.InstitutionName, dataset.ReferringPhysicianName, dataset.StationName = "Nowhere", "No^One", "S1"
    dataset.StudyDescription, dataset.SeriesDescription = "Study of a phantom", f"Series {series}"
    dataset.ManufacturerModelName, dataset.PatientName, dataset.PatientID = "M1", "Phantom^Speed", f"P{series}"
    dataset.PatientBirthDate, dataset.PatientSex, dataset.PatientAge, dataset.PatientWeight = (
        "19700101",
        "O",
        "050Y",
        70,
    )
    dataset.BodyPartExamined, dataset.ScanOptions, dataset.SliceThickness, dataset.KVP = "HEAD", "AXIAL", 2, 120
    dataset.DataCollectionDiameter, dataset.SoftwareVersions, dataset.ProtocolName = 500, "1.0", "Protocol"
    dataset.ReconstructionDiameter, dataset.DistanceSourceToDetector, dataset.DistanceSourceToPatient = 250, 950, 540
    dataset.GantryDetectorTilt, dataset.TableHeight, dataset.RotationDirection, dataset.ExposureTime = (
        0,
        150,
        "CW",
        1000,
    )
    dataset.XRayTubeCurrent, dataset.FilterType, dataset.GeneratorPower, dataset.FocalSpots = 200, "F", 24, 0.7
    dataset.ConvolutionKernel, dataset.PatientPosition = "SOFT", "HFS"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"{_ROOT}.{series}", f"{_ROOT}.{series}.2"
    dataset.StudyID, dataset.SeriesNumber, dataset.AcquisitionNumber, dataset.InstanceNumber = "1", series + 1, 1, k + 1
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [-125, -125, 2.0 * k], [1, 0, 0, 0, 1, 0]
    dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator, dataset.SliceLocation = f"{_ROOT}.9", "OM", 2.0 * k
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.PixelSpacing = [250 / pixels.shape[0]] * 2
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    dataset.WindowCenter, dataset.WindowWidth, dataset.RescaleIntercept, dataset.RescaleSlope = 40, 400, -1024, 1
    dataset.RescaleType = "HU"
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW"
    return dataset
