"""Several labels at once, and values: from a list of cases to pages, by networks whose weights are set by hand.

The network passes an image on as it is: its first convolution is a single 1, its blocks add nothing. An image of one
value v then gives w * v + b, which is known beforehand.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_pipeline import GREYS

import medvision as mv
from medvision.errors import InputError, PipelineError
from medvision.files import sha256_of_text
from medvision.networks import WeightsCard, save_weights
from medvision.pipeline import PipelineFolder
from medvision.study import Case, Numbers
from medvision.training import Alone, Store
from medvision.workflows.comparing.runs import sides_of
from medvision.workflows.comparing.ways import Way
from medvision.workflows.evaluate import evaluate
from medvision.workflows.fitting.fit import Terms, fit
from medvision.workflows.fitting.workbench import Workbench
from medvision.workflows.learning_curve import CurveDesign, learning_curve, plan_of_curve
from medvision.workflows.training_data.subsets import subset

UNKNOWN = "Whether the weights were trained on any of these images is not known"

COMMON = f"""
[contract]
shows = "an even grey"
dimensions = 2
{GREYS.replace("[4, 4, 8, 8]", "[1, 1, 1, 1]")}
"""
LIGHTS = f"""
name = "lights"
task = "multilabel"
description = "Which lamps are on"
{COMMON}
[labels]
0 = "lit"
1 = "dark"
2 = "glaring"
[predict]
thresholds = [0.5, 0.5, 0.9]
review_margin = 0.1
[[explain]]
use = "hirescam"
"""
AGE = f"""
name = "age"
task = "regression"
description = "How old a grey is"
{COMMON}
[labels]
0 = "age"
1 = "score"
[[regression]]
unit = "years"
mean = 50.0
sd = 20.0
known = [20.0, 75.0]
[[regression]]
unit = "1"
mean = 0.0
sd = 2.0
[[explain]]
use = "smoothed-gradient"
samples = 2
"""
WEIGHTS: dict[str, tuple[list[float], list[float]]] = {
    "lights": ([10.0, -10.0, 10.0], [-5.0, 5.0, -6.0]),
    "age": ([4.0, 1.0], [-2.0, 0.0]),
}


def pipeline(folder: Path, text: str) -> PipelineFolder:
    """Write a pipeline with its weights set by hand."""
    import torch

    folder.mkdir()
    (folder / "pipeline.toml").write_text(text, encoding="utf-8")
    opened = PipelineFolder.open(folder)
    network: Any = opened.build_network()
    slopes, starts = WEIGHTS[opened.settings.name]
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "conv" in name or "downsample.0" in name:
                parameter.zero_()
        network.conv1.weight[0, 0, 1, 1] = 1.0
        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d) and module.kernel_size == (1, 1):
                module.weight.fill_(1.0)
        network.fc.weight.copy_(torch.tensor(slopes)[:, None])
        network.fc.bias.copy_(torch.tensor(starts))
    sha256 = save_weights(folder / "weights.safetensors", network)
    words = {"input_unit": "share of white", "training_data": "none", "licence": "none", "modality": None}
    meaning = opened.settings.meaning()
    WeightsCard(sha256, meaning, None, results=(), trained_with={}, **words).save(folder / "weights.json")  # type: ignore[arg-type]
    return PipelineFolder.open(folder)


def pictures(folder: Path, rows: list[tuple[int, str]]) -> Path:
    """Write even pictures of a grey each, 16 x 16, and the list that states their labels."""
    folder.mkdir()
    with (folder / "cases.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", "label", "patient"])
        for number, (grey, label) in enumerate(rows):
            pixels = np.full((16, 16), grey, dtype=np.uint8)
            pixels[3, 3] = 255 - grey  # no part of what the network's strides keep; an image all even is for review
            Image.fromarray(pixels).save(folder / f"g{number}.png")
            table.writerow([f"g{number}.png", label, f"p{number}"])
    return folder / "cases.csv"


def logistic(value: float) -> float:
    return float(1 / (1 + np.exp(-value)))


@pytest.fixture(scope="module")
def lights(tmp_path_factory: pytest.TempPathFactory) -> tuple[PipelineFolder, Path, Path]:
    """Return a pipeline of several labels, its data, and what a run left."""
    folder = tmp_path_factory.mktemp("lights")
    data = pictures(folder / "data", [(0, "[1]"), (255, "0;2"), (153, "[0, ?2]"), (128, "[]"), (51, "[1]")])
    opened = pipeline(folder / "pipeline", LIGHTS)
    mv.Pipeline.open(opened.folder).run(data, folder / "out")
    return opened, data, folder / "out"


@pytest.fixture(scope="module")
def age(tmp_path_factory: pytest.TempPathFactory) -> tuple[PipelineFolder, Path, Path]:
    """Return a pipeline of two values, its data, and what a run left."""
    folder = tmp_path_factory.mktemp("age")
    data = pictures(folder / "data", [(51, "25; 1"), (102, "45;0"), (153, "52.5; ?"), (255, "80;2")])
    opened = pipeline(folder / "pipeline", AGE)
    mv.Pipeline.open(opened.folder).run(data, folder / "out")
    return opened, data, folder / "out"


def record(out: Path, case: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "cases" / case / "record.json").read_text())
    return found


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def test_each_label_has_its_own_probability_and_threshold(lights: tuple[PipelineFolder, Path, Path]) -> None:
    _, _, out = lights
    bright = record(out, "g1")
    assert bright["probabilities"] == pytest.approx(
        {"lit": logistic(5), "dark": logistic(-5), "glaring": logistic(4)}, abs=1e-4
    )
    assert bright["thresholds"] == {"lit": 0.5, "dark": 0.5, "glaring": 0.9}
    assert bright["positives"] == ["lit", "glaring"]
    assert (bright["task"], bright["verdict"], bright["schema"]) == ("multilabel", "accept", "medvision.record/2")
    assert record(out, "g2")["positives"] == ["lit"]
    assert set(json.loads((out / "cases" / "g1" / "probabilities.json").read_text())) == {"lit", "dark", "glaring"}


def test_a_label_near_to_its_threshold_is_for_review(lights: tuple[PipelineFolder, Path, Path]) -> None:
    _, _, out = lights
    (finding,) = [f for f in record(out, "g3")["findings"] if f["code"] == "probability-near-threshold"]
    assert finding["message"] == "the probability of lit and of dark is less than 0.05 from the threshold"


def test_the_most_probable_positives_are_explained_each_by_itself(lights: tuple[PipelineFolder, Path, Path]) -> None:
    _, _, out = lights
    assert [entry["target"] for entry in record(out, "g1")["saliency"]] == ["lit", "glaring"]
    assert record(out, "g1")["files"]["hirescam-2"] == "hirescam-2.nii.gz"
    assert [entry["target"] for entry in record(out, "g0")["saliency"]] == ["dark"]
    # Each is the origin of its own output, and not of its distance to another one.
    assert record(out, "g1")["saliency"][1]["parameters"]["score"] == pytest.approx(4.0, abs=1e-3)
    for name in ("hirescam", "hirescam-2"):
        assert (out / "cases" / "g1" / f"{name}.nii.gz").is_file()
        assert (out / "cases" / "g1" / f"{name}.png").is_file()


def test_pages_and_table_show_what_was_found(lights: tuple[PipelineFolder, Path, Path]) -> None:
    opened, _, out = lights
    page = (out / "cases" / "g1" / "report.html").read_text(encoding="utf-8")
    assert "Found: <strong>lit, glaring</strong>" in page
    assert "need not sum to 100" in page
    assert "Most probable" not in page
    cohort = (out / "index.html").read_text(encoding="utf-8")
    assert '<th scope="col">Found</th>' in cohort
    rows = table(out / "results.csv")
    assert [row["predicted"] for row in rows] == ["dark", "lit; glaring", "lit", rows[3]["predicted"], "dark"]
    assert float(rows[1]["p_glaring"]) == pytest.approx(logistic(4), abs=1e-4)
    before = page
    assert mv.Pipeline.open(opened.folder).report(out).written == 5
    assert (out / "cases" / "g1" / "report.html").read_text(encoding="utf-8") == before


def test_labels_are_evaluated_each_where_it_is_known(lights: tuple[PipelineFolder, Path, Path]) -> None:
    opened, data, out = lights
    found = evaluate(out, opened, [data])
    assert found.cases == 5
    # lit: g1, g2 of five; found in these and perhaps g3. glaring: known of four, g1 alone.
    assert found.estimates["AUC lit"].value == 1.0
    assert found.estimates["AUC glaring"].value == 1.0
    assert found.estimates["AUC glaring"].n == 4
    assert found.estimates["AUC"].value == 1.0
    assert found.estimates["F1 glaring"].value == 1.0
    assert found.notes == (UNKNOWN,)
    rows = table(out / "evaluation.csv")
    assert (rows[2]["truth_lit"], rows[2]["truth_glaring"]) == ("1", "")


def test_a_label_that_no_case_has_is_left_out_of_the_mean_and_said(
    lights: tuple[PipelineFolder, Path, Path], tmp_path: Path
) -> None:
    opened, data, out = lights
    text = data.read_text().replace("0;2", "0")
    (data.parent / "fewer.csv").write_text(text)
    found = evaluate(out, opened, [data.parent / "fewer.csv"])
    assert "AUC glaring" not in found.estimates
    assert found.estimates["AUC"].value == 1.0
    told = "No AUC of glaring: it is present in none of 4 cases; the means are over the other labels"
    assert found.notes == (told, UNKNOWN)
    assert found.to_json()["notes"] == list(found.notes)


def test_a_regression_gives_values_in_their_units(age: tuple[PipelineFolder, Path, Path]) -> None:
    _, _, out = age
    values = record(out, "g0")["values"]  # 0.2: 4 * 0.2 - 2 = -1.2 sd; 0.2 sd
    assert values[0] == {"name": "age", "value": pytest.approx(26.0, abs=1e-2), "unit": "years", "known": [20.0, 75.0]}
    assert values[1] == {"name": "score", "value": pytest.approx(0.4, abs=1e-3), "unit": "1", "known": None}
    stated = json.loads((out / "cases" / "g0" / "values.json").read_text())
    assert stated["age"] == {"value": values[0]["value"], "unit": "years"}
    assert [entry["target"] for entry in record(out, "g0")["saliency"]] == ["age", "score"]
    assert record(out, "g0")["verdict"] == "accept"


def test_a_value_that_training_never_showed_is_for_review(age: tuple[PipelineFolder, Path, Path]) -> None:
    _, _, out = age
    assert record(out, "g3")["verdict"] == "review"
    (finding,) = record(out, "g3")["findings"]
    assert finding["code"] == "value-outside-training"
    assert finding["message"] == "age is 90 years; 20 to 75 years is known from the training"


def test_pages_and_table_show_values_with_their_units(age: tuple[PipelineFolder, Path, Path]) -> None:
    opened, _, out = age
    page = (out / "cases" / "g3" / "report.html").read_text(encoding="utf-8")
    assert "age: <strong>90" in page
    assert "outside the values of the training" in page
    rows = table(out / "results.csv")
    assert float(rows[0]["age (years)"]) == pytest.approx(26.0, abs=1e-2)
    assert float(rows[0]["score"]) == pytest.approx(0.4, abs=1e-3)
    assert "predicted" not in rows[0]
    assert mv.Pipeline.open(opened.folder).report(out).written == 4


def test_values_are_evaluated_in_their_units_where_they_are_known(age: tuple[PipelineFolder, Path, Path]) -> None:
    opened, data, out = age
    found = evaluate(out, opened, [data]).estimates
    # age: 26, 42, 58, 90 beside 25, 45, 52.5, 80
    assert found["MAE age (years)"].value == pytest.approx((1 + 3 + 5.5 + 10) / 4, abs=1e-2)
    assert found["bias age (years)"].value == pytest.approx((1 - 3 + 5.5 + 10) / 4, abs=1e-2)
    assert found["RMSE age (years)"].value == pytest.approx(np.sqrt((1 + 9 + 30.25 + 100) / 4), abs=1e-2)
    assert found["MAE age (years)"].low is None, "four patients are too few for an interval"
    # score: 0.4, 0.8, 2 beside 1, 0, 2; of g2 it is not known
    assert found["MAE score"].value == pytest.approx((0.6 + 0.8 + 0) / 3, abs=1e-3)
    assert found["MAE score"].n == 3
    assert "upper limit of agreement age (years)" in found
    rows = table(out / "evaluation.csv")
    assert (rows[2]["truth_age"], rows[2]["truth_score"]) == ("52.5", "")


def test_weights_belong_to_the_scale_that_they_were_trained_with(
    age: tuple[PipelineFolder, Path, Path], tmp_path: Path
) -> None:
    opened, _, _ = age
    for name in ("pipeline.toml", "weights.safetensors", "weights.json"):
        (tmp_path / name).write_bytes((opened.folder / name).read_bytes())
    text = (tmp_path / "pipeline.toml").read_text().replace("sd = 20.0", "sd = 10.0")
    (tmp_path / "pipeline.toml").write_text(text)
    with pytest.raises(PipelineError, match=r"regression\.1\.sd is 10\.0, but the weights were trained with 20\.0"):
        PipelineFolder.open(tmp_path)


def test_a_run_is_the_same_when_it_is_done_again(age: tuple[PipelineFolder, Path, Path], tmp_path: Path) -> None:
    opened, data, out = age
    mv.Pipeline.open(opened.folder).run(data, tmp_path / "again")
    first, again = ((folder / "cases" / "g1" / "record.json").read_text() for folder in (out, tmp_path / "again"))
    assert sha256_of_text([first]) == sha256_of_text([again])


def test_a_training_measures_the_scale_of_values_on_its_own_cases(tmp_path: Path) -> None:
    bare = AGE.replace("mean = 50.0\nsd = 20.0\nknown = [20.0, 75.0]\n", "").replace("mean = 0.0\nsd = 2.0\n", "")
    few = '[train]\nepochs = 1\nsteps_per_epoch = 1\noptimiser = "adamw"\nprecision = "fp32"\n'
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings" / "pipeline.toml").write_text(bare + few, encoding="utf-8")
    data = pictures(tmp_path / "data", [(30 * n, f"{20 + 5 * n};{'?' if n == 3 else n}") for n in range(8)])
    trained = mv.train(tmp_path / "settings", data, tmp_path / "trained")
    ages = [20.0 + 5 * int(case.removeprefix("g")) for case in trained.train]
    scale = PipelineFolder.open(tmp_path / "trained").settings.regression[0]
    assert scale.mean == pytest.approx(np.mean(ages))
    assert scale.sd == pytest.approx(np.std(ages, ddof=1))
    assert scale.known == (min(ages), max(ages))
    assert trained.results[0].startswith("MAE age (years) ")


LEARNING = '[train]\nepochs = 1\nsteps_per_epoch = 1\noptimiser = "adamw"\nprecision = "fp32"\n'


def test_a_training_takes_no_scale_of_an_earlier_one(age: tuple[PipelineFolder, Path, Path], tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "pipeline.toml").write_text(AGE + LEARNING, encoding="utf-8")
    data = pictures(tmp_path / "data", [(30 * n, f"{0.1 * n:.1f};{n}") for n in range(8)])
    trained = [mv.train(tmp_path / "copy", data, tmp_path / "trained") for _ in range(2)]
    ages = [round(0.1 * int(case.removeprefix("g")), 1) for case in trained[0].train]
    scale = PipelineFolder.open(tmp_path / "trained").settings.regression[0]
    assert scale.mean == pytest.approx(np.mean(ages))
    assert scale.known == (min(ages), max(ages))
    assert [each.done_before for each in trained] == [False, True], "the same command finds its own training"
    assert f"known from {min(ages):g} to {max(ages):g}" in (tmp_path / "trained" / "card.md").read_text()


@pytest.mark.parametrize("kind", ["train", "folds", "curve", "plan"])
def test_a_value_that_no_training_case_states_is_refused_before_any_training(tmp_path: Path, kind: str) -> None:
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings" / "pipeline.toml").write_text(AGE + LEARNING, encoding="utf-8")
    data = pictures(tmp_path / "data", [(20 * n, f"{20 + 5 * n};{n if n < 2 else '?'}") for n in range(12)])
    data.write_text(data.read_text().replace(",p1\n", ",p0\n"), encoding="utf-8")  # one patient has both
    opened, out = mv.Pipeline.open(tmp_path / "settings"), tmp_path / "out"
    design, seed = CurveDesign((1, None), 1, (Way("scratch"),)), seed_without(opened.folder, data)
    parts = sides_of(opened.folder, [data], seed=seed)[1]
    lacking = replace(parts, train=tuple(case for case in parts.train if values_missing([case])))
    work = Workbench(opened.folder, lacking, Store(out / "prepared"), Alone())
    trainings: dict[str, Callable[[], object]] = {
        "train": lambda: fit(work, lacking, opened.folder, out, Terms()),
        "folds": lambda: opened.crossvalidate(data, out, folds=3),
        "curve": lambda: learning_curve(opened.folder, [data], out, design, seed=seed),
        "plan": lambda: plan_of_curve(opened.folder, [data], out, design, seed=seed),
    }
    with pytest.raises(InputError, match="'score' is known of none of") as caught:
        trainings[kind]()
    assert caught.value.code == "too-few-cases"
    assert not list(tmp_path.rglob("checkpoints"))
    assert not (out / "prepared").exists(), "before any case is prepared"


def seed_without(pipeline: PipelineFolder, data: Path) -> int:
    """Return a seed whose split trains on the patient with both values, and whose smallest subset leaves it out."""
    for seed in range(100):
        try:
            train = sides_of(pipeline, [data], seed=seed)[1].train
        except InputError:  # the patient is held out
            continue
        if values_missing(subset(train, 1, seed=seed, repeat=0, task="regression")):
            return seed
    raise LookupError("no such seed")


def values_missing(cases: Sequence[Case]) -> bool:
    return all(isinstance(case.label, Numbers) and case.label.given[1] is None for case in cases)
