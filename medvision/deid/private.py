"""Private elements that hold a number which readers need, and nothing else.

A short list of this project's: less than the standard's (PS3.15, table E.3.10-1), and numbers and codes alone.
"""

from __future__ import annotations

_SAFE: dict[tuple[str, int], frozenset[int]] = {
    ("Philips PET Private Group", 0x7053): frozenset({0x00, 0x09}),  # factors to SUV and to Bq/ml
    ("Philips Imaging DD 001", 0x2001): frozenset({0x03, 0x04}),  # b-value, direction of diffusion
    ("Philips MR Imaging DD 001", 0x2005): frozenset({0x0D, 0x0E}),  # intercept and slope to real values
    ("SIEMENS MR HEADER", 0x0019): frozenset({0x0A, 0x0C, 0x0D, 0x0E, 0x27}),  # mosaic, b-value, direction, b-matrix
    ("GEMS_PARM_01", 0x0043): frozenset({0x39}),  # b-value
    ("GEMS_ACQU_01", 0x0019): frozenset({0x23, 0xBB, 0xBC, 0xBD}),  # table speed, direction of diffusion
}


def is_safe(creator: str, tag: int) -> bool:
    """Return whether a private element of a creator is on the list.

    >>> is_safe("SIEMENS MR HEADER", 0x0019100C), is_safe("SIEMENS CSA HEADER", 0x00291010)
    (True, False)
    """
    return tag & 0xFF in _SAFE.get((creator.strip(), tag >> 16), ())
