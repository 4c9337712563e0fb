"""Values of samples are changed as their parameters say: every answer here can be worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.training.augment import Variation, apply
from medvision.training.augment.values import gaussian


def with_values(dimensions: int = 2, *, batch: int = 1, **changes: Any) -> Variation:
    """Return a variation of values alone; a number stands for a row of it."""
    rows = {
        name: torch.full((batch, 1), value) if isinstance(value, float) else value for name, value in changes.items()
    }
    return replace(Variation.still(batch, dimensions), **rows)


def ramp() -> Any:
    return torch.tensor([0.0, 1.0, 2.0, 5.0]).reshape(1, 1, 2, 2)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"brightness": 2.0}, [0, 2, 4, 10]),
        ({"contrast": 0.5}, [1, 1.5, 2, 3.5]),
        ({"contrast": 2.0}, [0, 0, 2, 5]),
        ({"contrast": 2.0, "keeps_range": False}, [-2, 0, 2, 8]),
        ({"gamma": 2.0, "keeps_statistics": False}, [0, 0.2, 0.8, 5]),
        # turned over, 5 - x is 5, 4, 3, 0: squared, scaled and turned back
        ({"gamma_inverted": 2.0, "keeps_statistics": False}, [0, 1.8, 3.2, 5]),
        ({"brightness": 2.0, "contrast": 0.5}, [2, 3, 4, 7]),
    ],
)
def test_values_change_as_stated(changes: dict[str, Any], wanted: list[float]) -> None:
    varied, _ = apply(with_values(**changes), ramp())
    assert varied.ravel().tolist() == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("name", ["gamma", "gamma_inverted"])
@pytest.mark.parametrize("exponent", [0.5, 1.5])
def test_gamma_leaves_the_range_or_the_statistics(name: str, exponent: float) -> None:
    image = torch.randn(1, 2, 20, 20, generator=torch.Generator().manual_seed(0)) * 3 + 1
    free, _ = apply(with_values(**{name: exponent}, keeps_statistics=False), image)
    kept, _ = apply(with_values(**{name: exponent}), image)
    for channel in range(2):
        whole = image[0, channel]
        assert float(free[0, channel].min()) == pytest.approx(float(whole.min()), abs=1e-5)
        assert float(free[0, channel].max()) == pytest.approx(float(whole.max()), abs=1e-5)
        assert float(kept[0, channel].mean()) == pytest.approx(float(whole.mean()), abs=1e-4)
        assert float(kept[0, channel].std()) == pytest.approx(float(whole.std()), abs=1e-4)
        assert not torch.allclose(kept[0, channel], whole, atol=0.05)


def test_each_channel_has_its_own_factor_and_one_serves_all() -> None:
    images = torch.ones(2, 2, 3, 3)
    own = with_values(batch=2, brightness=torch.tensor([[1.0, 2.0], [3.0, 1.0]]))
    assert apply(own, images)[0].mean((2, 3)).tolist() == [[1, 2], [3, 1]]
    shared = with_values(batch=2, brightness=torch.tensor([[2.0], [1.0]]))
    assert apply(shared, images)[0].mean((2, 3)).tolist() == [[2, 2], [1, 1]]


def test_noise_has_the_deviation_stated_and_comes_from_the_samples_own_seed() -> None:
    noisy = with_values(batch=3, noise=torch.tensor([0.5, 0.0, 0.5]), seeds=torch.tensor([7, 7, 8]))
    varied, _ = apply(noisy, torch.zeros(3, 1, 100, 100))
    assert float(varied[0].std()) == pytest.approx(0.5, rel=0.05)
    assert abs(float(varied[0].mean())) < 0.02
    assert not varied[1].any()
    assert not torch.equal(varied[0], varied[2])
    assert torch.equal(varied[2], apply(noisy[2], torch.zeros(1, 1, 100, 100))[0][0])


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0.0, 5.0), min_size=1, max_size=4))
def test_the_weights_of_a_blur_sum_to_1_and_do_not_depend_on_those_beside_them(deviations: list[float]) -> None:
    weights = gaussian(torch.tensor(deviations))
    assert weights.sum(1).tolist() == pytest.approx([1.0] * len(deviations), abs=1e-5)
    assert torch.equal(weights, weights.flip(1))
    alone = gaussian(torch.tensor(deviations[:1]))[0]
    beyond = (weights.shape[1] - len(alone)) // 2
    assert torch.equal(weights[0, beyond : beyond + len(alone)], alone)


def test_a_blur_spreads_a_voxel_by_its_deviation_along_each_axis() -> None:
    image = torch.zeros(1, 1, 31, 31)
    image[0, 0, 15, 15] = 1.0
    varied, _ = apply(with_values(blur=torch.tensor([[[2.0, 1.0]]])), image)
    away = torch.arange(31.0) - 15
    assert float(varied.sum()) == pytest.approx(1, abs=1e-5)
    assert float((varied[0, 0].sum(1) * away**2).sum()) ** 0.5 == pytest.approx(2, rel=0.03)
    assert float((varied[0, 0].sum(0) * away**2).sum()) ** 0.5 == pytest.approx(1, rel=0.03)


def test_a_deviation_of_0_along_one_axis_leaves_that_axis_alone() -> None:
    image = torch.rand(1, 1, 9, 9, generator=torch.Generator().manual_seed(0))
    varied, _ = apply(with_values(blur=torch.tensor([[[0.0, 1.0]]])), image)
    assert torch.allclose(
        varied[0, 0, 3], apply(with_values(blur=torch.tensor([[[0.0, 1.0]]])), image[:, :, 3:4])[0][0, 0, 0]
    )
    assert not torch.allclose(varied, image)


def test_only_the_channel_that_was_drawn_is_blurred_or_coarsened() -> None:
    image = torch.rand(1, 2, 8, 6, 4, generator=torch.Generator().manual_seed(0))
    for changes in (
        {"blur": torch.tensor([[[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]])},
        {"low_resolution": torch.tensor([[0.5, 1.0]])},
    ):
        varied, _ = apply(with_values(3, **changes), image)
        assert torch.equal(varied[:, 1], image[:, 1])
        assert not torch.allclose(varied[:, 0], image[:, 0], atol=0.01)


def test_half_the_resolution_keeps_every_second_voxel_and_draws_lines_between() -> None:
    line = torch.tensor([0.0, 0, 4, 4, 8, 8, 0, 0]).reshape(1, 1, 8, 1).expand(1, 1, 8, 2)
    varied, _ = apply(with_values(low_resolution=0.5), line)
    assert varied[0, 0, :, 0].tolist() == pytest.approx([0, 1, 3, 5, 7, 6, 2, 0])


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_constant_image_stays_constant_but_for_noise_and_brightness(dimensions: int) -> None:
    image = torch.full((1, 1, *(6, 5, 4)[:dimensions]), 3.0)
    changes = {"contrast": 0.5, "gamma": 2.0, "gamma_inverted": 0.5, "low_resolution": 0.3}
    blur = torch.full((1, 1, dimensions), 0.8)
    box = torch.tensor([[[0.0, 0.5]] * dimensions])
    varied, _ = apply(with_values(dimensions, **changes, blur=blur, erased=box), image)
    assert torch.allclose(varied, image, atol=1e-5)


def test_a_box_is_filled_with_the_mean_of_each_channel() -> None:
    image = torch.stack([torch.arange(16.0), torch.arange(16.0) * 10]).reshape(1, 2, 4, 4)
    varied, _ = apply(with_values(erased=torch.tensor([[[0.0, 0.5], [0.25, 0.5]]])), image)
    assert varied[0, :, :2, 1:3].flatten(1).tolist() == [[7.5] * 4, [75.0] * 4]
    assert int((varied != image).sum()) == 8
