"""The private CSA headers of Siemens MR: fields, and the slices that the protocol asked for.

They are documented by no standard. The layout is the one that public readers agree on (NiBabel, "Siemens CSA header";
SPM): a table of named fields, each a list of texts. Every length is checked against what is there, and reading goes
forward only, so that no damage costs more time or memory than the header has bytes.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from medvision.errors import InputError
from medvision.geometry import FloatArray
from medvision.io.located import decoding

Csa = Mapping[str, tuple[str, ...]]

_MAGIC = b"SV10"
_MAX_FIELDS = 1000
_MAX_SLICES = 1024
_ELEMENTS = {"image": 0x10, "series": 0x20}  # (0029,xx10) and (0029,xx20)
_PROTOCOLS = ("MrPhoenixProtocol", "MrProtocol")
_POSITION = re.compile(
    r"^[ \t]*sSliceArray\.asSlice\[(\d{1,4})\]\.(?:dThickness|sPosition\.d(Sag|Cor|Tra))[ \t]*=[ \t]*(\S{1,40})[ \t]*$",
    re.MULTILINE,
)
_AXES = {"Sag": 0, "Cor": 1, "Tra": 2}  # to the patient's left, back and head


def csa_header(dataset: Any, kind: Literal["image", "series"]) -> Csa | None:
    """Return the CSA Image Header Info (0029,1010) or CSA Series Header Info (0029,1020) of a data set.

    Returns
    -------
    The fields as of :func:`read_csa`; None where the data set has no such element under the private creator
    ``SIEMENS CSA HEADER``.

    Raises
    ------
    InputError
        ``bad-header``: it is damaged.
    """
    raw = private_value(dataset, 0x29, "SIEMENS CSA HEADER", _ELEMENTS[kind])
    if raw is None or raw == b"":
        return None
    if not isinstance(raw, bytes):
        raise InputError("bad-header", f"the CSA {kind} header is no sequence of bytes")
    return read_csa(raw)


def private_value(dataset: Any, group: int, creator: str, element: int) -> Any:
    """Return the value of a private element by its creator (PS3.5, 7.8.1); None where it is missing."""
    with decoding("a private element"):
        try:
            return dataset.private_block(group, creator)[element].value
        except KeyError:
            return None


def read_csa(raw: bytes) -> dict[str, tuple[str, ...]]:
    """Return the fields of a CSA header: each name with its values, those of no length left out.

    Parameters
    ----------
    raw
        The element's bytes, with or without the mark ``SV10`` (the older kind counts lengths differently).

    Raises
    ------
    InputError
        ``bad-header``: it is no such header, or a length leads beyond its end.
    """
    with decoding("the CSA header"):
        is_marked = raw[:4] == _MAGIC
        at = 8 if is_marked else 0
        count, _ = struct.unpack_from("<2I", raw, at)
        if not 0 < count <= _MAX_FIELDS:
            raise InputError("bad-header", f"a CSA header has 1 to {_MAX_FIELDS} fields, this one claims {count}")
        at += 8
        fields: dict[str, tuple[str, ...]] = {}
        excess = None if is_marked else 0
        for number in range(count):
            name, items = struct.unpack_from("<64s12xi", raw, at)
            if excess is not None and number == 0:
                excess = items  # the older kind adds the first field's number of items to every length
            values, at = _values(raw, at + 84, items, excess)
            fields[_text(name)] = values
    return fields


def _values(raw: bytes, at: int, items: int, excess: int | None) -> tuple[tuple[str, ...], int]:
    """Return a field's values, and where the next field begins."""
    values = []
    for _ in range(items):
        lengths = struct.unpack_from("<4i", raw, at)
        at += 16
        length = lengths[1] if excess is None else lengths[0] - excess
        if length < 0 or at + length > len(raw):
            raise InputError("bad-header", "a value of the CSA header leads beyond its end")
        if length:
            values.append(_text(raw[at : at + length]))
        at += -(-length // 4) * 4
    return tuple(value for value in values if value), at


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("latin-1").strip()


def protocol_centres(series: Csa) -> FloatArray | None:
    """Return (n, 3) the centres of the slices that the protocol asked for: LPS, mm, in the protocol's order.

    They stand in the protocol's text in the CSA Series Header (``sSliceArray.asSlice[n].sPosition``), where a missing
    component is 0. None where the text holds none.

    Raises
    ------
    InputError
        ``bad-header``: a position is no number, or slices are left out in between.
    """
    text = next((series[name][0] for name in _PROTOCOLS if series.get(name)), "")
    found: dict[int, FloatArray] = {}
    with decoding("the protocol in the CSA header"):
        for index, axis, number in _POSITION.findall(text):
            centre = found.setdefault(int(index), np.zeros(3))
            if axis:
                centre[_AXES[axis]] = float(number)
    if not found:
        return None
    centres = np.array([found[index] for index in sorted(found)])
    if sorted(found) != list(range(len(found))) or len(found) > _MAX_SLICES or not np.isfinite(centres).all():
        raise InputError("bad-header", "the protocol in the CSA header lists impossible slices")
    return centres


def b_value(dataset: Any) -> float | None:
    """Return the b-value (s/mm²) that Siemens states in private elements; None where there is none.

    It stands in (0019,100C), or in the field ``B_value`` of the CSA Image Header. It tells volumes at one place from
    each other and nothing else depends on it: what is no number of at least 0 tells nothing.

    Raises
    ------
    InputError
        ``bad-header``: the CSA header is damaged.
    """
    stated = private_value(dataset, 0x19, "SIEMENS MR HEADER", 0x0C)
    if stated is None or stated == "":
        values = (csa_header(dataset, "image") or {}).get("B_value")
        stated = values[0] if values else None
    if stated is None:
        return None
    try:
        number = float(stated)
    except (TypeError, ValueError):
        return None
    return number if 0 <= number < np.inf else None
