"""Networks are built by name, give the shapes they promise, and their weights are data and nothing else."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from safetensors.torch import load_file, save_file

from medvision.errors import PipelineError
from medvision.frameworks import state_of
from medvision.networks import NETWORKS, DynUNet, Network, ResNet, SegResNet, WeightsCard, load_weights, save_weights

TINY: dict[str, dict[str, Any]] = {
    "dynunet": {"channels": (4, 4, 4)},
    "plain-unet": {"channels": (4, 4, 4)},
    "resenc-unet": {"channels": (4, 4, 4), "blocks": (1, 1, 1)},
    "residual-unet": {"channels": (4, 4, 4)},
    "segresnet": {"channels": 8, "blocks_down": (1, 1), "blocks_up": (1,)},
    "resnet": {"blocks": (1, 1, 1, 1), "channels": (4, 4, 4, 4), "stem_kernel": 3, "stem_stride": 1},
    "densenet": {"blocks": (1, 1), "channels": 4, "growth": 2},
    "vit": {"image_size": (16, 8), "patch_size": (4, 4), "channels": 4, "blocks": 1, "heads": 2},
    "swin-unetr": {"channels": 12, "blocks": (1, 1, 1, 1)},
}


def built(*, seed: int = 0, channels: tuple[int, ...] = (4, 4, 8)) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return DynUNet(channels=channels).build(in_channels=1, out_channels=2, dimensions=2)


def card(**fields: Any) -> WeightsCard:
    given = {"sha256": "0", "meaning": {"task": "x"}, "input_spacing_mm": (1.0, 2.0, 3.0), "input_unit": "zscore"}
    words = {"modality": None, "training_data": "d", "licence": "l", "results": ("r",), "trained_with": {"torch": "2"}}
    return WeightsCard(**{**given, **words, **fields})


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_every_network_gives_the_shape_that_its_task_needs(name: str, dimensions: int) -> None:
    solid = {"image_size": (16, 8, 24), "patch_size": (4, 4, 4)} if (name, dimensions) == ("vit", 3) else {}
    settings = NETWORKS[name](**TINY[name] | solid)
    network = settings.build(in_channels=2, out_channels=3, dimensions=dimensions).eval()
    size = (64, 32, 32)[:dimensions] if name == "swin-unetr" else (16, 8, 24)[:dimensions]
    with torch.inference_mode():
        logits = network(torch.zeros(1, 2, *size))
    assert logits.shape == ((1, 3, *size) if "segmentation" in settings.tasks else (1, 3))


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_the_name_of_a_network_chooses_its_settings(name: str) -> None:
    settings = TypeAdapter(Network).validate_python({"use": name, **TINY[name]})
    assert settings == NETWORKS[name](**TINY[name])
    assert settings.use == name


def test_a_divisor_is_the_factor_between_the_finest_and_the_coarsest_grid() -> None:
    assert DynUNet(channels=(4, 8, 8)).divisor == 4
    assert SegResNet(blocks_down=(1, 1, 1, 1), blocks_up=(1, 1, 1)).divisor == 8
    assert ResNet().divisor == 1
    network = DynUNet(channels=(4, 8, 8)).build(in_channels=1, out_channels=2, dimensions=2)
    assert network(torch.zeros(1, 1, 12, 4)).shape == (1, 2, 12, 4)
    with pytest.raises(RuntimeError, match="size"):
        network(torch.zeros(1, 1, 14, 4))


def test_a_network_for_thick_slices_leaves_their_axis_alone_where_it_is_told_to() -> None:
    settings = DynUNet(channels=(4, 4, 8), strides=((2, 2, 1), (2, 2, 2)), kernels=((3, 3, 1), (3, 3, 3), (3, 3, 3)))
    assert settings.divisor == (4, 4, 2)
    network = settings.build(in_channels=1, out_channels=2, dimensions=3)
    assert network.input_block.conv1.conv.kernel_size == (3, 3, 1)
    assert network(torch.zeros(1, 1, 8, 12, 6)).shape == (1, 2, 8, 12, 6)
    with pytest.raises(RuntimeError, match="size"):
        network(torch.zeros(1, 1, 8, 12, 5))


@pytest.mark.parametrize(
    "rows", [{"strides": ((2, 2, 1),)}, {"strides": ((2, 2), (2, 2, 1))}, {"kernels": ((3, 3), (3, 3))}]
)
def test_strides_and_kernels_have_a_row_a_stage_and_a_number_an_axis(rows: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="rows for 3 stages, each with a number for every axis"):
        DynUNet(channels=(4, 4, 8), **rows)


def test_dropout_and_plain_blocks_are_passed_on() -> None:
    networks = [
        DynUNet(channels=(4, 4, 4), residual=False, dropout=0.5).build(in_channels=1, out_channels=2, dimensions=2),
        SegResNet(**TINY["segresnet"], dropout=0.5).build(in_channels=1, out_channels=2, dimensions=2),
        NETWORKS["densenet"](**TINY["densenet"], dropout=0.5).build(in_channels=1, out_channels=2, dimensions=2),
    ]
    for network in networks:
        assert any("Dropout" in type(part).__name__ for part in network.modules())
    plain, residual = networks[0], DynUNet(channels=(4, 4, 4)).build(in_channels=1, out_channels=2, dimensions=2)
    assert not any("UnetRes" in type(part).__name__ for part in plain.modules())
    assert any("UnetRes" in type(part).__name__ for part in residual.modules())


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"use": "dynunet", "chanels": [4, 8]}, "chanels"),
        ({"use": "dynunet", "channels": "wide"}, "channels"),
        ({"use": "dynunet", "channels": [4, 8]}, "channels"),
        ({"use": "dynunet", "channels": [4, 0, 8]}, "channels.1"),
        ({"use": "dynunet", "dropout": 1.0}, "dropout"),
        ({"use": "segresnet", "channels": 12}, "channels"),
        ({"use": "segresnet", "blocks_down": [1, -1], "blocks_up": [1]}, "blocks_down.1"),
        ({"use": "resnet", "blocks": [1, 1, 1]}, "blocks.3"),
        ({"use": "resnet", "stem_kernel": 0}, "stem_kernel"),
        ({"use": "residual-unet", "channels": [4]}, "channels"),
        ({"use": "residual-unet", "units": 0}, "units"),
        ({"use": "densenet", "blocks": []}, "blocks"),
        ({"use": "densenet", "growth": 0}, "growth"),
    ],
)
def test_a_setting_that_makes_no_network_is_refused_with_its_place(fields: dict[str, Any], place: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Network).validate_python(fields)
    assert ".".join(map(str, caught.value.errors()[0]["loc"][1:])) == place


def test_a_network_of_another_name_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ValidationError, match="'dynunet', 'segresnet', 'resnet', 'densenet'"):
        TypeAdapter(Network).validate_python({"use": "unet"})


def test_a_decoder_must_fit_its_encoder() -> None:
    with pytest.raises(ValidationError, match="one number fewer"):
        SegResNet(blocks_down=(1, 1, 1), blocks_up=(1,))


def test_weights_come_back_bit_by_bit(tmp_path: Path) -> None:
    trained, fresh = built(seed=1), built(seed=2)
    sha256 = save_weights(tmp_path / "w.safetensors", trained)
    load_weights(tmp_path / "w.safetensors", fresh, sha256=sha256)
    for name, tensor in state_of(trained).items():
        assert torch.equal(tensor, state_of(fresh)[name]), name
    image = torch.rand(1, 1, 8, 8)
    assert torch.equal(trained.eval()(image), fresh.eval()(image))


def test_the_same_weights_give_the_same_file_whatever_their_layout_in_memory(tmp_path: Path) -> None:
    plain = save_weights(tmp_path / "a.safetensors", built())
    moved = built().to(memory_format=torch.channels_last)
    assert save_weights(tmp_path / "b.safetensors", moved) == plain


def test_tensors_that_two_modules_share_are_saved_once(tmp_path: Path) -> None:
    network = built()
    names = network.state_dict()
    assert len(names) > len(state_of(network)), "MONAI's DynUNet names shared tensors twice"
    save_weights(tmp_path / "w.safetensors", network)
    assert load_file(tmp_path / "w.safetensors").keys() == state_of(network).keys()
    assert {t.data_ptr() for t in names.values()} == {t.data_ptr() for t in state_of(network).values()}


def test_loading_leaves_the_network_in_training_where_it_was_and_its_parameters_learnable(tmp_path: Path) -> None:
    network = built()
    sha256 = save_weights(tmp_path / "w.safetensors", network)
    load_weights(tmp_path / "w.safetensors", network.train(), sha256=sha256)
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())


def refused(network: Any, path: Path, sha256: str) -> PipelineError:
    before = {name: tensor.clone() for name, tensor in state_of(network).items()}
    with pytest.raises(PipelineError) as caught:
        load_weights(path, network, sha256=sha256)
    assert caught.value.path == path
    assert all(torch.equal(before[name], tensor) for name, tensor in state_of(network).items())
    return caught.value


def sha256_of(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_weights_that_are_missing_are_told_apart_from_wrong_ones(tmp_path: Path) -> None:
    assert refused(built(), tmp_path / "w.safetensors", "0").code == "weights-missing"


def test_weights_of_another_hash_are_refused_unread(tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", built())
    error = refused(built(seed=1), tmp_path / "w.safetensors", "0" * 64)
    assert error.code == "weights-mismatch"
    assert "SHA-256" in str(error)


def test_weights_that_are_cut_short_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, built())
    whole = path.read_bytes()
    for size in (0, 4, 100, len(whole) - 1):
        path.write_bytes(whole[:size])
        error = refused(built(seed=1), path, sha256_of(path))
        assert error.code == "weights-mismatch"
        assert "safetensors" in error.finding.message


@pytest.mark.parametrize(
    "other",
    [
        {"channels": (4, 4, 8, 8)},
        {"channels": (4, 4, 16)},
    ],
)
def test_weights_of_another_network_are_refused_with_the_first_tensor(tmp_path: Path, other: dict[str, Any]) -> None:
    sha256 = save_weights(tmp_path / "w.safetensors", built(**other))
    error = refused(built(), tmp_path / "w.safetensors", sha256)
    assert error.code == "weights-mismatch"
    assert "do not fit the network, first: " in str(error)


def test_weights_that_lack_a_tensor_or_hold_one_too_many_are_refused(tmp_path: Path) -> None:
    state = {name: tensor.clone() for name, tensor in state_of(built()).items()}
    first = sorted(state)[0]
    for odd in ({k: v for k, v in state.items() if k != first}, state | {"extra": torch.zeros(1)}):
        path = tmp_path / "w.safetensors"
        save_file(odd, path)
        assert f"1 of {len(state)} tensors" in str(refused(built(seed=1), path, sha256_of(path)))


class Malicious:
    """Unpickled, it leaves a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return Path.touch, (self.mark,)


