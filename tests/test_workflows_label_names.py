"""Labels that a data set calls otherwise are told, and plainly others are not learnt under the pipeline's names."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from conftest import SPHERES_TOML, write_sphere_data

from medvision.errors import InputError
from medvision.pipeline import PipelineFolder
from medvision.study import Case, Source
from medvision.workflows.crossvalidate import crossvalidate
from medvision.workflows.train import train
from medvision.workflows.training_data.label_names import name_findings, named_otherwise, require_same_names

KIDNEYS = {1: "Left kidney", 2: "Right kidney", 3: "Tumour"}


def cases(*named: Mapping[int, str] | None) -> list[Case]:
    source = Source("nifti", (Path("a.nii.gz"),))
    return [Case(f"c{number}", (source,), label=source, label_names=names) for number, names in enumerate(named)]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (None, {1: "liver"}),
        ({1: "LIVER"}, {1: "liver"}),
        ({1: "label 1", 2: "2"}, {1: "liver", 2: "spleen"}),
        ({1: "liver"}, {1: "label 1"}),
        ({4: "spleen"}, {1: "liver"}),
    ],
)
def test_the_same_names_and_those_that_say_nothing_are_passed_over(
    theirs: Mapping[int, str] | None, ours: Mapping[int, str]
) -> None:
    require_same_names(cases(theirs), ours)
    assert name_findings(cases(theirs), ours) == []


@pytest.mark.parametrize(
    ("theirs", "ours", "told"),
    [
        ({1: "tumor"}, {1: "tumour"}, "1 'tumor' ('tumour' here)"),
        ({1: "kidney_l", 2: "kidney_r"}, KIDNEYS, "1 'kidney_l' ('Left kidney' here), 2 'kidney_r' ('Right kidney' h"),
        ({1: "left ventricle", 2: "scar"}, {1: "LV", 2: "fibrosis"}, "1 'left ventricle' ('LV' here), 2 'scar' ('fib"),
        ({1: "liver", 2: "vessel"}, {1: "liver", 2: "Gefaess"}, "2 'vessel' ('Gefaess' here)"),
    ],
)
def test_names_that_may_mean_the_same_are_told(theirs: Mapping[int, str], ours: Mapping[int, str], told: str) -> None:
    require_same_names(cases(None, theirs), ours)
    (finding,) = name_findings(cases(None, theirs), ours)
    assert (finding.code, finding.grade) == ("label-names-differ", "warning")
    assert finding.message.startswith(f"labels were taken by number; the data set calls {told}")


@pytest.mark.parametrize(
    ("theirs", "ours", "told"),
    [
        ({1: "liver", 2: "spleen"}, {1: "kidney", 2: "cyst"}, "it calls 1 'liver' ('kidney' here), 2 'spleen' ('cyst'"),
        ({1: "spleen"}, {1: "liver"}, "no label of the pipeline by its name; it calls 1 'spleen' ('liver' here)"),
        ({1: "kidney_r", 2: "kidney_l"}, KIDNEYS, "calls label 1 'kidney_r', which is 'Left kidney' here"),
        ({1: "edema", 2: "tumor"}, {1: "tumour", 2: "oedema"}, "its name is like that of 2, 'oedema'"),
    ],
)
def test_names_that_are_plainly_others_are_refused(
    theirs: Mapping[int, str], ours: Mapping[int, str], told: str
) -> None:
    with pytest.raises(InputError, match="the data set") as refused:
        require_same_names(cases(None, theirs), ours)
    assert refused.value.code == "bad-labels"
    assert told in refused.value.finding.message


def test_each_name_of_several_data_sets_counts() -> None:
    both = cases({1: "tumor"}, {1: "Tumour"}, {1: "lesion"})
    assert named_otherwise(both, {1: "tumour"}) == [(1, "lesion"), (1, "tumor")]
    require_same_names(both, {1: "tumour"})


def test_a_training_tells_other_names_and_refuses_other_structures(tmp_path: Path) -> None:
    made = write_sphere_data(tmp_path / "made").parent
    content = {"channel_names": {"0": "MRI"}, "labels": {"background": 0}, "file_ending": ".nii.gz"}
    for folder, kind, end in (("imagesTr", "image", "_0000"), ("labelsTr", "label", "")):
        (tmp_path / "data" / folder).mkdir(parents=True)
        for number in range(8):
            target = tmp_path / "data" / folder / f"c{number}{end}.nii.gz"
            shutil.copy(made / f"{kind}{number}.nii.gz", target)
    settings = tmp_path / "settings"
    settings.mkdir()
    short = SPHERES_TOML.replace("epochs = 4", "epochs = 1").replace("steps_per_epoch = 40", "steps_per_epoch = 1")
    (settings / "pipeline.toml").write_text(short)
    opened, file = PipelineFolder.open(settings), tmp_path / "data" / "dataset.json"
    file.write_text(json.dumps(content | {"labels": {"background": 0, "liver": 1, "spleen": 2}}))
    for fit in (train, crossvalidate):
        with pytest.raises(InputError, match="no label of the pipeline by its name"):
            fit(opened, [file], tmp_path / "out")
    file.write_text(json.dumps(content | {"labels": {"background": 0, "dim sphere": 1, "bright": 2}}))
    found = train(opened, [file], tmp_path / "out").findings
    assert [each.message for each in found if each.code == "label-names-differ"] == [
        "labels were taken by number; the data set calls 1 'dim sphere' ('dim' here)"
    ]
