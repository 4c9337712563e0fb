"""The cache of engines: what is kept, what is not served, and what it does without a place to keep anything."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from medvision.engines import Cache, Model, cache, open_engine, user_cache
from medvision.engines.cache import NOTHING_KEPT

KEY = {"what": "numbers"}
NUMBERS = {"numbers": np.arange(8, dtype=np.float32)}
IMAGE = np.random.default_rng(0).normal(size=(1, 8, 8, 8)).astype(np.float32)


def module() -> Any:
    torch.manual_seed(0)
    return nn.Conv3d(1, 2, 3).eval()


def never() -> Any:
    raise RuntimeError("the network was built")


def entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def test_what_is_kept_is_found_by_a_later_cache_of_the_folder(tmp_path: Path) -> None:
    assert Cache(tmp_path / "new").load(KEY) is None
    Cache(tmp_path / "new").save(KEY, NUMBERS)
    found = Cache(tmp_path / "new").load(dict(KEY))
    assert found is not None
    assert np.array_equal(found["numbers"], NUMBERS["numbers"])
    assert Cache(tmp_path / "new").load({"what": "others"}) is None


@pytest.mark.parametrize("changed", ["torch", "openvino", "medvision-toolkit", "onnxruntime"])
def test_another_version_finds_nothing(changed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Cache(tmp_path).save(KEY, NUMBERS)
    before = cache.version_of
    monkeypatch.setattr(cache, "version_of", lambda name: "0.0" if name == changed else before(name))
    assert Cache(tmp_path).load(KEY) is None


def test_another_processor_finds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Cache(tmp_path).save(KEY, NUMBERS)
    monkeypatch.setattr(cache, "processor", lambda: "another")
    assert Cache(tmp_path).load(KEY) is None


def test_a_cut_a_damaged_and_a_renamed_entry_are_not_served(tmp_path: Path) -> None:
    kept = Cache(tmp_path)
    kept.save(KEY, NUMBERS)
    (path,) = entries(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    assert kept.load(KEY) is None
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert kept.load(KEY) is None
    path.write_bytes(whole)
    assert kept.load(KEY) is not None
    kept.save({"what": "others"}, {"numbers": np.zeros(1)})
    (other,) = set(entries(tmp_path)) - {path}
    path.replace(other)
    assert kept.load({"what": "others"}) is None


def test_entries_that_were_not_used_for_longest_make_room(tmp_path: Path) -> None:
    kept = Cache(tmp_path, limit_bytes=40_000)
    for number in range(3):
        kept.save({"what": str(number)}, {"numbers": np.zeros(10_000, np.uint8)})
        os.utime(kept._path({"what": str(number)}), (number, number))
    assert kept.load({"what": "0"}) is not None  # used, and so the newest
    kept.save({"what": "3"}, {"numbers": np.zeros(10_000, np.uint8)})
    assert [kept.load({"what": str(number)}) is not None for number in range(4)] == [True, False, True, True]


def test_what_is_larger_than_the_cache_is_not_kept(tmp_path: Path) -> None:
    kept = Cache(tmp_path, limit_bytes=1000)
    kept.save(KEY, {"small": np.zeros(10, np.uint8)})
    kept.save({"what": "large"}, {"large": np.zeros(1001, np.uint8)})
    assert kept.load(KEY) is not None
    assert kept.load({"what": "large"}) is None


def test_a_folder_that_cannot_be_made_keeps_nothing_and_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    kept = Cache(tmp_path / "file" / "engines")
    kept.save(KEY, NUMBERS)
    assert kept.load(KEY) is None
    built = module()
    wanted = list(open_engine("openvino-fp32", Model(lambda: built, "one", "segmentation")).over([IMAGE]))
    found = list(open_engine("openvino-fp32", Model(lambda: built, "one", "segmentation"), cache=kept).over([IMAGE]))
    assert np.array_equal(found, wanted)


def test_nothing_is_kept_without_a_folder() -> None:
    NOTHING_KEPT.save(KEY, NUMBERS)
    assert NOTHING_KEPT.load(KEY) is None
    assert not NOTHING_KEPT.keeps


def test_the_cache_of_the_user_lies_where_the_desktop_specification_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    assert user_cache().folder == tmp_path / "elsewhere" / "medvision" / "engines"
    for ignored in ("", "relative/folder"):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert user_cache().folder == tmp_path / ".cache" / "medvision" / "engines"

    def homeless() -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", homeless)
    assert user_cache() == NOTHING_KEPT


@pytest.mark.parametrize("name", ["openvino-fp32", "onnx-fp32"])
def test_a_model_from_the_cache_needs_no_network_and_gives_the_same_bits(name: str, tmp_path: Path) -> None:
    kept = Cache(tmp_path)
    first = list(open_engine(name, Model(module, "one", "segmentation"), cache=kept).over([IMAGE]))
    again = list(open_engine(name, Model(never, "one", "segmentation"), threads=2, cache=kept).over([IMAGE]))
    bare = list(open_engine(name, Model(module, "one", "segmentation")).over([IMAGE]))
    assert np.array_equal(first, again)
    assert np.array_equal(first, bare)
    for identity, image in (("two", IMAGE), ("one", IMAGE[:, :6])):
        with pytest.raises(RuntimeError, match="the network was built"):
            list(open_engine(name, Model(never, identity, "segmentation"), cache=kept).over([image]))


@pytest.mark.parametrize("harm", [lambda path: path.write_bytes(path.read_bytes()[:-9]), lambda path: path.unlink()])
def test_each_damaged_entry_is_made_again(harm: Any, tmp_path: Path) -> None:
    kept = Cache(tmp_path)
    said = list(open_engine("openvino-fp32", Model(module, "one", "segmentation"), cache=kept).over([IMAGE]))
    before = set(entries(tmp_path))
    assert len(before) == 2  # the converted model and the compiled one
    for path in before:
        harm(path)
    again = list(open_engine("openvino-fp32", Model(module, "one", "segmentation"), cache=kept).over([IMAGE]))
    assert np.array_equal(said, again)
    assert set(entries(tmp_path)) == before
    kept_now = list(open_engine("openvino-fp32", Model(never, "one", "segmentation"), cache=kept).over([IMAGE]))
    assert np.array_equal(said, kept_now), "and is whole again"


def test_a_compiled_model_that_openvino_refuses_is_compiled_again(tmp_path: Path) -> None:
    kept = Cache(tmp_path)
    said = list(open_engine("openvino-fp32", Model(module, "one", "segmentation"), cache=kept).over([IMAGE]))
    key = {"what": "openvino compiled", "network": "one", "shape": str(IMAGE.shape), "precision": "fp32"}
    assert kept.load(key) is not None
    kept.save(key, {"blob": np.zeros(100, np.uint8)})  # whole, but no model
    again = list(open_engine("openvino-fp32", Model(never, "one", "segmentation"), cache=kept).over([IMAGE]))
    assert np.array_equal(said, again)


def test_a_later_process_opens_a_kept_model_without_torch(tmp_path: Path) -> None:
    said = list(open_engine("openvino-fp32", Model(module, "one", "segmentation"), cache=Cache(tmp_path)).over([IMAGE]))
    np.save(tmp_path / "image.npy", IMAGE)
    script = f"""
import sys
from pathlib import Path
import numpy as np
from medvision.engines import Cache, Model, open_engine
folder = Path({str(tmp_path)!r})
engine = open_engine("openvino-fp32", Model(lambda: None, "one", "segmentation"), cache=Cache(folder))
np.save(folder / "said.npy", next(engine.over([np.load(folder / "image.npy")])))
print(sorted({{"torch", "monai", "openvino_telemetry"}} & set(sys.modules)))
"""
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"
    assert np.array_equal(np.load(tmp_path / "said.npy"), said[0])
