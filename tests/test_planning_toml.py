"""What is written is read back as it was."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planned import classification, regression, segmentation

from medvision.contract import Contract
from medvision.fingerprint import Fingerprint
from medvision.networks import DenseNet, DynUNet, ResNet, SegResNet
from medvision.pipeline import PipelineFolder, Settings, builtin_names, read_settings
from medvision.pipeline.settings import Card
from medvision.planning import Decision, Request, pipeline_toml, plan
from medvision.predict import Prediction
from medvision.selection import Selection
from medvision.sides import sided
from medvision.steps import Clip, CropForeground, Pad, Percentile, Reorient, Resample, Rescale, Resize, Window, ZScore
from medvision.training import Augmentation, Training


def written(value: Settings, *others: Any, **named: Any) -> Settings:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.toml"
        path.write_text(pipeline_toml(value, *others, **named), encoding="utf-8")
        return read_settings(path)


words = st.text(max_size=30)
sizes = st.integers(1, 9)
share = st.floats(0.0, 0.9)
step = st.one_of(
    st.sampled_from(["RAS", "LPS", "SPL"]).map(lambda letters: Reorient(orientation=letters)),
    st.tuples(*[st.floats(0.1, 9)] * 3).map(lambda spacing: Resample(spacing_mm=spacing)),
    st.tuples(sizes, sizes, sizes).map(lambda shape: Resize(shape=shape, order=3)),
    st.floats(0, 5).map(lambda margin: CropForeground(margin_mm=margin, threshold=-margin)),
    sizes.map(lambda size: Pad(multiple=(size, 1, 1), value=-1.0)),
    st.floats(-1e6, 1e6).map(lambda low: Clip(low=low, high=low + 1 + abs(low))),
    st.floats(1e-3, 1e3).map(lambda width: Window(center=0.0, width=width)),
    st.none().map(lambda _: Rescale(source=(0.0, 255.0), low=-1.0)),
    st.none().map(lambda _: Rescale()),
    st.floats(-5, 5).map(lambda threshold: ZScore(threshold=threshold)),
    st.none().map(lambda _: Percentile(lower=1.0)),
)


@st.composite
def any_settings(draw: st.DrawFn) -> Settings:
    dense = draw(st.booleans())
    first = 1 if dense else 0
    names = draw(st.lists(words.filter(bool), min_size=2, max_size=3, unique=True))
    network = draw(
        st.sampled_from(
            [DynUNet(), DynUNet(channels=(4, 4, 8), strides=((2, 2, 1), (2, 2, 2))), SegResNet(dropout=0.5)]
        )
        if dense
        else st.sampled_from([ResNet(), ResNet(blocks=(1, 1, 1, 1)), DenseNet(growth=8)])
    )
    mirrored = st.sampled_from([()] if sided(names) else [(), (0,), (0, 2)])  # left is never mirrored into right
    return Settings(
        name=draw(st.from_regex(r"[a-z0-9][a-z0-9-]{0,9}", fullmatch=True)),
        task="segmentation" if dense else "classification",
        description=draw(words),
        contract=Contract(
            shows=draw(words),
            modality=draw(st.none() | words),
            channels=tuple(draw(st.lists(words, min_size=1, max_size=2))),
            spacing_mm=draw(st.none() | st.floats(0.1, 5).map(lambda least: (least, 2 * least))),
        ),
        labels={n + first: name for n, name in enumerate(names)},
        network=network,
        select=draw(st.sampled_from([None, Selection()])),
        version=draw(words),
        steps=tuple(draw(st.lists(step, max_size=4))),
        predict=Prediction(overlap=draw(share)),
        train=Training(
            learning_rate=draw(st.floats(1e-9, 1.0)),
            seed=draw(st.integers(0, 2**32 - 1)),
            augmentation=Augmentation(mirror_axes=draw(mirrored), scale=draw(share)),
        ),
        card=Card(intended_use=draw(words), limits=tuple(draw(st.lists(words, max_size=3)))),
    )


@settings(max_examples=40, deadline=None)
@given(any_settings(), words)
def test_settings_come_back_as_they_were(value: Settings, reason: str) -> None:
    decisions = [Decision("train.learning_rate", 1, reason or "."), Decision("steps.clip", {}, reason or ".")]
    assert written(value, decisions, head=reason) == value


@pytest.mark.parametrize("name", builtin_names())
def test_shipped_pipelines_come_back_as_they_were(name: str) -> None:
    value = PipelineFolder.open(name).settings
    assert written(value) == value


@pytest.mark.parametrize(
    "data",
    [segmentation(), segmentation(spacing=(0.8, 0.8, 5), shape=(300, 300, 20)), classification(), regression()],
)
def test_a_plan_comes_back_with_every_decision_and_its_reason_above(data: Fingerprint) -> None:
    found = plan(data, Request("mine"))
    text = pipeline_toml(found.settings, found.decisions, head="Planned.")
    assert written(found.settings, found.decisions) == found.settings
    assert text.startswith("# Planned.\n")
    comments = " ".join(line.removeprefix("# ") for line in text.splitlines() if line.startswith("#"))
    lines = text.splitlines()
    for each in found.decisions:
        if each.value is None:
            continue
        assert each.reason in comments
        table, _, name = each.setting.rpartition(".")
        if isinstance(each.value, dict) and table == "train":
            assert f"[{each.setting}]" in lines
        elif table not in ("steps", "explain") and name not in ("labels", "regression"):
            assert any(line.startswith(f"{name} = ") for line in lines)
    assert all(len(line) <= 120 or line.startswith(("description", "shows")) for line in lines)


def test_a_reason_stands_above_its_setting_and_once_for_several() -> None:
    value = plan(segmentation(), Request("mine")).settings
    decisions = [Decision("train.batch", 7, "Seven fit."), Decision("train.optimiser", "adamw", "As\nalways.")]
    lines = pipeline_toml(value, decisions).splitlines()
    assert lines[lines.index("# Seven fit.") + 1] == "batch = 7"
    assert lines[lines.index("# always.") + 1] == 'optimiser = "adamw"'
    twice = [Decision("train.steps_per_epoch", 20, "Same."), Decision("train.batch", 7, "Same.")]
    assert pipeline_toml(value, twice).count("# Same.") == 1


def test_defaults_are_left_out_unless_they_were_decided_on() -> None:
    value = plan(segmentation(), Request("mine")).settings
    assert "foreground" not in pipeline_toml(value)
    assert "foreground = 0.5" in pipeline_toml(value, [Decision("train.foreground", 0.5, "Half.")])


def test_a_default_that_cannot_be_taken_back_in_toml_is_refused() -> None:
    value = plan(segmentation(), Request("mine")).settings
    object.__setattr__(value.train, "learning_rate", None)
    with pytest.raises(ValueError, match=r"train\.learning_rate: TOML has no word for None"):
        pipeline_toml(value)


def test_long_lists_of_sentences_are_a_line_each() -> None:
    value = plan(segmentation(), Request("mine")).settings
    limits = ("It has seen one hospital alone, and one protocol.", "It knows no child. " * 6)
    text = pipeline_toml(replace(value, card=Card(limits=limits)))
    assert 'limits = [\n    "It has seen one hospital alone' in text
    assert written(replace(value, card=Card(limits=limits))).card.limits == limits
