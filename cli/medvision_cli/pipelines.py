"""The commands `medvision pipelines ...`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medvision_cli import shell

app = typer.Typer(no_args_is_help=True, help="List, show, copy and check pipelines.")


@app.command(name="list")
def list_(as_json: shell.JsonOption = False) -> None:
    """List the pipelines that ship with medvision."""
    from medvision.pipeline import PipelineFolder, builtin_names

    opened = [PipelineFolder.open(name) for name in builtin_names()]
    if as_json:
        shell.print_json(
            [
                {
                    "name": p.settings.name,
                    "version": p.settings.version,
                    "task": p.settings.task,
                    "description": p.settings.description,
                    "trained": p.weights is not None,
                }
                for p in opened
            ]
        )
        return
    width = max(len(p.settings.name) for p in opened)
    for p in opened:
        typer.echo(f"{p.settings.name:<{width}}  {p.settings.task}: {p.settings.description}")


@app.command()
def show(pipeline: shell.PipelineArgument) -> None:
    """Print a pipeline's settings and its card."""
    from medvision.pipeline import find

    folder = find(pipeline)
    for name in ("pipeline.toml", "card.md"):
        if (folder / name).is_file():
            typer.echo(f"# {folder / name}")
            typer.echo((folder / name).read_text(encoding="utf-8"))


@app.command()
def copy(
    pipeline: shell.PipelineArgument,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The new folder.", show_default=False)],
    weights: Annotated[bool, typer.Option("--weights/--no-weights", help="Copy the weights and cards too.")] = False,
) -> None:
    """Copy a pipeline to edit it: its settings alone, or with its weights."""
    from medvision.pipeline import copy as copy_pipeline

    for path in copy_pipeline(pipeline, folder, weights=weights):
        typer.echo(str(path))


@app.command()
def check(pipeline: shell.PipelineArgument) -> None:
    """Check a pipeline's settings and that its weights are its own; a fault is named with its place and the choices."""
    from medvision.pipeline import PipelineFolder

    opened = PipelineFolder.open(pipeline)
    opened.check_weights()
    state = "weights belong to it" if opened.weights else "no weights yet: train it"
    typer.echo(f"{opened.folder}: {opened.name} is valid; {state}")


@app.command()
def schema() -> None:
    """Print the JSON schema of pipeline.toml, for editors."""
    from medvision.pipeline import schema

    shell.print_json(schema())
