"""Groups keep the order in which their items come."""

from __future__ import annotations

import pytest

from medvision.grouping import grouped, one_spelling


def test_groups_stand_in_the_order_of_their_first_items_and_items_in_their_own() -> None:
    assert grouped([3, 10, 5, 20, 1], key=lambda number: number % 5) == [(3,), (10, 5, 20), (1,)]
    assert grouped([], key=id) == []


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("Mu\u0308ller", "M\u00fcller"),
        ("\uff30\uff11", "P1"),
        ("\ufeffP\u200b1\u00ad", "P1"),
        ("u\u200b\u0308", "\u00fc"),
        ("P1\u00a0", "P1"),
        (" P1 \u200b", "P1"),
        ("\u200b", ""),
    ],
)
def test_what_no_reader_sees_makes_no_other_name(written: str, plain: str) -> None:
    assert one_spelling(written) == plain


def test_what_a_reader_sees_stays() -> None:
    for name in ("P-01 a_b.c~", "p1", "P1", "P01", "M\u00fcller", "\u0416", "\u60a3\u8005"):
        assert one_spelling(name) == name
