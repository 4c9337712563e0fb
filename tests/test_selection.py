"""Rules that choose one series a study, and never guess between two."""

from __future__ import annotations

import json
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from phantoms import positional, spheres, write_dicom_series, write_nifti
from pydantic import ValidationError
from tiny_pipeline import pipeline as tiny_pipeline

from medvision import io
from medvision.errors import Finding, PipelineError
from medvision.geometry import Geometry
from medvision.pipeline import PipelineFolder, builtin_names, read_settings
from medvision.selection import Selection, chosen
from medvision.study import Case, Collection, Reading, Series, Source
from medvision.workflows.pipeline import Pipeline
from medvision.workflows.report import report
from medvision.workflows.run import notes_on, plan, run
from medvision_cli import app

T1 = Series("MR image", "MR", "SAG T1 MPRAGE 1mm", 2, "sagittal", (256, 256, 176), study="a", uid="t1")
T2 = Series("MR image", "MR", "AX T2 TSE", 3, "axial", (320, 320, 30), study="a", uid="t2")
GRID = Geometry.from_spacing((2, 2, 2), (24, 14, 12))
PLANES = {"axial": "RAS", "coronal": "RSA", "sagittal": "ASR"}


def case(name: str, series: Series | None, image: str | None = None) -> Case:
    return Case(name, (Source("dicom", (Path("scans") / name,)),), series=series, image=image)


def collection(*series: Series) -> Collection:
    return Collection(tuple(case(f"s{number}", one) for number, one in enumerate(series, start=1)))


def ids(found: Collection) -> list[str]:
    return [case.id for case in found.cases]


def codes(findings: tuple[Finding, ...]) -> list[str]:
    return [finding.code for finding in findings]


# what a series must be


@pytest.mark.parametrize(
    ("rules", "is_met"),
    [
        ({}, True),
        ({"modality": "MR"}, True),
        ({"modality": "CT"}, False),
        ({"description": "t1"}, True),
        ({"description": "^t1"}, False),
        ({"description": r"t1.*\b1mm$"}, True),
        ({"description": "^(?!.*(mprage|bravo)).*t1"}, False),
        ({"orientation": "sagittal"}, True),
        ({"orientation": "axial"}, False),
        ({"slices": (176, 176)}, True),
        ({"slices": (177, 200)}, False),
        ({"slices": (1, 175)}, False),
        ({"volumes": (1, 1)}, True),
        ({"volumes": (2, 300)}, False),
    ],
)
def test_a_series_meets_the_rules_that_fit_what_its_header_states(rules: dict[str, Any], *, is_met: bool) -> None:
    assert Selection(**rules).unmet(T1) == (() if is_met else tuple(rules))


def test_what_a_series_does_not_state_meets_no_rule() -> None:
    rules = Selection("MR", "t1", "axial", (1, 500), (1, 1))
    assert rules.unmet(Series("unknown object")) == ("modality", "description", "orientation", "slices")
    assert Selection().unmet(Series("unknown object")) == ()


def test_a_description_is_seen_as_far_as_the_standard_lets_it_go() -> None:
    assert Selection(description="x$").unmet(replace(T1, description="x" * 64 + "y")) == ()
    assert Selection(description="y").unmet(replace(T1, description="x" * 64 + "y")) == ("description",)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("t1(", "no regular expression"),
        ("[[a]", "no regular expression"),
        ("a{99999999999}", "no regular expression"),
        (r"(\w+\s?)+$", "repeats a group"),
        ("(a|aa)*$", "repeats a group"),
        ("(a*){9}", "repeats a group"),
        ("(?x)(a+) +$", "the flag x"),
        ("(?i:(?x-i:(a+) +$))", "the flag x"),
        ("a*a*a*a*b", "too many"),
        ("a?" * 21 + "b", "too many"),
        ("(a|a)" * 19 + "(a|a|a)", "too many"),
    ],
)
def test_an_expression_that_is_none_or_could_take_without_end_is_refused(pattern: str, words: str) -> None:
    assert len(pattern) <= 100 or "many" in words
    with pytest.raises(ValueError, match=words if len(pattern) <= 100 else "at most 100"):
        Selection(description=pattern)


