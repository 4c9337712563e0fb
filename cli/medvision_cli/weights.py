"""The commands `medvision weights ...`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from medvision_cli import shell

if TYPE_CHECKING:
    from medvision.transfer import Match
    from medvision.transfer.overview import StageCounts
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
    every: Annotated[bool, typer.Option("--all", help="List every tensor; --json always does.")] = False,
) -> None:
    """Say what a source of weights holds, and what of it a pipeline's network can start from, stage by stage.

    Nothing of a file is ever run. With --for, less than 80 % of the encoder ends with exit code 7, unless --partial.
    """
    from medvision.errors import PipelineError
    from medvision.pipeline import PipelineFolder
    from medvision.workflows.weights import inspect

    found = inspect(source, PipelineFolder.open(pipeline) if pipeline else None)
    refusal = None
    try:
        found.require(partial=partial)
    except PipelineError as error:
        refusal = error
    code = (shell.exit_code_of(refusal) if refusal else 0) or 0
    if as_json:
        shell.print_json(found.to_json() | {"error": refusal.finding.to_json() if refusal else None, "exit_code": code})
    else:
        for line in _lines(found, every=every):
            typer.echo(line)
    if refusal:
        shell.complain(refusal)
        raise typer.Exit(code)


def _lines(found: Inspection, *, every: bool) -> Iterator[str]:
    origin = found.origin
    yield f"Source:     {origin.source} ({origin.kind})"
    yield f"SHA-256:    {origin.sha256}"
    yield f"Licence:    {origin.licence or 'not stated: ask the source before use'}"
    yield f"Layout:     {found.family or 'not known'}" + (f", our network {found.network!r}" if found.network else "")
    yield f"Tensors:    {len(found.shapes)} with {found.parameters:,} parameters"
    yield from (f"Note:       {words}" for words in origin.chosen)
    yield from (f"{finding.grade.capitalize() + ':':<12}{finding}" for finding in found.findings)
    if found.match is not None:
        yield from _shares(found.match)
    yield ""
    if found.match is None:
        yield from _names(found) if every else _groups(found)
    else:
        yield from _rows(found.match) if every else _stages(found.stages, found.match)
    if not every:
        yield ""
        yield "Every tensor: --all, or --json."


def _shares(match: Match) -> Iterator[str]:
    yield "For it:     " + ", ".join(f"{count} {state}" for state, count in match.counts.items())
    yield (
        f"Encoder:    {match.share_of_parameters:.1%} of its parameters, {match.share_of_tensors:.1%} of its tensors"
    )
    yield f"Unused:     {len(match.unused)} tensors of the source"


def _names(found: Inspection) -> Iterator[str]:
    yield from (f"{name}  {_shape(shape)}" for name, shape in found.shapes.items())


def _groups(found: Inspection) -> Iterator[str]:
    from medvision.transfer.overview import groups

    told = groups(found.shapes)
    width = max(len("names begin with"), *(len(group.name) for group in told))
    yield f"{'names begin with':<{width}}  tensors     parameters"
    yield from (f"{group.name:<{width}}  {group.tensors:>7}  {group.parameters:>13,}" for group in told)


def _stages(stages: Sequence[StageCounts], match: Match) -> Iterator[str]:
    """Yield a line a stage, then why tensors were not taken as they were, those of one reason together."""
    from medvision.transfer.overview import reasons

    states = tuple(match.counts)
    width = max(len("stage"), *(len(stage.name) for stage in stages))
    yield f"{'stage':<{width}}  {'part':<7}  " + "  ".join(f"{state:>7}" for state in states) + "  parameters taken"
    for stage in stages:
        counts = "  ".join(f"{stage.counts[state]:>7}" for state in states)
        share = f"{stage.taken:,} of {stage.parameters:,}"
        yield f"{stage.name:<{width}}  {stage.part:<7}  {counts}  {share}"
    told = reasons(match)
    if told or match.unused:
        yield ""
    for reason in told:
        more = f" and {len(reason.names) - 1} more" if len(reason.names) > 1 else ""
        yield f"{reason.state:<8} {reason.names[0]}{more}: {reason.why}"
    if match.unused:
        more = f" and {len(match.unused) - 1} more" if len(match.unused) > 1 else ""
        yield f"unused   {match.unused[0]}{more}"


def _rows(match: Match) -> Iterator[str]:
    width = max((len(row.name) for row in match.rows), default=0)
    for row in match.rows:
        came = f" <- {row.source_name} {_shape(row.source_shape)}" if row.source_name and row.source_shape else ""
        same = row.source_name == row.name and row.source_shape == row.shape
        why = f": {row.why}" if row.why else ""
        yield f"{row.state:<8} {row.name:<{width}} {_shape(row.shape)}{'' if same else came}{why}"
    yield from (f"unused   {name}" for name in match.unused)


def _shape(shape: tuple[int, ...] | None) -> str:
    return "x".join(map(str, shape)) if shape else "1"
