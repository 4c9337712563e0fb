"""The command `medvision train`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medvision_cli import clock, shell

if TYPE_CHECKING:
    from medvision.errors import Finding, UsageError
    from medvision.workflows.crossvalidate import CrossValidation
    from medvision.workflows.train import TrainingResult

DataArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="DATA...",
        help="Labelled data: a manifest (CSV, JSONL), a dataset.json or its folder, or an .npz.",
        show_default=False,
    ),
]
SeedOption = Annotated[
    int | None,
    typer.Option("--seed", min=0, max=2**32 - 1, help="In place of the seed in the settings.", show_default=False),
]
MinutesOption = Annotated[
    float | None,
    typer.Option(
        "--max-minutes", metavar="M", help="Train what fits into this time, all included; say what was cut.",
        show_default=False,
    ),
]  # fmt: skip
FromOption = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="SOURCE", help="Start from a pipeline, a file of weights, a folder or hf:ORG/REPO.",
        show_default=False,
    ),
]  # fmt: skip
TuneOption = Annotated[
    str,
    typer.Option(
        "--tune", help="What of it is trained: full, head, last:N, discriminative[:F], staged[:E], lora:r=R[,alpha=A]."
    ),
]
PartialOption = Annotated[bool, typer.Option("--partial", help="Take weights of which less than 80 % fit.")]
CacheOption = Annotated[
    Path | None,
    typer.Option("--cache", metavar="DIR", help="Keep prepared cases here, for other trainings.", show_default=False),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers", metavar="N", min=0,
        help="Processes that prepare cases; 0: none but this one. Default: one for each core but one, at most 8; "
        "0 below 4 cores or 32 cases.",
        show_default=False,
    ),
]  # fmt: skip
DeterministicOption = Annotated[
    bool | None,
    typer.Option(
        "--deterministic/--no-deterministic", help="Give the same bits in every run (default: on a CPU).",
        show_default=False,
    ),
]  # fmt: skip


def command(
    context: typer.Context,
    pipeline: shell.PipelineArgument,
    data: DataArgument,
    out: shell.OutOption,
    max_minutes: MinutesOption = None,
    folds: Annotated[
        int | None,
        typer.Option("--folds", min=2, help="Cross-validate, then train on all cases.", show_default=False),
    ] = None,
    source: FromOption = None,
    tune: TuneOption = "full",
    partial: PartialOption = False,
    prove: Annotated[
        bool, typer.Option("--prove-transfer", help="Train from scratch too, and say whether --from helped.")
    ] = False,
    seeds: Annotated[
        int | None,
        typer.Option(
            "--seeds", min=1, help="Trainings of each kind for --prove-transfer; 3 if not said.", show_default=False
        ),
    ] = None,
    seed: SeedOption = None,
    cache: CacheOption = None,
    workers: WorkersOption = None,
    log: Annotated[
        str, typer.Option("--log", help="Tell others too: tensorboard, mlflow or mlflow=ADDRESS; commas between.")
    ] = "",
    deterministic: DeterministicOption = None,
    device: shell.DeviceOption = "auto",
    devices: Annotated[int, typer.Option("--devices", min=1, help="GPUs, or processes, that share each batch.")] = 1,
    nodes: Annotated[int, typer.Option("--nodes", min=1, help="Machines; torchrun or srun starts them.")] = 1,
    as_json: shell.JsonOption = False,
) -> None:
    """Train a pipeline's network, and leave a new pipeline folder that `medvision run` takes.

    Patients stay on one side of the split. A training that was stopped goes on when the same command is given again.
    """
    began = clock.command_began(context)
    _require_one_way(folds=folds, source=source, prove=prove, seeds=seeds, processes=devices * nodes)
    if source is None and (tune != "full" or partial):
        raise _usage("--tune and --partial need --from")
    if devices > 1 and nodes == 1:
        shell.launch_once(devices)
    from medvision.pipeline import PipelineFolder
    from medvision.workflows.fitting.budget import Budget
    from medvision.workflows.train import Machine, Start, train

    opened = PipelineFolder.open(pipeline)
    machine = Machine(
        device=device, deterministic=deterministic, cache=cache, log=log, devices=devices, nodes=nodes, workers=workers
    )  # fmt: skip
    start = None if source is None else Start(source, tune, partial)
    budget = None if max_minutes is None else Budget(max_minutes, began)
    with shell.progress("training") as progress:
        if prove:
            from medvision.workflows.prove import prove_transfer

            proof = prove_transfer(
                opened, data, out, start=Start(source or "", tune, partial), seeds=seeds or 3, seed=seed,
                budget=budget, machine=machine, progress=progress,
            )  # fmt: skip
            values, lines = proof.to_json(), [proof.table()]
        elif folds is not None:
            from medvision.workflows.crossvalidate import crossvalidate

            found = crossvalidate(
                opened, data, out, count=folds, start=start, seed=seed, budget=budget, machine=machine,
                progress=progress,
            )  # fmt: skip
            values, lines = found.to_json(), _lines(_before_folds(found), found.findings, found.results, found.named)
            lines.append(f"Pipeline: {found.folder}  (folds/, ensemble/, crossvalidation.csv, card.md)")
        else:
            result = train(opened, data, out, start=start, seed=seed, budget=budget, machine=machine, progress=progress)
            values, lines = result.to_json(), _lines(_before(result), result.findings, result.results, result.named)
            lines.append(f"Pipeline: {result.folder}  (card.md, training.html, validation.csv)")
    if as_json:
        shell.print_json(values)
        return
    for line in lines:
        typer.echo(line)


def _require_one_way(*, folds: int | None, source: str | None, prove: bool, seeds: int | None, processes: int) -> None:
    if prove and source is None:
        raise _usage("--prove-transfer needs --from")
    if prove and folds is not None:
        raise _usage("--prove-transfer and --folds exclude each other")
    if seeds is not None and not prove:
        raise _usage("--seeds needs --prove-transfer")
    if processes > 1 and (prove or folds is not None):
        raise _usage("--devices and --nodes share one training, and not those of --folds or --prove-transfer")


def _usage(message: str) -> UsageError:
    from medvision.errors import UsageError

    return UsageError("usage", message)


def _before(result: TrainingResult) -> str:
    """Return what of a training an earlier command had done; empty for nothing."""
    if result.done_before:
        return "Nothing was left to do: this training had been done before."
    return f"It went on after epoch {result.epochs_before}, where it had been stopped." if result.epochs_before else ""


def _before_folds(found: CrossValidation) -> str:
    """Return how many of the trainings an earlier command had done; empty for none."""
    trainings = len(found.each) + 1
    if found.done_before == trainings:
        return "Nothing was left to do: this cross-validation had been done before."
    return f"{found.done_before} of {trainings} trainings had been done before." if found.done_before else ""


def _lines(
    before: str, findings: tuple[Finding, ...], results: tuple[str, ...], named: Mapping[str, Sequence[Any]]
) -> list[str]:
    return [*([before] if before else []), *shell.noticed(findings, named), *results]