@pytest.mark.parametrize("pattern", [r"\(1\)*", "[)*+|?]t1", "[]|+]", r"(t1|t2)?.*\+?c", "x(?:post|gd)", "[^(]*t1.*"])
def test_escapes_and_sets_repeat_no_group(pattern: str) -> None:
    assert Selection(description=pattern).description == pattern


@pytest.mark.parametrize("pattern", ["a*a*a*b", "(a|a)(a|a)a*a*a*b", "(a|a)" * 18 + "b", "(a*)?(a*)?a?b"])
def test_the_slowest_expressions_that_are_taken_end_soon(pattern: str) -> None:
    series = replace(T1, description="a" * 64)
    before = time.process_time()
    Selection(description=pattern).unmet(series)
    assert time.process_time() - before < 10


@pytest.mark.parametrize(
    "rules",
    [
        {"slices": (3, 2)},
        {"volumes": (2, 1)},
        {"slices": (0, 2)},
        {"modality": ""},
        {"description": ""},
        {"orientation": "diagonal"},
        {"description": "x" * 101},
    ],
)
def test_rules_that_nothing_can_meet_are_refused(rules: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Selection(**rules)


# one series a study


def test_the_one_series_that_meets_the_rules_is_chosen_and_the_others_are_told() -> None:
    found = chosen(collection(T1, T2), Selection(description="t1"))
    assert (ids(found), found.rejected, codes(found.skipped)) == (["s1"], (), ["not-selected"])
    (note,) = found.skipped
    assert (note.grade, note.path) == ("note", Path("scans/s2"))
    assert "for its description: s2 (MR, axial, 320x320x30)" in note.message


def test_an_ambiguous_choice_is_an_error_that_lists_the_candidates_without_their_descriptions() -> None:
    again = replace(T1, uid="t1b", size=(256, 256, 160), description="SAG T1 MPRAGE secret")
    found = chosen(collection(T1, T2, again), Selection(orientation="sagittal"))
    assert (ids(found), codes(found.rejected), codes(found.skipped)) == ([], ["series-ambiguous"], ["not-selected"])
    (problem,) = found.rejected
    assert problem.grade == "error"
    assert problem.path == Path("scans")
    assert "2 series of one study" in problem.message
    assert "s1 (MR, sagittal, 256x256x176); s3 (MR, sagittal, 256x256x160)" in problem.message
    assert "by description or slices" in str(problem.cure)
    assert "medvision check" in str(problem.cure)
    assert "secret" not in str([*found.rejected, *found.skipped])


def test_series_that_no_rule_can_tell_apart_are_to_be_named() -> None:
    found = chosen(collection(T1, replace(T1, uid="t1b")), Selection())
    assert "cannot tell them apart: name the files of one" in str(found.rejected[0].cure)


def test_a_study_without_a_fitting_series_is_an_error_that_lists_what_is_there() -> None:
    found = chosen(collection(T1, T2), Selection(modality="CT"))
    assert (ids(found), codes(found.rejected)) == ([], ["series-none"])
    assert "s1 (MR, sagittal, 256x256x176); s2 (MR, axial, 320x320x30)" in found.rejected[0].message
    assert codes(found.skipped) == ["not-selected"] * 2


def test_a_long_list_of_candidates_is_cut_and_counted() -> None:
    found = chosen(collection(*(replace(T1, uid=str(n)) for n in range(25))), Selection())
    assert "25 series" in found.rejected[0].message
    assert found.rejected[0].message.endswith("; 5 more")


def test_every_study_is_decided_by_itself() -> None:
    other = replace(T1, study="b", uid="other")
    found = chosen(collection(T1, other, T2, replace(T2, study="b", uid="x")), Selection(description="t1"))
    assert ids(found) == ["s1", "s2"]
    assert found.rejected == ()


def test_series_that_state_no_study_are_taken_for_one() -> None:
    found = chosen(collection(replace(T1, study=None), replace(T1, study=None, uid="x")), Selection(modality="MR"))
    assert (ids(found), codes(found.rejected)) == ([], ["series-ambiguous"])


def test_the_volumes_of_a_series_are_one_series_and_stay_together() -> None:
    bold = replace(T2, description="BOLD", volumes=3, uid="bold")
    volumes = [case(f"s2-v00{n}", bold, "s2") for n in (1, 2, 3)]
    everything = Collection((case("s1", T1), *volumes))
    assert ids(chosen(everything, Selection(description="bold"))) == ["s2-v001", "s2-v002", "s2-v003"]
    passed = chosen(everything, Selection(volumes=(1, 1)))
    assert (ids(passed), len(passed.skipped)) == (["s1"], 1)
    assert "s2-v001 to s2-v003 (MR, axial, 320x320x30, 3 volumes)" in passed.skipped[0].message
    assert "4 series" not in chosen(everything, Selection()).rejected[0].message


def test_cases_that_are_no_series_are_not_concerned() -> None:
    everything = Collection((case("named", None), case("s1", T2)), skipped=(Finding("not-read", "note", "a file"),))
    found = chosen(everything, Selection(modality="CT"))
    assert ids(found) == ["named"]
    assert codes(found.skipped) == ["not-read", "not-selected"]


def test_a_refused_series_stays_refused_where_it_meets_the_rules_and_is_told_where_not() -> None:
    gaps = Finding("slices-missing", "error", "slices are missing", Path("scans/t1"))
    tilted = Finding("slices-uneven", "error", "distances differ", Path("scans/t2"))
    damaged = Finding("truncated", "error", "a file", Path("scans/x.dcm"))
    refused = {gaps: T1, tilted: T2}
    everything = Collection((), (damaged, gaps, tilted), refused_series=refused)
    found = chosen(everything, Selection(orientation="sagittal"))
    assert found.rejected == (damaged, gaps)
    assert found.refused_series == {gaps: T1}
    assert codes(found.skipped) == ["not-selected"]
    assert "a refused one (MR, axial, 320x320x30, slices-uneven)" in found.skipped[0].message
    beside = replace(everything, cases=(case("s1", replace(T1, uid="x")),))
    undecided = chosen(beside, Selection(orientation="sagittal"))  # the refused one may be the one that is meant
    assert (ids(undecided), codes(undecided.rejected)) == ([], ["truncated", "slices-missing", "series-ambiguous"])
    assert "a refused one (MR, sagittal, 256x256x176, slices-missing)" in undecided.rejected[-1].message
    assert codes(chosen(everything, Selection(modality="CT")).rejected) == ["truncated", "series-none"]


def test_a_study_whose_refusals_name_no_file_has_no_path() -> None:
    refusal = Finding("bad-header", "error", "no file")
    found = chosen(Collection((), (refusal,), refused_series={refusal: T1}), Selection(modality="CT"))
    assert (codes(found.rejected), found.rejected[0].path) == (["series-none"], None)


def test_paths_named_in_both_ways_have_their_common_folder() -> None:
    one, other = case("a", T1), replace(case("b", T2), images=(Source("dicom", (Path("scans/b").absolute(),)),))
    assert chosen(Collection((one, other)), Selection()).rejected[0].path == Path("scans").absolute()


# from files


def study(folder: Path, **series: dict[str, Any]) -> Path:
    """Write the series of one study, each in a folder of its own: spheres, in the plane and with the tags given."""
    for number, (name, tags) in enumerate(series.items(), start=1):
        uid = f"{tags.get('StudyInstanceUID') or '1.2.826.0.1.1'}.{number}"
        own = {"plane": "axial", "SeriesInstanceUID": uid, "SeriesNumber": number, **tags}
        grid = GRID.reoriented(PLANES[own.pop("plane")])
        image, _ = spheres(grid, noise=5, seed=number)
        write_dicom_series(folder / name, np.round(image).astype(np.int16), grid, modality="MR", **own)
    return folder


def with_select(pipeline: Path, folder: Path, *rules: str) -> Path:
    """Return a copy of a trained pipeline with a [select] table."""
    shutil.copytree(pipeline, folder)
    text = (folder / "pipeline.toml").read_text("utf-8")
    (folder / "pipeline.toml").write_text("\n".join([text, "[select]", *rules, ""]), encoding="utf-8")
    return folder


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["medvision", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        app.main()
    return int(caught.value.code or 0)


def test_series_of_one_study_and_patient_share_their_hash_and_have_one_each(tmp_path: Path) -> None:
    study(
        tmp_path,
        a={},
        b={"plane": "coronal"},
        c={"StudyInstanceUID": "1.2.9"},
        d={"PatientID": "OTHER"},
        e={"StudyInstanceUID": None},
    )
    series = {case.id: case.series for case in io.scan([tmp_path]).cases}
    hashes = [one.study for one in series.values() if one]
    assert list(series) == ["a", "b", "c", "d", "e"]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 4
    assert None not in hashes  # without a Study UID, the series of a patient are one study
    assert len({one.uid for one in series.values() if one}) == 5


def test_planes_of_one_series_are_images_of_their_own_to_choose_from(tmp_path: Path) -> None:
    same = {"SeriesInstanceUID": "1.2.826.0.1.2"}
    study(tmp_path, a={**same}, b={"plane": "coronal", **same}, c={"plane": "sagittal", **same})
    found = plan([tmp_path], select=Selection(orientation="coronal"))
    assert [(case.series.orientation if case.series else None) for case in found.cases] == ["coronal"]
    assert (found.rejected, len(found.skipped)) == ((), 2)
    assert codes(plan([tmp_path], select=Selection(modality="MR")).rejected) == ["series-ambiguous"]


def test_time_points_of_a_series_are_chosen_together_and_noted_once(tmp_path: Path) -> None:
    for time_point in (1, 2, 3):
        voxels = positional(GRID) + np.int16(time_point)
        tags = {"TemporalPositionIdentifier": time_point, "SeriesDescription": "BOLD rest"}
        write_dicom_series(tmp_path / "scans" / f"t{time_point}", voxels, GRID, modality="MR", **tags)
    study(tmp_path / "scans", anat={"SeriesDescription": "T1"})
    found = plan([tmp_path / "scans"], select=Selection(description="bold"))
    assert [case.id.rpartition("-")[2] for case in found.cases] == ["v001", "v002", "v003"]
    (note,) = notes_on(found)
    assert (note.code, note.grade) == ("several-volumes", "note")
    assert "3 cases are volumes of images that hold several (1 of them)" in note.message
    assert notes_on(plan([tmp_path / "scans"], select=Selection(volumes=(1, 1)))) == ()
    write_nifti(tmp_path / "scans" / "f.nii", np.zeros((4, 4, 4, 2), np.int16))
    everything = plan([tmp_path / "scans"])
    assert len(everything.cases) == 6
    assert "5 cases are volumes of images that hold several (2 of them)" in notes_on(everything)[0].message


def test_the_shipped_pipelines_choose_nothing_and_keep_their_hashes() -> None:
    hashes = {name: PipelineFolder.open(name).settings_sha256 for name in builtin_names()}
    assert all(PipelineFolder.open(name).settings.select is None for name in hashes)
    assert hashes == {
        "ct-adrenal": "6000917cc5ae6ea53fc1c3ddd123b7e6a7175030e657f7ccf0a255fb2b35f2eb",
        "cxr-pneumonia": "5c9175b6ed877dadafa97c553a200e1a307abaa696e552d55b027484a4cbaa9a",
        "mr-hippocampus": "c9b5caa9cb9d4bc3de6c2975822d640be722e12b214730977e6ba585daed3306",
    }


def test_the_table_is_read_from_the_file_and_changes_the_hash(tmp_path: Path) -> None:
    text = '[select]\nmodality = "MR"\nslices = [100, 300]\n[network]'
    path = tiny_pipeline(tmp_path / "one", ("[network]", text))
    assert read_settings(path).select == Selection(modality="MR", slices=(100, 300))
    without = tiny_pipeline(tmp_path / "two")
    assert "select" not in read_settings(without).to_json()
    assert read_settings(path).to_json()["select"]["slices"] == [100, 300]
    assert PipelineFolder.open(path).settings_sha256 != PipelineFolder.open(without).settings_sha256


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('descripton = "t1"', "select.descripton: there is no such key (did you mean 'description'?)"),
        ("slices = [3, 2]", "select: slices is the least and the greatest, got [3, 2]"),
        ("slices = [0, 2]", "select.slices.1: Input should be greater than or equal to 1"),
        ('description = "(a+)+"', "select: description repeats a group"),
        ('orientation = "flat"', "select.orientation: Input should be 'axial', 'coronal', 'sagittal' or 'oblique'"),
    ],
)
def test_a_fault_in_the_table_is_named_with_its_place(tmp_path: Path, line: str, words: str) -> None:
    with pytest.raises(PipelineError) as caught:
        read_settings(tiny_pipeline(tmp_path, ("[network]", f"[select]\n{line}\n[network]")))
    assert words in str(caught.value)


