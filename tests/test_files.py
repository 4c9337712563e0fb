"""A file is whole or absent, whatever happens while it is written."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from PIL import Image

from medvision import files
from medvision.errors import OutputError


def test_a_write_that_fails_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    files.write_text(path, "old")

    def write_half() -> None:
        with files.replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_made_where_it_is_missing(tmp_path: Path) -> None:
    files.write_json(tmp_path / "new" / "a.json", {"ü": 1})
    assert json.loads((tmp_path / "new" / "a.json").read_text(encoding="utf-8")) == {"ü": 1}


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OutputError) as caught:
        files.write_text(tmp_path / "file" / "a.txt", "x")
    assert caught.value.code == "output-unwritable"
    assert caught.value.path == tmp_path / "file" / "a.txt"


def test_a_full_disk_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    with pytest.raises(OutputError, match="No space left"), files.replacing(path):
        raise OSError(28, "No space left on device")
    assert not path.exists()


def test_json_holds_no_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "a.json", float("nan"))


def test_a_figure_says_nothing_of_the_software_that_drew_it(tmp_path: Path) -> None:
    figure = Figure(figsize=(2, 1))
    files.write_figure(tmp_path / "a.png", figure)
    with Image.open(tmp_path / "a.png") as picture:
        assert (picture.format, picture.size) == ("PNG", (240, 120))
        assert "Software" not in picture.info
    assert b"atplotlib" not in (tmp_path / "a.png").read_bytes()


def test_hashes_are_those_of_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"ab")
    (tmp_path / "b").write_bytes(b"c")
    wanted = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files.sha256_of(tmp_path / "a", tmp_path / "b") == wanted
    assert files.sha256_of_bytes(b"a", b"bc") == wanted


def test_names_that_are_no_utf8_have_a_hash_of_their_own() -> None:
    names = [os.fsdecode(name) for name in (b"a\xff", b"a\xfe", b"a")]
    assert len({files.sha256_of_text([name]) for name in names}) == 3
