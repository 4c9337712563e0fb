"""Names that state a side of the body, in the languages that are known."""

from __future__ import annotations

from medvision.sides import sided, sided_pairs


def test_german_and_french_words_state_a_side_and_what_means_something_else_does_not() -> None:
    names = ["Niere links", "Niere rechts", "Linke Niere", "rechtes Ohr", "rein gauche", "rein droite"]
    assert sided(names) == tuple(names)
    assert sided(["sin lesion", "dx", "linkage", "adroit"]) == ()
    assert sided_pairs(names) == (("Niere links", "Niere rechts"), ("rein gauche", "rein droite"))
    assert sided_pairs(["rechter Fuß", "linker Fuß"]) == (("linker Fuß", "rechter Fuß"),)
