"""The page of a case: what stands where, and what is escaped."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pages import FACTS, MANIFEST, Page, page_of, ras_grid, record_on, spot_case, spot_map

from medvision.errors import Finding, InputError
from medvision.geometry import Geometry
from medvision.measure import measure
from medvision.report import render_case
from medvision.report.wording import brief, fixed, flattened, percent, significant, with_spread
from medvision.results import Measurement, Record, Saliency
from medvision.volume import Labels, Volume

_EVIL = "<script>alert('x')</script>\"'><img src=x onerror=alert(1)>"


def test_markup_in_any_text_is_shown_and_never_run() -> None:
    geometry = ras_grid((1, 1, 1), (9, 9, 9))
    record, volume, labels = spot_case(geometry, (4, 4, 4), {1: _EVIL})
    record = replace(
        record,
        case=_EVIL,
        modality=_EVIL,
        findings=(Finding("spacing-outside", "warning", _EVIL, cure=_EVIL),),
        manifest=replace(MANIFEST, command=_EVIL, pipeline=_EVIL, versions={_EVIL: _EVIL}),
        confidence={_EVIL: 0.5},
        files={_EVIL: _EVIL},
        checks={_EVIL: {"a": _EVIL}},
    )
    saliency = spot_map(geometry, (4, 4, 4), target=_EVIL, method=_EVIL, unit=_EVIL, parameters={_EVIL: _EVIL})
    evil = dict.fromkeys(("name", "version", "description", "intended_use", "licence", "notice"), _EVIL)
    page = page_of(record, volume, labels, saliency, **evil, limits=(_EVIL,), results=(_EVIL,))
    assert [attrs for tag, attrs in page.tags if tag == "script"] == [{"type": "application/json", "id": "record"}]
    assert not [attrs for _, attrs in page.tags if any(name.startswith("on") for name in attrs)]
    assert [attrs["alt"] for tag, attrs in page.tags if tag == "img"] == [""]
    assert page.text.count(_EVIL) > 15
    assert json.loads(page.words["record"]) == json.loads(json.dumps(record.to_json()))


def test_nothing_is_loaded_from_outside_and_every_picture_has_words() -> None:
    geometry = ras_grid((1, 1, 1), (9, 9, 9))
    record, volume, labels = spot_case(geometry, (4, 4, 4))
    content = render_case(record, volume, labels=labels, saliency=[spot_map(geometry, (4, 4, 4))], pipeline=FACTS)
    page = Page(content)
    for tag, attributes in page.tags:
        for name in ("src", "href"):
            assert (attributes.get(name) or "data:").startswith(("data:", "#")), (tag, attributes)
        if tag == "svg":
            assert attributes.get("aria-label") or attributes.get("aria-hidden") == "true"
        if tag == "img":
            assert "alt" in attributes
    assert "url(" not in content
    assert "@import" not in content
    assert not re.search(r"https?://", content)
    policy = next(attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv"))
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_the_record_in_the_page_is_the_record() -> None:
    geometry = ras_grid((1, 1, 1), (9, 9, 9))
    record, volume, labels = spot_case(geometry, (4, 4, 4))
    page = page_of(record, volume, labels)
    assert Record.from_json(json.loads(page.words["record"])).to_json() == record.to_json()


def test_findings_come_first_and_warnings_before_notes() -> None:
    geometry = ras_grid((1, 1, 1), (9, 9, 9))
    record, volume, labels = spot_case(geometry, (4, 4, 4))
    findings = (Finding("modality-unknown", "note", "First told."), Finding("spacing-outside", "warning", "Then told."))
    text = page_of(replace(record, findings=findings), volume, labels).text
    order = ["Needs review", "Research use only", "not a patient", "Then told.", "Look at the result before use."]
    order += ["First told.", "Measurements", "Labels on the image", "How this was made", "Known limits"]
    assert [text.index(words) for words in order] == sorted(text.index(words) for words in order)
    calm = page_of(record, volume, labels, notice=None, limits=(), results=()).text
    for expected in ("Accepted", "Nothing was noticed", "Not measured.", "None stated"):
        assert expected in calm
    assert "not a patient" not in calm


def test_measurements_have_fixed_digits_and_a_dash_for_what_is_not_known() -> None:
    geometry = ras_grid((1, 1, 1), (9, 9, 9))
    _, volume, labels = spot_case(geometry, (4, 4, 4))
    measurements = (
        Measurement(1, "spot", 12345, 2, 1.236, 23.456, 49.91, 8.7712, (-1.25, 2.0, 0.04), touches_edge=True),
        Measurement(2, "none", 0, 0, 0.0, None, None, None, None, touches_edge=False),
    )
    record = record_on(geometry, measurements=measurements, confidence={"spot": 0.953})
    text = " ".join(page_of(record, replace(volume, unit="HU"), labels).text.split())
    assert "spot 1.24 23.5 12,345 2 49.91 ± 8.77 95.3 % \N{MINUS SIGN}1.2, 2.0, 0.0 touches it: may be cut off" in text
    assert "none 0.00 \N{EN DASH} 0 0 \N{EN DASH} \N{EN DASH} \N{EN DASH} \N{EN DASH}" in text


def test_a_classification_shows_a_bar_for_each_class_and_names_the_most_probable() -> None:
    geometry = Geometry.of_picture(4, 4)
    record = record_on(geometry, task="classification", probabilities={"normal": 0.3, "ill": 0.7})
    content = render_case(record, Volume(np.zeros((1, 4, 4, 1)), geometry), labels=None, saliency=(), pipeline=FACTS)
    text = " ".join(Page(content).text.split())
    assert "Most probable: ill 70.0 %" in text
    assert "normal 30.0 % ill 70.0 %" in text
    assert 'class="part" width="30.00"' in content
    assert "Measurements" not in text


def test_provenance_and_checks_are_shown() -> None:
    geometry = ras_grid((1, 1, 1), (9, 9, 9))
    record, volume, labels = spot_case(geometry, (4, 4, 4))
    record = replace(record, checks={"orientation": {"as given": 0.95}}, files={"mask": "mask.nii.gz"}, modality=None)
    text = " ".join(page_of(record, volume, labels).text.split())
    for expected in (MANIFEST.command, "aa11", "bb22", "cc33", "medvision 0.1.0", "cpu, torch-fp32", "mask.nii.gz"):
        assert expected in text
    assert "Modality not stated by the file" in text
    assert "orientation: as given 0.95" in text


def test_a_mask_or_map_on_another_grid_is_refused() -> None:
    geometry, other = ras_grid((1, 1, 1), (9, 9, 9)), ras_grid((1, 1, 2), (9, 9, 9))
    record, volume, labels = spot_case(geometry, (4, 4, 4))
    with pytest.raises(InputError, match=r"mask.*grid-differs"):
        page_of(record, volume, replace(labels, geometry=other))
    with pytest.raises(InputError, match=r"hirescam.*grid-differs"):
        page_of(record, volume, labels, spot_map(other, (4, 4, 4)))


def test_a_record_with_a_number_that_is_not_finite_is_refused() -> None:
    geometry = ras_grid((1, 1, 1), (9, 9, 9))
    record, volume, labels = spot_case(geometry, (4, 4, 4))
    with pytest.raises(InputError, match="not-finite"):
        page_of(replace(record, checks={"share": float("nan")}), volume, labels)


def test_the_same_input_gives_the_same_bytes_and_leaves_it_as_it_was() -> None:
    geometry = ras_grid((1, 1, 1), (9, 9, 9))
    record, volume, labels = spot_case(geometry, (4, 4, 4))
    before = volume.voxels.copy()
    pages = {
        render_case(record, volume, labels=labels, saliency=[spot_map(geometry, (4, 4, 4))], pipeline=FACTS)
        for _ in range(2)
    }
    assert len(pages) == 1
    assert np.array_equal(volume.voxels, before)


def test_a_real_hippocampus_makes_a_page_below_400_kilobytes(shared_data: Path) -> None:
    import nibabel as nib

    folder = shared_data / "msd_hippocampus"
    image = nib.load(folder / "imagesTr" / "hippocampus_001.nii.gz")
    truth = nib.load(folder / "labelsTr" / "hippocampus_001.nii.gz")
    geometry = Geometry(image.affine, image.shape)
    volume = Volume(np.asarray(image.dataobj)[None], geometry, "MR")
    labels = Labels(np.asarray(truth.dataobj).astype(np.uint8), geometry, {1: "Anterior", 2: "Posterior"})
    values = np.random.default_rng(0).random(geometry.shape, np.float32)
    maps = [Saliency(values, geometry, method, "Anterior") for method in ("hirescam", "entropy")]
    record = record_on(geometry, measurements=measure(labels, volume))
    content = render_case(record, volume, labels=labels, saliency=maps, pipeline=FACTS)
    assert len(content.encode()) < 400_000
    assert len(Page(content).pictures("Axial image")) == 7 + len(maps)


def test_a_large_volume_makes_a_page_below_1500_kilobytes_quickly() -> None:
    geometry = ras_grid((0.8, 0.8, 0.8), (256, 256, 256))
    i, j, k = np.ogrid[:256, :256, :256]
    voxels = 100 * np.sin(i / 9) * np.sin(j / 7) * np.sin(k / 8)
    voxels += np.random.default_rng(0).normal(0, 4, (1, 256, 256)).astype(np.float32)
    mask = ((i - 120) ** 2 + (j - 130) ** 2 + (k - 110) ** 2 < 70**2).astype(np.uint8)
    volume, labels = Volume(voxels[None], geometry), Labels(mask, geometry, {1: "ball"})
    started = time.perf_counter()
    content = render_case(record_on(geometry), volume, labels=labels, saliency=(), pipeline=FACTS)
    assert time.perf_counter() - started < 5  # about 0.3 s on an idle machine
    assert len(content.encode()) < 1_500_000


def test_numbers_have_a_true_minus_sign_and_unknown_ones_a_dash() -> None:
    minus, dash = "\N{MINUS SIGN}", "\N{EN DASH}"
    assert (fixed(-1.25, 1), fixed(None, 1), percent(None), significant(None)) == (f"{minus}1.2", dash, dash, dash)
    assert (significant(-0.00012), significant(-2e9), significant(-55.5)) == (
        f"{minus}0.00012",
        f"{minus}2e+09",
        f"{minus}55.50",
    )
    assert (brief(1e-9), brief(-7.0), with_spread(2e9, 1e8), with_spread(None, None)) == (
        "1e-09",
        f"{minus}7",
        "2e+09 ± 1e+08",
        dash,
    )
    assert list(flattened({"a": None, "b": -0.5, "c": [1, "x"], "d": False})) == [
        ("a", dash),
        ("b", f"{minus}0.5"),
        ("c", "1, x"),
        ("d", "no"),
    ]
