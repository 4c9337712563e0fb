"""The command `medvision train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medvision_cli import shell

DataArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="DATA...",
        help="Labelled data: a manifest (CSV, JSONL), a dataset.json or its folder, or an .npz.",
        show_default=False,
    ),
]


def command(
    pipeline: shell.PipelineArgument,
    data: DataArgument,
    out: shell.OutOption,
    device: shell.DeviceOption = "auto",
    as_json: shell.JsonOption = False,
) -> None:
    """Train a pipeline's network, and leave a new pipeline folder that `medvision run` takes.

    Patients stay on one side of the split. A training that was stopped goes on when the same command is given again.
    """
    from medvision.pipeline import PipelineFolder
    from medvision.workflows.train import train

    with shell.progress("training") as progress:
        result = train(PipelineFolder.open(pipeline), data, out, device=device, progress=progress)
    if as_json:
        shell.print_json(result.to_json())
        return
    for finding in result.findings:
        typer.echo(f"{finding.grade}: {finding.message} [{finding.code}]")
    for sentence in result.results:
        typer.echo(sentence)
    typer.echo(f"Pipeline: {result.folder}  (card.md, curves.png, validation.csv)")
