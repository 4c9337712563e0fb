"""Weights are looked at by a command, and networks start from them, with a record of what was taken."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from foreign_weights import DenseNet, ResNet
from tiny_pipeline import CLASSIFIER, pipeline
from typer.testing import CliRunner

from medvision.errors import PipelineError
from medvision.files import sha256_of
from medvision.frameworks import state_of
from medvision.networks import WeightsCard, members_of, save_weights
from medvision.pipeline import PipelineFolder
from medvision.workflows.starting.source import Started
from medvision.workflows.starting.source_card import CardDifferences, differences_of
from medvision.workflows.training_folder.pretraining_card import PretrainingCard
from medvision.workflows.weights import inspect, start_from
from medvision_cli.app import app, main


@pytest.fixture
def opened(tmp_path: Path) -> PipelineFolder:
    return PipelineFolder.open(pipeline(tmp_path / "pictures", text=CLASSIFIER))


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "resnet.pth"
    torch.save({"state_dict": ResNet(classes=1000).state_dict()}, path)
    return path


def test_without_a_pipeline_family_and_shapes_are_told(checkpoint: Path) -> None:
    found = inspect(checkpoint)
    content = found.to_json()
    assert (content["family"], content["network"]) == ("torchvision or timm ResNet", "resnet")
    assert content["tensors"]["fc.weight"] == [1000, 8]
    assert content["match"] is None
    assert found.require() is None


def test_with_a_pipeline_the_share_is_told_and_nothing_changes(checkpoint: Path, opened: PipelineFolder) -> None:
    found = inspect(checkpoint, opened)
    assert found.match is not None
    assert found.match.share_of_parameters == 1
    assert json.loads(json.dumps(found.to_json()))["pipeline"] == "pictures"


def test_a_network_starts_from_a_checkpoint_and_the_record_says_so(checkpoint: Path, opened: PipelineFolder) -> None:
    network = opened.build_network()
    head = network.fc.weight.detach().clone()
    started = start_from(network, checkpoint, opened)
    assert torch.equal(network.fc.weight, head)
    source = torch.load(checkpoint, weights_only=True)["state_dict"]["conv1.weight"]
    assert torch.equal(network.conv1.weight, source.sum(1, keepdim=True).mT)
    assert started.facts() == {
        "started_from": "resnet.pth",
        "started_from_sha256": started.origin.sha256,
        "started_from_licence": "not stated",
        "started_from_family": "torchvision or timm ResNet",
        "started_from_share_of_encoder": "1.0000",
    }
    assert "100.0% of the encoder's parameters were taken" in started.sentence()
    assert json.dumps(started.to_json())
    assert str(checkpoint.parent) not in json.dumps(started.to_json())


def left(folder: Path, *changes: tuple[str, str]) -> PipelineFolder:
    """Return a pipeline with fresh weights and a card, as a training would leave it."""
    opened = PipelineFolder.open(pipeline(folder, *changes, text=SEEN))
    settings = opened.settings
    sha256 = save_weights(folder / "weights.safetensors", opened.build_network())
    card = WeightsCard(sha256, settings.meaning(), None, "as stored", settings.contract.modality, "", "", (), {})
    card.save(folder / "weights.json")
    return opened


SEEN = CLASSIFIER.replace(
    "[network]",
    """[[steps]]
use = "resample"
spacing_mm = [1.0, 1.0, 1.0]

[[steps]]
use = "rescale"
source = [0.0, 255.0]

