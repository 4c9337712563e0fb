"""A pipeline's file is data: checked word by word, every fault named with its place, and nothing in it ever run."""

from __future__ import annotations

import json
import os
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_pipeline import TINY, pipeline

from medvision.errors import PipelineError
from medvision.pipeline import PipelineFolder, builtin_folder, builtin_names, input_spacing_mm, read_settings, schema


def fault(path: Path, code: str = "pipeline-invalid") -> str:
    with pytest.raises(PipelineError) as caught:
        read_settings(path)
    assert (caught.value.code, caught.value.path) == (code, path)
    assert str(path) in str(caught.value)
    return caught.value.finding.message


def test_settings_are_what_the_file_says_and_defaults_where_it_says_nothing(tmp_path: Path) -> None:
    settings = read_settings(pipeline(tmp_path))
    assert dict(settings.labels) == {1: "one", 2: "two"}
    assert [step.use for step in settings.steps] == ["reorient", "resample"]
    assert (settings.network.use, settings.outputs) == ("dynunet", 3)
    assert (settings.train.epochs, settings.train.batch) == (3, 2)
    assert settings.contract.dimensions == 3
    assert input_spacing_mm(settings) == (1.0, 1.5, 2.0)
    assert input_spacing_mm(replace(settings, steps=())) is None


