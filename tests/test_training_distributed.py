"""Trainings in two processes: the same as in one, and ended by an error where one of the two fails."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from medvision.errors import ExtraMissingError, UsageError
from medvision.training.place import Alone, share
from medvision.training.ranks import Ranks

pytestmark = pytest.mark.slow  # ten processes at once

WORKER = Path(__file__).parent / "ranks_worker.py"
JOBS = ("good", "1-raised-step", "0-raised-waiting", "1-killed-step", "0-killed-waiting")

# The sums of a batch are added in another order, which moves each by some units in the last place of fp32 (6e-8 of
# its size). Six steps of plain gradient descent with a gradient norm of at most 1 carry such a difference on about as
# it is: 7e-8 was measured, and 1e-6 leaves room for other processors. Losses of each process's own rows, or gradients
# that are not multiplied by the number of processes, move losses and weights by 1e-3 and more.
CLOSE = {"rel": 1e-6, "abs": 1e-6}


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which all jobs left what they found; they are started once, side by side."""
    folder = tmp_path_factory.mktemp("ranks")
    words = [f"{job}={_free_port()}" for job in JOBS]
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, str(WORKER), str(folder), *words], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 100, "no process waits for the timeout of a connection"
    return folder


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _results(ended: Path) -> list[dict[str, Any]]:
    traces = [path.read_text() for path in (ended / "good").glob("*.trace")]
    assert traces == []
    assert [(ended / "good" / f"{rank}.code").read_text() for rank in range(2)] == ["0", "0"]
    return [json.loads((ended / "good" / f"{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.parametrize("task", ["segmentation", "classification"])
def test_two_processes_train_as_one_does_on_the_same_batches(ended: Path, tmp_path: Path, task: str) -> None:
    from ranks_worker import trained

    alone = trained(task, Alone(), tmp_path)
    for result in _results(ended):
        assert len(result[task]["rows"]) == len(alone["rows"]) == 2
        for row, expected in zip(result[task]["rows"], alone["rows"], strict=True):
            assert row == pytest.approx(expected, **CLOSE)
        assert result[task]["weights"] == pytest.approx(alone["weights"], **CLOSE)
        assert result[task]["epoch"] == alone["epoch"]
    first, second = _results(ended)
    assert first[task]["weights"] == second[task]["weights"], "to the last bit: they never drift apart"


def test_only_the_first_process_validates_and_writes(ended: Path) -> None:
    first, second = _results(ended)
    assert first["segmentation"]["validated_by"] == [0, 0]
    assert second["segmentation"]["validated_by"] == []
    assert (ended / "good" / "segmentation" / "last.safetensors").is_file()


def test_the_gradient_of_a_gathered_sum_is_that_of_the_whole_batch(ended: Path) -> None:
    # Rows (0 1) (2 3) (4 5) (6 7) by weights of 1/4: their sum is 7, its square 49, and the gradient 2 * 7 * (12 16).
    for result in _results(ended):
        assert result["gradient"] == {"loss": 49.0, "gradient": [168.0, 224.0]}


def test_processes_take_turns_and_share_what_the_first_one_found(ended: Path) -> None:
    for result in _results(ended):
        assert result["order"] == "01"
        assert result["from_first"] == {"rank": 0}
        assert result["mean"] == 0.5


@pytest.mark.parametrize(
    ("job", "survivor", "reason"),
    [
        ("1-raised-step", 0, "the disk of this machine is full"),
        ("0-raised-waiting", 1, "the disk of this machine is full"),
        ("1-killed-step", 0, "it ended without a word: killed, or out of memory"),
        ("0-killed-waiting", 1, "it ended without a word: killed, or out of memory"),
    ],
)
def test_a_process_that_fails_ends_the_other_which_says_which_and_why(
    ended: Path, job: str, survivor: int, reason: str
) -> None:
    assert [path.read_text() for path in (ended / job).glob("*.trace")] == []
    assert (ended / job / f"{survivor}.code").read_text() == "5"
    found = (ended / job / f"{survivor}.error").read_text()
    assert found == f"ProcessLostError: process {1 - survivor} of 2 failed: {reason}"
    code = (ended / job / f"{1 - survivor}.code").read_text()
    assert code == ("-9" if "killed" in job else "5")


def test_rows_are_shared_in_order_and_each_once() -> None:
    rows = list(range(12))
    assert [row for rank in range(4) for row in rows[share(12, rank, 4)]] == rows


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    with pytest.raises(UsageError, match="a batch of 9 cannot be shared evenly by 2 processes"):
        share(9, 0, 2)


def test_a_process_alone_does_everything_itself() -> None:
    import torch

    weight = torch.tensor(3.0, requires_grad=True)
    with Alone() as place, place.in_turn(), place.autocast():
        place.barrier()
        assert place.setup("network", "optimiser") == ("network", "optimiser")
        assert place.gather(weight) is weight
        place.backward(weight**2)
    assert weight.grad == 6.0


def test_a_process_alone_computes_in_its_precision() -> None:
    import torch

    for precision, kind in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        with Alone("cpu", precision).autocast():
            assert torch.nn.functional.linear(torch.ones(1, 2), torch.ones(1, 2)).dtype == kind


def test_without_fabric_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    with pytest.raises(ExtraMissingError, match=r"medvision-toolkit\[train\]"):
        Ranks("cpu", "fp32", devices=2)
