"""Coded entries: a code is kept when a public coding scheme is known to hold it, with the meaning of the scheme."""

from __future__ import annotations

import functools
from typing import Any

_OLD_SNOMED = ("SRT", "SNM3", "99SDM")  # codes of SNOMED before they became numbers


@functools.lru_cache(maxsize=4096)
def meaning_of(scheme: str, code: str) -> str | None:
    """Return the meaning that the coding scheme gives to a code; None where that is not known.

    The meaning in a file is free text beside the code, and local codes are chosen by a site: neither is believed.

    >>> meaning_of("DCM", "113076"), meaning_of("SRT", "T-D1100"), meaning_of("LOCAL", "FPT1926069")
    ('Segmentation', 'Head', None)
    """
    scheme, code = scheme.strip(), code.strip()
    found = _meanings().get((scheme, code))
    if found is None and scheme in _OLD_SNOMED:
        found = _of_old_snomed(code)
    return found[:64] if found else None


@functools.cache
def _meanings() -> dict[tuple[str, str], str]:
    """Return the codes of PS3.16, as pydicom carries them, by scheme and value."""
    return {(code.scheme_designator, code.value): str(code.meaning) for code in _codes()}


@functools.cache
def _codes() -> tuple[Any, ...]:
    from pydicom.sr.codedict import codes

    found: list[Any] = []
    ambiguous: set[str] = set()  # keywords of several codes in a scheme; in a context group, each has one
    collections = [getattr(codes, name) for name in codes.collections]
    for collection in sorted(collections, key=lambda one: bool(one.is_cid)):
        for keyword in sorted(ambiguous & {*collection.dir()}) if collection.is_cid else collection.dir():
            try:
                found.append(getattr(collection, keyword))
            except RuntimeError:
                ambiguous.add(keyword)
    return tuple(dict.fromkeys(found))


def _of_old_snomed(code: str) -> str | None:
    """Return the meaning of a code by its equal among today's, which pydicom knows."""
    from pydicom.sr.coding import Code

    old = Code(code, "SRT", "")
    return next((str(now.meaning) for now in _codes() if now.scheme_designator == "SCT" and old == now), None)