# the command line and Python


def test_a_choice_that_is_ambiguous_or_empty_is_refused_and_the_other_studies_are_analysed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], sphere_pipeline: Path, tmp_path: Path
) -> None:
    t1, t2 = {"SeriesDescription": "T1 secret"}, {"SeriesDescription": "T2", "plane": "coronal"}
    study(tmp_path / "in" / "good", t1=t1, t2=t2)
    study(tmp_path / "in" / "twice", **{name: {**t1, "StudyInstanceUID": "1.2.3"} for name in ("a", "b")})
    study(tmp_path / "in" / "none", t2={**t2, "StudyInstanceUID": "1.2.4"})
    pipeline = with_select(sphere_pipeline, tmp_path / "pipeline", 'description = "^t1"')
    arguments = ("run", pipeline, tmp_path / "in", "--out", tmp_path / "out")

    assert command(monkeypatch, *arguments, "--dry-run") == 0
    shown = capsys.readouterr().out
    assert " analyse  good_t1  " in shown
    assert "1 cases, 2 refused, 2 passed over" in shown
    assert all(f"[{code}]" in shown for code in ("series-ambiguous", "series-none", "not-selected"))

    assert command(monkeypatch, *arguments) == 4
    shown = capsys.readouterr().out
    assert "twice_a (MR, axial, 24x14x12); twice_b (MR, axial, 24x14x12)" in shown
    assert "cannot tell them apart: name the files of one" in shown  # nothing that a rule can state differs
    assert "2 files or series were passed over" in shown
    assert "secret" not in shown
    assert sorted(path.name for path in (tmp_path / "out" / "cases").iterdir()) == ["good_t1"]

    arguments = ("run", pipeline, tmp_path / "in" / "twice", "--out", tmp_path / "other", "--json")
    assert command(monkeypatch, *arguments) == 5
    assert json.loads(capsys.readouterr().out)["entries"][0]["code"] == "series-ambiguous"
    assert not (tmp_path / "other" / "cases").exists()


