"""What is written for another program says what the pipeline says, is checked after it was written, or is not there."""

from __future__ import annotations

import json
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import monai_bundles as bundles
import numpy as np
import pytest
import torch

from medvision.contract import Contract
from medvision.engines.quiet import onnxruntime_module
from medvision.errors import OutputError, PipelineError
from medvision.exporting import agreement
from medvision.exporting.agreement import drawn_input
from medvision.exporting.graph import input_shape
from medvision.exporting.monai_bundle.configuration import configuration_of
from medvision.exporting.monai_bundle.networks import definition_of
from medvision.exporting.monai_bundle.transforms import transforms_of
from medvision.frameworks import monai_module
from medvision.importing.monai_bundle.component import Component
from medvision.importing.monai_bundle.networks import network_of
from medvision.importing.monai_bundle.reading import read_bundle
from medvision.networks import DenseNet, DynUNet, PlainUNet, ResidualUNet, ResNet, SegResNet, SwinUNETR, ViT
from medvision.pipeline import PipelineFolder, Settings
from medvision.predict import Prediction, Quantity
from medvision.steps import (
    Clip,
    CropForeground,
    Pad,
    Percentile,
    Reorient,
    Resample,
    Rescale,
    Resize,
    Standardise,
    Step,
    Window,
    ZScore,
    ZScoreNonzero,
)
from medvision.workflows.export import export_graph, export_monai_bundle
from medvision.workflows.import_monai_bundle import import_monai_bundle
from medvision_cli import app

VERSIONS = {"monai": "1", "torch": "2", "numpy": "3"}


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> PipelineFolder:
    """A pipeline that a bundle can hold without any difference."""
    folder = tmp_path_factory.mktemp("volumes")
    return import_monai_bundle(bundles.spleen(folder / "spleen"), folder / "pipeline").pipeline


# MONAI bundles


def test_a_bundle_comes_back_as_the_same_pipeline_with_the_same_bits(volumes: PipelineFolder, tmp_path: Path) -> None:
    made = export_monai_bundle(volumes, tmp_path / "spleen")
    assert made.findings == ()
    assert made.agreement.largest_difference == 0
    back = read_bundle(tmp_path / "spleen")
    keys = ("task", "labels", "steps", "network", "predict", "contract", "version", "description")
    assert [getattr(back.settings, key) for key in keys] == [getattr(volumes.settings, key) for key in keys]
    state = volumes.load_network().state_dict()
    assert state.keys() == back.network.state_dict().keys()
    assert all(torch.equal(tensor, back.network.state_dict()[name]) for name, tensor in state.items())
    assert made.files == (
        "LICENSE",
        "configs/inference.json",
        "configs/metadata.json",
        "docs/README.md",
        "models/model.pt",
    )


