"""The command `medvision learning-curve`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from medvision_cli import shell
from medvision_cli.train import CacheOption, DataArgument, DeterministicOption, SeedOption, WorkersOption

if TYPE_CHECKING:
    from medvision.workflows.learning_curve import PlannedTraining


def command(
    pipeline: shell.PipelineArgument,
    data: DataArgument,
    out: shell.OutOption,
    sizes: Annotated[
        str, typer.Option("--sizes", metavar="N,N,...", help="Numbers of cases to train on; all takes all.")
    ] = "50,100,200,400,all",
    repeats: Annotated[int, typer.Option("--repeats", metavar="R", help="Subsets of each size.")] = 3,
    start: Annotated[
        str,
        typer.Option(
            "--from", metavar="A,B,...", help="Weights to start from; scratch is none. All are compared with the first."
        ),
    ] = "scratch",
    tune: Annotated[
        str,
        typer.Option(
            "--tune",
            metavar="HOW",
            help="What of them is trained: full, head, last:N, discriminative, staged, lora:r=R.",
        ),
    ] = "full",
    minutes: Annotated[
        float | None,
        typer.Option(
            "--max-minutes-each",
            metavar="M",
            help="The time of each training, without preparing the cases.",
            show_default=False,
        ),
    ] = None,
    seed: SeedOption = None,
    cache: CacheOption = None,
    workers: WorkersOption = None,
    deterministic: DeterministicOption = None,
    device: shell.DeviceOption = "auto",
    dry_run: shell.DryRunOption = False,
    as_json: shell.JsonOption = False,
) -> None:
    """Train on subsets of rising size, and show how much more labelled cases, or other weights, would bring.

    Subsets are drawn by patient, each within the next larger one; all are measured on the same held-out cases. A curve
    that was stopped goes on when the same command is given again. Leaves curve.csv, curve.json and curve.png.
    """
    from medvision.pipeline import PipelineFolder
    from medvision.workflows.comparing.ways import ways_of
    from medvision.workflows.learning_curve import CurveDesign, learning_curve, plan_of_curve
    from medvision.workflows.train import Machine
    from medvision.workflows.training_data.subsets import sizes_of

    opened = PipelineFolder.open(pipeline)
    design = CurveDesign(sizes_of(sizes), repeats, ways_of(start.split(","), tune), minutes)
    if dry_run:
        _tell_plan(plan_of_curve(opened, data, out, design, seed=seed), as_json=as_json)
        return
    machine = Machine(device=device, deterministic=deterministic, cache=cache, workers=workers)
    with shell.progress("learning curve") as progress:
        curve = learning_curve(opened, data, out, design, seed=seed, machine=machine, progress=progress)
    if as_json:
        shell.print_json(curve.to_json())
        return
    typer.echo(curve.table())
    typer.echo(f"Curve: {out}  (curve.csv, curve.json, curve.png)")


def _tell_plan(planned: tuple[PlannedTraining, ...], *, as_json: bool) -> None:
    if as_json:
        shell.print_json({"schema": "medvision.learning-curve-plan/1", "runs": [asdict(run) for run in planned]})
        return
    for run in planned:
        done = ", done" if run.done else ""
        typer.echo(f"{run.start}: {run.cases} cases of {run.patients} patients, repeat {run.repeat}{done}")
    missing = sum(not run.done for run in planned)
    typer.echo(f"{missing} of {len(planned)} trainings to do")
