"""A network that answers what it is shown gives back, at every voxel, what went in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import nn

from medvision.errors import InputError
from medvision.frameworks import monai_module
from medvision.predict import (
    Over,
    Prediction,
    class_probabilities,
    from_tensor,
    label_probabilities,
    padded_to,
    probabilities,
    slabs,
    standardised_values,
    to_tensor,
    whole,
)
from medvision.predict.windows import starts, stepped


def voxel_probabilities(network: nn.Module, image: Any, how: Prediction, *, divisor: Any) -> Any:
    """The probabilities (K, *spatial) for an image (1, 1, *spatial)."""
    voxels = image[0].numpy()
    flat = voxels.ndim == 3
    voxels = voxels[..., None] if flat else voxels
    found = whole(over_of(network), voxels, how, dimensions=2 if flat else 3, divisor=divisor)
    return torch.from_numpy(probabilities(found, how)[..., 0] if flat else probabilities(found, how))


def over_of(network: nn.Module) -> Over:
    """What a network says of each input (C, *spatial)."""

    def over(inputs: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        with torch.no_grad():
            for each in inputs:
                yield network(torch.from_numpy(each)[None])[0].numpy()

    return over


class Mirror(nn.Module):
    """Its logits for two labels are the values of its input and their negatives; it notes the sizes that it saw."""

    def __init__(self, divisor: int = 1) -> None:
        super().__init__()
        self.divisor = divisor
        self.sizes: list[tuple[int, ...]] = []

    def forward(self, image: Any) -> Any:
        self.sizes.append(tuple(image.shape[2:]))
        assert not any(size % self.divisor for size in image.shape[2:])
        assert not torch.is_grad_enabled()
        return torch.cat([image, -image], dim=1)


def image_of(shape: tuple[int, ...], seed: int = 0) -> Any:
    return torch.randn(1, 1, *shape, generator=torch.Generator().manual_seed(seed))


def wanted(image: Any) -> Any:
    """The softmax of (x, -x) is 1 / (1 + exp(-2 x)) for the first label."""
    first = 1 / (1 + torch.exp(-2 * image[0, 0]))
    return torch.stack([first, 1 - first])


@settings(max_examples=15, deadline=None)
@given(
    shape=st.lists(st.integers(2, 20), min_size=2, max_size=3).map(tuple),
    window=st.one_of(st.none(), st.lists(st.integers(3, 12), min_size=3, max_size=3)),
    overlap=st.sampled_from([0.0, 0.25, 0.5]),
    divisor=st.sampled_from([1, 4]),
)
def test_every_voxel_gets_its_own_answer_through_any_window(
    shape: tuple[int, ...], window: list[int] | None, overlap: float, divisor: int
) -> None:
    image, network = image_of(shape), Mirror(divisor)
    how = Prediction(window=tuple(window[: len(shape)]) if window else None, overlap=overlap)
    found = voxel_probabilities(network, image, how, divisor=divisor)
    assert found.shape == (2, *shape)
    assert found.dtype == torch.float32
    assert torch.allclose(found, wanted(image), atol=1e-5)
    assert torch.allclose(found.sum(0), torch.ones(shape), atol=1e-5)


def test_a_window_is_rounded_up_to_what_the_network_can_take() -> None:
    network = Mirror(divisor=8)
    voxel_probabilities(network, image_of((20, 9)), Prediction(window=(9, 8)), divisor=8)
    assert set(network.sizes) == {(16, 8)}


def test_an_image_smaller_than_the_window_is_seen_once() -> None:
    network, image = Mirror(), image_of((5, 6, 3))
    found = voxel_probabilities(network, image, Prediction(window=(8, 8, 8)), divisor=1)
    assert network.sizes == [(8, 8, 8)]
    assert torch.allclose(found, wanted(image), atol=1e-6)


def test_an_image_larger_than_the_window_is_seen_in_parts_that_overlap() -> None:
    network = Mirror()
    voxel_probabilities(network, image_of((16, 8)), Prediction(window=(8, 8), overlap=0.5), divisor=1)
    assert network.sizes == [(8, 8)] * 3
    network = Mirror()
    voxel_probabilities(network, image_of((16, 8)), Prediction(window=(8, 8), overlap=0.0), divisor=1)
    assert network.sizes == [(8, 8)] * 2


class Middling(nn.Module):
    """Its first logit is 1 in the first half of a window and 0 in the second."""

    def forward(self, image: Any) -> Any:
        half = image.shape[2] // 2
        logits = torch.zeros(1, 2, *image.shape[2:])
        logits[:, 0, :half] = 1.0
        return logits


def test_where_windows_differ_the_one_that_has_the_voxel_in_its_middle_counts_more() -> None:
    found = voxel_probabilities(Middling(), image_of((12, 8)), Prediction(window=(8, 8), overlap=0.5), divisor=1)
    one = float(torch.tensor([1.0, 0.0]).softmax(0)[0])
    line = found[0, :, 4].tolist()  # windows start at 0 and 4; voxels 4 to 7 lie in both
    assert line[:4] == pytest.approx([one] * 4)
    assert line[8:] == pytest.approx([0.5] * 4)
    # Voxel 4 is in the middle of the first window, voxel 7 in that of the second.
    assert 0.5 < line[4] < line[5] < line[6] < line[7] < one


def test_padding_is_the_edges_value_at_the_far_ends() -> None:
    image = torch.arange(6.0).reshape(1, 1, 2, 3)
    padded = padded_to(image, 4)
    assert padded[0, 0].tolist() == [[0, 1, 2, 2], [3, 4, 5, 5], [3, 4, 5, 5], [3, 4, 5, 5]]
    assert padded_to(image, 1) is image


def test_padding_to_the_divisor_is_undone() -> None:
    network, image = Mirror(divisor=8), image_of((9, 16, 3))
    found = voxel_probabilities(network, image, Prediction(), divisor=8)
    assert network.sizes == [(16, 16, 8)]
    assert torch.allclose(found, wanted(image), atol=1e-6)


def test_the_classes_probabilities_are_the_softmax_of_the_logits_in_64_bits() -> None:
    class Three(nn.Module):
        def forward(self, image: Any) -> Any:
            return torch.tensor([[0.0, 1.0, 2.0]]) + 0 * image.sum()

    found = class_probabilities(over_of(Three()), image_of((4, 4))[0].numpy(), Prediction())
    powers = np.exp([0.0, 1.0, 2.0])
    assert found.dtype == np.float64
    assert found.tolist() == pytest.approx((powers / powers.sum()).tolist(), abs=1e-12)
    assert found.sum() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(("dimensions", "shape"), [(3, (2, 4, 5, 6)), (2, (3, 4, 5, 1))])
def test_voxels_become_a_tensor_and_come_back(dimensions: int, shape: tuple[int, ...]) -> None:
    voxels = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    voxels.flags.writeable = False
    tensor = to_tensor(voxels, dimensions=dimensions, device="cpu")
    assert tensor.shape == (1, *shape[: dimensions + 1])
    assert tensor.dtype == torch.float32
    layout = torch.channels_last if dimensions == 2 else torch.channels_last_3d
    assert tensor.is_contiguous(memory_format=layout)
    back = from_tensor(tensor[0], dimensions=dimensions)
    assert back.dtype == np.float32
    assert back.flags.c_contiguous
    assert np.array_equal(back, voxels)


def test_a_tensor_is_a_copy_of_the_voxels() -> None:
    voxels = np.ones((1, 2, 2, 2), np.float32)
    to_tensor(voxels, dimensions=3, device="cpu").zero_()
    assert voxels.all()


def test_a_tensor_with_gradients_comes_back_as_values() -> None:
    values = torch.ones(1, 2, 2, 2, requires_grad=True, dtype=torch.float64)
    assert from_tensor(values, dimensions=3).tolist() == np.ones((1, 2, 2, 2)).tolist()


@pytest.mark.parametrize(
    "fields",
    [
        {"window": (0, 8, 8)},
        {"overlap": 1.0},
        {"overlap": -0.1},
        {"overlap": float("nan")},
        {"precision": "fp32"},
        {"combine": "votes"},
        {"padding": "reflect"},
        {"tolerance": {"labels": 1.1}},
        {"review_margin": 1.5},
        {"windows": (8, 8, 8)},
    ],
)
def test_settings_that_make_no_sense_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Prediction(**fields)


def test_each_axis_can_have_a_divisor_of_its_own() -> None:
    network, image = Mirror(), image_of((9, 16, 3))
    found = voxel_probabilities(network, image, Prediction(), divisor=(8, 8, 1))
    assert torch.allclose(found, wanted(image), atol=1e-5)
    voxel_probabilities(network, image, Prediction(window=(9, 8, 3)), divisor=(8, 8, 1))
    assert set(network.sizes) == {(16, 16, 3), (16, 8, 3)}


class Fixed(nn.Module):
    """Its outputs are always the same."""

    def __init__(self, *outputs: float) -> None:
        super().__init__()
        self.outputs = torch.tensor([outputs])

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.outputs


def test_labels_have_probabilities_of_their_own_and_values_are_as_they_are() -> None:
    image, how = np.zeros((1, 4, 4), np.float32), Prediction()
    assert label_probabilities(over_of(Fixed(0.0, np.log(3.0))), image, how) == pytest.approx([0.5, 0.75])
    assert standardised_values(over_of(Fixed(-2.5, 40.0)), image, how).tolist() == [-2.5, 40.0]


def test_a_value_that_is_no_number_is_refused() -> None:
    with pytest.raises(InputError, match="no finite value"):
        standardised_values(over_of(Fixed(1.0, float("nan"))), np.zeros((1, 4, 4), np.float32), Prediction())


class Ramp(nn.Module):
    """Says of each voxel how far along the first axis it lies, whatever the image."""

    def forward(self, image: Any) -> Any:
        rise = torch.linspace(-2.0, 2.0, image.shape[2]).reshape(1, 1, -1, 1).expand(1, 1, *image.shape[2:])
        return torch.cat([torch.zeros_like(rise), rise], dim=1)


@pytest.mark.parametrize("window", [None, (12, 8)])
def test_answers_of_mirrored_images_are_mirrored_back_before_their_mean_is_taken(window: Any) -> None:
    image = image_of((12, 8))
    plain = voxel_probabilities(Ramp(), image, Prediction(window=window), divisor=1)
    both = voxel_probabilities(Ramp(), image, Prediction(window=window, mirror_axes=(0,)), divisor=1)
    assert torch.allclose(both, (plain + plain.flip(1)) / 2, atol=1e-6)
    assert torch.allclose(both[1], torch.full((12, 8), 0.5), atol=1e-6), "what follows the grid cancels out"
    other = voxel_probabilities(Ramp(), image, Prediction(window=window, mirror_axes=(1,)), divisor=1)
    assert torch.allclose(other, plain, atol=1e-6), "nothing changes along the second axis"
    network = Mirror(divisor=1)
    voxel_probabilities(network, image, Prediction(mirror_axes=(0, 1)), divisor=1)
    assert len(network.sizes) == 4, "as it is, along each axis, along both"


def test_the_answer_for_a_whole_image_is_the_mean_over_its_mirror_images() -> None:
    class Corner(nn.Module):
        def forward(self, image: Any) -> Any:
            return torch.stack([torch.zeros(1), image[:, 0, 0, 0]], dim=1)

    image, how = np.array([[[0, 1], [2, 5]]], np.float32), Prediction(mirror_axes=(0, 1))
    values = torch.tensor([0.0, 1.0, 2.0, 5.0], dtype=torch.float64)
    assert standardised_values(over_of(Corner()), image, how).tolist() == [0.0, 2.0]
    assert label_probabilities(over_of(Corner()), image, how)[1] == pytest.approx(values.sigmoid().mean().item())
    chances = class_probabilities(over_of(Corner()), image, how)
    assert chances[1] == pytest.approx(torch.stack([values * 0, values]).softmax(0)[1].mean().item())
    assert chances.sum() == pytest.approx(1.0)


def test_no_more_is_held_than_a_window_and_no_plane_twice() -> None:
    image = np.random.default_rng(0).normal(size=(1, 40, 9, 8)).astype(np.float32)
    how = Prediction(window=(8, 8, 8))
    found = [(slab.start, slab.stop) for slab in slabs(over_of(Mirror()), image, how, dimensions=3, divisor=1)]
    assert all(stop - start <= 8 for start, stop in found)
    assert [start for start, _ in found[1:]] == [stop for _, stop in found[:-1]]
    assert (found[0][0], found[-1][1]) == (0, 40)


def test_an_image_smaller_than_the_window_is_in_its_middle() -> None:
    class Sees(nn.Module):
        def forward(self, image: Any) -> Any:
            self.seen = image.clone()
            return torch.cat([image, -image], 1)

    for padding, expected in (("edge", [5, 5, 5, 6, 7, 7]), ("zero", [0, 5, 5, 6, 7, 0])):
        network = Sees()
        image = np.array([5, 5, 6, 7], np.float32).reshape(1, 4, 1, 1)
        how = Prediction(window=(6, 1, 1), padding=padding)  # type: ignore[arg-type]
        whole(over_of(network), image, how, dimensions=3, divisor=1)
        assert network.seen.ravel().tolist() == expected


def test_windows_of_one_value_are_asked_about_once() -> None:
    """What the windows in the empty part say is said of all of them, mirrored too, and voxel by voxel the same."""
    image = np.zeros((1, 64, 8, 8), np.float32)
    image[:, 40:] = np.random.default_rng(0).normal(size=(1, 24, 8, 8))
    how = Prediction(window=(8, 8, 8), mirror_axes=(0,))
    network = Ramp3()
    found = whole(over_of(network), image, how, dimensions=3, divisor=1)
    assert network.asked == 2 * (1 + 6), "of 15 windows 9 hold nothing but 0"
    network = Ramp3()
    plain = whole(over_of(network), image + 1e-7 * np.arange(8, dtype=np.float32), how, dimensions=3, divisor=1)
    assert network.asked == 2 * 15
    assert np.allclose(found, plain, atol=1e-5)


class Ramp3(nn.Module):
    """Says of each voxel its value and how far along the first axis it lies, and counts how often it is asked."""

    asked = 0

    def forward(self, image: Any) -> Any:
        self.asked += 1
        rise = torch.linspace(-2.0, 3.0, image.shape[2]).reshape(1, 1, -1, 1, 1).expand_as(image)
        return torch.cat([image, rise], dim=1)


@pytest.mark.parametrize("values", [1, 9])
def test_many_values_of_empty_windows_are_told_apart(values: int) -> None:
    image = np.repeat(np.arange(16, dtype=np.float32) % values, 4).reshape(1, 64, 1, 1)
    how = Prediction(window=(4, 1, 1), overlap=0.0)
    found = whole(over_of(Ramp3()), image, how, dimensions=3, divisor=1)
    logits = np.stack([image[0], np.tile(np.linspace(-2, 3, 4, dtype=np.float32), 16).reshape(64, 1, 1)])
    assert np.allclose(found, np.exp(logits) / np.exp(logits).sum(0), atol=1e-6)


def test_logits_are_averaged_as_logits_where_the_settings_say_so() -> None:
    image = image_of((12, 8))[0].numpy()[..., None]
    how = Prediction(mirror_axes=(0,), combine="logits")
    found = whole(over_of(Ramp()), image, how, dimensions=2, divisor=1)
    assert np.allclose(found, 0, atol=1e-6), "the mean of a ramp and its mirror image"
    chances = class_probabilities(over_of(Fixed(0.0, 2.0)), image, Prediction(combine="logits"))
    assert chances.tolist() == pytest.approx([1 / (1 + np.exp(2)), np.exp(2) / (1 + np.exp(2))])
    labels = label_probabilities(over_of(Fixed(0.0, np.log(3.0))), image, Prediction(combine="logits"))
    assert labels == pytest.approx([0.5, 0.75])


# windows as MONAI lays them


@pytest.mark.parametrize("shape", [(20, 17, 9), (8, 8, 8), (5, 30, 12), (3, 4, 5)])
@pytest.mark.parametrize(("overlap", "padding", "mode"), [(0.25, "zero", "constant"), (0.6, "edge", "replicate")])
def test_stepped_windows_that_count_alike_are_monais(
    shape: tuple[int, int, int], overlap: float, padding: str, mode: str
) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv3d(4, 3, 3, padding=1)).eval()
    image = torch.rand(1, 1, *shape)
    how = Prediction((8, 8, 8), overlap, combine="logits", padding=padding, weighting="constant", placing="stepped")
    ours = whole(over_of(network), image[0].numpy(), how, dimensions=3, divisor=1)
    with torch.inference_mode():
        theirs = monai_module("inferers").sliding_window_inference(
            image, (8, 8, 8), 2, network, overlap=overlap, padding_mode=mode
        )
    np.testing.assert_allclose(ours, theirs[0].numpy(), atol=1e-6)


def test_windows_are_spaced_evenly_or_in_steps() -> None:
    assert starts(100, 40, 0.25) == (0, 30, 60), "one distance"
    assert stepped(100, 40, 0.25) == (0, 30, 60)
    assert (starts(95, 40, 0.25), stepped(95, 40, 0.25)) == ((0, 28, 55), (0, 30, 55))
