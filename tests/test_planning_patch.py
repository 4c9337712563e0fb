"""How much a segmentation network sees, and how deep it is."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planned import chosen, segmentation

from medvision.networks import DynUNet
from medvision.planning import Request
from medvision.planning.grid import grid_of
from medvision.planning.network import segmenter
from medvision.planning.patch import Sampling, sampling_of, topology_of, width_of


def sampled(memory_gb: float = 8.0, **fields: object) -> Sampling:
    data = segmentation(**fields)  # type: ignore[arg-type]
    return sampling_of(data, grid_of(data), Request("x", memory_gb=memory_gb))


def test_a_crop_is_seen_whole_and_halved_down_to_four_voxels() -> None:
    found = sampled()
    assert found.patch == (40, 56, 40)
    assert found.topology.isotropic
    assert found.topology.divisor == (8, 8, 8)
    assert found.batch == 7  # 5 % of 200 x 36 x 50 x 35 voxels are 7.03 patches
    assert chosen(found.decisions)["predict.window"] == [40, 56, 40]
    assert not found.whole


def test_few_voxels_leave_the_least_batch_and_many_the_greatest() -> None:
    assert sampled(cases=20).batch == 2
    assert sampled(cases=5000).batch == 16


def test_a_large_volume_is_cut_until_two_patches_fit() -> None:
    found = sampled(spacing=(1, 1, 1), shape=(400, 400, 300))
    held = math.prod(found.patch) * 32 * 58 * 1.5 / 1e9
    assert held * 2 <= 8
    assert found.batch == 2
    assert found.patch == (96, 128, 96)
    smaller = sampled(memory_gb=2.0, spacing=(1, 1, 1), shape=(400, 400, 300))
    assert math.prod(smaller.patch) < math.prod(found.patch)
    assert "fit into 2 GB" in smaller.decisions[0].reason


def test_thick_slices_are_halved_once_the_others_are_as_coarse() -> None:
    topology = topology_of((160, 160, 16), (0.8, 0.8, 5.0))
    assert topology.kernels[0] == (3, 3, 1)
    assert topology.strides[0] == (2, 2, 1)
    assert topology.divisor[2] < topology.divisor[0]
    assert not topology.isotropic
    found = sampled(spacing=(0.8, 0.8, 5.0), shape=(400, 400, 20))
    assert found.patch[2] <= 24
    network = chosen(segmenter(found))
    assert network["network.strides"] == [list(row) for row in found.topology.strides]
    rows = {name: tuple(map(tuple, network[f"network.{name}"])) for name in ("strides", "kernels")}
    assert DynUNet(channels=tuple(network["network.channels"]), **rows).divisor == found.topology.divisor


def test_an_axis_alone_is_halved_only_while_it_is_long() -> None:
    assert topology_of((64, 6, 6), (1, 1, 1)).divisor == (8, 1, 1)  # 64, 32, 16, 8: under 12, it stays


def test_pictures_of_one_size_that_can_be_halved_are_seen_whole() -> None:
    found = sampled(spacing=None, shape=(64, 64, 1), dimensions=2)
    assert found.whole
    assert chosen(found.decisions)["train.patch"] is None
    assert chosen(found.decisions)["predict.window"] is None
    odd = sampled(spacing=None, shape=(60, 64, 1), dimensions=2)
    assert (odd.patch, odd.whole) == ((64, 64), False)


def test_an_image_too_small_for_three_stages_is_padded() -> None:
    found = sampled(spacing=(1, 1, 1), shape=(5, 6, 2))
    assert len(found.topology.kernels) == 3
    assert all(side % n == 0 for side, n in zip(found.patch, found.topology.divisor, strict=True))
    assert max(found.patch) > max(found.topology.divisor)


def test_little_memory_gives_the_smallest_patch_rather_than_none() -> None:
    found = sampled(memory_gb=1e-6, shape=(400, 400, 300))
    assert found.batch == 2
    assert max(found.patch) <= 2 * max(found.topology.divisor)


def test_feature_maps_double_up_to_a_limit() -> None:
    assert width_of(4, 3) == (32, 64, 128, 256)
    assert width_of(8, 2) == (32, 64, 128, 256, 512, 512, 512, 512)


@settings(max_examples=40, deadline=None)
@given(
    size=st.lists(st.integers(1, 700), min_size=2, max_size=3),
    thick=st.floats(0.3, 10),
    memory=st.sampled_from([0.5, 8.0, 40.0]),
)
def test_every_patch_suits_its_network(size: list[int], thick: float, memory: float) -> None:
    flat = len(size) == 2
    data = segmentation(
        spacing=None if flat else (1, 1, round(thick, 2)), shape=(*size, 1)[:3], dimensions=2 if flat else 3
    )
    found = sampling_of(data, grid_of(data), Request("x", memory_gb=memory))
    divisor = found.topology.divisor
    assert all(side % n == 0 for side, n in zip(found.patch, divisor, strict=True))
    assert any(side > n for side, n in zip(found.patch, divisor, strict=True))
    assert len(found.topology.strides) + 1 == len(found.topology.kernels) >= 3
    assert 2 <= found.batch <= 16


@pytest.mark.parametrize("spacing", [(1, 1, 1), (1, 1, 8)])
def test_a_network_of_a_plan_takes_its_patch(spacing: tuple[int, int, int]) -> None:
    torch = pytest.importorskip("torch")
    topology = topology_of((16, 16, 8), spacing)
    network = DynUNet(channels=(2,) * len(topology.kernels), strides=topology.strides, kernels=topology.kernels)  # type: ignore[arg-type]
    built = network.build(in_channels=1, out_channels=2, dimensions=3).eval()
    with torch.inference_mode():
        assert built(torch.zeros(1, 1, 16, 16, 8)).shape == (1, 2, 16, 16, 8)
