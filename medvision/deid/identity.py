"""Who a data set is about: the key of its patient, and the words by which persons in it could be found again."""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Iterator
from typing import Any

from medvision.deid.values import is_term

_IDS = ("PatientID", "OtherPatientIDs", "AccessionNumber", "AdmissionID", "PatientTelephoneNumbers")
_NOBODY = {"anonymous", "anonymised", "anonymized", "unknown", "none", "patient", "test", "name", "removed"}
_TEXTS = ("LO", "SH", "ST", "LT", "UT", "UC", "CS", "AE")
_CODED = frozenset((0x00080100, 0x00080102, 0x00080103, 0x00080104))  # chosen from public schemes
_DAMAGE = (ValueError, TypeError, AttributeError, LookupError, NotImplementedError, OverflowError, struct.error)
_SUBSTRING = 6  # a word of this length is also found within other words


def decoded(dataset: Any, tag: Any) -> Any:
    """Return an element, which is decoded at this moment; None where it is missing or cannot be."""
    from pydicom.errors import BytesLengthException

    try:
        return dataset[tag]
    except (*_DAMAGE, BytesLengthException):
        return None


def patient_key(dataset: Any) -> str:
    """Return what tells one patient from another: the ID and who gave it, else name and birth date, else the study.

    The issuer (0010,0021) is part of the key: hospitals count from 1, and each has a patient of that ID.
    """
    patient, issuer = patient_id(dataset)
    if patient:
        return f"{patient}\0issuer {issuer}" if issuer else patient
    name, birth = _text(dataset, "PatientName"), _text(dataset, "PatientBirthDate")
    return f"{name}\0{birth}" if name else f"\0study {_text(dataset, 'StudyInstanceUID')}"


def patient_id(dataset: Any) -> tuple[str, str]:
    """Return Patient ID (0010,0020) and its issuer (0010,0021); each is empty where it is not stated."""
    return _text(dataset, "PatientID"), _text(dataset, "IssuerOfPatientID")


def birth_date(dataset: Any) -> str:
    """Return the digits of Patient's Birth Date (0010,0030); empty where it is not stated."""
    return re.sub(r"\D", "", _text(dataset, "PatientBirthDate"))


def identity_words(dataset: Any) -> frozenset[str]:
    """Return the words of all persons' names and of the patient's numbers, at any depth, in small letters."""
    found: set[str] = set()
    for element in _elements(dataset):
        if element.VR == "PN" or element.keyword in _IDS:
            found.update(_words(str(element.value)))
    return frozenset(word for word in found if _identifies(word))


def drop_echoes(dataset: Any, words: frozenset[str], actions: Counter[tuple[str, str]]) -> None:
    """Remove from a de-identified data set the texts in which one of the words is left, wherever it came from."""
    for element in list(dataset):
        if element.VR == "SQ":
            for item in element.value:
                drop_echoes(item, words, actions)
        elif element.tag not in _CODED and _echoes(element.VR, str(element.value), words):
            actions["named a person", element.keyword or "private"] += 1
            del dataset[element.tag]


def _text(dataset: Any, keyword: str) -> str:
    element = decoded(dataset, keyword)
    return "" if element is None or element.is_empty else str(element.value).strip()


def _elements(dataset: Any) -> Iterator[Any]:
    """Give every element that can be decoded, at any depth."""
    for tag in list(dataset.keys()):
        element = decoded(dataset, tag)
        if element is not None:
            yield element
        for item in element.value if element is not None and element.VR == "SQ" else ():
            yield from _elements(item)


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[\W_]+", text.casefold()) if word]


def _identifies(word: str) -> bool:
    if word in _NOBODY or is_term(word):
        return False
    return len(word) >= (5 if word.isdigit() else 3)


def _echoes(vr: str, text: str, words: frozenset[str]) -> bool:
    if vr in ("IS", "DS"):
        return len(text) >= _SUBSTRING and text in words
    if vr not in _TEXTS:
        return False
    there = _words(text)
    return any(word in there or (len(word) >= _SUBSTRING and word in text.casefold()) for word in words)
