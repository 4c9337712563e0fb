"""A bundle becomes a pipeline that gives MONAI's own labels, or nothing is written and the reason is said."""

from __future__ import annotations

import json
import pickle
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

import monai_bundles as bundles
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from phantoms import write_nifti
from safetensors.torch import save_file

from medvision import io
from medvision.errors import OutputError, PipelineError
from medvision.frameworks import monai_module
from medvision.geometry import Geometry
from medvision.importing.monai_bundle.reading import read_bundle
from medvision.pipeline import PipelineFolder
from medvision.predict import Prediction
from medvision.steps import Reorient, Resample, Rescale, Resize, Window, ZScoreNonzero
from medvision.workflows.cases.network import ReadyNetwork
from medvision.workflows.cases.segment import segment
from medvision.workflows.export import export_monai_bundle
from medvision.workflows.import_monai_bundle import import_monai_bundle
from medvision_cli import app

AS_MONAI: dict[str, Any] = {"combine": "logits", "brought_back": "probabilities", "placing": "stepped"}


def test_a_bundle_of_volumes_becomes_a_segmentation(tmp_path: Path) -> None:
    found = read_bundle(bundles.spleen(tmp_path / "Spleen_CT"))
    settings = found.settings
    assert (settings.name, settings.version, settings.task) == ("spleen-ct", "0.5.3", "segmentation")
    assert dict(settings.labels) == {1: "spleen", 2: "other"}
    assert settings.steps == (
        Reorient(),
        Resample(spacing_mm=(1.5, 1.5, 2.0), blur=False, keeps="first_voxel"),
        Window(center=53.5, width=221),
    )
    assert settings.predict == Prediction((16, 16, 16), 0.5, padding="zero", weighting="constant", **AS_MONAI)
    assert (settings.contract.modality, settings.contract.channels) == ("CT", ("image",))
    assert (settings.card.licence, settings.card.intended_use) == ("Apache License", "Tests alone")
    assert found.findings == ()


def test_a_bundle_of_four_channels_measures_each_by_itself_and_says_how_its_gaussian_differs(tmp_path: Path) -> None:
    found = read_bundle(bundles.tumour(tmp_path / "tumour"))
    assert found.settings.steps == (ZScoreNonzero(),)
    assert found.settings.contract.channels == ("T1c", "T1", "T2", "FLAIR")
    assert found.settings.predict == Prediction((16, 16, 16), 0.5, padding="edge", **AS_MONAI)
    (finding,) = found.findings
    assert (finding.code, finding.grade) == ("import-differs", "note")
    assert "whose Gaussian never falls below a thousandth" in found.settings.card.limits[0]


def test_a_bundle_of_pictures_becomes_a_classification(tmp_path: Path) -> None:
    settings = read_bundle(bundles.classifier(tmp_path / "pictures")).settings
    assert (settings.task, settings.contract.dimensions) == ("classification", 2)
    assert dict(settings.labels) == {0: "none", 1: "one", 2: "two"}
    assert settings.steps == (Rescale(), Resize(shape=(48, 40, 1), average=True))
    assert settings.predict == Prediction()


def test_labels_that_are_yes_or_no_each_become_a_multilabel_with_its_thresholds(tmp_path: Path) -> None:
    posts = [
        {"_target_": "Activationsd", "keys": "pred", "sigmoid": True},
        {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.25},
    ]
    settings = read_bundle(bundles.classifier(tmp_path / "pictures", postprocessing=posts)).settings
    assert settings.task == "multilabel"
    assert settings.predict.thresholds == (0.25, 0.25, 0.25)


def test_a_network_that_sees_slices_of_volumes_is_told_so(tmp_path: Path) -> None:
    network = bundles.UNET | {"spatial_dims": 2}
    inferer = {"_target_": "SliceInferer", "roi_size": [16, 16], "spatial_dim": 2}
    settings = read_bundle(bundles.spleen(tmp_path / "slices", network_def=network, inferer=inferer)).settings
    assert (settings.contract.dimensions, settings.contract.slices) == (2, True)
    assert settings.train.patch == settings.predict.window == (16, 16)


