"""The commands `medvision export ...`: pipelines for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medvision_cli import shell

if TYPE_CHECKING:
    from medvision.workflows.export import Exported

app = typer.Typer(no_args_is_help=True, help="Write a pipeline for another program.")

ShapeOption = Annotated[
    str | None,
    typer.Option(
        "--shape", metavar="I,J[,K]", help="Size of the input; the pipeline's window or images.", show_default=False
    ),
]
NewFolderOption = Annotated[
    Path, typer.Option("--out", "-o", metavar="DIR", help="The new folder.", show_default=False)
]


@app.callback()
def export() -> None:
    """Write a pipeline for another program."""


@app.command()
def onnx(
    pipeline: shell.PipelineArgument, out: NewFolderOption, shape: ShapeOption = None, as_json: shell.JsonOption = False
) -> None:
    """Write the network as ONNX, and beside it in JSON what goes in and comes out: steps, windows, labels.

    What was written is run by ONNX Runtime and compared with torch; beyond a thousandth, nothing is left.
    """
    from medvision.pipeline import PipelineFolder
    from medvision.workflows.export import export_graph

    _tell(export_graph(PipelineFolder.open(pipeline), "onnx", out, shape=_sizes(shape)), as_json=as_json)


@app.command()
def openvino(
    pipeline: shell.PipelineArgument, out: NewFolderOption, shape: ShapeOption = None, as_json: shell.JsonOption = False
) -> None:
    """Write the network for OpenVINO, and beside it in JSON what goes in and comes out: steps, windows, labels.

    What was written is run by OpenVINO and compared with torch; beyond a thousandth, nothing is left.
    """
    from medvision.pipeline import PipelineFolder
    from medvision.workflows.export import export_graph

    _tell(export_graph(PipelineFolder.open(pipeline), "openvino", out, shape=_sizes(shape)), as_json=as_json)


@app.command(name="monai-bundle")
def monai_bundle(pipeline: shell.PipelineArgument, out: NewFolderOption, as_json: shell.JsonOption = False) -> None:
    """Write the pipeline as a MONAI bundle; where MONAI computes a step a little otherwise, it is said.

    What was written is loaded by MONAI and compared with the pipeline's network; beyond a thousandth, nothing is left.
    """
    from medvision.pipeline import PipelineFolder
    from medvision.workflows.export import export_monai_bundle

    _tell(export_monai_bundle(PipelineFolder.open(pipeline), out), as_json=as_json)


def _sizes(words: str | None) -> list[int] | None:
    """Return the numbers of ``96,96,96``.

    >>> _sizes("96, 64"), _sizes(None)
    ([96, 64], None)
    """
    if words is None:
        return None
    from medvision.errors import UsageError

    parts = [part.strip() for part in words.split(",")]
    if not all(part.isdecimal() and int(part) for part in parts):
        raise UsageError("usage", f"--shape is sizes above 0 with commas between, got {words!r}", cure="E.g. 96,96,96.")
    return [int(part) for part in parts]


def _tell(made: Exported, *, as_json: bool) -> None:
    if as_json:
        shell.print_json(made.to_json())
        return
    for name in made.files:
        typer.echo(str(made.folder / name))
    typer.echo(f"Checked: {made.agreement}")
    for line in shell.noticed(made.findings, {}):
        typer.echo(line)