def test_a_result_does_not_stay_when_its_choice_has_become_ambiguous(sphere_pipeline: Path, tmp_path: Path) -> None:
    pipeline = PipelineFolder.open(with_select(sphere_pipeline, tmp_path / "pipeline", 'description = "t1"'))
    study(tmp_path / "in", first={"SeriesDescription": "T1"})
    write_nifti(tmp_path / "in" / "n.nii", np.zeros((4, 4, 4), np.int16))
    assert run(pipeline, [tmp_path / "in"], tmp_path / "out").count("done") == 2
    study(tmp_path / "in", first={"SeriesDescription": "T1"}, second={"SeriesDescription": "T1"})
    result = run(pipeline, [tmp_path / "in"], tmp_path / "out")
    assert (result.count("done"), result.count("refused"), result.done_before) == (1, 1, 1)
    assert not list((tmp_path / "out" / "cases" / "first").glob("*"))
    assert "first," not in (tmp_path / "out" / "results.csv").read_text("utf-8")


def test_another_reading_analyses_anew_and_its_pages_can_be_written_again(
    sphere_pipeline: Path, tmp_path: Path
) -> None:
    image, _ = spheres(GRID, noise=5)
    write_nifti(tmp_path / "in" / "a.nii.gz", np.where(image > 210, np.nan, image).astype(np.float32), GRID)
    pipeline = Pipeline.open(sphere_pipeline)
    refused = pipeline.run(tmp_path / "in", tmp_path / "out")
    assert codes(tuple(entry.problem for entry in refused.entries if entry.problem)) == ["not-finite"]
    mended = pipeline.run(tmp_path / "in", tmp_path / "out", reading=Reading(nan_to=0.0))
    assert (mended.analysed, mended.count("done")) == (1, 1)
    assert pipeline.run(tmp_path / "in", tmp_path / "out", reading=Reading(nan_to=0.0)).analysed == 0
    assert report(tmp_path / "out", pipeline.folder).problems == ()
    other = pipeline.run(tmp_path / "in", tmp_path / "out", reading=Reading(nan_to=200.0))
    assert (other.analysed, other.done_before) == (1, 0)
    explained = pipeline.explain(tmp_path / "in", tmp_path / "maps", reading=Reading(nan_to=200.0))
    assert explained.count("done") == 1


