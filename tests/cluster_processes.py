"""Dask schedulers and workers, and a Slurm of one node: real processes, started for a test and ended with it."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from medvision import io
from medvision.pipeline import PipelineFolder
from medvision.study import Case, Collection
from medvision.workflows import run as run_module
from medvision.workflows.run import BatchResult, DaskScheduler, run

TESTS = Path(__file__).resolve().parent


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def search_path(first: Path | None = None) -> str:
    """Return a search path on which workers find the functions of tests."""
    return os.pathsep.join(filter(None, [str(first or ""), str(TESTS), os.environ.get("PYTHONPATH", "")]))


class DaskCluster:
    """A scheduler and workers on this machine; `folder` takes what they say."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self._file = folder / "scheduler.json"
        folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{port}"
        self.scheduler = self._started("scheduler", "--host", "127.0.0.1", "--port", str(port))

    def start(self, *names: str, nanny: bool = False, first: Path | None = None, **environment: str) -> None:
        """Start workers, and wait until they are there."""
        for name in names:
            words = [self.address, "--nthreads", "1", "--name", name, "--nanny" if nanny else "--no-nanny"]
            words += ["--local-directory", str(self.folder)]
            self.workers[name] = self._started("worker", *words, name=name, first=first, environment=environment)
        until(lambda: all("Registered to" in self.said(name) for name in names))

    def said(self, name: str) -> str:
        """Return what a process said."""
        return (self.folder / f"{name}.log").read_text(encoding="utf-8")

    def close(self) -> None:
        """End all processes; those that they have started end with them."""
        for process in (*self.workers.values(), self.scheduler):
            process.kill()
            process.wait()

    def _started(
        self,
        what: str,
        *words: str,
        name: str = "scheduler",
        first: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{what}", *words, "--dashboard-address", "127.0.0.1:0"],
                stdout=log,
                stderr=log,
                env=os.environ | {"PYTHONPATH": search_path(first)} | dict(environment or {}),
                cwd=self.folder,
            )


def lines(folder: Path) -> list[tuple[object, ...]]:
    """Return what the ledger says of cases, but for dates, durations and memory."""
    database = sqlite3.connect(folder / "ledger.sqlite")
    try:
        return database.execute(
            "SELECT id, state, verdict, source, images, input_sha256, pipeline_sha256, code, message, cure, files"
            " FROM cases ORDER BY id"
        ).fetchall()
    finally:
        database.close()


def log(out: Path) -> str:
    """Return what a run said."""
    return (out / "logs" / "run.log").read_text(encoding="utf-8")


def done_in(out: Path) -> int:
    """Return how many cases have their pages."""
    return len(list(out.glob("cases/*/report.html")))


def run_with(
    pipeline: PipelineFolder, images: Sequence[Path], out: Path, bad: Sequence[Case], dask: DaskCluster
) -> BatchResult:
    """Run over images and over cases that no scan could find."""
    scan = io.scan

    def found(*arguments: object) -> Collection:
        return scan(*arguments).merged([Collection(tuple(bad))])  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(run_module.io, "scan", found)
        return run(pipeline, images, out, cluster=DaskScheduler(dask.address))


_SLURM = """
ClusterName=medvision
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
SchedulerParameters=sched_interval=1
KillWait=2
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=4000 State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


@contextlib.contextmanager
def slurm(folder: Path) -> Iterator[None]:
    """Run Slurm on this machine alone, for the block, with keys and ports of its own; its ports are open to others."""
    programs = {
        name: shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") for name in ("munged", "slurmctld", "slurmd")
    }
    if None in programs.values():
        pytest.skip("Slurm is not installed: apt-get install slurm-wlm")
    for part in ("state", "spool"):
        (folder / part).mkdir(parents=True)
    with socket.socket() as one, socket.socket() as two:
        for each in (one, two):
            each.bind(("127.0.0.1", 0))
        ports = [each.getsockname()[1] for each in (one, two)]
    host = socket.gethostname().partition(".")[0]
    text = _SLURM.format(host=host, user=getpass.getuser(), folder=folder, ports=ports)
    (folder / "slurm.conf").write_text(text, encoding="utf-8")
    (folder / "munge.key").write_bytes(os.urandom(128))
    (folder / "munge.key").chmod(0o600)
    words = [f"--{name}-file={folder}/munge.{name}" for name in ("key", "pid", "log", "seed")]
    commands = [
        [programs["munged"], "--foreground", "--force", f"--socket={folder}/munge.socket", *words],
        [programs["slurmctld"], "-D"],
        [programs["slurmd"], "-D"],
    ]
    with contextlib.ExitStack() as held:
        patched = held.enter_context(pytest.MonkeyPatch.context())
        patched.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        for command in commands:
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            held.callback(process.wait)
            held.callback(process.terminate)
            if command[0] == programs["munged"]:
                until((folder / "munge.socket").exists)
        until(lambda: "idle" in subprocess.run(["sinfo", "-h", "-o", "%t"], capture_output=True, text=True).stdout)
        try:
            yield
        finally:  # of a test that failed
            subprocess.run(["scancel", "--user", getpass.getuser()], check=False)
            until(lambda: not subprocess.run(["squeue", "-h"], capture_output=True).stdout)
