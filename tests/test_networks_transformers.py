"""Transformers give plain logits, see no image of a wrong size, and can be passed over by chance while they train."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn

from medvision.errors import PipelineError
from medvision.networks import Network, SwinUNETR, ViT
from medvision.parts import parameters_by_stage

SMALL: dict[str, Any] = {"image_size": (16, 8), "patch_size": (4, 4), "channels": 12, "blocks": 2, "heads": 3}


def vit(**given: Any) -> Any:
    settings = ViT(**{**SMALL, **given})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return settings.build(in_channels=2, out_channels=3, dimensions=len(settings.image_size))


def swin(dimensions: int = 2, **given: Any) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        settings = SwinUNETR(**{"channels": 12, "blocks": (1, 1, 1, 1), **given})
        return settings.build(in_channels=1, out_channels=2, dimensions=dimensions)


def test_a_vit_gives_logits_alone_and_not_what_a_tanh_leaves_of_them() -> None:
    network = vit()
    with torch.no_grad():
        network.classification_head.weight.mul_(100)
    logits = network.eval()(torch.rand(4, 2, 16, 8))
    assert logits.shape == (4, 3)
    assert float(logits.detach().abs().max()) > 1.5
    assert not any(isinstance(part, nn.Tanh) for part in network.modules())


def test_a_vit_in_3d_has_a_token_for_each_patch() -> None:
    network = vit(image_size=(8, 8, 4), patch_size=(4, 4, 2))
    assert network.patch_embedding.position_embeddings.shape == (1, 2 * 2 * 2, 12)
    assert network(torch.rand(1, 2, 8, 8, 4)).shape == (1, 3)


def test_a_vit_of_the_usual_size_has_as_many_parameters_as_published() -> None:
    settings = ViT(image_size=(224, 224), channels=192, heads=3)
    with torch.device("meta"):
        network = settings.build(in_channels=3, out_channels=1000, dimensions=2)
    # ViT-Ti/16 has 5,717,416; its class token has a position of its own, which MONAI's has not
    assert sum(parameter.numel() for parameter in network.parameters()) == 5_717_416 - 192


def test_an_image_of_another_size_is_refused_even_if_it_has_as_many_patches() -> None:
    network = vit()
    with pytest.raises(PipelineError, match=r"\[16, 8\] voxels, got \[8, 16\]") as caught:
        network(torch.rand(1, 2, 8, 16))
    assert caught.value.code == "pipeline-invalid"


def test_a_vit_of_other_dimensions_than_the_pipeline_is_refused() -> None:
    with pytest.raises(PipelineError, match="2 numbers, the pipeline 3 dimensions"):
        ViT(**SMALL).build(in_channels=1, out_channels=2, dimensions=3)


def test_a_copy_of_a_vit_is_a_network_of_its_own() -> None:
    network, image = vit().eval(), torch.rand(1, 2, 16, 8)
    other = copy.deepcopy(network)
    assert torch.equal(other(image), network(image))
    with torch.no_grad():
        network.classification_head.bias.add_(1.0)
    assert not torch.equal(other(image), network(image))


def test_dropout_is_passed_on_to_the_transformers() -> None:
    assert {part.p for part in vit(dropout=0.25).modules() if isinstance(part, nn.Dropout)} == {0.25}
    shares = {part.p for part in swin(dropout=0.25, attention_dropout=0.125).modules() if isinstance(part, nn.Dropout)}
    assert shares == {0.25, 0.125}


def test_stochastic_depth_grows_with_depth_and_is_off_in_evaluation() -> None:
    network, image = swin(path_dropout=0.9), torch.rand(1, 1, 64, 64)
    shares = [part.drop_prob for part in network.modules() if type(part).__name__ == "DropPath"]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(0.9)
    network.train()
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        assert not torch.equal(network(image), network(image))
        network.eval()
        assert torch.equal(network(image), network(image))


@pytest.mark.parametrize("residual", [False, True])
def test_a_swin_unetr_labels_every_voxel_in_3d(residual: bool) -> None:
    network = swin(3, residual=residual).eval()
    with torch.inference_mode():
        assert network(torch.rand(1, 1, 64, 32, 32)).shape == (1, 2, 64, 32, 32)
    assert sum("layers1c" in name for name, _ in network.named_parameters()) == (2 if residual else 0)


@pytest.mark.parametrize("network", [vit(), swin(), swin(residual=True)], ids=["vit", "swin", "swin-v2"])
def test_every_parameter_of_a_transformer_is_of_a_stage(network: Any) -> None:
    settings = ViT(**SMALL) if hasattr(network, "cls_token") else SwinUNETR()
    assert all(parameters_by_stage(network, settings.parts.stages))
    names = [name for name, _ in network.named_parameters()]
    parts = {part: [name for name in names if settings.parts.of(name) == part] for part in ("encoder", "head")}
    assert parts["head"] == [name for name in names if name.startswith(("classification_head.", "out."))]
    assert set(settings.parts.image) & set(names)
    assert set(settings.parts.image) <= set(names)
    assert all(dict(network.named_parameters())[name].shape[1] in (1, 2) for name in settings.parts.image)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"use": "vit", **SMALL, "image_size": (16,), "patch_size": (4,)}, "2 or 3 numbers"),
        ({"use": "vit", **SMALL, "patch_size": (4, 4, 4)}, "as many as the other"),
        ({"use": "vit", **SMALL, "patch_size": (4, 3)}, "must divide image_size"),
        ({"use": "vit", **SMALL, "heads": 5}, "heads must divide channels"),
        ({"use": "vit"}, "image_size"),
        ({"use": "swin-unetr", "channels": 20}, "channels"),
        ({"use": "swin-unetr", "heads": (5, 6, 12, 24)}, "heads must divide"),
        ({"use": "swin-unetr", "path_dropout": 1.0}, "path_dropout"),
    ],
)
def test_settings_that_make_no_transformer_are_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        TypeAdapter(Network).validate_python(fields)
