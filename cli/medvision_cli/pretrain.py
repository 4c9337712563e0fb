"""The command `medvision pretrain`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from medvision_cli import clock, shell
from medvision_cli.train import CacheOption, DeterministicOption, MinutesOption, SeedOption

if TYPE_CHECKING:
    from medvision.workflows.pretrain import PretrainingResult


def command(
    context: typer.Context,
    pipeline: shell.PipelineArgument,
    data: shell.InputsArgument,
    out: shell.OutOption,
    method: Annotated[
        str | None,
        typer.Option(
            "--method",
            help="masked (segmentation) or vicreg (all else); else the one that fits.",
            show_default=False,
        ),
    ] = None,
    max_minutes: MinutesOption = None,
    seed: SeedOption = None,
    cache: CacheOption = None,
    licence: Annotated[
        str | None,
        typer.Option("--licence", metavar="TEXT", help="Terms for the use of the weights.", show_default=False),
    ] = None,
    deterministic: DeterministicOption = None,
    device: shell.DeviceOption = "auto",
    as_json: shell.JsonOption = False,
) -> None:
    """Let a pipeline's network learn from images without labels, as a start for `medvision train --from`.

    Labels are not used where there are any. Leaves weights that fit the pipeline's network, without its last layer; the
    folder is no pipeline, and cannot be run. The same command goes on with a pretraining that was stopped.
    Exit codes: 0 all good, 3 no image found, 4 some images could not be used, 5 all of them.
    """  # fmt: skip
    began = clock.command_began(context)
    from medvision.pipeline import PipelineFolder
    from medvision.workflows.fitting.budget import Budget
    from medvision.workflows.pretrain import pretrain
    from medvision.workflows.train import Machine

    opened = PipelineFolder.open(pipeline)
    with shell.progress("pretraining") as progress:
        result = pretrain(
            opened, data, out, method=method, licence=licence, seed=seed,
            budget=None if max_minutes is None else Budget(max_minutes, began),
            machine=Machine(device=device, deterministic=deterministic, cache=cache), progress=progress,
        )  # fmt: skip
    if as_json:
        shell.print_json(result.to_json() | {"exit_code": result.exit_code})
    else:
        _tell(result)
    raise typer.Exit(result.exit_code)


def _tell(result: PretrainingResult) -> None:
    from medvision.errors import printable

    for finding in result.refused:
        where = f"{printable(finding.path)}: " if finding.path else ""
        shell.say(f"refused: {where}{finding.message} [{finding.code}]")
    labels = [finding for finding in result.skipped if finding.code == "label-as-image"]
    if labels:
        first = f"{printable(labels[0].path or '')}: {labels[0].message}"
        shell.say(f"passed over: {len(labels)} label images, the first is {first} [label-as-image]")
    if others := len(result.skipped) - len(labels):
        shell.say(f"passed over: {others} files that are no images (--json lists them)")
    for line in (*shell.noticed(result.findings, result.named), *result.results):
        typer.echo(line)
    if result.done_before:
        typer.echo("Nothing was left to do: this pretraining is done.")
    if result.folder is None:
        typer.echo("No image could be used; nothing was written.")
        return
    typer.echo(f"Weights: {result.folder}  (weights.safetensors, weights.json, training.html)")
    typer.echo(f"Next:    medvision train PIPELINE DATA --from {result.folder} --out DIR")