def test_a_pickle_in_place_of_weights_is_refused_and_nothing_in_it_runs(tmp_path: Path) -> None:
    mark, path = tmp_path / "ran", tmp_path / "w.safetensors"
    path.write_bytes(pickle.dumps(Malicious(mark)))
    assert refused(built(), path, sha256_of(path)).code == "weights-mismatch"
    torch.save({"a": Malicious(mark)}, path)
    assert refused(built(), path, sha256_of(path)).code == "weights-mismatch"
    assert not mark.exists()
    pickle.loads(pickle.dumps(Malicious(mark)))
    assert mark.exists(), "the trap works"


def test_a_card_comes_back_as_it_was(tmp_path: Path) -> None:
    for given in (card(), card(input_spacing_mm=None, modality="MR", meaning={"steps": [{"a": [1, 2.5]}]})):
        given.save(tmp_path / "weights.json")
        assert WeightsCard.open(tmp_path / "weights.json") == given


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": 7},
        {"input_spacing_mm": [1.0, 2.0]},
        {"input_spacing_mm": ["a", "b", "c"]},
        {"results": "words"},
        {"meaning": []},
        {"further": 1},
    ],
)
def test_a_card_of_another_form_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "weights.json"
    card().save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(PipelineError, match="no readable card") as caught:
        WeightsCard.open(path)
    assert caught.value.code == "weights-mismatch"


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000, b'{"sha256": "0"}'])
def test_what_is_no_card_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "weights.json").write_bytes(content)
    with pytest.raises(PipelineError, match="no readable card"):
        WeightsCard.open(tmp_path / "weights.json")


def test_a_card_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="no readable card"):
        WeightsCard.open(tmp_path)
