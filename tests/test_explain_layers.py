from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from monai.networks.nets import DenseNet, DynUNet, ResNet, SegResNet, UNet

from medvision.errors import UsageError
from medvision.explain import HiResCam, Region, SegHiResCam, SmoothedGradient
from medvision.explain.layers import Stage, bottleneck, finest_needed, stages_by_grid, stages_in_order


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def resnet(axes: int, block: str = "basic") -> ResNet:
    return ResNet(
        block, [1, 1, 1, 1], [4, 4, 8, 8], spatial_dims=axes, n_input_channels=1, num_classes=2, conv1_t_stride=2
    )


def densenet(axes: int) -> DenseNet:
    return DenseNet(axes, 1, 3, init_features=4, growth_rate=4, block_config=(1, 1, 1), bn_size=1)


def dynunet(levels: int = 4, heads: int = 2) -> DynUNet:
    return DynUNet(
        3, 1, 3, [3] * levels, [1] + [2] * (levels - 1), [2] * (levels - 1), filters=[4] * levels,
        deep_supervision=True, deep_supr_num=heads,
    )  # fmt: skip


STAGES = [Stage((16, 24, 16), ("a",)), Stage((8, 12, 8), ("b",)), Stage((4, 6, 4), ("c",)), Stage((2, 3, 2), ("d",))]
SIZE = (32, 48, 32)


@pytest.mark.parametrize(
    ("spacing", "lesion", "chosen"),
    [
        ((1, 1, 1), None, "b"),  # c has 8 mm cells, but only 4 of them an axis
        ((2, 2, 2), None, "b"),  # just 8 mm
        ((2, 2, 2.1), None, "a"),  # b has 8.4 mm along the last axis
        ((3, 3, 3), None, "a"),
        ((5, 5, 5), None, "c"),  # none is fine: the finer of the last two
        ((3, 3, 3), 24.0, "b"),  # half the lesion is 12 mm
        ((3, 3, 3), 10.0, "a"),  # half the lesion is less than 8 mm
        (None, None, "b"),
    ],
)
def test_the_deepest_layer_with_fine_cells_is_chosen(
    spacing: tuple[float, float, float] | None, lesion: float | None, chosen: str
) -> None:
    assert finest_needed(STAGES, SIZE, spacing, lesion).layers == (chosen,)


def test_the_only_stage_is_chosen_when_it_is_coarse_too() -> None:
    only = Stage((2, 2), ("only",))
    assert finest_needed([only], (64, 64), None, None) is only
    assert only.is_coarse((64, 64))


def test_an_axis_of_few_voxels_may_have_few_cells() -> None:
    assert not Stage((16, 16, 4), ("a",)).is_coarse((64, 64, 4))
    assert Stage((16, 16, 2), ("a",)).is_coarse((64, 64, 4))


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_the_stages_of_a_resnet_are_its_blocks_not_branches_inside_them(block: str) -> None:
    # The first convolution of a bottleneck still has the grid of the stage before.
    stages = stages_by_grid(resnet(3, block).eval(), torch.rand(1, 1, 32, 48, 32))
    assert [(stage.cells, stage.layers[0]) for stage in stages] == [
        ((16, 24, 16), "act"),
        ((8, 12, 8), "layer1"),
        ((4, 6, 4), "layer2"),
        ((2, 3, 2), "layer3"),
        ((1, 2, 1), "layer4"),
    ]


def test_the_stages_of_a_densenet_end_before_it_pools() -> None:
    stages = stages_by_grid(densenet(2).eval(), torch.rand(1, 1, 64, 64))
    assert [(stage.cells, stage.layers[0]) for stage in stages] == [
        ((32, 32), "features.relu0"),
        ((16, 16), "features.denseblock1"),
        ((8, 8), "features.denseblock2"),
        ((4, 4), "features"),
    ]