def monais_labels(folder: Path, image: Path) -> NDArray[np.int64]:
    """What MONAI makes of an image, by the bundle's own configuration."""
    parser = monai_module("bundle").ConfigParser()
    parser.read_config(folder / "configs" / "inference.json")
    posts = parser["postprocessing"]["transforms"]
    parser["postprocessing"]["transforms"] = [post for post in posts if post["_target_"] != "SaveImaged"]
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # MONAI's own
        network = parser.get_parsed_content("network_def").eval()
        network.load_state_dict(torch.load(folder / "models" / "model.pt", weights_only=True))
        data = parser.get_parsed_content("preprocessing")({"image": str(image)})
        data["pred"] = parser.get_parsed_content("inferer")(data["image"][None], network)[0]
        return np.asarray(parser.get_parsed_content("postprocessing")(data)["pred"])[0].astype(np.int64)


def our_labels(pipeline: PipelineFolder, image: Path) -> NDArray[Any]:
    (case,) = io.scan([image]).cases
    network = ReadyNetwork.in_torch(pipeline.load_network())
    return segment(io.read_volume(case), case, pipeline.settings, network).segmentation.labels.voxels


@pytest.mark.parametrize("orientation", ["RAS", "PIL"])
def test_an_imported_pipeline_gives_monais_labels_of_a_phantom(tmp_path: Path, orientation: str) -> None:
    folder = bundles.spleen(tmp_path / "spleen")
    grid = Geometry.from_spacing((1.0, 1.25, 3.0), (30, 26, 12)).reoriented(orientation)
    voxels = np.random.default_rng(0).normal(50, 90, grid.shape).astype(np.float32)
    write_nifti(tmp_path / "a.nii.gz", voxels, grid)
    theirs = monais_labels(folder, tmp_path / "a.nii.gz")
    ours = our_labels(import_monai_bundle(folder, tmp_path / "out").pipeline, tmp_path / "a.nii.gz")
    assert len(np.unique(theirs)) > 1
    assert (ours == theirs).mean() > 0.9995, "of noise, where borders are everywhere and rounding decides a few"


@pytest.mark.parametrize(
    ("mode", "spacing", "share"), [("constant", 1.0, 0.0), ("constant", 1.3, 0.0), ("gaussian", 1.3, 0.02)]
)
def test_an_imported_pipeline_gives_monais_labels_of_a_real_image(
    shared_data: Path, tmp_path: Path, mode: str, spacing: float, share: float
) -> None:
    source = tmp_path / "hippocampus"
    export_monai_bundle(PipelineFolder.open("mr-hippocampus"), source)
    place = source / "configs" / "inference.json"
    config = json.loads(place.read_text())
    config["inferer"] |= {"mode": mode, "padding_mode": "constant", "roi_size": [24, 32, 24]}
    for transform in config["preprocessing"]["transforms"]:
        if transform["_target_"] == "Spacingd":
            transform["pixdim"] = [spacing] * 3
    place.write_text(json.dumps(config))
    image = shared_data / "msd_hippocampus" / "imagesTr" / "hippocampus_001.nii.gz"
    theirs = monais_labels(source, image)
    ours = our_labels(import_monai_bundle(source, tmp_path / "out").pipeline, image)
    assert (theirs > 0).sum() > 1000
    assert (ours != theirs).sum() <= share * (theirs > 0).sum(), "but for the Gaussian, which is said, not a voxel"


