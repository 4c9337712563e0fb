"""How a bundle applies its network, and what it makes of the answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from medvision.errors import PipelineError
from medvision.importing.monai_bundle.document import Document
from medvision.importing.monai_bundle.inference import Answered, Applied, answered_by, applied_by
from medvision.importing.monai_bundle.metadata import Metadata

SLIDING = {"_target_": "SlidingWindowInferer", "roi_size": [96, 96, 96]}
SOFTMAX = {"_target_": "Activationsd", "keys": "pred", "softmax": True}
SIGMOID = {"_target_": "Activationsd", "keys": "pred", "sigmoid": True}
ARGMAX = {"_target_": "AsDiscreted", "keys": ["pred", "label"], "argmax": [True, False], "to_onehot": [2, 2]}
INVERT = {"_target_": "Invertd", "keys": "pred", "transform": "@x", "orig_keys": "image", "nearest_interp": False}
SAVE = {"_target_": "SaveImaged", "keys": "pred", "output_dir": "$@out + '/x'"}


def part(tmp_path: Path, content: Any) -> Any:
    path = tmp_path / "inference.json"
    path.write_text(json.dumps({"a": content, "x": {"_target_": "Compose", "transforms": []}}))
    return Document.open(path).part("a")


@pytest.mark.parametrize(
    ("inferer", "dimensions", "applied"),
    [
        (None, 3, Applied()),
        ({"_target_": "SimpleInferer"}, 2, Applied()),
        (SLIDING, 3, Applied((96, 96, 96), 0.25, "constant", "zero")),
        (
            SLIDING
            | {"overlap": 0.5, "mode": "gaussian", "padding_mode": "replicate", "device": "$torch.device('cpu')"},
            3,
            Applied((96, 96, 96), 0.5, "gaussian", "edge"),
        ),
        (SLIDING | {"roi_size": 64, "overlap": [0.5, 0.5, 0.5]}, 3, Applied((64, 64, 64), 0.5, "constant", "zero")),
        (SLIDING | {"roi_size": [-1, None, -1]}, 3, Applied(None, 0.25, "constant", "zero")),
        (
            {"_target_": "SliceInferer", "roi_size": [64, 48], "spatial_dim": 2},
            2,
            Applied((64, 48), 0.25, "constant", "zero", slices=True),
        ),
    ],
)
def test_an_inferer_says_window_overlap_weights_and_padding(
    tmp_path: Path, inferer: Any, dimensions: int, applied: Applied
) -> None:
    assert applied_by(part(tmp_path, inferer), dimensions) == applied


@pytest.mark.parametrize(
    ("inferer", "dimensions", "words"),
    [
        ({"_target_": "SaliencyInferer"}, 3, "a: the inferer SaliencyInferer is not known here"),
        ({"_target_": "SimpleInferer", "x": 1}, 3, "a.x is 1: SimpleInferer with it is not known here"),
        (SLIDING | {"roi_size": [96, 96]}, 3, "3 sizes above 0 are wanted"),
        (SLIDING | {"roi_size": [96, -1, 96]}, 3, "3 sizes above 0 are wanted"),
        (SLIDING | {"roi_size": "$@size"}, 3, "roi_size is $@size"),
        (SLIDING | {"overlap": [0.5, 0.5, 0.25]}, 3, "one share from 0 to below 1 is wanted for all axes"),
        (SLIDING | {"overlap": 1.0}, 3, "one share from 0 to below 1"),
        (SLIDING | {"mode": "hann"}, 3, "mode is 'hann': only 'constant' or 'gaussian'"),
        (SLIDING | {"padding_mode": "reflect"}, 3, "padding_mode is 'reflect': only 'constant' or 'replicate'"),
        (SLIDING | {"sigma_scale": 0.25}, 3, "sigma_scale is 0.25: only 0.125"),
        (SLIDING | {"cval": -1}, 3, "cval is -1: only 0.0"),
        ({"_target_": "SliceInferer", "roi_size": 64}, 2, "a.spatial_dim: only slices along the last axis, 2"),
        ({"_target_": "SliceInferer", "roi_size": 64, "spatial_dim": 2}, 3, "SliceInferer is for a network of two"),
    ],
)
def test_an_inferer_that_does_what_we_do_not_is_refused(
    tmp_path: Path, inferer: Any, dimensions: int, words: str
) -> None:
    with pytest.raises(PipelineError) as caught:
        applied_by(part(tmp_path, inferer), dimensions)
    assert caught.value.code == "import-unsupported"
    assert words in caught.value.finding.message


@pytest.mark.parametrize(
    ("posts", "answered"),
    [
        ([SOFTMAX, INVERT, ARGMAX, SAVE], Answered(True)),
        ([ARGMAX, INVERT], Answered(True, labels_moved=True)),
        ([SOFTMAX, INVERT | {"nearest_interp": True}], Answered(True, labels_moved=True)),
        ([SOFTMAX], Answered(True)),
        ([SIGMOID], Answered(False)),
        ([SIGMOID, {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.3}], Answered(False, 0.3)),
        ([{"_target_": "EnsureTyped", "keys": "pred", "device": "$@device"}, SOFTMAX], Answered(True)),
        ([], None),
        ([SAVE, {"_target_": "Lambdad", "keys": "label", "func": "$abs"}], None),
        (None, None),
    ],
)
def test_transforms_of_the_answer_say_whether_labels_exclude_each_other(
    tmp_path: Path, posts: Any, answered: Answered | None
) -> None:
    assert answered_by(part(tmp_path, posts), "pred") == answered


@pytest.mark.parametrize(
    ("posts", "words"),
    [
        (
            [{"_target_": "KeepLargestConnectedComponentd", "keys": "pred"}],
            "KeepLargestConnectedComponentd changes the",
        ),
        ([{"_target_": "Lambdad", "keys": "pred", "func": "$abs"}], "a.0: the transform Lambdad changes the answers"),
        ([SOFTMAX, {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.5}], "in one"),
        ([SOFTMAX | {"other": "$torch.exp"}], "other is $torch.exp"),
        ([{"_target_": "AsDiscreted", "keys": "pred", "threshold": 2}], "a probability above 0 and below 1"),
        ([{"_target_": "AsDiscreted", "keys": "pred", "rounding": "torchrounding"}], "rounding is 'torchrounding'"),
        ([INVERT | {"post_func": "$lambda x: x"}], "post_func is $lambda x: x"),
        ([SOFTMAX | {"softmax": "$True"}], "softmax is $True"),
    ],
)
def test_what_changes_the_answer_as_we_do_not_is_refused(tmp_path: Path, posts: Any, words: str) -> None:
    with pytest.raises(PipelineError) as caught:
        answered_by(part(tmp_path, posts), "pred")
    assert words in caught.value.finding.message


def about(**side: Any) -> Metadata:
    return Metadata(Path("metadata.json"), {"network_data_format": side, "version": "1", "references": ["a", "b"]})


def test_metadata_name_channels_labels_and_modality() -> None:
    named = {"image": {"num_channels": 2, "modality": "mri", "channel_def": {"0": " T1\n", "1": "T2"}}}
    found = about(inputs=named, outputs={"pred": {"channel_def": {"0": "background", "1": "spleen"}}})
    assert (found.channels(2), found.labels(2)) == (("T1", "T2"), ("background", "spleen"))
    assert (found.modality, found.input_key, found.output_key) == ("MR", "image", "pred")
    assert (found.version, found.words("references"), found.words("none")) == ("1", "a; b", None)


def test_metadata_that_say_nothing_leave_channels_unnamed_and_other_entries_have_other_names() -> None:
    assert about().channels(1) == ("image",)
    assert about().channels(2) == ("channel 1", "channel 2")
    assert about().modality is None
    assert about(inputs={"scan": {"modality": "endoscope"}}).modality is None
    assert about(inputs={"scan": {}}).input_key == "scan"


def test_labels_that_are_not_all_named_are_refused_and_so_is_another_number_of_channels() -> None:
    for names in ({}, {"0": "a"}, {"0": "a", "1": ""}, {"0": "a", "2": "b"}, {"0": "a", "1": "b", "2": "c"}):
        with pytest.raises(PipelineError, match=r"outputs\.pred\.channel_def does not name the 2 outputs"):
            about(outputs={"pred": {"channel_def": names}}).labels(2)
    with pytest.raises(PipelineError, match=r"inputs\.image\.num_channels is 1, but the network has 4") as caught:
        about(inputs={"image": {"num_channels": 1}}).channels(4)
    assert caught.value.code == "import-invalid"
