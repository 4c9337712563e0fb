"""The command `medvision evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medvision_cli import shell


def command(
    pipeline: shell.PipelineArgument,
    results: Annotated[Path, typer.Argument(metavar="RESULTS", help="The output folder of a run.", show_default=False)],
    data: Annotated[
        list[Path], typer.Argument(metavar="DATA...", help="The data with their labels.", show_default=False)
    ],
    split: shell.SplitOption = None,
    as_json: shell.JsonOption = False,
) -> None:
    """Compare the results of a run with the truth, with intervals over patients.

    Writes evaluation.csv and evaluation.json beside the results.
    """
    from medvision.pipeline import PipelineFolder
    from medvision.workflows.evaluate import evaluate

    with shell.progress("comparing", resumes=False) as progress:
        result = evaluate(results, PipelineFolder.open(pipeline), data, split=split, progress=progress)
    if as_json:
        shell.print_json(result.to_json())
    else:
        for problem in result.problems:
            typer.echo(f"left out  {problem.message} [{problem.code}]")
        for name, estimate in result.estimates.items():
            count = result.undefined.get(name, 0)
            cases = f"; over {result.cases - count} of {result.cases} cases, not defined in the others"
            typer.echo(f"{name}: {estimate}{cases if count else ''}")
        for note in result.notes:
            typer.echo(note)
        typer.echo(f"{result.cases} cases compared, {len(result.problems)} left out")
    raise typer.Exit(4 if result.problems else 0)
