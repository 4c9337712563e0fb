"""One DICOM image, de-identified: the story of a file, from refusal or suspicion to the copy."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from medvision.deid import pixels
from medvision.deid.elements import Cleaner
from medvision.deid.identity import drop_echoes, identity_words
from medvision.deid.lettering import Box
from medvision.deid.objects import check_object, suspicions
from medvision.deid.profile import BASIC, PIXELS_CLEANED, DeidOptions, method
from medvision.deid.secret import Secret
from medvision.errors import InputError

_MARGIN = 2  # px around detected lettering: its soft edges
_ROUNDS = 3  # of looking and blanking


@dataclass(frozen=True)
class Deidentified:
    """A de-identified image.

    Parameters
    ----------
    dataset
        A pydicom data set with its file meta information, ready to be written.
    actions
        How often each action met each element, by (action, keyword).
    suspected
        Why lettering was suspected; empty where it was not.
    blanked
        How many boxes were made blank, of those that were not blank before.
    """

    dataset: Any
    actions: Counter[tuple[str, str]]
    suspected: tuple[str, ...]
    blanked: int


def deidentified(
    source: Any, options: DeidOptions, secret: Secret, *, patient: str, pseudonym: str, decode: pixels.Decoder
) -> Deidentified:
    """Return a copy of an image without what identifies; `source`, a pydicom data set, is left as it is.

    Parameters
    ----------
    source
        A data set as ``pydicom.dcmread`` gives it.
    options, secret
        What is kept, and what replacements are derived from.
    patient
        The key of the patient (:func:`medvision.deid.identity.patient_key`), from which the shift of dates follows.
    pseudonym
        What stands for Patient ID and Patient's Name.
    decode
        Gives the frames of `source` where they are compressed: :data:`medvision.deid.pixels.Decoder`.

    Raises
    ------
    InputError
        ``not-deidentifiable``: no image; ``burned-in-suspected``, ``blank-outside``; what
        :mod:`medvision.deid.pixels` raises.
    """
    check_object(source)
    cleaner = Cleaner(options, secret, secret.days(patient), pixels.plane_is_clear)
    target = cleaner.copied(source)
    target.file_meta = _meta(source, target)
    pixels.tidy(target)
    treated = _treat_lettering(source, target, options, decode)
    drop_echoes(target, identity_words(source), cleaner.actions)
    _sign(target, options, pseudonym, treated)
    return Deidentified(target, cleaner.actions, treated.suspected, treated.blanked)


def _meta(source: Any, target: Any) -> Any:
    """Return file meta information made anew: of the source's, only the Transfer Syntax is used."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import PYDICOM_IMPLEMENTATION_UID, UID

    syntax = source.file_meta.get("TransferSyntaxUID") if hasattr(source, "file_meta") else None
    if not syntax or not UID(syntax).is_transfer_syntax:
        raise InputError("bad-header", "it states no Transfer Syntax UID (0002,0010) that is known")
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = target.SOPClassUID
    meta.MediaStorageSOPInstanceUID = target.SOPInstanceUID
    meta.TransferSyntaxUID = UID(syntax)
    meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
    meta.ImplementationVersionName = "MEDVISION_DEID"
    return meta


@dataclass(frozen=True)
class _Treated:
    """What came of the lettering: why it was suspected, the boxes that changed pixels, whether all of it is gone."""

    suspected: tuple[str, ...]
    blanked: int = 0
    is_gone: bool = False


def _treat_lettering(source: Any, target: Any, options: DeidOptions, decode: pixels.Decoder) -> _Treated:
    """Blank what is to be blanked, and refuse what stays suspect.

    That the text is gone is claimed only where the pixels were looked at, and show none any more. Where the header says
    that there is text, it must also have been seen before: what was never seen cannot be seen to be gone.
    """
    suspected = suspicions(source)
    is_stated = any(reason.startswith("stated") for reason in suspected)
    if options.accept_burned_in:
        return _Treated(suspected, pixels.blanked(target, options.blank, decode) if options.blank else 0)
    was_seen = bool(options.blank) and is_stated and bool(pixels.lettering(target, decode))
    blanked = pixels.blanked(target, options.blank, decode) if options.blank else 0
    found = pixels.lettering(target, decode)
    if options.blank_detected:
        for _ in range(_ROUNDS):
            if not found:
                break
            was_seen = True
            blanked += pixels.blanked(target, [box.grown(_MARGIN) for box in found], decode)
            found = pixels.lettering(target, decode)
    if found:
        raise InputError("burned-in-suspected", _where(found))
    is_answered = blanked > 0 if is_stated else bool(options.blank) or options.blank_detected
    if suspected and not is_answered:
        raise InputError("burned-in-suspected", suspected[0].partition(": ")[2])
    return _Treated(suspected, blanked, is_gone=blanked > 0 and (was_seen or not is_stated))


def _where(found: tuple[Box, ...]) -> str:
    boxes = "; ".join(f"{box.x},{box.y},{box.width},{box.height}" for box in found[:4])
    return f"there seems to be text in the pixels, at x,y,width,height {boxes}{' ...' if len(found) > 4 else ''}"


def _sign(target: Any, options: DeidOptions, pseudonym: str, treated: _Treated) -> None:
    """State who stands there instead, and what was done (PS3.3, C.7.1.1 and C.12.1; PS3.15, E.1.1)."""
    from pydicom import Dataset

    codes = options.codes()
    if treated.blanked:
        codes.insert(1, PIXELS_CLEANED)
    if treated.is_gone:
        target.BurnedInAnnotation = "NO"
    target.SpecificCharacterSet = "ISO_IR 192"
    target.PatientName = target.PatientID = pseudonym
    target.PatientIdentityRemoved = "YES"
    target.DeidentificationMethod = [f"medvision {version('medvision-toolkit')}", BASIC[1], method()]
    target.DeidentificationMethodCodeSequence = []
    for code, meaning in codes:
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, "DCM", meaning
        target.DeidentificationMethodCodeSequence.append(item)
    dates = {"retain-dates-full": "UNMODIFIED", "retain-dates-modified": "MODIFIED"}
    kept = next((word for name, word in dates.items() if name in options.profile), "REMOVED")
    target.LongitudinalTemporalInformationModified = kept
