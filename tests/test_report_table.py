"""The table of a batch: its columns, its order, and cells that a spreadsheet must not run."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from medvision.errors import Finding, UsageError
from medvision.geometry import Geometry
from medvision.report import CohortRow, results_csv
from medvision.results import Manifest, Measurement, Record

_MANIFEST = Manifest("medvision run a", "demo 1.0", "aa", "bb", "cc", {}, "cpu", "fp32", 5)
_SPOT = Measurement(1, "spot", 12, 2, 0.1 + 0.2, 4.5, -5.5, 1.0, (0.0, 0.0, 0.0), touches_edge=False)
_REFUSED = Finding("truncated", "error", "600 of 1,200 bytes are there")


def _record(**changes: object) -> Record:
    geometry = Geometry.from_spacing((1, 1, 1), (4, 4, 4))
    return replace(Record("a", "segmentation", geometry, "MR", (), _MANIFEST, (_SPOT,)), **changes)  # type: ignore[arg-type]


def _read(content: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content)))


def test_a_segmentation_has_five_columns_for_each_label_in_the_order_of_the_labels() -> None:
    second = replace(_SPOT, label=2, name="other", voxels=3)
    table = _read(results_csv([CohortRow("a", "done", record=_record(measurements=(_SPOT, second)))]))
    assert table[0] == [
        "id", "state", "verdict", "reason", "message",
        "spot_volume_ml", "spot_longest_diameter_mm", "spot_components", "spot_mean_intensity", "spot_voxels",
        "other_volume_ml", "other_longest_diameter_mm", "other_components", "other_mean_intensity", "other_voxels",
    ]  # fmt: skip
    assert table[1] == [
        "a",
        "done",
        "accept",
        "",
        "",
        *["0.3", "4.5", "2", "-5.5", "12"],
        *["0.3", "4.5", "2", "-5.5", "3"],
    ]


def test_a_classification_has_a_column_for_each_class_and_the_predicted_one() -> None:
    record = _record(task="classification", measurements=(), probabilities={"normal": 0.25, "ill": 0.75})
    rows = [CohortRow("a", "done", record=record), CohortRow("b", "refused", reason=_REFUSED)]
    assert _read(results_csv(rows)) == [
        ["id", "state", "verdict", "reason", "message", "p_normal", "p_ill", "predicted"],
        ["a", "done", "accept", "", "", "0.25", "0.75", "ill"],
        ["b", "refused", "", "truncated", "600 of 1,200 bytes are there", "", "", ""],
    ]


def test_rows_keep_their_order_and_cases_without_a_result_or_for_review_keep_their_reasons() -> None:
    warned = _record(
        findings=(
            Finding("spacing-outside", "warning", "2 mm"),
            Finding("suv", "note", "by a factor of 2"),
            Finding("nothing-found", "warning", "of spot"),
            Finding("nothing-found", "warning", "of other"),
        )
    )
    rows = [
        CohortRow("c", "failed", reason=Finding("internal", "error", "broke")),
        CohortRow("b", "refused", reason=_REFUSED),
        CohortRow("a", "done", record=warned),
    ]
    assert [line[:5] for line in _read(results_csv(rows))[1:]] == [
        ["c", "failed", "", "internal", "broke"],
        ["b", "refused", "", "truncated", "600 of 1,200 bytes are there"],
        ["a", "done", "review", "spacing-outside; nothing-found", "2 mm; of spot; of other"],
    ]


def test_a_figure_that_is_not_known_is_empty_and_a_label_of_another_case_too() -> None:
    unknown = replace(_SPOT, volume_ml=None, longest_diameter_mm=None, mean_intensity=None, voxels=0, components=0)
    other = replace(_SPOT, label=2, name="other")
    rows = [
        CohortRow("a", "done", record=_record(measurements=(unknown,))),
        CohortRow("b", "done", record=_record(measurements=(other,))),
    ]
    first, second = _read(results_csv(rows))[1:]
    assert first[5:] == ["", "", "0", "", "0", "", "", "", "", ""]
    assert second[5:] == ["", "", "", "", "", "0.3", "4.5", "2", "-5.5", "12"]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\x00", " =", "\uff1d", "\uff0b"])
def test_text_that_a_spreadsheet_would_run_gets_an_apostrophe_and_numbers_do_not(start: str) -> None:
    text = f'{start}HYPERLINK("x")'
    measured = _record(measurements=(replace(_SPOT, name=text),))
    classified = _record(task="classification", measurements=(), probabilities={text: 1.0})
    rows = [CohortRow(text, "done", record=measured), CohortRow("b", "done", record=classified)]
    header, first, second = _read(results_csv(rows))
    for cell in [*header, first[0], second[-1]]:
        assert not cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n", "\x00", "\uff1d", "\uff0b"))
    assert first[0] == f"'{text}"
    assert second[-1] == f"'{text}"
    assert first[8] == "-5.5"


def test_commas_quotes_and_breaks_in_text_stay_in_their_cell() -> None:
    text = 'a, "b"\nc'
    assert _read(results_csv([CohortRow(text, "refused", reason=_REFUSED)]))[1][0] == text


def test_an_empty_batch_has_a_header_and_nothing_else() -> None:
    assert results_csv([]) == "id,state,verdict,reason,message\n"


def test_a_row_without_its_record_or_reason_is_refused() -> None:
    with pytest.raises(UsageError, match="needs a record"):
        CohortRow("a", "done")
    with pytest.raises(UsageError, match="needs a reason"):
        CohortRow("a", "failed")
