"""What the files of a results folder say: read, checked, and refused by name where we would do otherwise."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nnunet_folder import ARGUMENTS, DATASET, FULLRES, OLD_KEYS, PLANS, changed, checkpoint, network, results_folder

from medvision.errors import PipelineError
from medvision.importing.nnunet import model_of, trained_in
from medvision.importing.nnunet.axes import Axes
from medvision.importing.nnunet.checkpoint import read_checkpoint
from medvision.importing.nnunet.dataset import Dataset, modality_of
from medvision.importing.nnunet.documents import as_value, read_document
from medvision.importing.nnunet.network import network_of
from medvision.importing.nnunet.plans import Plans
from medvision.importing.nnunet.steps import steps_of
from medvision.networks import PlainUNet, ResEncUNet
from medvision.steps import CropNonzero, Normalise, Reorient, ResampleApart, Transpose
from medvision.steps.channelwise import AsStored, ByKnownMean, ByOwnMean, ByOwnRange, OfBytes

PATH = Path("plans.json")
SPLINE = FULLRES["resampling_fn_data_kwargs"]


def plans_of(content: Any = PLANS) -> Plans:
    return as_value(content, Plans, PATH, "")


def steps(content: Any = PLANS, orientation: str | None = None) -> tuple[Any, ...]:
    plans = plans_of(content)
    configuration = plans.configuration("3d_fullres", PATH)
    axes = Axes.of(plans.transpose_forward, configuration.dimensions)
    return steps_of(plans, configuration, axes, orientation, PATH)


def planned(*, kind: str = "PlainConvUNet", norm: Any = "instance", **arguments: Any) -> Any:
    given = {key: value for key, value in {**ARGUMENTS, **arguments}.items() if value is not ...}
    content = changed(PLANS, architecture={"network_class_name": f"x.{kind}", "arch_kwargs": given})
    configuration = plans_of(content).configuration("3d_fullres", PATH)
    return network_of(configuration, Axes.of((0, 1, 2), 3), norm, PATH)


def refused(code: str, words: str, called: Any, *given: Any, **named: Any) -> PipelineError:
    with pytest.raises(PipelineError) as caught:
        called(*given, **named)
    assert caught.value.code == code
    assert words in caught.value.finding.message
    return caught.value


# axes


@pytest.mark.parametrize("transpose", [(0, 1, 2), (1, 0, 2), (2, 0, 1), (1, 2, 0)])
def test_the_network_sees_in_each_of_our_axes_what_it_saw_in_that_of_nnunet(transpose: tuple[int, ...]) -> None:
    file = np.arange(24).reshape(2, 3, 4)  # i, j, k
    theirs = file.transpose(2, 1, 0).transpose(transpose)
    axes = Axes.of(transpose, 3)
    assert np.array_equal(theirs.transpose(axes.order), file)
    assert axes.turned(theirs.shape) == file.shape
    assert [axes.order[axes.ours(axis)] for axis in range(3)] == [0, 1, 2]
    flat = Axes.of(transpose, 2)
    ours = file if flat.transposed is None else file.transpose(flat.transposed)
    for number, image in enumerate(theirs):
        assert np.array_equal(image.transpose(flat.order), ours[..., number])


# documents


def test_a_file_that_is_missing_too_large_or_no_json_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "plans.json"
    assert refused("import-invalid", "cannot be read", read_document, path, Plans).path == path
    path.write_text("{", encoding="utf-8")
    assert "the file: Invalid JSON" in refused("import-invalid", "", read_document, path, Plans).finding.message
    path.write_text("[]", encoding="utf-8")
    refused("import-invalid", "the file:", read_document, path, Plans)
    monkeypatch.setattr("medvision.importing.nnunet.documents.LIMIT_BYTES", 1)
    refused("import-invalid", "more than 1 bytes", read_document, path, Plans)


def test_missing_keys_and_wrong_types_are_named_with_their_place() -> None:
    error = refused("import-invalid", "dataset_name: ", plans_of, {})
    assert "image_reader_writer" in error.finding.message
    assert "; and 1 more" in error.finding.message
    refused("import-invalid", "transpose_forward.2: ", plans_of, {**PLANS, "transpose_forward": [0, 1, "2"]})
    bad = plans_of(changed(PLANS, patch_size=[8, -1, 8]))
    refused("import-invalid", "configurations.3d_fullres.patch_size.1: ", bad.configuration, "3d_fullres", PATH)


# plans


def test_a_configuration_has_what_it_inherits_and_its_own_comes_first() -> None:
    lowres = plans_of().configuration("3d_lowres", PATH)
    assert (lowres.spacing, lowres.patch_size, lowres.dimensions) == ((4, 2, 2), (8, 12, 16), 3)


def test_a_cascade_is_refused_with_what_it_needs() -> None:
    error = refused(
        "import-unsupported", "sees what 3d_lowres made", plans_of().configuration, "3d_cascade_fullres", PATH
    )
    assert "3d_fullres" in str(error.finding.cure)


def test_configurations_that_are_not_there_or_inherit_in_a_circle_are_refused() -> None:
    refused("import-invalid", "there are 3d_fullres, 3d_lowres", plans_of().configuration, "2d", PATH)
    circle = {**PLANS, "configurations": {"a": {"inherits_from": "b"}, "b": {"inherits_from": "a"}}}
    refused("import-invalid", "configurations.a inherits from itself", plans_of(circle).configuration, "a", PATH)


# data set


def test_channels_and_labels_are_those_of_the_data_set_in_the_order_of_their_numbers() -> None:
    content = {"channel_names": {"1": "b", "0": "a"}, "labels": {"y": [2], "background": 0, "x": "1", "ignore": 3}}
    dataset = as_value(content, Dataset, PATH, "")
    assert dataset.channels(PATH) == ("a", "b")
    assert dataset.names(PATH) == {1: "x", 2: "y"}
    old = as_value({"modality": {"0": "CT"}, "labels": {}}, Dataset, PATH, "")
    assert old.channels(PATH) == ("CT",)


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        ({"channel_names": {}}, "import-invalid", "channel_names: they are numbered from 0"),
        ({"channel_names": {"1": "a"}}, "import-invalid", "got ['1']"),
        ({"labels": {"background": 0, "x": 2}}, "import-invalid", "without gaps, got [0, 2]"),
        ({"labels": {"background": 0}}, "import-invalid", "without gaps, got [0]"),
        ({"labels": {"background": 0, "x": "one"}}, "import-invalid", "labels.x: a whole number is wanted, got 'one'"),
        ({"labels": {"background": 0, "x": []}}, "import-invalid", "labels.x: a whole number is wanted, got ()"),
        ({"labels": {"background": 0, "all": [1, 2], "core": 2}}, "import-unsupported", "several numbers ('all')"),
    ],
)
def test_odd_data_sets_are_refused(content: Any, code: str, words: str) -> None:
    dataset = as_value({**DATASET, **content}, Dataset, PATH, "")
    refused(code, words, lambda: (dataset.channels(PATH), dataset.names(PATH)))


def test_the_modality_is_told_by_the_names_of_channels_where_all_agree() -> None:
    assert [modality_of((name,)) for name in ("CT", "MRI", "T2", "PET", "noNorm")] == ["CT", "MR", "MR", "PT", None]
    assert modality_of(("CT", "PET")) is None


# steps


def test_the_steps_are_those_of_nnunets_preprocessing_in_its_order() -> None:
    assert steps() == (
        CropNonzero(),
        Normalise(channels=(ByOwnMean(),)),
        ResampleApart(spacing_mm=(1.0, 1.0, 2.0), order=3, back=1, apart="thick", ratio=3.0),
    )


def test_a_network_of_slices_keeps_their_distance_and_sees_them_along_the_last_axis() -> None:
    flat = changed({**PLANS, "transpose_forward": [2, 0, 1]}, patch_size=[8, 16], spacing=[0.5, 2.0])
    assert steps(flat)[0] == Transpose(axes=(1, 2, 0))
    assert steps(flat)[-1].spacing_mm == (2.0, 0.5)


def test_images_are_turned_to_a_known_orientation_first() -> None:
    assert steps(orientation="LPS")[0] == Reorient(orientation="LPS")
    turning = {**PLANS, "image_reader_writer": "NibabelIOWithReorient"}
    assert steps(turning)[0] == steps(turning, "LPS")[0] == Reorient(orientation="RAS")
    assert steps({**PLANS, "image_reader_writer": "NibabelIO"}) == steps()


def test_each_channel_is_normalised_by_its_own_scheme() -> None:
    schemes = ["ZScore", "CT", "RescaleTo01", "RGBTo01", "No"]
    table = PLANS["foreground_intensity_properties_per_channel"]
    many = changed(
        {**PLANS, "foreground_intensity_properties_per_channel": {"1": table["0"]}},
        normalization_schemes=[f"{name}Normalization" for name in schemes],
        use_mask_for_norm=[True, False, False, False, False],
    )
    known = ByKnownMean(low=-10, high=90, mean=50, sd=20)
    assert steps(many)[1].channels == (ByOwnMean(object_only=True), known, ByOwnRange(), OfBytes(), AsStored())


def test_the_values_of_channels_stand_under_another_name_in_old_plans() -> None:
    old = {**PLANS, "foreground_intensity_properties_by_modality": PLANS["foreground_intensity_properties_per_channel"]}
    del old["foreground_intensity_properties_per_channel"]
    assert steps(changed(old, normalization_schemes=["CTNormalization"]))[1].channels[0].mean == 50


@pytest.mark.parametrize(
    ("given", "apart", "order"),
    [
        ({}, "thick", 3),
        ({"force_separate_z": True}, "always", 3),
        ({"force_separate_z": False}, "never", 3),
    ],
)
def test_slices_are_apart_as_the_plans_say(given: Any, apart: str, order: int) -> None:
    both = {
        f"resampling_fn_{what}_kwargs": FULLRES[f"resampling_fn_{what}_kwargs"] | given
        for what in ("data", "probabilities")
    }
    assert (steps(changed(PLANS, **both))[-1].apart, steps(changed(PLANS, **both))[-1].order) == (apart, order)


def test_the_resampling_by_torch_is_linear() -> None:
    given = {"is_seg": False, "force_separate_z": False, "memefficient_seg_resampling": False}
    both: dict[str, Any] = {}
    for what in ("data", "probabilities"):
        both |= {f"resampling_fn_{what}": "resample_torch_fornnunet", f"resampling_fn_{what}_kwargs": given}
    step = steps(changed(PLANS, **both))[-1]
    assert (step.order, step.back, step.apart) == (1, 1, "never")


def test_plans_without_resampling_have_no_such_step() -> None:
    none = {f"resampling_fn_{what}": "no_resampling_hack" for what in ("data", "probabilities")}
    assert steps(changed(PLANS, **none))[-1] == Normalise(channels=(ByOwnMean(),))


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"preprocessor_name": "Own"}, "import-unsupported", "prepared by 'Own'"),
        ({"normalization_schemes": ["Own"]}, "import-unsupported", "channel 0 are normalised by 'Own'"),
        ({"use_mask_for_norm": []}, "import-invalid", "normalization_schemes are 1, use_mask_for_norm 0"),
        ({"resampling_fn_data": "own"}, "import-unsupported", "resampling_fn_data: by 'own'"),
        ({"resampling_fn_data": "no_resampling_hack"}, "import-unsupported", "otherwise than images"),
        ({"resampling_fn_probabilities_kwargs": SPLINE}, "import-unsupported", "by a cubic spline"),
        ({"resampling_fn_data_kwargs": SPLINE | {"force_separate_z": True}}, "import-unsupported", "otherwise than"),
        ({"resampling_fn_data_kwargs": SPLINE | {"order_z": 1}}, "import-unsupported", "order_z = 1"),
        ({"resampling_fn_data_kwargs": SPLINE | {"own": 1}}, "import-unsupported", "own = 1"),
        ({"resampling_fn_data_kwargs": SPLINE | {"order": 2}}, "import-unsupported", "order = 2"),
        ({"resampling_fn_data_kwargs": SPLINE | {"force_separate_z": "no"}}, "import-unsupported", "force_separate_z"),
        ({"spacing": [1.0, 1.0]}, "import-invalid", "spacing has 2 numbers, patch_size 3"),
    ],
)
def test_other_preparation_is_refused_by_name(change: Any, code: str, words: str) -> None:
    refused(code, words, steps, changed(PLANS, **change))


def test_images_that_another_reader_reads_are_refused() -> None:
    refused(
        "import-unsupported", "read by 'NaturalImage2DIO'", steps, {**PLANS, "image_reader_writer": "NaturalImage2DIO"}
    )


def test_a_ct_without_known_values_is_refused() -> None:
    ct = changed(PLANS, normalization_schemes=["CTNormalization"])
    key = "foreground_intensity_properties_per_channel"
    refused("import-invalid", f"{key}.0 is missing", steps, {**ct, key: {}})
    flat = {"mean": 1.0, "std": 1.0, "percentile_00_5": 2.0, "percentile_99_5": 2.0}
    refused("import-invalid", "percentile_00_5 is below", steps, {**ct, key: {"0": flat}})


# network


def test_a_plan_is_our_network_with_its_axes_turned() -> None:
    kernels = [[1, 3, 3], [3, 3, 3], [3, 3, 3]]
    found = planned(kernel_sizes=kernels, strides=[[1, 1, 1], [1, 2, 2], [2, 2, 2]], n_conv_per_stage=[1, 2, 3])
    assert found == PlainUNet(
        channels=(4, 6, 8),
        convolutions=(1, 2, 3),
        decoder=(2, 2),
        strides=((2, 2, 1), (2, 2, 2)),
        kernels=((3, 3, 1), (3, 3, 3), (3, 3, 3)),
    )


def test_a_residual_encoder_has_its_blocks() -> None:
    found = planned(kind="ResidualEncoderUNet", n_conv_per_stage=..., n_blocks_per_stage=[1, 3, 4], norm="batch")
    assert isinstance(found, ResEncUNet)
    assert (found.blocks, found.norm, found.bias) == ((1, 3, 4), "batch", True)


def test_one_number_stands_for_all_stages_and_axes() -> None:
    found = planned(
        features_per_stage=8, kernel_sizes=3, strides=[1, 2, 2], n_conv_per_stage=1, n_conv_per_stage_decoder=1
    )
    assert (found.channels, found.convolutions, found.decoder) == ((8, 8, 8), (1, 1, 1), (1, 1))
    assert (found.kernels, found.strides) == (((3, 3, 3),) * 3, ((2, 2, 2),) * 2)


def test_activation_dropout_and_bias_are_as_planned() -> None:
    assert planned(conv_bias=...).bias is False
    assert planned(nonlin="torch.nn.ReLU").slope == 0
    assert planned(nonlin_kwargs={"negative_slope": 0.1}).slope == 0.1
    assert planned(dropout_op="torch.nn.Dropout3d", dropout_op_kwargs={"p": 0.2}).dropout == 0.2
    assert planned(stem_channels=4, deep_supervision=True, nonlin_first=False).channels == (4, 6, 8)


def test_plans_from_before_architectures_say_the_same_in_other_words() -> None:
    table = {key: value for key, value in FULLRES.items() if key != "architecture"}
    content = {**PLANS, "configurations": {"3d_fullres": table | OLD_KEYS}}
    found = network_of(plans_of(content).configuration("3d_fullres", PATH), Axes.of((0, 1, 2), 3), "instance", PATH)
    assert isinstance(found, PlainUNet)
    assert (found.channels, found.convolutions, found.bias, found.strides) == (
        (4, 6, 6),
        (2, 2, 2),
        True,
        ((2, 2, 2),) * 2,
    )
    for key in OLD_KEYS:
        less = {name: value for name, value in OLD_KEYS.items() if name != key}
        bare = {**PLANS, "configurations": {"3d_fullres": table | less}}
        configuration = plans_of(bare).configuration("3d_fullres", PATH)
        refused("import-invalid", key, network_of, configuration, Axes.of((0, 1, 2), 3), "instance", PATH)


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"kind": "Primus"}, "import-unsupported", "'Primus'; PlainConvUNet and ResidualEncoderUNet"),
        ({"squeeze_excitation": True}, "import-unsupported", "squeeze_excitation = True"),
        ({"stochastic_depth_p": 0.1}, "import-unsupported", "stochastic_depth_p = 0.1"),
        ({"nonlin_first": True}, "import-unsupported", "nonlin_first = True"),
        ({"own": 0}, "import-unsupported", "own = 0"),
        ({"conv_op": "torch.nn.Conv2d"}, "import-unsupported", "conv_op = 'Conv2d'"),
        ({"norm_op": "torch.nn.GroupNorm"}, "import-unsupported", "the norm GroupNorm"),
        ({"norm_op_kwargs": {"eps": 1e-3, "affine": True}}, "import-unsupported", "the norm InstanceNorm3d with"),
        ({"block": "x.BottleneckD"}, "import-unsupported", "block = 'x.BottleneckD'"),
        ({"stem_channels": 9}, "import-unsupported", "stem_channels = 9"),
        ({"nonlin": "torch.nn.GELU"}, "import-unsupported", "the activation GELU"),
        ({"nonlin_kwargs": {"negative_slope": "x"}}, "import-unsupported", "the activation LeakyReLU"),
        ({"dropout_op": "x", "dropout_op_kwargs": {"p": "x"}}, "import-unsupported", "dropout_op_kwargs.p = 'x'"),
        ({"strides": [[2, 2, 2]] * 3}, "import-unsupported", "the first stage is coarser"),
        ({"n_conv_per_stage": ...}, "import-invalid", "arch_kwargs.n_conv_per_stage is missing"),
        ({"n_stages": 1}, "import-invalid", "arch_kwargs.n_stages: "),
        ({"n_conv_per_stage": [1, 1]}, "import-invalid", "convolutions has 3 numbers"),
        ({"kernel_sizes": [[3, 3]] * 3}, "import-invalid", "kernel_sizes: 3 numbers a row are wanted"),
        ({"strides": []}, "import-invalid", "strides: 3 numbers a row are wanted"),
    ],
)
def test_what_our_networks_have_not_is_refused_by_name(change: Any, code: str, words: str) -> None:
    refused(code, words, lambda: planned(**change))


# checkpoints


def saved(folder: Path, content: Any) -> Path:
    torch.save(content, folder / "checkpoint_final.pth")
    return folder / "checkpoint_final.pth"


def test_a_checkpoint_is_read_as_data_with_the_figures_of_its_training_left_out(tmp_path: Path) -> None:
    content = checkpoint(network().state_dict(), logging={"mean_fg_dice": [np.float64(0.5)]}, _best_ema=np.float32(1))
    found = read_checkpoint(saved(tmp_path, content))
    assert (found.configuration, found.trainer, found.mirrors, found.epoch) == (
        "3d_fullres",
        "nnUNetTrainer",
        (0, 1, 2),
        1000,
    )
    assert "decoder.seg_layers.1.weight" in found.tensors


def test_words_before_the_names_of_several_gpus_are_left_out_and_what_is_not_stated_is_none(tmp_path: Path) -> None:
    content = checkpoint(
        {"module.a": torch.ones(1), "b": "words"}, current_epoch="x", inference_allowed_mirroring_axes=None
    )
    found = read_checkpoint(saved(tmp_path, content))
    assert (list(found.tensors), found.epoch, found.mirrors) == (["a"], None, None)


class Hostile:
    def __reduce__(self) -> Any:
        return os.mkdir, ("/tmp/medvision-was-here",)


def test_a_checkpoint_that_would_run_code_is_refused_and_runs_none(tmp_path: Path) -> None:
    content = checkpoint(network().state_dict(), logging=Hostile())
    refused("weights-unsafe", "nothing of it was run", read_checkpoint, saved(tmp_path, content))
    assert not Path("/tmp/medvision-was-here").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], "no 'network_weights'"),
        (checkpoint({}, init_args=None), "no 'init_args'"),
        (checkpoint({"a": torch.ones(1)}, init_args={}), "no 'configuration'"),
        (checkpoint({"a": torch.ones(1)}, trainer_name=1), "no 'trainer_name'"),
        (checkpoint({"a": torch.ones(1)}, inference_allowed_mirroring_axes=(0, 5)), "axes from 0 to 2 are wanted"),
    ],
)
def test_what_is_no_checkpoint_of_nnunet_is_refused(tmp_path: Path, content: Any, words: str) -> None:
    refused("import-invalid", words, read_checkpoint, saved(tmp_path, content))


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, checkpoint({"a": torch.tensor([float("nan")])}))
    refused("weights-unreadable", "not all finite", read_checkpoint, path)


# folders


def test_all_folds_that_were_trained_are_taken_and_all_only_alone(tmp_path: Path) -> None:
    content = checkpoint(network().state_dict())
    folder = results_folder(tmp_path / "a", folds={"10": content, "2": content, "all": content})
    assert trained_in(folder).folds == ("2", "10")
    assert trained_in(folder, folds=("all", "2", "2")).folds == ("all", "2")
    assert trained_in(results_folder(tmp_path / "b", folds={"all": content})).folds == ("all",)


def test_folds_or_weights_that_are_not_there_are_named(tmp_path: Path) -> None:
    folder = results_folder(tmp_path)
    refused(
        "import-invalid", "no fold 3 with a checkpoint_final.pth; there are 0", trained_in, folder, folds=("0", "3")
    )
    refused("import-invalid", "no fold has a checkpoint_best.pth", trained_in, folder, which="best")
    refused(
        "import-invalid",
        "no fold 0 with a checkpoint_best.pth; there is none",
        trained_in,
        folder,
        folds=("0",),
        which="best",
    )


def test_of_a_data_sets_folder_the_configuration_is_named_unless_there_is_one(tmp_path: Path) -> None:
    full = results_folder(tmp_path / "T__P__3d_fullres")
    assert trained_in(tmp_path).folder == full
    low = results_folder(tmp_path / "T__P__3d_lowres")
    assert trained_in(tmp_path, configuration="3d_lowres").folder == low
    refused("import-invalid", "T__P__3d_fullres, T__P__3d_lowres; one is wanted", trained_in, tmp_path)
    refused("import-invalid", "one is wanted", trained_in, tmp_path, configuration="2d")
    refused("import-invalid", "of another configuration than 2d", trained_in, low, configuration="2d")
    refused("import-invalid", "no results folder of nnU-Net", trained_in, tmp_path / "fold_0")


# the whole


def test_folds_that_were_trained_otherwise_are_no_ensemble(tmp_path: Path) -> None:
    state = network().state_dict()
    other = checkpoint(state, inference_allowed_mirroring_axes=(0,))
    folder = results_folder(tmp_path, folds={"0": checkpoint(state), "1": other})
    assert (
        refused("import-invalid", "the folds differ", model_of, trained_in(folder)).path
        == folder / "fold_1" / "checkpoint_final.pth"
    )


def test_mirrors_are_those_of_the_weights_in_our_axes(tmp_path: Path) -> None:
    state = checkpoint(network().state_dict(), inference_allowed_mirroring_axes=(0,))
    folder = results_folder(tmp_path, folds={"0": state})
    found = model_of(trained_in(folder))
    assert found.mirror_axes == found.settings.predict.mirror_axes == found.settings.mirrored_axes == (2,)
    plain = model_of(trained_in(folder), mirroring=False)
    assert (plain.mirror_axes, plain.settings.predict.mirror_axes) == ((2,), ())


def test_weights_that_name_no_mirrors_are_not_mirrored_and_it_is_told(tmp_path: Path) -> None:
    silent = checkpoint(network().state_dict())
    del silent["inference_allowed_mirroring_axes"]
    found = model_of(trained_in(results_folder(tmp_path, folds={"0": silent})))
    assert found.settings.predict.mirror_axes == ()
    assert [finding.code for finding in found.findings] == ["orientation-doubted", "start-unknown"]


def test_labels_with_sides_are_not_predicted_on_mirrored_images(tmp_path: Path) -> None:
    sided = {**DATASET, "labels": {"background": 0, "left kidney": 1, "right kidney": 2}}
    trained = trained_in(results_folder(tmp_path, dataset=sided))
    error = refused("import-unsupported", "labels have sides ('left kidney', 'right kidney')", model_of, trained)
    assert "--no-mirroring" in str(error.finding.cure)
    found = model_of(trained, mirroring=False)
    assert (
        "Its labels have sides, and it was trained on images mirrored along axes [0, 1, 2]."
        in found.settings.card.limits
    )


def test_batch_norms_are_told_by_the_weights(tmp_path: Path) -> None:
    state = network().state_dict() | {"encoder.stages.0.0.convs.0.norm.running_mean": torch.zeros(4)}
    found = model_of(trained_in(results_folder(tmp_path, folds={"0": checkpoint(state)})))
    assert found.settings.network.norm == "batch"


def test_settings_that_the_house_refuses_are_refused_as_a_model(tmp_path: Path) -> None:
    flat = changed(PLANS, patch_size=[4, 4, 4])
    refused("import-unsupported", "leaves one voxel", model_of, trained_in(results_folder(tmp_path, plans=flat)))


def test_what_is_not_known_of_a_training_is_said(tmp_path: Path) -> None:
    found = model_of(trained_in(results_folder(tmp_path)))
    card = found.settings.card
    assert (card.licence, card.intended_use) == (
        "Not stated: ask whoever trained it before use.",
        "Not stated by nnU-Net's files.",
    )
    assert "its files do not say" in card.limits[0]
    assert "--orientation" in card.limits[1]
    assert model_of(trained_in(tmp_path), orientation="RAS").findings == ()
    assert len(model_of(trained_in(tmp_path), orientation="RAS").settings.card.limits) == 1
