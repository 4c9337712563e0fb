"""The command `medvision explain`."""

from __future__ import annotations

from typing import Annotated

import typer

from medvision_cli import reading, shell, summary


def command(
    pipeline: shell.PipelineArgument,
    inputs: shell.InputsArgument,
    out: shell.OutOption,
    method: Annotated[
        list[str] | None,
        typer.Option("--method", "-m", help="A saliency method; may be given several times. Default: all that fit."),
    ] = None,
    split: shell.SplitOption = None,
    engine: shell.EngineOption = "auto",
    allow_gaps: reading.AllowGapsOption = False,
    merge_series: reading.MergeSeriesOption = False,
    assume_ras: reading.AssumeRasOption = False,
    nan_to: reading.NanToOption = None,
    orthogonal: reading.OrthogonalOption = False,
    bqml: reading.BqmlOption = False,
    as_json: shell.JsonOption = False,
) -> None:
    """Show what a pipeline's network attended to: saliency maps as NIfTI, and on each case's page."""
    from medvision.pipeline import PipelineFolder
    from medvision.workflows.explain import explain

    how = reading.reading_of(
        allow_gaps=allow_gaps,
        merge_series=merge_series,
        assume_ras=assume_ras,
        nan_to=nan_to,
        orthogonal=orthogonal,
        bqml=bqml,
    )
    with shell.progress("explaining") as progress:
        result = explain(
            PipelineFolder.open(pipeline),
            inputs,
            out,
            methods=method or (),
            split=split,
            reading=how,
            engine=engine,
            command=shell.command_line(),
            progress=progress,
        )
    exit_code = result.exit_code()
    summary.tell(result, as_json=as_json, exit_code=exit_code)
    raise typer.Exit(exit_code)
