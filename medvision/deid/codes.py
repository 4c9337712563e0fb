"""Coded entries: a code is kept when a public coding scheme is known to hold it, with the meaning of the scheme."""

from __future__ import annotations

import functools


def meaning_of(scheme: str, code: str) -> str | None:
    """Return the meaning that the coding scheme gives to a code; None where that is not known.

    The meaning in a file is free text beside the code, and local codes are chosen by a site: neither is believed.

    >>> meaning_of("DCM", "113076"), meaning_of("LOCAL", "FPT1926069")
    ('Segmentation', None)
    """
    found = _meanings().get((scheme.strip(), code.strip()))
    return found[:64] if found else None


@functools.cache
def _meanings() -> dict[tuple[str, str], str]:
    # The tables of PS3.16 as pydicom carries them; its modules of data have no public name.
    from pydicom.sr._concepts_dict import concepts
    from pydicom.sr._snomed_dict import mapping

    found = {
        (scheme, code): str(meaning)
        for scheme, names in concepts.items()
        for codes in names.values()
        for code, (meaning, _) in codes.items()
    }
    for old, new in mapping["SRT"].items():  # codes of SNOMED before they became numbers
        if ("SCT", new) in found:
            for scheme in ("SRT", "SNM3", "99SDM"):
                found[scheme, old] = found["SCT", new]
    return found
