"""The command `medvision report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medvision_cli import shell


def command(
    pipeline: shell.PipelineArgument,
    results: Annotated[Path, typer.Argument(metavar="RESULTS", help="The output folder of a run.", show_default=False)],
    as_json: shell.JsonOption = False,
) -> None:
    """Write the pages and the table of a run anew from its records; nothing is predicted again."""
    from medvision.pipeline import PipelineFolder
    from medvision.workflows.report import report

    with shell.progress("writing pages", resumes=False) as progress:
        pages = report(results, PipelineFolder.open(pipeline), progress=progress)
    if as_json:
        problems = [problem.to_json() for problem in pages.problems]
        shell.print_json({"pages": pages.written, "problems": problems, "index": str(results / "index.html")})
    else:
        for problem in pages.problems:
            typer.echo(f"left as it was  {problem.path}: {problem.message} [{problem.code}] {problem.cure}")
        typer.echo(f"{pages.written} pages.  Report: {results / 'index.html'}")
    raise typer.Exit(4 if pages.problems else 0)