[network]""",
).replace("dimensions = 2", 'dimensions = 2\nchannels = ["grey"]\nmodality = "CT"')


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("[0.0, 255.0]", "[0.0, 100.0]"), "rescale with source 0.0, 255.0, here 0.0, 100.0"),
        (("[1.0, 1.0, 1.0]", "[2.0, 1.0, 1.0]"), "resample with spacing_mm 1.0, 1.0, 1.0, here 2.0, 1.0, 1.0"),
        (
            ('use = "rescale"\nsource = [0.0, 255.0]', 'use = "zscore"'),
            "steps resample, rescale, here resample, zscore",
        ),
        (('["grey"]', '["T2"]'), "channels grey, here T2"),
        (('["grey"]', '["a", "b"]'), "channels grey, here a, b"),
        (('modality = "CT"', 'modality = "MR"'), "modality CT, here MR"),
    ],
)
def test_weights_that_were_learned_on_other_input_start_with_a_warning(
    tmp_path: Path, change: tuple[str, str], words: str
) -> None:
    left(tmp_path / "mine")
    other = PipelineFolder.open(pipeline(tmp_path / "other", change, text=SEEN))
    started = start_from(other.build_network(), tmp_path / "mine", other)
    assert [(each.code, each.grade) for each in started.findings] == [("start-differs", "warning")]
    assert words in started.findings[0].message
    assert all(row.taken for row in started.match.rows if row.part == "head")
    started.started().write(tmp_path / "start.json", source="mine", identity="")
    assert Started.read(tmp_path / "start.json").findings == started.findings
    assert [each["message"] for each in inspect(tmp_path / "mine", other).to_json()["findings"]] == [
        started.findings[0].message
    ]


@pytest.mark.parametrize(
    "changes",
    [
        [('0 = "no"\n1 = "yes"', '0 = "yes"\n1 = "no"')],
        [('1 = "yes"', '1 = "perhaps"')],
        [('task = "classification"', 'task = "multilabel"')],
    ],
)
def test_a_head_for_other_labels_starts_fresh_and_the_table_says_so(
    tmp_path: Path, changes: list[tuple[str, str]]
) -> None:
    left(tmp_path / "mine")
    other = PipelineFolder.open(pipeline(tmp_path / "other", *changes, text=SEEN))
    network = other.build_network()
    head = network.fc.weight.detach().clone()
    started = start_from(network, tmp_path / "mine", other)
    assert torch.equal(network.fc.weight, head)
    assert started.match.share_of_parameters == 1
    told = {(row.state, row.why[:11]) for row in started.match.rows if row.part == "head"}
    assert told == {("skipped", "its head is")}
    assert [each.code for each in started.findings] == ["start-differs"]


def test_another_network_of_the_same_shapes_is_told_though_every_tensor_fits(tmp_path: Path) -> None:
    left(tmp_path / "mine")
    change = ('use = "resnet"', 'use = "resnet"\nstem_pool = false\nnorm = "instance"')
    other = PipelineFolder.open(pipeline(tmp_path / "other", change, text=SEEN))
    (told,) = start_from(other.build_network(), tmp_path / "mine", other, partial=True).findings
    assert (told.code, told.grade) == ("start-differs", "warning")
    assert "was learned by another network: norm batch, here instance; stem_pool True, here False" in told.message


def test_what_nobody_knows_of_weights_without_a_card_is_told(
    tmp_path: Path, checkpoint: Path, opened: PipelineFolder
) -> None:
    same = left(tmp_path / "mine")
    (tmp_path / "bare.safetensors").write_bytes((tmp_path / "mine" / "weights.safetensors").read_bytes())
    (told,) = start_from(same.build_network(), tmp_path / "bare.safetensors", same).findings
    assert (told.code, told.grade) == ("start-unknown", "warning")
    assert "no card says which images they have seen" in told.message
    assert "for which labels in which order their head was trained" in told.message
    *_, told = start_from(opened.build_network(), checkpoint, opened).findings
    assert (told.code, told.grade) == ("start-unknown", "note"), "its head is for 1000 classes, and not taken"
    assert "their head" not in told.message


def test_of_an_ensemble_the_first_network_is_taken_and_it_is_said() -> None:
    opened = PipelineFolder.open("cxr-pneumonia")
    network = opened.build_network()
    started = start_from(network, "cxr-pneumonia", opened)
    first = state_of(members_of(opened.load_network())[0])
    taken = {name: tensor for name, tensor in state_of(network).items() if tensor.is_floating_point()}
    assert all(torch.equal(tensor, first[name]) for name, tensor in taken.items())
    message = "cxr-pneumonia is an ensemble of 5 networks, of which the first is taken"
    assert [(each.code, each.grade, each.message) for each in started.findings] == [("start-differs", "note", message)]
    assert [each.message for each in inspect("cxr-pneumonia", opened).findings] == [message]


def test_weights_of_the_same_input_and_labels_start_without_a_word(tmp_path: Path) -> None:
    opened = left(tmp_path / "mine")
    same = PipelineFolder.open(pipeline(tmp_path / "other", ('"no"', '"No"'), text=SEEN))
    assert start_from(opened.build_network(), tmp_path / "mine", same).findings == ()
    assert start_from(opened.build_network(), tmp_path / "mine" / "weights.safetensors", same).findings == ()


def test_a_pretraining_s_card_tells_its_input_and_no_labels(tmp_path: Path) -> None:
    opened = left(tmp_path / "mine")
    settings = opened.settings.to_json()
    PretrainingCard(
        sha256=sha256_of(tmp_path / "mine" / "weights.safetensors"),
        licence=None,
        method="vicreg",
        method_settings={},
        pipeline="mine",
        left_out=("fc.",),
        network=settings["network"],
        steps=settings["steps"],
        contract=settings["contract"],
        data={},
        results=(),
        trained_with={},
    ).save(tmp_path / "mine" / "weights.json")
    assert start_from(opened.build_network(), tmp_path / "mine", opened).findings == ()
    other = PipelineFolder.open(pipeline(tmp_path / "other", ('modality = "CT"', 'modality = "MR"'), text=SEEN))
    found = start_from(other.build_network(), tmp_path / "mine", other).findings
    assert ["modality CT, here MR" in each.message for each in found] == [True]
    content = json.loads((tmp_path / "mine" / "weights.json").read_text())
    (tmp_path / "mine" / "weights.json").write_text(json.dumps(content | {"contract": "MR"}))
    with pytest.raises(PipelineError, match="no readable card of a pretraining"):
        start_from(opened.build_network(), tmp_path / "mine", opened)


def test_values_in_another_unit_need_a_fresh_head(tmp_path: Path) -> None:
    values = (
        SEEN.replace("classification", "regression").replace('1 = "yes"\n', "") + '[[regression]]\nunit = "years"\n'
    )
    months = values.replace("years", "months")
    years, other = (PipelineFolder.open(pipeline(tmp_path / n, text=t)) for n, t in (("a", values), ("b", months)))
    (tmp_path / "weights.json").write_text(json.dumps({"meaning": years.settings.meaning()}))
    assert differences_of(tmp_path, "mine", years.settings) == CardDifferences()
    assert differences_of(tmp_path, "mine", other.settings).fresh_head == "its head gives values in years, here months"


@pytest.mark.parametrize("content", ["[1]", "{", '{"meaning": 1, "contract": 2, "steps": 3, "labels": 4}'])
def test_a_card_that_states_nothing_is_compared_with_nothing(
    opened: PipelineFolder, tmp_path: Path, content: str
) -> None:
    (tmp_path / "weights.json").write_text(content)
    assert differences_of(tmp_path, "mine", opened.settings) == CardDifferences()
    assert differences_of(None, "mine", opened.settings) == CardDifferences()


def test_a_network_that_cannot_start_stays_as_it_was(tmp_path: Path, opened: PipelineFolder) -> None:
    torch.save(DenseNet().state_dict(), tmp_path / "a.pth")
    network = opened.build_network()
    before = {name: tensor.clone() for name, tensor in state_of(network).items()}
    with pytest.raises(PipelineError, match="holds a torchvision or timm DenseNet"):
        start_from(network, tmp_path / "a.pth", opened, partial=True)
    assert all(torch.equal(tensor, before[name]) for name, tensor in state_of(network).items())


def test_a_shipped_pipeline_is_a_source_by_its_name() -> None:
    opened = PipelineFolder.open("mr-hippocampus")
    network = opened.build_network()
    started = start_from(network, "mr-hippocampus", opened)
    assert started.origin.source == "mr-hippocampus"
    assert started.origin.licence == opened.require_weights().licence
    trained = state_of(opened.load_network())
    assert all(torch.equal(tensor, trained[name]) for name, tensor in state_of(network).items())
    assert inspect("mr-hippocampus").family == "MONAI DynUNet"


def test_a_transformer_s_grid_is_that_of_its_settings(tmp_path: Path) -> None:
    vit = CLASSIFIER[: CLASSIFIER.index("[network]")] + (
        '[network]\nuse = "vit"\nimage_size = [16, 24]\npatch_size = [8, 8]\nchannels = 12\nblocks = 1\nheads = 3\n'
    )
    opened = PipelineFolder.open(pipeline(tmp_path / "vit", text=vit))
    torch.save(opened.build_network().state_dict(), tmp_path / "a.pth")
    found = inspect(tmp_path / "a.pth", opened)
    assert found.match is not None
    told = [row.why for row in found.match.rows if row.why]
    assert told == ["as many positions: taken for the same grid"]


def run(*words: Any) -> Any:
    return CliRunner().invoke(app, ["weights", "inspect", *map(str, words)])


def test_the_command_shows_stages_and_reasons_and_every_tensor_on_request(
    checkpoint: Path, opened: PipelineFolder
) -> None:
    shown = run(checkpoint, "--for", opened.folder).output
    assert "Licence:    not stated" in shown
    assert "For it:     51 loaded, 12 adapted, 2 skipped, 0 missing" in shown
    assert "Encoder:    100.0% of its parameters" in shown
    assert "stage 2  encoder       13        3        0        0  1,000 of 1,000" in shown
    assert "skipped  fc.weight and 1 more: another number of classes" in shown
    assert "unused   fc.weight and 1 more" in shown
    assert len(shown.splitlines()) < 30
    every = run(checkpoint, "--for", opened.folder, "--all").output
    assert "skipped  fc.weight" in every
    assert "adapted  conv1.weight" in every
    assert len(every.splitlines()) > 65


def test_without_a_pipeline_the_command_shows_groups_of_names_and_every_tensor_on_request(checkpoint: Path) -> None:
    alone = run(checkpoint).output
    assert "our network 'resnet'" in alone
    assert "layer1                 12            322" in alone
    assert len(alone.splitlines()) < 20
    assert "fc.weight  1000x8" in run(checkpoint, "--all").output
    assert "Every tensor" not in run(checkpoint, "--all").output


def test_the_command_ends_with_an_error_after_the_table_where_too_little_fits(
    tmp_path: Path, opened: PipelineFolder
) -> None:
    torch.save(ResNet(widths=(4, 8, 8, 64)).state_dict(), tmp_path / "a.pth")
    result = run(tmp_path / "a.pth", "--for", opened.folder)
    assert "stage 4" in result.stdout
    assert "[weights-partial]" in result.stderr
    assert result.exit_code == 7
    assert run(tmp_path / "a.pth", "--for", opened.folder, "--partial").exit_code == 0
    refused = run(tmp_path / "a.pth", "--for", opened.folder, "--json")
    content = json.loads(refused.stdout)
    assert (content["schema"], content["exit_code"]) == ("medvision.weights/1", 7)
    assert content["error"]["code"] == "weights-partial"
    assert sum(stage["parameters"] for stage in content["stages"]) > 0
    content = json.loads(run(tmp_path / "a.pth", "--for", opened.folder, "--partial", "--json").stdout)
    assert (content["error"], content["exit_code"]) == (None, 0)


class Trap:
    """Makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("place", ["bad.pth", "bundle/models/model.pt"])
@pytest.mark.parametrize("call", [["weights", "inspect"], ["train"]])
def test_no_command_runs_what_a_file_of_weights_holds(
    tmp_path: Path, opened: PipelineFolder, place: str, call: list[str], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    mark, source = tmp_path / "ran", tmp_path / place
    source.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": ResNet().state_dict(), "x": Trap(mark)}, source)
    named = source if source.name == "bad.pth" else source.parent.parent
    pictures = np.random.default_rng(0).integers(0, 255, (12, 16, 16)).astype(np.uint8)
    arrays = {f"{split}_images": pictures + n for n, split in enumerate(("train", "val"))}
    np.savez(tmp_path / "d.npz", **arrays, train_labels=np.arange(12) % 2, val_labels=np.arange(12) % 2)
    words = (
        [named]
        if call[0] == "weights"
        else [opened.folder, tmp_path / "d.npz", "--from", named, "--out", tmp_path / "o"]
    )
    monkeypatch.setattr(sys, "argv", ["medvision", *call, *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 7
    assert "[weights-unsafe]" in capsys.readouterr().err
    assert not mark.exists()
    assert not (tmp_path / "o" / "weights.safetensors").exists()
    torch.load(source, weights_only=False)  # shows that the trap is one
    assert mark.exists()
