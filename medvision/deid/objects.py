"""Which DICOM objects can be de-identified here: those whose pixels can be looked at."""

from __future__ import annotations

from typing import Any

from medvision.errors import InputError

DIRECTORY = "1.2.840.10008.1.3.10"
_STORAGE = "1.2.840.10008.5.1.4.1.1."
_IMAGES = {
    "1",  # computed radiography
    "1.1",  # digital X-ray, for presentation
    "1.1.1",  # for processing
    "1.2",  # mammography, for presentation
    "1.2.1",  # for processing
    "1.3",  # intra-oral X-ray, for presentation
    "1.3.1",  # for processing
    "2",  # CT
    "2.1",  # enhanced CT
    "2.2",  # enhanced CT, converted
    "4",  # MR
    "4.1",  # enhanced MR
    "4.3",  # enhanced MR in colour
    "4.4",  # enhanced MR, converted
    "5",  # nuclear medicine, retired
    "13.1.3",  # breast tomosynthesis
    "13.1.4",  # breast projection, for presentation
    "13.1.5",  # for processing
    "20",  # nuclear medicine
    "30",  # parametric map
    "128",  # PET
    "128.1",  # enhanced PET, converted
    "130",  # enhanced PET
    "481.2",  # RT dose
}
_OFTEN_LETTERED = {
    "3",  # ultrasound, multi-frame, retired
    "3.1",  # ultrasound, multi-frame
    "6",  # ultrasound, retired
    "6.1",  # ultrasound
    "6.2",  # enhanced ultrasound volume
    "7",  # secondary capture
    "7.1",  # of one bit
    "7.2",  # of grey bytes
    "7.3",  # of grey words
    "7.4",  # in colour
    "12.1",  # angiography
    "12.1.1",  # enhanced angiography
    "12.2",  # fluoroscopy
    "12.2.1",  # enhanced fluoroscopy
    "12.3",  # biplane angiography, retired
    "13.1.1",  # 3D angiography
    "13.1.2",  # 3D craniofacial
    "77.1.1",  # endoscopy
    "77.1.2",  # microscopy
    "77.1.4",  # photography
    "77.1.5.1",  # ophthalmic photography, 8 bit
    "77.1.5.2",  # ophthalmic photography, 16 bit
    "77.1.5.4",  # ophthalmic tomography
    "481.1",  # RT image
}
_LETTERED_MODALITIES = {"US", "IVUS", "XA", "RF", "ES", "GM", "XC", "OP", "OT", "SC", "DG", "DOC", "HC"}


def check_object(dataset: Any) -> None:
    """Refuse what is of another kind, or holds no pixels of whole numbers.

    Raises
    ------
    InputError
        ``not-deidentifiable``: a document, a plan, a video, raw data, ...; ``bad-header``; ``no-image``.
    """
    sop_class = str(dataset.get("SOPClassUID") or "")
    if not sop_class:
        raise InputError("bad-header", "it states no SOP Class UID (0008,0016)")
    if sop_class.removeprefix(_STORAGE) not in _IMAGES | _OFTEN_LETTERED:
        from pydicom.uid import UID_dictionary

        known = UID_dictionary.get(sop_class)
        kind = known[0] if known else "an unknown object"
        raise InputError("not-deidentifiable", f"objects of its kind are not de-identified here: {kind}")
    if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
        raise InputError("not-deidentifiable", "pixels that are floating-point numbers are not looked through here")
    if "PixelData" not in dataset:
        raise InputError("no-image", "the object holds no pixel data")
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        if not dataset.get(keyword):
            raise InputError("bad-header", f"it states no {keyword}")


def suspicions(dataset: Any) -> tuple[str, ...]:
    """Return why the header makes one suspect that text is burned into the pixels; the first word is the kind of rule.

    ``"stated: ..."``: Burned In Annotation (0028,0301) says so. ``"kind: ..."``: it does not say no, and images of
    this kind often carry text.
    """
    stated = str(dataset.get("BurnedInAnnotation") or "").strip().upper()
    if stated == "YES":
        return ("stated: Burned In Annotation is YES",)
    if stated == "NO":
        return ()
    found = []
    if str(dataset.SOPClassUID).removeprefix(_STORAGE) in _OFTEN_LETTERED:
        found.append("kind: its SOP class")
    if str(dataset.get("Modality") or "").strip().upper() in _LETTERED_MODALITIES:
        found.append("kind: its modality")
    if dataset.get("ConversionType"):
        found.append("kind: it was captured or converted (Conversion Type)")
    if any("SCREEN" in value.upper() for value in _values(dataset.get("ImageType"))):
        found.append("kind: a picture of a screen (Image Type)")
    return tuple(found)


def _values(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(str(part) for part in value)
