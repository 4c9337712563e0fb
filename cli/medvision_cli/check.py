"""The command `medvision check`."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medvision.errors import printable
from medvision_cli import reading, shell

if TYPE_CHECKING:
    from medvision.report.inventory import Verdict
    from medvision.workflows.check import Checked, CheckResult

_MANY = 4  # of one folder that say the same: the first are named, the others counted
_ORDER = {"refused": 0, "review": 1, "accept": 2}
_GRADES = {"error": 0, "warning": 1, "note": 2}
_WORDS: dict[Verdict, str] = {"accept": "can be analysed", "review": "need a look", "refused": "refused"}
_COLOURS = {"refused": "red", "error": "red", "review": "yellow", "warning": "yellow", "accept": "green", "note": None}


def command(
    inputs: shell.InputsArgument,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write a page with a picture of every image.", show_default=False),
    ] = None,
    headers_only: Annotated[
        bool, typer.Option("--headers-only", help="Read headers alone: quick, and silent on what voxels would show.")
    ] = False,
    allow_gaps: reading.AllowGapsOption = False,
    merge_series: reading.MergeSeriesOption = False,
    assume_ras: reading.AssumeRasOption = False,
    nan_to: reading.NanToOption = None,
    orthogonal: reading.OrthogonalOption = False,
    bqml: reading.BqmlOption = False,
    strict: shell.StrictOption = False,
    as_json: shell.JsonOption = False,
) -> None:
    """Sort a mess into images; say what each is, whether it can be analysed, and what is wrong with it.

    Data sets with labels are checked as a whole, too: labels and their grids, outliers, copies, patients on both sides
    of a split. Exit codes: 0 all good, 3 no image found, 4 something is refused or the set is at fault, 5 all refused.
    """
    from medvision.workflows import check

    how = reading.reading_of(
        allow_gaps=allow_gaps,
        merge_series=merge_series,
        assume_ras=assume_ras,
        nan_to=nan_to,
        orthogonal=orthogonal,
        bqml=bqml,
    )
    with shell.progress("checking", resumes=False) as progress:
        result = check.check(
            inputs, reading=how, headers_only=headers_only, pictures=html is not None, progress=progress
        )
    exit_code = result.exit_code(strict=strict)
    if html is not None:
        check.write_page(result, html, inputs, shell.command_line())
    if as_json:
        shell.print_json(result.to_json() | {"exit_code": exit_code})
    else:
        _tell(result, inputs)
        if html is not None:
            typer.echo(f"Page: {html}")
    raise typer.Exit(exit_code)


def _tell(result: CheckResult, inputs: list[Path]) -> None:
    """Print a table, the worst first; images of one folder that say the same are counted."""
    alike: dict[tuple[object, ...], list[Checked]] = defaultdict(list)
    for image in result.images:
        codes = tuple(sorted({(finding.grade, finding.code) for finding in image.findings}))
        kind = image.series.kind if image.series else None
        alike[(image.path.parent, image.verdict, kind, codes)].append(image)
    if result.images:
        typer.echo(f"{'verdict':>8}  {'what it is':<27}  {'size':<19}  {'spacing in mm':<18}  image")
    for group in sorted(alike.values(), key=lambda group: (_ORDER[group[0].verdict], group[0].path)):
        named = group if len(group) <= _MANY + 1 else group[:_MANY]
        for image in named:
            _tell_image(image, inputs)
        if len(group) > len(named):
            codes_told = ", ".join(dict.fromkeys(finding.code for finding in group[0].findings))
            same = f", also with {codes_told}" if codes_told else ""
            typer.echo(f"{'':>10}... and {len(group) - len(named)} more in the same folder{same}")
    _tell_sets(result)
    counts = [f"{result.count(verdict)} {words}" for verdict, words in _WORDS.items()]
    typer.echo(f"{len(result.images)} images: {', '.join(counts)}; {len(result.skipped)} files passed over")


def _tell_image(image: Checked, inputs: list[Path]) -> None:
    from medvision.workflows.check import near

    series = image.series
    kind = ", ".join(part for part in (series.kind, series.orientation) if part) if series else "not known"
    size = " x ".join(map(str, series.size)) if series and series.size else ""
    if series and series.volumes > 1:
        size += f" x {series.volumes}"
    name = near(image.path, inputs)
    ident = f" ({image.id})" if image.id and image.id not in name else ""
    description = f', "{printable(series.description)}"' if series and series.description else ""
    word = typer.style(f"{image.verdict:>8}", fg=_COLOURS[image.verdict])
    typer.echo(f"{word}  {kind:<27}  {size:<19}  {_spacing(image):<18}  {name}{ident}{description}")
    for finding in image.findings:
        typer.echo(f"{'':>10}{finding.grade}: {finding.message} [{finding.code}]")
        if finding.grade != "note":
            typer.echo(f"{'':>10}  {finding.cure}")


def _spacing(image: Checked) -> str:
    if image.facts is None or not image.facts.geometry.physical:
        return ""
    return " x ".join(f"{step:.3g}" for step in image.facts.geometry.spacing)


def _tell_sets(result: CheckResult) -> None:
    """Print what is wrong with each data set, the first few of a kind."""
    kinds: dict[tuple[Path | None, str, str], list[str]] = defaultdict(list)
    for finding in sorted(result.data_set, key=lambda finding: _GRADES[finding.grade]):
        kinds[(finding.path, finding.grade, finding.code)].append(finding.message)
    for (path, grade, code), messages in kinds.items():
        word = typer.style(f"{grade:>8}", fg=_COLOURS[grade])
        where = f"{path.name}: " if path else ""
        for message in messages[:_MANY]:
            typer.echo(f"{word}  {where}{message} [{code}]")
        if len(messages) > _MANY:
            typer.echo(f"{'':>10}... and {len(messages) - _MANY} more [{code}]")
