"""Groups keep the order in which their items come."""

from __future__ import annotations

from medvision.grouping import grouped


def test_groups_stand_in_the_order_of_their_first_items_and_items_in_their_own() -> None:
    assert grouped([3, 10, 5, 20, 1], key=lambda number: number % 5) == [(3,), (10, 5, 20), (1,)]
    assert grouped([], key=id) == []
