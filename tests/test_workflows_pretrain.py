"""From images without labels to weights that a training can start from."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from phantoms import write_nifti
from tiny_pipeline import GREYS, STRIPES

import medvision as mv
from medvision.errors import Finding, InputError, PipelineError, UsageError
from medvision.files import sha256_of
from medvision.geometry import Geometry
from medvision.io import scan
from medvision.pipeline import PipelineFolder, Settings
from medvision.transfer import read_weights
from medvision.workflows.fitting.budget import Budget, Timed, fit_into
from medvision.workflows.fitting.pretext import PretextJob
from medvision.workflows.pretrain import PretrainingResult, pretrain
from medvision.workflows.train import Machine, Start
from medvision.workflows.weights import start_from
from medvision_cli import app

VOLUMES = """
name = "blobs"
task = "segmentation"
description = "For tests"
[contract]
shows = "a blob"
[labels]
1 = "blob"
[[steps]]
use = "zscore"
[network]
use = "dynunet"
channels = [4, 4, 4]
[train]
epochs = 2
steps_per_epoch = 3
batch = 2
patch = [8, 8, 8]
precision = "fp32"
validation = 0.3
validate_every = 1
deep_supervision = true
"""
PICTURES = f"""
{STRIPES}
{GREYS}
[train]
epochs = 2
steps_per_epoch = 20
batch = 8
balanced = true
optimiser = "adamw"
learning_rate = 0.003
precision = "fp32"
validate_every = 1
"""


def opened(folder: Path, text: str) -> PipelineFolder:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pipeline.toml").write_text(text, encoding="utf-8")
    return PipelineFolder.open(folder)


def write_volumes(folder: Path, *, labels: str | None = None) -> Path:
    """Write six volumes, two a patient, with label images that hold `labels` as text, or without any."""
    grid = Geometry.from_spacing((1, 1, 2), (12, 10, 9))
    rows = ["image,patient,modality" + (",label" if labels else "")]
    for number in range(6):
        values = np.random.default_rng(number).normal(100, 20, (1, 12, 10, 9)).astype(np.float32)
        values[:, 4:8, 3:7] += 100
        write_nifti(folder / f"image{number}.nii.gz", values[0], grid)
        rows.append(f"image{number}.nii.gz,p{number // 2},MR" + (f",label{number}.nii.gz" if labels else ""))
        if labels and number:  # one is not even there
            (folder / f"label{number}.nii.gz").write_text(labels)
    (folder / "cases.csv").write_text("\n".join(rows) + "\n")
    return folder / "cases.csv"


def write_pictures(path: Path, *, labels: int | None = 0) -> Path:
    arrays: dict[str, Any] = {}
    for split, count in (("train", 24), ("val", 8), ("test", 4)):
        pictures = np.random.default_rng(count).integers(0, 60, (count, 16, 16)).astype(np.uint8)
        for number, picture in enumerate(pictures):
            (picture.T if number % 2 else picture)[number % 4 :: 4] += 150
        arrays[f"{split}_images"] = pictures
        if labels is not None:
            arrays[f"{split}_labels"] = (np.arange(count)[:, None] + labels) % 2
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PipelineFolder, PretrainingResult]:
    folder = tmp_path_factory.mktemp("volumes")
    pipeline = opened(folder / "settings", VOLUMES)
    data = write_volumes(folder / "data")
    return data, pipeline, pretrain(pipeline, [data], folder / "out", licence="CC0", machine=Machine("cpu"))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PipelineFolder, PretrainingResult]:
    folder = tmp_path_factory.mktemp("pictures")
    pipeline = opened(folder / "settings", PICTURES)
    data = write_pictures(folder / "data.npz")
    return data, pipeline, pretrain(pipeline, [data], folder / "out", machine=Machine("cpu"))


def weights_of(result: PretrainingResult) -> Path:
    assert result.folder is not None
    return result.folder / "weights.safetensors"


def test_a_pretraining_leaves_weights_with_their_card_curves_and_a_page(
    volumes: tuple[Path, PipelineFolder, PretrainingResult],
) -> None:
    _, _, result = volumes
    folder = weights_of(result).parent
    names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    assert names == {
        "weights.safetensors", "weights.json", "pretraining.json", "curves.csv", "curves.png", "training.html",
        "checkpoints", "seen.json",
    }  # fmt: skip
    card = json.loads((folder / "weights.json").read_text())
    assert card["schema"] == "medvision.pretraining/1"
    assert card["sha256"] == sha256_of(weights_of(result))
    assert (card["method"], card["licence"]) == ("masked", "CC0")
    assert card["method_settings"] == {"ratio": 0.75, "block": 8}
    assert card["trained_with"]["steps"] == "6"
    assert card["trained_with"]["seed"] == "0"
    data = card["data"]
    assert (data["images"], data["trained_on"], data["patients"]) == (6, 4, 3)
    assert data["modalities"] == {"MR": 6}
    assert [axis["p50"] for axis in data["size"]] == [12, 10, 9]
    assert [axis["p50"] for axis in data["spacing_mm"]] == [1, 1, 2]
    assert "image0" not in (folder / "weights.json").read_text()
    assert result.exit_code == 0
    kept = json.loads((folder / "pretraining.json").read_text())
    assert kept | {"done_before": False} == result.to_json() | {"folder": "."}
    assert "done_before" not in kept
    assert result.results[0].startswith("Of what is hidden of 2 held-out images, ")
    assert result.results[0] in (folder / "training.html").read_text(encoding="utf-8")


def test_patients_are_kept_together(volumes: tuple[Path, PipelineFolder, PretrainingResult]) -> None:
    _, _, result = volumes
    pairs = [{name[-1] for name in side} for side in (result.train, result.val)]
    assert pairs[1] in ({"0", "1"}, {"2", "3"}, {"4", "5"})
    assert pairs[0] | pairs[1] == set("012345")


def test_a_training_starts_from_it_encoder_and_decoder_without_the_last_layer(
    volumes: tuple[Path, PipelineFolder, PretrainingResult],
) -> None:
    _, pipeline, result = volumes
    network = pipeline.build_network(training=True)
    found = start_from(network, str(result.folder), pipeline)
    assert found.match.share_of_parameters == 1
    parts = {(row.part, row.taken) for row in found.match.rows}
    assert parts == {("encoder", True), ("decoder", True), ("head", False)}
    assert found.match.family == "MONAI DynUNet"
    head = next(row for row in found.match.rows if row.name.startswith("output_block."))
    assert head.why == "the source has no such tensor"
    assert found.origin.licence == "CC0"
    assert found.origin.sha256 == sha256_of(weights_of(result))
    taken = read_weights(weights_of(result)).tensors
    name = "bottleneck.conv1.conv.weight"
    assert (dict(network.named_parameters())[name] == taken[name]).all()


def test_a_classifier_starts_from_its_encoder(pictures: tuple[Path, PipelineFolder, PretrainingResult]) -> None:
    _, pipeline, result = pictures
    assert result.method == "vicreg"
    assert "embeddings spread by" in result.results[0]
    names = read_weights(weights_of(result)).tensors
    assert not [name for name in names if name.startswith(("fc.", "projector."))]
    found = start_from(pipeline.build_network(), str(result.folder), pipeline)
    assert found.match.share_of_parameters == 1
    assert found.match.counts["adapted"] == 0  # no kernel was turned
    assert [row.name for row in found.match.rows if not row.taken] == ["fc.weight", "fc.bias"]
    assert found.origin.licence is None


@pytest.mark.parametrize(
    ("network", "channels"),
    [
        ('use = "segresnet"\nchannels = 8\nblocks_down = [1, 1]\nblocks_up = [1]', "[8, 8, 8]"),
        ('use = "swin-unetr"\nchannels = 12\nblocks = [1, 1, 1, 1]', "[64, 64, 64]"),
        ('use = "densenet"\nblocks = [1, 1]\nchannels = 8\ngrowth = 4', None),
        ('use = "vit"\nimage_size = [16, 16]\npatch_size = [8, 8]\nchannels = 24\nblocks = 2\nheads = 2', None),
    ],
    ids=["segresnet", "swin-unetr", "densenet", "vit"],
)
def test_every_network_starts_from_its_own_pretraining(network: str, channels: str | None, tmp_path: Path) -> None:
    from medvision.networks import save_weights
    from medvision.training.place import Alone

    text = VOLUMES.replace("deep_supervision = true\n", "") if channels else PICTURES
    text = text[: text.index("use =", text.index("[network]"))] + network + "\n" + text[text.index("[train]") :]
    pipeline = opened(tmp_path / "settings", text.replace("[8, 8, 8]", channels or ""))
    job = PretextJob(pipeline, "masked" if channels else "vicreg", (), (), Alone(), deterministic=True)
    parts = pipeline.settings.network.parts
    save_weights(tmp_path / "weights.safetensors", job.encoder(job.network()), without=parts.head)
    found = start_from(pipeline.build_network(), tmp_path, pipeline)
    assert found.match.share_of_parameters >= 0.8
    assert {row.part for row in found.match.rows if not row.taken} == {"head"}


def test_labels_are_not_read_where_there_are_any(
    volumes: tuple[Path, PipelineFolder, PretrainingResult], tmp_path: Path
) -> None:
    _, pipeline, result = volumes
    for number, labels in enumerate(("this is no image", "nor is this")):
        data = write_volumes(tmp_path / f"data{number}", labels=labels)
        labelled = pretrain(pipeline, [data], tmp_path / f"out{number}", machine=Machine("cpu"))
        assert labelled.refused == ()
        assert sha256_of(weights_of(labelled)) == sha256_of(weights_of(result))


def test_a_scan_without_labels_takes_in_what_a_scan_with_them_must_refuse(tmp_path: Path) -> None:
    manifest = write_volumes(tmp_path / "data", labels="no image")
    content = {"training": [{"image": "image1.nii.gz", "label": "absent.nii.gz"}], "labels": {"1": "a"}}
    (tmp_path / "data" / "dataset.json").write_text(json.dumps(content))
    np.savez(tmp_path / "bad.npz", train_images=np.zeros((2, 8, 8), np.uint8), train_labels=np.array(["a", "b"]))
    for given, count in ((manifest, 6), (tmp_path / "data" / "dataset.json", 1), (tmp_path / "bad.npz", 2)):
        assert mv.scan(given).cases == ()
        found = scan(given, labels=False)
        assert [case.label for case in found.cases] == [None] * count
        assert found.rejected == ()


@pytest.mark.parametrize("labels", [1, None])
def test_classes_play_no_part_and_the_test_split_neither(
    labels: int | None, pictures: tuple[Path, PipelineFolder, PretrainingResult], tmp_path: Path
) -> None:
    _, pipeline, result = pictures
    data = write_pictures(tmp_path / "data.npz", labels=labels)
    other = pretrain(pipeline, [data], tmp_path / "out", machine=Machine("cpu"))
    assert sha256_of(weights_of(other)) == sha256_of(weights_of(result))
    assert (len(other.train), len(other.val)) == (24, 8)


def test_one_that_was_stopped_goes_on_and_ends_the_same(
    volumes: tuple[Path, PipelineFolder, PretrainingResult], tmp_path: Path
) -> None:
    data, pipeline, result = volumes

    def stop(done: int, total: int, words: str) -> None:
        if total == 6 and words.startswith("loss") and done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(pipeline, [data], tmp_path / "out", licence="CC0", machine=Machine("cpu"), progress=stop)
    assert not (tmp_path / "out" / "weights.json").exists()
    resumed = pretrain(pipeline, [data], tmp_path / "out", licence="CC0", machine=Machine("cpu"))
    assert sha256_of(weights_of(resumed)) == sha256_of(weights_of(result))


def test_one_that_goes_on_with_other_arithmetic_says_so(
    volumes: tuple[Path, PipelineFolder, PretrainingResult], tmp_path: Path
) -> None:
    data, pipeline, _ = volumes

    def stop(done: int, total: int, words: str) -> None:
        if total == 6 and words.startswith("loss") and done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(pipeline, [data], tmp_path / "out", machine=Machine("cpu"), progress=stop)
    pretrain(pipeline, [data], tmp_path / "out", machine=Machine("cpu", deterministic=False))
    told = json.loads((tmp_path / "out" / "weights.json").read_text())["trained_with"]
    assert told["deterministic"] == "yes (epoch 1), no (epoch 2)"
    assert told["device"] == "cpu"


def test_one_that_is_done_is_told_again_and_takes_a_new_licence_and_no_damage(
    volumes: tuple[Path, PipelineFolder, PretrainingResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, pipeline, result = volumes
    assert result.folder is not None
    out = tmp_path / "out"
    shutil.copytree(result.folder, out)
    assert {path.name for path in (out / "checkpoints").iterdir()} == {"identity.json", "done.json", "stretches.json"}

    def never(*_: object, **__: object) -> None:
        raise AssertionError("nothing is prepared")

    with monkeypatch.context() as patched:
        patched.setattr("medvision.workflows.pretrain.prepare_images", never)
        again = pretrain(pipeline, [data], out, licence="CC-BY-4.0", machine=Machine("cpu"))
        assert again == replace(result, folder=out, done_before=True)
        assert json.loads((out / "weights.json").read_text())["licence"] == "CC-BY-4.0"
        pretrain(pipeline, [data], out, machine=Machine("cpu"))
        assert json.loads((out / "weights.json").read_text())["licence"] == "CC-BY-4.0"
    weights = (out / "weights.safetensors").read_bytes()
    (out / "weights.safetensors").write_bytes(b"damaged")
    with pytest.raises(PipelineError, match="not the one that its card describes"):
        pretrain(pipeline, [data], out, machine=Machine("cpu"))
    (out / "weights.safetensors").write_bytes(weights)
    for name in ("seen.json", "weights.json"):
        content = (out / name).read_bytes()
        (out / name).unlink()
        with pytest.raises(PipelineError, match="has lost this file") as caught:
            pretrain(pipeline, [data], out, machine=Machine("cpu"))
        assert caught.value.path == out / name
        (out / name).write_bytes(content)
    (out / "checkpoints" / "done.json").unlink()
    with pytest.raises(PipelineError, match="trained weights lie here"):
        pretrain(pipeline, [data], out, machine=Machine("cpu"))
    assert (out / "weights.safetensors").read_bytes() == weights
    (out / "weights.safetensors").unlink()
    pretrain(pipeline, [data], out, licence="CC0", machine=Machine("cpu"))
    assert (out / "weights.safetensors").read_bytes() == weights


@pytest.mark.parametrize(("keep", "seen"), [("best", 6), ("last", 4)])
def test_images_held_out_are_seen_where_they_chose_the_weights_and_else_not(
    volumes: tuple[Path, PipelineFolder, PretrainingResult], tmp_path: Path, keep: str, seen: int
) -> None:
    data, _, _ = volumes
    text = VOLUMES.replace("validate_every = 2", "validate_every = 1")
    assert "keep" not in text
    pipeline = opened(tmp_path / "settings", text.replace("[train]", f'[train]\nkeep = "{keep}"'))
    result = pretrain(pipeline, [data], tmp_path / "out", machine=Machine("cpu"))
    told = json.loads((tmp_path / "out" / "seen.json").read_text())
    assert (len(result.val), len(told["unlabelled"])) == (2, seen)


def test_images_that_lie_elsewhere_by_now_are_not_gone_on_with(tmp_path: Path) -> None:
    pipeline = opened(tmp_path / "settings", VOLUMES)
    data = write_volumes(tmp_path / "data")

    def stop(done: int, total: int, words: str) -> None:
        if words.startswith("loss") and done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(pipeline, [data], tmp_path / "out", machine=Machine("cpu"), progress=stop)
    spaced_anew(tmp_path / "data")
    with pytest.raises(PipelineError, match="other settings or data"):
        pretrain(pipeline, [data], tmp_path / "out", machine=Machine("cpu"))


def spaced_anew(folder: Path) -> None:
    """Write other headers for the same voxels."""
    import nibabel

    for path in folder.glob("*.nii.gz"):
        image = nibabel.load(path)
        nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), np.diag([1.0, 1.0, 3.0, 1.0])), path)


def test_an_image_that_cannot_be_read_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    pipeline = opened(tmp_path / "settings", VOLUMES)
    data = write_volumes(tmp_path / "data")
    whole = (tmp_path / "data" / "image2.nii.gz").read_bytes()
    (tmp_path / "data" / "image2.nii.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "data" / "image0.nii.gz").unlink()
    cache = tmp_path / "cache"
    result = pretrain(pipeline, [data], tmp_path / "out", machine=Machine("cpu", cache=cache))
    assert result.exit_code == 4
    assert len(result.refused) == 2
    assert len(result.train) + len(result.val) == 4
    kept = json.loads((tmp_path / "out" / "pretraining.json").read_text())["refused"]
    assert {entry["path"] for entry in kept} == {None}
    assert len(list(cache.rglob("*.safetensors"))) == 4


def test_an_image_that_a_step_refuses_is_named(tmp_path: Path) -> None:
    pipeline = opened(tmp_path / "settings", VOLUMES)
    data = write_volumes(tmp_path / "data")
    flat = tmp_path / "data" / "image1.nii.gz"
    write_nifti(flat, np.full((12, 10, 9), 7, np.float32), Geometry.from_spacing((1, 1, 2), (12, 10, 9)))
    result = pretrain(pipeline, [data], tmp_path / "out", machine=Machine("cpu"))
    assert [(finding.code, finding.path) for finding in result.refused] == [("constant-image", flat)]


def test_label_images_in_the_folder_are_passed_over_by_name_and_by_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline = opened(tmp_path / "settings", VOLUMES)
    write_volumes(tmp_path / "data" / "imagesTr")
    (tmp_path / "data" / "imagesTr" / "cases.csv").unlink()
    grid = Geometry.from_spacing((1, 1, 2), (12, 10, 9))
    marks = np.zeros((12, 10, 9), np.uint8)
    marks[4:8, 3:7] = 2
    for place in ("labelsTr/image0.nii.gz", "labelsTr/image1.nii.gz", "other/telling_nothing.nii.gz"):
        write_nifti(tmp_path / "data" / place, marks, grid)
    result = pretrain(pipeline, [tmp_path / "data"], tmp_path / "out", machine=Machine("cpu"))
    assert sorted((*result.train, *result.val)) == [f"imagesTr_image{number}" for number in range(6)]
    assert (result.refused, result.exit_code) == ((), 0)
    assert [finding.code for finding in result.skipped] == ["label-as-image"] * 3
    assert "is a label of image0.nii.gz" in result.skipped[0].message
    assert "few values" in result.skipped[2].message
    kept = json.loads((tmp_path / "out" / "pretraining.json").read_text())["skipped"]
    assert [entry["path"] for entry in kept] == [None] * 3
    call = ["medvision", "pretrain", str(pipeline.folder), str(tmp_path / "data" / "labelsTr"), "--out", "none"]
    monkeypatch.setattr(sys, "argv", call)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        app.main()
    assert ended.value.code == 3
    told = capsys.readouterr()
    assert "passed over: 2 label images, the first is " in told.err
    assert "nothing was written" in told.out


def test_pictures_that_an_archive_names_as_images_are_images_whatever_their_values(tmp_path: Path) -> None:
    pipeline = opened(tmp_path / "settings", PICTURES)
    shapes = np.random.default_rng(0).integers(0, 2, (40, 16, 16)).astype(np.uint8) * 255
    np.savez(tmp_path / "shapes.npz", train_images=shapes[:32], val_images=shapes[32:])
    result = pretrain(pipeline, [tmp_path / "shapes.npz"], tmp_path / "out", machine=Machine("cpu"))
    assert (len(result.train) + len(result.val), result.skipped, result.exit_code) == (40, (), 0)


def test_where_no_image_can_be_used_nothing_is_written(tmp_path: Path) -> None:
    pipeline = opened(tmp_path / "settings", VOLUMES)
    (tmp_path / "empty").mkdir()
    nothing = pretrain(pipeline, [tmp_path / "empty"], tmp_path / "out")
    assert (nothing.folder, nothing.exit_code) == (None, 3)
    assert not (tmp_path / "out").exists()
    data = write_volumes(tmp_path / "data")
    for image in (tmp_path / "data").glob("image*"):
        image.write_bytes(image.read_bytes()[:100])
    spoilt = pretrain(pipeline, [data], tmp_path / "out")
    assert (spoilt.folder, spoilt.exit_code) == (None, 5)
    assert spoilt.to_json()["folder"] is None
    assert not (tmp_path / "out" / "weights.safetensors").exists()


def test_a_side_that_is_left_without_images_is_an_error(tmp_path: Path) -> None:
    pipeline = opened(tmp_path / "settings", VOLUMES)
    data = write_volumes(tmp_path / "data")
    held_out = pretrain(pipeline, [data], tmp_path / "out", machine=Machine("cpu")).val
    for name in held_out:
        image = tmp_path / "data" / f"{name}.nii.gz"
        image.write_bytes(image.read_bytes()[: image.stat().st_size // 2])
    with pytest.raises(InputError, match="0 of those held out"):
        pretrain(pipeline, [data], tmp_path / "other", machine=Machine("cpu"))


def test_a_method_for_another_kind_of_network_is_refused(
    volumes: tuple[Path, PipelineFolder, PretrainingResult],
    pictures: tuple[Path, PipelineFolder, PretrainingResult],
    tmp_path: Path,
) -> None:
    with pytest.raises(UsageError, match="answers for every voxel"):
        pretrain(volumes[1], [volumes[0]], tmp_path, method="vicreg")
    with pytest.raises(UsageError, match="an image as a whole"):
        pretrain(pictures[1], [pictures[0]], tmp_path, method="masked")
    with pytest.raises(UsageError, match="no method 'jigsaw'"):
        pretrain(pictures[1], [pictures[0]], tmp_path, method="jigsaw")


def test_neither_a_pipeline_nor_another_pretraining_is_written_over(
    volumes: tuple[Path, PipelineFolder, PretrainingResult],
) -> None:
    data, pipeline, result = volumes
    with pytest.raises(UsageError, match="a pipeline lies here"):
        pretrain(pipeline, [data], pipeline.folder)
    assert result.folder is not None
    with pytest.raises(PipelineError, match="other settings"):
        pretrain(pipeline, [data], result.folder, seed=3)


def test_what_it_leaves_is_no_pipeline(
    volumes: tuple[Path, PipelineFolder, PretrainingResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    data, pipeline, result = volumes
    with pytest.raises(PipelineError, match="this is a pretraining") as caught:
        PipelineFolder.open(str(result.folder))
    assert caught.value.code == "pretraining-only"
    shutil.copytree(str(result.folder), tmp_path / "mixed")
    shutil.copy(pipeline.folder / "pipeline.toml", tmp_path / "mixed")
    with pytest.raises(PipelineError, match="this is a pretraining"):
        PipelineFolder.open(tmp_path / "mixed")
    monkeypatch.setattr(sys, "argv", ["medvision", "run", str(result.folder), str(data), "--out", str(tmp_path / "o")])
    with pytest.raises(SystemExit) as ended:
        app.main()
    assert ended.value.code == 7
    assert "pretraining" in capsys.readouterr().err


def test_a_collapsed_network_is_refused_and_leaves_no_weights(
    pictures: tuple[Path, PipelineFolder, PretrainingResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, pipeline, _ = pictures
    fresh = PretextJob.network

    def dead(job: PretextJob) -> Any:
        network = fresh(job)
        for parameter in network.backbone.parameters():
            parameter.data.zero_()
            parameter.requires_grad_(False)
        return network

    monkeypatch.setattr(PretextJob, "network", dead)
    with pytest.raises(PipelineError, match="where 1 is asked for") as caught:
        pretrain(pipeline, [data], tmp_path, machine=Machine("cpu"))
    assert caught.value.code == "pretraining-collapsed"
    assert not (tmp_path / "weights.safetensors").exists()
    assert (tmp_path / "curves.csv").is_file()


def test_a_time_makes_steps_fewer_and_the_network_no_smaller(
    volumes: tuple[Path, PipelineFolder, PretrainingResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def watched(*values: Any, may_cut: bool, **named: Any) -> Timed:
        asked.append(may_cut)
        return fit_into(*values, may_cut=may_cut, **named)

    monkeypatch.setattr("medvision.workflows.fitting.pacing.fit_into", watched)
    data, _, _ = volumes
    pipeline = opened(tmp_path / "settings", VOLUMES.replace("epochs = 2", "epochs = 100_000"))
    result = pretrain(pipeline, [data], tmp_path, budget=Budget(4.5 / 60), machine=Machine("cpu"))
    assert asked == [False]
    assert {finding.code for finding in result.findings} >= {"budget"}
    assert "budget-cut" not in {finding.code for finding in result.findings}
    assert start_from(pipeline.build_network(), tmp_path, pipeline).match.share_of_parameters == 1
    steps = json.loads((tmp_path / "weights.json").read_text())["trained_with"]["steps"]
    assert 0 < int(steps) < pipeline.settings.train.total_steps == 300_000
    before = sha256_of(weights_of(result))
    again = pretrain(pipeline, [data], tmp_path, budget=Budget(4.5 / 60), machine=Machine("cpu"))
    assert (again.done_before, again.results, sha256_of(weights_of(again))) == (True, result.results, before)
    assert json.loads((tmp_path / "weights.json").read_text())["trained_with"]["steps"] == steps


def test_a_warning_about_the_time_stays_one_when_it_goes_on(
    volumes: tuple[Path, PipelineFolder, PretrainingResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, pipeline, _ = volumes
    word = Finding("budget", "warning", "too few steps to learn from")

    def fitted(seconds: float, wished: Settings, *_: Any, may_cut: bool, **__: Any) -> Timed:
        return Timed(replace(wished, train=replace(wished.train, epochs=1, steps_per_epoch=1)), 0.01, 0.01, (word,))

    monkeypatch.setattr("medvision.workflows.fitting.pacing.fit_into", fitted)
    monkeypatch.setattr("medvision.workflows.fitting.pacing.EXPORT_SECONDS", 1e9)  # so that one epoch is trained
    for _ in range(2):
        assert word in pretrain(pipeline, [data], tmp_path, budget=Budget(1.0), machine=Machine("cpu")).findings


def test_the_round_from_python_and_from_the_command_line(
    pictures: tuple[Path, PipelineFolder, PretrainingResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    data, pipeline, result = pictures
    called = mv.pretrain(pipeline.folder, data, tmp_path / "python", machine=Machine("cpu"))
    assert sha256_of(weights_of(called)) == sha256_of(weights_of(result))
    started = mv.train(pipeline.folder, data, tmp_path / "trained", start=Start(str(tmp_path / "python")))
    assert PipelineFolder.open(started.folder).weights is not None
    call = ["medvision", "pretrain", str(pipeline.folder), str(data), "--out", str(tmp_path / "shell")]
    for words in ([], ["--json", "--seed", "0", "--device", "cpu"]):
        monkeypatch.setattr(sys, "argv", [*call, *words])
        with pytest.raises(SystemExit) as ended:
            app.main()
        assert ended.value.code == 0
        shown = capsys.readouterr().out
        assert "embeddings spread by" in shown
    assert json.loads(shown)["exit_code"] == 0
    monkeypatch.setattr(sys, "argv", ["medvision", "pretrain", str(pipeline.folder), "absent", "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        app.main()
    assert ended.value.code == 5
    told = capsys.readouterr()
    assert "nothing was written" in told.out
    assert "refused: absent" in told.err