def test_monai_opens_the_bundle_and_only_the_word_that_starts_a_run_is_an_expression(
    volumes: PipelineFolder, tmp_path: Path
) -> None:
    folder = tmp_path / "spleen"
    export_monai_bundle(volumes, folder)
    text = (folder / "configs" / "inference.json").read_text()
    assert text.count('"$') == 1
    assert json.loads(text)["run"] == ["$@evaluator.run()"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MONAI's own
        workflow = monai_module("bundle").ConfigWorkflow(
            config_file=str(folder / "configs" / "inference.json"),
            meta_file=str(folder / "configs" / "metadata.json"),
            logging_file=False,
            workflow_type="infer",
        )
        parser = workflow.parser
        network = parser.get_parsed_content("network_def")
        network.load_state_dict(torch.load(folder / "models" / "model.pt", weights_only=True))
        assert type(parser.get_parsed_content("inferer")).__name__ == "SlidingWindowInferer"
        assert len(parser.get_parsed_content("preprocessing").transforms) == 6
    image = torch.from_numpy(drawn_input((1, 1, 16, 16, 16)))
    with torch.inference_mode():
        assert torch.equal(network.eval()(image), volumes.load_network()(image))


NETWORKS: list[Any] = [
    ResidualUNet(channels=(4, 8, 16), strides=((2, 2, 1), (2, 2, 2)), norm="instance", activation="relu", dropout=0.1),
    ResidualUNet(channels=(4, 8), norm="instance-plain"),
    DynUNet(channels=(4, 8, 8), residual=False, strides=((2, 2, 1), (2, 2, 2)), kernels=((3, 3, 1),) * 3, dropout=0.1),
    DynUNet(channels=(8, 8, 8), norm="group"),
    SegResNet(channels=8, blocks_down=(1, 1), blocks_up=(1,), norm="batch", dropout=0.2),
    SwinUNETR(channels=12, blocks=(1, 1, 1, 1), heads=(1, 1, 2, 2), residual=True, path_dropout=0.1),
    DenseNet(blocks=(1, 2), channels=8, growth=4, norm="instance", dropout=0.1),
    ResNet(blocks=(1, 1, 1, 1), channels=(4, 4, 8, 8), stem_stride=1, stem_pool=False, block="bottleneck"),
]


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.use)
def test_what_monai_is_told_of_a_network_builds_it_and_is_read_back_as_it(network: Any) -> None:
    definition = definition_of(network, in_channels=2, out_channels=8, dimensions=3)
    given = {key: value for key, value in definition.items() if key != "_target_"}
    theirs = getattr(monai_module("networks.nets"), definition["_target_"])(**given)
    ours = network.build(in_channels=2, out_channels=8, dimensions=3)
    shapes = {name: tensor.shape for name, tensor in theirs.state_dict().items()}
    assert shapes == {name: tensor.shape for name, tensor in ours.state_dict().items()}
    plain = json.loads(json.dumps(given))
    found = network_of(Component(Path("a"), "network_def", definition["_target_"], plain))
    assert (found.settings, found.in_channels, found.out_channels, found.dimensions) == (network, 2, 8, 3)


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (PlainUNet(channels=(4, 8)), "MONAI has no network that is 'plain-unet' tensor by tensor"),
        (ViT(image_size=(16, 16), patch_size=(4, 4), channels=6, heads=2), "no network that is 'vit'"),
        (ResNet(norm="instance"), "MONAI's ResNet gives instance norms to its first layer alone"),
        (DenseNet(norm="group"), "MONAI's DenseNet has group norms only"),
        (DynUNet(channels=(4, 4, 4), norm="group"), "8 groups, which do not divide all channels"),
    ],
)
def test_a_network_that_monai_cannot_build_is_refused(network: Any, words: str) -> None:
    with pytest.raises(PipelineError) as caught:
        definition_of(network, in_channels=1, out_channels=2, dimensions=2)
    assert caught.value.code == "export-unsupported"
    assert words in caught.value.finding.message


SAME: list[Step] = [
    Reorient(orientation="LPS"),
    Resample(spacing_mm=(1, 2, 3), blur=False, keeps="first_voxel"),
    Resize(shape=(8, 9, 7), average=True),
    Resize(shape=(8, 9, 7), blur=False),
    CropForeground(threshold=0),
    Pad(minimum=(8, 9, 7), value=1),
    Pad(multiple=(8, 8, 4)),
    Clip(low=-5, high=5),
    Window(center=40, width=400),
    Rescale(low=-1),
    Rescale(source=(0, 255)),
    ZScore(),
    ZScoreNonzero(),
    Standardise(mean=(1,), sd=(2,)),
    Standardise(mean=(1, 2), sd=(2, 3)),
    Percentile(lower=1, upper=99),
]


@pytest.mark.parametrize("step", SAME, ids=lambda step: step.use)
def test_a_step_is_read_back_as_itself_where_monai_does_the_same(step: Step, tmp_path: Path) -> None:
    from medvision.importing.monai_bundle.document import Document
    from medvision.importing.monai_bundle.transforms import Seen, steps_of

    told = transforms_of([step], channels=2, dimensions=3)
    assert told.findings == ()
    (tmp_path / "a.json").write_text(json.dumps({"preprocessing": list(told.transforms)}))
    found = steps_of(Document.open(tmp_path / "a.json").part("preprocessing"), Seen("image", 2, 3))
    assert found == (step,)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (Resample(spacing_mm=(1, 1, 1)), ["MONAI's Spacing keeps the first voxel", "MONAI does not blur"]),
        (Resample(spacing_mm=(1, 1, 1), blur=False), ["MONAI's Spacing keeps the first voxel"]),
        (Resize(shape=(8, 8, 8)), ["MONAI does not blur"]),
    ],
)
def test_a_step_that_monai_does_a_little_otherwise_is_told(step: Step, words: list[str]) -> None:
    told = transforms_of([step], channels=1, dimensions=3)
    assert len(told.transforms) == 1
    assert [finding.code for finding in told.findings] == ["export-differs"] * len(words)
    assert all(each in finding.message for each, finding in zip(words, told.findings, strict=True))


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (Resample(spacing_mm=(1, 1, 1), order=3), "steps.1.order: only linear interpolation"),
        (Resize(shape=(8, 8, 8), order=0), "steps.1.order: only linear interpolation"),
        (CropForeground(), "steps.1.threshold: without an expression, MONAI crops to what is above 0 alone"),
        (CropForeground(threshold=0, margin_mm=2), "steps.1.margin_mm: MONAI's margin is in voxels"),
        (Pad(minimum=(8, 8, 8), multiple=(4, 4, 4)), "not to both at once"),
        (ZScore(threshold=5), "steps.1.threshold: MONAI measures over all voxels"),
    ],
)
def test_a_step_that_monai_has_not_is_refused(step: Step, words: str) -> None:
    with pytest.raises(PipelineError) as caught:
        transforms_of([step], channels=1, dimensions=3)
    assert words in caught.value.finding.message