def test_a_classification_has_an_output_a_label() -> None:
    assert PipelineFolder.open("cxr-pneumonia").settings.outputs == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        # what does not exist, with what there is and what was meant
        (("spacing_mm = ", "spacing = "), "steps.2.resample.spacing: there is no such key (did you mean 'spacing_mm'"),
        (("spacing_mm = ", "spacing = "), "there are blur, keeps, order, spacing_mm, use"),
        (("[train]", "[trian]"), "trian: there is no such key (did you mean 'train'?); there are card, contract,"),
        (("epochs = 3", "epoch = 3"), "train.epoch: there is no such key (did you mean 'epochs'?)"),
        (("epochs = 3", "zzz = 3"), "train.zzz: there is no such key; there are augmentation, average,"),
        (("epochs = 3", "augmentation.noice = 3"), "train.augmentation.noice: there is no such key (did you mean 'noi"),
        (("channels = [4", "chanels = [4"), "network.dynunet.chanels: there is no such key (did you mean 'channels'?)"),
        (("side = ", "sides = "), "contract.sides: there is no such key (did you mean 'side'?)"),
        (('use = "seg-hirescam"', 'use = "seg-hirescam"\nlayr = "x"'), "explain.1.seg-hirescam.layr: there is no such"),
        # a name that nothing has, and one that is missing
        (('"dynunet"', '"unet"'), "network: nothing is called 'unet'; there are 'dynunet', 'segresnet', 'resnet'"),
        (('"resample"', '"resampel"'), "steps.2: nothing is called 'resampel'; there are 'reorient', 'resample'"),
        (
            ('use = "reorient"', ""),
            "steps.1: the key 'use' is missing; it names one of clip, crop_foreground, crop_nonzero, normalise, pad",
        ),
        (
            ('use = "dynunet"', ""),
            "network: the key 'use' is missing; it names one of densenet, dynunet, plain-unet, resenc-unet",
        ),
        (('name = "tiny"', ""), "name: Field required"),
        # another type or a value that is not allowed
        (("epochs = 3", 'epochs = "3"'), "train.epochs: Input should be a valid integer, got '3'"),
        (("epochs = 3", "epochs = true"), "train.epochs: Input should be a valid integer, got True"),
        (("epochs = 3", "epochs = 2.5"), "train.epochs: Input should be a valid integer, got 2.5"),
        (("epochs = 3", "epochs = 0"), "train.epochs: Input should be greater than or equal to 1, got 0"),
        (("epochs = 3", "learning_rate = inf"), "train.learning_rate: Input should be a finite number, got inf"),
        (("epochs = 3", "seed = 99999999999999999999"), "train.seed: Input should be less than 4294967296"),
        (("epochs = 3", 'optimiser = "lion"'), "train.optimiser: Input should be 'sgd' or 'adamw', got 'lion'"),
        (("[4, 4, 4]", '"wide"'), "network.dynunet.channels: Input should be a valid array, got 'wide'"),
        (("[4, 4, 4]", "[4, 0, 4]"), "network.dynunet.channels.2: Input should be greater than 0, got 0"),
        (("[1.0, 1.5, 2.0]", "[1.0, 1.5]"), "steps.2.resample.spacing_mm.3: Field required"),
        (('name = "tiny"', 'name = "Tiny one"'), "name: String should match pattern"),
        (('"segmentation"', '"detection"'), "task: Input should be 'segmentation', 'classification', 'multilabel' or"),
        # labels
        (('2 = "two"', '3 = "two"'), "labels: those of a segmentation are numbered from 1 without gaps, got [1, 3]"),
        (('1 = "one"', '0 = "one"'), "labels: those of a segmentation are numbered from 1 without gaps, got [0, 2]"),
        (('1 = "one"\n2 = "two"', ""), "labels: those of a segmentation are numbered from 1 without gaps, got []"),
        (('2 = "two"', '2 = "one"'), "labels: two have the same name"),
        (('2 = "two"', '2 = ""'), "labels.2: String should have at least 1 character"),
        (('2 = "two"', 'two = "two"'), "labels.two.[key]: Input should be a valid integer, got 'two'"),
        (('2 = "two"', '2 = "two"\n01 = "lost"'), "labels.01.[key]: Input should be a valid integer, got '01'"),
        # what does not go together
        (('"dynunet"\nchannels = [4, 4, 4]', '"resnet"'), "network: 'resnet' is made for a classification or"),
        (('"seg-hirescam"', '"hirescam"'), "explain.1: 'hirescam' does not explain a segmentation"),
        (("epochs = 3", "balanced = true"), "train: balanced is for a classification"),
        (("epochs = 3", "patch = [8, 8]"), "train.patch: 3 sizes are wanted, got [8, 8]"),
        (("epochs = 3", "patch = [8, 8, 10]"), "train.patch: 4 must divide every side for this network, got [8, 8, 1"),
        (("epochs = 3", "patch = [4, 4, 4]"), "train.patch: this network leaves one voxel of [4, 4, 4]"),
        (("[train]", "[predict]\nwindow = [3, 4, 4]\n[train]"), "predict.window: this network leaves one voxel of"),
        (("[4, 4, 4]", "[4, 4, 4]\nkernels = [[3, 3], [3, 3], [3, 3]]"), "network.kernels: 3 numbers a row are wanted"),
        (("[train]", "[predict]\nwindow = [8, 8]\n[train]"), "predict.window: 3 sizes are wanted, got [8, 8]"),
        (('side = "left"', "spacing_mm = [2.0, 1.0]"), "contract: spacing_mm is the least and the greatest, above 0"),
        (('"dynunet"\nchannels = [4, 4, 4]', '"segresnet"\nblocks_up = [1]'), "network.segresnet: blocks_up has one"),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_place_and_with_what_is_allowed(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    assert message in fault(pipeline(tmp_path, change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('1 = "pneumonia"', ""), "labels: a classification needs two or more"),
        (('1 = "pneumonia"', '2 = "pneumonia"'), "labels: those of a classification are numbered from 0 without gaps"),
        (
            ("[train]\n", "[predict]\nwindow = [8, 8]\n\n[train]\n"),
            "predict.window: a classification sees the whole image",
        ),
        (("scale = 0.1", "mirror_axes = [2]"), "train.augmentation.mirror_axes: there are 2 axes, numbered from 0"),
        (("scale = 0.1", "mirror_axes = [1, 1]"), "train.augmentation.mirror_axes: an axis stands there twice"),
        (("[train]\n", "[predict]\nmirror_axes = [2]\n[train]\n"), "predict.mirror_axes: there are 2 axes"),
        (
            ("[train]\n", "[predict]\nmirror_axes = [0]\n[train]\n"),
            "predict.mirror_axes: the training does not mirror along axis 0",
        ),
    ],
)
def test_a_fault_of_a_classification_is_named_too(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    text = (builtin_folder() / "cxr-pneumonia" / "pipeline.toml").read_text(encoding="utf-8")
    assert message in fault(pipeline(tmp_path, change, text=text))


def test_an_image_is_mirrored_only_along_axes_that_the_training_mirrors_along(tmp_path: Path) -> None:
    text = (builtin_folder() / "cxr-pneumonia" / "pipeline.toml").read_text(encoding="utf-8")
    asked = ("[train]\n", "[predict]\nmirror_axes = [1]\n[train]\n")
    never = ("scale = 0.1", "mirror_axes = [1]\nprobabilities.mirror = 0.0")
    assert "does not mirror along axis 1" in fault(pipeline(tmp_path / "never", asked, never, text=text))
    often = pipeline(tmp_path / "often", asked, ("scale = 0.1", "mirror_axes = [0, 1]"), text=text)
    assert read_settings(often).predict.mirror_axes == (1,)


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    told = fault(pipeline(tmp_path, ("epochs = 3", "epochs = 0\nbatches = 2"), ('"tiny"', '"Tiny"')))
    assert told.count("; ") >= 2
    assert all(place in told for place in ("name: ", "train.epochs: ", "train.batches: "))


def test_a_file_that_is_no_toml_is_refused_with_the_line(tmp_path: Path) -> None:
    assert "line 7" in fault(pipeline(tmp_path, ("[contract]", "[contract")))


def test_a_key_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    assert "this is no TOML" in fault(pipeline(tmp_path, ("epochs = 3", "epochs = 3\nepochs = 4")))


def test_a_file_in_another_encoding_is_refused_and_a_byte_order_mark_is_not(tmp_path: Path) -> None:
    path = pipeline(tmp_path)
    path.write_bytes(TINY.replace("For tests", "Für").encode("latin-1"))
    assert "no UTF-8, at byte" in fault(path)
    path.write_bytes(TINY.encode("utf-8-sig"))
    assert read_settings(path).name == "tiny"


def test_a_file_that_is_not_there_or_is_a_folder_is_refused(tmp_path: Path) -> None:
    assert "cannot be read: No such file" in fault(tmp_path / "pipeline.toml")
    assert "cannot be read: Is a directory" in fault(tmp_path)


def test_a_file_that_is_nested_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.toml"
    path.write_text("a = " + "[" * 100_000)
    assert fault(path) == "this is nested too deeply"


@pytest.mark.parametrize(
    "change",
    [
        ("[train]", "[train]\n'_target_' = 'os.mkdir'\n'path' = 'ran'"),
        ("[network]", "[network]\n'_target_' = 'os.mkdir'"),
        ('"dynunet"', '"os.mkdir"'),
        ('"dynunet"', "\"$__import__('os').mkdir('ran')\""),
        ("epochs = 3", "epochs = \"$__import__('os').mkdir('ran')\""),
        ("epochs = 3", 'epochs = "@mkdir"\nimports = "$import os"'),
        ('use = "reorient"', 'use = "monai.transforms.Lambda"\nfunc = "$lambda x: 1"'),
    ],
)
def test_nothing_in_a_file_is_ever_run(tmp_path: Path, monkeypatch: Any, change: tuple[str, str]) -> None:
    monkeypatch.chdir(tmp_path)
    calls: list[str] = []
    monkeypatch.setattr(os, "mkdir", lambda *_: calls.append("mkdir"))
    path = tmp_path / "pipeline.toml"
    path.write_text(TINY.replace(*change))
    fault(path)
    assert calls == []


def test_words_that_look_like_code_stay_words(tmp_path: Path) -> None:
    code = "$__import__('os').mkdir('ran')"
    settings = read_settings(pipeline(tmp_path, ('description = "For tests"', f'description = "{code}"')))
    assert settings.description == code


def properties(node: dict[str, Any], whole: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the keys that a node of the schema allows, and the node itself without references."""
    while "$ref" in node:
        node = whole["$defs"][node["$ref"].rpartition("/")[2]]
    return node.get("properties", {}), node


def unknown(content: Any, node: dict[str, Any], whole: dict[str, Any], place: str = "") -> list[str]:
    """Return the places of a file that the schema does not know."""
    allowed, node = properties(node, whole)
    if isinstance(content, list):
        items = node.get("items", {})
        return [odd for n, part in enumerate(content) for odd in unknown(part, items, whole, f"{place}.{n}")]
    if not isinstance(content, dict) or node.get("additionalProperties", False) is not False:
        return []
    if "discriminator" in node:
        return unknown(content, {"$ref": node["discriminator"]["mapping"][content["use"]]}, whole, place)
    odd = [f"{place}.{key}" for key in content if key not in allowed]
    return odd + [
        o for key in content if key in allowed for o in unknown(content[key], allowed[key], whole, f"{place}.{key}")
    ]


def test_the_schema_knows_every_key_of_the_shipped_pipelines_and_no_misspelt_one() -> None:
    whole = schema()
    assert whole["$schema"].startswith("https://json-schema.org/")
    for name in builtin_names():
        content = tomllib.loads((builtin_folder() / name / "pipeline.toml").read_text(encoding="utf-8"))
        assert unknown(content, whole, whole) == []
        content["train"]["augmentation"]["noice"] = 1
        content["steps"][0]["orientatoin"] = "RAS"
        assert unknown(content, whole, whole) == [".steps.0.orientatoin", ".train.augmentation.noice"]
    json.dumps(whole)


def test_the_shipped_pipelines_satisfy_the_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    for name in builtin_names():
        content = tomllib.loads((builtin_folder() / name / "pipeline.toml").read_text(encoding="utf-8"))
        jsonschema.validate(content, schema())
