"""Samples are varied by parameters that are drawn first: known parameters move known voxels to known places."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.errors import UsageError
from medvision.training.augment import Variation, apply, draw
from medvision.training.augment.spatial import CELLS, KNOTS, affine_matrices, sampling_grid
from medvision.training.augmentation import Augmentation, Probabilities

NEVER = Probabilities(**{field.name: 0.0 for field in fields(Probabilities)})
EVERYTHING = Augmentation(probability=1, shift=0.1, elastic=0.3, mirror_axes=(0, 1), erase=0.4, scale_each_axis=True)
SHAPES = [(8, 6), (8, 6, 4)]


def seeded(number: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def drawn(of: Augmentation, shape: tuple[int, ...], *, batch: int = 1, seed: int = 0, **more: Any) -> Variation:
    return draw(of, batch, shape, seeded(seed), **more)


def moving(matrix: Any) -> Variation:
    """A variation of one sample that moves it by a matrix of ``affine_grid`` and leaves its values alone."""
    matrix = torch.as_tensor(matrix, dtype=torch.float32)
    return replace(Variation.still(1, len(matrix)), matrices=matrix[None])


def marked(shape: tuple[int, ...], place: tuple[int, ...]) -> tuple[Any, Any]:
    """One image of zeros with a 1 in one voxel, and labels with a 3 there."""
    image, labels = torch.zeros(1, 1, *shape), torch.zeros(1, *shape, dtype=torch.int64)
    image[(0, 0, *place)], labels[(0, *place)] = 1.0, 3
    return image, labels


def place_of(image: Any) -> tuple[int, ...]:
    """Return the place of the one voxel above a half."""
    (found,) = torch.nonzero(image[0, 0] > 0.5).tolist()
    return tuple(found)


def same(one: Variation, other: Variation) -> bool:
    pairs = [(getattr(one, field.name), getattr(other, field.name)) for field in fields(Variation)]
    return all(torch.equal(a, b) if torch.is_tensor(a) else a is b for a, b in pairs)


# drawing


@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_generator_draws_the_same_parameters(shape: tuple[int, ...]) -> None:
    one, again, other = (drawn(Augmentation(shift=0.1), shape, batch=3, seed=seed) for seed in (5, 5, 6))
    assert same(one, again)
    assert not same(one, other)


def test_no_setting_moves_what_is_drawn_for_another() -> None:
    plain = drawn(Augmentation(), (6, 5, 4), batch=20)
    other = Augmentation(noise=0.9, blur=3, shift=0.2, elastic=0.3, mirror_axes=(1,), erase=0.2)
    changed = drawn(other, (6, 5, 4), batch=20)
    for name in ("brightness", "contrast", "gamma", "gamma_inverted", "low_resolution", "seeds"):
        assert torch.equal(getattr(plain, name), getattr(changed, name))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(SHAPES), st.booleans())
def test_parameters_lie_within_their_limits(seed: int, shape: tuple[int, ...], each: bool) -> None:
    limits = replace(EVERYTHING, scale=0.2, scale_each_axis=each, noise=0.3, blur=2, brightness=0.4, gamma=0.6)
    variation = drawn(limits, shape, batch=4, seed=seed, channels=2)
    assert variation.brightness.shape == variation.gamma.shape == variation.low_resolution.shape == (4, 2)
    for values, low, high in (
        (variation.noise, 0.0, 0.3),
        (variation.blur, 1.0, 2.0),
        (variation.brightness, 0.6, 1.4),
        (variation.contrast, 0.75, 1.25),
        (variation.low_resolution, 0.5, 1.0),
        (variation.gamma, 0.4, 2.5),
        (variation.gamma_inverted, 0.4, 2.5),
        (variation.matrices[:, :, -1], -0.2, 0.2),
        (variation.knots, -0.3, 0.3),
        (variation.erased[..., 1], 0.1, 0.4),
        (variation.erased.sum(-1), 0.0, 1.0),
    ):
        assert low - 1e-5 <= float(values.min()) <= float(values.max()) <= high + 1e-5
    size = torch.tensor(shape, dtype=torch.float32).flip(0)
    voxels = variation.matrices[:, :, :-1] * size.reshape(1, -1, 1) / size.reshape(1, 1, -1)
    zoom = 1 / voxels.norm(dim=1)
    assert bool(((zoom >= 0.8 - 1e-5) & (zoom <= 1.25 + 1e-5)).all())
    assert bool(torch.isclose(zoom.amin(1), zoom.amax(1), atol=1e-5).all()) is not each
    turn = voxels * zoom.unsqueeze(1)
    assert torch.allclose(turn @ turn.transpose(1, 2), torch.eye(len(shape)).expand(4, -1, -1), atol=1e-5)


def test_each_is_drawn_as_often_as_its_probability_says() -> None:
    variation = drawn(Augmentation(mirror_axes=(0, 2)), (6, 5, 4), batch=4000, channels=2)
    share = {
        "noise": float((variation.noise > 0).float().mean()),
        "blur": float((variation.blur > 0).all(-1).float().mean()),
        "brightness": float((variation.brightness != 1).all(-1).float().mean()),
        "contrast": float((variation.contrast != 1).all(-1).float().mean()),
        "low_resolution": float((variation.low_resolution != 1).float().mean()),
        "gamma": float((variation.gamma != 1).all(-1).float().mean()),
        "gamma_inverted": float((variation.gamma_inverted != 1).all(-1).float().mean()),
    }
    for name, found in share.items():
        assert found == pytest.approx(getattr(Probabilities(), name), abs=0.025), name
    assert variation.mirrored.float().mean(0).tolist() == pytest.approx([0.5, 0, 0.5], abs=0.03)
    still = (variation.matrices == torch.eye(3, 4)).flatten(1).all(1).float().mean()
    assert float(still) == pytest.approx(0.8 * 0.8, abs=0.03)  # neither turned nor scaled


def test_rotations_are_drawn_in_degrees_about_the_axes_asked_for() -> None:
    only = Augmentation(rotation_degrees=90, scale=0, probability=1, rotation_axes=(2,))
    matrices = drawn(only, (6, 6, 6), batch=500).matrices
    assert torch.equal(matrices[:, 0, :3], torch.tensor([1.0, 0, 0]).expand(500, 3))  # axis 2 comes first
    angles = torch.atan2(matrices[:, 2, 1], matrices[:, 1, 1]).abs()
    assert 0.95 * math.pi / 2 < float(angles.max()) <= math.pi / 2 + 1e-5


# what is applied


@pytest.mark.parametrize("shape", SHAPES)
def test_strength_0_is_the_identity_bit_for_bit(shape: tuple[int, ...]) -> None:
    images, labels = torch.randn(3, 2, *shape, generator=seeded()), torch.ones(3, *shape, dtype=torch.int64)
    varied, moved = apply(drawn(replace(EVERYTHING, strength=0), shape, batch=3), images, labels)
    assert torch.equal(varied, images)
    assert torch.equal(moved, labels)
    assert varied is not images
    assert moved is not labels


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(SHAPES), st.sampled_from([1, 2]))
def test_a_share_of_the_batch_is_varied_as_in_the_whole(seed: int, shape: tuple[int, ...], channels: int) -> None:
    some = replace(EVERYTHING, probability=0.6)
    variation = drawn(some, shape, batch=5, seed=seed, channels=channels)
    images = torch.randn(5, channels, *shape, generator=seeded(seed))
    labels = torch.randint(0, 4, (5, *shape), generator=seeded(seed))
    whole, moved = apply(variation, images, labels)
    for rows in (slice(1, 4), [4, 0], torch.tensor([True, False, False, True, False])):
        share, labels_share = apply(variation[rows], images[rows], labels[rows])
        assert torch.allclose(share, whole[rows], atol=1e-5, rtol=1e-5)
        assert torch.equal(labels_share, moved[rows])
    assert len(variation[2]) == 1


def test_the_same_variation_gives_the_same_samples_and_touches_nothing_of_the_callers() -> None:
    variation = drawn(EVERYTHING, (8, 6, 5), batch=2)
    images, labels = torch.rand(2, 1, 8, 6, 5, generator=seeded()), torch.ones(2, 8, 6, 5, dtype=torch.int64)
    kept, state = images.clone(), torch.get_rng_state()
    one, moved = apply(variation, images, labels)
    torch.rand(3)
    torch.set_rng_state(state)
    again, moved_again = apply(variation, images, labels)
    assert torch.equal(one, again)
    assert torch.equal(moved, moved_again)
    assert not torch.equal(one, images)
    assert torch.equal(images, kept)
    assert bool((labels == 1).all())
    assert torch.equal(torch.get_rng_state(), state)


def test_all_is_computed_in_fp32_also_under_autocast() -> None:
    variation, images = drawn(EVERYTHING, (8, 6), batch=2), torch.rand(2, 1, 8, 6, generator=seeded())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under, _ = apply(variation, images)
    assert torch.equal(under, apply(variation, images)[0])
    assert under.dtype == torch.float32


@pytest.mark.parametrize(("shape", "layout"), list(zip(SHAPES, [torch.channels_last, torch.channels_last_3d])))  # noqa: B905
def test_the_memory_format_stays_and_does_not_change_a_value(shape: tuple[int, ...], layout: Any) -> None:
    variation, images = drawn(EVERYTHING, shape, batch=2), torch.rand(2, 3, *shape, generator=seeded())
    plain, _ = apply(variation, images)
    last, _ = apply(variation, images.contiguous(memory_format=layout))
    assert plain.is_contiguous()
    assert last.is_contiguous(memory_format=layout)
    assert torch.equal(plain, last)


@pytest.mark.parametrize("targets", [torch.tensor([1, 0]), torch.tensor([[0.5, 1], [2, 3]]), None])
def test_targets_that_state_no_place_come_back_as_they_are(targets: Any) -> None:
    assert apply(drawn(EVERYTHING, (8, 6), batch=2), torch.rand(2, 1, 8, 6), targets)[1] is targets


@pytest.mark.parametrize("shape", [(3, 2, 8, 6), (2, 3, 8, 6), (2, 2, 8, 6, 4)])
def test_parameters_drawn_for_other_samples_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="do not fit"):
        apply(drawn(EVERYTHING, (8, 6), batch=2, channels=2), torch.zeros(shape))


# where voxels go


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
def test_a_mirrored_axis_moves_a_voxel_and_its_label_to_the_other_end(
    shape: tuple[int, ...], axis: int, target: tuple[int, ...]
) -> None:
    image, labels = marked(shape, (1, 4, 3)[: len(shape)])
    only = Augmentation(mirror_axes=(axis,), probability=0, probabilities=Probabilities(mirror=1))
    varied, moved = apply(drawn(only, shape), image, labels)
    assert torch.nonzero(varied[0, 0]).tolist() == torch.nonzero(moved[0]).tolist() == [list(target)]
    assert torch.equal(varied, image.flip(axis + 2))


@pytest.mark.parametrize(
    ("shape", "axis", "target"),
    [
        # From the centre (4, 3) the voxel lies at (+2, +1), and then at (+1, -2): in the plane (a, b) to (b, -a).
        ((9, 7), 2, (5, 1)),
        # From the centre (4, 3, 2) it lies at (+2, +1, -1).
        ((9, 7, 5), 0, (6, 2, 1)),
        ((9, 7, 5), 1, (3, 4, 0)),
        ((9, 7, 5), 2, (5, 1, 1)),
    ],
)
def test_a_quarter_turn_moves_a_voxel_about_the_centre_in_voxels_not_in_shares_of_the_sides(
    shape: tuple[int, ...], axis: int, target: tuple[int, ...]
) -> None:
    angles = torch.zeros(1, 3)
    angles[0, axis] = math.pi / 2
    image, labels = marked(shape, (6, 4, 1)[: len(shape)])
    none = torch.zeros(1, len(shape))
    varied, moved = apply(moving(affine_matrices(angles, none + 1, none, shape)[0]), image, labels)
    assert place_of(varied) == target
    assert torch.nonzero(moved[0]).tolist() == [list(target)]


def test_a_turn_is_one_in_space_where_the_sides_are_told_in_mm() -> None:
    none = torch.zeros(1, 2)
    quarter = affine_matrices(torch.tensor([[0, 0, math.pi / 2]]), none + 1, none, (9 * 1.0, 5 * 2.0))
    image, labels = marked((9, 5), (6, 2))  # 2 mm from the centre along axis 0: one voxel along axis 1
    assert place_of(apply(moving(quarter[0]), image, labels)[0]) == (4, 1)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shift_is_a_share_of_the_side(shape: tuple[int, ...]) -> None:
    image, labels = marked(shape, (4, 3, 2)[: len(shape)])
    matrix = torch.eye(len(shape), len(shape) + 1)
    matrix[-1, -1] = 2 * 0.25  # the output looks a quarter of axis 0, two voxels, further on
    varied, moved = apply(moving(matrix), image, labels)
    assert place_of(varied) == (2, 3, 2)[: len(shape)]
    assert torch.nonzero(moved[0]).tolist() == [list((2, 3, 2)[: len(shape)])]
    largest = drawn(Augmentation(shift=0.5, probability=1), shape, batch=500).matrices[:, :, -1].abs().amax(0)
    assert bool((largest > 0.95).all() and (largest <= 1).all())


def test_a_zoom_grows_what_is_seen_by_the_ratio_stated() -> None:
    line = torch.arange(9.0).reshape(1, 1, 9, 1).expand(1, 1, 9, 3)
    matrix = affine_matrices(torch.zeros(1, 3), torch.tensor([[2.0, 1.0]]), torch.zeros(1, 2), (9, 3))
    twice, _ = apply(moving(matrix[0]), line)
    assert twice[0, 0, :, 1].tolist() == pytest.approx([2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5, 6])


def test_outside_the_image_its_edge_goes_on_and_so_does_that_of_its_labels() -> None:
    image, labels = torch.full((1, 1, 4, 4), 7.0), torch.full((1, 4, 4), 2)
    varied, moved = apply(moving([[1.0, 0, 0], [0, 1.0, 1.0]]), image, labels)
    assert varied.unique().tolist() == pytest.approx([7.0])
    assert moved[0].tolist() == [[2] * 4] * 4


@pytest.mark.parametrize("shape", SHAPES)
def test_the_grid_is_that_of_torch(shape: tuple[int, ...]) -> None:
    variation = drawn(replace(EVERYTHING, elastic=0), shape, batch=3)
    wanted = torch.nn.functional.affine_grid(variation.matrices, [3, 1, *shape], align_corners=False)
    assert torch.allclose(sampling_grid(variation, shape, "cpu"), wanted, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_knots_displaced_alike_shift_the_whole_by_their_share_of_a_cell(shape: tuple[int, ...]) -> None:
    knots = torch.zeros(1, len(shape), *[KNOTS] * len(shape))
    knots[:, 0] = CELLS * 2 / shape[0]  # two voxels along axis 0: splines add up to 1 everywhere
    image, labels = marked(shape, (4, 3, 2)[: len(shape)])
    varied, moved = apply(replace(Variation.still(1, len(shape)), knots=knots), image, labels)
    assert place_of(varied) == (2, 3, 2)[: len(shape)]
    assert torch.nonzero(moved[0]).tolist() == [list((2, 3, 2)[: len(shape)])]


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_a_deformation_never_folds(seed: int) -> None:
    only = Augmentation(elastic=0.4, rotation_degrees=0, scale=0, probability=1)
    grid = sampling_grid(drawn(only, (24, 20), seed=seed), (24, 20), "cpu")[0].flip(-1)
    along, across = grid[1:, :-1] - grid[:-1, :-1], grid[:-1, 1:] - grid[:-1, :-1]
    assert bool((along[..., 0] * across[..., 1] > along[..., 1] * across[..., 0]).all())


def test_only_samples_that_were_drawn_are_deformed() -> None:
    half = drawn(Augmentation(elastic=0.4, probabilities=replace(NEVER, elastic=0.5)), (8, 6), batch=8)
    images = torch.rand(8, 1, 8, 6, generator=seeded())
    same_rows = (apply(half, images)[0] == images).flatten(1).all(1)
    assert torch.equal(same_rows, (half.knots == 0).flatten(1).all(1))
    assert 0 < int(same_rows.sum()) < 8


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(SHAPES), st.floats(-50, 50, width=32))
def test_labels_stay_in_their_set_and_a_constant_image_stays_constant(
    seed: int, shape: tuple[int, ...], value: float
) -> None:
    spatial = replace(EVERYTHING, noise=0, brightness=0, erase=0)
    labels = torch.randint(0, 3, (2, *shape), generator=seeded(seed)) * 7
    varied, moved = apply(drawn(spatial, shape, batch=2, seed=seed), torch.full((2, 1, *shape), value), labels)
    assert torch.allclose(varied, torch.tensor(value), rtol=1e-5, atol=1e-6)
    assert set(moved.unique().tolist()) <= {0, 7, 14}
    assert moved.dtype == torch.int64