def test_a_report_reads_the_volume_of_a_series_that_its_result_is_of(sphere_pipeline: Path, tmp_path: Path) -> None:
    volumes = [spheres(GRID, noise=5, seed=n)[0] for n in (1, 2)]
    write_nifti(tmp_path / "in" / "four.nii.gz", np.stack(volumes, axis=-1).astype(np.float32), GRID)
    pipeline = Pipeline.open(sphere_pipeline)
    result = pipeline.run(tmp_path / "in", tmp_path / "out")
    assert (result.count("done"), codes(result.notes)) == (2, ["several-volumes"])
    assert [note["code"] for note in result.to_json()["notes"]] == ["several-volumes"]
    pages = {path: path.read_bytes() for path in (tmp_path / "out" / "cases").rglob("*.html")}
    assert len(pages) == 2
    assert report(tmp_path / "out", pipeline.folder).problems == ()
    assert {path: path.read_bytes() for path in pages} == pages


@pytest.mark.parametrize("verb", ["run", "explain"])
def test_options_on_reading_reach_the_reader_from_the_command_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    sphere_pipeline: Path,
    tmp_path: Path,
    verb: str,
) -> None:
    image, _ = spheres(GRID, noise=5)
    image[0, 0, 0] = np.nan
    write_nifti(tmp_path / "in" / "a.nii.gz", np.stack([image, image], axis=-1), GRID)
    arguments = (verb, sphere_pipeline, tmp_path / "in", "--out", tmp_path / "out")
    assert command(monkeypatch, *arguments) == 5
    assert command(monkeypatch, *arguments, "--nan-to", "0") == 0
    assert "note: 2 cases are volumes of images that hold several" in capsys.readouterr().err


def test_a_dry_run_notes_volumes_in_words_and_as_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], sphere_pipeline: Path, tmp_path: Path
) -> None:
    write_nifti(tmp_path / "in" / "a.nii", np.zeros((4, 4, 4, 2), np.int16))
    arguments = ("run", sphere_pipeline, tmp_path / "in", "--out", tmp_path / "out", "--dry-run")
    assert command(monkeypatch, *arguments) == 0
    assert "[several-volumes]" in capsys.readouterr().err
    assert command(monkeypatch, *arguments, "--json") == 0
    assert [note["code"] for note in json.loads(capsys.readouterr().out)["notes"]] == ["several-volumes"]
