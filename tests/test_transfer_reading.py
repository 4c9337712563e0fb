"""Weights are read as data from whatever holds them; what is none, is broken or would run code is refused."""

from __future__ import annotations

import argparse
import json
import pickle
import random
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from medvision.errors import PipelineError
from medvision.files import sha256_of
from medvision.networks import save_weights
from medvision.training import checkpoint
from medvision.transfer import Foreign, Origin, locate_weights, read_weights
from medvision.transfer.unwrap import unwrapped

STATE = {"conv1.weight": torch.arange(6.0).reshape(2, 3), "conv1.bias": torch.ones(2)}


def saved(path: Path, content: Any, *, zipped: bool = True) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


def refused(code: str, words: str, source: str | Path, **given: Any) -> None:
    with pytest.raises(PipelineError, match=words) as caught:
        read_weights(source, **given)
    assert caught.value.code == code


class Trap:
    """Runs a command where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


class BuiltinTrap(Trap):
    def __reduce__(self) -> Any:
        return eval, (f"open({str(self.path)!r}, 'w').close()",)


# what is read


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", ["a.pt", "a.pth", "a.ckpt", "a.pth.tar", "a.bin", "weights"])
def test_a_checkpoint_of_either_form_is_read_whatever_its_ending(tmp_path: Path, name: str, zipped: bool) -> None:
    path = saved(tmp_path / name, STATE, zipped=zipped)
    found = read_weights(path)
    assert torch.equal(found.tensors["conv1.weight"], STATE["conv1.weight"])
    assert found.origin == Origin(name, "torch", sha256_of(path), None)
    assert found.parameters == 8


def test_safetensors_are_read_and_told_by_their_content(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "a.pth")
    found = read_weights(str(tmp_path / "a.pth"))
    assert found.origin.kind == "safetensors"
    assert set(found.tensors) == set(STATE)
    assert found.origin.to_json()["chosen"] == []


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: {"state_dict": s, "epoch": 3},
        lambda s: {"model": s, "optimizer": {"state": {0: {"step": torch.ones(1)}}}},
        lambda s: {"network_weights": s, "logging": {}},
        lambda s: {"net": {"model_state_dict": s}},
        lambda s: {"epoch": torch.tensor(3), "network": s},
    ],
)
def test_known_wrappers_are_taken_off(tmp_path: Path, wrap: Any) -> None:
    found = read_weights(saved(tmp_path / "a.pt", wrap(STATE)))
    assert set(found.tensors) == set(STATE)
    assert len(found.origin.chosen) >= 1


def test_an_average_is_preferred_and_what_was_left_is_told(tmp_path: Path) -> None:
    other = {name: tensor + 1 for name, tensor in STATE.items()}
    found = read_weights(saved(tmp_path / "a.pt", {"student": other, "teacher": STATE, "epoch": 1}))
    assert torch.equal(found.tensors["conv1.bias"], STATE["conv1.bias"])
    assert found.origin.chosen == ("'teacher' of the file was taken, not 'student'",)


def test_parts_without_a_known_name_are_joined_and_the_optimiser_s_left_out() -> None:
    deep: Any = {"w": torch.ones(1)}
    for _ in range(12):
        deep = {"a": deep}
    tensors, chosen = unwrapped(
        {"left": {"w": torch.ones(1)}, "optimizer_states": {"m": torch.ones(1)}, 7: torch.ones(1), "deep": deep}
    )
    assert set(tensors) == {"left.w"}
    assert chosen == ()
    assert unwrapped([torch.ones(1)]) == ({}, ())


def test_what_trainings_keep_beside_weights_is_passed_over_and_never_called(tmp_path: Path) -> None:
    beside = {
        "args": argparse.Namespace(lr=1e-3, out=Path("somewhere")),
        "best": np.float64(0.9),
        "flag": np.bool_(True),
        "step": np.int64(3),
        "state_dict": STATE,
    }
    for zipped in (True, False):
        found = read_weights(saved(tmp_path / "a.pth", beside, zipped=zipped))
        assert set(found.tensors) == set(STATE)
    assert "argparse.Namespace" not in str(torch.serialization.get_safe_globals())


def test_a_pipeline_folder_is_read_with_its_licence_and_its_file_as_the_pipeline_s(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    save_file(STATE, folder / "weights.safetensors")
    card = {"sha256": sha256_of(folder / "weights.safetensors"), "licence": "CC-BY-4.0"}
    (folder / "weights.json").write_text(json.dumps(card))
    for source in (folder, folder / "weights.safetensors"):
        origin = read_weights(source).origin
        assert (origin.source, origin.kind, origin.licence) == ("mine", "pipeline", "CC-BY-4.0")
    (folder / "weights.json").write_text(json.dumps(card | {"sha256": "0" * 64}))
    refused("weights-mismatch", "not the one that its card describes", folder)


def test_a_folder_without_card_is_what_its_file_says(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "weights.safetensors")
    assert read_weights(tmp_path).origin.kind == "safetensors"
    save_weights(tmp_path / "weights.safetensors", torch.nn.Linear(2, 1))
    assert read_weights(tmp_path).origin.kind == "pipeline"


def test_our_own_files_are_known_without_their_card(tmp_path: Path) -> None:
    network = torch.nn.Linear(2, 1)
    save_weights(tmp_path / "final.safetensors", network)
    assert (found := read_weights(tmp_path / "final.safetensors")).origin.kind == "pipeline"
    assert found.axes_are_ours
    assert set(found.tensors) == {"weight", "bias"}
    checkpoint.save_best(tmp_path, network, checkpoint.TrainingState(), before=checkpoint.TrainingState())
    assert (found := read_weights(tmp_path / "best.safetensors")).origin.kind == "checkpoint"
    assert found.axes_are_ours
    assert set(found.tensors) == {"weight", "bias"}


@pytest.mark.parametrize("averaged", [True, False])
def test_of_a_checkpoint_of_ours_the_average_is_taken_where_it_keeps_one(tmp_path: Path, averaged: bool) -> None:
    network, kept = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)
    optimiser = torch.optim.AdamW(network.parameters())
    network(torch.ones(1, 2)).sum().backward()
    optimiser.step()
    checkpoint.save(tmp_path, network, kept if averaged else network, optimiser, checkpoint.TrainingState())
    found = read_weights(tmp_path / "last.safetensors")
    wanted = kept if averaged else network
    assert {name: tensor.tolist() for name, tensor in found.tensors.items()} == {
        name: tensor.tolist() for name, tensor in wanted.state_dict().items()
    }
    assert len(found.origin.chosen) == 1
    assert ("average" in found.origin.chosen[0]) is averaged


def test_a_file_is_located_with_its_hash_before_any_tensor_is_read(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    saved(tmp_path / "models" / "model.pt", STATE)
    found = locate_weights(tmp_path)
    assert (found.path, found.card) == (tmp_path / "models" / "model.pt", None)
    assert found.origin.sha256 == sha256_of(found.path) == read_weights(tmp_path).origin.sha256
    (tmp_path / "text.pt").write_text("no weights")
    assert locate_weights(tmp_path / "text.pt").origin.sha256 == sha256_of(tmp_path / "text.pt")


@pytest.mark.parametrize(
    ("place", "text", "licence"),
    [
        ("configs/metadata.json", '{"license": "Apache-2.0"}', "Apache-2.0"),
        ("LICENSE", "\n\nMIT License\n\nall of it", "MIT License"),
        ("configs/metadata.json", '{"license": 3}', None),
        ("configs/metadata.json", "[1", None),
        ("configs/metadata.json", "[1]", None),
        ("configs/inference.json", '{"imports": "$print(1)"}', None),
    ],
)
def test_a_bundle_is_read_and_its_configuration_never_evaluated(
    tmp_path: Path, place: str, text: str, licence: str | None
) -> None:
    folder = tmp_path / "bundle"
    for path in (folder / "models", (folder / place).parent):
        path.mkdir(parents=True, exist_ok=True)
    saved(folder / "models" / "model.pt", STATE)
    (folder / place).write_text(text)
    origin = read_weights(folder).origin
    assert (origin.source, origin.kind, origin.licence) == ("bundle", "bundle", licence)


# what is refused


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(("trap", "named"), [(Trap, "pathlib.*Path.touch|getattr"), (BuiltinTrap, "eval")])
def test_a_file_that_would_run_code_is_refused_and_runs_nothing(
    tmp_path: Path, trap: Any, named: str, zipped: bool
) -> None:
    mark = tmp_path / "ran"
    path = saved(tmp_path / "a.pth", {"state_dict": STATE, "x": trap(mark)}, zipped=zipped)
    refused("weights-unsafe", f"would call ({named}).*nothing of it was run", path)
    assert not mark.exists()


def test_a_bare_pickle_that_would_run_code_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    for protocol in (2, 4):
        (tmp_path / "a.bin").write_bytes(pickle.dumps(BuiltinTrap(mark), protocol=protocol))
        with pytest.raises(PipelineError, match=r"weights-(unsafe|unreadable)"):
            read_weights(tmp_path / "a.bin")
        assert not mark.exists()


def test_a_harmless_name_cannot_be_used_to_call_something(tmp_path: Path) -> None:
    mark = tmp_path / "ran"

    class Args:
        def __reduce__(self) -> Any:
            return argparse.Namespace, (), {"__class__": 1, "x": mark}

    path = saved(tmp_path / "a.pth", {"state_dict": STATE, "args": Args()})
    assert set(read_weights(path).tensors) == set(STATE)
    (tmp_path / "b.pth").write_bytes(b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.")
    refused("weights-unsafe", r"would call os\.system; nothing of it was run", tmp_path / "b.pth")


def test_a_module_stored_whole_is_refused_by_its_class(tmp_path: Path) -> None:
    refused(
        "weights-unsafe",
        r"would call torch\.nn\.modules\.linear\.Linear",
        saved(tmp_path / "a.pt", torch.nn.Linear(2, 2)),
    )


def test_a_torchscript_program_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("a/constants.pkl", b"")
        archive.writestr("a/code/x.py", b"")
    refused("weights-unsafe", "TorchScript", tmp_path / "a.pt")


def test_a_compressed_or_a_large_archive_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pt", {"w": torch.zeros(10_000)})
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "b.pt", "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.namelist():
            new.writestr(member, old.read(member))
    refused("weights-unreadable", "compressed", tmp_path / "b.pt")
    refused("weights-unreadable", "at most 1,000 are read", path, limit_bytes=1000)
    with zipfile.ZipFile(tmp_path / "c.pt", "w") as new:
        new.writestr("a/data.pkl", b"0" * 900)
    refused("weights-unreadable", "no whole checkpoint", tmp_path / "c.pt")


def test_a_directory_of_an_archive_that_lies_about_sizes_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pt", {"w": torch.zeros(16)})
    content = bytearray(path.read_bytes())
    place = content.index(b"PK\x01\x02")
    content[place + 20 : place + 28] = struct.pack("<II", 2**31, 2**31)
    (tmp_path / "b.pt").write_bytes(content)
    refused("weights-unreadable", "unpacks to more", tmp_path / "b.pt", limit_bytes=1 << 30)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_truncated_or_damaged_checkpoint_is_refused_and_never_half_read(tmp_path: Path, zipped: bool) -> None:
    whole = saved(tmp_path / "a.pt", {"state_dict": STATE}, zipped=zipped).read_bytes()
    path = tmp_path / "b.pt"
    for share in (1, 2, 10, 40, 70, 90, 99):
        path.write_bytes(whole[: len(whole) * share // 100])
        with pytest.raises(PipelineError, match=r"weights-(unreadable|unsafe)"):  # half a name is not a known one
            read_weights(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_with_changed_bytes_is_read_or_refused_and_nothing_else(tmp_path: Path, zipped: bool) -> None:
    whole = saved(tmp_path / "a.pt", {"state_dict": STATE}, zipped=zipped).read_bytes()
    path = tmp_path / "b.pt"
    chance = random.Random(0)
    codes = set()
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(3):
            damaged[chance.randrange(len(whole) // 2)] = chance.randrange(256)
        path.write_bytes(damaged)
        try:
            read_weights(path)
        except PipelineError as error:
            codes.add(error.code)
    assert "weights-unreadable" in codes
    assert codes <= {"weights-unreadable", "weights-unsafe"}


def test_a_damaged_archive_directory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "a.pt", STATE)

    def broken(*_: Any) -> Any:
        raise zipfile.BadZipFile

    monkeypatch.setattr(zipfile.ZipFile, "infolist", broken)
    refused("weights-unreadable", "archive is damaged", path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"nonsense",
        b"<!doctype html><p>Log in</p>",
        struct.pack("<Q", 2**60) + b"{}",
        struct.pack("<Q", 10**9) + b"{" * 64,
    ],
    ids=["empty", "short", "text", "page", "header of an exabyte", "header longer than the file"],
)
def test_what_is_no_file_of_weights_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.safetensors").write_bytes(content)
    refused("weights-unreadable", "neither a whole safetensors file", tmp_path / "a.safetensors")


def test_a_truncated_safetensors_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file(STATE, path)
    path.write_bytes(path.read_bytes()[:-4])
    refused("weights-unreadable", "neither a whole safetensors file", path)


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        (torch.tensor([1.0, float("nan")]), "not all finite"),
        (torch.tensor([float("inf")]), "not all finite"),
        (torch.zeros(1).expand(10**9), "more numbers than the file holds"),
        (torch.zeros(2, dtype=torch.complex64), "only plain arrays"),
        (torch.eye(2).to_sparse(), "only plain arrays"),
        (torch.zeros(2, device="meta"), "only plain arrays"),
    ],
)
def test_numbers_that_are_no_weights_are_refused_with_the_tensor_s_name(odd: Any, words: str) -> None:
    with pytest.raises(PipelineError, match=f"'bad.weight': .*{words}"):
        Foreign({**STATE, "bad.weight": odd}, Origin("a", "torch", "0", None))


def test_refusals_name_the_file_and_a_file_without_tensors_is_one(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pt", {"epoch": 3})
    with pytest.raises(PipelineError, match="holds no tensors") as caught:
        read_weights(path)
    assert caught.value.path == path


def test_a_name_without_file_and_a_folder_without_weights_are_refused(tmp_path: Path) -> None:
    refused("weights-missing", "no such file or folder", tmp_path / "none.pt")
    refused("weights-missing", "no trained pipeline", tmp_path)


def test_reading_leaves_the_caller_s_warnings_and_allowed_classes_alone(tmp_path: Path) -> None:
    import warnings

    before = warnings.filters[:], set(torch.serialization.get_safe_globals())
    read_weights(saved(tmp_path / "a.pt", STATE))
    assert (warnings.filters[:], set(torch.serialization.get_safe_globals())) == before


# a safetensors file whose first bytes could be those of something else


@pytest.mark.parametrize("length", [640, 896, 1152, 1408, 19280, 640 + 65536, 35615])
def test_a_header_whose_length_looks_like_another_kind_of_file_is_read_as_what_it_is(
    tmp_path: Path, length: int
) -> None:
    path = tmp_path / "weights.safetensors"
    header = {"a.weight": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "__metadata__": {"note": ""}}
    header["__metadata__"]["note"] = "x" * (length - len(json.dumps(header)))
    text = json.dumps(header).encode()
    assert len(text) == length
    path.write_bytes(struct.pack("<Q", length) + text + np.array([1.5, -2.0], "<f4").tobytes())
    found = read_weights(path)
    assert found.origin.kind == "safetensors"
    assert found.tensors["a.weight"].tolist() == [1.5, -2.0]


def test_an_archive_of_a_newer_form_is_refused_as_that_and_not_as_damaged(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pt", {"weight": torch.zeros(2)})
    content = bytearray(path.read_bytes())
    entry = content.index(b"PK\x01\x02")  # of the central directory; two bytes on, the version that is needed to read
    content[entry + 6 : entry + 8] = struct.pack("<H", 99)
    path.write_bytes(content)
    refused("weights-unreadable", "newer than this Python's zipfile", path)


@pytest.mark.parametrize(
    ("content", "words", "cure"),
    [
        (b"\x93NUMPY\x01\x00", "an array of numpy", "medvision train PIPELINE DATA"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes", "Store its tensors as safetensors"),
        (b"GGUF\x03\x00\x00\x00", "a GGUF file", "Store its tensors as safetensors"),
        (b"\x1f\x8b\x08\x00", "a file packed by gzip", "Unpack it"),
        (b"\x89PNG\r\n\x1a\n", "a picture", "medvision run"),
        (b"\xff\xd8\xff\xe0", "a picture", "medvision run"),
        (bytes(128) + b"DICM", "a DICOM file", "medvision run"),
    ],
)
def test_a_file_of_another_kind_is_refused_as_what_it_is_with_its_own_cure(
    tmp_path: Path, content: bytes, words: str, cure: str
) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    refused("weights-unreadable", words, path)
    with pytest.raises(PipelineError, match="weights-unreadable") as caught:
        read_weights(path)
    assert cure in str(caught.value.finding.cure)


def test_an_archive_of_arrays_is_refused_as_data_and_a_checkpoint_of_arrays_is_none(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", train_images=np.zeros((2, 4, 4), np.uint8), train_labels=np.zeros(2))
    refused("weights-unreadable", r"numpy arrays \(\.npz\)", tmp_path / "data.npz")
    with zipfile.ZipFile(tmp_path / "empty.pt", "w"):
        pass
    refused("weights-unreadable", "no whole checkpoint", tmp_path / "empty.pt")


def test_what_the_traps_of_these_tests_hold_would_run_where_a_file_is_unpickled(tmp_path: Path) -> None:
    """Else that nothing ran would say nothing."""
    for trap in (Trap, BuiltinTrap):
        mark = tmp_path / trap.__name__
        pickle.loads(pickle.dumps(trap(mark)))
        assert mark.exists()


def test_a_file_in_a_bundle_that_would_run_code_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    (tmp_path / "models").mkdir()
    saved(tmp_path / "models" / "model.pt", {"state_dict": STATE, "x": Trap(mark)})
    refused("weights-unsafe", "nothing of it was run", tmp_path)
    assert not mark.exists()
