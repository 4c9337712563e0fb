"""What a batch came to, in words."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from medvision.errors import printable
from medvision_cli import shell

if TYPE_CHECKING:
    from medvision.errors import Finding
    from medvision.study import Collection
    from medvision.workflows.run import BatchResult


def tell(result: BatchResult, *, as_json: bool, exit_code: int, pages: bool = True) -> None:
    """Print the summary of a batch: for people, or as JSON; without `pages`, it is that of a shard, which has none."""
    if as_json:
        shell.print_json(result.to_json() | {"exit_code": exit_code})
        return
    if not result.entries:
        typer.echo("Nothing to do: no image was found.")
        return
    if not result.analysed and result.count("done"):
        typer.echo("Nothing to do: every case that can be analysed is done already.")
    _tell_notes(result.notes)
    for entry in result.entries:
        if entry.problem is not None:
            typer.echo(f"{entry.state:>8}  {_near(entry.source)}: {entry.problem.message} [{entry.problem.code}]")
            typer.echo(f"          {entry.problem.cure}")
    counts = {
        "analysed now": result.analysed,
        "done before": result.done_before,
        "for review": result.count("review"),
        "refused": result.count("refused"),
        "failed": result.count("failed"),
    }
    typer.echo(f"{len(result.entries)} cases: " + ", ".join(f"{n} {words}" for words, n in counts.items() if n))
    if result.skipped:
        typer.echo(f"{len(result.skipped)} files or series were passed over (--json or --dry-run lists them)")
    if not pages:
        typer.echo(f"When all shards are done: medvision merge {shlex.quote(str(result.folder))}")
        return
    typer.echo(f"Report: {result.folder / 'index.html'}")
    typer.echo(f"Table:  {result.folder / 'results.csv'}")


def tell_plan(found: Collection, notes: tuple[Finding, ...], *, as_json: bool) -> None:
    """Print what a run would work on."""
    if as_json:
        shell.print_json(
            {
                "cases": [{"id": case.id, "source": str(case.path)} for case in found.cases],
                "rejected": [finding.to_json() for finding in found.rejected],
                "skipped": [finding.to_json() for finding in found.skipped],
                "notes": [finding.to_json() for finding in notes],
            }
        )
        return
    for case in found.cases:
        typer.echo(f" analyse  {case.id}  {case.path}")
    for words, findings in (("refuse", found.rejected), ("skip", found.skipped)):
        for finding in findings:
            typer.echo(f"{words:>8}  {printable(finding.path or '')}: {finding.message} [{finding.code}]")
    _tell_notes(notes)
    typer.echo(f"{len(found.cases)} cases, {len(found.rejected)} refused, {len(found.skipped)} passed over")


def _tell_notes(notes: tuple[Finding, ...]) -> None:
    for note in notes:
        shell.say(f"note: {note.message} [{note.code}]")


def _near(path: Path) -> Path:
    """Return a path as seen from the current folder, where it lies below it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