def test_what_is_imported_is_a_whole_pipeline_with_its_origin(tmp_path: Path) -> None:
    folder = bundles.tumour(tmp_path / "tumour")
    about = json.loads((folder / "configs" / "metadata.json").read_text()) | {"eval_metrics": {"mean_dice": 0.85}}
    (folder / "configs" / "metadata.json").write_text(json.dumps(about))
    made = import_monai_bundle(folder, tmp_path / "out")
    opened = PipelineFolder.open(tmp_path / "out")
    opened.check_weights()
    bundle = read_bundle(folder)
    assert opened.settings == bundle.settings
    for name, tensor in opened.load_network().state_dict().items():
        assert torch.equal(tensor, bundle.network.state_dict()[name])
    card = (tmp_path / "out" / "card.md").read_text()
    assert "Imported from the MONAI bundle tumour, version 0.5.3." in card
    assert "- The bundle states mean_dice 0.85.\n- These figures were not measured here." in card
    assert "never falls below a thousandth" in card
    record = json.loads((tmp_path / "out" / "import.json").read_text())
    assert sorted(record["sha256"]) == ["configs/inference.json", "configs/metadata.json", "models/model.pt"]
    assert record["findings"][0]["code"] == "import-differs"
    assert made.to_json()["steps"] == ["zscore_nonzero"]


def test_weights_can_be_safetensors(tmp_path: Path) -> None:
    folder = bundles.spleen(tmp_path / "spleen")
    state = torch.load(folder / "models" / "model.pt", weights_only=True)
    before = read_bundle(folder)
    (folder / "models" / "model.pt").unlink()
    save_file(state, folder / "models" / "model.safetensors")
    after = read_bundle(folder)
    assert all(torch.equal(a, b) for a, b in zip(before.network.parameters(), after.network.parameters(), strict=True))
    assert after.origin.kind == "bundle"


