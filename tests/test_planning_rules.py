"""All rules together: networks, losses, lengths, variation and contract."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planned import channel, chosen, classification, label, regression, segmentation

from medvision.errors import PipelineError, UsageError
from medvision.fingerprint import ClassFigures, Fingerprint
from medvision.pipeline import PipelineFolder
from medvision.planning import Decision, Plan, Request, plan
from medvision.steps import Rescale
from medvision.training import default_loss

REQUEST = Request("mine")


def planned(data: Fingerprint, **request: Any) -> dict[str, Any]:
    return chosen(plan(data, Request("mine", **request)))


def test_crops_of_a_hippocampus_are_planned_as_the_shipped_pipeline_is() -> None:
    shipped = PipelineFolder.open("mr-hippocampus").settings
    found = plan(segmentation(labels=segmentation().labels), REQUEST).settings
    assert found.steps == tuple(step for step in shipped.steps)
    assert found.train.patch == (40, 56, 40)
    assert found.predict.window == (40, 56, 40)
    assert found.network.use == "dynunet"
    assert found.contract.modality == "MR"
    assert found.contract.spacing_mm == (0.5, 2.0)
    assert found.explain == shipped.explain
    assert found.train.optimiser == "adamw"


def test_small_pictures_are_planned_as_the_first_pipeline_for_them_was() -> None:
    shipped = PipelineFolder.open("cxr-pneumonia").settings
    found = plan(classification(cases=4708, imbalance=2.9), Request("mine", fixed_split=True)).settings
    assert found.steps == (shipped.steps[0], Rescale(low=-1.0, high=1.0, source=(0.0, 255.0)))
    assert found.explain == shipped.explain
    assert found.contract.values == (0.0, 255.0)
    names = ("use", "blocks", "stem_kernel", "stem_stride", "stem_pool")
    assert [getattr(found.network, n) for n in names] == [getattr(shipped.network, n) for n in names]
    assert found.network.channels == (32, 64, 128, 256)
    train = found.train
    assert (train.epochs, train.batch, train.balanced, train.optimiser) == (30, 128, True, "adamw")
    assert (train.learning_rate, train.weight_decay, train.label_smoothing) == (0.001, 0.01, 0.05)


def test_a_volume_of_a_few_hundred_cases_has_a_narrow_network() -> None:
    found = planned(classification(shape=(64, 64, 64), dimensions=3, cases=1286))
    assert found["network.channels"] == [16, 32, 64, 128]
    assert found["network.blocks"] == [1, 1, 1, 1]
    assert (found["network.stem_kernel"], found["network.stem_stride"], found["network.stem_pool"]) == (3, 2, False)
    assert found["train.batch"] == 64


def test_many_large_pictures_have_a_resnet_18_with_its_own_stem() -> None:
    found = planned(classification(shape=(500, 500, 1), cases=20_000))
    assert found["network.channels"] == [64, 128, 256, 512]
    assert found["network.blocks"] == [2, 2, 2, 2]
    assert (found["network.stem_kernel"], found["network.stem_stride"], found["network.stem_pool"]) == (7, 2, True)
    assert found["train.batch"] == 128
    assert planned(classification(shape=(500, 500, 1), cases=20_000), memory_gb=0.5)["train.batch"] < 128


def test_few_cases_have_a_narrow_network_and_a_small_batch() -> None:
    found = planned(classification(cases=40))
    assert found["network.channels"] == [16, 32, 64, 128]
    assert found["train.batch"] == 4


def test_unequal_classes_are_drawn_alike_and_equal_ones_as_they_come() -> None:
    assert planned(classification(imbalance=4.0))["train.balanced"] is True
    assert planned(classification(imbalance=1.2))["train.balanced"] is False
    assert planned(classification(cases=500))["train.label_smoothing"] == 0.1
    assert planned(classification(cases=5000))["train.label_smoothing"] == 0.05


def test_labels_that_occur_together_and_real_values_have_a_loss_of_their_own() -> None:
    several = plan(classification(task="multilabel", imbalance=9.0), REQUEST)
    assert several.settings.task == "multilabel"
    assert "train.balanced" not in chosen(several)
    values = plan(regression(), REQUEST)
    assert values.settings.labels == {0: "age"}
    assert [quantity.unit for quantity in values.settings.regression] == ["1"]
    for found in (several, values):
        assert chosen(found)["train.loss"]["use"] == default_loss(found.settings.task).use
        assert "train.label_smoothing" not in chosen(found)


@pytest.mark.parametrize(
    ("data", "steps"),
    [
        (segmentation(cases=10), 2000),
        (segmentation(cases=2000), 100 * 1600 * (36 * 50 * 35) / (16 * 40 * 56 * 40)),
        (segmentation(cases=3000, shape=(400, 400, 300)), 25_000),
        (classification(cases=6540), 1226),
        (classification(cases=100), 1000),
        (classification(cases=200_000), 25_000),
    ],
)
def test_a_training_is_so_many_passes_within_limits(data: Fingerprint, steps: int) -> None:
    train = plan(data, REQUEST).settings.train
    assert train.total_steps == pytest.approx(steps, rel=0.03)
    assert 20 <= train.steps_per_epoch <= 250
    assert 0.9 <= train.average <= 0.999
    assert train.epochs / train.validate_every >= 10 or train.validate_every == 1


def test_held_out_are_a_fifth_or_what_the_data_set_fixes() -> None:
    assert planned(segmentation())["train.validation"] == 0.2
    assert planned(classification(cases=20_000))["train.validation"] == 0.1
    assert planned(segmentation(), fixed_split=True)["train.validation"] is None
    few = {each.setting: each.reason for each in plan(segmentation(cases=12), REQUEST).decisions}
    assert "--folds 5" in few["train.validation"]
    grouped = {each.setting: each.reason for each in plan(segmentation(patients=127), REQUEST).decisions}
    assert "25 of 127 patients" in grouped["train.validation"]


def test_left_and_right_are_mirrored_only_where_nothing_has_a_side() -> None:
    mirror = "train.augmentation.mirror_axes"
    assert planned(segmentation())[mirror] == [0]
    assert planned(segmentation(sided=(("kidney left", "kidney right"),)))[mirror] == []
    assert planned(segmentation(lateral=(("front", "back"),)))[mirror] == []
    assert planned(segmentation(labels=(label(1, "left hippocampus"),)))[mirror] == []
    assert planned(segmentation(), sides=True)[mirror] == []
    assert planned(segmentation(spacing=None))[mirror] == []
    assert planned(classification())[mirror] == []
    assert planned(classification(shape=(64, 64, 64), spacing=(1, 1, 1), dimensions=3))[mirror] == []


def test_cases_that_all_state_their_side_are_brought_to_one() -> None:
    assert planned(segmentation(), sides=True)["contract.side"] == "left"
    assert "contract.side" not in planned(segmentation())
    assert "contract.side" not in planned(segmentation(sided=(("a left", "a right"),)), sides=True)
    assert "contract.side" not in planned(segmentation(lateral=(("front", "back"),)), sides=True)
    assert "contract.side" not in planned(segmentation(labels=(label(1, "left hippocampus"),)), sides=True)
    assert "contract.side" not in planned(classification(), sides=True)


def test_variation_is_stronger_where_cases_are_few() -> None:
    name = "train.augmentation.strength"
    assert planned(segmentation(cases=50))[name] == 1.5
    assert planned(segmentation(cases=200))[name] == 1.0
    assert planned(segmentation(cases=5000))[name] == 0.7
    few = plan(segmentation(cases=50), REQUEST).settings.train.augmentation.resolved()
    assert few.rotation_degrees == 22.5
    assert planned(classification())["train.augmentation.shift"] == 0.1
    assert planned(segmentation())["train.augmentation.shift"] == 0.0


@pytest.mark.parametrize(("spacing", "axis"), [((0.8, 0.8, 5.0), 2), ((5.0, 0.8, 0.9), 0), ((0.5, 2.0, 2.0), 0)])
def test_thick_slices_are_turned_about_their_normal_alone(spacing: tuple[float, ...], axis: int) -> None:
    found = planned(segmentation(spacing=spacing, shape=(200, 200, 200)))
    assert found["train.augmentation.rotation_axes"] == [axis]
    assert found["train.augmentation.rotation_degrees"] == 15.0
    assert "train.augmentation.rotation_axes" not in planned(segmentation())


def test_pictures_of_long_pixels_are_not_turned() -> None:
    found = planned(segmentation(spacing=(0.5, 4.0, 1.0), shape=(400, 100, 1), dimensions=2))
    assert found["train.augmentation.rotation_degrees"] == 0.0
    assert "train.augmentation.rotation_axes" not in found


def test_masks_keep_their_two_values() -> None:
    half = channel(greatest=255, high=255, mean=127.5, sd=127.5, labelled=False)
    found = planned(classification(channels=(half,)))
    names = ("noise", "brightness", "contrast", "gamma", "blur", "low_resolution")
    assert {found[f"train.augmentation.{name}"] for name in names} == {0.0}
    assert planned(classification())["train.augmentation.noise"] == 0.1


def test_the_contract_is_what_the_cases_were_with_margins() -> None:
    data = segmentation(spacing=([0.5, 1.0], 1, [1.0, 4.0]))
    found = planned(data)
    assert found["contract.spacing_mm"] == [0.25, 8.0]
    assert found["contract.dimensions"] == 3
    assert "contract.values" not in found
    mixed = segmentation(modalities={"MR": 100, "unknown": 100})
    assert planned(mixed)["contract.modality"] is None


def reasons(data: Fingerprint, **request: Any) -> dict[str, str]:
    return {each.setting: each.reason for each in plan(data, Request("mine", **request)).decisions}


@pytest.mark.parametrize(
    ("data", "shows"),
    [
        (segmentation(), "MR volume of about 36 x 50 x 35 mm (left-right, front-back, foot-head)"),
        (
            segmentation(spacing=(0.5, 30.0, 0.25), shape=(400, 1, 30), dimensions=2, modality=None),
            "Picture of about 200 x 7.5 mm (left-right, foot-head)",
        ),
        (classification(shape=(300, 280, 1)), "Picture of about 300 x 280 pixels"),
        (classification(shape=(64, 64, 64), dimensions=3, modality="CT"), "CT volume of about 64 x 64 x 64 voxels"),
    ],
)
def test_what_an_image_shows_is_what_the_data_state(data: Fingerprint, shows: str) -> None:
    assert planned(data)["contract.shows"] == f"{shows}, like those of the training data"


@pytest.mark.parametrize(
    ("data", "description"),
    [
        (segmentation(), "front and back, outlined in MR volumes"),
        (classification(), "One of no and yes, told from pictures"),
        (classification(task="multilabel", modality="CR"), "no and yes: which of them CR pictures show"),
        (regression(), "age, estimated from pictures"),
        (
            segmentation(labels=tuple(label(n, f"l{n}") for n in range(1, 10))),
            "l1, l2, l3, l4, l5, l6 and 3 more, outlined in MR volumes",
        ),
    ],
)
def test_the_description_says_what_is_told_of_which_images(data: Fingerprint, description: str) -> None:
    assert planned(data)["description"] == description


def test_reasons_say_whose_words_names_are() -> None:
    assert reasons(segmentation())["name"] == "As asked for."
    assert "folder" in reasons(segmentation(), named=False)["name"]
    assert reasons(segmentation())["labels"] == "As the data set names them."
    assert "names none" in reasons(segmentation(), unnamed=True)["labels"]


def test_reasons_count_one_and_several() -> None:
    one = reasons(segmentation(cases=1))
    assert "LPS (1 case)" in one["steps.reorient"]
    assert one["contract.modality"] == "Every case is MR."
    assert not [reason for reason in one.values() if "1 cases" in reason or "(s)" in reason]
    assert reasons(classification())["contract.modality"] == "No case states one: it is not checked."
    mixed = segmentation(modalities={"MR": 100, "unknown": 100})
    assert "100 MR, 100 unknown" in reasons(mixed)["contract.modality"]


@pytest.mark.parametrize("data", [segmentation(), classification(), classification(task="multilabel"), regression()])
def test_the_last_weights_are_kept_whatever_the_task(data: Fingerprint) -> None:
    found = plan(data, REQUEST)
    assert found.settings.train.keep == "last"
    assert found.settings.train.early_stopping == 0, "held-out cases would choose the last epoch"


def test_passes_are_over_the_cases_that_are_trained_on() -> None:
    data = segmentation(cases=400)
    assert "over 320 cases to train on" in reasons(data)["train.epochs"]
    assert "over 400 cases to train on" in reasons(data, fixed_split=True)["train.epochs"]
    assert "2,000 the least" in reasons(segmentation(cases=10))["train.epochs"]
    assert "25,000 the most" in reasons(classification(cases=200_000))["train.epochs"]


def test_what_makes_no_pipeline_is_refused_with_its_place() -> None:
    with pytest.raises(PipelineError, match="name: String should match"):
        plan(segmentation(), Request("My Liver"))
    gap = segmentation(labels=(segmentation().labels[1],))
    with pytest.raises(PipelineError, match=r"these data: labels: those .* numbered from 1 without gaps") as caught:
        plan(gap, REQUEST)
    assert caught.value.finding.cure == "Mend it in the data set, or in the name that is asked for."


def test_a_decision_without_a_reason_is_none() -> None:
    with pytest.raises(UsageError, match="has a reason"):
        Decision("train.batch", 2, "")


def fingerprints() -> Iterator[Fingerprint]:
    yield segmentation()
    yield segmentation(modality="CT", spacing=(0.8, 0.8, 5.0), shape=(512, 512, 40), cases=30)
    yield segmentation(spacing=None, shape=(512, 384, 1), dimensions=2, modality=None)
    yield classification(imbalance=12.0)
    yield classification(shape=(180, 200, 160), spacing=(1, 1, 1.2), dimensions=3, modality="MR", cases=300)
    yield classification(task="multilabel")
    yield regression()


@pytest.mark.parametrize("data", list(fingerprints()))
def test_every_setting_is_decided_once_with_a_reason_and_is_in_force(data: Fingerprint) -> None:
    found = plan(data, REQUEST)
    places = [each.setting for each in found.decisions]
    assert len(set(places)) == len(places)
    assert all(each.reason.endswith(".") for each in found.decisions)
    assert all(each.shown for each in found.decisions)
    content = found.settings.to_json()
    for each in found.decisions:
        table, _, name = each.setting.partition(".")
        if each.value is None:
            continue
        if table in ("steps", "explain"):
            (entry,) = [entry for entry in content[table] if entry["use"] == name]
            assert {key: entry[key] for key in each.value} == each.value
        elif table not in ("labels", "regression"):
            value = content
            for part in each.setting.split("."):
                value = value[part]
            assert (value["use"] if table == "train" and name == "loss" else value) == (
                each.value["use"] if name == "loss" else each.value
            )


@settings(max_examples=40, deadline=None)
@given(
    shape=st.lists(st.integers(1, 600), min_size=3, max_size=3),
    thick=st.floats(0.2, 12),
    cases=st.integers(1, 20_000),
    memory_gb=st.sampled_from([1.0, 8.0, 80.0]),
    dense=st.booleans(),
)
def test_any_volumes_give_a_valid_plan(
    shape: list[int], thick: float, cases: int, memory_gb: float, *, dense: bool
) -> None:
    make = segmentation if dense else classification
    data = make(shape=shape, spacing=(1, 1, round(thick, 3)), dimensions=3, cases=cases)
    assert isinstance(plan(data, Request("x", memory_gb=memory_gb)), Plan)


def test_unnamed_classes_of_a_fingerprint_are_named_in_the_labels() -> None:
    data = classification(classes=tuple(ClassFigures(n, f"class {n}", 9, 0.5) for n in range(2)))
    assert plan(data, REQUEST).settings.labels == {0: "class 0", 1: "class 1"}