def test_a_step_that_is_on_no_list_is_refused_by_its_name() -> None:
    from medvision.steps import STEPS

    unknown = [name for name in STEPS if name not in {step.use for step in SAME}]
    for name in unknown:
        with pytest.raises(PipelineError, match=f"MONAI has no transform that does what '{name}' does"):
            transforms_of([type("Other", (), {"use": name})()], channels=1, dimensions=3)  # type: ignore[list-item]


def settings(**changes: Any) -> Settings:
    given: dict[str, Any] = {
        "name": "tiny",
        "task": "segmentation",
        "description": "For tests",
        "contract": Contract("anything", side=None),
        "labels": {1: "one"},
        "network": ResidualUNet(channels=(4, 8)),
        "predict": Prediction((16, 16, 16)),
    }
    return Settings(**(given | changes))


def classes(**changes: Any) -> Settings:
    network, labels = ResNet(channels=(4, 4, 4, 4)), {0: "a", 1: "b"}
    whole: dict[str, Any] = {"task": "multilabel", "network": network, "labels": labels, "predict": Prediction()}
    return settings(**(whole | changes))


def test_what_monai_does_otherwise_around_the_network_is_told() -> None:
    told = configuration_of(settings(contract=Contract("x", side="left")), members=1, versions=VERSIONS)
    words = " ".join(finding.message for finding in told.findings)
    for part in (
        "its structure on the left side",
        "MONAI's Gaussian never falls below a thousandth",
        "averages logits where windows overlap",
        "steps its windows",
    ):
        assert part in words
    given = Prediction((16, 16, 16), combine="logits", placing="stepped", weighting="constant")
    resampled = settings(predict=given, steps=(Resample(spacing_mm=(1, 1, 1), blur=False, keeps="first_voxel"),))
    (finding,) = configuration_of(resampled, members=1, versions=VERSIONS).findings
    assert "MONAI brings probabilities back to the image's grid" in finding.message


def test_labels_that_are_yes_or_no_each_have_a_sigmoid_and_their_threshold() -> None:
    one = classes(predict=Prediction(thresholds=(0.3, 0.3)))
    posts = configuration_of(one, members=1, versions=VERSIONS).inference["postprocessing"]["transforms"]
    assert [post.get("sigmoid") or post.get("threshold") for post in posts] == [True, 0.3]
    default = configuration_of(classes(), members=1, versions=VERSIONS).inference["postprocessing"]["transforms"]
    assert default[1]["threshold"] == 0.5


@pytest.mark.parametrize(
    ("given", "members", "words"),
    [
        (settings(), 5, "a bundle has one network, this pipeline 5"),
        (classes(predict=Prediction(thresholds=(0.3, 0.4))), 1, "a bundle has one threshold for all labels"),
        (
            classes(task="regression", labels={0: "age"}, regression=(Quantity("years", 1.0, 2.0),)),
            1,
            "a bundle has no words for the unit",
        ),
    ],
)
def test_what_a_bundle_cannot_hold_is_refused(given: Settings, members: int, words: str) -> None:
    with pytest.raises(PipelineError) as caught:
        configuration_of(given, members=members, versions=VERSIONS)
    assert caught.value.code == "export-unsupported"
    assert words in caught.value.finding.message


def test_mirrored_answers_are_refused() -> None:
    from medvision.training import Augmentation, Training

    train = Training(augmentation=Augmentation(mirror_axes=(0,)))
    mirrored = settings(predict=Prediction((16, 16, 16), mirror_axes=(0,)), train=train)
    with pytest.raises(PipelineError, match="MONAI's inferers do not mirror"):
        configuration_of(mirrored, members=1, versions=VERSIONS)


# graphs


