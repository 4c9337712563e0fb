"""The page of a batch: what comes first, where dots and links lead, and that it stays usable when it is large."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from pages import Elements

from medvision.errors import Finding
from medvision.geometry import Geometry
from medvision.report import CohortRow, PipelineFacts, render_cohort
from medvision.report.columns import Column
from medvision.report.pages import link
from medvision.report.plots import HEIGHT, WIDTH, strip_of
from medvision.results import Manifest, Measurement, Record

_MANIFEST = Manifest("medvision run a", "demo 1.0", "aa", "bb", "cc", {}, "cpu", "fp32", 5)
_SPOT = Measurement(1, "spot", 1200, 2, 1.2, 4.5, 50.0, 1.0, (0.0, 0.0, 0.0), touches_edge=False)
_FACTS = PipelineFacts("demo", "1.0", "A pipeline for tests.", "Tests.", "Nothing.", "Apache-2.0", notice="A phantom.")
_WARNING = Finding("spacing-outside", "warning", "Spacing 3 mm.")
_EVIL = "<script>alert('x')</script>\"'>"


@dataclass
class _Plot:
    links: list[str] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)


class _Page(Elements):
    def __init__(self, content: str) -> None:
        self.plots: list[_Plot] = []
        self.rows: list[list[str]] = []
        super().__init__(content)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        super().handle_startendtag(tag, attrs)
        attributes = dict(attrs)
        if tag == "svg" and attributes.get("role") == "group":
            self.plots.append(_Plot())
        if tag == "a" and "svg" in self.open:
            self.plots[-1].links.append(attributes["href"] or "")
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        super().handle_data(data)
        if "svg" in self.open and "title" in self.open:
            self.plots[-1].titles.append(data)
        if "svg" in self.open and "text" in self.open:
            self.plots[-1].words.append(data)
        if "tr" in self.open and {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


def _row(case: str, volume_ml: float = 1.2, *findings: Finding, **changes: Any) -> CohortRow:
    geometry = Geometry.from_spacing((1, 1, 1), (4, 4, 4))
    measured = (replace(_SPOT, volume_ml=volume_ml),)
    record = replace(Record(case, "segmentation", geometry, "MR", findings, _MANIFEST, measured), **changes)
    return CohortRow(case, "done", f"cases/{case}.html", record)


def _render(rows: list[CohortRow], **changes: Any) -> str:
    settings: dict[str, Any] = {"title": "A batch", "pipeline": _FACTS, "command": "medvision run scans/"}
    return render_cohort(rows, **(settings | changes))


_STOPPED = [
    CohortRow("r-1", "refused", reason=Finding("truncated", "error", "600 of 1,200 bytes are there")),
    CohortRow("f-1", "failed", "cases/f-1.html", reason=Finding("internal", "error", "broke", cure="Tell us.")),
]


def test_counts_reviews_and_cases_without_a_result_come_before_the_table() -> None:
    page = _Page(_render([_row("b"), _row("a"), _row("z", 9.0, _WARNING, _WARNING), *_STOPPED]))
    text = " ".join(page.text.split())
    assert "2 accepted 1 need review 1 refused 1 failed" in text
    order = ["Without a result", "f-1", "r-1", "To be reviewed by a person spacing-outside 1 case: ", "Distributions"]
    order += ["All results", "How this was made", "medvision run scans/", "The pipeline"]
    assert [text.index(words) for words in order] == sorted(text.index(words) for words in order)
    cells = [" ".join(" | ".join(row).split()) for row in page.rows]
    assert cells[1] == "f-1 | \N{MULTIPLICATION X} Failed | broke internal | Tell us."
    assert cells[2].endswith("600 of 1,200 bytes are there truncated | " + (_STOPPED[0].reason or _WARNING).cure)  # type: ignore[operator]
    assert [row[0] for row in page.rows[4:]] == ["z", "a", "b"]
    assert page.rows[4][2:] == ["9.00", "4.5", "50.00"]


def test_cases_for_review_are_named_under_each_of_their_reasons_and_long_lists_are_folded() -> None:
    doubt = Finding("nothing-found", "warning", "No label.")
    rows = [_row("both", 1.0, _WARNING, doubt), *(_row(f"c{at:02}", 1.0, _WARNING) for at in range(40))]
    page = _Page(_render(rows))
    assert "spacing-outside 41 cases:" in " ".join(page.text.split())
    assert "nothing-found 1 case: The network found none of its labels, or not all of them." in " ".join(
        page.text.split()
    )
    assert ["open" in attrs for tag, attrs in page.tags if tag == "details"] == [False, True]
    assert [attrs.get("href") for tag, attrs in page.tags].count("cases/both.html") == 2 + len(page.plots) + 1


def test_the_order_of_the_rows_changes_no_byte() -> None:
    rows = [_row("b", 2.0), _row("a", 2.0), _row("z", 1.0, _WARNING), *_STOPPED]
    assert _render(rows) == _render(rows[::-1]) == _render(rows)


def test_every_dot_leads_to_its_case_and_says_its_value() -> None:
    page = _Page(_render([_row("b", 2.5), _row("a", 1.25), _row("z", 9.0, _WARNING)]))
    volume, diameter, intensity = page.plots
    assert volume.links == ["cases/a.html", "cases/b.html", "cases/z.html"]
    assert volume.titles == ["a: 1.25 ml", "b: 2.50 ml", "z: 9.00 ml, needs review"]
    assert volume.words == ["0", "2", "4", "6", "8", "10"]
    assert len(diameter.links) == len(intensity.links) == 3
    assert {attrs["href"] for tag, attrs in page.tags if tag == "a"} == {
        "#content", "cases/a.html", "cases/b.html", "cases/z.html"
    }  # fmt: skip


def test_a_case_without_a_page_has_a_dot_and_a_name_but_no_link() -> None:
    page = _Page(_render([replace(_row("a"), page=None)]))
    assert page.plots[0].links == []
    assert page.plots[0].titles == ["a: 1.20 ml"]
    assert {attrs["href"] for tag, attrs in page.tags if tag == "a"} == {"#content"}


def test_links_are_relative_and_cannot_carry_a_scheme() -> None:
    assert link("cases/a b#1?.html") == "cases/a%20b%231%3F.html"
    assert link("//evil.example/x") == "evil.example/x"
    page = _Page(_render([replace(_row("a"), page="javascript:alert(1)")]))
    assert {attrs["href"] for tag, attrs in page.tags if tag == "a"} == {"#content", "javascript%3Aalert%281%29"}


def test_nothing_is_loaded_from_outside_and_every_picture_has_words() -> None:
    content = _render([_row("a"), _row("z", 9.0, _WARNING), *_STOPPED])
    page = _Page(content)
    assert not [attrs for tag, attrs in page.tags if tag in ("script", "link", "img", "iframe") or "src" in attrs]
    assert all(
        attrs.get("aria-label") or attrs.get("aria-hidden") == "true" for tag, attrs in page.tags if tag == "svg"
    )
    assert "http:" not in content
    assert "https:" not in content
    assert "url(" not in content
    policy = next(attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv"))
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_markup_in_any_text_is_shown_and_never_run() -> None:
    bad = Finding("truncated", "error", _EVIL, cure=_EVIL, path=Path(f"folder/{_EVIL.replace('/', '')}"))
    measured = (replace(_SPOT, name=_EVIL),)
    rows = [_row(_EVIL, 1.0, _WARNING, measurements=measured), CohortRow(_EVIL, "refused", _EVIL, reason=bad)]
    page = _Page(_render(rows, title=_EVIL, command=_EVIL, left_out=[bad], summary={_EVIL: _EVIL}))
    assert not [attrs for tag, attrs in page.tags if tag == "script"]
    assert page.text.count(_EVIL) > 12


def test_what_was_left_out_is_named_without_its_folder() -> None:
    left_out = [
        Finding("not-an-image", "error", "an HTML page", path=Path("ward7/scan.nii.gz")),
        Finding("not-analysed-here", "note", "a report"),
    ]
    text = _Page(_render([_row("a")], left_out=left_out)).text
    assert "scan.nii.gz: an HTML page" in text
    assert "a report" in text
    assert "ward7" not in text


def test_a_batch_in_which_all_went_well_says_so() -> None:
    text = _Page(_render([_row("a")], summary={"Workers": 2}, pipeline=replace(_FACTS, notice=None))).text
    assert "Every case has a result, and nothing was left out." in text
    assert "Workers" in text
    assert "A phantom." not in text
    assert "To be reviewed" not in text


def test_a_batch_without_any_result_has_no_table_and_no_plot() -> None:
    page = _Page(_render(_STOPPED))
    assert page.plots == []
    assert "All results" not in page.text
    assert "A phantom." in page.text


def test_classes_have_plots_and_the_most_probable_is_in_the_table() -> None:
    rows = [
        _row(name, task="classification", measurements=(), probabilities={"normal": 1 - p, "ill": p})
        for name, p in (("a", 0.125), ("b", 0.9))
    ]
    page = _Page(_render(rows))
    assert page.plots[1].titles == ["a: 12.5 %", "b: 90.0 %"]
    assert all(word.endswith(" %") for word in page.plots[1].words)
    assert [row[2:] for row in page.rows[1:]] == [["normal", "87.5 %", "12.5 %"], ["ill", "10.0 %", "90.0 %"]]


def test_many_labels_are_cut_down_to_twelve_volumes_and_said_to_be() -> None:
    measured = tuple(replace(_SPOT, label=at, name=f"organ {at}") for at in range(1, 41))
    page = _Page(_render([_row("a", measurements=measured)]))
    assert len(page.plots) == 12
    assert "12 of 200 figures are shown" in page.text
    assert "organ 12: volume" in page.text
    assert "longest diameter" not in page.text


def test_masks_of_pictures_are_compared_by_their_pixels() -> None:
    measured = (replace(_SPOT, volume_ml=None, longest_diameter_mm=None),)
    page = _Page(_render([_row("a", measurements=measured)]))
    assert [plot.titles for plot in page.plots] == [["a: 50.00"], ["a: 1,200"]]


def test_cases_with_a_figure_that_is_not_known_have_no_dot() -> None:
    unknown = _row("b", measurements=(replace(_SPOT, volume_ml=None),))
    page = _Page(_render([_row("a"), unknown]))
    assert page.plots[0].titles == ["a: 1.20 ml"]
    assert strip_of(Column("spot", "volume_ml", 1), [unknown]) is None


@pytest.mark.parametrize("values", [[1.0], [0.0, 0.0], [-3.0, 5.0], [1e-7, 2e-7], [1.0] * 500, [5.0, 1e9]])
def test_all_dots_lie_inside_the_plot_and_none_on_another(values: list[float]) -> None:
    rows = [_row(f"c{at:03}", value) for at, value in enumerate(values)]
    strip = strip_of(Column("spot", "volume_ml", 1), rows)
    assert strip is not None
    assert len(strip.dots) == len({(round(dot.x, 3), round(dot.y, 3)) for dot in strip.dots}) == len(values)
    assert all(4 <= dot.x <= WIDTH - 4 and 4 <= dot.y <= HEIGHT - 24 for dot in strip.dots)
    assert all(0 <= x <= WIDTH for x, _ in strip.ticks)
    assert [dot.x for dot in strip.dots] == sorted(dot.x for dot in strip.dots)


def test_a_dot_lies_on_the_scale_at_its_value() -> None:
    strip = strip_of(Column("spot", "volume_ml", 1), [_row("a", 0.0), _row("b", 4.0), _row("c", 10.0)])
    assert strip is not None
    at = {words: x for x, words in strip.ticks}
    assert [dot.x for dot in strip.dots] == pytest.approx([at["0"], at["0"] + 0.4 * (at["10"] - at["0"]), at["10"]])
    assert strip.quartiles[1] == pytest.approx(strip.dots[1].x)


def test_a_thousand_cases_make_a_page_quickly_that_is_not_too_large() -> None:
    rows = [_row(f"case-{at:04}", 1 + at % 97 / 50, *[_WARNING] * (at % 50 == 0)) for at in range(1000)]
    started = time.perf_counter()
    content = _render(rows)
    assert time.perf_counter() - started < 5  # about 0.1 s on an idle machine
    assert len(content) < 1_500_000
    page = _Page(content)
    assert len(page.rows) == 1001
    assert [len(plot.links) for plot in page.plots] == [1000, 1000, 1000]
