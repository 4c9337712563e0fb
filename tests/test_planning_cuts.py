"""What is cut is halved, as far as it goes, and named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_pipeline import TINY, pipeline

from medvision.networks import SegResNet, SwinUNETR
from medvision.pipeline import Settings, read_settings
from medvision.planning.cuts import CUTS, narrower, smaller_batch, smaller_patch


def settings(folder: Path, *, network: Any = None, **train: Any) -> Settings:
    found = read_settings(pipeline(folder, text=TINY))
    found = replace(found, train=replace(found.train, **train))
    return found if network is None else replace(found, network=replace(found.network, **network))


def test_the_batch_is_cut_before_the_width_and_the_width_before_the_patch() -> None:
    assert (smaller_batch, narrower, smaller_patch) == CUTS


def test_the_width_of_every_level_is_halved(tmp_path: Path) -> None:
    wished = settings(tmp_path, network={"channels": (16, 33, 64)})
    cut = narrower(wished)
    assert cut is not None
    assert cut.settings.network.channels == (8, 16, 32)
    assert cut.words == "the network's width: channels [8, 16, 32] in place of [16, 33, 64]"
    assert replace(cut.settings, network=wished.network) == wished, "nothing else is changed"
    assert narrower(cut.settings) is None, "8 channels are the fewest"


@pytest.mark.parametrize(
    ("network", "halved"),
    [
        (SegResNet(channels=32), 16),
        (SegResNet(channels=24), None),  # 12 are no multiple of 8
        (SwinUNETR(channels=24), 12),
        (SwinUNETR(channels=36, heads=(4, 4, 4, 4)), None),  # nor can four heads share 18
        (SwinUNETR(channels=12), None),
    ],
)
def test_a_width_of_one_number_is_halved_where_the_network_can_be_built_so(
    tmp_path: Path, network: Any, halved: int | None
) -> None:
    cut = narrower(replace(settings(tmp_path), network=network))
    assert (None if cut is None else cut.settings.network.channels) == halved  # type: ignore[union-attr]


def test_the_batch_is_halved_down_to_two(tmp_path: Path) -> None:
    cut = smaller_batch(settings(tmp_path, batch=7))
    assert cut is not None
    assert (cut.settings.train.batch, cut.words) == (3, "the batch: 3 samples in place of 7")
    cut = smaller_batch(cut.settings)
    assert cut is not None
    assert cut.settings.train.batch == 2
    assert smaller_batch(cut.settings) is None
    assert smaller_batch(settings(tmp_path, batch=1)) is None


@pytest.mark.parametrize(("batch", "shared_by", "smaller"), [(12, 4, 8), (8, 4, 4), (4, 4, None), (6, 3, 3), (9, 3, 6)])
def test_a_batch_that_processes_share_stays_a_multiple_of_their_number(
    tmp_path: Path, batch: int, shared_by: int, smaller: int | None
) -> None:
    cut = smaller_batch(settings(tmp_path, batch=batch), shared_by=shared_by)
    assert (cut and cut.settings.train.batch) == smaller


@pytest.mark.parametrize(
    ("patch", "smaller"),
    [
        ((40, 56, 40), (32, 48, 32)),
        ((72, 20, 16), (52, 16, 16)),
        ((36, 64, 12), (28, 48, 12)),
        ((20, 20, 16), (16, 16, 16)),
        ((12, 12, 12), None),
        ((16, 16, 16), None),
        (None, None),
    ],
)
def test_a_patch_is_cut_to_about_half_its_voxels(tmp_path: Path, patch: Any, smaller: Any) -> None:
    wished = settings(tmp_path, patch=patch)
    assert wished.network.divisor == 4
    cut = smaller_patch(wished)
    assert (None if cut is None else cut.settings.train.patch) == smaller
    if cut is not None:
        assert cut.words == f"the patch: {list(smaller)} voxels in place of {list(patch)}"


def test_a_patch_is_never_less_than_two_cells_of_the_deepest_level(tmp_path: Path) -> None:
    wished = settings(tmp_path, network={"channels": (8,) * 6}, patch=(128, 96, 64))
    assert wished.network.divisor == 32
    cut = smaller_patch(wished)
    assert cut is not None
    assert cut.settings.train.patch == (96, 64, 64)
    cut = smaller_patch(cut.settings)
    assert cut is not None
    assert cut.settings.train.patch == (64, 64, 64)
    assert smaller_patch(cut.settings) is None
