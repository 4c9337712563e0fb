"""The `medvision` command: its subcommands, and what an error looks like from outside."""

from __future__ import annotations

import gc
import sys

import typer

from medvision_cli import (
    check,
    clock,
    convert,
    deid,
    demo,
    doctor,
    evaluate,
    explain,
    export,
    import_,
    learning_curve,
    merge,
    pipelines,
    plan,
    pretrain,
    report,
    run,
    shell,
    streams,
    train,
    weights,
)

app = typer.Typer(
    name="medvision",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help=(
        "From a folder of scans to a report, for segmentation, classification and regression.\n\n"
        "A result is right, refused with a reason, or marked for review. Research use only, not for diagnosis."
    ),
)
app.callback()(shell.options)
app.command(name="check")(check.command)
app.command(name="run")(run.command)
app.command(name="merge")(merge.command)
app.command(name="plan")(plan.command)
app.command(name="train")(train.command)
app.command(name="pretrain")(pretrain.command)
app.command(name="learning-curve")(learning_curve.command)
app.command(name="evaluate")(evaluate.command)
app.command(name="explain")(explain.command)
app.command(name="convert")(convert.command)
app.command(name="report")(report.command)
app.add_typer(pipelines.app, name="pipelines")
app.add_typer(weights.app, name="weights")
app.add_typer(import_.app, name="import")
app.add_typer(export.app, name="export")
app.command(name="deid")(deid.command)
app.command(name="demo")(demo.command)
app.command(name="doctor")(doctor.command)


def main() -> None:
    """Run the command line; a known error becomes one message on stderr, JSON for who wants it, and its exit code."""
    try:
        streams.open_all()
        app(obj=clock.process_began())
    except SystemExit as ended:
        shell.fail_in_json(ended, 2)
        raise
    except Exception as error:
        code = shell.exit_code_of(error)
        shell.fail_in_json(error, 1 if code is None else code)
        if code is None:
            raise
        shell.complain(error)
        sys.exit(code)
    finally:
        gc.freeze()  # else Python, as it ends, looks through all objects of torch and MONAI: a second in 1.5
