"""The small good files that the fuzz run damages: one of each kind that medvision reads or must recognise.

All are made here, byte for byte the same each time, so that a recipe of damage can be replayed. Every DICOM file
carries the invented identity :data:`IDENTITY`, which no message may repeat.
"""

from __future__ import annotations

import gzip
import io
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

IDENTITY = "Zyxwvut"
_ROOT = "1.2.826.0.1.3680043.2.1143.77"
_CT, _MR, _PT = (f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("2", "4", "128"))
_ENHANCED_CT, _SEG, _RT_DOSE, _RT_STRUCT = (
    f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("2.1", "66.4", "481.2", "481.3")
)
_SECONDARY, _SECONDARY_FRAMES, _DX = (f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("7", "7.2", "1.1"))
_IMPLICIT, _EXPLICIT, _DEFLATED, _BIG = (f"1.2.840.10008.1.2{end}" for end in ("", ".1", ".1.99", ".2"))
_RLE, _JPEG, _JPEG_LS, _J2K = (f"1.2.840.10008.1.2.{end}" for end in ("5", "4.50", "4.80", "4.90"))

Wrap = Literal["gzip", "deflate", "zip"]


@dataclass(frozen=True)
class Seed:
    """A good input.

    Parameters
    ----------
    name
        What recipes call it.
    target
        The name of the file that is damaged; it is the input itself where there are no others.
    content
        Its bytes; unpacked where there is a `wrap`.
    others
        The further files of the folder, or of the archive, by their names.
    wrap
        How the content is packed once damaged; damage may also be done to the packed bytes.
    tags
        The tags of its elements, as they stand in the bytes; empty for NIfTI.
    """

    name: str
    target: str
    content: bytes
    others: tuple[tuple[str, bytes], ...] = ()
    wrap: Wrap | None = None
    tags: tuple[bytes, ...] = ()

    def packed(self, content: bytes) -> bytes:
        """Return `content` in its wrapping."""
        if self.wrap == "gzip":
            return gzip.compress(content, mtime=0)
        if self.wrap == "deflate":
            end = _end_of_meta(content)
            return content[:end] + zlib.compress(content[end:], wbits=-15)
        if self.wrap == "zip":
            return _zipped([("1.dcm", content), *self.others])
        return content


