"""Cases, their names and their hashes."""

from __future__ import annotations

import os
import pickle
import time
from pathlib import Path

import pytest

from medvision.errors import InputError, UsageError
from medvision.files import sha256_of, sha256_of_text
from medvision.study import AS_IT_STANDS, Case, Collection, Flags, Numbers, Reading, Source, by_image, safe_id


def source(folder: Path, name: str, content: bytes = b"voxels") -> Source:
    path = folder / name
    path.write_bytes(content)
    return Source("nifti", (path,))


def test_a_case_needs_a_name_that_can_be_a_file(tmp_path: Path) -> None:
    for bad in ("Doe/Jane", "Doe Jane", ".Doe", "-Doe", "Doe" * 41, ""):
        with pytest.raises(InputError, match="cannot name an output: it has 1 to 120 letters") as caught:
            Case(bad, (source(tmp_path, "a"),))
        assert "Doe" not in str(caught.value)  # ids of a list can be the names of patients


def test_a_case_and_a_source_need_an_image() -> None:
    with pytest.raises(InputError, match="names no image"):
        Case("a", ())
    with pytest.raises(InputError, match="at least one file"):
        Source("nifti", ())


@pytest.mark.parametrize(("word", "side"), [("left", "left"), ("R", "right"), (" Right ", "right")])
def test_a_side_is_understood_in_the_usual_words(tmp_path: Path, word: str, side: str) -> None:
    assert Case("a", (source(tmp_path, "a"),), attributes={"side": word}).side == side


def test_a_side_in_other_words_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'left' or 'right'"):
        Case("a", (source(tmp_path, "a"),), attributes={"side": "both"})


def test_the_digest_follows_content_side_and_modality_not_the_name(tmp_path: Path) -> None:
    one, same, other = (source(tmp_path, n, c) for n, c in (("1", b"x"), ("2", b"x"), ("3", b"y")))
    assert Case("a", (one,)).digest() == Case("b", (same,)).digest()
    assert Case("a", (one,)).digest() != Case("a", (other,)).digest()
    assert Case("a", (one,)).digest() != Case("a", (one,), attributes={"side": "left"}).digest()
    assert Case("a", (one,)).digest() != Case("a", (one,), modality="MR").digest()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e39])
def test_what_stands_for_nan_is_a_number_of_float32(value: float) -> None:
    with pytest.raises(UsageError, match="cannot stand for voxels that are NaN"):
        Reading(nan_to=value)


def test_one_choice_in_other_words_is_the_same_reading(tmp_path: Path) -> None:
    readings = [Reading(nan_to=value) for value in (0, 0.0, -0.0)]
    assert len(set(readings)) == 1
    file = source(tmp_path, "a").files
    assert len({Source("nifti", file, reading=reading).digest() for reading in readings}) == 1


def test_only_what_was_chosen_counts_for_the_digest(tmp_path: Path) -> None:
    file = source(tmp_path, "a").files
    digests = {
        Source("nifti", file, part=part, reading=reading).digest()
        for part in (None, 0, 1)
        for reading in (
            AS_IT_STANDS,
            Reading(nan_to=0),
            Reading(nan_to=1),
            Reading(suv=False),
            Reading(assume_ras=True),
        )
    }
    assert len(digests) == 15
    assert Source("nifti", file).digest() == sha256_of(*file)
    # A digest of a version that knew less to choose from: it says nothing of what was left as it is.
    known = sha256_of_text([sha256_of(*file), "1", "nan_to=0.0"])
    assert Source("nifti", file, part=1, reading=Reading(nan_to=0)).digest() == known


def test_volumes_are_one_image_by_its_name_and_not_by_their_own(tmp_path: Path) -> None:
    image = (source(tmp_path, "a"),)
    names = [("bold", None), ("bold-v001", "bold"), ("bold-v001_brain", None), ("bold-v002", "bold")]
    cases = [Case(name, image, image=held) for name, held in names]
    grouped = [[case.id for case in volumes] for volumes in by_image(cases)]
    assert grouped == [["bold"], ["bold-v001", "bold-v002"], ["bold-v001_brain"]]


