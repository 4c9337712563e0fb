"""The command `medvision convert`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medvision.errors import printable
from medvision_cli import reading, shell

if TYPE_CHECKING:
    from medvision.errors import Finding
    from medvision.workflows.convert import ConvertResult, Plan


class Target(StrEnum):
    """What can be written."""

    nifti = "nifti"
    dicom = "dicom"


def command(
    inputs: shell.InputsArgument,
    out: shell.OutOption,
    to: Annotated[Target, typer.Option("--to", help="NIfTI with a JSON side file, or a DICOM series.")] = Target.nifti,
    allow_gaps: reading.AllowGapsOption = False,
    merge_series: reading.MergeSeriesOption = False,
    assume_ras: reading.AssumeRasOption = False,
    nan_to: reading.NanToOption = None,
    orthogonal: reading.OrthogonalOption = False,
    bqml: reading.BqmlOption = False,
    split: Annotated[
        bool, typer.Option("--split", help="Write each volume of a series as its own NIfTI file.")
    ] = False,
    modality: Annotated[
        str | None,
        typer.Option("--modality", metavar="XX", help="The modality of files that state none.", show_default=False),
    ] = None,
    descriptions: Annotated[
        bool, typer.Option("--descriptions", help="Put Series Description and Protocol Name into the side file.")
    ] = False,
    keep_identity: Annotated[
        bool, typer.Option("--keep-identity", help="Keep patient, study and dates (DICOM to DICOM).")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace outputs that are there already.")] = False,
    dry_run: shell.DryRunOption = False,
    as_json: shell.JsonOption = False,
) -> None:
    """Write every image as NIfTI with a BIDS side file, or as a DICOM series, without names, IDs and dates.

    Outputs are called after the folders and files that they come from: what these names tell stays. An image that
    cannot be read right is refused with a reason, and the others are written. Exit codes: 0 all good, 3 no image found,
    4 some images refused, 5 all of them, 6 the output cannot be written.
    """
    from medvision.workflows.convert import Form, convert, plan

    form = Form(to=to.value, modality=modality, split=split, descriptions=descriptions, keep_identity=keep_identity)
    how = reading.reading_of(
        allow_gaps=allow_gaps,
        merge_series=merge_series,
        assume_ras=assume_ras,
        nan_to=nan_to,
        orthogonal=orthogonal,
        bqml=bqml,
    )
    if dry_run:
        _tell_plan(plan(inputs, out, form=form, reading=how), as_json=as_json)
        return
    resumes = False if force else "What was written stays: the same command with --force starts over."
    with shell.progress("converting", resumes=resumes) as progress:
        result = convert(inputs, out, form=form, reading=how, force=force, progress=progress)
    _tell(result, as_json=as_json)
    raise typer.Exit(result.exit_code())


def _tell(result: ConvertResult, *, as_json: bool) -> None:
    if as_json:
        shell.print_json(result.to_json() | {"exit_code": result.exit_code()})
        return
    for one in result.converted:
        typer.echo(f" written  {one.id}  {_of_many(one.files)}")
        for finding in one.findings:
            typer.echo(f"          {finding.grade}: {finding.message} [{finding.code}]")
    _tell_findings(result.rejected)
    passed = f", {len(result.skipped)} files passed over" if result.skipped else ""
    typer.echo(f"{len(result.converted)} images written, {len(result.rejected)} refused{passed}")


def _tell_plan(planned: Plan, *, as_json: bool) -> None:
    if as_json:
        shell.print_json(planned.to_json())
        return
    for job in planned.jobs:
        volumes = f" ({len(job.cases)} volumes)" if len(job.cases) > 1 else ""
        typer.echo(f"   write  {job.outputs[0]}{volumes}  from {job.cases[0].path}")
    _tell_findings(planned.rejected)
    typer.echo(f"{len(planned.jobs)} images, {len(planned.rejected)} refused, {len(planned.skipped)} files passed over")


def _tell_findings(findings: tuple[Finding, ...]) -> None:
    for finding in findings:
        typer.echo(f" refused  {printable(finding.path or '')}: {finding.message} [{finding.code}]")
        typer.echo(f"          {finding.cure}")


def _of_many(files: tuple[Path, ...]) -> str:
    return str(files[0]) if len(files) < 3 else f"{files[0].parent} ({len(files)} files)"
