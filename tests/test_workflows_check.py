from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from phantoms import positional, spheres, write_dicom_series, write_nifti
from typer.testing import CliRunner

from medvision import io
from medvision.geometry import Geometry
from medvision.study import Case, Reading
from medvision.volume import Volume
from medvision.workflows.check import Checked, CheckResult, check, write_page
from medvision_cli.app import app

GRID = Geometry(np.diag([-1.0, -1.0, 2.0, 1.0]), (12, 10, 8))


def image(path: Path, seed: int = 0, geometry: Geometry = GRID) -> Path:
    voxels, _ = spheres(geometry, noise=20, seed=seed)
    return write_nifti(path, voxels, geometry)


def mess(folder: Path) -> Path:
    """Return a folder of a good series, one that lacks a slice, a cut file, a text, and a 4D image."""
    write_dicom_series(folder / "good", positional(GRID), GRID, SeriesDescription="t1 <b>")
    files = write_dicom_series(folder / "gap", positional(GRID), GRID, SeriesInstanceUID="1.2.9")
    files[3].unlink()
    whole = image(folder / "cut.nii.gz").read_bytes()
    (folder / "cut.nii.gz").write_bytes(whole[: len(whole) // 2])
    (folder / "notes.txt").write_text("x")
    write_nifti(folder / "times.nii", np.stack([positional(GRID)] * 5, axis=-1))
    return folder


def by_name(result: CheckResult) -> dict[str, Checked]:
    return {one.path.name: one for one in result.images}


def test_a_mess_is_sorted_into_images_each_with_its_verdict(tmp_path: Path) -> None:
    result = check([mess(tmp_path)])
    found = by_name(result)
    assert {name: one.verdict for name, one in found.items()} == {
        "good": "accept",
        "gap": "refused",
        "cut.nii.gz": "refused",
        "times.nii": "accept",
    }
    assert found["good"].what == "CT image, CT, axial: t1 <b>"
    assert found["gap"].series is not None
    assert found["gap"].series.size == (12, 10, 7)
    assert [finding.code for finding in found["gap"].findings] == ["slices-missing"]
    assert [path.name for path in (one.path for one in result.skipped) if path] == ["notes.txt"]
    assert (result.count("accept"), result.count("refused"), result.exit_code()) == (2, 2, 4)


def test_a_bug_of_one_image_stops_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = io.read_volume

    def broken(case: Case) -> Volume:
        if case.id == "good":
            raise KeyError("the patient's name")
        return read(case)

    monkeypatch.setattr(io, "read_volume", broken)
    found = by_name(check([mess(tmp_path)]))
    (finding,) = found["good"].findings
    assert (finding.code, finding.path) == ("internal", tmp_path / "good")
    assert finding.message.startswith("KeyError at test_workflows_check.py, line")
    assert found["times.nii"].verdict == "accept"


def test_every_volume_of_a_series_is_read(tmp_path: Path) -> None:
    voxels = np.stack([positional(GRID)] * 6, axis=-1).astype(np.float32)
    voxels[2, 2, 2, 2] = np.nan
    write_nifti(tmp_path / "times.nii", voxels)
    (times,) = check([tmp_path]).images
    assert (times.verdict, [finding.code for finding in times.findings]) == ("refused", ["not-finite"])


def test_of_a_series_of_very_many_volumes_three_are_read_and_that_is_warned_of(tmp_path: Path) -> None:
    write_nifti(tmp_path / "64.nii", np.stack([positional(GRID)] * 64, axis=-1))
    write_nifti(tmp_path / "65.nii", np.stack([positional(GRID)] * 65, axis=-1))
    found = by_name(check([tmp_path]))
    assert (found["64.nii"].verdict, found["64.nii"].findings) == ("accept", ())
    assert found["65.nii"].series is not None
    assert found["65.nii"].series.volumes == 65
    assert [(one.code, one.grade) for one in found["65.nii"].findings] == [("checked-in-part", "warning")]


def test_headers_alone_leave_voxels_unread(tmp_path: Path) -> None:
    result = check([mess(tmp_path)], headers_only=True)
    assert by_name(result)["good"].facts is None
    assert by_name(result)["cut.nii.gz"].verdict == "accept"  # nothing of it was read: nothing is known
    assert by_name(result)["gap"].verdict == "refused"


def test_leniency_applies_to_a_check_as_to_an_analysis(tmp_path: Path) -> None:
    result = check([mess(tmp_path)], reading=Reading(allow_gaps=True))
    assert by_name(result)["gap"].verdict == "review"


def decathlon(folder: Path, count: int = 10) -> Path:
    entries = []
    for n in range(count):
        voxels, labels = spheres(GRID, noise=20, seed=n)
        write_nifti(folder / "imagesTr" / f"c{n}.nii.gz", voxels, GRID)
        write_nifti(folder / "labelsTr" / f"c{n}.nii.gz", labels, GRID)
        entries.append({"image": f"./imagesTr/c{n}.nii.gz", "label": f"./labelsTr/c{n}.nii.gz"})
    content = {"labels": {"0": "background", "1": "left", "2": "right"}, "training": entries, "modality": {"0": "MR"}}
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


def test_a_clean_data_set_has_nothing_wrong_with_its_images(tmp_path: Path) -> None:
    result = check([decathlon(tmp_path)])
    assert {one.verdict for one in result.images} == {"accept"}
    assert {finding.code for finding in result.data_set} == {"split-ungrouped"}
    assert result.exit_code() == 0


def test_labels_on_another_grid_and_empty_labels_are_found_and_explained(tmp_path: Path) -> None:
    decathlon(tmp_path)
    _, labels = spheres(GRID)
    mirrored = Geometry(np.diag([-1.0, 1.0, 1.0, 1.0]) @ GRID.affine, GRID.shape)
    write_nifti(tmp_path / "labelsTr" / "c0.nii.gz", labels, mirrored)
    write_nifti(tmp_path / "labelsTr" / "c1.nii.gz", labels * 0, GRID)
    found = by_name(check([tmp_path]))
    assert [finding.code for finding in found["c0.nii.gz"].findings] == ["grid-differs"]
    assert found["c0.nii.gz"].findings[0].path == tmp_path / "labelsTr" / "c0.nii.gz"
    assert "; " in found["c0.nii.gz"].findings[0].message
    assert "label-empty" in [finding.code for finding in found["c1.nii.gz"].findings]


def manifest(folder: Path, rows: str) -> Path:
    for n in range(4):
        image(folder / f"i{n}.nii", seed=n)
    (folder / "cases.csv").write_text("image,patient,split\n" + rows)
    return folder / "cases.csv"


def test_a_patient_on_both_sides_of_a_split_is_an_error_of_the_set(tmp_path: Path) -> None:
    result = check([manifest(tmp_path, "i0.nii,7,train\ni1.nii,7,val\ni2.nii,8,train\ni3.nii,9,val\n")])
    assert [(finding.code, finding.grade) for finding in result.data_set] == [("split-leak", "error")]
    assert "7" not in result.data_set[0].message.replace("i0", "").replace("i1", "")
    assert result.exit_code() == 4


def test_copies_are_found_among_loose_images_and_outliers_are_not_sought(tmp_path: Path) -> None:
    for n in range(9):
        image(tmp_path / f"a{n}.nii", seed=n)
    image(tmp_path / "b.nii", seed=3)
    write_nifti(tmp_path / "bright.nii", spheres(GRID, noise=20, seed=99)[0] * 1000, GRID)
    result = check([tmp_path])
    assert [finding.code for finding in result.data_set] == ["duplicate"]
    assert "a3" in result.data_set[0].message


def test_what_is_empty_ends_with_three_and_what_is_refused_with_five(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert check([tmp_path / "empty"]).exit_code() == 3
    (tmp_path / "bad.nii").write_text("x")
    assert check([tmp_path / "bad.nii"]).exit_code() == 5


def test_strictness_counts_what_needs_a_look(tmp_path: Path) -> None:
    write_nifti(tmp_path / "flat.nii", np.ones((4, 4, 4), np.int16))
    image(tmp_path / "good.nii")
    result = check([tmp_path])
    assert (result.exit_code(), result.exit_code(strict=True)) == (0, 4)
    assert [(f.code, f.grade) for f in by_name(result)["flat.nii"].findings] == [("constant-image", "warning")]


def test_the_page_shows_every_image_and_escapes_what_headers_say(tmp_path: Path) -> None:
    result = check([mess(tmp_path / "in")], pictures=True)
    write_page(result, tmp_path / "page.html", [tmp_path / "in"], "medvision check in")
    page = (tmp_path / "page.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert "t1 &lt;b&gt;" in page
    assert str(tmp_path) not in page
    for code in ("slices-missing", "truncated"):
        assert code in page


def test_clean_images_of_one_folder_are_shown_in_part_and_counted(tmp_path: Path) -> None:
    for n in range(15):
        image(tmp_path / "in" / f"a{n:02d}.nii", seed=n)
    write_page(check([tmp_path / "in"]), tmp_path / "page.html", [tmp_path / "in"], "")
    page = (tmp_path / "page.html").read_text()
    assert page.count('class="name"') == 12
    assert "3 more images" in page
    assert "<b>15</b>" in page


def test_the_command_prints_a_table_and_ends_with_its_exit_code(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["check", str(mess(tmp_path / "in")), "--html", str(tmp_path / "page.html")])
    assert result.exit_code == 4
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["verdict", "what", "it", "is", "size", "spacing", "in", "mm", "image"]
    assert [line.split()[0] for line in lines if line[:8].strip() in ("refused", "accept")] == [
        "refused",
        "refused",
        "accept",
        "accept",
    ]
    assert "4 images: 2 can be analysed, 0 need a look, 2 refused; 1 files passed over" in result.stdout
    assert (tmp_path / "page.html").exists()


def test_images_that_say_the_same_are_counted_in_the_table_and_listed_in_json(tmp_path: Path) -> None:
    for n in range(8):
        image(tmp_path / f"a{n}.nii", seed=n)
    shown = CliRunner().invoke(app, ["check", str(tmp_path)])
    assert (shown.exit_code, "... and 4 more in the same folder" in shown.stdout) == (0, True)
    listed = json.loads(CliRunner().invoke(app, ["check", str(tmp_path), "--json"]).stdout)
    assert (len(listed["images"]), listed["accept"], listed["exit_code"]) == (8, 8, 0)
    assert listed["images"][0]["geometry"]["shape"] == [12, 10, 8]


@pytest.mark.slow
def test_all_of_the_shared_data_are_checked_in_one_command(shared_data: Path) -> None:
    result = check([shared_data / "dicom_objects", shared_data / "dicom_series"])
    assert result.exit_code() == 4
    assert {one.findings[0].code for one in result.images if one.verdict == "refused"} == {
        "unsupported",
        "series-mixed",
        "slices-uneven",
    }