def test_hirescam_of_a_3d_resnet_takes_cells_of_4_voxels_and_states_coarse_ones() -> None:
    x = torch.rand(1, 1, 32, 48, 32)
    fine = HiResCam()(resnet(3), x, 0, spacing_mm=(1, 1, 1))
    assert (fine.parameters["layer"], fine.parameters["cell_mm"]) == ("layer1", [4.0, 4.0, 4.0])
    assert fine.parameters["coarse"] is False
    assert HiResCam(layer="layer3")(resnet(3), x, 0).parameters["coarse"] is True


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("make", [resnet, densenet])
def test_both_methods_work_on_networks_in_2d_and_3d(make: type, axes: int) -> None:
    subject, x = make(axes), torch.rand(1, 1, *[16] * axes)
    for method in (HiResCam(), SmoothedGradient(samples=1)):
        # The one class or the other: HiResCAM of a random network may be 0 for one of them.
        maps = [method(subject, x, target).values for target in (0, 1)]
        assert maps[0].shape == (16,) * axes
        assert sum(float(values.max()) for values in maps) > 0
        assert min(float(values.min()) for values in maps) >= 0
        assert subject.training


@pytest.mark.parametrize("make", [resnet, densenet])
def test_the_map_of_a_case_is_the_same_after_other_cases(make: type) -> None:
    subject, first, second = make(2), torch.rand(1, 1, 32, 32), torch.rand(1, 1, 32, 32)
    alone = HiResCam()(subject, first, 0).values
    HiResCam()(subject, second, 1)
    assert np.array_equal(HiResCam()(subject, first, 0).values, alone)


