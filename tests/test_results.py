"""Results are right by construction, and a record comes back from its JSON as it went."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.errors import REASONS, Finding, InputError
from medvision.geometry import Geometry
from medvision.results import Classification, Manifest, Measurement, Record, Saliency

GRID = Geometry.from_spacing((1, 2, 3), (2, 3, 4))
MANIFEST = Manifest("medvision run x", "p 1.0.0", "a", "b", "c", {"torch": "2"}, "cpu", "fp32", 0)

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
MAYBE = st.none() | NUMBERS
MEASUREMENTS = st.builds(
    Measurement,
    label=st.integers(1, 9),
    name=st.text(),
    voxels=st.integers(0, 10**9),
    components=st.integers(0, 99),
    volume_ml=MAYBE,
    longest_diameter_mm=MAYBE,
    mean_intensity=MAYBE,
    sd_intensity=MAYBE,
    centroid_ras_mm=st.none() | st.tuples(NUMBERS, NUMBERS, NUMBERS),
    touches_edge=st.booleans(),
)
FINDINGS = st.builds(
    Finding,
    code=st.sampled_from(sorted(REASONS)),
    grade=st.sampled_from(["warning", "note"]),
    message=st.text(),
    cure=st.none() | st.text(min_size=1),
)
SHARES = st.none() | st.dictionaries(st.text(), st.floats(0, 1), max_size=3)


def record(**fields: Any) -> Record:
    start: dict[str, Any] = {"case": "a", "task": "segmentation", "geometry": GRID, "modality": None}
    return Record(**{**start, "findings": (), "manifest": MANIFEST, **fields})


def finding(grade: Any) -> Finding:
    return Finding("one-slice", grade, "x")


@settings(max_examples=50, deadline=None)
@given(
    findings=st.lists(FINDINGS, max_size=3).map(tuple),
    measurements=st.lists(MEASUREMENTS, max_size=3).map(tuple),
    probabilities=SHARES,
    confidence=SHARES,
    modality=st.none() | st.text(),
    physical=st.booleans(),
    offset=st.tuples(*[st.floats(-1e3, 1e3)] * 3),
)
def test_a_record_comes_back_from_its_json(physical: bool, offset: tuple[float, ...], **fields: Any) -> None:
    affine = np.diag([0.7, 1.0, 2.5, 1.0])
    affine[:3, 3] = offset
    given_ = record(geometry=Geometry(affine, (2, 3, 4), physical), files={"mask": "m.nii.gz"}, **fields)
    back = Record.from_json(json.loads(json.dumps(given_.to_json(), allow_nan=False)))
    assert back.to_json() == given_.to_json()
    assert back.findings == given_.findings
    assert back.measurements == given_.measurements
    assert np.array_equal(back.geometry.affine, affine)
    assert (back.geometry.shape, back.geometry.physical) == ((2, 3, 4), physical)
    assert back.verdict == given_.verdict


def test_a_record_holds_no_path_of_this_machine() -> None:
    told = Finding("one-slice", "note", "x", Path("/home/someone/a.nii"))
    assert "someone" not in json.dumps(record(findings=(told,)).to_json())


@pytest.mark.parametrize(
    ("grades", "verdict"),
    [
        ([], "accept"),
        (["note"], "accept"),
        (["note", "warning"], "review"),
        (["warning"], "review"),
        (["error"], "review"),
    ],
)
def test_only_what_gave_no_more_than_notes_is_accepted(grades: list[str], verdict: str) -> None:
    given_ = record(findings=tuple(finding(grade) for grade in grades))
    assert given_.verdict == verdict
    assert given_.to_json()["verdict"] == verdict


@pytest.mark.parametrize("content", [{}, {"schema": "medvision.record/3"}, [], None, "text"])
def test_what_is_no_record_is_refused(content: Any) -> None:
    with pytest.raises(InputError, match="no record of the schema") as caught:
        Record.from_json(content, path=Path("record.json"))
    assert (caught.value.code, caught.value.path) == ("bad-header", Path("record.json"))


@pytest.mark.parametrize(
    "change",
    [
        {"geometry": None},
        {"geometry": {"shape": [1, 2], "affine_ras_mm": [], "spacing_mm": None}},
        {"geometry": {"shape": [2, 3, 4], "affine_ras_mm": np.zeros((4, 4)).tolist(), "spacing_mm": None}},
        {"manifest": {"command": "x"}},
        {"findings": [{"code": "no-such-code", "grade": "note", "message": "", "cure": ""}]},
        {"measurements": [{"label": 1}]},
    ],
)
def test_a_record_that_is_damaged_is_refused_with_its_file(change: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="damaged") as caught:
        Record.from_json(record().to_json() | change, path=Path("record.json"))
    assert caught.value.path == Path("record.json")


@pytest.mark.parametrize("name", ["case", "manifest", "files", "checks", "geometry"])
def test_a_record_that_lacks_a_part_is_refused(name: str) -> None:
    content = record().to_json()
    del content[name]
    with pytest.raises(InputError, match="damaged"):
        Record.from_json(content)


def test_a_map_lies_on_its_grid_and_cannot_be_changed() -> None:
    values = np.zeros(GRID.shape)
    values[0, 0, 0] = 2.5
    found = Saliency(values, GRID, "entropy", "x", "bit", {"seed": 1})
    assert found.values.dtype == np.float32
    with pytest.raises(ValueError, match="read-only"):
        found.values[0, 0, 0] = 1
    assert found.to_json() == {
        "method": "entropy", "target": "x", "unit": "bit", "maximum": 2.5, "empty": False, "parameters": {"seed": 1},
    }  # fmt: skip


@pytest.mark.parametrize("level", [0.0, 0.5])
def test_a_map_that_is_the_same_everywhere_is_empty(level: float) -> None:
    assert Saliency(np.full(GRID.shape, level, np.float32), GRID, "m", "x").is_empty


def test_a_map_of_another_shape_is_refused() -> None:
    with pytest.raises(InputError, match="does not fit the grid"):
        Saliency(np.zeros((2, 3, 5), np.float32), GRID, "m", "x")


@pytest.mark.parametrize("value", [-0.1, np.nan, np.inf])
def test_a_map_with_values_below_0_or_not_finite_is_refused(value: float) -> None:
    values = np.zeros(GRID.shape, np.float32)
    values[1, 1, 1] = value
    with pytest.raises(InputError) as caught:
        Saliency(values, GRID, "m", "x")
    assert caught.value.code == "not-finite"


def test_the_most_probable_class_is_predicted() -> None:
    assert Classification({"a": 0.2, "b": 0.5, "c": 0.3}).predicted == "b"
    assert Classification({"a": 1.0}).predicted == "a"
    assert Classification({"a": 0.5, "b": 0.5}).predicted == "a", "the first of equals"


@pytest.mark.parametrize(
    "values",
    [{}, {"a": 0.5, "b": 0.4}, {"a": 1.1, "b": -0.1}, {"a": float("nan"), "b": 1.0}, {"a": 0.0, "b": float("nan")}],
)
def test_probabilities_that_are_none_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(InputError, match="sum to 1"):
        Classification(values)


def test_probabilities_may_be_rounded() -> None:
    Classification({"a": 0.333, "b": 0.333, "c": 0.3335})
