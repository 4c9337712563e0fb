"""The command `medvision demo`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from medvision_cli import shell, summary


def command(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Output folder.")] = Path("demo"),
    engine: shell.EngineOption = "auto",
    open_report: Annotated[bool, typer.Option("--open/--no-open", help="Open the report, on a terminal.")] = True,
    as_json: shell.JsonOption = False,
) -> None:
    """Segment both hippocampi of the MNI152 template that ships with nilearn, and open the report."""
    from medvision.workflows.demo import demo

    with shell.progress("analysing") as progress:
        result = demo(out, engine=engine, command=shell.command_line(), progress=progress)
    exit_code = result.exit_code()
    summary.tell(result, as_json=as_json, exit_code=exit_code)
    if open_report and sys.stdout.isatty():
        typer.launch(str(out / "index.html"))
    raise typer.Exit(exit_code)
