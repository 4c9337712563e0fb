"""The commands `medvision import ...`: pipelines made from models of other programs."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True, help="Make a pipeline from a model of another program.")


@app.callback()
def import_() -> None:
    """Make a pipeline from a model of another program."""
