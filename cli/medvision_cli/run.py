"""The command `medvision run`."""

from __future__ import annotations

from typing import Annotated

import typer

from medvision_cli import ending, reading, shell, streams, summary

WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=1,
        help="Cases analysed at once; by default one for each core, one on a GPU.",
        show_default=False,
    ),
]
MaxMemoryOption = Annotated[
    float | None,
    typer.Option("--max-memory", metavar="GB", help="Memory for all cases at once, in GB.", show_default=False),
]
MaxMinutesOption = Annotated[
    float | None,
    typer.Option(
        "--max-minutes",
        metavar="MIN",
        help="Most minutes for a case; by default as long as it computes anything.",
        show_default=False,
    ),
]
RerunOption = Annotated[
    str | None,
    typer.Option(
        "--rerun",
        metavar="WHICH",
        help="Only cases that failed before (failed), that were refused (refused), or every case anew (all).",
        show_default=False,
    ),
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        help="Only this share of the cases, e.g. 2/4; `medvision merge` then joins all shares.",
        show_default=False,
    ),
]
SchedulerOption = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        metavar="ADDRESS",
        help="Analyse on the workers of this Dask cluster, e.g. tcp://node1:8786.",
        show_default=False,
    ),
]
SlurmOption = Annotated[
    int | None,
    typer.Option("--slurm", metavar="JOBS", min=1, help="Analyse in so many jobs of Slurm.", show_default=False),
]
SlurmPartitionOption = Annotated[
    str | None,
    typer.Option("--slurm-partition", metavar="NAME", help="Where; by default Slurm's own.", show_default=False),
]
SlurmHoursOption = Annotated[float, typer.Option("--slurm-hours", help="For how long each job at most.")]
SlurmCoresOption = Annotated[int, typer.Option("--slurm-cores", min=1, help="Of each job, for a case at a time.")]
SlurmMemoryOption = Annotated[float, typer.Option("--slurm-memory", help="Of each job, in GB.")]


def command(
    pipeline: shell.PipelineArgument,
    inputs: shell.InputsArgument,
    out: shell.OutOption,
    split: shell.SplitOption = None,
    engine: shell.EngineOption = "auto",
    dry_run: shell.DryRunOption = False,
    strict: shell.StrictOption = False,
    workers: WorkersOption = None,
    max_memory: MaxMemoryOption = None,
    max_minutes: MaxMinutesOption = None,
    rerun: RerunOption = None,
    shard: ShardOption = None,
    scheduler: SchedulerOption = None,
    slurm: SlurmOption = None,
    slurm_partition: SlurmPartitionOption = None,
    slurm_hours: SlurmHoursOption = 4.0,
    slurm_cores: SlurmCoresOption = 4,
    slurm_memory: SlurmMemoryOption = 16.0,
    allow_gaps: reading.AllowGapsOption = False,
    merge_series: reading.MergeSeriesOption = False,
    assume_ras: reading.AssumeRasOption = False,
    nan_to: reading.NanToOption = None,
    orthogonal: reading.OrthogonalOption = False,
    bqml: reading.BqmlOption = False,
    as_json: shell.JsonOption = False,
) -> None:
    """Analyse scans with a pipeline: masks or probabilities, measurements, saliency, and a page a case.

    The same command again does what is missing, and nothing else. A case that cannot be analysed never stops the
    others, nor one that crashes: each is analysed in another process. Of each DICOM study, the series is taken that
    the table `select` of the pipeline chooses.
    Exit codes: 0 all good, 3 no image found, 4 some cases refused or failed, 5 all of them.
    """
    from medvision.batch import Shard
    from medvision.errors import UsageError
    from medvision.pipeline import PipelineFolder
    from medvision.workflows import run
    from medvision.workflows.batching.limits import rerun_of

    opened = PipelineFolder.open(pipeline)
    how = reading.reading_of(
        allow_gaps=allow_gaps,
        merge_series=merge_series,
        assume_ras=assume_ras,
        nan_to=nan_to,
        orthogonal=orthogonal,
        bqml=bqml,
    )
    if dry_run:
        found = run.plan(inputs, split=split, reading=how, select=opened.settings.select)
        summary.tell_plan(found, run.notes_on(found), as_json=as_json)
        return
    cluster: run.Cluster | None = None if scheduler is None else run.DaskScheduler(scheduler)
    if slurm is not None:
        if scheduler is not None:
            raise UsageError("usage", "--scheduler and --slurm are two clusters: give one")
        cluster = run.SlurmJobs(
            jobs=slurm, partition=slurm_partition, hours=slurm_hours, cores=slurm_cores, memory_gb=slurm_memory
        )
    limits = run.Limits(workers=workers, memory_gb=max_memory, case_minutes=max_minutes)
    with ending.told_to_end(), shell.progress("analysing") as progress:
        result = run.run(
            opened,
            inputs,
            out,
            split=split,
            reading=how,
            engine=engine,
            command=shell.command_line(),
            limits=limits,
            rerun=rerun_of(rerun),
            shard=None if shard is None else Shard.parse(shard),
            cluster=cluster,
            progress=progress,
        )
    exit_code = result.exit_code(strict=strict)
    with streams.heard_or_not():
        summary.tell(result, as_json=as_json, exit_code=exit_code, pages=shard is None)
    raise typer.Exit(exit_code)
