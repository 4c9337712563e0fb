"""The command `medvision run`."""

from __future__ import annotations

import typer

from medvision_cli import shell, summary


def command(
    pipeline: shell.PipelineArgument,
    inputs: shell.InputsArgument,
    out: shell.OutOption,
    split: shell.SplitOption = None,
    device: shell.DeviceOption = "auto",
    dry_run: shell.DryRunOption = False,
    strict: shell.StrictOption = False,
    as_json: shell.JsonOption = False,
) -> None:
    """Analyse scans with a pipeline: masks or probabilities, measurements, saliency, and a page a case.

    The same command again does what is missing, and nothing else. A case that cannot be analysed never stops the
    others. Exit codes: 0 all good, 3 no image found, 4 some cases refused or failed, 5 all of them.
    """
    from medvision.pipeline import PipelineFolder
    from medvision.workflows import run

    opened = PipelineFolder.open(pipeline)
    if dry_run:
        summary.tell_plan(run.plan(inputs, split=split), as_json=as_json)
        return
    with shell.progress("analysing") as progress:
        result = run.run(
            opened, inputs, out, split=split, device=device, command=shell.command_line(), progress=progress
        )
    exit_code = result.exit_code(strict=strict)
    summary.tell(result, as_json=as_json, exit_code=exit_code)
    raise typer.Exit(exit_code)
