"""What a person or a plan wrote about settings stays where a training changes some of them."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planned import regression, segmentation
from pydantic import TypeAdapter

from medvision.explain import SALIENCY
from medvision.networks import DynUNet, SegResNet
from medvision.pipeline import Settings
from medvision.planning import Request, changed_toml, pipeline_toml, plan
from medvision.predict import Quantity
from medvision.training import Augmentation

PLAN = plan(segmentation(), Request("mine"))
TEXT = pipeline_toml(PLAN.settings, PLAN.decisions, head="Planned.")


def read(text: str) -> Settings:
    return TypeAdapter(Settings).validate_json(json.dumps(tomllib.loads(text)), strict=True)


def trained(**changed: Any) -> Settings:
    return replace(PLAN.settings, train=replace(PLAN.settings.train, **changed))


def test_a_changed_setting_keeps_its_reason_and_says_what_it_was() -> None:
    text = changed_toml(TEXT, PLAN.settings, trained(batch=3))
    (now,) = set(text.splitlines()) - set(TEXT.splitlines())
    assert now == "batch = 3 # changed by the training; it was 7"
    assert set(TEXT.splitlines()) - set(text.splitlines()) == {"batch = 7"}
    lines = text.splitlines()
    assert lines[lines.index(now) - 1].startswith("# Patches that fit into 8 GB: 32")


def test_every_reason_of_a_plan_is_still_there_after_many_changes() -> None:
    network = DynUNet(channels=(8, 16, 32, 64))
    after = replace(trained(epochs=3, seed=5, patch=(16, 24, 16), keep="best"), network=network)
    text = changed_toml(TEXT, PLAN.settings, after)
    assert read(text) == after
    comments = " ".join(line.removeprefix("# ") for line in text.splitlines() if line.startswith("#"))
    assert all(each.reason in comments for each in PLAN.decisions if each.value is not None)
    assert "seed = 5 # set by the training; by default 0" in text


def test_a_setting_that_was_not_there_comes_between_those_of_its_table_and_the_words_above_the_next() -> None:
    lines = changed_toml(TEXT, PLAN.settings, trained(seed=5)).splitlines()
    place = lines.index("seed = 5 # set by the training; by default 0")
    assert lines[place - 1].startswith("validate_every")
    assert lines[place + 1 : place + 4] == ["", lines[place + 2], "[train.loss]"]
    assert lines[place + 2].startswith("# Dice counts a small label")


def test_a_setting_that_an_earlier_training_set_keeps_what_a_person_wrote_above_it() -> None:
    first = changed_toml(TEXT, PLAN.settings, trained(seed=5)).replace("seed = 5", "# Ours.\nseed = 5")
    assert "# Ours.\nseed = 5 # set" in changed_toml(first, trained(seed=5), trained(seed=5, epochs=2))
    assert "# Ours.\nseed = 6 # changed by the training; it was 5" in changed_toml(
        first, trained(seed=5), trained(seed=6)
    )


def test_what_a_person_wrote_in_their_own_way_stays() -> None:
    own = TEXT.replace("batch = 7", "batch   =  7   # mine").replace(
        "[train.augmentation]", "\n# Ours.\n[train.augmentation]"
    )
    text = changed_toml(own, PLAN.settings, trained(seed=1))
    assert "batch   =  7   # mine" in text
    assert "# Ours.\n[train.augmentation]" in text


def test_what_is_no_longer_said_is_taken_out() -> None:
    text = changed_toml(TEXT, PLAN.settings, trained(patch=None))
    assert "patch =" not in text
    assert read(text).train.patch is None


def test_a_scale_that_was_measured_stands_in_the_table_of_its_value() -> None:
    planned = plan(regression(), Request("age"))
    text = pipeline_toml(planned.settings, planned.decisions)
    after = replace(planned.settings, regression=(Quantity("1", 60.0, 10.0, (40.0, 80.0)),))
    found = changed_toml(text, planned.settings, after)
    assert read(found) == after
    assert "mean = 60.0 # set by the training" in found


def test_tables_that_were_not_there_are_added() -> None:
    plain = pipeline_toml(replace(PLAN.settings, train=replace(PLAN.settings.train, augmentation=Augmentation())))
    assert "augmentation" not in plain
    before = read(plain)
    after = replace(before, train=replace(before.train, augmentation=Augmentation(noise=0.5)), explain=())
    assert read(changed_toml(plain, before, after)) == after
    method = SALIENCY["seg-hirescam"]()
    assert read(changed_toml(plain, after, replace(after, explain=(method,)))).explain == (method,)


def test_tables_in_one_line_or_far_apart_are_followed_too() -> None:
    line = 'name = "a"\ntask = "segmentation"\ndescription = "d"\ncontract = {shows = "s"}\nlabels = {1 = "x"}\n'
    text = f'# Mine.\n{line}network = {{use = "dynunet"}}\ntrain = {{batch = 7, seed = 1}}\n'
    before = read(text)
    after = replace(before, train=replace(before.train, batch=3))
    found = changed_toml(text, before, after)
    assert read(found) == after
    assert found.startswith("# Mine.")
    apart = TEXT.replace("[train.augmentation]", '[card]\nlicence = "mine"\n\n[train.augmentation]')
    first = read(apart)
    last = replace(first, train=replace(first.train, seed=4, augmentation=Augmentation(noise=0.5)))
    assert read(changed_toml(apart, first, last)) == last


def test_another_network_leaves_nothing_of_the_one_before() -> None:
    after = replace(PLAN.settings, network=SegResNet(dropout=0.5), train=trained(deep_supervision=False).train)
    text = changed_toml(TEXT, PLAN.settings, after)
    assert read(text) == after
    assert "channels = [32" not in text


@settings(max_examples=30, deadline=None)
@given(
    batch=st.integers(1, 99),
    learning_rate=st.floats(1e-9, 1.0),
    patch=st.none() | st.tuples(*[st.integers(1, 9).map(lambda n: 16 * n)] * 3),
    keep=st.sampled_from(["best", "last"]),
    average=st.floats(0.0, 0.999),
)
def test_any_change_is_read_back_as_it_was(**changed: Any) -> None:
    after = trained(**changed)
    text = changed_toml(TEXT, PLAN.settings, after)
    assert read(text) == after
    assert text.startswith("# Planned.")
    assert changed_toml(text, after, after) == text


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_nothing_is_touched_where_nothing_changed(end: str) -> None:
    text = TEXT.replace("\n", end)
    assert changed_toml(text, PLAN.settings, PLAN.settings) == text


SMALL = 'name = "a"\ntask = "segmentation"\ndescription = "d"\ncontract = {shows = "s"}\nlabels = {1 = "x"}\n'


@pytest.mark.parametrize("end", ["\u2028", "\x85"])
def test_a_comment_with_what_ends_lines_elsewhere_does_not_swallow_a_setting(end: str) -> None:
    text = f'{SMALL}network = {{use = "dynunet"}}\n[train]\nepochs = 3 # three{end}# passes\n'
    before = read(text)
    after = replace(before, train=replace(before.train, batch=3))
    found = changed_toml(text, before, after)
    assert read(found) == after
    assert f"epochs = 3 # three{end}# passes\n" in found


@pytest.mark.parametrize("train", ["train = {batch = 7}", "train.batch = 7"])
def test_a_form_that_takes_no_table_in_is_written_anew_and_says_so(train: str) -> None:
    text = f'# Mine.\n{train}\n{SMALL}[network]\nuse = "dynunet"\n'
    before = read(text)
    after = replace(before, train=replace(before.train, augmentation=Augmentation(noise=0.5)))
    found = changed_toml(text, before, after)
    assert read(found) == after
    assert found.startswith("# Written anew by a training")
    assert read(changed_toml(text, before, replace(before, version="2.0"))).version == "2.0"
