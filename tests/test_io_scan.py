from __future__ import annotations

import json
import os
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from phantoms import positional, slice_of, spheres, write_dicom_series, write_nifti

from medvision.batch import Ledger
from medvision.errors import InputError, UsageError
from medvision.geometry import Geometry
from medvision.io import load, read_volume, scan
from medvision.io.kinds import kind_of
from medvision.study import Collection, Reading, Source

GRID = Geometry(np.diag([-1.0, -1.0, 2.0, 1.0]), (4, 5, 6))
CUBE = np.ones((3, 3, 3), np.uint8)


def ids(found: Collection) -> list[str]:
    return [case.id for case in found.cases]


def codes(found: Collection) -> list[tuple[str, str]]:
    return [(finding.code, finding.path.name if finding.path else "") for finding in found.rejected]


def series(folder: Path, **tags: object) -> list[Path]:
    return write_dicom_series(folder, positional(GRID), GRID, **tags)


def test_files_are_named_by_their_stems_and_folders_by_the_paths_below_them(tmp_path: Path) -> None:
    write_nifti(tmp_path / "in" / "b 1.nii.gz", CUBE)
    write_nifti(tmp_path / "in" / "p" / "q" / "a.nii", CUBE)
    series(tmp_path / "in" / "ct" / "thorax")
    series(tmp_path / "alone", SeriesInstanceUID="1.5")
    found = scan([tmp_path / "in", tmp_path / "alone"])
    assert ids(found) == ["alone", "b_1", "ct_thorax", "p_q_a"]
    assert ids(scan([tmp_path / "in" / "b 1.nii.gz"])) == ["b_1"]
    assert found.rejected == ()


def test_a_series_is_listed_in_the_order_of_its_positions(tmp_path: Path) -> None:
    files = series(tmp_path / "ct")
    (case,) = scan([tmp_path]).cases
    assert case.images == (Source("dicom", tuple(files)),)
    assert (case.modality, case.patient) == ("CT", None)
    assert ids(scan([files[0]])) == ["0006"]
    assert ids(scan(files)) == ["ct"]


def test_several_series_of_a_folder_are_numbered_by_their_uids(tmp_path: Path) -> None:
    for n, uid in enumerate(("1.9", "1.3", "1.5")):
        for file in series(tmp_path / "x", SeriesInstanceUID=uid):
            file.rename(tmp_path / "x" / f"{n}_{file.name}")
    found = scan([tmp_path / "x"])
    assert ids(found) == ["x-s1", "x-s2", "x-s3"]
    assert [case.images[0].files[0].name[0] for case in found.cases] == ["1", "2", "0"]


def test_a_series_in_two_folders_is_one_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = series(tmp_path / "d" / "one")
    (tmp_path / "d" / "two").mkdir()
    for file in files[:3]:
        file.rename(tmp_path / "d" / "two" / file.name)
    found = scan([tmp_path / "d"])
    assert ids(found) == ["d"]
    assert len(found.cases[0].images[0].files) == 6
    parts = scan([tmp_path / "d" / "one", tmp_path / "d" / "two"])
    assert ids(parts) == ["d"]
    monkeypatch.chdir(tmp_path / "d")
    assert ids(scan([Path("one"), tmp_path / "d" / "two"])) == ids(scan([Path()])) == ["d"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"PatientID": "OTHER"}, "series-mixed"),
        ({"ImagePositionPatient": [0, 0, 0]}, "slices-duplicate"),
        ({"ImagePositionPatient": [0, 0, 4.5]}, "slices-uneven"),
    ],
)
def test_a_series_that_does_not_hold_together_is_rejected(tmp_path: Path, change: dict[str, object], code: str) -> None:
    series(tmp_path / "x", slices={2: change})
    found = scan([tmp_path])
    assert found.cases == ()
    assert [finding.code for finding in found.rejected] == [code]