def region(*shape: int, label: int = 1) -> Region:
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(slice(size // 4, size // 2) for size in shape)] = True
    return Region(mask, label)


@pytest.mark.parametrize(
    ("subject", "layer"),
    [
        (dynunet(3, 1), "bottleneck"),
        (SegResNet(3, 8, 1, 2, blocks_down=(1, 1, 1), blocks_up=(1, 1)), "down_layers.2"),
        (UNet(3, 1, 2, (4, 4, 4, 4), (2, 2, 2), norm="batch"), "model.1.submodule.1.submodule.1"),
    ],
)
def test_the_bottleneck_of_segmentation_networks_is_found(subject: torch.nn.Module, layer: str) -> None:
    x = torch.rand(1, 1, 32, 32, 32)
    stages = stages_in_order(subject.eval(), x)
    deepest = min(stages, key=lambda stage: stage.cells)
    assert deepest.layers[0] == layer
    if not deepest.is_coarse((32, 32, 32)):
        assert bottleneck(stages, (32, 32, 32)) is deepest


@pytest.mark.parametrize(
    ("subject", "layer"),
    [
        (dynunet(3, 1), "skip_layers.next_layer"),  # which is the output of upsamples.0
        (dynunet(4, 2), "upsamples.0"),
        (dynunet(4, 1), "upsamples.0"),
        (SegResNet(3, 8, 1, 3, blocks_down=(1, 1, 1), blocks_up=(1, 1)), "up_layers.0"),
        (UNet(3, 1, 3, (4, 4, 4), (2, 2), norm="batch"), "model.1"),
    ],
)
def test_seg_hirescam_takes_the_first_stage_of_the_decoder_where_the_bottleneck_is_coarse(
    subject: torch.nn.Module, layer: str
) -> None:
    x = torch.rand(1, 1, 16, 16, 16)
    found = SegHiResCam()(subject, x, region(16, 16, 16), spacing_mm=(1, 1, 2))
    assert found.parameters["layer"] == layer
    assert found.values.shape == (16, 16, 16)
    cell = found.parameters["cell_voxels"]
    assert found.parameters["cell_mm"] == [cell[0], cell[1], 2 * cell[2]]
    assert subject.training


class Halves(torch.nn.Module):
    """Means of 4 pixels at the bottleneck, repeated to full size; the logit of label 1 is 3 times them."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = torch.nn.AvgPool2d(2)
        self.up = torch.nn.Upsample(scale_factor=2)
        self.aside = torch.nn.Upsample(scale_factor=0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        deep = self.pool(x)
        self.aside(x)
        full = self.up(deep)
        return torch.cat([-full, 3 * full], dim=1)


def test_seg_hirescam_is_activation_times_what_it_adds_to_the_region() -> None:
    mask = np.zeros((16, 16), dtype=bool)
    mask[4:6, 8:10] = True
    found = SegHiResCam(layer="pool")(Halves(), torch.full((1, 1, 16, 16), 2.0), Region(mask, 1))
    # Cell (2, 4) holds 2, and each of its 4 pixels in the region counts 3 times: 24, 9/16 of it in the cell's pixels.
    assert found.parameters["score"] == pytest.approx(24.0)
    assert found.values[4:6, 8:10] == pytest.approx(24 * 9 / 16)
    assert found.values.sum() == pytest.approx(4 * 24)
    assert not found.values[8:].any()


def test_a_layer_that_the_answer_does_not_depend_on_gives_way_to_one_that_it_does() -> None:
    # `aside` comes last on the coarse grid, as heads of deep supervision do, and leads nowhere.
    assert SegHiResCam()(Halves(), torch.rand(1, 1, 16, 16), region(16, 16)).parameters["layer"] == "pool"


def test_a_single_logit_can_be_explained_for_and_against_the_structure() -> None:
    class One(Halves):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x)[:, 1:]

    x = torch.ones(1, 1, 16, 16)
    assert SegHiResCam()(One(), x, region(16, 16, label=1)).parameters["score"] == 3 * 16
    assert SegHiResCam()(One(), x, Region(region(16, 16).mask)).parameters["score"] == 3 * 16
    against = SegHiResCam()(One(), x, region(16, 16, label=0))
    assert against.parameters["score"] == -3 * 16
    assert not against.values.any()


def test_a_region_without_a_label_is_explained_by_the_likeliest_label_at_each_voxel() -> None:
    class Three(Halves):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            negative, positive = super().forward(x).chunk(2, dim=1)
            # A background of 9, label 1 in the one half of the image, label 2 in the other.
            first, second = positive.clone(), positive.clone() + 3
            second[..., 8:] -= 6
            return torch.cat([0 * negative + 9, first, second], dim=1)

    both = np.zeros((16, 16), dtype=bool)
    both[0, 6:10] = True
    # In each of 2 pixels label 2 with 3 + 3, then label 1 with 3.
    assert SegHiResCam()(Three(), torch.ones(1, 1, 16, 16), Region(both)).parameters["score"] == 2 * 6 + 2 * 3


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (Region(np.ones((16, 16), dtype=bool), 2), "no class 2"),
        (Region(np.zeros((16, 16), dtype=bool), 1), "empty"),
        (Region(np.ones((16, 8), dtype=bool), 1), "does not fit"),
        (Region(np.ones((16, 16, 16), dtype=bool), 1), "and 3 axes is needed"),
    ],
)
def test_a_region_that_cannot_be_explained_is_refused(target: Region, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SegHiResCam()(Halves(), torch.rand(1, 1, 16, 16), target)


def test_a_network_without_a_bottleneck_is_refused_as_its_map_would_repeat_the_answer() -> None:
    flat = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3, padding=1), torch.nn.Conv2d(2, 2, 1))
    with pytest.raises(UsageError, match="no bottleneck") as caught:
        SegHiResCam()(flat, torch.rand(1, 1, 16, 16), region(16, 16))
    assert caught.value.code == "not-explainable"


def test_a_coarse_bottleneck_stays_where_the_decoder_has_nothing_but_full_size() -> None:
    assert bottleneck([Stage((4, 4), ("deep",)), Stage((16, 16), ("full",))], (16, 16)).layers == ("deep",)
    assert bottleneck([Stage((16, 16), ("full",)), Stage((4, 4), ("deep",))], (16, 16)).layers == ("deep",)


def test_a_network_that_keeps_its_outputs_can_still_be_copied_after_it_was_explained() -> None:
    subject = dynunet()
    before = list(subject.heads)
    SegHiResCam()(subject, torch.rand(1, 1, 16, 16, 16), region(16, 16, 16))
    assert all(now is then for now, then in zip(subject.heads, before, strict=True))
    assert copy.deepcopy(subject).training


def test_what_a_module_notes_during_the_pass_is_forgotten() -> None:
    class Noting(Halves):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.seen = x
            self.count = getattr(self, "count", 0) + 1
            return super().forward(x)

    subject = Noting()
    subject.count = 7
    SegHiResCam()(subject, torch.rand(1, 1, 16, 16), region(16, 16))
    assert subject.count == 7
    assert not hasattr(subject, "seen")
