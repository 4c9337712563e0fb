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
from medvision.workflows.card import card_text

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
    assert found["Limits"] == ["- Blind.", "- Deaf."]
    assert found["Licence"] == ["- CC0"]
    assert found["Weights"] == ["- SHA-256 5e1f", "- Trained with torch 2, steps 9."]


def test_the_card_counts_cases_and_patients_and_names_none(settings: Settings) -> None:
    text = card_text(settings, WEIGHTS, PARTS, ())
    assert "Trained on 3 cases of 2 patients, validated on 1 cases of 1 others" in text
    assert "PAT-" not in text


def test_the_card_says_that_the_figures_are_hopeful(settings: Settings) -> None:
    found = sections(card_text(settings, WEIGHTS, PARTS, ()))
    assert "slightly hopeful" in found["Results on the held-out cases"][-1]
    assert found["What was noticed about the data"] == ["- Nothing."]


def test_the_card_leaves_out_what_is_not_stated(tmp_path: Path) -> None:
    plain = read_settings(pipeline(tmp_path, ('side = "left"', "")))
    weights = WeightsCard("0", {}, None, "as stored", None, "", "", (), {})
    assert sections(card_text(plain, weights, PARTS, ()))["Input"] == [
        "- anything", "- 3D, channels: image.", "- Values seen by the network: as stored.",
    ]  # fmt: skip


def test_the_card_says_from_where_on_labels_are_present_and_in_which_unit_values_are() -> None:
    def of(task: Literal["multilabel", "regression"], **fields: Any) -> list[str]:
        settings = Settings("a", task, "", Contract("x"), {0: "p", 1: "q"}, ResNet(), **fields)
        return sections(card_text(settings, WEIGHTS, PARTS, ()))["Output"]

    assert of("multilabel") == ["- 0: p, present from 0.5 on", "- 1: q, present from 0.5 on"]
    assert of("multilabel", predict=Prediction(thresholds=(0.25, 0.9)))[0] == "- 0: p, present from 0.25 on"
    values = (Quantity("years", known=(20.0, 80.5)), Quantity("1"))
    assert of("regression", regression=values) == ["- 0: p in years, known from 20 to 80.5", "- 1: q"]
