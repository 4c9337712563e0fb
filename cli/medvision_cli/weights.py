"""The commands `medvision weights ...`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from medvision_cli import shell

if TYPE_CHECKING:
    from medvision.transfer import Match
    from medvision.workflows.weights import Inspection

app = typer.Typer(no_args_is_help=True, help="Look at weights to start a training from.")


@app.callback()
def weights() -> None:
    """Look at weights to start a training from."""


@app.command()
def inspect(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A pipeline, a safetensors file, a checkpoint of torch, a MONAI bundle, or hf:ORG/REPO[@REV][:FILE].",
            show_default=False,
        ),
    ],
    pipeline: Annotated[
        str | None,
        typer.Option("--for", metavar="PIPELINE", help="Say what its network can take.", show_default=False),
    ] = None,
    as_json: shell.JsonOption = False,
    partial: Annotated[bool, typer.Option("--partial", help="Accept any share of the encoder but none.")] = False,
) -> None:
    """Say what a source of weights holds, and what of it a pipeline's network can start from, tensor by tensor.

    Nothing of a file is ever run. With --for, less than 80 % of the encoder ends with exit code 7, unless --partial.
    """
    from medvision.pipeline import PipelineFolder
    from medvision.workflows.weights import inspect

    found = inspect(source, PipelineFolder.open(pipeline) if pipeline else None)
    if as_json:
        shell.print_json(found.to_json())
    else:
        for line in _lines(found):
            typer.echo(line)
    found.require(partial=partial)


def _lines(found: Inspection) -> Iterator[str]:
    origin = found.origin
    yield f"Source:     {origin.source} ({origin.kind})"
    yield f"SHA-256:    {origin.sha256}"
    yield f"Licence:    {origin.licence or 'not stated: ask the source before use'}"
    yield f"Layout:     {found.family or 'not known'}" + (f", our network {found.network!r}" if found.network else "")
    yield f"Tensors:    {len(found.shapes)} with {found.parameters:,} parameters"
    yield from (f"Note:       {words}" for words in origin.chosen)
    if found.match is None:
        yield ""
        yield from (f"{name}  {_shape(shape)}" for name, shape in found.shapes.items())
        return
    yield from (f"{finding.grade.capitalize() + ':':<12}{finding}" for finding in found.findings)
    yield from _table(found.match)


def _table(match: Match) -> Iterator[str]:
    yield "For it:     " + ", ".join(f"{count} {state}" for state, count in match.counts.items())
    yield (
        f"Encoder:    {match.share_of_parameters:.1%} of its parameters, {match.share_of_tensors:.1%} of its tensors"
    )
    yield f"Unused:     {len(match.unused)} tensors of the source"
    yield ""
    width = max((len(row.name) for row in match.rows), default=0)
    for row in match.rows:
        came = f" <- {row.source_name} {_shape(row.source_shape)}" if row.source_name and row.source_shape else ""
        same = row.source_name == row.name and row.source_shape == row.shape
        why = f": {row.why}" if row.why else ""
        yield f"{row.state:<8} {row.name:<{width}} {_shape(row.shape)}{'' if same else came}{why}"
    yield from (f"unused   {name}" for name in match.unused)


def _shape(shape: tuple[int, ...] | None) -> str:
    return "x".join(map(str, shape)) if shape else "1"
