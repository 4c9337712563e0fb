"""From one data set to its de-identified copy, element by element: what is not allowed is not copied.

The copy starts empty. An element gets into it because the standard's table says so, or because the table does not list
it and it is a number, a code or one of a few technical terms in a public, current element of its own VR. All else is
left out: private and unknown elements, retired ones, free text, persons, dates, binary data that is not pixels.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from medvision.deid.codes import meaning_of
from medvision.deid.identity import decoded
from medvision.deid.private import is_safe
from medvision.deid.profile import DeidOptions
from medvision.deid.secret import Secret
from medvision.deid.unlisted import BINARY, DESCRIPTIONS, TERMS
from medvision.deid.values import cleaned_words, is_proper, shifted

_TEXTS = ("LO", "SH", "ST", "LT", "UT", "UC")
_NUMBERS = ("US", "SS", "UL", "SL", "UV", "SV", "FL", "FD", "AT")
_STRINGS = ("CS", "DS", "IS", "AS")
_DUMMIES = {"DA": "19000101", "TM": "000000", "DT": "19000101000000", "PN": "REMOVED", "DS": "0", "IS": "0"}
_CODE = (0x00080100, 0x00080102, 0x00080103, 0x00080104)  # value, scheme, version, meaning
_PLANE = 0x3000  # (60xx,3000), Overlay Data
_OWN_GROUPS = (0x0010, 0x0012, 0x0032, 0x0038)  # patient, trial, request, visit: only what the table allows
_NOT_COPIED = frozenset((0x00080005, 0x00100010, 0x00100020, 0x00120062, 0x00120063, 0x00120064, 0x00280303))


@dataclass
class Cleaner:
    """Makes de-identified copies of data sets of one patient, and counts what it does.

    Parameters
    ----------
    options, secret
        What is kept, and what replacements are derived from.
    days
        By how much dates are moved, where the option says to keep them so.
    is_clear
        Whether an overlay plane (rows, columns) holds no lettering.
    actions
        How often each action met each element, by (action, keyword); never a value.
    """

    options: DeidOptions
    secret: Secret
    days: int
    is_clear: Callable[[Any, int], bool]
    actions: Counter[tuple[str, str]] = field(default_factory=Counter)

    def copied(self, source: Any, but: Collection[int] = ()) -> Any:
        """Return the allowed part of a data set, treated; without the tags `but`, which the caller treats."""
        from pydicom import Dataset

        target = Dataset()
        creators: set[int] = set()
        for tag in sorted(source.keys() - set(but)):
            if tag.is_private:
                self._copy_private(source, target, tag, creators)
                continue
            element = self._read(source, tag)
            kept = self._overlay(element, source) if tag.group >> 8 == 0x60 else self._treated(element)
            if kept is not None:
                target.add(_copy(kept))
        return target

    def _read(self, source: Any, tag: Any) -> Any:
        """Return an element of the standard whose VR is the dictionary's; None for all others."""
        from pydicom.datadict import dictionary_is_retired, dictionary_VR

        if tag in _NOT_COPIED or tag.group in (0, 2, 4) or tag.element == 0:
            return None
        try:
            vr = dictionary_VR(tag)
        except KeyError:
            return self._dropped("unknown", None, tag)
        element = decoded(source, tag)
        if element is None:
            return self._dropped("unreadable", None, tag)
        if dictionary_is_retired(tag) and self.options.treatment(tag) is None and tag.group >> 8 != 0x60:
            return self._dropped("retired", element, tag)
        if element.VR not in (vr, *vr.split(" or ")):  # of an implicit VR, "US or SS" is decided when it is written
            return self._dropped("other VR", element, tag)
        return element

    def _treated(self, element: Any) -> Any:
        if element is None:
            return None
        codes = self.options.treatment(element.tag)
        if codes is None:
            return self._unlisted(element)
        if codes != "X" and element.is_empty:
            return element
        if codes == "K":
            return self._retained(element)
        if codes == "C":
            return self._cleaned(element)
        if "U" in codes:
            return self._inner(element) if element.VR == "SQ" else self._mapped(element)
        if codes == "X" or element.VR == "SQ":
            return self._dropped("removed", element)
        if "Z" in codes and (codes != "X/Z/D" or element.VR in ("DA", "TM", "DT")):
            return self._counted("emptied", element, None if element.VR in _NUMBERS else "")
        return self._dummy(element, must="X" not in codes)

    def _dummy(self, element: Any, *, must: bool) -> Any:
        """Give a value that says nothing, where one has to be there; X/D of a date or number is removed instead."""
        if element.VR in _TEXTS:
            return self._counted("replaced", element, "REMOVED")
        if must and element.VR in _DUMMIES:
            return self._counted("replaced", element, _DUMMIES[element.VR])
        if element.VR == "UI":
            return self._mapped(element)
        return self._dropped("removed", element)

    def _unlisted(self, element: Any) -> Any:
        """Treat an element that the table does not list: its VR and the lists above decide."""
        vr, keyword = element.VR, element.keyword
        if element.tag.group in _OWN_GROUPS or (vr in ("DA", "TM", "DT") and not self._keeps_dates()):
            return self._dropped("not listed", element)
        if vr == "SQ":
            return self._inner(element)
        if vr == "UI":
            return self._mapped(element)
        if vr in ("DA", "TM", "DT"):
            return self._cleaned(element)
        if vr.split(" or ")[0] in _NUMBERS:
            return element if _are_plausible(element) else self._dropped("not proper", element)
        if keyword in BINARY:
            return element
        if vr in _STRINGS or keyword in TERMS:
            return self._proper(element)
        if keyword in DESCRIPTIONS:
            return self._words(element)
        return self._dropped("not listed", element)

    def _keeps_dates(self) -> bool:
        return bool({"retain-dates-full", "retain-dates-modified"} & self.options.profile)

    def _retained(self, element: Any) -> Any:
        """Keep what an option retains: as it is, if it is of its VR at all."""
        if element.VR == "SQ":
            return self._inner(element)
        if element.VR in ("UI", "DA", "TM", "DT", *_STRINGS):
            return self._proper(element, "retained")
        if element.VR in ("PN", "AE", *_TEXTS, *_NUMBERS):
            return self._counted("retained", element, element.value)
        return self._dropped("removed", element)

    def _cleaned(self, element: Any) -> Any:
        """Clean what an option says to clean: dates are moved, texts lose what is no term of imaging."""
        if element.VR == "SQ":
            return self._inner(element)
        if element.VR in ("DA", "TM", "DT"):
            full = "retain-dates-full" in self.options.profile
            moved = [shifted(element.VR, str(v).strip(), 0 if full else self.days) for v in _values(element)]
            if any(value is None for value in moved):
                return self._dropped("removed", element)
            return self._counted("retained" if full else "shifted", element, moved or "")
        if element.VR in (*_TEXTS, "CS"):
            return self._words(element)
        return self._dropped("removed", element)

    def _words(self, element: Any) -> Any:
        words = [cleaned_words(str(value)) for value in _values(element)]
        if element.VR == "CS":
            words = [word.upper()[:16].strip() if is_proper("CS", word.upper()[:16]) else "" for word in words]
        return self._counted("cleaned", element, [*words] if any(words) else "")

    def _proper(self, element: Any, action: str = "") -> Any:
        """Keep the values that are of their VR; others become empty, and an element without any is dropped."""
        values = [str(value) for value in _values(element)]
        kept = [value if not value or is_proper(element.VR, value) else "" for value in values]
        if kept == values:
            return self._counted(action, element, element.value) if action else element
        if not any(kept) or element.VR not in ("CS", *_TEXTS):
            return self._dropped("not proper", element)
        return self._counted("not proper", element, kept)

    def _mapped(self, element: Any) -> Any:
        """Replace UIDs by those derived from them; the standard's own (classes, syntaxes) are everybody's, and stay."""
        from pydicom.uid import UID_dictionary

        uids = [str(value).strip() for value in _values(element)]
        if not all(uid in UID_dictionary or is_proper("UI", uid) for uid in uids if uid):
            return self._dropped("not proper", element)
        mapped = [uid if uid in UID_dictionary or not uid else self.secret.uid(uid) for uid in uids]
        if mapped == uids:
            return element
        if "Class" in element.keyword or "TransferSyntax" in element.keyword or "CodingScheme" in element.keyword:
            return self._dropped("not listed", element)  # names no instance, and is not the standard's
        return self._counted("mapped", element, mapped)

    def _inner(self, element: Any) -> Any:
        """Treat every item of a sequence; items whose code is unknown, and sequences that end empty, are dropped."""
        from pydicom import DataElement

        items = [item for item in map(self._item, element.value) if item is not None]
        if element.value and not items:
            return self._dropped("not listed", element)
        return DataElement(element.tag, "SQ", items)

    def _item(self, source: Any) -> Any:
        if _CODE[0] not in source:
            return self.copied(source)
        value, scheme, version = (str(source.get(tag).value) if tag in source else "" for tag in _CODE[:3])
        meaning = meaning_of(scheme, value)
        if meaning is None:
            self._dropped("unknown code", None, _CODE[0])
            return None
        item = self.copied(source, but=_CODE)
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
        if re.fullmatch(r"\d{2,4}[A-Z]?|\d{8}", version):
            item.CodingSchemeVersion = version
        return item

    def _overlay(self, element: Any, source: Any) -> Any:
        """Keep a plane of graphics only under its option, and only where no lettering is seen in it."""
        if element is None:
            return None
        is_wanted = "clean-graphics" in self.options.profile and self.is_clear(source, element.tag.group)
        if is_wanted and element.tag.element == _PLANE:
            return element
        if is_wanted and element.VR in (*_NUMBERS, *_STRINGS):
            return self._proper(element)
        return self._dropped("removed", element)

    def _copy_private(self, source: Any, target: Any, tag: Any, creators: set[int]) -> None:
        if tag.is_private_creator:
            return
        creator = source.get((tag.group, tag.element >> 8))
        name = str(creator.value) if creator is not None else ""
        is_wanted = "retain-safe-private" in self.options.profile and is_safe(name, tag)
        element = decoded(source, tag) if is_wanted else None
        if element is None or element.VR not in (*_NUMBERS, *_STRINGS) or self._proper(element) is not element:
            self.actions["removed", "private"] += 1
            return
        if int(creator.tag) not in creators:
            target.add(creator)
            creators.add(int(creator.tag))
        target.add(self._counted("retained", element, element.value, "private"))

    def _counted(self, action: str, element: Any, value: Any, keyword: str | None = None) -> Any:
        from pydicom import DataElement

        self.actions[action, keyword or element.keyword or str(element.tag)] += 1
        return DataElement(element.tag, element.VR, value)

    def _dropped(self, action: str, element: Any, tag: Any = None) -> None:
        from pydicom.datadict import keyword_for_tag

        known = keyword_for_tag(element.tag if element is not None else tag)
        self.actions[action, known or "unknown"] += 1


def _are_plausible(element: Any) -> bool:
    """Whether binary numbers are as many as there may be, and floats of a size that is measured.

    Letters taken for numbers, as from a VR of UN or an implicit one, are more, or far larger.
    """
    from pydicom.datadict import dictionary_VM

    values = list(_values(element))
    most = dictionary_VM(element.tag).rpartition("-")[2]
    limit = {"FL": 1e15, "FD": 1e30}.get(element.VR)
    is_measured = limit is None or all(abs(value) < limit for value in values)
    return is_measured and (not most.isdigit() or len(values) <= int(most))


def _copy(element: Any) -> Any:
    """Return an element of its own: what is done to it later does not reach the source."""
    from pydicom import DataElement

    return DataElement(element.tag, element.VR, element.value, already_converted=True)


def _values(element: Any) -> Iterator[Any]:
    value = element.value
    if value is None or value == "":
        return iter(())
    return (
        iter((value,)) if isinstance(value, (str, bytes, int, float)) or not hasattr(value, "__iter__") else iter(value)
    )
