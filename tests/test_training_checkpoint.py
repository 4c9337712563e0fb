"""Where a training stands survives a round trip, and a damaged checkpoint gives way to the one before."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from medvision import sealed
from medvision.errors import PipelineError
from medvision.training import checkpoint, seconds_spent
from medvision.training.checkpoint import TrainingState


def network(seed: int = 0) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def optimiser_of(one: Any, kind: str = "adamw") -> Any:
    if kind == "sgd":
        return torch.optim.SGD(one.parameters(), lr=0.1, momentum=0.9)
    return torch.optim.AdamW(one.parameters(), lr=0.1)


def stepped(one: Any, optimiser: Any, steps: int = 2) -> None:
    for number in range(steps):
        one(torch.full((4, 3), 1.0 + number) * torch.arange(4.0)[:, None]).square().sum().backward()
        optimiser.step()
        optimiser.zero_grad()


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


ROW = st.dictionaries(st.sampled_from(["loss", "score", "seconds_data"]), st.floats(allow_nan=False, width=64))
ROWS = st.lists(ROW, max_size=3).map(tuple)


@settings(max_examples=15, deadline=None)
@given(
    st.builds(
        TrainingState,
        st.none(),
        epoch=st.integers(0, 10**6),
        share=st.floats(0, 1),
        best=st.one_of(st.none(), st.floats(-1e6, 1e6)),
        best_epoch=st.integers(0, 99),
        seconds=st.floats(0, 1e9),
        rows=ROWS,
        shares=st.lists(st.floats(0, 1), max_size=3).map(tuple),
    )
)
def test_how_far_a_training_is_survives_a_round_trip(
    tmp_path_factory: pytest.TempPathFactory, state: TrainingState
) -> None:
    folder, one = tmp_path_factory.mktemp("checkpoint"), nn.Linear(1, 1)
    optimiser = torch.optim.SGD(one.parameters(), lr=0.1)
    checkpoint.save(folder, one, one, optimiser, state)
    assert checkpoint.load(folder, one, one, optimiser) == (state, ())
    assert seconds_spent(folder) == state.seconds


def test_the_checkpoint_of_another_training_is_refused_and_so_are_its_best_weights(tmp_path: Path) -> None:
    one = nn.Linear(1, 1)
    optimiser, state = torch.optim.SGD(one.parameters(), lr=0.1), TrainingState("mine", best=1.0, best_epoch=1)
    checkpoint.save(tmp_path, one, one, optimiser, state)
    checkpoint.save_best(tmp_path, one, state, before=TrainingState("mine"))
    for other in ("yours", None):
        with pytest.raises(PipelineError, match="belongs to another training") as caught:
            checkpoint.load(tmp_path, one, one, optimiser, identity=other)
        assert (caught.value.code, caught.value.path) == ("weights-mismatch", tmp_path / checkpoint.LAST)
    with pytest.raises(sealed.SealBrokenError, match="of another epoch"):
        checkpoint.load_best(tmp_path, one, TrainingState("yours", best=1.0, best_epoch=1))
    assert checkpoint.load(tmp_path, one, one, optimiser, identity="mine") == (state, ())
    checkpoint.load_best(tmp_path, one, state)


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_network_average_and_optimiser_go_on_bit_by_bit(tmp_path: Path, kind: str) -> None:
    one, kept = network(), network(seed=1)
    optimiser = optimiser_of(one, kind)
    stepped(one, optimiser)
    checkpoint.save(tmp_path, one, kept, optimiser, TrainingState(epoch=1))
    other, average = network(seed=2), network(seed=3)
    fresh = optimiser_of(other, kind)
    state, told = checkpoint.load(tmp_path, other, average, fresh)
    assert (state.epoch, told) == (1, ())
    assert same(one.state_dict(), other.state_dict())
    assert same(kept.state_dict(), average.state_dict())
    for each, its in ((one, optimiser), (other, fresh)):
        stepped(each, its, steps=3)
    assert same(one.state_dict(), other.state_dict())


def test_without_a_checkpoint_a_training_has_not_begun(tmp_path: Path) -> None:
    one = network()
    before = {name: tensor.clone() for name, tensor in one.state_dict().items()}
    assert checkpoint.load(tmp_path / "none", one, one, optimiser_of(one)) == (TrainingState(), ())
    assert same(one.state_dict(), before)
    assert seconds_spent(tmp_path / "none") == 0.0


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """A folder with checkpoints of two epochs, and the weights of the first."""
    one = network()
    optimiser = optimiser_of(one)
    stepped(one, optimiser)
    first = {name: tensor.clone() for name, tensor in one.state_dict().items()}
    checkpoint.save(tmp_path, one, one, optimiser, TrainingState(epoch=1, seconds=2.5))
    stepped(one, optimiser)
    checkpoint.save(tmp_path, one, one, optimiser, TrainingState(epoch=2, seconds=5.0))
    return tmp_path, first


@pytest.mark.parametrize("damage", ["cut", "turned", "missing"])
def test_the_one_before_is_used_where_the_last_is_not_whole(two: tuple[Path, dict[str, Any]], damage: str) -> None:
    folder, first = two
    path = folder / checkpoint.LAST
    content = bytearray(path.read_bytes())
    assert seconds_spent(folder) == 5.0
    if damage == "missing":  # as after a kill between setting the old one aside and writing the new one
        path.unlink()
    else:
        content[-3] ^= 1
        path.write_bytes(content[:-9] if damage == "cut" else content)
    one = network(seed=4)
    state, told = checkpoint.load(folder, one, one, optimiser_of(one))
    assert (state.epoch, seconds_spent(folder)) == (1, 5.0 if damage == "turned" else 2.5)
    assert same(one.state_dict(), first)
    assert [finding.code for finding in told] == ([] if damage == "missing" else ["checkpoint-damaged"])
    assert all("last.safetensors" in finding.message for finding in told)


def test_where_both_are_damaged_nothing_is_begun_anew_unasked(two: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = two
    for name in (checkpoint.LAST, checkpoint.BEFORE):
        (folder / name).write_bytes(b"")
    one = network()
    with pytest.raises(PipelineError, match="no checkpoint is whole") as caught:
        checkpoint.load(folder, one, one, optimiser_of(one))
    assert caught.value.finding.cure == f"Delete the folder {folder.name!r} to start anew."
    assert seconds_spent(folder) == 0.0


def test_a_checkpoint_of_a_version_that_kept_no_shares_is_gone_on_from(two: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = two
    arrays, facts = sealed.load(folder / checkpoint.LAST)
    content = json.loads(facts["state"])
    del content["shares"]
    sealed.save(folder / checkpoint.LAST, arrays, {"state": json.dumps(content)})
    one = network()
    state, told = checkpoint.load(folder, one, one, optimiser_of(one))
    assert (state.epoch, state.shares, told) == (2, (), ())
    further = replace(state, share=0.6).advanced({}, share=0.9, seconds=1.0)
    assert further.shares == (0.6,)
    assert [further.share_before(epoch) for epoch in (1, 2, 3)] == pytest.approx([0.0, 0.3, 0.6])


@pytest.mark.parametrize("state", ["no JSON", "[]", "{}", '{"seconds": "long"}'])
def test_a_state_that_cannot_be_read_has_taken_no_time(two: tuple[Path, dict[str, Any]], state: str) -> None:
    folder, _ = two
    arrays, _ = sealed.load(folder / checkpoint.LAST)
    sealed.save(folder / checkpoint.LAST, arrays, {"state": state})
    assert seconds_spent(folder) == 2.5, "that of the one before"


def test_a_checkpoint_of_another_optimiser_is_another_trainings(two: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = two
    other = nn.Linear(3, 4)
    with pytest.raises(PipelineError) as caught:
        checkpoint.load(folder, other, other, optimiser_of(other))
    assert (caught.value.code, caught.value.path) == ("weights-mismatch", folder / checkpoint.LAST)


def test_best_weights_are_loaded_whole_or_refused(tmp_path: Path) -> None:
    one, other, path = network(), network(seed=1), tmp_path / checkpoint.BEST
    state = TrainingState(best=0.5, best_epoch=3)
    checkpoint.save_best(tmp_path, one, state, before=TrainingState())
    checkpoint.load_best(tmp_path, other, state)
    assert same(one.state_dict(), other.state_dict())
    with pytest.raises(PipelineError) as caught:
        checkpoint.load_best(tmp_path, nn.Linear(2, 2), state)
    assert (caught.value.code, caught.value.path) == ("weights-mismatch", path)
    with pytest.raises(sealed.SealBrokenError):
        checkpoint.load_best(tmp_path / "none", other, state)
    sealed.save(path, {"0.weight": np.zeros((9, 9), np.float32)}, sealed.facts_of(path))
    with pytest.raises(PipelineError, match="belongs to another network"):
        checkpoint.load_best(tmp_path, other, state)
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(sealed.SealBrokenError):
        checkpoint.load_best(tmp_path, other, state)
    assert same(one.state_dict(), other.state_dict())


def test_best_weights_are_those_of_a_states_best_epoch_or_none(tmp_path: Path) -> None:
    """However often the epoch after the best one is done and lost, the best one's weights stay."""
    known, lost = TrainingState(best=0.5, best_epoch=3), TrainingState(best=0.75, best_epoch=4)
    networks = [network(seed) for seed in range(4)]
    checkpoint.save_best(tmp_path, networks[0], known, before=TrainingState())
    for each in networks[1:3]:
        checkpoint.save_best(tmp_path, each, lost, before=known)
    for state, expected in ((known, networks[0]), (lost, networks[2])):
        checkpoint.load_best(tmp_path, networks[3], state)
        assert same(networks[3].state_dict(), expected.state_dict())
    for other in (TrainingState(best=0.5, best_epoch=4), TrainingState(best=0.25, best_epoch=3), TrainingState()):
        with pytest.raises(sealed.SealBrokenError, match="another epoch"):
            checkpoint.load_best(tmp_path, networks[3], other)


def test_a_checkpoint_whose_state_is_no_state_gives_way_to_the_one_before(two: tuple[Path, dict[str, Any]]) -> None:
    folder, first = two
    arrays, facts = sealed.load(folder / checkpoint.LAST)
    for state in ("no JSON", "{}", facts["state"].replace('"epoch": 2', '"epoch": "two"')):
        sealed.save(folder / checkpoint.LAST, arrays, {"state": state})
        one = network(seed=4)
        found, (told,) = checkpoint.load(folder, one, one, optimiser_of(one))
        assert (found.epoch, told.code) == (1, "checkpoint-damaged")
        assert "state cannot be read; the one before is used" in told.message
        assert same(one.state_dict(), first)


def test_the_time_spent_is_read_without_the_weights(
    two: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(sealed, "load")
    assert seconds_spent(two[0]) == 5.0


def test_a_checkpoint_holds_nothing_that_could_be_run(two: tuple[Path, dict[str, Any]]) -> None:
    from safetensors import safe_open

    folder, _ = two
    assert sorted(path.name for path in folder.iterdir()) == [checkpoint.BEFORE, checkpoint.LAST]
    for path in folder.iterdir():
        with safe_open(path, framework="np") as file:
            assert file.keys()
