"""A sealed file gives back what was written, or says that it does not."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from medvision import sealed
from medvision.errors import OutputError
from medvision.networks import save_weights

KINDS = st.sampled_from([np.float32, np.float64, np.int32, np.int64, np.uint8, np.bool_])
ARRAYS = st.dictionaries(
    st.text("abc.xyz", min_size=1, max_size=8),
    KINDS.flatmap(lambda kind: hnp.arrays(kind, hnp.array_shapes(min_dims=0, max_dims=3, max_side=4))),
    max_size=4,
)
FACTS = st.dictionaries(
    st.text(max_size=6).filter(lambda name: name not in ("sha256", sealed.MARK)), st.text(max_size=12), max_size=3
)


def bits(arrays: dict[str, NDArray[Any]]) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    return {name: (array.dtype.str, array.shape, array.tobytes()) for name, array in arrays.items()}


@settings(max_examples=60, deadline=None)
@given(arrays=ARRAYS, facts=FACTS)
def test_what_was_saved_is_loaded_bit_by_bit(
    arrays: dict[str, NDArray[Any]], facts: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("sealed") / "a.safetensors"
    sealed.save(path, arrays, facts, synced=False)
    found, told = sealed.load(path)
    assert (bits(found), told) == (bits(arrays), facts)


def test_a_turned_array_is_saved_as_it_is_seen(tmp_path: Path) -> None:
    turned = np.arange(6.0).reshape(2, 3).T[::-1]
    sealed.save(tmp_path / "a", {"x": turned}, {})
    assert np.array_equal(sealed.load(tmp_path / "a")[0]["x"], turned)


@pytest.mark.parametrize("size", [0, 1, 8, 60, -1])
def test_a_file_that_is_cut_short_is_found_out(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a"
    sealed.save(path, {"x": np.arange(50)}, {"a": "b"})
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(sealed.SealBrokenError, match="missing or cut short"):
        sealed.load(path)


def test_every_bit_that_turns_in_the_arrays_is_found_out(tmp_path: Path) -> None:
    path = tmp_path / "a"
    sealed.save(path, {"x": np.arange(3, dtype=np.uint8)}, {})
    whole = path.read_bytes()
    for place in range(1, 4):
        path.write_bytes(whole[: len(whole) - place] + bytes([whole[-place] ^ 4]) + whole[len(whole) - place + 1 :])
        with pytest.raises(sealed.SealBrokenError, match="SHA-256"):
            sealed.load(path)


@pytest.mark.parametrize("facts", [None, {}, {"a": "c"}, {"a": "b", "sha256": "0" * 64}])
def test_a_file_without_its_seal_or_with_other_facts_is_found_out(tmp_path: Path, facts: dict[str, str] | None) -> None:
    if facts == {"a": "c"}:
        sealed.save(tmp_path / "a", {"x": np.arange(3)}, {"a": "b"})
        content = (tmp_path / "a").read_bytes()
        (tmp_path / "a").write_bytes(content.replace(b'"a":"b"', b'"a":"c"'))
    else:
        save_file({"x": np.arange(3)}, tmp_path / "a", facts)
    with pytest.raises(sealed.SealBrokenError, match="SHA-256"):
        sealed.load(tmp_path / "a")


def test_a_missing_file_is_found_out_whole_or_in_part(tmp_path: Path) -> None:
    with pytest.raises(sealed.SealBrokenError):
        sealed.load(tmp_path / "none")
    with pytest.raises(sealed.SealBrokenError):
        sealed.part(tmp_path / "none", "x", (slice(None),))


def test_a_part_is_what_the_whole_has_there_and_an_unknown_name_is_an_error(tmp_path: Path) -> None:
    array = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    sealed.save(tmp_path / "a", {"x": array}, {})
    where = (slice(1, 3), slice(None), slice(2, 4))
    assert np.array_equal(sealed.part(tmp_path / "a", "x", where), array[where])
    with pytest.raises(sealed.SealBrokenError):
        sealed.part(tmp_path / "a", "y", where)


def test_a_file_that_cannot_be_written_is_an_error_and_leaves_the_old_one(tmp_path: Path) -> None:
    sealed.save(tmp_path / "a", {"x": np.arange(3)}, {})
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        sealed.save(tmp_path / "file" / "a", {"x": np.arange(4)}, {})
    with pytest.raises(SafetensorError):
        sealed.save(tmp_path / "a", {"x": np.array(["text"])}, {})
    assert sealed.load(tmp_path / "a")[0]["x"].tolist() == [0, 1, 2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "file"]


@pytest.mark.parametrize("kind", ["sealed", "weights"])
def test_a_full_disk_is_told_as_an_error_of_the_output_and_leaves_the_old_file(tmp_path: Path, kind: str) -> None:
    path, large = tmp_path / "a.safetensors", 1 << 16

    def save(count: int) -> None:
        if kind == "sealed":
            sealed.save(path, {"x": np.zeros(count, np.float32)}, {})
        else:
            save_weights(path, torch.nn.Linear(count, 1))

    save(4)
    before, (soft, hard) = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (large, hard))
    try:
        with pytest.raises(OutputError, match="writing failed") as caught:
            save(large)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (caught.value.code, caught.value.path) == ("output-unwritable", path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.safetensors"]


def test_our_files_are_marked_and_the_mark_is_no_fact(tmp_path: Path) -> None:
    sealed.save(tmp_path / "a", {"x": np.arange(3)}, {"a": "b"})
    save_weights(tmp_path / "b", torch.nn.Linear(2, 1))
    for name in ("a", "b"):
        with safe_open(tmp_path / name, framework="np") as file:
            assert sealed.MARK in file.metadata()
    assert sealed.load(tmp_path / "a")[1] == sealed.facts_of(tmp_path / "a") == {"a": "b"}


def test_facts_are_read_without_the_arrays(tmp_path: Path) -> None:
    path = tmp_path / "a"
    sealed.save(path, {"x": np.arange(50)}, {"a": "b"})
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert sealed.facts_of(path) == {"a": "b"}, "the seal is not checked"
    for damaged in (content[:-1], b""):
        path.write_bytes(damaged)
        with pytest.raises(sealed.SealBrokenError, match="missing or cut short"):
            sealed.facts_of(path)
