"""A training in several processes, on one machine or more, by Lightning Fabric and torch's DDP.

Every process draws the same batch and takes its own rows. DDP averages the gradients, so that all processes do the same
step. A loss that is made of sums over the whole batch, as Dice is, gathers them first: see :meth:`Ranks.gather`.

Processes find each other by the environment, as ``torchrun``, ``srun`` and :mod:`medvision.training.launch` set it.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from types import TracebackType
from typing import Any, TypeVar, final

from medvision.errors import ExtraMissingError, MedvisionError, ProcessLostError
from medvision.frameworks import Precision, autocast
from medvision.training.launch import require_launched
from medvision.training.place import share

Value = TypeVar("Value")

ROLL_CALL_SECONDS = 5.0
"""How long a process may take to answer when another has lost touch."""

_LOOK_SECONDS = 0.2  # between looks at whether another process failed
_CONNECTION = re.compile(r"gloo|nccl|connection|timed? ?out|peer|socket|store", re.IGNORECASE)


@final
class Ranks:
    """One of several processes that share every batch; see :class:`medvision.training.place.Place`.

    Parameters
    ----------
    device
        ``"cpu"``, where processes talk by gloo, or ``"cuda"``, a GPU for each, by NCCL.
    precision
        In which the network computes.
    devices
        Processes on each machine.
    nodes
        Machines; all must see the same folders.
    freezes
        Whether parameters may be without a gradient in some steps: DDP then looks for them in each.
    timeout_seconds
        How long a process waits for the others in one step.

    Raises
    ------
    UsageError
        Nobody has started the processes; Fabric would start them anew, and end them without a word.
    ExtraMissingError
        The extra ``[train]`` is not installed.
    """

    def __init__(
        self,
        device: str,
        precision: Precision,
        *,
        devices: int,
        nodes: int = 1,
        freezes: bool = True,
        timeout_seconds: float = 1800.0,
    ) -> None:
        self.precision = precision
        require_launched(devices, nodes)
        self._fabric = _fabric(device, devices, nodes, timeout_seconds, freezes)
        with _quiet_log():
            self._fabric.launch()
        self.rank: int = self._fabric.global_rank
        self.world: int = self._fabric.world_size
        self.device = str(self._fabric.device)
        self._store = self._new_store(timeout_seconds)
        self._told = 0

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that validates and writes."""
        return self.rank == 0

    def setup(self, network: Any, optimiser: Any) -> tuple[Any, Any]:
        """Return the network within DDP, and the optimiser.

        DDP gives all processes the weights of the first. It knows the parameters that can be trained now; all are made
        so, and a training that freezes some does so after this. On GPUs batch norms become ones over the whole batch;
        on a CPU torch has none, and each process normalises by its own rows.
        """
        for group in optimiser.param_groups:
            for parameter in group["params"]:
                parameter.requires_grad_(True)
        if self._fabric.device.type == "cuda":
            _synchronise_batch_norms(network)
        return self._fabric.setup_module(network, move_to_device=False), optimiser

    def rows(self, batch: int) -> slice:
        """Return which rows of a batch are this process's."""
        return share(batch, self.rank, self.world)

    def backward(self, loss: Any) -> None:
        """Compute the gradients and average them over the processes."""
        self._fabric.backward(loss)

    def gather(self, part: Any) -> Any:
        """Return the sum of a tensor over the processes.

        Let S be the sum of the parts s_r, and L(S) the loss, which every process then has. The gradient wanted is that
        of L by the weights: the sum over r of L'(S) ds_r. DDP gives the mean over r of what each process computes, so
        each must compute world times L'(S) ds_r: the gradient that comes back to a part is multiplied by the number of
        processes. Nothing is sent for it, as L'(S) is the same in all.
        """
        return _sum_function().apply(part, self.world)

    def mean(self, value: float) -> float:
        """Return the mean of a number over the processes."""
        import torch

        total = torch.tensor(value, dtype=torch.float64, device=self._fabric.device)
        torch.distributed.all_reduce(total)
        return float(total) / self.world

    def from_first(self, compute: Callable[[], Value]) -> Value:
        """Return in every process what `compute` returns in the first; JSON values.

        The others wait as long as it takes, and see it when a process fails meanwhile.
        """
        self._told += 1
        key = f"told/{self._told}"
        if self.is_first:
            value = compute()
            self._store.set(key, json.dumps(value))
            return value
        while not self._has(key, seconds=_LOOK_SECONDS):
            self._require_nobody_failed()
        found: Value = json.loads(self._store.get(key))
        return found

    @contextlib.contextmanager
    def in_turn(self) -> Iterator[None]:
        """Let the first process do the block before the others do."""
        if not self.is_first:
            self.from_first(lambda: None)
        yield
        if self.is_first:
            self.from_first(lambda: None)

    def barrier(self) -> None:
        """Wait until all processes are here."""
        self._fabric.barrier()

    def autocast(self) -> contextlib.AbstractContextManager[None]:
        """Compute the block in the place's precision."""
        return autocast(self._fabric.device.type, self.precision)

    def __enter__(self) -> Ranks:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the others; tell them why, where this process failed, or say which of them did."""
        import torch

        try:
            if isinstance(error, ProcessLostError):
                self._answer()
            elif isinstance(error, RuntimeError) and _CONNECTION.search(str(error)):
                raise self._lost() from error
            elif error is not None:
                self._tell_failure(error)
            else:
                self._fabric.barrier()
        finally:
            torch.distributed.destroy_process_group()

    def _new_store(self, timeout_seconds: float) -> Any:
        """Return a table that all processes see, kept by the first; it outlives a broken connection between others."""
        import torch

        host, limit = os.environ.get("MASTER_ADDR", "127.0.0.1"), timedelta(seconds=timeout_seconds)
        if self.is_first:
            store = torch.distributed.TCPStore(host, 0, None, True, limit, wait_for_workers=False)
            self._fabric.broadcast(store.port)
            return store
        return torch.distributed.TCPStore(host, self._fabric.broadcast(0), None, False, limit)

    def _has(self, key: str, *, seconds: float = 0.0) -> bool:
        """Look for a key of the table for some time; ProcessLostError where the table is gone."""
        ends = time.monotonic() + seconds
        try:
            while not (found := bool(self._store.check([key]))) and time.monotonic() < ends:
                time.sleep(0.01)
        except RuntimeError as error:
            raise self._gone(0, None) from error
        return found

    def _require_nobody_failed(self) -> None:
        if self._has("failed"):
            rank, words = json.loads(self._store.get("failed"))
            raise self._gone(rank, words)

    def _tell_failure(self, error: BaseException) -> None:
        """Say why this process ends, and, as the first, keep the table until the others have read it."""
        words = error.finding.message if isinstance(error, MedvisionError) else type(error).__name__
        with contextlib.suppress(RuntimeError, ProcessLostError):
            if not self._has("failed"):
                self._store.set("failed", json.dumps([self.rank, words]))
            if self.is_first:
                for rank in range(1, self.world):
                    self._has(f"present/{rank}", seconds=ROLL_CALL_SECONDS)

    def _answer(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._store.set(f"present/{self.rank}", "")

    def _lost(self) -> ProcessLostError:
        """Return which process is gone: the one that said so, or the first that does not answer a roll call."""
        self._answer()
        try:
            for rank in range(self.world):
                ends = time.monotonic() + ROLL_CALL_SECONDS
                while rank != self.rank and not self._has(f"present/{rank}", seconds=_LOOK_SECONDS):
                    self._require_nobody_failed()
                    if time.monotonic() > ends:
                        return self._gone(rank, None)
        except ProcessLostError as found:
            return found
        return self._gone(None, "all processes are there, and the connection between them broke")

    def _gone(self, rank: int | None, words: str | None) -> ProcessLostError:
        if rank is None:
            return ProcessLostError("process-lost", str(words))
        reason = words or "it ended without a word: killed, or out of memory"
        return ProcessLostError("process-lost", f"process {rank} of {self.world} failed: {reason}")


def _fabric(device: str, devices: int, nodes: int, timeout_seconds: float, freezes: bool) -> Any:
    try:
        from lightning_fabric import Fabric
        from lightning_fabric.plugins.environments import LightningEnvironment
        from lightning_fabric.strategies import DDPStrategy
    except ImportError as error:
        message = "a training in several processes needs Lightning Fabric"
        raise ExtraMissingError("extra-missing", message, cure="pip install 'medvision-toolkit[train]'") from error
    strategy = DDPStrategy(
        process_group_backend="nccl" if device == "cuda" else "gloo",
        timeout=timedelta(seconds=timeout_seconds),
        find_unused_parameters=freezes,
    )
    # Within a Slurm job Fabric would ask Slurm who this process is, though srun has not started it.
    own = "LOCAL_RANK" in os.environ and "TORCHELASTIC_RUN_ID" not in os.environ
    plugins = LightningEnvironment() if own else None
    return Fabric(
        accelerator=device, devices=devices, num_nodes=nodes, strategy=strategy, precision="32-true", plugins=plugins
    )


def _synchronise_batch_norms(network: Any) -> None:
    """Turn the batch norms of a network on GPUs into ones over all processes; names and weights stay."""
    from torch import nn

    for name, part in list(network.named_children()):
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            setattr(network, name, nn.SyncBatchNorm.convert_sync_batchnorm(part))
        else:
            _synchronise_batch_norms(part)


@functools.cache
def _sum_function() -> Any:
    import torch

    class Sum(torch.autograd.Function):  # type: ignore[misc]  # torch is Any to mypy
        @staticmethod
        def forward(context: Any, part: Any, world: int) -> Any:
            context.world = world
            total = part.clone()
            torch.distributed.all_reduce(total)
            return total

        @staticmethod
        def backward(context: Any, gradient: Any) -> Any:
            return gradient * context.world, None

    return Sum


@contextlib.contextmanager
def _quiet_log() -> Iterator[None]:
    """Keep Fabric from telling of its start."""
    log = logging.getLogger("lightning_fabric")
    before = log.level
    log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.setLevel(before)
