"""Merge the shards of a batch: one ledger, one table and one set of pages, as one process would have left them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from medvision.batch import Ledger, Log, Shard, ShardState, require_whole, shards_in, states_of
from medvision.errors import OutputError, PipelineError
from medvision.frameworks import versions
from medvision.pipeline import PipelineFolder
from medvision.workflows.batching.result import BatchResult
from medvision.workflows.report import require_results, write_cohort


def merge(out: Path, pipeline: PipelineFolder | None = None, *, command: str = "medvision merge") -> BatchResult:
    """Join the ledgers of all shards of an output folder, and write its pages and its table.

    It can be done again at any time, also after one shard alone has been run once more.

    Parameters
    ----------
    out
        The output folder of the shards.
    pipeline
        What they ran; None opens it where it lay when they did.

    Raises
    ------
    InputError
        No run has been there.
    UsageError
        A shard is missing, not complete, or of another pipeline; which, is said.
    BusyError
        A shard is still being run.
    PipelineError
        The pipeline is not there any more, or no longer what it was.
    OutputError
        A ledger cannot be read, or something cannot be written.
    """
    require_results(out)
    with Ledger(out, merging=True) as ledger, ledger.run(command, versions()):
        paths = shards_in(out)
        states = {shard: state for path in paths.values() for shard, state in _states(path).items()}
        common = require_whole(out, states, ledger.merged())
        opened = PipelineFolder.open(common.pipeline) if pipeline is None else pipeline
        if opened.digest != common.pipeline_sha256:
            message = "this is not the pipeline that the shards ran, or it has changed since"
            raise PipelineError("weights-mismatch", message, path=opened.folder, cure="Name it with --pipeline.")
        ledger.join(paths.values())
        write_cohort(ledger, opened)
        for shard, path in paths.items():  # last of all: until then, everything can be done again
            path.unlink()
            (out / f".lock-{shard.name}").unlink(missing_ok=True)
        Log(out).say(f"{len(paths)} shards are merged")
        entries = tuple(entry for entry in ledger.entries().values() if entry.state != "skipped")
    return BatchResult(out, entries, 0, sum(entry.state == "done" for entry in entries), ())


def _states(path: Path) -> dict[Shard, ShardState]:
    try:
        with closing(sqlite3.connect(path)) as database:
            return states_of(database)
    except sqlite3.Error as error:
        raise OutputError("output-unwritable", f"the ledger cannot be used: {error}", path=path) from error