def test_slices_with_a_series_uid_each_are_not_taken_for_images_of_their_own(tmp_path: Path) -> None:
    series(tmp_path / "x", slices={k: {"SeriesInstanceUID": f"1.{k}"} for k in range(6)})
    found = scan([tmp_path])
    assert found.cases == ()
    assert {finding.code for finding in found.rejected} == {"series-mixed"}


@pytest.mark.parametrize("suffix", [".dcm", ".IMA", ".dicom"])
@pytest.mark.parametrize("content", [b"", b"%PDF-1.7", b"a text"])
def test_a_file_that_may_have_been_a_slice_marks_the_series_beside_it_for_review(
    tmp_path: Path, content: bytes, suffix: str
) -> None:
    files = [file.rename(file.with_suffix(suffix)) for file in series(tmp_path / "x")]
    files[0].write_bytes(content)  # at the end: no gap would show it
    found = scan([tmp_path])
    assert [name for _, name in codes(found)] == [f"0006{suffix}"]
    (case,) = found.cases
    assert [(f.code, f.grade, f.path) for f in read_volume(case).findings] == [("slices-missing", "warning", files[0])]
    files[0].unlink()
    assert case.digest() != scan([tmp_path]).cases[0].digest()


def test_a_slice_with_a_broken_header_refuses_the_series_beside_it(tmp_path: Path) -> None:
    files = series(tmp_path / "x")
    files[0].write_bytes(files[0].read_bytes()[:150])
    found = scan([tmp_path])
    assert found.cases == ()
    assert {"slices-missing"} < {finding.code for finding in found.rejected}


def test_a_slice_without_series_uid_is_rejected(tmp_path: Path) -> None:
    series(tmp_path / "x", SeriesInstanceUID=None)
    assert {code for code, _ in codes(scan([tmp_path]))} == {"bad-header"}


@pytest.mark.parametrize(
    "sop_class",
    [
        "1.2.840.10008.5.1.4.1.1.88.33",
        "1.2.840.10008.5.1.4.1.1.66.4",
        "1.2.840.10008.5.1.4.1.1.481.3",
        "1.2.840.10008.5.1.4.1.1.11.1",
        "1.2.840.10008.5.1.4.1.1.104.1",
    ],
)
def test_objects_beside_images_are_skipped_by_their_class(tmp_path: Path, sop_class: str) -> None:
    series(tmp_path / "x")
    other = slice_of(positional(GRID)[:, :, 0], GRID, 0)
    other.SOPClassUID = other.file_meta.MediaStorageSOPClassUID = sop_class
    other.save_as(tmp_path / "x" / "other.dcm", enforce_file_format=True)
    found = scan([tmp_path])
    assert ids(found) == ["x"]
    assert [finding.code for finding in found.skipped] == ["not-analysed-here"]
    assert codes(scan([tmp_path / "x" / "other.dcm"])) == []


