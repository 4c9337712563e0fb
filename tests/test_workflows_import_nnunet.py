"""A training of nnU-Net as a pipeline: the labels are those that nnU-Net's arithmetic gives, and the folder says so."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nnunet_folder import PLANS, changed, checkpoint, network, results_folder

from medvision.errors import GeometryError, OutputError, PipelineError, UsageError
from medvision.geometry import Geometry
from medvision.networks import WeightsCard
from medvision.pipeline import PipelineFolder
from medvision.study import Case, Source
from medvision.volume import Volume
from medvision.workflows.cases.network import ReadyNetwork
from medvision.workflows.cases.segment import segment
from medvision.workflows.import_nnunet import import_nnunet
from medvision_cli import app

UNSCALED = changed(PLANS, spacing=[1.0, 1.0, 1.0])


def scan(shape: tuple[int, int, int] = (14, 10, 7)) -> Volume:
    """A grid whose axes point elsewhere than the world's: nnU-Net does not look where they point to."""
    voxels = np.random.default_rng(0).normal(3, 2, (1, *shape)).astype(np.float32)
    return Volume(voxels, Geometry.from_spacing((1, 1, 1), shape).reoriented("LPS"), modality="MR")


def logits(theirs: Any, image: torch.Tensor) -> torch.Tensor:
    """What a network of three stages under nnU-Net's names says of (1, C, *spatial)."""
    fine = theirs.encoder.stages[0](image)
    middle = theirs.encoder.stages[1](fine)
    up = theirs.decoder.transpconvs[0](theirs.encoder.stages[2](middle))
    up = theirs.decoder.stages[0](torch.cat((up, middle), 1))
    up = theirs.decoder.stages[1](torch.cat((theirs.decoder.transpconvs[1](up), fine), 1))
    return theirs.decoder.seg_layers[1](up)


