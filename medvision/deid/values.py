"""Single values: whether they are what their VR allows, and what is left of free text once it is cleaned."""

from __future__ import annotations

import datetime
import functools
import re
from importlib import resources

_FORMATS = {  # PS3.5, 6.2; a text in a field for numbers, dates or codes is not one of them
    "AS": r"\d{3}[DWMY]",
    "CS": r"[A-Z0-9_ ]{0,16}",
    "DA": r"\d{8}",
    "DS": r" *[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)? *",
    "DT": r"\d{4}(\d\d(\d\d(\d\d(\d\d(\d\d(\.\d{1,6})?)?)?)?)?)?([+-]\d{4})?",
    "IS": r" *[+-]?\d{1,11} *",
    "TM": r"\d\d(\d\d(\d\d(\.\d{1,6})?)?)?",
    "UI": r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+",
    # what is kept of text is printable and has no run of digits that could be a number of a person or a date
    "text": r"[\x20-\x7e]{0,64}",
}
_LONG_NUMBER = re.compile(r"\d{5,}|\d{4}[-/.]\d\d?[-/.]\d\d?|\d\d?[-/.]\d\d?[-/.]\d{2,4}")
_WORD = re.compile(r"[A-Za-z]+|\d+(?:\.\d+)?|[+*/x-]")
_SMALL_NUMBER = re.compile(r"\d{1,3}(\.\d{1,2})?")


def is_proper(vr: str, value: str) -> bool:
    """Return whether one value has the format of its VR; of a text, whether it can be a technical term.

    >>> is_proper("DS", "-1.5e3"), is_proper("DS", "Jane Doe"), is_proper("SH", "B30f"), is_proper("SH", "MRN 1234567")
    (True, False, True, False)
    """
    if vr == "UI" and len(value) > 64:
        return False
    if not re.fullmatch(_FORMATS.get(vr, _FORMATS["text"]), value):
        return False
    return vr not in ("CS", "LO", "SH", "ST", "LT", "UT", "UC") or not _LONG_NUMBER.search(value)


def shifted(vr: str, value: str, days: int) -> str | None:
    """Return a DA or DT that is `days` later; a TM is itself. None where there is no day in it or it is none.

    >>> shifted("DA", "20240301", -1), shifted("DT", "20240301120000.5+0100", -1), shifted("DA", "March", -1)
    ('20240229', '20240229120000.5+0100', None)
    """
    if not is_proper(vr, value):
        return None
    if vr == "TM":
        return value
    try:
        day = datetime.date(int(value[:4]), int(value[4:6]), int(value[6:8])) + datetime.timedelta(days)
    except (ValueError, OverflowError):
        return None
    return f"{day:%Y%m%d}".rjust(8, "0") + value[8:]


def cleaned_words(text: str) -> str:
    """Return the words of a text that are known terms of imaging, in their order; names and numbers fall out.

    >>> cleaned_words("XR CHEST AP PORTABLE for Scott Kaufman 0123456 5 mm")
    'XR CHEST AP PORTABLE for 5 mm'
    """
    kept = []
    for word in _WORD.findall(text.replace("_", " ")):
        if is_term(word.lower()) or _SMALL_NUMBER.fullmatch(word):
            kept.append(word)
    words = " ".join(kept)
    return words[:64].strip() if any(word.isalpha() for word in kept) else ""


def is_term(word: str) -> bool:
    """Return whether a word, in small letters, is a known term of imaging."""
    return word in _vocabulary()


@functools.cache
def _vocabulary() -> frozenset[str]:
    text = resources.files("medvision.deid").joinpath("vocabulary.txt").read_text(encoding="utf-8")
    return frozenset(word for line in text.splitlines() if not line.startswith("#") for word in line.split())
