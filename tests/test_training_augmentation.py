"""How strongly samples are varied is one number, by a written rule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from medvision.training import Augmentation, Probabilities

AMOUNTS = ("rotation_degrees", "scale", "shift", "elastic", "noise", "blur", "brightness", "contrast")
AMOUNTS += ("low_resolution", "gamma", "erase")
ALL = Augmentation(shift=0.1, elastic=0.2, erase=0.3, mirror_axes=(0,))


def test_strength_1_is_what_the_settings_say() -> None:
    assert ALL.resolved() is ALL
    stated = Augmentation(probability=0.5).resolved().probabilities
    assert (stated.noise, stated.gamma_inverted, stated.mirror) == (0.5, 0.5, 0.5)


def test_strength_2_doubles_amounts_compounds_changes_and_gives_every_probability_a_second_chance() -> None:
    twice = Augmentation(strength=2, rotation_degrees=10, scale=0.5, noise=0.2, low_resolution=0.5).resolved()
    assert (twice.rotation_degrees, twice.scale, twice.noise, twice.low_resolution) == (20, 0.75, 0.4, 0.75)
    assert twice.probabilities.rotation == pytest.approx(1 - 0.8**2)
    assert twice.probabilities.mirror == 0.5
    assert Augmentation(strength=0.5).resolved().probabilities.mirror == 0.25
    assert (twice.strength, twice.resolved()) == (1.0, twice)


@given(st.floats(0, 5), st.floats(0, 5), st.one_of(st.none(), st.floats(0, 1)))
def test_more_strength_is_never_less_of_anything(one: float, other: float, probability: float | None) -> None:
    weak, strong = (
        Augmentation(strength=s, shift=0.1, elastic=0.2, erase=0.99, probability=probability).resolved()
        for s in sorted((one, other))
    )
    assert all(getattr(weak, name) <= getattr(strong, name) for name in AMOUNTS)
    for name in Probabilities.__dataclass_fields__:
        assert getattr(weak.probabilities, name) <= getattr(strong.probabilities, name)


@pytest.mark.parametrize("share", [1e-300, 0.1, 0.3, 1 - 2**-53, 1.0])
def test_a_little_more_strength_is_never_less_however_small_a_probability(share: float) -> None:
    strengths = (0.0, 0.5, 1 - 2**-53, 1.0, 1 + 2**-52, 2.0, 5.0)
    grown = [Augmentation(strength=s, probability=share).resolved().probabilities.noise for s in strengths]
    assert grown == sorted(grown)
    assert grown[0] == 0 < grown[1]
    assert (grown[-1] == 1) == (share == 1)


def test_strength_0_leaves_no_amount_and_no_chance() -> None:
    nothing = Augmentation(strength=0, shift=0.1, elastic=0.2, erase=0.3, mirror_axes=(0,), probability=1).resolved()
    assert [getattr(nothing, name) for name in AMOUNTS] == [0] * len(AMOUNTS)
    assert {getattr(nothing.probabilities, name) for name in Probabilities.__dataclass_fields__} == {0.0}


def test_one_probability_and_many_are_not_given_together() -> None:
    with pytest.raises(ValidationError, match="give one of the two"):
        Augmentation(probability=0.3, probabilities=Probabilities(noise=0.2))
    assert Augmentation(probability=0.3, probabilities=Probabilities(mirror=0.1)).resolved().probabilities.mirror == 0.1


@pytest.mark.parametrize(
    ("degrees", "about", "axis", "dimensions", "crosses"),
    [
        (48, None, 1, 3, False),
        (50, None, 1, 3, True),  # cos² 50° = 0.413 < sin³ 50° = 0.450: three together bring axis 1 across
        (89, None, 0, 3, False),
        (89, None, 2, 3, False),
        (90, None, 0, 3, True),
        (180, (1,), 1, 3, False),
        (90, (1,), 0, 3, True),
        (89, (0, 2), 1, 3, False),
        (89, None, 1, 2, False),
        (90, None, 1, 2, True),
        (180, None, 2, 2, False),
    ],
)
def test_rotations_that_bring_one_end_of_an_axis_to_the_other_side_are_known(
    degrees: float, about: tuple[int, ...] | None, axis: int, dimensions: int, crosses: bool
) -> None:
    settings = Augmentation(rotation_degrees=degrees, rotation_axes=about)
    assert settings.turns_across(axis, dimensions) is crosses


@pytest.mark.parametrize(("degrees", "axis"), [(48, 1), (50, 1), (85, 0), (85, 2)])
def test_what_is_known_of_rotations_holds_for_those_that_are_drawn(degrees: float, axis: int) -> None:
    import torch

    from medvision.training.augment.spatial import affine_matrices

    reach = torch.deg2rad(torch.tensor(degrees)) * torch.tensor([-1.0, -0.5, 0.0, 0.5, 1.0])
    angles = torch.cartesian_prod(reach, reach, reach)
    linear = affine_matrices(angles, torch.ones(125, 3), torch.zeros(125, 3), (1, 1, 1))[:, :, :3].flip((1, 2))
    crosses = bool((linear[:, axis, axis] <= 0).any())
    assert Augmentation(rotation_degrees=degrees).turns_across(axis, 3) is crosses