class Malicious:
    """Unpickled, it leaves a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return Path.touch, (self.mark,)


def test_nothing_of_a_hostile_bundle_is_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    words = f"$__import__('pathlib').Path({str(mark)!r}).touch()"
    folder = bundles.spleen(tmp_path / "spleen", initialize=[words], imports=[words], device=words)
    read_bundle(folder)
    (folder / "scripts").mkdir()
    (folder / "scripts" / "__init__.py").write_text(f"open({str(mark)!r}, 'w')")
    network = bundles.UNET | {"_target_": "scripts.net.UNet"}
    config = json.loads((folder / "configs" / "inference.json").read_text())
    (folder / "configs" / "inference.json").write_text(json.dumps(config | {"network_def": network}))
    with pytest.raises(PipelineError, match=r"scripts\.net\.UNet is not one"):
        read_bundle(folder)
    (folder / "configs" / "inference.json").write_text(json.dumps(config))
    torch.save({"a": Malicious(mark)}, folder / "models" / "model.pt")
    with pytest.raises(PipelineError) as caught:
        read_bundle(folder)
    assert caught.value.code == "weights-unsafe"
    assert not mark.exists()
    pickle.loads(pickle.dumps(Malicious(mark)))
    assert mark.exists(), "the trap works"


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"network_def": "$UNet(3)"}, "import-unsupported", "network_def: $UNet(3) is an expression"),
        ({"network_def": None}, "import-invalid", "there is no network_def with a _target_"),
        ({"postprocessing": None}, "import-unsupported", "whether labels exclude each other is not said"),
        (
            {"postprocessing": [{"_target_": "Activationsd", "keys": "pred", "sigmoid": True}]},
            "import-unsupported",
            "labels that can overlap (sigmoid, threshold) are not known here: a voxel has one label",
        ),
        ({"inferer": "$Mine()"}, "import-unsupported", "inferer: a table with a _target_ is wanted"),
        (
            {"network_def": bundles.UNET | {"out_channels": 4}},
            "import-invalid",
            "outputs.pred.num_channels is 3, but the network has 4",
        ),
        (
            {"inferer": bundles.WINDOWED | {"roi_size": [4, 4, 4]}},
            "import-unsupported",
            "the bundle makes no valid pipeline: predict.window: this network leaves one voxel",
        ),
    ],
)
def test_a_bundle_that_no_pipeline_is_leaves_nothing_behind(
    tmp_path: Path, changes: dict[str, Any], code: str, words: str
) -> None:
    folder = bundles.spleen(tmp_path / "spleen")
    place = folder / "configs" / "inference.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | changes))
    with pytest.raises(PipelineError) as caught:
        import_monai_bundle(folder, tmp_path / "out")
    assert caught.value.code == code
    assert words in caught.value.finding.message
    assert caught.value.path is not None
    assert not (tmp_path / "out").exists()


def test_an_inferer_can_stand_in_the_evaluator_and_none_means_the_whole_image(tmp_path: Path) -> None:
    evaluator = {"_target_": "SupervisedEvaluator", "inferer": bundles.WINDOWED}
    folder = bundles.spleen(tmp_path / "a", inferer=None, evaluator=evaluator)
    assert read_bundle(folder).settings.predict.window == (16, 16, 16)
    assert read_bundle(bundles.spleen(tmp_path / "b", inferer=None, evaluator=None)).settings.predict == Prediction()


def test_labels_that_are_brought_back_by_the_nearest_voxel_are_told(tmp_path: Path) -> None:
    posts = [
        {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
        {"_target_": "Invertd", "keys": "pred", "transform": "@preprocessing", "orig_keys": "image"},
    ]
    (finding,) = read_bundle(bundles.spleen(tmp_path / "spleen", postprocessing=posts)).findings
    assert "by the nearest voxel" in finding.message


def test_files_that_are_missing_are_named(tmp_path: Path) -> None:
    folder = bundles.spleen(tmp_path / "spleen")
    for name, code in (
        ("models/model.pt", "weights-missing"),
        ("configs/metadata.json", "import-invalid"),
        ("configs/inference.json", "import-invalid"),
    ):
        copy = shutil.copytree(folder, tmp_path / name.replace("/", "-"))
        (copy / name).unlink()
        with pytest.raises(PipelineError) as caught:
            read_bundle(copy)
        assert caught.value.code == code
    (folder / "configs" / "inference.json").rename(folder / "configs" / "inference.yaml")
    with pytest.raises(PipelineError, match="a configuration in YAML is not read"):
        read_bundle(folder)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    folder = bundles.spleen(tmp_path / "spleen")
    torch.save(bundles.network_of(bundles.UNET | {"channels": [4, 8, 8]}).state_dict(), folder / "models" / "model.pt")
    with pytest.raises(PipelineError, match="tensors do not fit the bundle's network") as caught:
        read_bundle(folder)
    assert caught.value.path == folder / "models" / "model.pt"


def test_a_folder_that_holds_something_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("kept")
    with pytest.raises(OutputError) as caught:
        import_monai_bundle(bundles.spleen(tmp_path / "spleen"), tmp_path / "out")
    assert caught.value.code == "output-exists"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["medvision", *words])
    try:
        app.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_the_command_says_what_it_made_for_people_and_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = bundles.tumour(tmp_path / "tumour")
    assert run(monkeypatch, "import", "monai-bundle", str(folder), "--out", str(tmp_path / "a")) == 0
    told = capsys.readouterr().out
    assert "MONAI bundle tumour" in told
    assert "note: where windows overlap" in told
    assert run(monkeypatch, "import", "monai-bundle", str(folder), "-o", str(tmp_path / "b"), "--json") == 0
    assert json.loads(capsys.readouterr().out)["labels"] == {"1": "tumour", "2": "oedema"}
    config = folder / "configs" / "inference.json"
    config.write_text(config.read_text().replace("SegResNet", "Mystery"))
    assert run(monkeypatch, "import", "monai-bundle", str(folder), "-o", str(tmp_path / "c"), "--json") == 7
    captured = capsys.readouterr()
    assert json.loads(captured.out)["error"]["code"] == "import-unsupported"
    assert "the network Mystery is not one that can be built here" in captured.err
    assert not (tmp_path / "c").exists()
