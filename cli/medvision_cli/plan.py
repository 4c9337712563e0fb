"""The command `medvision plan`."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Annotated

import typer

from medvision_cli import shell
from medvision_cli.train import DataArgument

if TYPE_CHECKING:
    from medvision.planning import Decision
    from medvision.workflows.plan import PlanResult

_SETTING, _VALUE, _REASON = 18, 24, 54
_COLOURS = {"error": "red", "warning": "yellow", "note": None}


def command(
    data: DataArgument,
    out: shell.OutOption,
    task: Annotated[
        str | None,
        typer.Option(
            "--task",
            help="segmentation, classification, multilabel or regression; else the labels tell it.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the pipeline; else that of the folder.", show_default=False)
    ] = None,
    memory_gb: Annotated[float, typer.Option("--memory-gb", help="Memory of the device that will train, in GB.")] = 8.0,
    dry_run: shell.DryRunOption = False,
    as_json: shell.JsonOption = False,
) -> None:
    """Measure labelled data, and write a pipeline for them: every setting by a rule, with its reason.

    The new folder holds pipeline.toml, to be read and edited, and fingerprint.json, which says what the data are like.
    `medvision train` takes it as it is. Cases of the split test are not looked at, and those of the split val decide
    nothing.
    """
    from medvision.workflows.plan import plan

    with shell.progress("measuring", resumes=False) as progress:
        result = plan(data, out, task=task, name=name, memory_gb=memory_gb, dry_run=dry_run, progress=progress)
    if as_json:
        shell.print_json(result.to_json())
        return
    _tell_findings(result)
    _tell_data(result)
    _tell_decisions(result.plan.decisions)
    if result.folder is None:
        typer.echo("\nNothing was written (--dry-run).")
        return
    typer.echo(f"\nPipeline: {result.folder / 'pipeline.toml'}")
    typer.echo(f"Next:     read it, then  medvision train {result.folder} DATA --out DIR")


def _tell_findings(result: PlanResult) -> None:
    for finding in result.findings:
        word = typer.style(f"{finding.grade:>8}", fg=_COLOURS[finding.grade])
        typer.echo(f"{word}  {finding.message} [{finding.code}]")
        if cases := shell.cases_of(finding, result.named):
            typer.echo(f"{'':>8}  {cases}")
        typer.echo(f"{'':>8}  {finding.cure}")
    if result.findings:
        typer.echo()


def _tell_data(result: PlanResult) -> None:
    from medvision.fingerprint import UNKNOWN
    from medvision.report.wording import many

    data = result.fingerprint
    sizes = " x ".join(f"{axis.p50:.0f}" for axis in data.shape)
    spacing = " x ".join(f"{axis.p50:.3g}" for axis in data.spacing_mm or ())
    facts = [many(data.cases, "case"), many(data.patients, "patient") if data.patients != data.cases else ""]
    stated = "no single modality" if set(data.modalities) - {UNKNOWN} else "modality not stated"
    facts += [data.modality or stated, f"typically {sizes} voxels"]
    facts += [f"of {spacing} mm" if spacing else "of unknown size"]
    typer.echo(", ".join(filter(None, facts)))
    if result.held_out:
        typer.echo(f"Split val: {many(result.held_out, 'case')}, read and not measured")
    if result.left_out:
        typer.echo(f"Split test: {many(result.left_out, 'case')}, not looked at")


def _tell_decisions(decisions: tuple[Decision, ...]) -> None:
    """Print a table a table of pipeline.toml; the reason of several settings in a row stands beside the first."""
    table, said = None, ""
    for each in decisions:
        head, _, rest = each.setting.rpartition(".")
        if head != table:
            typer.echo(f"\n[{head}]" if head else "")
        table = head
        reason = each.reason if each.reason != said else '"'
        said = each.reason
        _tell_row(rest, each.shown, reason)


def _tell_row(setting: str, value: str, reason: str) -> None:
    """Print one row; value and reason are wrapped, each in its column."""
    values = textwrap.wrap(value, _VALUE) or [""]
    reasons = textwrap.wrap(reason, _REASON)
    for n in range(max(len(values), len(reasons))):
        left = setting if n == 0 else ""
        middle = values[n] if n < len(values) else ""
        right = reasons[n] if n < len(reasons) else ""
        typer.echo(f"{left:<{_SETTING}} {middle:<{_VALUE}}  {right}".rstrip())
