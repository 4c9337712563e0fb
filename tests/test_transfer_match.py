"""Weights of other libraries become ours, and the network answers as theirs did, to the last float."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from foreign_weights import (
    Bottleneck,
    DenseNet,
    PlainUNet,
    ResNet,
    TimmViT,
    as_hub_vit,
    as_torchvision_vit,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision import networks as ours
from medvision.errors import PipelineError
from medvision.frameworks import state_of
from medvision.parts import Parts
from medvision.transfer import FAMILIES, Foreign, Match, Origin, match, recognise, require
from medvision.transfer.adapt import adapt_kernel, adapt_positions
from medvision.transfer.families import longest_prefix

HERE = Origin("file.pth", "torch", "0" * 64, None)


@pytest.fixture(autouse=True)
def _seeded() -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def foreign(tensors: Any, **changes: Any) -> Foreign:
    state = tensors.state_dict() if isinstance(tensors, torch.nn.Module) else tensors
    return Foreign(dict(state), replace(HERE, **changes))


def loaded(source: Any, settings_: Any, *, grid: Any = None, **build: Any) -> tuple[Any, Match]:
    """Return our network after it took what it can, in evaluation mode, and the match."""
    network = settings_.build(**{"in_channels": 3, "out_channels": 5, "dimensions": 2, **build}).eval()
    matched = match(source if isinstance(source, Foreign) else foreign(source), network, settings_.parts, grid=grid)
    matched.load(network)
    return network, matched


def resnet(**changes: Any) -> Any:
    return ours.ResNet(**{"blocks": (1, 1, 1, 1), "channels": (4, 8, 8, 8), **changes})


def answers(network: Any, image: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return network.eval()(image)


def states(matched: Match, part: str = "encoder") -> set[str]:
    return {row.state for row in matched.rows if row.part == part}


PICTURE = torch.linspace(-1, 1, 2 * 3 * 40 * 32).sin().mul(3).sin().reshape(2, 3, 40, 32)  # rows, columns
GREY = PICTURE[:, :1]


# families: the layouts of the published networks, at their size


@pytest.mark.parametrize(
    ("theirs", "mine", "parameters"),
    [
        (
            lambda: ResNet(widths=(64, 128, 256, 512), blocks=(2, 2, 2, 2), classes=1000),
            ours.ResNet(blocks=(2, 2, 2, 2), channels=(64, 128, 256, 512)),
            11_689_512,
        ),
        (
            lambda: ResNet(widths=(64, 128, 256, 512), blocks=(3, 4, 6, 3), block=Bottleneck, classes=1000),
            ours.ResNet(block="bottleneck", blocks=(3, 4, 6, 3), channels=(64, 128, 256, 512)),
            25_557_032,
        ),
        (
            lambda: DenseNet(width=64, growth=32, blocks=(6, 12, 24, 16), classes=1000),
            ours.DenseNet(blocks=(6, 12, 24, 16), channels=64, growth=32),
            7_978_856,
        ),
        (
            lambda: TimmViT(size=224, patch=16, width=192, depth=12, classes=1000),
            ours.ViT(image_size=(224, 224), patch_size=(16, 16), channels=192, blocks=12, heads=3),
            5_717_416,
        ),
    ],
    ids=["ResNet-18", "ResNet-50", "DenseNet-121", "ViT-Ti/16"],
)
def test_the_published_networks_are_taken_as_a_whole_but_for_their_head(
    theirs: Any, mine: Any, parameters: int
) -> None:
    """The published number of parameters says that the layout built here is the real one, and none is left out."""
    with torch.device("meta"):
        source = theirs()
    assert sum(parameter.numel() for parameter in source.parameters()) == parameters
    state = {name: torch.zeros_like(tensor, device="cpu") for name, tensor in source.state_dict().items()}
    network = mine.build(in_channels=3, out_channels=2, dimensions=2)
    matched = match(foreign(state), network, mine.parts, grid=(14, 14))
    assert matched.share_of_parameters == matched.share_of_tensors == 1
    assert {row.part for row in matched.rows if not row.taken} == {"head"}
    assert [name.split(".")[0] for name in matched.unused] in (["fc"] * 2, ["classifier"] * 2, ["head"] * 2)


# families: the same answers


@pytest.mark.parametrize("shortcut_bias", [True, False])
@pytest.mark.parametrize(("kind", "block"), [("basic", None), ("bottleneck", Bottleneck)])
def test_a_torchvision_resnet_answers_as_before_on_pictures_with_our_axes(
    kind: str, block: Any, shortcut_bias: bool
) -> None:
    theirs = ResNet(**({"block": block} if block else {}))
    network, matched = loaded(theirs, resnet(block=kind, shortcut_bias=shortcut_bias))
    assert matched.family == "torchvision or timm ResNet"
    assert matched.share_of_parameters == matched.share_of_tensors == 1
    assert not matched.unused
    torch.testing.assert_close(answers(network, PICTURE.mT), answers(theirs, PICTURE))


def test_medicalnet_resnet_10_answers_as_before_and_its_axes_are_ours() -> None:
    theirs = ResNet(dims=3, inputs=1, classes=2)
    state = {f"module.{name}": tensor for name, tensor in theirs.state_dict().items() if not name.startswith("fc")}
    state["module.conv_seg.0.weight"] = torch.zeros(8, 8, 2, 2, 2)
    network, matched = loaded(state, resnet(), in_channels=1, out_channels=2, dimensions=3)
    assert matched.family == "MedicalNet ResNet"
    assert matched.share_of_parameters == 1
    assert matched.unused == ("module.conv_seg.0.weight",)
    assert states(matched, "head") == {"missing"}
    volume = torch.randn(1, 1, 24, 20, 16)
    found: list[torch.Tensor] = []
    network.layer4.register_forward_hook(lambda *given: found.append(given[2]))
    answers(network, volume)
    with torch.inference_mode():
        torch.testing.assert_close(found[0], theirs.eval().features(volume))


@pytest.mark.parametrize("published_first", [True, False])
def test_a_torchvision_densenet_answers_as_before(published_first: bool) -> None:
    theirs = DenseNet()
    state = dict(theirs.state_dict())
    if published_first:  # the file of 2017 has norm.1 for norm1 within layers
        state = {
            name.replace("norm1", "norm.1")
            .replace("conv1", "conv.1")
            .replace("norm2", "norm.2")
            .replace("conv2", "conv.2")
            if "denselayer" in name
            else name: tensor
            for name, tensor in state.items()
        }
    network, matched = loaded(state, ours.DenseNet(blocks=(2, 1), channels=8, growth=4))
    assert matched.family is not None
    assert ("first published" in matched.family) == published_first
    assert matched.share_of_parameters == 1
    torch.testing.assert_close(answers(network, PICTURE.mT), answers(theirs, PICTURE))


VIT = {"channels": 12, "blocks": 2, "heads": 3, "patch_size": (4, 4)}


@pytest.mark.parametrize("layout", ["timm", "timm with scales", "torchvision", "hub"])
def test_a_vision_transformer_answers_as_before_in_each_layout(layout: str) -> None:
    theirs = TimmViT(scaled="scales" in layout)
    turn = {"torchvision": as_torchvision_vit, "hub": as_hub_vit}.get(layout, lambda state: state)
    network, matched = loaded(turn(dict(theirs.state_dict())), ours.ViT(image_size=(16, 16), **VIT))
    assert matched.share_of_parameters == 1
    image = PICTURE[:, :, :16, :16]
    found: list[torch.Tensor] = []
    network.norm.register_forward_hook(lambda *given: found.append(given[2]))
    answers(network, image.mT)
    theirs.head = torch.nn.Identity()
    torch.testing.assert_close(found[0][:, 0], answers(theirs, image))


def test_a_self_supervised_swin_encoder_becomes_that_of_swin_unetr() -> None:
    settings_ = ours.SwinUNETR(channels=12)
    source = settings_.build(in_channels=1, out_channels=14, dimensions=3).swinViT.eval()
    state = {f"module.{n}".replace("mlp.linear", "mlp.fc"): t for n, t in source.state_dict().items()}
    state |= {"module.rotation_head.weight": torch.ones(4, 4), "module.rotation_head.bias": torch.ones(4)}
    network, matched = loaded(state, settings_, in_channels=1, out_channels=3, dimensions=3)
    assert matched.share_of_parameters == 1
    assert states(matched) == {"loaded"}
    assert states(matched, "decoder") == {"missing"}
    assert set(matched.unused) == {"module.rotation_head.weight", "module.rotation_head.bias"}
    for name, tensor in source.state_dict().items():
        assert torch.equal(network.swinViT.state_dict()[name], tensor)


def test_a_whole_swin_unetr_keeps_its_decoder_and_loses_its_head() -> None:
    settings_ = ours.SwinUNETR(channels=12)
    source = settings_.build(in_channels=1, out_channels=14, dimensions=3)
    _, matched = loaded(source, settings_, in_channels=4, out_channels=3, dimensions=3)
    assert states(matched, "decoder") == {"loaded", "adapted"}
    assert states(matched, "head") == {"skipped"}
    assert {row.name for row in matched.rows if row.state == "adapted"} == set(settings_.parts.image)


def test_the_encoder_of_a_plain_nnunet_answers_as_before_with_its_axes_turned() -> None:
    theirs = PlainUNet()
    settings_ = ours.DynUNet(channels=(4, 6, 8), residual=False)
    network, matched = loaded(theirs, settings_, in_channels=1, out_channels=3, dimensions=3)
    assert matched.family == "nnU-Net plain U-Net"
    assert matched.share_of_parameters == 1
    assert states(matched, "decoder") == {"loaded", "adapted"}
    assert "encoder.stages.0.0.convs.0.conv.bias" in matched.unused  # the norm behind it takes it out again
    volume = torch.randn(1, 1, 16, 12, 8)  # (i, j, k); theirs are (k, j, i)
    with torch.inference_mode():
        found = network.input_block(volume)
        for down in network.downsamples:
            found = down(found)
        mine, other = network.bottleneck(found), theirs.bottom(volume.permute(0, 1, 4, 3, 2)).permute(0, 1, 4, 3, 2)
    torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-3)


OWN = {
    "resnet": resnet(),
    "densenet": ours.DenseNet(blocks=(2, 1), channels=8, growth=4),
    "dynunet": ours.DynUNet(channels=(4, 6, 8)),
    "segresnet": ours.SegResNet(channels=8, blocks_down=(1, 1), blocks_up=(1,)),
    "vit": ours.ViT(image_size=(16, 16), **VIT),
}


@pytest.mark.parametrize("name", sorted(OWN))
@pytest.mark.parametrize("prefix", ["", "module.", "net.model."])
def test_monai_s_own_names_are_taken_as_they_are(name: str, prefix: str) -> None:
    settings_ = OWN[name]
    source = settings_.build(in_channels=3, out_channels=5, dimensions=2)
    state = {prefix + key: tensor for key, tensor in source.state_dict().items()}
    network, matched = loaded(state, settings_)
    assert {row.state for row in matched.rows} == {"loaded"}
    assert recognise(state).family.network == name  # type: ignore[union-attr]
    for key, tensor in state_of(network).items():
        assert torch.equal(tensor, state_of(source)[key])


def test_weights_of_a_pipeline_or_bundle_have_our_axes_even_with_the_names_of_torchvision() -> None:
    settings_ = resnet(shortcut_bias=False)
    source = settings_.build(in_channels=3, out_channels=5, dimensions=2)
    for kind in ("pipeline", "bundle"):
        _, matched = loaded(foreign(source, kind=kind), settings_)
        assert {row.state for row in matched.rows} == {"loaded"}
    _, matched = loaded(foreign(source), settings_)
    assert any("axes turned" in row.why for row in matched.rows)


def test_a_resnet_that_could_be_of_either_library_is_turned_with_a_warning() -> None:
    settings_ = resnet(shortcut_bias=False)
    ours_or_theirs = settings_.build(in_channels=1, out_channels=5, dimensions=2)
    _, matched = loaded(foreign(ours_or_theirs), settings_)
    assert [(each.code, each.grade) for each in matched.findings] == [("weights-axes", "warning")]
    assert "models/model.pt" in (matched.findings[0].cure or "")
    of_photographs = settings_.build(in_channels=3, out_channels=1000, dimensions=2)
    certain = [
        foreign(of_photographs),
        *(foreign(ours_or_theirs, kind=k) for k in ("pipeline", "checkpoint", "bundle")),
    ]
    for source in (*certain, foreign(DenseNet()), foreign({"a.weight": torch.zeros(1)})):
        assert loaded(source, settings_)[1].findings == ()
    colours = settings_.build(in_channels=3, out_channels=5, dimensions=2).state_dict()
    headless = {name: tensor for name, tensor in colours.items() if not name.startswith("fc")}
    assert loaded(foreign(headless), settings_)[1].findings


def test_a_head_for_other_labels_starts_fresh_even_where_it_fits() -> None:
    settings_ = resnet()
    network = settings_.build(in_channels=3, out_channels=5, dimensions=2)
    source = foreign(settings_.build(in_channels=3, out_channels=5, dimensions=2), kind="pipeline")
    fresh = match(source, network, settings_.parts, fresh_head="it is for other labels")
    assert {(row.state, row.why) for row in fresh.rows if row.part == "head"} == {("skipped", "it is for other labels")}
    assert fresh.share_of_parameters == 1
    assert all(row.taken for row in match(source, network, settings_.parts).rows)


def test_every_family_states_a_network_that_there_is() -> None:
    assert {family.network for family in FAMILIES} == set(ours.NETWORKS)


# adaptation: laws


def test_a_network_of_colours_sees_grey_as_it_saw_grey_in_colours() -> None:
    theirs = ResNet()
    network, matched = loaded(theirs, resnet(), in_channels=1)
    torch.testing.assert_close(answers(network, GREY.mT), answers(theirs, GREY.expand(-1, 3, -1, -1)))
    first = matched.rows[0]
    assert (first.state, first.why) == ("adapted", "axes turned to ours; 3 channels summed")


def test_two_and_four_equal_channels_are_seen_as_one_was() -> None:
    theirs = ResNet(inputs=1)
    for channels in (2, 4):
        network, _ = loaded(theirs, resnet(), in_channels=channels)
        image = GREY.mT.expand(-1, channels, -1, -1)
        torch.testing.assert_close(answers(network, image), answers(theirs, GREY))


def test_a_network_of_pictures_sees_a_volume_that_is_constant_along_k_as_its_slice() -> None:
    theirs = ResNet(widths=(4, 4, 4, 4))
    network, matched = loaded(theirs, resnet(channels=(4, 4, 4, 4)), dimensions=3)
    assert matched.share_of_parameters == 1
    volume = PICTURE[:1].mT[..., None].expand(-1, -1, -1, -1, 448)  # the field seen by one voxel is 435 deep at most
    found: list[torch.Tensor] = []
    network.layer4.register_forward_hook(lambda *given: found.append(given[2]))
    answers(network, volume.contiguous())
    with torch.inference_mode():
        expected = theirs.eval().features(PICTURE[:1]).mT
    torch.testing.assert_close(found[0][..., found[0].shape[-1] // 2], expected, atol=1e-5, rtol=1e-4)


def test_a_u_net_of_pictures_enlarges_a_volume_that_is_constant_along_k_as_its_slice() -> None:
    settings_ = ours.DynUNet(channels=(4, 6, 8))
    theirs = settings_.build(in_channels=3, out_channels=5, dimensions=2)
    network, matched = loaded(theirs, settings_, dimensions=3)
    assert {row.state for row in matched.rows} == {"loaded", "adapted"}
    pairs = [
        (dict(theirs.named_modules())[name], module)
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.ConvTranspose3d)
    ]
    assert len(pairs) == 2
    for flat, deep in pairs:
        picture = torch.randn(1, flat.in_channels, 3, 4)
        with torch.inference_mode():
            found = deep(picture[..., None].expand(-1, -1, -1, -1, 5))
            torch.testing.assert_close(found, flat(picture)[..., None].expand_as(found))


def test_a_head_of_as_many_classes_is_taken_into_a_volume_and_one_of_others_is_not() -> None:
    settings_ = ours.DynUNet(channels=(4, 6, 8))
    theirs = settings_.build(in_channels=3, out_channels=5, dimensions=2)
    image = torch.randn(1, 4, 3, 3)
    network, matched = loaded(theirs, settings_, dimensions=3)
    assert states(matched, "head") == {"loaded", "adapted"}
    deep, flat = network.output_block, theirs.output_block
    with torch.inference_mode():
        torch.testing.assert_close(deep(image[..., None])[..., 0], flat(image))
    _, matched = loaded(theirs, settings_, dimensions=3, out_channels=4)
    assert {row.why for row in matched.rows if row.part == "head"} == {"another number of classes"}


@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_equal_channels_and_constant_depth_keep_the_sum_of_a_kernel(came: int, wanted: int, depth: int) -> None:
    kernel = torch.randn(2, came, 3, 3, generator=torch.Generator().manual_seed(came))
    fitted = adapt_kernel(kernel, (2, wanted, 3, 3, depth), reads_image=True)
    assert not isinstance(fitted, str)
    torch.testing.assert_close(fitted.tensor.sum((1, 4)), kernel.sum(1))


@pytest.mark.parametrize(
    ("came", "wanted", "words"),
    [
        ((4, 3, 7, 7), (4, 3, 3, 3), "kernels of 7x7, and 3x3 are wanted"),
        ((4, 3, 3, 3, 3), (4, 3, 3, 3), "kernels of a volume for a network of pictures"),
        ((4, 6), (6, 4), "the shape fits when transposed, which is never guessed"),
        ((4,), (5,), "another shape"),
        ((4, 3, 3, 3), (4, 2, 3, 3), "another shape"),
    ],
)
def test_what_has_no_law_is_skipped_with_the_reason(came: Any, wanted: Any, words: str) -> None:
    assert adapt_kernel(torch.zeros(came), wanted, reads_image=False) == words


@given(st.integers(1, 5), st.integers(1, 6), st.integers(1, 6), st.integers(0, 3))
@settings(max_examples=25, deadline=None)
def test_positions_that_are_constant_stay_so_on_any_grid(side: int, columns: int, rows: int, depth: int) -> None:
    grid = (columns, rows, depth) if depth else (columns, rows)
    count = columns * rows * max(depth, 1)
    fitted = adapt_positions(torch.full((1, side**2, 2), 3.0), count, source_dimensions=2, grid=grid)
    assert not isinstance(fitted, str)
    torch.testing.assert_close(fitted.tensor, torch.full((1, count, 2), 3.0))


def test_positions_of_the_same_grid_stay_and_of_a_plane_are_repeated_along_k() -> None:
    plane = torch.arange(4.0).reshape(1, 4, 1)
    same = adapt_positions(plane, 4, source_dimensions=2, grid=(2, 2))
    volume = adapt_positions(plane, 12, source_dimensions=2, grid=(2, 2, 3))
    assert not isinstance(same, str)
    assert not isinstance(volume, str)
    assert torch.equal(same.tensor, plane)
    assert same.notes == ()
    assert volume.tensor.flatten().tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]


@pytest.mark.parametrize(
    ("count", "dimensions", "grid", "words"),
    [
        (4, 2, (3, 3), "not known"),
        (5, 2, (2, 2), "no grid with 2 equal sides"),
        (8, 3, (2, 2), "positions in a volume"),
    ],
)
def test_positions_without_a_certain_grid_are_skipped(count: int, dimensions: int, grid: Any, words: str) -> None:
    fitted = adapt_positions(torch.zeros(1, count, 2), 4, source_dimensions=dimensions, grid=grid)
    assert isinstance(fitted, str)
    assert words in fitted


def test_a_transformer_of_pictures_starts_one_of_other_pictures_and_one_of_volumes() -> None:
    source = TimmViT()
    _, matched = loaded(source, ours.ViT(image_size=(24, 32), **VIT), grid=(6, 8))
    assert row(matched, "position_embeddings").why == "axes turned to ours; positions interpolated from 4x4"
    wide = ours.ViT(image_size=(16, 16, 8), **{**VIT, "patch_size": (4, 4, 4)})
    _, matched = loaded(source, wide, grid=(4, 4, 2), dimensions=3, in_channels=1)
    assert "repeated 2 times along k" in row(matched, "position_embeddings").why
    assert row(matched, "patch_embeddings.weight").state == "adapted"
    assert matched.share_of_parameters == 1


def test_without_a_grid_equal_sides_are_taken_or_the_positions_are_skipped() -> None:
    _, matched = loaded(TimmViT(), ours.ViT(image_size=(24, 24), **VIT))
    assert row(matched, "position_embeddings").state == "adapted"
    _, matched = loaded(TimmViT(), ours.ViT(image_size=(24, 32), **VIT))
    assert row(matched, "position_embeddings").state == "skipped"


def test_positions_that_are_no_square_are_skipped_and_those_without_class_token_taken() -> None:
    state = dict(TimmViT().state_dict())
    _, matched = loaded(state | {"pos_embed": torch.zeros(1, 13, 12)}, ours.ViT(image_size=(16, 16), **VIT))
    assert "no square grid" in row(matched, "position_embeddings").why
    _, matched = loaded(state | {"pos_embed": state["pos_embed"][:, 1:]}, ours.ViT(image_size=(16, 16), **VIT))
    assert row(matched, "position_embeddings").state == "adapted"
    assert row(matched, "cls_token").why == ""


def row(matched: Match, ending: str) -> Any:
    return next(row for row in matched.rows if row.name.endswith(ending))


# what is never guessed


def test_a_file_with_two_networks_is_refused_and_an_average_of_them_preferred() -> None:
    state = ResNet().state_dict()
    two = {f"{part}.{name}": tensor for part in ("left", "right") for name, tensor in state.items()}
    with pytest.raises(PipelineError, match=r"2 networks.*left.*right") as caught:
        loaded(two, resnet())
    assert caught.value.code == "weights-layout"
    average = {f"{part}.{name}": t for part in ("student", "teacher") for name, t in state.items()}
    _, matched = loaded(average, resnet())
    assert matched.rows[0].source_name == "teacher.conv1.weight"


def test_two_tensors_for_one_place_are_one_where_equal_and_else_neither() -> None:
    state = dict(PlainUNet().state_dict())
    settings_ = ours.DynUNet(channels=(4, 6, 8), residual=False)
    name = "encoder.stages.0.0.convs.0.conv.weight"
    del state[name]
    state["encoder.stages.0.0.convs.0.conv.weight"] = torch.zeros(4, 1, 3, 3, 3)
    _, matched = loaded(state, settings_, in_channels=1, dimensions=3)
    assert row(matched, "input_block.conv1.conv.weight").state == "adapted"
    vit = dict(as_torchvision_vit(dict(TimmViT().state_dict())))
    double = {n.replace("mlp.0", "mlp.linear_1"): t for n, t in vit.items()} | vit
    _, matched = loaded(double, ours.ViT(image_size=(16, 16), **VIT))
    assert row(matched, "blocks.0.mlp.linear1.weight").state == "loaded"
    double["encoder.layers.encoder_layer_0.mlp.linear_1.weight"] = torch.ones(48, 12)
    _, matched = loaded(double, ours.ViT(image_size=(16, 16), **VIT))
    doubtful = row(matched, "blocks.0.mlp.linear1.weight")
    assert doubtful.state == "skipped"
    assert "could both be meant" in doubtful.why


def test_another_family_gives_nothing_and_is_refused_by_name() -> None:
    _, matched = loaded(DenseNet(), resnet())
    assert matched.share_of_parameters == 0
    with pytest.raises(PipelineError, match=r"holds a torchvision or timm DenseNet; 0%.*no such tensor") as caught:
        require(matched)
    assert caught.value.code == "weights-partial"
    with pytest.raises(PipelineError, match="nothing of the encoder"):
        require(matched, partial=True)


def test_less_than_four_fifths_is_refused_unless_partial() -> None:
    state = {name: tensor for name, tensor in ResNet().state_dict().items() if not name.startswith("layer4")}
    state["layer4.0.conv1.weight"] = torch.zeros(8, 8, 5, 5)  # the anchor is there, and has another size
    _, matched = loaded(state, resnet())
    assert 0 < matched.share_of_parameters < 0.8
    with pytest.raises(PipelineError, match=r"layer4\.0\.conv1\.weight: skipped, kernels of 5x5"):
        require(matched)
    assert require(matched, partial=True) is matched


def test_names_of_no_known_family_are_matched_by_the_network_s_own_after_a_prefix() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 1))
    parts = Parts((("body", ("0",)), ("head", ("1",))), encoding=1)
    state = {f"core.{name}": tensor + 1 for name, tensor in network.state_dict().items()}
    matched = match(foreign(state), network, parts)
    assert matched.family is None
    assert {row.state for row in matched.rows} == {"loaded"}
    nothing = match(foreign({"other": torch.zeros(1)}), network, parts)
    assert {row.state for row in nothing.rows} == {"missing"}
    with pytest.raises(PipelineError, match="layout is not known; 0%"):
        require(nothing)
    with pytest.raises(PipelineError, match="not the one that the weights were matched with"):
        matched.load(torch.nn.Linear(3, 2))
    assert match(foreign(state), network, Parts((("all", ("0", "1")),), encoding=0)).share_of_tensors == 0


def test_a_prefix_is_told_only_where_one_has_most_names() -> None:
    assert longest_prefix(["a.w", "b.w"], ["w"]) is None
    assert longest_prefix(["a.w"], ["w", "x", "y"]) is None
    assert longest_prefix(["w"], ["w"]) == ""


def test_a_match_says_all_but_its_values_as_json() -> None:
    _, matched = loaded(ResNet(classes=1000), resnet())
    content = matched.to_json()
    assert content["counts"] == {"loaded": 51, "adapted": 12, "skipped": 2, "missing": 0}
    assert content["share_of_encoder_parameters"] == 1
    assert content["tensors"][0]["shape"] == (4, 3, 7, 7)
    assert {row["why"] for row in content["tensors"] if row["state"] == "skipped"} == {"another number of classes"}


def test_positions_are_skipped_where_nothing_says_how_many_axes_their_grid_has() -> None:
    state = dict(TimmViT().state_dict())
    settings_ = ours.ViT(image_size=(16, 16), **VIT)
    network = settings_.build(in_channels=3, out_channels=5, dimensions=2)
    blind = replace(settings_.parts, image=())
    matched = match(foreign(state), network, blind)
    assert "dimensions of the positions' grid" in row(matched, "position_embeddings").why


def test_parts_of_transformers_that_lack_a_tensor_stay_missing_or_as_they_are() -> None:
    state = as_hub_vit(dict(TimmViT().state_dict()))
    del state["vit.encoder.layer.0.attention.attention.key.weight"]
    del state["vit.encoder.layer.1.attention.output.dense.bias"]
    state["vit.encoder.layer.1.layer_scale1.lambda1"] = torch.ones(12)
    del state["vit.embeddings.position_embeddings"]
    _, matched = loaded(state, ours.ViT(image_size=(16, 16), **VIT))
    assert row(matched, "blocks.0.attn.qkv.weight").state == "missing"
    assert row(matched, "blocks.1.attn.out_proj.weight").why == "scale of the branch folded"
    assert row(matched, "position_embeddings").state == "missing"
