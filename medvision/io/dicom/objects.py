"""What kinds of DICOM objects there are, and which of them are read (PS3.4, B.5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Form = Literal["slices", "projection", "frames", "dose"]
"""How an object's pixels lie: slices in space, a radiograph, frames without a place in the patient, a dose grid."""

DICOMDIR = "1.2.840.10008.1.3.10"
_STORAGE = "1.2.840.10008.5.1.4.1.1."
SEGMENTATIONS = (_STORAGE + "66.4", _STORAGE + "66.7")
"""Segmentation Storage and Label Map Segmentation Storage."""


@dataclass(frozen=True)
class Kind:
    """A kind of image that is read.

    Parameters
    ----------
    name
        In words.
    form
        How its pixels lie.
    modalities
        What its Modality can be; empty for any.
    """

    name: str
    form: Form
    modalities: tuple[str, ...] = ()


IMAGES = {
    _STORAGE + uid: kind
    for uid, kind in {
        "2": Kind("CT image", "slices", ("CT",)),
        "2.1": Kind("enhanced CT", "slices", ("CT",)),
        "2.2": Kind("legacy converted enhanced CT", "slices", ("CT",)),
        "4": Kind("MR image", "slices", ("MR",)),
        "4.1": Kind("enhanced MR", "slices", ("MR",)),
        "4.3": Kind("enhanced MR in colour", "slices", ("MR",)),
        "4.4": Kind("legacy converted enhanced MR", "slices", ("MR",)),
        "128": Kind("PET image", "slices", ("PT",)),
        "128.1": Kind("legacy converted enhanced PET", "slices", ("PT",)),
        "130": Kind("enhanced PET", "slices", ("PT",)),
        "30": Kind("parametric map", "slices"),
        "13.1.1": Kind("3D X-ray angiography", "slices", ("XA",)),
        "13.1.2": Kind("3D X-ray craniofacial image", "slices"),
        "13.1.3": Kind("breast tomosynthesis", "slices", ("MG",)),
        "481.2": Kind("radiotherapy dose", "dose", ("RTDOSE",)),
        "1": Kind("computed radiograph", "projection", ("CR",)),
        "1.1": Kind("digital radiograph", "projection", ("DX",)),
        "1.1.1": Kind("digital radiograph, raw", "projection", ("DX",)),
        "1.2": Kind("mammogram", "projection", ("MG",)),
        "1.2.1": Kind("mammogram, raw", "projection", ("MG",)),
        "1.3": Kind("intra-oral radiograph", "projection", ("IO",)),
        "1.3.1": Kind("intra-oral radiograph, raw", "projection", ("IO",)),
        "3": Kind("ultrasound frames (retired)", "frames"),
        "3.1": Kind("ultrasound frames", "frames"),
        "5": Kind("nuclear medicine image (retired)", "frames"),
        "6": Kind("ultrasound image (retired)", "frames"),
        "6.1": Kind("ultrasound image", "frames"),
        "7": Kind("secondary capture", "frames"),
        "7.1": Kind("secondary capture, 1 bit", "frames"),
        "7.2": Kind("secondary capture, 8 bit", "frames"),
        "7.3": Kind("secondary capture, 16 bit", "frames"),
        "7.4": Kind("secondary capture in colour", "frames"),
        "12.1": Kind("X-ray angiography", "frames"),
        "12.1.1": Kind("enhanced X-ray angiography", "frames"),
        "12.2": Kind("X-ray fluoroscopy", "frames"),
        "12.2.1": Kind("enhanced X-ray fluoroscopy", "frames"),
        "12.3": Kind("X-ray angiography, biplane (retired)", "frames"),
        "20": Kind("nuclear medicine image", "frames"),
        "77.1.1": Kind("endoscopic picture", "frames"),
        "77.1.2": Kind("microscopic picture", "frames"),
        "77.1.4": Kind("photograph", "frames"),
        "77.1.5.1": Kind("ophthalmic photograph, 8 bit", "frames"),
        "77.1.5.2": Kind("ophthalmic photograph, 16 bit", "frames"),
        "481.1": Kind("radiotherapy image", "frames"),
    }.items()
}
"""Every SOP class whose pixels are read."""

NOT_READ = {
    _STORAGE + uid: name
    for uid, name in {
        "6.2": "enhanced ultrasound volume",
        "6.3": "photoacoustic image",
        "13.1.4": "breast projection",
        "13.1.5": "breast projection, raw",
        "14.1": "intravascular optical coherence tomography",
        "14.2": "intravascular optical coherence tomography, raw",
        "77.1.1.1": "endoscopic video",
        "77.1.2.1": "microscopic video",
        "77.1.3": "microscopic picture of a slide",
        "77.1.4.1": "video",
        "77.1.5.4": "ophthalmic tomography",
        "77.1.5.5": "wide field ophthalmic photograph, stereographic",
        "77.1.5.6": "wide field ophthalmic photograph, 3D coordinates",
        "77.1.5.7": "ophthalmic optical coherence tomography, en face",
        "77.1.5.8": "ophthalmic optical coherence tomography, volume analysis",
        "77.1.6": "whole slide image",
        "77.1.7": "dermoscopic photograph",
        "77.1.8": "confocal microscopy",
        "77.1.9": "confocal microscopy, tiled pyramid",
        "81.1": "ophthalmic thickness map",
        "82.1": "corneal topography map",
        "481.23": "enhanced radiotherapy image",
        "481.24": "enhanced continuous radiotherapy image",
    }.items()
}
"""Every SOP class of images that are known and refused: where their pixels lie, or what they mean, is not read."""

_OTHERS = {  # beginnings of SOP class UIDs below _STORAGE; the longest that fits names the object
    "4.2": "MR spectroscopy",
    "9.": "waveform",
    "11.": "presentation state",
    "66": "raw data",
    "66.1": "spatial registration",
    "66.2": "spatial fiducials",
    "66.3": "deformable registration",
    "66.4": "segmentation",
    "66.5": "surface segmentation",
    "66.6": "tractography",
    "66.7": "label map segmentation",
    "67": "real world value map",
    "68.": "surface",
    "77.1.5.3": "stereometric relationship",
    "78.": "eye measurement",
    "79": "eye measurement",
    "80": "eye report",
    "88.": "structured report",
    "88.59": "key object selection",
    "91.1": "microscopy annotations",
    "104.": "document (PDF, CDA, ...)",
    "481.": "radiotherapy object",
    "481.3": "radiotherapy structure set",
    "481.5": "radiotherapy plan",
    "481.8": "radiotherapy ion plan",
}


def image_kind(sop_class: str) -> Kind | None:
    """Return the kind of image that a SOP class is; None where it is not read."""
    return IMAGES.get(sop_class)


def other_object(sop_class: str) -> str | None:
    """Return in words what an object without an image to analyse is; None for an image, known or not.

    >>> other_object("1.2.840.10008.5.1.4.1.1.66.4"), other_object("1.2.840.10008.5.1.4.1.1.2")
    ('segmentation', None)
    """
    if sop_class == DICOMDIR:
        return "directory of files (DICOMDIR)"
    inner = sop_class.removeprefix(_STORAGE)
    if sop_class in IMAGES or sop_class in NOT_READ or inner == sop_class:
        return None
    fitting = [start for start in _OTHERS if inner.startswith(start)]
    return _OTHERS[max(fitting, key=len)] if fitting else None


def name_of(sop_class: str) -> str:
    """Return what an object is in words, by its SOP class."""
    kind = image_kind(sop_class)
    if kind is not None:
        return kind.name
    return NOT_READ.get(sop_class) or other_object(sop_class) or "object of an unknown SOP class"
