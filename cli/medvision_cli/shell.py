"""What all commands share: their common parameters, progress on stderr, messages, and exit codes."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medvision.progress import Progress
from medvision_cli.pace import Pace

if TYPE_CHECKING:
    from medvision.errors import Finding

PipelineArgument = Annotated[
    str,
    typer.Argument(metavar="PIPELINE", help="Name of a shipped pipeline, or a pipeline folder.", show_default=False),
]
InputsArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="INPUT...",
        help="NIfTI or DICOM files, folders of any depth, pictures, .npz, a manifest (CSV, JSONL) or a dataset.json.",
        show_default=False,
    ),
]
OutOption = Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Output folder.", show_default=False)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
EngineOption = Annotated[
    str,
    typer.Option(
        "--engine",
        help="What computes the network, e.g. torch-fp32 or openvino-bf16; auto measures which is the fastest here"
        " within the pipeline's tolerance.",
    ),
]
SplitOption = Annotated[
    str | None, typer.Option("--split", help="Only the cases of this split: train, val or test.", show_default=False)
]
StrictOption = Annotated[bool, typer.Option("--strict", help="Count cases marked for review as refused.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]

_MOST_CASES = 5  # in a line


def _print_version(wanted: bool) -> None:
    if wanted:
        from medvision import __version__

        typer.echo(__version__)
        raise typer.Exit


def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Answer the options that stand before any command."""


def command_line() -> str:
    """Return the command line as it was given."""
    return shlex.join(["medvision", *sys.argv[1:]])


def say(words: str) -> None:
    """Write a line for people, to stderr; that nobody reads it any more stops no work."""
    with contextlib.suppress(OSError):
        typer.echo(words, err=True)


def print_json(content: Any) -> None:
    """Write JSON for machines, to stdout."""
    typer.echo(json.dumps(content, indent=2, ensure_ascii=False))


def cases_of(finding: Finding, named: Mapping[str, Sequence[Any]]) -> str:
    """Return the first cases that a warning is about, as a few words; empty for a note, or where none is named."""
    ids = [name for entry in named.get(finding.code, ()) for name in ([entry] if isinstance(entry, str) else entry)]
    if finding.grade == "note" or not ids:
        return ""
    few = ids if len(ids) <= _MOST_CASES else [*ids[: _MOST_CASES - 1], f"{len(ids) - _MOST_CASES + 1:,} more"]
    return f"{'case' if len(ids) == 1 else 'cases'} {', '.join(few)}"


def noticed(findings: Sequence[Finding], named: Mapping[str, Sequence[Any]]) -> list[str]:
    """Return a line for each finding, and below it the cases of its code; of several of one code, below the last."""
    warned = [finding for finding in findings if finding.grade != "note"]
    counts, last = Counter(finding.code for finding in warned), {finding.code: finding for finding in warned}
    lines = []
    for finding in findings:
        lines.append(f"{finding.grade}: {finding.message} [{finding.code}]")
        cases = cases_of(finding, named) if finding is last.get(finding.code) else ""
        if cases:
            lines.append(f"  {f'{finding.code}, in all: ' if counts[finding.code] > 1 else ''}{cases}")
    return lines


@contextlib.contextmanager
def progress(words: str, *, resumes: bool | str = True) -> Iterator[Progress]:
    """Show how far the work is: a bar on a terminal, else a line every ten seconds; nothing below two seconds.

    Parameters
    ----------
    words
        What is done.
    resumes
        What an interrupted user is told: that the same command goes on, or that it starts over; or own words.
    """
    try:
        with _shown(words) as tell:
            yield tell
    except KeyboardInterrupt:
        does = {True: "The same command goes on where this one stopped.", False: "The same command starts over."}
        say(f"Interrupted. {does[resumes] if isinstance(resumes, bool) else resumes}")
        raise


@contextlib.contextmanager
def _shown(words: str) -> Iterator[Progress]:
    if not sys.stderr.isatty():
        yield _plain(words)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    with Bar(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(words, total=None, rate="")
        pace = Pace()

        def tell(done: int, total: int, last: str) -> None:
            if not total:  # what is said before the first step is meant to stay
                bar.console.print(f"{words}: {last}", markup=False, highlight=False)
            pace.note(done)
            bar.update(task, completed=done, total=total, description=f"{words} {last}", rate=pace.rate())

        yield tell


def _plain(words: str) -> Progress:
    told = time.monotonic() - 8  # the first line after two seconds
    pace = Pace()

    def tell(done: int, total: int, last: str) -> None:
        nonlocal told
        pace.note(done)
        if not total:  # what is said before the first step is meant to stay
            say(f"{words}: {last}")
        elif time.monotonic() - told >= 10:
            told = time.monotonic()
            say(" ".join(filter(None, [f"{words}: {done} of {total}", pace.words(total), last])))

    return tell


def launch_once(processes: int) -> None:
    """Run this command in some processes and exit as they do; return where this is one of them."""
    from medvision.training.launch import end_with_launcher, launch, launched

    if launched():
        end_with_launcher()
        return
    ended = launch([sys.executable, "-m", "medvision", *sys.argv[1:]], processes)
    if ended.words:
        say(f"medvision: {ended.words}")
    raise typer.Exit(ended.code if ended.code >= 0 else 1)


def exit_code_of(error: Exception) -> int | None:
    """Return the exit code of an error that medvision raises on purpose; None for a bug."""
    from medvision import errors

    codes = {
        errors.UsageError: 2,
        errors.ExtraMissingError: 2,
        errors.PipelineError: 7,
        errors.BusyError: 8,
        errors.OutputError: 6,
        errors.MedvisionError: 5,
    }
    return next((code for kind, code in codes.items() if isinstance(error, kind)), None)


def complain(error: Exception) -> None:
    """Write an error and its cure to stderr."""
    from medvision.errors import MedvisionError, printable

    if isinstance(error, MedvisionError):
        finding = error.finding
        where = f"{printable(finding.path)}: " if finding.path else ""
        say(f"medvision: {where}{finding.message} [{finding.code}]")
        say(f"  {finding.cure}")


def failure(finding: Finding, exit_code: int) -> dict[str, Any]:
    """Return what ``--json`` prints of a command that ended with an error, the same for all commands."""
    return {"schema": "medvision.error/1", "error": finding.to_json(), "exit_code": exit_code}


def fail_in_json(error: Exception | SystemExit, exit_code: int) -> None:
    """Write an error to stdout as JSON where ``--json`` was given; nothing where it was not, or for a mere exit."""
    if not _wants_json(sys.argv[1:]):
        return
    from medvision.errors import Finding, MedvisionError, unforeseen

    if isinstance(error, MedvisionError):
        print_json(failure(error.finding, exit_code))
    elif not isinstance(error, SystemExit):
        print_json(failure(unforeseen(error, None), exit_code))
    else:
        # The parser tells wrong usage on stderr itself; it exits while it handles its own error, which has the words.
        words = getattr(error.__context__, "format_message", None)
        if words is not None:
            print_json(failure(Finding("usage", "error", words()), exit_code))


def _wants_json(words: list[str]) -> bool:
    """Say whether the option stands in a command line; what follows ``--`` are names.

    >>> _wants_json(["run", "--json"]), _wants_json(["run", "--", "--json"])
    (True, False)
    """
    return "--json" in words[: words.index("--") if "--" in words else None]