@pytest.mark.parametrize("form", ["onnx", "openvino"])
def test_a_graph_says_what_torch_says_and_its_file_how_to_use_it(
    volumes: PipelineFolder, tmp_path: Path, form: Any
) -> None:
    made = export_graph(volumes, form, tmp_path / "graph")
    about = json.loads((tmp_path / "graph" / "pipeline.json").read_text())
    assert about["input"]["shape"] == [1, 1, 16, 16, 16]
    assert about["input"]["spacing_mm"] == [1.5, 1.5, 2.0]
    assert about["output"]["of"] == ["background", "spleen", "other"]
    assert [step["use"] for step in about["steps"]] == ["reorient", "resample", "window"]
    assert about["steps"][1]["keeps"] == "first_voxel"
    assert about["predict"]["combine"] == "logits"
    assert about["weights_sha256"] == volumes.require_weights().sha256
    assert set(about["files"]) == set(made.files) - {"pipeline.json"}
    assert 0 <= about["checked"]["largest_difference"] <= 1e-4 * about["checked"]["largest_output"]
    if form == "onnx":
        session = onnxruntime_module().InferenceSession(tmp_path / "graph" / "model.onnx")
        image = np.random.default_rng(7).normal(size=(1, 1, 16, 16, 16)).astype(np.float32)
        with torch.inference_mode():
            wanted = volumes.load_network()(torch.from_numpy(image)).numpy()
        np.testing.assert_allclose(session.run(None, {"image": image})[0], wanted, atol=1e-4)


def test_the_input_of_a_graph_is_the_window_or_what_a_step_or_the_user_says() -> None:
    assert input_shape(settings(predict=Prediction((15, 16, 17)))) == (1, 16, 16, 18), "rounded up for the network"
    flat = {"contract": Contract("x", dimensions=2), "steps": (Resize(shape=(28, 30, 1)),)}
    assert input_shape(classes(**flat)) == (1, 28, 30)
    assert input_shape(settings(), (8, 8, 24)) == (1, 8, 8, 24)
    for stated, words in (
        (None, "a graph has one"),
        ((8, 8), "cannot take [8, 8]"),
        ((8, 8, 9), "cannot take [8, 8, 9]"),
    ):
        with pytest.raises(PipelineError) as caught:
            input_shape(settings(predict=Prediction()), stated)
        assert words in caught.value.finding.message
        assert "--shape" in str(caught.value.finding.cure)


def test_an_export_that_says_something_else_leaves_nothing(
    volumes: PipelineFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agreement, "LARGEST", -1.0)
    for export in (
        lambda: export_monai_bundle(volumes, tmp_path / "a"),
        lambda: export_graph(volumes, "onnx", tmp_path / "b"),
    ):
        with pytest.raises(PipelineError, match="differs from the network by") as caught:
            export()
        assert caught.value.code == "not-convertible"
    assert list(tmp_path.iterdir()) == []


def test_answers_of_another_shape_or_that_are_no_numbers_do_not_agree() -> None:
    one = np.ones((1, 2))
    with pytest.raises(PipelineError, match=r"gives \(1, 3\) where the network gives \(1, 2\)"):
        agreement.agreement("It", np.ones((1, 3)), one)
    with pytest.raises(PipelineError, match="differs from the network by nan"):
        agreement.agreement("It", one * np.nan, one)
    assert str(agreement.agreement("It", one, one)) == "It differs by 0 where outputs reach 1"


def test_a_folder_that_holds_something_is_not_written_over(volumes: PipelineFolder, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    for export in (lambda: export_monai_bundle(volumes, tmp_path), lambda: export_graph(volumes, "onnx", tmp_path)):
        with pytest.raises(OutputError) as caught:
            export()
        assert caught.value.code == "output-exists"
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_pipeline_without_weights_is_refused(volumes: PipelineFolder, tmp_path: Path) -> None:
    untrained = replace(volumes, folder=tmp_path, weights=None)
    with pytest.raises(PipelineError) as caught:
        export_monai_bundle(untrained, tmp_path / "out")
    assert caught.value.code == "weights-missing"


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["medvision", *words])
    try:
        app.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_the_commands_say_what_they_wrote_for_people_and_machines(
    volumes: PipelineFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = str(volumes.folder)
    assert run(monkeypatch, "export", "monai-bundle", source, "--out", str(tmp_path / "a")) == 0
    told = capsys.readouterr().out
    assert f"{tmp_path / 'a' / 'models' / 'model.pt'}\n" in told
    assert "Checked: MONAI differs by 0 where outputs reach" in told
    given = ("export", "openvino", source, "-o", str(tmp_path / "b"), "--shape", "8,8,8", "--json")
    assert run(monkeypatch, *given) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["form"], found["agreement"]["shape"]) == ("openvino", [1, 1, 8, 8, 8])
    assert found["files"] == ["model.bin", "model.xml", "pipeline.json"]
    assert run(monkeypatch, "export", "onnx", source, "-o", str(tmp_path / "c"), "--shape", "8,x") == 2
    assert "sizes above 0 with commas between" in capsys.readouterr().err
    assert run(monkeypatch, "export", "onnx", source, "-o", str(tmp_path / "c"), "--shape", "8,9,8", "--json") == 7
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "export-unsupported"
    assert not (tmp_path / "c").exists()
