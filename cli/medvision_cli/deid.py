"""The command `medvision deid`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medvision.errors import printable
from medvision_cli import shell

if TYPE_CHECKING:
    from medvision.deid import Box
    from medvision.workflows.deid import DeidResult


def command(
    inputs: Annotated[
        list[Path],
        typer.Argument(metavar="INPUT...", help="DICOM files, folders of any depth, zip archives.", show_default=False),
    ],
    out: shell.OutOption,
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option",
            metavar="NAME",
            help="Add an option of PS3.15 to the basic profile, such as retain-dates-modified; may be repeated.",
            show_default=False,
        ),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", help="Secret of the pseudonyms; made if missing.", show_default=False),
    ] = None,
    mapping: Annotated[
        Path | None,
        typer.Option("--mapping", metavar="CSV", help="Your list: patient_id, pseudonym.", show_default=False),
    ] = None,
    blank: Annotated[
        list[str] | None,
        typer.Option("--blank", metavar="X,Y,W,H", help="Blank a box of pixels in every frame.", show_default=False),
    ] = None,
    blank_detected: Annotated[bool, typer.Option("--blank-detected", help="Blank text that is detected.")] = False,
    accept_burned_in: Annotated[
        bool, typer.Option("--accept-burned-in", help="Let images pass in which text is suspected: you looked at them.")
    ] = False,
    dry_run: shell.DryRunOption = False,
    as_json: shell.JsonOption = False,
) -> None:
    """De-identify DICOM images: what the standard's basic profile does not allow is not copied.

    An image with text in its pixels is refused, unless you say what to do. Keep the key apart: it links to persons.
    """
    from medvision.deid import DeidOptions
    from medvision.workflows.deid import deidentify

    boxes = tuple(_box(text) for text in blank or ())
    options = DeidOptions(
        frozenset(option or ()), boxes, blank_detected=blank_detected, accept_burned_in=accept_burned_in
    )
    is_new = key is not None and not key.exists()
    lost = "The secret is gone, so that no copy can follow these: start over in another folder, or name a --key."
    resumes = False if key is not None or dry_run else lost
    with shell.progress("de-identifying", resumes=resumes) as progress:
        result = deidentify(inputs, out, options, key=key, mapping=mapping, dry_run=dry_run, progress=progress)
    for finding in result.refused:
        shell.say(f"refused  {printable(finding.path or '')}: {finding.message} [{finding.code}]")
        shell.say(f"         {finding.cure}")
    _tell_key(key, is_new=is_new and not dry_run, is_used=bool(result.written) and not dry_run)
    if as_json:
        shell.print_json(result.summary.to_json() | {"exit_code": result.exit_code()})
    else:
        _tell(result, dry_run=dry_run)
    raise typer.Exit(result.exit_code())


def _tell(result: DeidResult, *, dry_run: bool) -> None:
    """Print what was done, for people."""
    for action, count in result.summary.totals().items():
        typer.echo(f"{count:>8}  elements {action}")
    verb = "would be written" if dry_run else "written"
    passed = f", {result.summary.passed_over} files passed over" if result.summary.passed_over else ""
    typer.echo(f"{result.written} images {verb}, {len(result.refused)} refused{passed}")
    typer.echo("What remains a risk:")
    for risk in result.summary.risks():
        typer.echo(f"  - {risk}")
    if not dry_run:
        typer.echo(f"Report: {result.folder / 'deid-report.html'}")


def _tell_key(key: Path | None, *, is_new: bool, is_used: bool) -> None:
    if is_new:
        shell.say(
            f"The key was written to {key}. Who has it can link the copies to persons: keep it apart, or destroy it."
        )
    elif key is None and is_used:
        shell.say("The secret was thrown away: the pseudonyms cannot be made again. Name a --key to add files later.")


def _box(text: str) -> Box:
    from medvision.deid import Box
    from medvision.errors import UsageError

    try:
        x, y, width, height = (int(part) for part in text.split(","))
        if min(x, y) < 0:
            raise ValueError(text)
        return Box(x, y, width, height)
    except ValueError:
        cure = "Give the left column, the top row, width and height in pixels: --blank 0,0,240,30"
        raise UsageError("usage", "--blank needs four whole numbers", cure=cure) from None
