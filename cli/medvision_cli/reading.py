"""The options by which a person decides how an image is read that can be read in more than one way, or is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from medvision.study import Reading

AllowGapsOption = Annotated[
    bool, typer.Option("--allow-gaps", help="Resample unevenly spaced slices to even spacing, with a warning.")
]
MergeSeriesOption = Annotated[
    bool, typer.Option("--merge-series", help="Take parallel series of one study, a slice each, for one volume.")
]
AssumeRasOption = Annotated[
    bool, typer.Option("--assume-ras", help="Take NIfTI without sform and qform for RAS+, with a warning.")
]
NanToOption = Annotated[
    float | None,
    typer.Option(
        "--nan-to",
        metavar="X",
        help="Replace voxels that are NaN or infinite by X, with a warning.",
        show_default=False,
    ),
]
OrthogonalOption = Annotated[
    bool, typer.Option("--orthogonal", help="Resample sheared volumes (tilted gantry) to right angles, with a warning.")
]
BqmlOption = Annotated[bool, typer.Option("--bqml", help="Leave PET in its stored unit, e.g. Bq/ml, and not in SUVbw.")]


def reading_of(
    *, allow_gaps: bool, merge_series: bool, assume_ras: bool, nan_to: float | None, orthogonal: bool, bqml: bool
) -> Reading:
    """Return what the options of a command say about reading."""
    from medvision.study import Reading

    return Reading(
        allow_gaps=allow_gaps,
        merge_series=merge_series,
        assume_ras=assume_ras,
        nan_to=nan_to,
        orthogonal=orthogonal,
        suv=not bqml,
    )
