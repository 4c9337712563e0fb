"""Connect to a Dask cluster that a user named, or start one of Slurm jobs."""

from __future__ import annotations

import contextlib
import importlib.util
import math
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from medvision.errors import ExtraMissingError, UsageError
from medvision.files import write_text

_CONNECT_SECONDS = 5.0
_PORT = 8786  # Dask's
_NOT_SHOWN = "127.0.0.1:0"  # pages about the work, which Dask serves to anyone who can reach them


@dataclass(frozen=True)
class DaskScheduler:
    """A Dask cluster that is there already.

    Who can reach a scheduler without TLS can run anything as the user who started it. With ``tls://``, certificates
    are those of Dask's own settings.

    Parameters
    ----------
    address
        Of the scheduler, e.g. ``"tcp://node1:8786"``.

    Raises
    ------
    UsageError
        It is no address.
    """

    address: str

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.address)
            known = parts.scheme in ("tcp", "tls") and parts.hostname and (parts.port or _PORT)
        except ValueError:  # of a port that is none
            known = False
        if not known:
            message = f"{self.address!r} is no address of a Dask scheduler"
            raise UsageError("usage", message, cure="Give one as in tcp://node1:8786.")

    def require(self) -> None:
        """Raise where nobody listens at the address."""
        parts = urlsplit(self.address)
        try:
            socket.create_connection((parts.hostname, parts.port or _PORT), _CONNECT_SECONDS).close()
        except OSError as error:
            raise self.unreachable(error.strerror or str(error)) from error

    def unreachable(self, why: str) -> UsageError:
        """Return the error that says so."""
        return UsageError("scheduler-unreachable", f"no Dask scheduler answers at {self.address}: {why}")


@dataclass(frozen=True, kw_only=True)
class SlurmJobs:
    """Jobs of Slurm, each a Dask worker, whose scheduler runs in this process, behind TLS with keys of its own.

    What a site needs beyond this stands in dask-jobqueue's own settings (``jobqueue.slurm``), or in the variables of
    sbatch, e.g. ``SBATCH_ACCOUNT``.

    Parameters
    ----------
    jobs
        How many at once; one that ends early is submitted again.
    partition
        Where; None: Slurm's default.
    hours
        For how long each at most.
    cores
        Of each job: one case is computed with them at a time.
    memory_gb
        Of each job, in GB of 10^9 bytes.

    Raises
    ------
    UsageError
        A number is not positive.
    """

    jobs: int
    partition: str | None = None
    hours: float = 4.0
    cores: int = 4
    memory_gb: float = 16.0

    def __post_init__(self) -> None:
        for name in ("jobs", "hours", "cores", "memory_gb"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise UsageError("usage", f"{name} is {value:g}: give more than 0")

    def require(self) -> None:
        """Raise where this machine cannot submit jobs."""
        if shutil.which("sbatch") is None:
            raise UsageError("slurm-refused", "there is no Slurm on this machine: sbatch is not found")

    @property
    def walltime(self) -> str:
        """The time as Slurm takes it.

        >>> SlurmJobs(jobs=1, hours=1.5).walltime
        '01:30:00'
        """
        minutes = math.ceil(self.hours * 60)
        return f"{minutes // 60:02}:{minutes % 60:02}:00"


Cluster = DaskScheduler | SlurmJobs


def require_cluster(cluster: Cluster) -> None:
    """Raise where it is clear at once that a cluster cannot be used.

    Raises
    ------
    UsageError
        ``scheduler-unreachable``: nobody listens at the address; ``slurm-refused``: there is no Slurm.
    ExtraMissingError
        A package is missing.
    """
    wanted = ["distributed"] if isinstance(cluster, DaskScheduler) else ["distributed", "dask_jobqueue", "cryptography"]
    for name in wanted:
        if importlib.util.find_spec(name) is None:
            message = f"a cluster needs a package: {name} is not installed"
            raise ExtraMissingError("extra-missing", message, cure="pip install 'medvision-toolkit[cluster]'")
    cluster.require()


@contextlib.contextmanager
def connected(cluster: Cluster, out: Path) -> Iterator[Any]:
    """Let the block use a ``distributed.Client``; what was started for it ends with it.

    Parameters
    ----------
    out
        The output folder: keys lie there as long as jobs run, and what jobs say stays in its ``logs``.

    Raises
    ------
    UsageError
        ``scheduler-unreachable``: no Dask scheduler answers at the address; ``slurm-refused``: Slurm takes no such job.
    """
    from distributed import Client

    with contextlib.ExitStack() as held:
        if isinstance(cluster, SlurmJobs):
            client = Client(held.enter_context(_slurm(cluster, out)), set_as_default=False)
        else:
            try:
                client = Client(cluster.address, timeout=_CONNECT_SECONDS, set_as_default=False)
            except Exception as error:  # of any kind: what answers may be something else
                raise cluster.unreachable(f"{type(error).__name__} while connecting") from error
        held.enter_context(contextlib.closing(client))
        yield client


@contextlib.contextmanager
def _slurm(jobs: SlurmJobs, out: Path) -> Iterator[Any]:
    import dask
    from dask_jobqueue import SLURMCluster

    with contextlib.ExitStack() as held:
        keys = held.enter_context(tempfile.TemporaryDirectory(prefix=".medvision-", dir=out.absolute()))
        # A job that is lost is given up, and submitted again, after this time.
        held.enter_context(dask.config.set({"distributed.deploy.lost-worker-timeout": "5s"}))
        cluster = SLURMCluster(
            queue=jobs.partition,
            cores=jobs.cores,
            processes=1,
            memory=f"{jobs.memory_gb:.3f}GB",
            walltime=jobs.walltime,
            job_name="medvision",
            security=_keys_in(Path(keys)),
            log_directory=str(out.absolute() / "logs" / "slurm"),
            worker_extra_args=["--dashboard-address", _NOT_SHOWN],
            scheduler_options={"dashboard": False, "dashboard_address": _NOT_SHOWN},
        )
        held.enter_context(contextlib.closing(cluster))
        _require_accepted(cluster.job_script())
        cluster.scale(jobs=jobs.jobs)
        cluster.adapt(minimum_jobs=jobs.jobs, maximum_jobs=jobs.jobs)
        yield cluster


def _keys_in(folder: Path) -> Any:
    """Return keys of which jobs find the files in a folder that no other user can read."""
    from distributed.security import Security

    fresh = Security.temporary()
    files = {"certificate": fresh.tls_ca_file, "key": fresh.tls_client_key}
    for name, content in files.items():
        write_text(folder / name, content)
    cert, key = (str(folder / name) for name in files)
    roles = {
        f"tls_{role}_{part}": path
        for role in ("client", "scheduler", "worker")
        for part, path in (("cert", cert), ("key", key))
    }
    return Security(require_encryption=True, tls_ca_file=cert, **roles)


def _require_accepted(script: str) -> None:
    """Raise where Slurm would not take a job: asked before any is submitted, it says why."""
    command = [shutil.which("sbatch") or "sbatch", "--test-only"]
    asked = subprocess.run(command, input=script, capture_output=True, text=True, check=False)  # noqa: S603
    if asked.returncode:
        said = asked.stderr.strip().rpartition("\n")[2].rpartition(": ")[2] or f"exit code {asked.returncode}"
        raise UsageError("slurm-refused", f"Slurm takes no such job: {said}")
