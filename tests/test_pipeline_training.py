"""The settings of a training are refused where they would be passed over, and make the network that it needs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_pipeline import CLASSIFIER, TINY, pipeline

from medvision.errors import PipelineError
from medvision.frameworks import state_of
from medvision.networks import plain_state
from medvision.pipeline import PipelineFolder, read_settings

CLASSES = CLASSIFIER + "\n[train]\nepochs = 3\n"
MANY = CLASSES.replace('"classification"', '"multilabel"')
VIT = 'use = "vit"\nimage_size = [16, 16]\npatch_size = [4, 4]\nchannels = 4\nheads = 2\nblocks = 1'
RESNET = 'use = "resnet"\nblocks = [1, 1, 1, 1]\nchannels = [4, 8, 8, 8]'


def test_a_loss_is_chosen_by_its_name_and_none_is_that_of_the_task(tmp_path: Path) -> None:
    assert read_settings(pipeline(tmp_path)).train.loss is None
    chosen = read_settings(pipeline(tmp_path, ("epochs = 3", 'loss = { use = "tversky", beta = 0.9 }'))).train.loss
    assert chosen is not None
    assert (chosen.use, getattr(chosen, "beta", None)) == ("tversky", 0.9)


@pytest.mark.parametrize(
    ("text", "change", "message"),
    [
        (TINY, ("epochs = 3", 'loss.use = "huber"'), "train.loss: 'huber' is for a regression, not for a segmentation"),
        (CLASSES, ("epochs = 3", 'loss.use = "dice-ce"'), "'dice-ce' is for a segmentation, not for a classification"),
        (TINY, ("epochs = 3", 'loss.use = "dise"'), "train.loss: nothing is called 'dise'; there are 'dice-ce', "),
        (TINY, ("epochs = 3", 'loss = { use = "focal", gama = 2 }'), "loss.focal.gama: there is no such key (did you"),
        (
            TINY,
            ("epochs = 3", 'class_weights = true\nloss = { use = "dice-ce", cross_entropy = 0.0 }'),
            "train.loss: this 'dice-ce' has no use for class_weights",
        ),
        (MANY, ("epochs = 3", 'label_smoothing = 0.1\nloss.use = "huber"'), "'huber' is for a regression, not for"),
        (CLASSES, ("epochs = 3", "deep_supervision = true"), "it is for U-Nets, not for 'resnet'"),
        (TINY, ("epochs = 3", 'schedule = "one-cycle"\nwarmup = 0.1'), "train.warmup: it is for the schedules poly"),
        (CLASSES, (RESNET, VIT.replace("16]", "16, 16]").replace("4]", "4, 4]")), "network.image_size: 2 sizes are"),
        (
            CLASSES,
            (f"{RESNET}\n\n[train]", f"{VIT}\n\n[train]\npatch = [8, 8]"),
            "takes images of [16, 16], not [8, 8]",
        ),
    ],
)
def test_settings_of_a_training_that_would_be_passed_over_are_refused(
    tmp_path: Path, text: str, change: tuple[str, str], message: str
) -> None:
    with pytest.raises(PipelineError) as caught:
        read_settings(pipeline(tmp_path, change, text=text))
    assert caught.value.code == "pipeline-invalid"
    assert message in caught.value.finding.message


@pytest.mark.parametrize(
    ("text", "change"),
    [
        (TINY, ("epochs = 3", "deep_supervision = true\nclass_weights = true\nwarmup = 0.1")),
        (TINY, ("epochs = 3", 'class_weights = true\nloss = { use = "tversky", cross_entropy = 1.0 }')),
        (CLASSES, ("epochs = 3", 'label_smoothing = 0.1\nloss.use = "focal"\nschedule = "one-cycle"')),
        (CLASSES, (f"{RESNET}\n\n[train]", f"{VIT}\n\n[train]\npatch = [16, 16]")),
        (TINY, ("epochs = 3", "label_smoothing = 0.1")),
        (MANY, ("epochs = 3", "label_smoothing = 0.1\nclass_weights = true")),
    ],
)
def test_settings_of_a_training_that_go_together_are_read(tmp_path: Path, text: str, change: tuple[str, str]) -> None:
    assert read_settings(pipeline(tmp_path, change, text=text)).train.epochs >= 3


def test_only_the_network_that_is_trained_answers_at_several_depths(tmp_path: Path) -> None:
    folder = PipelineFolder.open(pipeline(tmp_path, ("epochs = 3", "deep_supervision = true")))
    trained, plain = folder.build_network(training=True), folder.build_network()
    image = torch.rand(1, 1, 8, 8, 8)
    assert [answer.shape[2] for answer in trained.train()(image)] == [8, 4]
    assert plain.train()(image).shape == (1, 3, 8, 8, 8)
    for name, tensor in state_of(plain).items():
        assert torch.equal(tensor, plain_state(trained)[name]), name


def test_a_network_without_such_depths_is_the_same_for_a_training(tmp_path: Path) -> None:
    folder = PipelineFolder.open(pipeline(tmp_path, text=CLASSES))
    trained, plain = folder.build_network(training=True), folder.build_network()
    assert all(torch.equal(tensor, state_of(trained)[name]) for name, tensor in state_of(plain).items())
