"""The U-Nets that nnU-Net makes: its own answers, its layers' names, and what of them only training needs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from foreign_weights import PlainUNet as TheirUNet
from pydantic import TypeAdapter, ValidationError
from torch import nn

from medvision.frameworks import set_state, state_of
from medvision.networks import DynUNet, PlainUNet, ResEncUNet, plain_state
from medvision.networks.unet_modules import Plan
from medvision.transfer import Foreign, Origin, match
from medvision.transfer.nnunet import unet_rules, unet_tensors

PLANNED: dict[str, Any] = {
    "channels": (3, 4, 5),
    "strides": ((2, 2, 1), (2, 2, 2)),
    "kernels": ((3, 3, 1), (3, 3, 3), (3, 3, 3)),
    "decoder": (1, 2),
}
NETWORKS = {
    "plain-unet": PlainUNet(convolutions=(2, 1, 2), **PLANNED),
    "resenc-unet": ResEncUNet(blocks=(1, 2, 2), **PLANNED),
}
# of dynamic_network_architectures 0.4.4, by benchmarks/unet_answers.py; there, axes are the other way round
ANSWERS = {
    "plain-unet": [0.19419, -0.28189, -0.68472, 0.2027],
    "resenc-unet": [0.18141, -0.44016, -0.66502, 0.15546],
}
VOXELS = ((0, 0, 0, 0), (1, 2, 5, 1), (2, 4, 7, 2), (0, 7, 11, 3))


def waves(shape: tuple[int, ...]) -> torch.Tensor:
    count = torch.Size(shape).numel()
    return torch.sin(0.37 * torch.arange(count) + count).reshape(shape)


def turned(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.permute(0, 1, *range(tensor.ndim - 1, 1, -1)) if tensor.ndim > 2 else tensor


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_answers_what_that_of_nnunet_answers(name: str) -> None:
    network = NETWORKS[name].build(in_channels=2, out_channels=3, dimensions=3).eval()
    set_state(network, {key: turned(waves(turned(value).shape)) for key, value in state_of(network).items()})
    with torch.inference_mode():
        logits = network(turned(waves((1, 2, 4, 12, 8))))[0]
    assert [float(logits[at]) for at in VOXELS] == pytest.approx(ANSWERS[name], abs=2e-5)


def test_weights_under_nnunets_names_with_its_axes_give_its_answers() -> None:
    torch.manual_seed(0)
    theirs = TheirUNet(dims=3).eval()
    ours = PlainUNet(channels=(4, 6, 8)).build(in_channels=1, out_channels=3, dimensions=3).eval()
    set_state(ours, unet_tensors(theirs.state_dict(), (2, 1, 0)))
    image = torch.rand(1, 1, 8, 16, 12)
    with torch.inference_mode():
        fine, middle, coarse = (stage(image) for stage in growing(theirs.encoder.stages))
        up = theirs.decoder.stages[0](torch.cat((theirs.decoder.transpconvs[0](coarse), middle), 1))
        up = theirs.decoder.stages[1](torch.cat((theirs.decoder.transpconvs[1](up), fine), 1))
        torch.testing.assert_close(ours(turned(image)), turned(theirs.decoder.seg_layers[1](up)))


def growing(stages: nn.Sequential) -> list[nn.Sequential]:
    return [stages[: n + 1] for n in range(len(stages))]


def test_every_layer_of_a_residual_u_net_has_its_place() -> None:
    theirs = [
        "encoder.stem.convs.0.conv.weight",
        "encoder.stem.convs.0.all_modules.0.weight",
        "encoder.stages.1.blocks.2.conv1.norm.bias",
        "encoder.stages.1.blocks.2.conv2.conv.weight",
        "encoder.stages.1.blocks.0.skip.1.conv.weight",
        "decoder.encoder.stem.convs.0.conv.weight",
        "decoder.stages.0.convs.1.norm.weight",
        "decoder.transpconvs.0.weight",
        "decoder.seg_layers.0.weight",
        "decoder.seg_layers.1.weight",
    ]
    named = unet_tensors({name: torch.tensor([n]) for n, name in enumerate(theirs)}, (0, 1, 2))
    assert {name: int(value) for name, value in named.items()} == {
        "stem.conv.weight": 0,
        "encoder.1.2.first.norm.bias": 2,
        "encoder.1.2.second.conv.weight": 3,
        "encoder.1.0.shortcut.conv.weight": 4,
        "decoder.0.1.norm.weight": 6,
        "up.0.weight": 7,
        "head.weight": 9,
    }
    assert unet_rules([])[-1] == (r"decoder\.seg_layers\.0\.", "head.")


@pytest.mark.parametrize("kind", [PlainUNet, ResEncUNet])
@pytest.mark.parametrize(("stages", "answers"), [(2, 1), (3, 2), (4, 2), (5, 3)])
def test_while_it_is_trained_all_stages_of_the_decoder_but_the_coarsest_answer(
    kind: Any, stages: int, answers: int
) -> None:
    given = {"in_channels": 1, "out_channels": 2, "dimensions": 2}
    settings = kind(channels=(2,) * stages)
    torch.manual_seed(3)
    plain = settings.build(**given)
    torch.manual_seed(3)
    network = settings.build(**given, deep_supervision=True)
    image = torch.rand(1, 1, 32, 32)
    outputs = network.train()(image)
    outputs = outputs if isinstance(outputs, list) else [outputs]
    assert [output.shape[2] for output in outputs] == [32 // 2**n for n in range(answers)]
    torch.testing.assert_close(network.eval()(image), plain.eval()(image), rtol=0, atol=0)
    assert plain_state(network).keys() == state_of(plain).keys()


def test_a_residual_block_begins_as_its_shortcut() -> None:
    network = ResEncUNet(channels=(2, 4)).build(in_channels=1, out_channels=2, dimensions=2)
    block, image = network.encoder[0][0].eval(), torch.rand(1, 2, 8, 8)
    torch.testing.assert_close(block(image), image)


def test_dropout_is_there_in_training_alone() -> None:
    for settings in (PlainUNet(channels=(4, 4), dropout=0.5), ResEncUNet(channels=(4, 4), dropout=0.5)):
        network, image = settings.build(in_channels=1, out_channels=2, dimensions=3), torch.rand(1, 1, 8, 8, 8)
        assert not torch.equal(network.train()(image), network(image))
        assert torch.equal(network.eval()(image), network(image))


def test_a_slope_of_zero_is_a_relu_and_without_bias_there_is_none() -> None:
    network = PlainUNet(channels=(2, 2), slope=0.0, bias=False).build(in_channels=1, out_channels=2, dimensions=2)
    with torch.inference_mode():
        assert float(network.encoder[0](torch.randn(1, 1, 8, 8)).min()) == 0.0
    assert [name for name in state_of(network) if name.endswith("conv.bias") or name == "up.0.bias"] == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"use": "plain-unet", "convolutions": [2, 2]}, "convolutions has 3 numbers for as many stages, got 2"),
        ({"use": "plain-unet", "decoder": [2]}, "decoder has 2 numbers for as many stages, got 1"),
        ({"use": "plain-unet", "strides": [[2, 2]]}, "strides has 2 rows for 3 stages"),
        ({"use": "resenc-unet", "blocks": [1]}, "blocks has 3 numbers"),
        ({"use": "resenc-unet", "kernels": [[3], [3], [3]]}, "kernels has 3 rows for 3 stages, each with a number"),
    ],
)
def test_lists_that_do_not_fit_the_stages_are_refused(given: dict[str, Any], words: str) -> None:
    kind: Any = PlainUNet if given["use"] == "plain-unet" else ResEncUNet
    with pytest.raises(ValidationError, match=words):
        TypeAdapter(kind).validate_python({"channels": [4, 4, 4], **given})


def test_a_divisor_is_the_product_of_an_axis_strides() -> None:
    assert [settings.divisor for settings in NETWORKS.values()] == [(4, 4, 2)] * 2
    assert PlainUNet(channels=(4, 4, 4, 4)).divisor == ResEncUNet(channels=(4, 4, 4, 4)).divisor == 8


def test_a_plan_knows_its_axes() -> None:
    plan = Plan((4,), (1,), (), ((1, 1),), ((3, 3),), False, "instance", 0.0, True, 0.01)
    assert (plan.dimensions, plan.once) == (2, (1, 1))


def test_a_training_of_this_network_starts_from_nnunets_weights_and_a_dynunet_does_too() -> None:
    torch.manual_seed(0)
    source = Foreign(TheirUNet(dims=2).state_dict(), Origin("theirs", "torch", "0", None))
    given = {"in_channels": 1, "out_channels": 3, "dimensions": 2}
    settings = PlainUNet(channels=(4, 6, 8))
    network = settings.build(**given)
    matched = match(source, network, settings.parts)
    assert all(row.taken for row in matched.rows)
    assert (matched.family, matched.share_of_parameters) == ("nnU-Net plain U-Net", 1.0)
    matched.load(network)
    kernel = source.tensors["encoder.stages.1.0.convs.0.conv.weight"]
    assert torch.equal(network.encoder[1][0].conv.weight, kernel.mT)
    other = DynUNet(channels=(4, 6, 8), residual=False)
    assert match(source, other.build(**given), other.parts).share_of_parameters == 1.0


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_ours_is_known_by_its_own_names(name: str) -> None:
    network = NETWORKS[name].build(in_channels=2, out_channels=3, dimensions=3)
    source = Foreign(state_of(network), Origin("ours", "safetensors", "0", None))
    matched = match(source, network, NETWORKS[name].parts)
    assert {row.state for row in matched.rows} == {"loaded"}
    assert str(matched.family).startswith("our ")