def labels_of(networks: list[Any], voxels: np.ndarray, mirrors: list[tuple[int, ...]]) -> np.ndarray:
    """What nnU-Net makes of an image that one window of 8 x 12 x 16 holds: its axes, scale, padding and means."""
    image = voxels.transpose(2, 1, 0)
    image = (image - image.mean()) / image.std()
    missing = [window - size for window, size in zip((8, 12, 16), image.shape, strict=True)]
    padded = np.pad(image, [(size // 2, size - size // 2) for size in missing])
    seen = torch.from_numpy(padded[None, None])
    with torch.inference_mode():
        found = [
            logits(each, seen.flip([a + 2 for a in axes])).flip([a + 2 for a in axes])
            for each in networks
            for axes in mirrors
        ]
    inside = tuple(slice(size // 2, size // 2 + whole) for size, whole in zip(missing, image.shape, strict=True))
    return torch.stack(found).mean(0)[0].argmax(0).numpy()[inside].transpose(2, 1, 0)


def segmented(pipeline: PipelineFolder, volume: Volume) -> np.ndarray:
    case = Case("one", (Source("nifti", (Path("one.nii.gz"),)),))
    found = segment(volume, case, pipeline.settings, ReadyNetwork.in_torch(pipeline.load_network()))
    return found.segmentation.labels.voxels


@pytest.mark.parametrize("mirroring", [False, True])
def test_labels_are_those_of_nnunets_arithmetic(tmp_path: Path, mirroring: bool) -> None:
    networks = [network(seed) for seed in (0, 1)]
    given = {
        str(n): checkpoint(each.state_dict(), inference_allowed_mirroring_axes=(0, 2))
        for n, each in enumerate(networks)
    }
    folder = results_folder(tmp_path / "trained", plans=UNSCALED, folds=given)
    made = import_nnunet(folder, tmp_path / "made", mirroring=mirroring)
    volume = scan()
    mirrors: list[tuple[int, ...]] = [(), (0,), (2,), (0, 2)] if mirroring else [()]
    wanted = labels_of(networks, volume.voxels[0], mirrors)
    assert len(np.unique(wanted)) > 1, "the phantom shows several labels"
    assert np.array_equal(segmented(made.pipeline, volume), wanted)


def test_what_is_cropped_away_is_background(tmp_path: Path) -> None:
    made = import_nnunet(results_folder(tmp_path / "trained", plans=UNSCALED), tmp_path / "made", mirroring=False)
    inner = scan()
    outer = np.zeros((1, 20, 10, 9), dtype=np.float32)
    outer[:, 2:16, :, 1:8] = inner.voxels
    volume = Volume(outer, Geometry.from_spacing((1, 1, 1), outer.shape[1:]), modality="MR")
    found = segmented(made.pipeline, volume)
    assert np.array_equal(found[2:16, :, 1:8], labels_of([network()], inner.voxels[0], [()]))
    found_outside = found.copy()
    found_outside[2:16, :, 1:8] = 0
    assert not found_outside.any()


def test_a_network_of_slices_sees_those_along_nnunets_first_axis(tmp_path: Path) -> None:
    flat = network(dims=2)
    arguments = {**UNSCALED["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]}
    arguments |= {"conv_op": "torch.nn.Conv2d", "kernel_sizes": [[3, 3]] * 3, "strides": [[1, 1], [2, 2], [2, 2]]}
    plans = changed(
        {**PLANS, "transpose_forward": [2, 0, 1]},
        patch_size=[8, 12],
        spacing=[1.0, 1.0],
        architecture={"network_class_name": "x.PlainConvUNet", "arch_kwargs": arguments},
    )
    weights = checkpoint(flat.state_dict(), inference_allowed_mirroring_axes=None)
    folder = results_folder(tmp_path / "trained", plans=plans, folds={"0": weights})
    made = import_nnunet(folder, tmp_path / "made")
    volume = scan((5, 12, 8))
    image = volume.voxels[0].transpose(2, 1, 0).transpose(2, 0, 1)  # (i, k, j)
    image = (image - image.mean()) / image.std()
    with torch.inference_mode():
        wanted = logits(flat, torch.from_numpy(image[:, None].copy())).argmax(1).numpy()
    assert made.pipeline.settings.contract.slices
    assert np.array_equal(segmented(made.pipeline, volume), wanted.transpose(0, 2, 1))


def test_the_folder_says_what_it_was_made_of_and_what_is_not_known(tmp_path: Path) -> None:
    content = checkpoint(network().state_dict())
    folder = results_folder(tmp_path / "nnUNetTrainer__nnUNetPlans__3d_fullres", folds={"0": content, "1": content})
    made = import_nnunet(folder, tmp_path / "made", folds=("1",))
    settings = made.pipeline.settings
    assert made.pipeline.name == "hippocampus-3d-fullres 1.0.0"
    assert (settings.predict.window, settings.train.patch, settings.contract.modality) == ((16, 12, 8),) * 2 + ("MR",)
    assert settings.contract.axes_as_stored
    assert (settings.predict.combine, settings.predict.padding, settings.predict.overlap) == ("logits", "zero", 0.5)
    card = WeightsCard.open(made.pipeline.folder / "weights.json")
    assert (card.members, card.mirror_axes, card.input_spacing_mm) == (1, (0, 1, 2), (1.0, 1.0, 2.0))
    assert (card.trained_with["folds"], card.trained_with["epochs"]) == ("1", "1000")
    assert set(made.to_json()["sha256"]) == {"plans.json", "dataset.json", "fold_1/checkpoint_final.pth"}
    text = (made.pipeline.folder / "card.md").read_text("utf-8")
    assert "Not stated: ask whoever trained it before use." in text
    assert "seen mirrored or turned, and nothing tells" in text


def test_a_known_orientation_is_restored_first_so_that_any_file_is_seen_alike(tmp_path: Path) -> None:
    folder = results_folder(tmp_path / "trained", plans=UNSCALED)
    fixed = import_nnunet(folder, tmp_path / "fixed", mirroring=False, orientation="LPS").pipeline
    stored = import_nnunet(folder, tmp_path / "stored", mirroring=False).pipeline
    assert (fixed.settings.contract.axes_as_stored, stored.settings.contract.axes_as_stored) == (False, True)
    volume = scan()
    turned = volume.onto(volume.geometry.reoriented("RSA"))
    wanted = segmented(stored, volume)
    assert np.array_equal(segmented(fixed, volume), wanted)
    back = Volume(segmented(fixed, turned)[None], turned.geometry).onto(volume.geometry).voxels[0]
    assert np.array_equal(back, wanted)
    assert not np.array_equal(
        Volume(segmented(stored, turned)[None], turned.geometry).onto(volume.geometry).voxels[0], wanted
    )


def test_weights_that_do_not_fit_the_plans_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    state = network(widths=(4, 6, 10)).state_dict()
    folder = results_folder(tmp_path / "trained", folds={"0": checkpoint(state)})
    with pytest.raises(PipelineError, match="the weights are not those of the network that the plans name") as caught:
        import_nnunet(folder, tmp_path / "made")
    assert (caught.value.code, caught.value.path) == ("import-invalid", folder / "fold_0" / "checkpoint_final.pth")
    assert not (tmp_path / "made").exists()


def test_wrong_words_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no checkpoint 'latest'"):
        import_nnunet(tmp_path, tmp_path / "made", checkpoint="latest")
    with pytest.raises(GeometryError, match="three letters"):
        import_nnunet(tmp_path, tmp_path / "made", orientation="LPX")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").touch()
    with pytest.raises(OutputError):
        import_nnunet(results_folder(tmp_path / "trained"), tmp_path / "full")


# the command


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["medvision", "import", "nnunet", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        app.main()
    return int(caught.value.code or 0)


def test_the_command_tells_what_it_made_and_warns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    content = checkpoint(network().state_dict())
    folder = results_folder(tmp_path / "trained", folds={"0": content, "1": content, "2": content}, which="best")
    options = ["--folds", "0,2", "--checkpoint", "best", "--no-mirroring"]
    assert command(monkeypatch, folder, "--out", tmp_path / "made", *options) == 0
    shown = capsys.readouterr().out
    assert "Network:   plain-unet, MRI in" in shown
    assert "warning: how the training's images were stored is not known" in shown
    opened = PipelineFolder.open(tmp_path / "made")
    assert opened.require_weights().members == 2
    assert opened.settings.predict.mirror_axes == ()
    assert (
        command(monkeypatch, folder, "--out", tmp_path / "b", "--checkpoint", "best", "--orientation", "RAS", "--json")
        == 0
    )
    assert json.loads(capsys.readouterr().out)["steps"][0] == "reorient"


def test_a_model_that_cannot_be_imported_ends_with_7_and_its_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    content = checkpoint(network().state_dict(), init_args={"configuration": "3d_cascade_fullres"})
    folder = results_folder(tmp_path / "trained", folds={"0": content})
    assert command(monkeypatch, folder, "--out", tmp_path / "made") == 7
    assert (
        "is a cascade: beside the image it sees what 3d_lowres made of it [import-unsupported]"
        in capsys.readouterr().err
    )
    assert command(monkeypatch, tmp_path, "--out", tmp_path / "made", "--configuration", "2d") == 7
