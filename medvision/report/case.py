"""The page of one case."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from medvision.errors import InputError
from medvision.report.columns import predicted_class
from medvision.report.facts import PipelineFacts
from medvision.report.maps import map_figures
from medvision.report.mosaic import mosaic_of
from medvision.report.outlines import style_of
from medvision.report.pages import render
from medvision.report.pictures import colour_bar_png
from medvision.report.scene import Scene
from medvision.report.wording import fixed, flattened
from medvision.results import Record, Saliency
from medvision.volume import Labels, Volume

if TYPE_CHECKING:
    from markupsafe import Markup

_TIMES = " \N{MULTIPLICATION SIGN} "


def render_case(
    record: Record, volume: Volume, *, labels: Labels | None, saliency: Sequence[Saliency], pipeline: PipelineFacts
) -> str:
    """Return the page of one case: one HTML file without scripts or outside resources.

    Parameters
    ----------
    record
        What was found; all numbers on the page are its numbers, and it stands in the page as JSON.
    volume
        The image, for the figures.
    labels
        The mask on the image's grid; None for a classification.
    saliency
        Maps on the image's grid, shown in this order.
    pipeline
        The pipeline's card.

    Raises
    ------
    InputError
        Mask or map do not lie on the image's grid; a number of the record is not finite.
    """
    _require_one_grid(volume, labels, saliency)
    scene = Scene.of(volume, labels)
    return render(
        "case.html",
        {
            "record": record,
            "pipeline": pipeline,
            "unit": volume.unit,
            "findings": sorted(record.findings, key=lambda finding: ("error", "warning", "note").index(finding.grade)),
            "styles": [style_of(position) for position in range(len(record.measurements))],
            "mosaic": mosaic_of(scene, channels=volume.channels),
            "maps": map_figures(scene, saliency),
            "colour_bar": colour_bar_png(),
            "predicted": predicted_class(record),
            "provenance": _provenance(record),
            "checks": list(flattened(record.checks)),
            "embedded": _embedded(record),
        },
    )


def _require_one_grid(volume: Volume, labels: Labels | None, saliency: Sequence[Saliency]) -> None:
    if labels is not None and not labels.geometry.matches(volume.geometry):
        raise InputError("grid-differs", "the mask does not lie on the image's grid")
    for one in saliency:
        if not one.geometry.matches(volume.geometry):
            raise InputError("grid-differs", f"the {one.method} map does not lie on the image's grid")


def _provenance(record: Record) -> list[tuple[str, str]]:
    manifest, geometry = record.manifest, record.geometry
    spacing = _TIMES.join(fixed(step, 3) for step in geometry.spacing)
    facts = [
        ("Pipeline", manifest.pipeline),
        ("Pipeline SHA-256", manifest.pipeline_sha256),
        ("Weights SHA-256", manifest.weights_sha256),
        ("Input SHA-256", manifest.input_sha256),
        ("Versions", ", ".join(f"{name} {version}" for name, version in manifest.versions.items())),
        ("Device and engine", f"{manifest.device}, {manifest.engine}"),
        ("Seed", str(manifest.seed)),
        ("Modality", record.modality or "not stated by the file"),
        ("Grid", _TIMES.join(str(size) for size in geometry.shape)),
    ]
    if geometry.physical:
        facts += [("Spacing", f"{spacing} mm"), ("Axis order", geometry.orientation)]
        facts += [
            ("Position of the first voxel (RAS)", ", ".join(fixed(at, 1) for at in geometry.affine[:3, 3]) + " mm")
        ]
    else:
        facts += [("Spacing", "not stated by the file: all sizes are in pixels")]
    return [*facts, *((f"File: {role}", name) for role, name in record.files.items())]


def _embedded(record: Record) -> Markup:
    """Return the record as JSON that cannot end the element it stands in."""
    from jinja2.utils import htmlsafe_json_dumps

    dumps: Any = functools.partial(json.dumps, ensure_ascii=False, allow_nan=False)
    try:
        return htmlsafe_json_dumps(record.to_json(), dumps=dumps)
    except ValueError as error:
        raise InputError("not-finite", f"the record of case {record.case} holds a number that is not finite") from error
