"""The command `medvision run`."""

from __future__ import annotations

import typer

from medvision_cli import reading, shell, summary


def command(
    pipeline: shell.PipelineArgument,
    inputs: shell.InputsArgument,
    out: shell.OutOption,
    split: shell.SplitOption = None,
    device: shell.DeviceOption = "auto",
    dry_run: shell.DryRunOption = False,
    strict: shell.StrictOption = False,
    allow_gaps: reading.AllowGapsOption = False,
    merge_series: reading.MergeSeriesOption = False,
    assume_ras: reading.AssumeRasOption = False,
    nan_to: reading.NanToOption = None,
    orthogonal: reading.OrthogonalOption = False,
    bqml: reading.BqmlOption = False,
    as_json: shell.JsonOption = False,
) -> None:
    """Analyse scans with a pipeline: masks or probabilities, measurements, saliency, and a page a case.

    The same command again does what is missing, and nothing else. A case that cannot be analysed never stops the
    others. Of each DICOM study, the series is taken that the table `select` of the pipeline chooses.
    Exit codes: 0 all good, 3 no image found, 4 some cases refused or failed, 5 all of them.
    """
    from medvision.pipeline import PipelineFolder
    from medvision.workflows import run

    opened = PipelineFolder.open(pipeline)
    how = reading.reading_of(
        allow_gaps=allow_gaps,
        merge_series=merge_series,
        assume_ras=assume_ras,
        nan_to=nan_to,
        orthogonal=orthogonal,
        bqml=bqml,
    )
    if dry_run:
        found = run.plan(inputs, split=split, reading=how, select=opened.settings.select)
        summary.tell_plan(found, run.notes_on(found), as_json=as_json)
        return
    with shell.progress("analysing") as progress:
        result = run.run(
            opened,
            inputs,
            out,
            split=split,
            reading=how,
            device=device,
            command=shell.command_line(),
            progress=progress,
        )
    exit_code = result.exit_code(strict=strict)
    summary.tell(result, as_json=as_json, exit_code=exit_code)
    raise typer.Exit(exit_code)
