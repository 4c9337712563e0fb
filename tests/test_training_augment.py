"""Samples are varied by parameters that are drawn first: known parameters move known voxels to known places."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.training import Augmentation
from medvision.training.augment import Variation, apply, draw

STILL = Augmentation(rotation_degrees=0, scale=0, noise=0, brightness=0, contrast=0, gamma=0)


def seeded(number: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def moving(matrix: Any) -> Variation:
    """A variation of one sample that moves it by a matrix of ``affine_grid`` and leaves its values alone."""
    one, none = torch.ones(1), torch.zeros(1)
    return Variation(torch.as_tensor(matrix, dtype=torch.float32)[None], none, one, one, one)


def marked(shape: tuple[int, ...], place: tuple[int, ...]) -> tuple[Any, Any]:
    """One image of zeros with a 1 in one voxel, and labels with a 3 there."""
    image, labels = torch.zeros(1, 1, *shape), torch.zeros(1, *shape, dtype=torch.int64)
    image[(0, 0, *place)], labels[(0, *place)] = 1.0, 3
    return image, labels


def place_of(image: Any) -> tuple[int, ...]:
    """Return the place of the one voxel above a half."""
    (found,) = torch.nonzero(image[0, 0] > 0.5).tolist()
    return tuple(found)


def drawn(settings_: Augmentation, shape: tuple[int, ...], *, batch: int = 1, seed: int = 0) -> Variation:
    return draw(settings_, batch, shape, seeded(seed))


@pytest.mark.parametrize("shape", [(8, 6), (8, 6, 4)])
def test_the_same_generator_draws_the_same_parameters(shape: tuple[int, ...]) -> None:
    one, same, other = (drawn(Augmentation(shift=0.1), shape, batch=3, seed=seed) for seed in (5, 5, 6))
    for name in ("matrices", "noise", "brightness", "contrast", "gamma"):
        assert torch.equal(getattr(one, name), getattr(same, name))
    assert not torch.equal(one.matrices, other.matrices)


def test_the_same_generator_adds_the_same_noise_and_leaves_the_global_one_alone() -> None:
    variation, image = drawn(Augmentation(), (8, 6), batch=2), torch.rand(2, 1, 8, 6, generator=seeded())
    before = torch.get_rng_state()
    one, _ = apply(variation, image, None, seeded(1))
    assert torch.equal(one, apply(variation, image, None, seeded(1))[0])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("shape", [(7, 5), (7, 5, 4)])
def test_with_nothing_to_vary_the_image_and_its_labels_stay_as_they_are(shape: tuple[int, ...]) -> None:
    image = torch.randn(2, 3, *shape, generator=seeded()) * 100
    labels = torch.randint(0, 4, (2, *shape), generator=seeded())
    whole, kept = image.clone(), labels.clone()
    varied, moved = apply(drawn(STILL, shape, batch=2), image, labels, seeded())
    assert torch.allclose(varied, image, atol=1e-2)
    assert torch.equal(moved, labels)
    assert moved.dtype == torch.int64
    assert torch.equal(image, whole)
    assert torch.equal(labels, kept)


def test_with_probability_0_nothing_is_varied_whatever_the_limits() -> None:
    variation = drawn(Augmentation(probability=0, shift=0.5, rotation_degrees=180), (6, 9, 5), batch=8)
    still = drawn(STILL, (6, 9, 5), batch=8)
    assert torch.equal(variation.matrices, still.matrices)
    for name in ("brightness", "contrast", "gamma"):
        assert getattr(variation, name).tolist() == [1.0] * 8
    assert variation.noise.tolist() == [0.0] * 8


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([(8, 6), (8, 6, 4)]))
def test_parameters_lie_within_their_limits(seed: int, shape: tuple[int, ...]) -> None:
    limits = Augmentation(rotation_degrees=30, scale=0.2, shift=0.1, noise=0.3, brightness=0.4, contrast=0.5, gamma=0.6)
    variation = drawn(limits, shape, batch=4, seed=seed)
    assert bool((variation.noise >= 0).all() and (variation.noise <= 0.3).all())
    for name, limit in (("brightness", 0.4), ("contrast", 0.5), ("gamma", 0.6)):
        assert bool(((getattr(variation, name) - 1).abs() <= limit).all())
    size = torch.tensor(shape, dtype=torch.float32).flip(0)
    voxels = variation.matrices[:, :, :-1] * size.reshape(1, -1, 1) / size.reshape(1, 1, -1)
    scale = torch.linalg.det(voxels) ** (1 / len(shape))
    assert bool(((scale - 1).abs() <= 0.2 + 1e-5).all())
    turn = voxels / scale.reshape(-1, 1, 1)
    assert torch.allclose(turn @ turn.transpose(1, 2), torch.eye(len(shape)).expand(4, -1, -1), atol=1e-5)
    assert bool((variation.matrices[:, :, -1].abs() <= 2 * 0.1).all())


def test_mirroring_takes_each_axis_asked_for_in_half_of_the_samples_and_no_other() -> None:
    variation = drawn(Augmentation(mirror_axes=(0, 2), probability=0), (4, 5, 6), batch=400)
    signs = torch.diagonal(variation.matrices[:, :, :3], dim1=1, dim2=2).flip(1)
    assert bool((signs[:, 1] == 1).all())
    for axis in (0, 2):
        assert 150 < int((signs[:, axis] == -1).sum()) < 250


def mirror(shape: tuple[int, ...], axis: int) -> Variation:
    """Return, of many drawn, a variation that mirrors an axis."""
    only = Augmentation(mirror_axes=(axis,), probability=0)
    found = (drawn(only, shape, seed=seed) for seed in range(40))
    return next(variation for variation in found if bool((variation.matrices < 0).any()))


@pytest.mark.parametrize(
    ("shape", "axis", "target"),
    [
        ((8, 6), 0, (6, 4)),
        ((8, 6), 1, (1, 1)),
        ((8, 6, 4), 0, (6, 4, 3)),
        ((8, 6, 4), 1, (1, 1, 3)),
        ((8, 6, 4), 2, (1, 4, 0)),
    ],
)
def test_a_mirrored_axis_moves_a_voxel_to_the_other_end(
    shape: tuple[int, ...], axis: int, target: tuple[int, ...]
) -> None:
    image, labels = marked(shape, (1, 4, 3)[: len(shape)])
    varied, moved = apply(mirror(shape, axis), image, labels, seeded())
    assert place_of(varied) == target
    assert int(moved[(0, *target)]) == 3
    assert int((moved > 0).sum()) == 1


def quarter(monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], axis: int) -> Variation:
    """Return a turn by +90 degrees about one axis: the first random numbers, which decide on it, are set by hand."""
    angles = torch.full((1, 1 if len(shape) == 2 else 3), 0.5)  # the middle of the range is no turn
    angles[0, axis] = 1.0
    fixed, real = iter([torch.zeros(1), angles]), torch.rand
    with monkeypatch.context() as patch:
        patch.setattr(torch, "rand", lambda *size, generator: next(fixed, real(*size, generator=generator)))
        return drawn(replace(STILL, rotation_degrees=90), shape)


@pytest.mark.parametrize(
    ("shape", "axis", "target"),
    [
        # From the centre (4, 3) the voxel lies at (+2, +1), and then at (+1, -2): in the plane (a, b) to (b, -a).
        ((9, 7), 0, (5, 1)),
        # From the centre (4, 3, 2) it lies at (+2, +1, -1).
        ((9, 7, 5), 0, (6, 2, 1)),
        ((9, 7, 5), 1, (3, 4, 0)),
        ((9, 7, 5), 2, (5, 1, 1)),
    ],
)
def test_a_quarter_turn_moves_a_voxel_about_the_centre_in_voxels_not_in_shares_of_the_sides(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], axis: int, target: tuple[int, ...]
) -> None:
    image, labels = marked(shape, (6, 4, 1)[: len(shape)])
    varied, moved = apply(quarter(monkeypatch, shape, axis), image, labels, seeded())
    assert place_of(varied) == target
    assert torch.nonzero(moved[0]).tolist() == [list(target)]


@pytest.mark.parametrize("shape", [(8, 6), (8, 6, 4)])
def test_a_shift_is_a_share_of_the_side(shape: tuple[int, ...]) -> None:
    image, labels = marked(shape, (4, 3, 2)[: len(shape)])
    matrix = torch.eye(len(shape), len(shape) + 1)
    matrix[-1, -1] = 2 * 0.25  # the output looks a quarter of axis 0, two voxels, further on
    varied, moved = apply(moving(matrix), image, labels, seeded())
    assert place_of(varied) == (2, 3, 2)[: len(shape)]
    assert torch.nonzero(moved[0]).tolist() == [list((2, 3, 2)[: len(shape)])]
    largest = drawn(Augmentation(shift=0.5, probability=1), shape, batch=500).matrices[:, :, -1].abs().amax(0)
    assert bool((largest > 0.95).all() and (largest <= 1).all())


def test_a_scale_grows_the_sample_by_the_ratio_stated() -> None:
    line = torch.arange(9.0).reshape(1, 1, 9, 1).expand(1, 1, 9, 3)
    twice, _ = apply(moving([[1.0, 0, 0], [0, 0.5, 0]]), line, None, seeded())
    assert twice[0, 0, :, 1].tolist() == pytest.approx([2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5, 6])


def test_outside_the_image_its_edge_goes_on_and_labels_are_background() -> None:
    image, labels = torch.full((1, 1, 4, 4), 7.0), torch.full((1, 4, 4), 2)
    varied, moved = apply(moving([[1.0, 0, 0], [0, 1.0, 1.0]]), image, labels, seeded())
    assert varied.unique().tolist() == pytest.approx([7.0])
    assert moved[0].tolist() == [[2] * 4, [2] * 4, [0] * 4, [0] * 4]


def with_values(**changes: float) -> Variation:
    one, none = torch.ones(1), torch.zeros(1)
    start = {"noise": none, "brightness": one, "contrast": one, "gamma": one}
    return Variation(torch.eye(2, 3)[None], **(start | {name: torch.tensor([v]) for name, v in changes.items()}))


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"brightness": 2.0}, [0, 2, 4, 10]),
        ({"contrast": 0.5}, [1, 1.5, 2, 3.5]),
        ({"gamma": 2.0}, [0, 0.2, 0.8, 5]),
        ({"contrast": 0.5, "brightness": 2.0}, [2, 3, 4, 7]),
    ],
)
def test_values_change_as_stated(changes: dict[str, float], wanted: list[float]) -> None:
    image = torch.tensor([0.0, 1.0, 2.0, 5.0]).reshape(1, 1, 2, 2)
    varied, _ = apply(with_values(**changes), image, None, seeded())
    assert varied.ravel().tolist() == pytest.approx(wanted, abs=1e-5)


def test_noise_has_the_deviation_stated() -> None:
    varied, _ = apply(with_values(noise=0.5), torch.zeros(1, 1, 100, 100), None, seeded())
    assert float(varied.std()) == pytest.approx(0.5, rel=0.05)
    assert abs(float(varied.mean())) < 0.02


def test_a_constant_image_stays_finite() -> None:
    varied, _ = apply(drawn(Augmentation(probability=1), (4, 4)), torch.full((1, 1, 4, 4), 3.0), None, seeded())
    assert bool(torch.isfinite(varied).all())


def test_rotations_are_drawn_in_degrees() -> None:
    limits = Augmentation(rotation_degrees=90, scale=0, probability=1)
    matrices = drawn(limits, (6, 6), batch=500).matrices
    angles = torch.atan2(matrices[:, 1, 0], matrices[:, 0, 0]).abs()
    assert 0.95 * math.pi / 2 < float(angles.max()) <= math.pi / 2 + 1e-5
