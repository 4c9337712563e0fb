"""Damage to files: drawn at random, and written down so that it can be done again."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.fuzz_seeds import Seed

Edit = tuple[int, int, bytes]
"""From, to, and what stands there instead; an insertion where from = to, a cut where nothing stands there."""

_LENGTHS = (0, 1, 2, 7, 0x7F, 0xFF, 0x7FFF, 0xFFFE, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFF0, 0xFFFFFFFE, 0xFFFFFFFF)
_VRS: tuple[bytes, ...] = (
    b"AT",
    b"CS",
    b"DA",
    b"DS",
    b"FD",
    b"FL",
    b"IS",
    b"LO",
    b"OB",
    b"OW",
    b"PN",
    b"SH",
    b"SQ",
    b"SS",
    b"UI",
    b"UL",
)
_VRS += (b"UN", b"US", b"UT", b"OF", b"??", b"\0\0")
_TEXTS: tuple[bytes, ...] = (
    b"",
    b"0",
    b"-1",
    b"NaN",
    b"inf",
    b"1e400",
    b"-1e400",
    b"1e-400",
    b"99999999999",
    b"\\\\\\",
    b"1\\2",
    b"1\\2\\3",
)
_TEXTS += (
    b"0\\0\\0\\0\\0\\0",
    b"\xff\xfe\x80\x81",
    b"1,5",
    b" ",
    b"\0\0",
    b"../../etc/passwd",
    b"9" * 400,
    b"1.2.840.10008.1.2",
)
_NUMBERS = (0.0, -0.0, -1.0, 1e-30, 1e30, 3e38, float("nan"), float("inf"), float("-inf"))
_WHOLE = (0, 1, -1, 2, 3, 7, 8, 255, 256, 32767, -32768, 1792, 128, 64, 16, 512, 2304)
# Where NIfTI keeps its fields: version 1 and version 2, as (offset, struct format).
_FIELDS_1 = [(0, "i"), (40, "h"), *((42 + 2 * n, "h") for n in range(7)), (70, "h"), (72, "h"), (108, "f")]
_FIELDS_1 += [*((76 + 4 * n, "f") for n in range(8)), (112, "f"), (116, "f"), (123, "b"), (252, "h"), (254, "h")]
_FIELDS_1 += [*((256 + 4 * n, "f") for n in range(18)), (344, "i"), (348, "i"), (352, "i"), (356, "i")]
_FIELDS_2 = [(0, "i"), (4, "i"), (12, "h"), (14, "h"), *((16 + 8 * n, "q") for n in range(8)), (168, "q")]
_FIELDS_2 += [*((104 + 8 * n, "d") for n in range(8)), (176, "d"), (184, "d"), (344, "i"), (348, "i"), (500, "i")]
_FIELDS_2 += [*((352 + 8 * n, "d") for n in range(18)), (540, "i"), (544, "i")]


@dataclass(frozen=True)
class Recipe:
    """How a damaged file is made: all that a replay needs.

    Parameters
    ----------
    seed
        The name of the good file.
    kinds
        What was done, in words, in order.
    inner
        Edits of the content, in order.
    outer
        Edits of the packed bytes, in order.
    """

    seed: str
    kinds: tuple[str, ...]
    inner: tuple[Edit, ...] = ()
    outer: tuple[Edit, ...] = ()

    def made(self, seed: Seed) -> bytes:
        """Return the damaged file."""
        return _edited(seed.packed(_edited(seed.content, self.inner)), self.outer)

    def as_json(self) -> dict[str, Any]:
        """Return the recipe in the types of JSON; bytes as hex digits."""
        found = asdict(self)
        for name in ("inner", "outer"):
            found[name] = [[start, end, new.hex()] for start, end, new in found[name]]
        return found

    @classmethod
    def of_json(cls, text: Mapping[str, Any]) -> Recipe:
        """Return the recipe that :meth:`as_json` gave."""
        inner, outer = (tuple((a, b, bytes.fromhex(new)) for a, b, new in text[name]) for name in ("inner", "outer"))
        return cls(text["seed"], tuple(text["kinds"]), inner, outer)


def draw(seeds: Mapping[str, Seed], number: int, start: int) -> Recipe:
    """Return recipe `number` of the run that `start` names; it does not depend on the others."""
    random_ = random.Random(f"{start}/{number}")  # noqa: S311 - no secret
    names = sorted(seeds)
    seed = seeds[names[number % len(names)]]
    inner: list[Edit] = []
    outer: list[Edit] = []
    kinds = []
    for _ in range(random_.choice((1, 1, 1, 2, 3))):
        is_outer = seed.wrap is not None and random_.random() < 0.3
        edits = outer if is_outer else inner
        now = _edited(seed.packed(_edited(seed.content, inner)), outer) if is_outer else _edited(seed.content, inner)
        kind = random_.choice(_ANYWHERE if is_outer else _ANYWHERE + (_IN_DICOM if seed.tags else _IN_NIFTI))
        edits += kind(now, seed, random_, seeds)
        kinds.append(kind.__name__.strip("_") + (" of the packed bytes" if is_outer else ""))
    return Recipe(seed.name, tuple(kinds), tuple(inner), tuple(outer))


def _edited(content: bytes, edits: Sequence[Edit]) -> bytes:
    for start, end, new in edits:
        content = content[:start] + new + content[end:]
    return content


# Damage: each takes the bytes as they are, the seed, the random numbers and all seeds.


def _flip(now: bytes, seed: Seed, random_: random.Random, seeds: Mapping[str, Seed]) -> list[Edit]:
    edits: list[Edit] = []
    for _ in range(random_.choice((1, 1, 2, 4, 16))):
        at = random_.randrange(len(now)) if now else 0
        edits.append((at, at + 1, bytes([(now[at] if now else 0) ^ (1 << random_.randrange(8))])))
    return edits


def _cut(now: bytes, seed: Seed, random_: random.Random, seeds: Mapping[str, Seed]) -> list[Edit]:
    return [(random_.randrange(len(now) + 1), len(now), b"")]


def _drop(now: bytes, seed: Seed, random_: random.Random, seeds: Mapping[str, Seed]) -> list[Edit]:
    at = random_.randrange(len(now) + 1)
    return [(at, at + random_.choice((1, 2, 3, 8, 100)), b"")]


def _insert(now: bytes, seed: Seed, random_: random.Random, seeds: Mapping[str, Seed]) -> list[Edit]:
    at = random_.randrange(len(now) + 1)
    return [(at, at, random_.randbytes(random_.choice((1, 2, 3, 8, 100))))]


def _blank(now: bytes, seed: Seed, random_: random.Random, seeds: Mapping[str, Seed]) -> list[Edit]:
    at, size = random_.randrange(len(now) + 1), random_.choice((2, 4, 8, 64, 512))
    end = min(at + size, len(now))
    return [(at, end, random_.choice((b"\0", b"\xff", b" ")) * (end - at))]


def _splice(now: bytes, seed: Seed, random_: random.Random, seeds: Mapping[str, Seed]) -> list[Edit]:
    other = seeds[random_.choice(sorted(seeds))]
    theirs = other.content if random_.random() < 0.8 else other.packed(other.content)
    return [(random_.randrange(len(now) + 1), len(now), theirs[random_.randrange(len(theirs)) :])]


def _length(now: bytes, seed: Seed, random_: random.Random, seeds: Mapping[str, Seed]) -> list[Edit]:
    at = _spot(now, seed, random_)
    wide = random_.random() < 0.6
    order = ">" if "big" in seed.name else "<"
    at += random_.choice((4, 8)) if wide else 6
    new = random_.choice(_LENGTHS)
    return [
        (at, at + 4, struct.pack(f"{order}I", new)) if wide else (at, at + 2, struct.pack(f"{order}H", new & 0xFFFF))
    ]


def _tag(now: bytes, seed: Seed, random_: random.Random, seeds: Mapping[str, Seed]) -> list[Edit]:
    first, second = _spot(now, seed, random_), _spot(now, seed, random_)
    return [(first, first + 4, now[second : second + 4]), (second, second + 4, now[first : first + 4])]


def _vr(now: bytes, seed: Seed, random_: random.Random, seeds: Mapping[str, Seed]) -> list[Edit]:
    at = _spot(now, seed, random_) + 4
    return [(at, at + 2, random_.choice(_VRS))]


def _duplicate(now: bytes, seed: Seed, random_: random.Random, seeds: Mapping[str, Seed]) -> list[Edit]:
    spots = _spots(now, seed)
    first = random_.randrange(len(spots))
    end = spots[min(first + random_.choice((1, 1, 4)), len(spots) - 1)]
    at = random_.choice(spots)
    return [(at, at, now[spots[first] : end])]


def _value(now: bytes, seed: Seed, random_: random.Random, seeds: Mapping[str, Seed]) -> list[Edit]:
    """Give an element with a short length another value: of the same length, or with its length put right."""
    at = _spot(now, seed, random_)
    order = ">" if "big" in seed.name else "<"
    short = now[at + 4 : at + 6].isalpha()
    size = struct.unpack_from(f"{order}{'H' if short else 'I'}", now.ljust(at + 8, b"\0"), at + (6 if short else 4))[0]
    new = random_.choice((*_TEXTS, random_.randbytes(size) if size < 1000 else b"", struct.pack("<HH", 65535, 1)))
    new += b" " * (len(new) % 2)
    length = struct.pack(f"{order}H", len(new)) if short else struct.pack(f"{order}I", len(new))
    return [(at + 8 - len(length), at + 8 + size, length + new)]


def _field(now: bytes, seed: Seed, random_: random.Random, seeds: Mapping[str, Seed]) -> list[Edit]:
    at, form = random_.choice(_FIELDS_2 if "nii2" in seed.name else _FIELDS_1)
    order = ">" if "swapped" in seed.name else "<"
    if form in "fd":
        return [(at, at + struct.calcsize(form), struct.pack(order + form, random_.choice(_NUMBERS)))]
    size = struct.calcsize(form)
    limit = 1 << (8 * size - 1)
    new = random_.choice((*_WHOLE, limit - 1, -limit, random_.randrange(-limit, limit)))
    return [(at, at + size, struct.pack(order + form, (new + limit) % (2 * limit) - limit))]


def _spots(now: bytes, seed: Seed) -> list[int]:
    """Return where tags of the seed's elements stand, in order; a chance hit in the pixels is welcome too."""
    found = set()
    for tag in seed.tags:
        at = now.find(tag)
        while at >= 0:
            found.add(at)
            at = now.find(tag, at + 4)
    return sorted(found) or [0]


def _spot(now: bytes, seed: Seed, random_: random.Random) -> int:
    return random_.choice(_spots(now, seed))


_Damage = Callable[[bytes, Seed, random.Random, Mapping[str, Seed]], list[Edit]]
_ANYWHERE: tuple[_Damage, ...] = (_flip, _cut, _drop, _insert, _blank, _splice)
_IN_DICOM: tuple[_Damage, ...] = (_length, _length, _tag, _vr, _duplicate, _value, _value, _value)
_IN_NIFTI: tuple[_Damage, ...] = (_field, _field, _field, _field)