def seeds() -> dict[str, Seed]:
    """Return every seed by its name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom remarks on what is odd on purpose
        made = [*_dicom_seeds(), *_nifti_seeds()]
    return {seed.name: seed for seed in made}


def _dicom_seeds() -> list[Seed]:
    single: dict[str, Callable[[], Any]] = {
        "ct-implicit": lambda: _slice(syntax=_IMPLICIT),
        "ct-explicit": lambda: _slice(),
        "ct-big-endian": lambda: _slice(syntax=_BIG),
        "ct-rle": lambda: _compressed(_slice(), _RLE),
        "ct-jpeg-ls": lambda: _compressed(_slice(), _JPEG_LS),
        "mr-j2k": lambda: _by_pillow(_slice(_MR, "MR"), "JPEG2000", _J2K),
        "colour-jpeg": lambda: _by_pillow(_colour(), "JPEG", _JPEG),
        "colour": _colour,
        "palette": _palette,
        "pet": _pet,
        "enhanced-ct": _enhanced,
        "mosaic": _mosaic,
        "seg": _segmentation,
        "rt-dose": _dose,
        "rt-struct": _structures,
        "frames": _frames,
        "radiograph": _radiograph,
    }
    made = [_seed(name, build()) for name, build in single.items()]
    for name, syntax in (("series", _EXPLICIT), ("series-implicit", _IMPLICIT)):
        first, *rest = _series_bytes(syntax)
        others = tuple((f"{n}.dcm", content) for n, content in enumerate(rest, 2))
        made.append(Seed(name, "1.dcm", first, others, tags=_tags_in(first)))
    first, *rest = _series_bytes(_EXPLICIT)
    members = tuple((f"part/{n}.dcm", content) for n, content in enumerate(rest, 2))
    made.append(Seed("zip", "series.zip", first, members, "zip", _tags_in(first)))
    packed = _bytes_of(_slice(syntax=_DEFLATED))
    end = _end_of_meta(packed)
    content = packed[:end] + zlib.decompress(packed[end:], wbits=-15)
    return [*made, _dicomdir(), Seed("ct-deflated", "deflated.dcm", content, (), "deflate", _tags_in(packed))]


def _seed(name: str, dataset: Any) -> Seed:
    content = _bytes_of(dataset)
    return Seed(name, f"{name}.dcm", content, tags=_tags_in(content))


def _slice(sop_class: str = _CT, modality: str = "CT", *, syntax: str = _EXPLICIT, k: int = 0, size: int = 8) -> Any:
    """Return one slice of 8 x 8 pixels, 3 mm above the last."""
    from pydicom.dataset import Dataset, FileMetaDataset

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = sop_class
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = f"{_ROOT}.3.{k + 1}"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.StudyDate, dataset.StudyTime, dataset.StudyID = "20200102", "101010", "7"
    dataset.Modality = modality
    dataset.SeriesDescription = f"T {IDENTITY}"
    dataset.PatientName = f"{IDENTITY}^Anna"
    dataset.PatientID = f"{IDENTITY}-7"
    dataset.PatientBirthDate = "19700101"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"{_ROOT}.1", f"{_ROOT}.2"
    dataset.FrameOfReferenceUID = f"{_ROOT}.4"
    dataset.SeriesNumber, dataset.InstanceNumber, dataset.AcquisitionNumber = 4, k + 1, 1
    dataset.ImagePositionPatient = [-8.0, -6.5, 10.0 + 3 * k]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing = [1.5, 2.0]
    dataset.SliceThickness = 3
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
    _set_pixels(dataset, (np.arange(size * size).reshape(size, size) * 7 + k).astype(np.uint16))
    return dataset


def _set_pixels(dataset: Any, pixels: NDArray[Any], *, stored: int | None = None) -> None:
    """Put (rows, columns), (frames, rows, columns) or (rows, columns, 3) unsigned pixels into the data set."""
    is_colour = pixels.ndim == 3 and pixels.shape[2] == 3
    dataset.SamplesPerPixel = 3 if is_colour else 1
    dataset.PhotometricInterpretation = "RGB" if is_colour else "MONOCHROME2"
    if is_colour:
        dataset.PlanarConfiguration = 0
    elif pixels.ndim == 3:
        dataset.NumberOfFrames = len(pixels)
    dataset.Rows, dataset.Columns = pixels.shape[:2] if is_colour else pixels.shape[-2:]
    bits = pixels.dtype.itemsize * 8
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, stored or bits, (stored or bits) - 1
    dataset.PixelRepresentation = 0
    in_order = pixels.byteswap() if dataset.file_meta.TransferSyntaxUID == _BIG else pixels
    dataset.PixelData = np.ascontiguousarray(in_order).tobytes()
    dataset["PixelData"].VR = "OB" if bits == 8 else "OW"


def _compressed(dataset: Any, syntax: str) -> Any:
    dataset.compress(syntax, generate_instance_uid=False)
    return dataset


def _by_pillow(dataset: Any, form: str, syntax: str) -> Any:
    from PIL import Image
    from pydicom.encaps import encapsulate

    options = {"irreversible": False, "no_jp2": True} if form == "JPEG2000" else {"quality": 90}
    buffer = io.BytesIO()
    Image.fromarray(dataset.pixel_array).save(buffer, form, **options)
    dataset.PixelData = encapsulate([buffer.getvalue()])
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = syntax
    if form == "JPEG":
        dataset.PhotometricInterpretation = "YBR_FULL_422"
    return dataset


def _colour() -> Any:
    dataset = _slice(_SECONDARY, "OT")
    _set_pixels(dataset, np.arange(16 * 16 * 3, dtype=np.uint16).reshape(16, 16, 3).astype(np.uint8))
    return dataset


def _palette() -> Any:
    dataset = _slice(_SECONDARY, "US")
    _set_pixels(dataset, np.arange(64, dtype=np.uint8).reshape(8, 8))
    dataset.PhotometricInterpretation = "PALETTE COLOR"
    for n, colour in enumerate(("Red", "Green", "Blue")):
        setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 16])
        table = (np.arange(256, dtype="<u2") * 257).tobytes()[n:] + bytes(n)
        setattr(dataset, f"{colour}PaletteColorLookupTableData", table)
    return dataset


def _pet() -> Any:
    dataset = _slice(_PT, "PT")
    dataset.Units, dataset.DecayCorrection, dataset.CorrectedImage = "BQML", "START", ["ATTN", "DECY"]
    dataset.SeriesDate, dataset.SeriesTime, dataset.AcquisitionTime = "20200102", "101500", "101500"
    dataset.PatientWeight = 70
    dataset.RescaleSlope, dataset.RescaleIntercept = 0.5, 0
    dose = _item(RadiopharmaceuticalStartTime="091500", RadionuclideTotalDose=3.5e8, RadionuclideHalfLife=6586.2)
    dataset.RadiopharmaceuticalInformationSequence = [dose]
    return dataset


def _enhanced() -> Any:
    dataset = _slice(_ENHANCED_CT, "CT")
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        delattr(dataset, name)
    del dataset.RescaleSlope, dataset.RescaleIntercept
    _set_pixels(dataset, (np.arange(3 * 64).reshape(3, 8, 8) * 5).astype(np.uint16))
    dataset.SharedFunctionalGroupsSequence = [
        _item(
            PixelMeasuresSequence=[_item(PixelSpacing=[1.5, 2.0], SliceThickness=3)],
            PlaneOrientationSequence=[_item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
            PixelValueTransformationSequence=[_item(RescaleIntercept=-1024, RescaleSlope=1, RescaleType="HU")],
        )
    ]
    dataset.PerFrameFunctionalGroupsSequence = [
        _item(
            FrameContentSequence=[_item(StackID="1", InStackPositionNumber=k + 1, DimensionIndexValues=[1, k + 1])],
            PlanePositionSequence=[_item(ImagePositionPatient=[-8, -6.5, 10 + 3 * k])],
        )
        for k in range(3)
    ]
    return dataset


def _mosaic() -> Any:
    """Return a picture of four tiles with the two private headers that say so."""
    dataset = _slice(_MR, "MR", size=16)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
    dataset.Manufacturer = "SIEMENS"
    dataset.SpacingBetweenSlices = 3.3
    block = dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    fields = {"NumberOfImagesInMosaic": ["4"], "SliceNormalVector": ["0.0", "0.0", "1.0"]}
    block.add_new(0x10, "OB", _csa(fields))
    block.add_new(0x20, "OB", _csa({"MrPhoenixProtocol": ["### ASCCONV BEGIN ###\nsSliceArray.lSize\t = 4\n"]}))
    block = dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    block.add_new(0x0A, "US", 4)
    return dataset


def _csa(fields: dict[str, list[str]]) -> bytes:
    """Return fields in the layout of the private header, as nibabel reads it."""
    out = b"SV10\4\3\2\1" + struct.pack("<II", len(fields), 77)
    for name, values in fields.items():
        out += struct.pack("<64si4siii", name.encode(), len(values), b"FD\0\0", 3, len(values), 77)
        for value in values:
            text = value.encode() + b"\0"
            out += struct.pack("<4i", len(text), len(text), 77, len(text)) + text + bytes(-len(text) % 4)
    return out


def _segmentation() -> Any:
    dataset = _enhanced()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = _SEG
    dataset.Modality, dataset.SegmentationType = "SEG", "BINARY"
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 1, 1, 0
    dataset.PixelData = bytes(range(24))
    dataset["PixelData"].VR = "OB"
    code = _item(CodeValue="85756007", CodingSchemeDesignator="SCT", CodeMeaning="Tissue")
    segment = _item(SegmentNumber=1, SegmentLabel="tissue", SegmentAlgorithmType="MANUAL")
    segment.SegmentedPropertyCategoryCodeSequence = segment.SegmentedPropertyTypeCodeSequence = [code]
    dataset.SegmentSequence = [segment]
    for item in dataset.PerFrameFunctionalGroupsSequence:
        item.SegmentIdentificationSequence = [_item(ReferencedSegmentNumber=1)]
    return dataset


def _dose() -> Any:
    dataset = _slice(_RT_DOSE, "RTDOSE")
    _set_pixels(dataset, np.arange(3 * 64, dtype=np.uint32).reshape(3, 8, 8))
    dataset.DoseUnits, dataset.DoseType, dataset.DoseGridScaling = "GY", "PHYSICAL", 0.01
    dataset.GridFrameOffsetVector = [0, 3, 6]
    dataset.FrameIncrementPointer = 0x3004000C
    del dataset.RescaleSlope, dataset.RescaleIntercept
    return dataset


def _structures() -> Any:
    dataset = _slice(_RT_STRUCT, "RTSTRUCT")
    del dataset.PixelData, dataset.Rows, dataset.Columns
    contour = _item(ContourGeometricType="CLOSED_PLANAR", NumberOfContourPoints=3, ContourData=[0] * 9)
    dataset.StructureSetROISequence = [_item(ROINumber=1, ROIName="liver")]
    dataset.ROIContourSequence = [_item(ReferencedROINumber=1, ContourSequence=[contour])]
    return dataset


def _frames() -> Any:
    dataset = _slice(_SECONDARY_FRAMES, "US")
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        delattr(dataset, name)
    _set_pixels(dataset, np.arange(3 * 64, dtype=np.uint8).reshape(3, 8, 8))
    return dataset


def _radiograph() -> Any:
    dataset = _slice(_DX, "DX")
    del dataset.PixelSpacing, dataset.ImagePositionPatient, dataset.ImageOrientationPatient
    dataset.ImagerPixelSpacing = [0.2, 0.2]
    dataset.PhotometricInterpretation = "MONOCHROME1"
    return dataset


def _item(**elements: Any) -> Any:
    from pydicom.dataset import Dataset

    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item


def _series_bytes(syntax: str) -> list[bytes]:
    return [_bytes_of(_slice(syntax=syntax, k=k)) for k in range(3)]


def _bytes_of(dataset: Any) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _end_of_meta(content: bytes) -> int:
    """Return where the file meta group ends (PS3.10, 7.1); within the content, whatever a damaged one claims."""
    return min(144 + int(struct.unpack_from("<I", content.ljust(144, b"\0"), 140)[0]), len(content))


def _dicomdir() -> Seed:
    """Return a directory of three slices, and them; its offsets from record to record are left at 0."""
    dataset = _slice("1.2.840.10008.1.3.10", "CT")
    for element in list(dataset):
        del dataset[element.tag]
    dataset.FileSetID, dataset.FileSetConsistencyFlag = "DISC", 0
    slices = [(f"IMAGES/IM{n}", content) for n, content in enumerate(_series_bytes(_EXPLICIT))]
    levels: list[dict[str, Any]] = [
        {"DirectoryRecordType": "PATIENT", "PatientName": f"{IDENTITY}^Anna", "PatientID": f"{IDENTITY}-7"},
        {"DirectoryRecordType": "STUDY", "StudyDate": "20200102", "StudyInstanceUID": f"{_ROOT}.1"},
        {"DirectoryRecordType": "SERIES", "Modality": "CT", "SeriesInstanceUID": f"{_ROOT}.2"},
        *({"DirectoryRecordType": "IMAGE", "ReferencedFileID": name.split("/")} for name, _ in slices),
    ]
    links = {"OffsetOfTheNextDirectoryRecord": 0, "RecordInUseFlag": 0xFFFF}
    links["OffsetOfReferencedLowerLevelDirectoryEntity"] = 0
    dataset.DirectoryRecordSequence = [_item(**links, **level) for level in levels]
    content = _bytes_of(dataset)
    return Seed("dicomdir", "DICOMDIR", content, tuple(slices), tags=_tags_in(content))


def _tags_in(content: bytes) -> tuple[bytes, ...]:
    """Return the tags of all elements, nested ones too, as they stand in the bytes."""
    from pydicom import dcmread

    dataset = dcmread(io.BytesIO(content))
    order = ">" if dataset.file_meta.TransferSyntaxUID == _BIG else "<"
    tags = {element.tag for element in dataset.iterall()}
    meta = {struct.pack("<HH", tag.group, tag.element) for tag in dataset.file_meta.keys()}  # noqa: SIM118
    return tuple(sorted(meta | {struct.pack(f"{order}HH", tag.group, tag.element) for tag in tags}))


def _zipped(members: Iterable[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 2, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _nifti_seeds() -> list[Seed]:
    import nibabel

    small = np.arange(5 * 4 * 3, dtype=np.int16).reshape(5, 4, 3)
    affine = np.array([[2.0, 0, 0, -5], [0, 1.5, 0, 4], [0, 0, 3, 1], [0, 0, 0, 1]])
    one, two = nibabel.Nifti1Image(small, affine), nibabel.Nifti2Image(small.astype(np.float32), affine)
    several = nibabel.Nifti1Image(np.stack([small, small + 1], axis=-1), affine)
    for image in (one, two, several):
        image.header.set_xyzt_units("mm")
        image.set_qform(affine, code=1)
    swapped = nibabel.Nifti1Image(small, affine, one.header.as_byteswapped())
    extended = nibabel.Nifti1Image(small, affine, one.header.copy())
    extended.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"a remark of 32 bytes, or nearly so"))
    scaled = nibabel.Nifti1Image(small, affine, one.header.copy())
    scaled.header.set_slope_inter(0.5, -3)
    images = {"nii": one, "nii2": two, "nii-4d": several, "nii-swapped": swapped, "nii-extended": extended}
    made = [Seed(name, f"{name}.nii", image.to_bytes()) for name, image in images.items()]
    made.append(Seed("nii-scaled", "scaled.nii.gz", scaled.to_bytes(), wrap="gzip"))
    made.append(Seed("nii-gz", "one.nii.gz", one.to_bytes(), wrap="gzip"))
    made.append(Seed("nii2-gz", "two.nii.gz", two.to_bytes(), wrap="gzip"))
    return made
