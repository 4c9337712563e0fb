"""The card says who it is for, what it was trained on, how well it did, and what it cannot do."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
from tiny_pipeline import pipeline

from medvision.contract import Contract
from medvision.errors import Finding
from medvision.networks import ResNet, WeightsCard
from medvision.pipeline import Settings, read_settings
from medvision.predict import Prediction, Quantity
from medvision.study import Case, Source
from medvision.training import Split
from medvision.workflows.fitting.card import card_text

IMAGE = (Source("nifti", (Path("a.nii"),)),)
PARTS = Split(
    (Case("a", IMAGE, patient="PAT-1"), Case("b", IMAGE, patient="PAT-1"), Case("c", IMAGE)),
    (Case("d", IMAGE, patient="PAT-2"),),
)
WEIGHTS = WeightsCard(
    "5e1f", {}, (1.0, 1.5, 2.0), "zscore", "MR", "data", "terms", ("Dice 0.9", "HD95 2.0"), {"torch": "2", "steps": "9"}
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    words = (
        '[card]\nintended_use = "Research"\ntraining_data = "Crops"\nlicence = "CC0"\nlimits = ["Blind.", "Deaf."]\n'
    )
    told = 'shows = "a head"\nmodality = "MR"\nchannels = ["T1"]'
    return read_settings(pipeline(tmp_path, ("[train]", words + "[train]"), ('shows = "anything"', told)))


def sections(text: str) -> dict[str, list[str]]:
    """Return the lines below each heading."""
    parts = text.split("\n## ")[1:]
    return {part.splitlines()[0]: [line for line in part.splitlines()[1:] if line] for part in parts}


def test_the_card_says_what_a_person_must_know(settings: Settings) -> None:
    text = card_text(settings, WEIGHTS, PARTS, (Finding("split-ungrouped", "warning", "one has no patient"),))
    found = sections(text)
    assert text.startswith(
        "---\nlicense: other\ntags: [medical-imaging, segmentation]\n---\n\n# tiny 2.1.0\n\nFor tests\n"
    )
    assert found["Intended use"] == ["- Research", "- Research use only. Not for diagnosis."]
    assert found["Input"] == [
        "- a head",
        "- 3D, channels: T1.",
        "- Modality MR.",
        "- The network knows its structure as on the left side; others are mirrored.",
        "- Spacing seen by the network: 1 x 1.5 x 2 mm.",
        "- Values seen by the network: zscore.",
    ]
    assert found["Output"] == ["- 1: one", "- 2: two"]
    assert found["Training data"][0] == "- Crops"
    assert found["Results on the held-out cases"][:2] == ["- Dice 0.9", "- HD95 2.0"]
    assert found["What was noticed about the data"] == ["- one has no patient"]
    assert "What was noticed about the training" not in found
    assert found["Limits"] == ["- Blind.", "- Deaf."]
    assert found["Licence"] == ["- CC0"]
    assert found["Weights"] == ["- SHA-256 5e1f", "- Trained with torch 2, steps 9."]


def test_the_card_counts_cases_and_patients_and_names_none(settings: Settings) -> None:
    text = card_text(settings, WEIGHTS, PARTS, ())
    assert (
        "- Trained on 3 cases of 2 patients, validated on 1 case of 1 other patient."
        " 1 case named no patient: each counts as one.\n"
    ) in text
    assert "PAT-" not in text


def test_where_no_patient_is_named_the_card_counts_cases_alone_and_says_where_nobody_was_held_out(
    settings: Settings,
) -> None:
    nobody = Split((Case("a", IMAGE), Case("b", IMAGE)), (Case("c", IMAGE),))
    assert (
        "- Trained on 2 cases, validated on 1 other case. No case named a patient: each counts as one.\n"
    ) in card_text(settings, WEIGHTS, nobody, ())
    assert "- Trained on 1 case of 1 patient, none held out.\n" in card_text(
        settings, WEIGHTS, Split((Case("a", IMAGE, patient="PAT-1"),), ()), ()
    )


def test_the_card_tells_what_was_noticed_about_the_data_apart_from_how_was_trained(settings: Settings) -> None:
    findings = (Finding("budget", "note", "about 9 steps fit"), Finding("split-leak", "warning", "1 of 4 is a copy"))
    found = sections(card_text(settings, WEIGHTS, PARTS, findings))
    assert found["What was noticed about the data"] == ["- 1 of 4 is a copy"]
    assert found["What was noticed about the training"] == ["- about 9 steps fit"]
    alone = sections(card_text(settings, WEIGHTS, PARTS, findings[:1]))
    assert alone["What was noticed about the data"] == ["- Nothing."]


def test_the_card_claims_no_choice_of_an_epoch_that_its_results_do_not_state(settings: Settings) -> None:
    assert "epoch" not in card_text(settings, WEIGHTS, PARTS, ())


def test_the_card_leaves_out_what_is_not_stated(tmp_path: Path) -> None:
    plain = read_settings(pipeline(tmp_path, ('side = "left"', "")))
    weights = WeightsCard("0", {}, None, "as stored", None, "", "", (), {})
    found = sections(card_text(plain, weights, PARTS, ()))
    assert found["Input"] == ["- anything", "- 3D, channels: image.", "- Values seen by the network: as stored."]
    assert found["Limits"] == ["- Not stated."]


def test_the_card_says_from_where_on_labels_are_present_and_in_which_unit_values_are() -> None:
    def of(task: Literal["multilabel", "regression"], **fields: Any) -> list[str]:
        settings = Settings("a", task, "", Contract("x"), {0: "p", 1: "q"}, ResNet(), **fields)
        return sections(card_text(settings, WEIGHTS, PARTS, ()))["Output"]

    assert of("multilabel") == ["- 0: p, present from 0.5 on", "- 1: q, present from 0.5 on"]
    assert of("multilabel", predict=Prediction(thresholds=(0.25, 0.9)))[0] == "- 0: p, present from 0.25 on"
    values = (Quantity("years", known=(20.0, 80.5)), Quantity("1"))
    assert of("regression", regression=values) == ["- 0: p in years, known from 20 to 80.5", "- 1: q"]
