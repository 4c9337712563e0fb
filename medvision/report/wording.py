"""Numbers and nested values as text: fixed precision, a true minus sign, and a dash for what is not known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

UNKNOWN = "\N{EN DASH}"
_MINUS = "\N{MINUS SIGN}"


def fixed(value: float | None, digits: int) -> str:
    """Return `value` with `digits` decimals.

    >>> fixed(1234.567, 1), fixed(-0.01, 1)
    ('1,234.6', '0.0')
    """
    if value is None:
        return UNKNOWN
    text = f"{value:,.{digits}f}"
    return (text if text.strip("-0.,") else text.lstrip("-")).replace("-", _MINUS)


def significant(value: float | None) -> str:
    """Return `value` with about four significant digits, for intensities and other numbers of unknown size.

    >>> significant(1234.56), significant(12.3456), significant(0.00012345), significant(0.0), significant(3e8)
    ('1,235', '12.35', '0.0001234', '0', '3e+08')
    """
    if value is None or value == 0:
        return UNKNOWN if value is None else "0"
    if 1 <= abs(value) < 1e7:
        return fixed(value, max(0, 4 - len(str(int(abs(value))))))
    return f"{value:.4g}".replace("-", _MINUS, 1) if value < 0 else f"{value:.4g}"


def figure(value: float | None) -> str:
    """Return a measure such as Dice with three decimals, and others with about four significant digits.

    >>> figure(0.89), figure(1.0), figure(12.345), figure(0.00123)
    ('0.890', '1.000', '12.35', '0.00123')
    """
    if value is not None and 0.1 <= abs(value) < 10:
        return fixed(value, 3)
    return significant(value)


def brief(value: float) -> str:
    """Return `value` with at most four significant digits and no zeros at its end, for sentences and axes.

    >>> brief(7.0), brief(1.5), brief(200000.0), brief(100.0), brief(0.0)
    ('7', '1.5', '200,000', '100', '0')
    """
    text = significant(value)
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def with_spread(mean: float | None, sd: float | None) -> str:
    """Return a mean and its standard deviation with the same number of decimals.

    >>> with_spread(49.91, 8.7712), with_spread(512.34, None)
    ('49.91 ± 8.77', '512.3')
    """
    words = significant(mean)
    if sd is None or "e" in words:
        return words if sd is None else f"{words} ± {significant(sd)}"
    return f"{words} ± {fixed(sd, len(words.partition('.')[2]))}"


def percent(value: float | None) -> str:
    """Return a share from 0 to 1 as percent.

    >>> percent(0.9876)
    '98.8 %'
    """
    return UNKNOWN if value is None else f"{fixed(100 * value, 1)} %"


def duration(seconds: float | None) -> str:
    """Return a length of time in its two greatest units, the second left out where it is 0.

    >>> duration(0.4), duration(59.7), duration(200), duration(3 * 86400 + 7200)
    ('0 s', '1 min', '3 min 20 s', '3 d 2 h')
    """
    if seconds is None:
        return UNKNOWN
    left, parts = round(seconds), list[tuple[int, str]]()
    for name, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or parts:
            parts.append((count, name))
    return " ".join(f"{count} {name}" for count, name in parts[:2] if count) or "0 s"


def many(count: int, noun: str) -> str:
    """Return a number of things in words.

    >>> many(1, "step"), many(2500, "step"), many(0, "epoch")
    ('1 step', '2,500 steps', '0 epochs')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def listed(names: list[str]) -> str:
    """Return `names` as words of one sentence.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join(", ".join(names).rsplit(", ", 1)) if len(names) > 1 else "".join(names)


def flattened(content: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Give each value of nested mappings as text, with the names that lead to it.

    >>> list(flattened({"cell_size_mm": [4.0, 4.0], "tries": {"as given": 0.91, "mirrored": True}}))
    [('cell size mm', '4, 4'), ('tries: as given', '0.91'), ('tries: mirrored', 'yes')]
    """
    for key, value in content.items():
        name = f"{before}{str(key).replace('_', ' ')}"
        if isinstance(value, Mapping):
            yield from flattened(value, f"{name}: ")
        else:
            yield name, _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return UNKNOWN
    if isinstance(value, float):
        return f"{value:.4g}".replace("-", _MINUS, 1) if value < 0 else f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(_plain(part) for part in value)
    return str(value)
