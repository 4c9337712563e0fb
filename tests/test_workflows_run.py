"""A batch: every case in its own geometry, what is missing is done, what fails is told, nothing is lost."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from conftest import OBLIQUE
from phantoms import ORIENTATIONS, spheres, write_dicom_series, write_nifti

from medvision import io
from medvision.errors import BusyError, InputError, OutputError, PipelineError, UsageError
from medvision.geometry import Geometry
from medvision.pipeline import PipelineFolder
from medvision.resampling import resample
from medvision.study import Case, Source
from medvision.volume import Labels
from medvision.workflows import run as run_module
from medvision.workflows.batching import job
from medvision.workflows.report import report
from medvision.workflows.run import Limits

# What has nothing to do with processes is tested within this one.
run = partial(run_module.run, limits=Limits(workers=0))


def tree(folder: Path) -> dict[str, str]:
    """Return the hash of every file but those that hold dates, by its path."""
    dated = ("ledger.sqlite", ".lock", "run.log")
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in dated)
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def mask_of(out: Path, case: str) -> Labels:
    path = out / "cases" / case / "mask.nii.gz"
    source = Source("nifti", (path,))
    grid = io.read_volume(Case("mask", (source,))).geometry
    return io.read_labels(Case("mask", (source,), label=source), {1: "dim", 2: "bright"}, grid)


@pytest.fixture
def pipeline(sphere_pipeline: Path) -> PipelineFolder:
    return PipelineFolder.open(sphere_pipeline)


def test_masks_come_back_in_the_geometry_of_their_inputs_for_another_reader(
    pipeline: PipelineFolder, sphere_inputs: Path, tmp_path: Path
) -> None:
    result = run(pipeline, [sphere_inputs], tmp_path / "out")
    assert result.exit_code() == 0
    _, truth = spheres(OBLIQUE)
    for number in range(4):
        image = sitk.ReadImage(sphere_inputs / f"case{number}.nii.gz")
        mask = sitk.ReadImage(tmp_path / "out" / "cases" / f"case{number}" / "mask.nii.gz")
        assert mask.GetSize() == image.GetSize()
        for ask in ("GetOrigin", "GetSpacing", "GetDirection"):
            assert np.allclose(getattr(mask, ask)(), getattr(image, ask)(), atol=1e-5)
        found = mask_of(tmp_path / "out", f"case{number}").onto(OBLIQUE).voxels
        assert 2 * ((found == truth) & (truth > 0)).sum() / ((found > 0).sum() + (truth > 0).sum()) > 0.9


def test_the_same_image_in_any_order_of_axes_gets_the_same_mask_in_the_world(
    pipeline: PipelineFolder, tmp_path: Path
) -> None:
    grid = Geometry.from_spacing((2, 2, 2), (24, 14, 12))
    image, _ = spheres(grid, noise=5, seed=7)
    for orientation in ORIENTATIONS:
        other = grid.reoriented(orientation)
        write_nifti(tmp_path / "in" / f"{orientation}.nii.gz", resample(image, grid, other), other)
    run(pipeline, [tmp_path / "in"], tmp_path / "out")
    first = mask_of(tmp_path / "out", "RAS")
    for orientation in ORIENTATIONS:
        assert np.array_equal(mask_of(tmp_path / "out", orientation).onto(grid).voxels, first.voxels), orientation


def test_a_second_run_does_nothing_and_needs_no_network(
    pipeline: PipelineFolder, sphere_inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(pipeline, [sphere_inputs], tmp_path / "out")
    before = tree(tmp_path / "out")
    monkeypatch.setattr(PipelineFolder, "load_network", lambda *_: pytest.fail("the network was loaded"))
    second = run(pipeline, [sphere_inputs], tmp_path / "out")
    assert (first.analysed, first.done_before) == (4, 0)
    assert (second.analysed, second.done_before, second.exit_code()) == (0, 4, 0)
    assert tree(tmp_path / "out") == before


@pytest.mark.parametrize("name", ["mask.nii.gz", "record.json", "report.html"])
def test_a_result_that_was_changed_or_lost_is_made_again(
    pipeline: PipelineFolder, sphere_inputs: Path, tmp_path: Path, name: str
) -> None:
    run(pipeline, [sphere_inputs], tmp_path / "out")
    before = tree(tmp_path / "out")
    victim = tmp_path / "out" / "cases" / "case2" / name
    victim.write_bytes(victim.read_bytes()[:-10])
    (tmp_path / "out" / "cases" / "case1" / name).unlink()
    assert run(pipeline, [sphere_inputs], tmp_path / "out").analysed == 2
    assert tree(tmp_path / "out") == before


def test_other_settings_or_another_input_are_analysed_again(
    pipeline: PipelineFolder, sphere_inputs: Path, tmp_path: Path
) -> None:
    run(pipeline, [sphere_inputs], tmp_path / "out")
    image, _ = spheres(OBLIQUE, noise=5, seed=55)
    write_nifti(sphere_inputs / "case0.nii.gz", image, OBLIQUE)
    assert run(pipeline, [sphere_inputs], tmp_path / "out").analysed == 1
    changed = tmp_path / "changed"
    shutil.copytree(pipeline.folder, changed)
    toml = changed / "pipeline.toml"
    toml.write_text(toml.read_text().replace("window = [16, 16, 16]", "window = [16, 16, 8]"))
    assert run(PipelineFolder.open(changed), [sphere_inputs], tmp_path / "out").analysed == 4


def test_bad_inputs_are_refused_each_with_its_reason_and_the_others_are_done(
    pipeline: PipelineFolder, sphere_inputs: Path, tmp_path: Path
) -> None:
    whole = (sphere_inputs / "case0.nii.gz").read_bytes()
    (sphere_inputs / "cut.nii.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty").mkdir()
    (sphere_inputs / "notes.dcm").write_text("not a DICOM file")
    write_nifti(sphere_inputs / "five.nii.gz", np.zeros((4, 4, 4, 1, 3), dtype=np.float32))
    result = run(pipeline, [sphere_inputs, tmp_path / "empty", tmp_path / "absent"], tmp_path / "out")
    reasons = {entry.source.name: entry.problem.code for entry in result.entries if entry.problem}
    assert reasons == {
        "cut.nii.gz": "truncated",
        "empty": "empty-folder",
        "notes.dcm": "not-an-image",
        "five.nii.gz": "not-3d",
        "absent": "not-found",
    }
    assert (result.count("done"), result.count("refused"), result.exit_code()) == (4, 5, 4)
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert all(code in page for code in reasons.values())
    table = (tmp_path / "out" / "results.csv").read_text().splitlines()
    assert sum(",refused," in line for line in table) == 5


def test_good_cases_are_the_same_bytes_whether_or_not_bad_ones_are_among_them(
    pipeline: PipelineFolder, sphere_inputs: Path, tmp_path: Path
) -> None:
    run(pipeline, [sphere_inputs], tmp_path / "alone")
    (sphere_inputs / "cut.nii.gz").write_bytes(b"\x1f\x8b")
    run(pipeline, [sphere_inputs], tmp_path / "among")
    assert tree(tmp_path / "alone" / "cases") == tree(tmp_path / "among" / "cases")


def test_a_refusal_is_forgotten_once_its_input_is_mended(
    pipeline: PipelineFolder, sphere_inputs: Path, tmp_path: Path
) -> None:
    bad = sphere_inputs / "notes.dcm"
    bad.write_text("not a DICOM file")
    assert run(pipeline, [sphere_inputs], tmp_path / "out").exit_code() == 4
    bad.unlink()
    assert run(pipeline, [sphere_inputs], tmp_path / "out").exit_code() == 0
    assert "notes.dcm" not in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")


def test_the_result_of_an_input_that_has_become_bad_does_not_stay(
    pipeline: PipelineFolder, sphere_inputs: Path, tmp_path: Path
) -> None:
    run(pipeline, [sphere_inputs], tmp_path / "out")
    victim = sphere_inputs / "case0.nii.gz"
    victim.write_bytes(victim.read_bytes()[:-20])
    assert run(pipeline, [sphere_inputs], tmp_path / "out").exit_code() == 4
    assert not (tmp_path / "out" / "cases" / "case0" / "mask.nii.gz").exists()


def test_an_unforeseen_error_costs_one_case_and_leaves_its_place_but_not_its_words(
    pipeline: PipelineFolder, sphere_inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    analyse = job.analyse

    def breaking(case: Case, *rest: object, **options: object) -> object:
        if case.id == "case1":
            raise RuntimeError("^".join(("Doe", "Jane")))  # the log quotes this line, so the name is not in it
        return analyse(case, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(job, "analyse", breaking)
    result = run(pipeline, [sphere_inputs], tmp_path / "out")
    assert (result.count("done"), result.count("failed"), result.exit_code()) == (3, 1, 4)
    log = (tmp_path / "out" / "logs" / "case1.txt").read_text()
    assert "RuntimeError" in log
    written = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert b"Doe^Jane" not in written


def test_an_input_that_changes_while_it_is_analysed_is_refused(
    pipeline: PipelineFolder, sphere_inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    analyse = job.analyse

    def changing(case: Case, *rest: object, **options: object) -> object:
        found = analyse(case, *rest, **options)  # type: ignore[arg-type]
        if case.id == "case1":
            write_nifti(case.path, np.zeros((4, 4, 4), dtype=np.float32))
        return found

    monkeypatch.setattr(job, "analyse", changing)
    result = run(pipeline, [sphere_inputs], tmp_path / "out")
    assert [entry.problem.code for entry in result.entries if entry.problem] == ["input-changed"]
    assert not (tmp_path / "out" / "cases" / "case1" / "mask.nii.gz").exists()


def test_two_inputs_of_one_name_are_refused_before_any_work(
    pipeline: PipelineFolder, sphere_inputs: Path, tmp_path: Path
) -> None:
    shutil.copytree(sphere_inputs, tmp_path / "again")
    with pytest.raises(UsageError) as caught:
        run(pipeline, [sphere_inputs, tmp_path / "again"], tmp_path / "out")
    assert caught.value.code == "name-clash"
    assert not (tmp_path / "out").exists()


def test_a_dicom_series_is_analysed_as_its_nifti_would_be(pipeline: PipelineFolder, tmp_path: Path) -> None:
    grid = Geometry.from_spacing((2, 2, 2), (24, 14, 12)).reoriented("LPS")
    image, _ = spheres(grid, noise=5)
    stored = np.clip(image, 0, None).round().astype(np.int16)
    write_dicom_series(tmp_path / "in" / "series", stored, grid, modality="MR")
    write_nifti(tmp_path / "in" / "nifti.nii.gz", stored, grid)
    result = run(pipeline, [tmp_path / "in"], tmp_path / "out")
    assert result.exit_code() == 0
    masks = [mask_of(tmp_path / "out", case) for case in ("series", "nifti")]
    assert masks[0].geometry.matches(masks[1].geometry)
    assert np.array_equal(masks[0].voxels, masks[1].voxels)


def test_nothing_to_do_and_everything_bad_have_their_exit_codes(pipeline: PipelineFolder, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert run(pipeline, [tmp_path / "empty"], tmp_path / "out").exit_code() == 3
    (tmp_path / "bad.nii").write_text("no image")
    assert run(pipeline, [tmp_path / "bad.nii"], tmp_path / "out2").exit_code() == 5


def test_cases_for_review_count_as_bad_only_when_asked(pipeline: PipelineFolder, tmp_path: Path) -> None:
    write_nifti(tmp_path / "black.nii.gz", np.zeros((16, 16, 16), dtype=np.float32))
    result = run(pipeline, [tmp_path / "black.nii.gz"], tmp_path / "out")
    assert result.count("review") == 1
    assert (result.exit_code(), result.exit_code(strict=True)) == (0, 5)
    record = json.loads((tmp_path / "out" / "cases" / "black" / "record.json").read_text())
    assert record["verdict"] == "review"
    assert "constant-image" in {finding["code"] for finding in record["findings"]}


def test_a_pipeline_without_weights_is_refused_before_the_folder_is_made(tmp_path: Path, sphere_inputs: Path) -> None:
    from medvision.pipeline import copy

    copy("cxr-pneumonia", tmp_path / "mine")
    with pytest.raises(PipelineError) as caught:
        run(PipelineFolder.open(tmp_path / "mine"), [sphere_inputs], tmp_path / "out")
    assert caught.value.code == "weights-missing"
    assert not (tmp_path / "out").exists()


def test_an_output_that_cannot_be_a_folder_and_one_that_is_held_are_refused(
    pipeline: PipelineFolder, sphere_inputs: Path, tmp_path: Path
) -> None:
    from medvision.batch import holding

    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError):
        run(pipeline, [sphere_inputs], tmp_path / "file")
    with holding(tmp_path / "held"), pytest.raises(BusyError):
        run(pipeline, [sphere_inputs], tmp_path / "held")


def test_pages_can_be_written_anew_and_are_the_same(
    pipeline: PipelineFolder, sphere_inputs: Path, tmp_path: Path
) -> None:
    run(pipeline, [sphere_inputs], tmp_path / "out")
    before = tree(tmp_path / "out")
    (tmp_path / "out" / "index.html").unlink()
    (tmp_path / "out" / "cases" / "case0" / "report.html").write_text("lost")
    pages = report(tmp_path / "out", pipeline)
    assert (pages.written, pages.problems) == (4, ())
    assert tree(tmp_path / "out") == before
    assert run(pipeline, [sphere_inputs], tmp_path / "out").analysed == 0


def test_a_run_killed_half_way_goes_on_and_ends_as_if_undisturbed(
    pipeline: PipelineFolder, sphere_inputs: Path, tmp_path: Path
) -> None:
    run(pipeline, [sphere_inputs], tmp_path / "whole")
    command = [sys.executable, "-m", "medvision", "run", str(pipeline.folder), str(sphere_inputs), "--out"]
    process = subprocess.Popen([*command, str(tmp_path / "killed")], stderr=subprocess.DEVNULL, start_new_session=True)
    while not list((tmp_path / "killed").glob("cases/*/record.json")) and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (tmp_path / "killed" / "cases" / "case3").mkdir(parents=True, exist_ok=True)
    (tmp_path / "killed" / "cases" / "case3" / ".medvision-abcdefgh.part.nii.gz").write_bytes(b"half a file")
    result = run(pipeline, [sphere_inputs], tmp_path / "killed")
    assert result.exit_code() == 0
    assert tree(tmp_path / "killed") == tree(tmp_path / "whole")


def test_a_record_names_everything_needed_to_make_the_result_again_and_no_path(
    pipeline: PipelineFolder, sphere_inputs: Path, tmp_path: Path
) -> None:
    run(pipeline, [sphere_inputs], tmp_path / "out")
    text = (tmp_path / "out" / "cases" / "case0" / "record.json").read_text()
    manifest = json.loads(text)["manifest"]
    assert manifest["command"] == "medvision run spheres case0.nii.gz"
    assert manifest["weights_sha256"] == hashlib.sha256(pipeline.weights_path.read_bytes()).hexdigest()
    assert manifest["versions"]["torch"]
    assert str(tmp_path) not in text


def test_every_refused_line_of_a_list_is_counted(pipeline: PipelineFolder, sphere_inputs: Path, tmp_path: Path) -> None:
    rows = ["image,split", "case0.nii.gz,train", "case1.nii.gz,trian", "case2.nii.gz,trian", "case3.nii.gz,trian"]
    (sphere_inputs / "cases.csv").write_text("\n".join(rows))
    result = run(pipeline, [sphere_inputs / "cases.csv"], tmp_path / "out")
    assert (result.count("done"), result.count("refused"), result.exit_code()) == (1, 3, 4)
    again = run(pipeline, [sphere_inputs / "cases.csv"], tmp_path / "out")
    assert (again.analysed, again.count("refused")) == (0, 3)


def test_a_mended_image_of_a_list_is_no_longer_refused(
    pipeline: PipelineFolder, sphere_inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = sphere_inputs / "case1.nii.gz"
    whole = victim.read_bytes()
    victim.write_bytes(whole[:-9])
    (sphere_inputs / "cases.csv").write_text("image\ncase0.nii.gz\ncase1.nii.gz\n")
    monkeypatch.chdir(sphere_inputs)
    assert run(pipeline, [Path("cases.csv")], tmp_path / "out").exit_code() == 4
    victim.write_bytes(whole)
    monkeypatch.chdir(tmp_path)
    assert run(pipeline, [sphere_inputs / "cases.csv"], tmp_path / "out").exit_code() == 0
    assert "refused" not in (tmp_path / "out" / "results.csv").read_text()


def test_a_result_whose_input_is_refused_at_first_sight_does_not_stay(
    pipeline: PipelineFolder, sphere_inputs: Path, tmp_path: Path
) -> None:
    run(pipeline, [sphere_inputs], tmp_path / "out")
    (sphere_inputs / "case0.nii.gz").write_bytes(b"")
    assert run(pipeline, [sphere_inputs], tmp_path / "out").exit_code() == 4
    assert not (tmp_path / "out" / "cases" / "case0" / "mask.nii.gz").exists()
    assert "case0,done" not in (tmp_path / "out" / "results.csv").read_text()


def test_results_of_two_pipelines_are_not_mixed(pipeline: PipelineFolder, sphere_inputs: Path, tmp_path: Path) -> None:
    other = _with_other_weights(pipeline, tmp_path / "other")
    run(pipeline, [sphere_inputs], tmp_path / "out")
    shutil.copy(sphere_inputs / "case0.nii.gz", tmp_path / "new.nii.gz")
    with pytest.raises(UsageError, match="results of another pipeline"):
        run(other, [tmp_path / "new.nii.gz"], tmp_path / "out")
    changed = replace(pipeline, settings=replace(pipeline.settings, description="Others"))
    with pytest.raises(UsageError, match="results of another pipeline"):
        run(changed, [tmp_path / "new.nii.gz"], tmp_path / "out")
    assert run(other, [sphere_inputs], tmp_path / "out").analysed == 4


def test_a_report_leaves_a_case_alone_whose_input_or_result_has_changed(
    pipeline: PipelineFolder, sphere_inputs: Path, tmp_path: Path
) -> None:
    run(pipeline, [sphere_inputs], tmp_path / "out")
    image, _ = spheres(OBLIQUE, noise=5, seed=77)
    write_nifti(sphere_inputs / "case0.nii.gz", image, OBLIQUE)
    mask = tmp_path / "out" / "cases" / "case1" / "mask.nii.gz"
    mask.write_bytes((tmp_path / "out" / "cases" / "case2" / "mask.nii.gz").read_bytes())
    pages = report(tmp_path / "out", pipeline)
    assert (pages.written, [problem.code for problem in pages.problems]) == (2, ["input-changed", "input-changed"])
    other = _with_other_weights(pipeline, tmp_path / "other")
    assert {problem.code for problem in report(tmp_path / "out", other).problems} >= {"weights-mismatch"}


def test_a_report_of_a_folder_without_results_is_refused_and_leaves_nothing(
    pipeline: PipelineFolder, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="no results of a run"):
        report(tmp_path / "typo", pipeline)
    assert not (tmp_path / "typo").exists()


def test_an_output_folder_that_is_an_input_is_wrong_usage(
    pipeline: PipelineFolder, sphere_inputs: Path, tmp_path: Path
) -> None:
    before = tree(sphere_inputs)
    with pytest.raises(UsageError, match="is an input too"):
        run(pipeline, [sphere_inputs], sphere_inputs)
    assert tree(sphere_inputs) == before
    (sphere_inputs / "results").mkdir()
    run(pipeline, [sphere_inputs], sphere_inputs / "results")
    again = run(pipeline, [sphere_inputs], sphere_inputs / "results")
    assert (again.analysed, len(again.entries)) == (0, 4)


def test_a_split_that_no_case_has_is_wrong_usage(pipeline: PipelineFolder, sphere_inputs: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no case is of the split 'tset'"):
        run(pipeline, [sphere_inputs], tmp_path / "out", split="tset")


def test_a_refusal_and_a_case_of_one_name_do_not_hide_each_other(
    pipeline: PipelineFolder, sphere_inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (sphere_inputs / "case0").mkdir()
    monkeypatch.chdir(sphere_inputs)
    result = run(pipeline, [Path()], tmp_path / "out")
    assert (result.count("done"), result.count("refused"), result.exit_code()) == (4, 1, 4)


def test_a_name_that_is_no_utf8_costs_that_file_alone(
    pipeline: PipelineFolder, sphere_inputs: Path, tmp_path: Path
) -> None:
    odd = Path(os.fsdecode(os.fsencode(sphere_inputs) + b"/\xff\xfe.nii.gz"))
    odd.write_bytes(b"no image")
    result = run(pipeline, [sphere_inputs], tmp_path / "out")
    assert (result.count("done"), result.count("refused"), result.exit_code()) == (4, 1, 4)
    assert (tmp_path / "out" / "index.html").is_file()


def test_a_record_that_was_changed_or_lost_does_not_reach_the_table_nor_stop_the_run(
    pipeline: PipelineFolder, sphere_inputs: Path, tmp_path: Path
) -> None:
    run(pipeline, [sphere_inputs], tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "cases" / "case1")
    record = tmp_path / "out" / "cases" / "case2" / "record.json"
    record.write_text(record.read_text().replace('"voxels"', '"voxels" '))
    report(tmp_path / "out", pipeline)
    table = (tmp_path / "out" / "results.csv").read_text()
    assert "case1,failed,failed,input-changed" in table or "case1,failed,,input-changed" in table
    assert "case2,failed" in table
    assert run(pipeline, [sphere_inputs / "case0.nii.gz"], tmp_path / "out").exit_code() == 0
    assert run(pipeline, [sphere_inputs], tmp_path / "out").analysed == 2


def _with_other_weights(pipeline: PipelineFolder, folder: Path) -> PipelineFolder:
    """Return a copy of the pipeline whose weights differ in one number."""
    from medvision.networks import save_weights

    shutil.copytree(pipeline.folder, folder)
    network = pipeline.load_network()
    next(network.parameters()).data[0] += 0.01
    card = json.loads((folder / "weights.json").read_text())
    card["sha256"] = save_weights(folder / "weights.safetensors", network)
    (folder / "weights.json").write_text(json.dumps(card))
    return PipelineFolder.open(folder)


def test_a_report_by_another_pipeline_leaves_all_pages_as_they_are(
    pipeline: PipelineFolder, sphere_inputs: Path, tmp_path: Path
) -> None:
    run(pipeline, [sphere_inputs], tmp_path / "out")
    before = tree(tmp_path / "out")
    with pytest.raises(PipelineError, match="weights-mismatch"):
        report(tmp_path / "out", PipelineFolder.open("mr-hippocampus"))
    assert tree(tmp_path / "out") == before
