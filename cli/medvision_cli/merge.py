"""The command `medvision merge`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medvision_cli import shell, streams, summary


def command(
    out: Annotated[Path, typer.Argument(metavar="FOLDER", help="Output folder of the shards.", show_default=False)],
    pipeline: Annotated[
        str | None,
        typer.Option("--pipeline", help="What the shards ran, if it lies elsewhere by now.", show_default=False),
    ] = None,
    strict: shell.StrictOption = False,
    as_json: shell.JsonOption = False,
) -> None:
    """Join what the shards of a run (`--shard`) have done: one ledger, one table, and the pages of all cases.

    Nothing is analysed. It is refused while a shard is missing, at work or not complete, or ran another pipeline; and
    it can be done again at any time. Exit codes: as of `medvision run`.
    """
    from medvision.pipeline import PipelineFolder
    from medvision.workflows.merge import merge

    opened = None if pipeline is None else PipelineFolder.open(pipeline)
    result = merge(out, opened, command=shell.command_line())
    exit_code = result.exit_code(strict=strict)
    with streams.heard_or_not():
        summary.tell(result, as_json=as_json, exit_code=exit_code)
    raise typer.Exit(exit_code)