def test_a_folder_of_reports_alone_holds_no_image(tmp_path: Path) -> None:
    series(tmp_path / "x", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.33")
    found = scan([tmp_path / "x"])
    assert codes(found) == [("no-image", "x")]
    assert len(found.skipped) == 6


def test_other_files_in_a_folder_are_skipped_and_counted(tmp_path: Path) -> None:
    write_nifti(tmp_path / "a.nii.gz", CUBE)
    (tmp_path / "empty.txt").touch()
    for name in ("notes.txt", ".DS_Store", "._a.nii.gz", "list.csv", "x.json", "Thumbs.db", "noname"):
        (tmp_path / name).write_bytes(b"something")
    found = scan([tmp_path])
    assert ids(found) == ["a"]
    assert found.rejected == ()
    assert [finding.code for finding in found.skipped] == ["not-read"] * 8


@pytest.mark.parametrize("name", ["a.dcm", "a.nii", "a.nii.gz", "a.png", "a.jpg", "a.JPEG", "a.npz"])
def test_a_name_that_promises_an_image_is_held_to_it(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(b"<html>" * 200)
    assert codes(scan([tmp_path])) == codes(scan([file])) == [("not-an-image", name)]
    file.write_bytes(b"")
    assert codes(scan([tmp_path])) == codes(scan([file])) == [("truncated", name)]
    file.write_bytes(b"\x1f\x8b\x08\x00rubbish rubbish")
    assert codes(scan([file])) == [("not-an-image", name)]


def test_a_nifti_file_called_dcm_is_rejected(tmp_path: Path) -> None:
    write_nifti(tmp_path / "a.nii", CUBE).rename(tmp_path / "a.dcm")
    assert codes(scan([tmp_path])) == [("not-an-image", "a.dcm")]


def test_the_start_of_a_compressed_file_is_told_from_another_file(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii.gz", CUBE)
    path.write_bytes(path.read_bytes()[:30])
    assert codes(scan([tmp_path])) == [("truncated", "a.nii.gz")]


def test_formats_of_images_that_are_not_read_are_rejected(tmp_path: Path) -> None:
    (tmp_path / "a.mha").write_bytes(b"ObjectType = Image")
    assert codes(scan([tmp_path])) == [("unsupported", "a.mha")]


def test_what_is_not_there_or_holds_nothing_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "empty" / "inner" / "most").mkdir(parents=True)
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("x")
    assert codes(scan([tmp_path / "none"])) == [("not-found", "none")]
    assert codes(scan([tmp_path / "empty"])) == [("empty-folder", "empty")]
    assert codes(scan([tmp_path / "texts"])) == [("no-image", "texts")]
    assert codes(scan([tmp_path / "texts" / "a.txt"])) == [("no-image", "a.txt")]
    write_nifti(tmp_path / "a.nii", CUBE)
    found = scan([tmp_path])
    assert (ids(found), codes(found)) == (["a"], [("empty-folder", "empty")])


def test_a_file_that_vanishes_during_the_scan_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        kind_of(tmp_path / "gone.nii")
    assert (caught.value.code, caught.value.path) == ("not-found", tmp_path / "gone.nii")


def test_links_that_loop_are_cut_and_pipes_and_sockets_are_not_opened(tmp_path: Path) -> None:
    write_nifti(tmp_path / "z" / "a.nii", CUBE)
    (tmp_path / "z" / "loop").symlink_to(tmp_path)
    (tmp_path / "again").symlink_to(tmp_path / "z")
    (tmp_path / "gone.nii").symlink_to(tmp_path / "nowhere")
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere")
    (tmp_path / "self").symlink_to(tmp_path / "self")
    os.mkfifo(tmp_path / "pipe.nii")
    with socket.socket(socket.AF_UNIX) as plug:
        plug.bind(str(tmp_path / "plug"))
        started = time.monotonic()
        found = scan([tmp_path])
        assert codes(scan([tmp_path / "pipe.nii"])) == [("not-an-image", "pipe.nii")]
    assert time.monotonic() - started < 2
    assert ids(found) == ["z_a"]
    assert codes(found) == [("not-found", "gone.nii")]
    assert sorted(f.path.name for f in found.skipped if f.path) == [
        "again",
        "gone.txt",
        "loop",
        "pipe.nii",
        "plug",
        "self",
    ]


def test_a_folder_that_cannot_be_opened_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "locked").mkdir()
    opened = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied")
        return opened(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert codes(scan([tmp_path])) == [("unreadable", "locked")]


@pytest.mark.parametrize("names", [("x/a_b.nii", "x/a/b.nii"), ("x/A.nii", "x/a.nii"), ("x/a.nii", "y/a.nii.gz")])
def test_two_cases_of_one_name_are_refused_with_both_paths(tmp_path: Path, names: tuple[str, str]) -> None:
    paths = [write_nifti(tmp_path / name, CUBE) for name in names]
    arguments = sorted({tmp_path / name.split("/")[0] for name in names})
    with pytest.raises(UsageError) as caught:
        scan(arguments)
    assert caught.value.code == "name-clash"
    assert all(str(path) in str(caught.value) for path in paths)


def test_a_deep_tree_and_odd_names_are_read(tmp_path: Path) -> None:
    deep = tmp_path / "/".join(["d"] * 400)
    write_nifti(deep / "-a [1]\n'b' Kopf ü.nii", CUBE)
    (case,) = scan([tmp_path]).cases
    assert len(case.id) <= 120


def test_two_thousand_files_are_scanned_in_seconds(tmp_path: Path) -> None:
    first = write_nifti(tmp_path / "a.nii.gz", CUBE)
    for n in range(2000):
        os.link(first, tmp_path / f"b{n}.nii.gz")
    started = time.monotonic()
    assert len(scan([tmp_path]).cases) == 2001
    assert time.monotonic() - started < 5


def decathlon(folder: Path, **changes: object) -> Path:
    image, labels = spheres(Geometry.from_spacing((1, 1, 1), (12, 8, 8)))
    for name in ("a", "b"):
        write_nifti(folder / "imagesTr" / f"{name}.nii.gz", image)
        write_nifti(folder / "labelsTr" / f"{name}.nii.gz", labels)
    entries = [
        {"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz", "subject": f"p{name}"}
        for name in "ab"
    ]
    content = {"modality": {"0": "MRI"}, "training": entries, **changes}
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


def test_a_decathlon_folder_gives_cases_with_labels_and_patients(tmp_path: Path) -> None:
    folder = decathlon(tmp_path / "d")
    found = scan([folder])
    assert [(case.id, case.patient, case.modality) for case in found.cases] == [("a", "pa", "MR"), ("b", "pb", "MR")]
    assert found.cases[0].label == Source("nifti", (folder / "labelsTr" / "a.nii.gz",))
    assert scan([folder / "dataset.json"]) == found
    assert scan([folder / "imagesTr"]).cases[0].label is None


def test_a_data_set_below_a_folder_is_taken_as_one(tmp_path: Path) -> None:
    decathlon(tmp_path / "in" / "d")
    write_nifti(tmp_path / "in" / "c.nii", CUBE)
    (tmp_path / "in" / "e").mkdir()
    (tmp_path / "in" / "e" / "dataset.json").write_text("{}")  # some other JSON
    (tmp_path / "in" / "g").mkdir()
    (tmp_path / "in" / "g" / "dataset.json").write_text("no JSON")
    decathlon(tmp_path / "in" / "f", training=[])
    found = scan([tmp_path / "in"])
    assert ids(found) == ["c", "d_a", "d_b"]
    assert codes(found) == [("bad-manifest", "dataset.json")]


def test_entries_that_cannot_be_used_are_rejected_one_by_one(tmp_path: Path) -> None:
    good = {"image": "imagesTr/a.nii.gz", "label": "labelsTr/a.nii.gz"}
    bad = [{**good, "label": "none.nii"}, {"image": "imagesTr/a.nii.gz"}, "text", {**good, "image": "none.nii.gz"}]
    found = scan([decathlon(tmp_path, training=[good, *bad])])
    assert ids(found) == ["a"]
    assert [code for code, _ in codes(found)] == ["label-missing", "label-missing", "bad-manifest", "not-found"]


@pytest.mark.parametrize("content", ["[1]", "{", "{}", "\udcff"])
def test_a_json_file_that_is_no_data_set_is_rejected(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.json").write_bytes(content.encode(errors="surrogateescape"))
    assert codes(scan([tmp_path / "x.json"])) == [("bad-manifest", "x.json")]


def test_an_nnunet_folder_gives_cases_with_all_channels(tmp_path: Path) -> None:
    for name in ("x_1_0000", "x_1_0001", "y_0000"):
        write_nifti(tmp_path / "imagesTr" / f"{name}.nii.gz", CUBE)
    for name in ("x_1", "y"):
        write_nifti(tmp_path / "labelsTr" / f"{name}.nii.gz", CUBE)
    content = {"channel_names": {"0": "CT", "1": "CT"}, "labels": {"background": 0}, "file_ending": ".nii.gz"}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    found = scan([tmp_path])
    assert [(case.id, len(case.images), case.modality) for case in found.cases] == [("x_1", 2, "CT")]
    assert codes(found) == [("not-found", "y_0001.nii.gz")]


def test_a_modality_that_is_none_of_dicom_is_left_open(tmp_path: Path) -> None:
    assert scan([decathlon(tmp_path, modality={"0": "T1", "1": "T2"})]).cases[0].modality is None
    assert scan([decathlon(tmp_path, modality=7)]).cases[0].modality is None


def test_choices_of_reading_hold_for_the_images_of_manifests_and_data_sets_too(tmp_path: Path) -> None:
    reading = Reading(nan_to=0, assume_ras=True)
    folder = tmp_path / "set"
    for name in ("imagesTr/a.nii", "labelsTr/a.nii"):
        write_nifti(folder / name, np.zeros((3, 3, 3), np.uint8))
    case = {"image": "imagesTr/a.nii", "label": "labelsTr/a.nii"}
    (folder / "dataset.json").write_text(json.dumps({"training": [case]}))
    (folder / "cases.csv").write_text("image,label\nimagesTr/a.nii,labelsTr/a.nii\n")
    for path in (folder / "dataset.json", folder, tmp_path, folder / "cases.csv"):
        (case_found,) = scan([path], reading).cases
        assert (case_found.images[0].reading, case_found.label.reading) == (reading, reading)


def test_a_manifest_gives_cases_with_all_their_columns(tmp_path: Path) -> None:
    write_nifti(tmp_path / "i" / "a.nii", CUBE)
    write_nifti(tmp_path / "i" / "b.nii", CUBE)
    series(tmp_path / "ct")
    rows = [
        ("image", "id", "label", "patient", "split", "modality", "side", "sex"),
        ("i/a.nii;i/b.nii", "one", "i/b.nii", "7", "train", "MR", "left", "F"),
        ("ct", "", "3", "", "", "", "", ""),
    ]
    (tmp_path / "m.csv").write_text("﻿" + "\n".join(",".join(row) for row in rows) + "\n\n")
    (tmp_path / "m.tsv").write_text("\n".join("\t".join(row) for row in rows))
    lines = [
        json.dumps({k: int(v) if v.isdigit() else v or None for k, v in zip(rows[0], row, strict=True)})
        for row in rows[1:]
    ]
    (tmp_path / "m.jsonl").write_text("\n\n".join(lines))
    found = scan([tmp_path / "m.csv"])
    assert found == scan([tmp_path / "m.tsv"]) == scan([tmp_path / "m.jsonl"])
    second, first = found.cases
    assert (first.id, first.patient, first.split, first.modality, first.side) == ("one", "7", "train", "MR", "left")
    assert len(first.images) == 2
    assert first.label == Source("nifti", (tmp_path / "i" / "b.nii",))
    assert dict(first.attributes) == {"side": "left", "sex": "F"}
    assert (second.id, second.label, second.patient, len(second.images[0].files)) == ("ct", 3, None, 6)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("name\na.nii\n", "bad-manifest"),
        ("image,image\na.nii,b\n", "bad-manifest"),
        ("image\n", "bad-manifest"),
        ("", "bad-manifest"),
        ("image\na.nii,b\n", "bad-manifest"),
        ('image\n"a.nii\n', "bad-manifest"),
        ("image\na.nii\0\n", "bad-manifest"),
        ("image\nö.nii\n", "bad-manifest"),
        ("image,id\n,a\n", "bad-manifest"),
        ("image,split\na.nii,training\n", "bad-manifest"),
        ("image,side\na.nii,up\n", "bad-manifest"),
        ("image,id\na.nii,a/b\n", "bad-manifest"),
        ("image\nnone.nii\n", "not-found"),
        ("image\nm.csv\n", "no-image"),
        ("image,label\na.nii,none.nii\n", "not-found"),
        ("image\nz.npz\n", "unsupported"),
        ("image\nempty\n", "no-image"),
        ("image\ntwo\n", "series-mixed"),
        ("image\nmixed\n", "series-mixed"),
        ("image\ncut\n", "bad-header"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_rejected(tmp_path: Path, text: str, code: str) -> None:
    write_nifti(tmp_path / "a.nii", CUBE)
    np.savez(tmp_path / "z.npz", train_images=np.zeros((2, 3, 3), np.uint8))
    (tmp_path / "empty").mkdir()
    series(tmp_path / "two" / "a")
    series(tmp_path / "two" / "b", SeriesInstanceUID="1.1")
    series(tmp_path / "mixed", slices={1: {"PatientID": "OTHER"}})
    series(tmp_path / "cut", SeriesInstanceUID=None)
    (tmp_path / "m.csv").write_bytes(text.encode("latin-1"))
    assert [found for found, _ in codes(scan([tmp_path / "m.csv"]))] == [code]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("scans/a.nii,Doe^Jane,1970-01-31\n", "the first line has 3 cells, and none is 'image'"),
        ("image;label\na.nii;1\n", "and none is 'image'; it holds ';', and cells are told apart by ','"),
        ("image,Doe^Jane,Doe^Jane\n", "the cells 2 and 3 of the first line name the same column"),
        ("image,id\na.nii,Doe^Jane\n", "line 2 of m.csv: the id cannot name an output"),
        ("image,split\na.nii,Doe^Jane\n", "line 2 of m.csv: a split is one of"),
        ("image,side\na.nii,Doe^Jane\n", "line 2 of m.csv: case a: side is"),
        ("image,label\na.nii,Doe^Jane\n", "line 2 of m.csv: the label is neither a number nor a file that is there"),
        ("image,side\na.nii,left,Doe^Jane\n", "line 2 has 3 cells, the header 2"),
    ],
)
def test_a_bad_list_is_told_by_line_and_rule_and_its_cells_are_not_quoted(tmp_path: Path, text: str, told: str) -> None:
    write_nifti(tmp_path / "a.nii", CUBE)
    (tmp_path / "m.csv").write_text(text)
    (finding,) = scan([tmp_path / "m.csv"]).rejected
    assert told in finding.message
    assert not re.search("Doe|Jane|1970", str(finding))


@pytest.mark.parametrize("text", ["{", "[1]", '{"image": ["a.nii"]}'])
def test_json_lines_that_are_no_objects_of_texts_are_rejected(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.jsonl").write_text(text)
    assert codes(scan([tmp_path / "m.jsonl"])) == [("bad-manifest", "m.jsonl")]


def test_a_manifest_can_name_one_dicom_file(tmp_path: Path) -> None:
    files = series(tmp_path / "ct")
    (tmp_path / "m.csv").write_text("image\nct/0006.dcm\n")
    assert scan([tmp_path / "m.csv"]).cases[0].images == (Source("dicom", (files[0],)),)


def test_a_bad_line_is_told_by_its_number_and_leaves_the_others(tmp_path: Path) -> None:
    write_nifti(tmp_path / "a.nii", CUBE)
    (tmp_path / "m.csv").write_text("image\nnone.nii\na.nii\n")
    found = scan([tmp_path / "m.csv"])
    assert ids(found) == ["a"]
    assert "line 2 of m.csv" in found.rejected[0].message


def test_the_hippocampus_data_set_scans_with_its_patients(shared_data: Path) -> None:
    found = scan([shared_data / "msd_hippocampus"])
    assert len(found.cases) == 200
    assert all(case.patient and case.modality == "MR" and isinstance(case.label, Source) for case in found.cases)
    assert found.rejected == found.skipped == ()


def test_pneumoniamnist_scans_with_its_splits(shared_data: Path) -> None:
    found = scan([shared_data / "pneumoniamnist" / "pneumoniamnist_trainval.npz"])
    splits = [case.split for case in found.cases]
    assert (splits.count("train"), splits.count("val")) == (4708, 524)


def test_every_dicom_object_ends_as_a_case_rejected_or_skipped(shared_data: Path) -> None:
    root = shared_data / "dicom_objects"
    found = scan([root])
    refused = [re.search(r"all (\d+) files are refused", finding.message) for finding in found.rejected]
    count = len({file for case in found.cases for file in case.images[0].files}) + len(found.skipped)
    count += sum(int(slices[1]) if slices else 1 for slices in refused)
    assert count == sum(1 for file in root.rglob("*") if file.is_file())
    loaded = load(root)
    assert {"hippocampus_crop_1", "hippocampus_crop_2"} <= set(loaded.volumes)
    assert len(loaded.volumes) + len(loaded.rejected) == len(found.cases) + len(found.rejected)


def results_of_a_run(folder: Path) -> Path:
    """Make an output folder whose one mask lies below it, and return the mask."""
    with Ledger(folder):
        return write_nifti(folder / "cases" / "a" / "mask.nii.gz", CUBE)


def test_results_below_an_input_are_skipped_as_one_and_never_analysed(tmp_path: Path) -> None:
    write_nifti(tmp_path / "a.nii", CUBE)
    results_of_a_run(tmp_path / "deep" / "results")
    decathlon(tmp_path / "deep" / "results")
    found = scan([tmp_path])
    assert ids(found) == ["a"]
    assert found.rejected == ()
    (note,) = found.skipped
    assert (note.code, note.grade, note.path) == ("not-read", "note", tmp_path / "deep" / "results")
    assert "results of a medvision run" in note.message


def test_a_folder_of_results_alone_holds_no_image(tmp_path: Path) -> None:
    results_of_a_run(tmp_path / "results")
    assert codes(scan([tmp_path])) == [("no-image", tmp_path.name)]


@pytest.mark.parametrize("make", [series, decathlon])
def test_results_named_as_the_input_are_rejected_with_what_to_name_instead(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    results_of_a_run(tmp_path / "results")
    make(tmp_path / "results")
    (tmp_path / "m.csv").write_text("image\nresults\n")
    for named in (tmp_path / "results", tmp_path / "m.csv"):
        found = scan([named])
        assert (found.cases, found.skipped) == ((), ())
        assert codes(found) == [("no-image", "results")]
        assert "results of a medvision run" in found.rejected[0].message
        assert "by its name" in str(found.rejected[0].cure)


def test_a_file_among_results_is_read_when_it_is_named(tmp_path: Path) -> None:
    mask = results_of_a_run(tmp_path)
    image = write_nifti(tmp_path / "input" / "b.nii", CUBE)
    (tmp_path / "input" / "cases.csv").write_text("image,side\nb.nii,left\n")
    assert list(load(mask).volumes) == ["mask"]
    assert [case.path for case in scan([tmp_path / "input" / "cases.csv"]).cases] == [image]


def test_a_list_of_cases_inside_a_folder_is_not_used_and_that_is_said(tmp_path: Path) -> None:
    write_nifti(tmp_path / "a.nii", CUBE)
    (tmp_path / "cases.csv").write_text("image,side\na.nii,right\n")
    found = scan([tmp_path])
    assert [case.side for case in found.cases] == [None]
    assert [finding.cure for finding in found.skipped] == [
        "To use what it states (sides, labels), name it as the input."
    ]


@pytest.mark.parametrize("column", ["Side", "SIDE"])
def test_a_column_in_capitals_means_the_same(tmp_path: Path, column: str) -> None:
    write_nifti(tmp_path / "a.nii", CUBE)
    (tmp_path / "cases.csv").write_text(f"Image,{column},Split,Patient\na.nii,right,test,7\n")
    (case,) = scan([tmp_path / "cases.csv"]).cases
    assert (case.side, case.split, case.patient) == ("right", "test", "7")


def test_an_empty_file_without_a_suffix_beside_a_series_marks_it_for_review(tmp_path: Path) -> None:
    write_dicom_series(tmp_path / "s", np.zeros((4, 4, 4), dtype=np.int16), Geometry.from_spacing((1, 1, 1), (4, 4, 4)))
    (tmp_path / "s" / "IM5").write_bytes(b"")
    (case,) = scan([tmp_path / "s"]).cases
    assert [(f.code, f.grade) for f in case.findings] == [("slices-missing", "warning")]