def test_a_file_is_hashed_once_until_it_changes_and_anew_while_it_may_still_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[Path] = []

    def counted(*paths: Path) -> str:
        hashed.extend(paths)
        return sha256_of(*paths)

    monkeypatch.setattr("medvision.study.sha256_of", counted)
    path = tmp_path / "a.nii"
    path.write_bytes(b"one")
    image = Source("nifti", (path,))
    just_now = time.time()
    os.utime(path, (just_now, just_now))
    before = image.digest()
    path.write_bytes(b"two")  # a file system may keep whole seconds: the time is the same, and so is the size
    os.utime(path, (just_now, just_now))
    assert image.digest() != before
    hashed.clear()
    for long_ago in (just_now - 3600, just_now + 3600):
        os.utime(path, (long_ago, long_ago))
        assert image.digest() == image.digest() == sha256_of(path)
    assert len(hashed) == 2
    path.write_bytes(b"six")
    os.utime(path, (just_now - 1800, just_now - 1800))
    assert image.digest() == sha256_of(path)


def test_pictures_in_one_archive_have_digests_of_their_own(tmp_path: Path) -> None:
    path = source(tmp_path, "a.npz").path
    first, second = (Source("npz", (path,), ("train_images", number)) for number in (0, 1))
    assert first.digest() != second.digest()


def test_a_series_lies_in_its_folder_and_a_file_is_itself(tmp_path: Path) -> None:
    first, second = source(tmp_path, "1.dcm").path, source(tmp_path, "2.dcm").path
    assert Source("dicom", (first, second)).path == tmp_path
    assert Source("dicom", (first,)).path == first


def test_collections_merge_in_the_order_of_ids(tmp_path: Path) -> None:
    cases = [Case(name, (source(tmp_path, name),)) for name in ("b", "a")]
    merged = Collection((cases[0],)).merged([Collection((cases[1],))])
    assert [case.id for case in merged.cases] == ["a", "b"]


def test_a_safe_id_is_never_hidden_nor_endless() -> None:
    assert safe_id("../.secret") == "_.secret"
    assert len(safe_id("x" * 5000)) == 120


def test_a_case_goes_to_another_process_and_stays_what_it_is(tmp_path: Path) -> None:
    case = Case("a", (source(tmp_path, "a"),), label=2, patient="p", attributes={"side": "left", "sex": "f"})
    other = pickle.loads(pickle.dumps(case))
    assert other == case
    with pytest.raises(TypeError):
        other.attributes["side"] = "right"


def test_an_empty_text_is_no_patient_and_a_patient_is_no_case() -> None:
    image = (Source("picture", (Path("a.png"),)),)
    assert [Case("7", image, patient=text).patient for text in (None, "", "  ")] == [None] * 3
    assert Case("7", image, patient="").patient_key == "case 7"
    assert Case("7", image, patient="7").patient_key == Case("8", image, patient="7").patient_key == "patient 7"


def test_a_patient_is_the_same_however_unicode_writes_the_name() -> None:
    image = (Source("picture", (Path("a.png"),)),)
    ways = ("Jos\u00e9", "Jose\u0301", "Jose\u0301\u200b", "\uff2aos\u00e9")
    cases = [Case(f"c{number}", image, patient=way) for number, way in enumerate(ways)]
    assert {case.patient for case in cases} == {"Jos\u00e9"}
    assert {case.patient_key for case in cases} == {"patient Jos\u00e9"}
    assert Case("7", image, patient="\u200b").patient_key == "case 7"


def test_the_numbers_of_a_case_are_its_class_its_labels_or_its_values() -> None:
    image = (Source("picture", (Path("a.png"),)),)
    labels = (None, image[0], 3, Flags((True, None, False, True)), Numbers((2.5, None), unknown=(1,)))
    assert [Case("a", image, label=label).stated for label in labels] == [(), (), (3.0,), (0.0, 3.0), (2.5,)]
