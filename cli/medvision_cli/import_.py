"""The commands `medvision import ...`: pipelines made from models of other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medvision_cli import shell

if TYPE_CHECKING:
    from medvision.workflows.imported import Imported

app = typer.Typer(no_args_is_help=True, help="Make a pipeline from a model of another program.")


@app.callback()
def import_() -> None:
    """Make a pipeline from a model of another program."""


@app.command(name="monai-bundle")
def monai_bundle(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The bundle.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="The new pipeline.", show_default=False)],
    as_json: shell.JsonOption = False,
) -> None:
    """Make a pipeline of a MONAI bundle: its network, weights, transforms and labels, as far as ours compute the same.

    Nothing of the bundle is ever run. What has no counterpart, or stands in an expression, is refused by name.
    """
    from medvision.workflows.import_monai_bundle import import_monai_bundle

    tell(import_monai_bundle(folder, out), as_json=as_json)


@app.command()
def nnunet(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="A results folder of nnU-Net 2: that of a configuration (plans.json, fold_0), or of a data set.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="The new pipeline.", show_default=False)],
    configuration: Annotated[
        str | None,
        typer.Option("--configuration", help="Which one, of a data set's folder, e.g. 3d_fullres.", show_default=False),
    ] = None,
    folds: Annotated[
        str | None,
        typer.Option(
            "--folds",
            metavar="FOLDS",
            help="Which folds, e.g. 0,1,2 or all: several are an ensemble. All that were trained, where none is named.",
            show_default=False,
        ),
    ] = None,
    checkpoint: Annotated[str, typer.Option("--checkpoint", help="Which weights of a fold: final or best.")] = "final",
    mirroring: Annotated[
        bool,
        typer.Option("--mirroring/--no-mirroring", help="Predict mirrored images too, where the weights allow it."),
    ] = True,
    orientation: Annotated[
        str | None,
        typer.Option(
            "--orientation",
            metavar="CODE",
            help="How the training's images were stored, e.g. LPS; without it, axes are taken as stored.",
            show_default=False,
        ),
    ] = None,
    as_json: shell.JsonOption = False,
) -> None:
    """Make a pipeline of a model that nnU-Net has trained; on a CPU in fp32, it labels as nnU-Net does.

    Plain and residual-encoder U-Nets, one fold or several. Nothing of a checkpoint is ever run. Cascades, regions that
    overlap, and what else has no counterpart here are refused by name.
    """
    from medvision.workflows.import_nnunet import import_nnunet

    made = import_nnunet(
        folder,
        out,
        configuration=configuration,
        folds=tuple(filter(None, (folds or "").split(","))),
        checkpoint=checkpoint,
        mirroring=mirroring,
        orientation=orientation,
    )
    tell(made, as_json=as_json)


def tell(made: Imported, *, as_json: bool) -> None:
    """Print what an import made: for people what it is and how it can differ, or JSON."""
    if as_json:
        shell.print_json(made.to_json())
        return
    settings = made.pipeline.settings
    typer.echo(f"Pipeline:  {made.pipeline.folder}, {made.pipeline.name}")
    typer.echo(f"Source:    {made.source.program} {made.source.name}; licence: {made.source.licence or 'not stated'}")
    typer.echo(f"Task:      {settings.task} of {', '.join(settings.labels.values())}")
    typer.echo(f"Network:   {settings.network.use}, {', '.join(settings.contract.channels)} in")
    typer.echo(f"Steps:     {', '.join(step.use for step in settings.steps) or 'none'}")
    for line in shell.noticed(made.findings, {}):
        typer.echo(line)
