"""A pipeline is one folder: found by its name, compared with its weights, and copied whole."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_pipeline import pipeline

from medvision.errors import OutputError, PipelineError
from medvision.networks import WeightsCard, save_weights
from medvision.pipeline import PipelineFolder, Settings, builtin_folder, builtin_names, copy, find


def card_of(settings: Settings, sha256: str = "0") -> WeightsCard:
    meaning = json.loads(json.dumps(settings.meaning()))
    return WeightsCard(
        sha256, meaning, (1.0, 1.5, 2.0), "as stored", None, "data", "licence", ("good",), {"torch": "2"}
    )


def trained(folder: Path) -> PipelineFolder:
    """Write a pipeline with weights, as they were drawn, and their cards."""
    pipeline(folder)
    fresh = PipelineFolder.open(folder)
    sha256 = save_weights(folder / "weights.safetensors", fresh.build_network())
    card_of(fresh.settings, sha256).save(folder / "weights.json")
    (folder / "card.md").write_text("# tiny")
    return PipelineFolder.open(folder)


def test_shipped_pipelines_open_by_name() -> None:
    assert builtin_names() == ["ct-adrenal", "cxr-pneumonia", "mr-hippocampus"]
    for name in builtin_names():
        opened = PipelineFolder.open(name)
        assert opened.settings.name == name == opened.folder.name
        assert opened.name == f"{name} {opened.settings.version}"


def test_a_pipeline_opens_by_folder_and_by_file(tmp_path: Path) -> None:
    path = pipeline(tmp_path / "mine")
    for given in (path, path.parent, str(path), str(path.parent)):
        opened = PipelineFolder.open(given)
        assert (opened.folder, opened.name, opened.weights) == (path.parent, "tiny 2.1.0", None)


def test_a_name_that_is_nearly_right_is_refused_with_the_right_one() -> None:
    with pytest.raises(PipelineError, match="did you mean 'mr-hippocampus'") as caught:
        find("mr-hipocampus")
    assert caught.value.code == "pipeline-unknown"
    assert "cxr-pneumonia" in str(caught.value)


@pytest.mark.parametrize("name", ["nothing-like-it", "/no/such/folder", "pipeline.toml", "../pipelines"])
def test_what_is_no_pipeline_is_refused_with_those_there_are(tmp_path: Path, monkeypatch: Any, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PipelineError, match="shipped are ct-adrenal, cxr-pneumonia, mr-hippocampus"):
        PipelineFolder.open(name)


def test_an_installed_package_finds_its_pipelines_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from medvision.pipeline import folder as module

    monkeypatch.setattr(module, "__file__", str(tmp_path / "medvision" / "pipeline" / "folder.py"))
    pipeline(tmp_path / "medvision" / "_pipelines" / "tiny")
    assert builtin_folder() == tmp_path / "medvision" / "_pipelines"
    assert PipelineFolder.open("tiny").settings.name == "tiny"


def test_weights_of_the_same_meaning_are_accepted_whatever_else_changed(tmp_path: Path) -> None:
    trained(tmp_path)
    pipeline(
        tmp_path,
        ('"For tests"', '"Other words"'),
        ("epochs = 3", "epochs = 9"),
        ("[train]", "[predict]\noverlap = 0.25\n[train]"),
        ('"2.1.0"', '"2.2.0"'),
        ('shows = "anything"', 'shows = "x"\nmodality = "MR"'),
    )
    opened = PipelineFolder.open(tmp_path)
    assert opened.weights is not None
    opened.check_weights()
    assert opened.load_network() is not None


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (("[1.0, 1.5, 2.0]", "[1.0, 1.5, 2.5]"), "steps.2.spacing_mm.3 is 2.5, but the weights were trained with 2.0"),
        (('orientation = "RAS"', 'orientation = "LPS"'), 'steps.1.orientation is "LPS", but the weights'),
        (('use = "reorient"\norientation = "RAS"', 'use = "zscore"'), 'steps.1.use is "zscore", but the weights'),
        (('[[steps]]\nuse = "reorient"\norientation = "RAS"\n', ""), "steps is [{"),
        (('"one"', '"uno"'), 'labels.1 is "uno", but the weights were trained with "one"'),
        (('1 = "one"\n2 = "two"', '1 = "one"'), 'labels.2 is null, but the weights were trained with "two"'),
        (('2 = "two"', '2 = "two"\n3 = "three"'), 'labels.3 is "three", but the weights were trained with null'),
        (("[4, 4, 4]", "[4, 4, 8]"), "network.channels.3 is 8, but the weights were trained with 4"),
        (("[1.0, 1.5, 2.0]", "[1.0, 1.5, 2.0]\nblur = false"), "steps.2.blur is false, but the weights were trained"),
        (('side = "left"', 'side = "right"'), 'contract.side is "right", but the weights were trained with "left"'),
    ],
)
def test_weights_of_another_meaning_are_refused_with_the_place(
    tmp_path: Path, change: tuple[str, str], place: str
) -> None:
    trained(tmp_path)
    path = pipeline(tmp_path, change)
    with pytest.raises(PipelineError) as caught:
        PipelineFolder.open(tmp_path)
    assert caught.value.finding.message.startswith(place)
    assert (caught.value.code, caught.value.path) == ("weights-mismatch", path)


def test_weights_from_before_a_setting_existed_are_accepted_but_not_ones_that_say_nothing(tmp_path: Path) -> None:
    card = trained(tmp_path).weights
    assert card is not None
    older = json.loads(json.dumps(card.meaning))
    del older["network"]["dropout"]
    replace(card, meaning=older).save(tmp_path / "weights.json")
    assert PipelineFolder.open(tmp_path).weights is not None
    replace(card, meaning={}).save(tmp_path / "weights.json")
    with pytest.raises(PipelineError, match="trained with null"):
        PipelineFolder.open(tmp_path)


def mirrors(path: Path, axes: str) -> None:
    """Let the pipeline mirror images along axes, as the training is said to do."""
    train = f"epochs = 3\n[train.augmentation]\nmirror_axes = {axes}"
    pipeline(path, ("[train]", f"[predict]\nmirror_axes = {axes}\n[train]"), ("epochs = 3", train))


def test_images_are_mirrored_only_as_they_were_when_the_weights_were_trained(tmp_path: Path) -> None:
    card = trained(tmp_path).weights
    assert card is not None
    replace(card, mirror_axes=(1, 2)).save(tmp_path / "weights.json")
    assert PipelineFolder.open(tmp_path).settings.predict.mirror_axes == ()
    mirrors(tmp_path, "[2]")
    assert PipelineFolder.open(tmp_path).settings.predict.mirror_axes == (2,)
    for axes in ((), (1,)):
        replace(card, mirror_axes=axes).save(tmp_path / "weights.json")
        told = f"predict.mirror_axes is [2], but weights were trained with mirror_axes {list(axes)}"
        with pytest.raises(PipelineError, match=re.escape(told)) as caught:
            PipelineFolder.open(tmp_path)
        assert (caught.value.code, caught.value.path) == ("weights-mismatch", tmp_path / "pipeline.toml")
        assert "Take the others out of [predict]" in str(caught.value.finding.cure)


def test_of_weights_that_do_not_say_how_they_were_mirrored_the_settings_are_believed(tmp_path: Path) -> None:
    assert trained(tmp_path).weights is not None
    mirrors(tmp_path, "[2]")
    assert PipelineFolder.open(tmp_path).settings.predict.mirror_axes == (2,)


@pytest.mark.parametrize("name", builtin_names())
def test_shipped_weights_say_how_they_were_mirrored(name: str) -> None:
    opened = PipelineFolder.open(name)
    assert opened.require_weights().mirror_axes == opened.settings.mirrored_axes


def test_the_axes_of_a_training_are_those_along_which_it_does_mirror(tmp_path: Path) -> None:
    def axes_with(augmentation: str) -> tuple[int, ...]:
        table = f"epochs = 3\n[train.augmentation]\nmirror_axes = [2, 1]\n{augmentation}"
        return PipelineFolder.open(pipeline(tmp_path, ("epochs = 3", table))).settings.mirrored_axes

    assert axes_with("") == (1, 2)
    assert axes_with("strength = 0.0") == axes_with("[train.augmentation.probabilities]\nmirror = 0.0") == ()


def test_the_network_is_drawn_by_the_seed_of_the_training_and_not_by_the_callers(tmp_path: Path) -> None:
    drawn = []
    for seed, change in ((1, "seed = 0"), (2, "seed = 0"), (1, "seed = 5")):
        pipeline(tmp_path, ("epochs = 3", change))
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        drawn.append(next(PipelineFolder.open(tmp_path).build_network().parameters()))
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_the_network_comes_with_its_weights_and_ready_to_answer(tmp_path: Path) -> None:
    opened = trained(tmp_path)
    network = opened.load_network()
    assert not network.training
    assert network(torch.zeros(1, 1, 8, 4, 4)).shape == (1, 3, 8, 4, 4)


def test_a_pipeline_without_weights_says_so(tmp_path: Path) -> None:
    pipeline(tmp_path)
    opened = PipelineFolder.open(tmp_path)
    opened.check_weights()
    for ask in (opened.require_weights, opened.load_network):
        with pytest.raises(PipelineError, match="tiny has no weights yet") as caught:
            ask()
        assert caught.value.code == "weights-missing"


def test_weights_without_their_card_and_a_card_without_its_weights_are_told(tmp_path: Path) -> None:
    opened = trained(tmp_path)
    opened.weights_path.rename(tmp_path / "elsewhere")
    with pytest.raises(PipelineError, match="no weights beside it") as caught:
        opened.check_weights()
    assert caught.value.code == "weights-missing"
    with pytest.raises(PipelineError, match="no weights yet"):
        opened.load_network()
    (tmp_path / "elsewhere").rename(opened.weights_path)
    (tmp_path / "weights.json").unlink()
    with pytest.raises(PipelineError, match="no card lies beside") as caught:
        PipelineFolder.open(tmp_path).check_weights()
    assert caught.value.code == "weights-mismatch"


def test_weights_that_changed_since_their_card_was_written_are_refused(tmp_path: Path) -> None:
    opened = trained(tmp_path)
    opened.weights_path.write_bytes(opened.weights_path.read_bytes() + b"x")
    for ask in (opened.check_weights, opened.load_network):
        with pytest.raises(PipelineError, match="SHA-256") as caught:
            ask()
        assert (caught.value.code, caught.value.path) == ("weights-mismatch", opened.weights_path)


def test_a_card_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    trained(tmp_path)
    (tmp_path / "weights.json").write_text("{}")
    with pytest.raises(PipelineError, match="no readable card"):
        PipelineFolder.open(tmp_path)


def digests(folder: Path) -> tuple[str, str]:
    opened = PipelineFolder.open(folder)
    return opened.settings_sha256, opened.digest


def test_the_digest_follows_settings_and_weights_but_not_comments_and_defaults_written_out(tmp_path: Path) -> None:
    pipeline(tmp_path)
    settings, everything = digests(tmp_path)
    pipeline(tmp_path, ("epochs = 3", "epochs = 3  # enough\nbatch = 2"), ("[network]", "# a network\n[network]"))
    assert digests(tmp_path) == (settings, everything)
    pipeline(tmp_path, ("epochs = 3", "epochs = 4"))
    assert digests(tmp_path)[0] != settings
    assert digests(tmp_path)[1] != everything
    trained(tmp_path)
    assert digests(tmp_path)[0] == settings
    assert digests(tmp_path)[1] != everything


def test_the_digest_follows_the_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from medvision.pipeline import folder as module

    pipeline(tmp_path)
    before = digests(tmp_path)
    monkeypatch.setattr(module, "versions", lambda: {"torch": "99"})
    after = digests(tmp_path)
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_a_copy_holds_the_settings_and_on_request_the_weights(tmp_path: Path) -> None:
    trained(tmp_path / "a")
    assert copy(tmp_path / "a", tmp_path / "b") == [tmp_path / "b" / "pipeline.toml"]
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["pipeline.toml"]
    written = copy(tmp_path / "a", tmp_path / "c", weights=True)
    assert [path.name for path in written] == ["pipeline.toml", "weights.safetensors", "weights.json", "card.md"]
    assert all(path.read_bytes() == (tmp_path / "a" / path.name).read_bytes() for path in written)
    assert digests(tmp_path / "c") == digests(tmp_path / "a")


def test_a_copy_never_replaces_a_file_and_then_writes_none(tmp_path: Path) -> None:
    trained(tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "weights.json").write_text("mine")
    with pytest.raises(OutputError, match="such a file already") as caught:
        copy(tmp_path / "a", tmp_path / "b", weights=True)
    assert caught.value.path == tmp_path / "b" / "weights.json"
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["weights.json"]
    with pytest.raises(OutputError):
        copy(tmp_path / "a", tmp_path / "a")


def test_weights_that_are_not_there_cannot_be_copied(tmp_path: Path) -> None:
    pipeline(tmp_path / "a")
    with pytest.raises(PipelineError, match="no weights to copy") as caught:
        copy(tmp_path / "a", tmp_path / "b", weights=True)
    assert caught.value.code == "weights-missing"
    assert not (tmp_path / "b").exists()


def test_a_copy_to_where_nothing_can_be_written_is_an_error(tmp_path: Path) -> None:
    pipeline(tmp_path / "a")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        copy(tmp_path / "a", tmp_path / "file")


def test_checking_a_pipeline_needs_neither_torch_nor_monai() -> None:
    code = (
        "import sys; from medvision.pipeline import PipelineFolder, schema; schema(); "
        "PipelineFolder.open('mr-hippocampus').digest; print({'torch', 'monai', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "set()"
