"""The page of what lies in folders: every image with a thumbnail, what it is, and what is wrong with it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from medvision.errors import REASONS, Finding
from medvision.report.display import Display
from medvision.report.pages import render
from medvision.report.pictures import colour_png, grey_png, window_of
from medvision.volume import Volume

Verdict = Literal["accept", "review", "refused"]
_ORDER: dict[Verdict, int] = {"refused": 0, "review": 1, "accept": 2}
_GRADES = {"error": 0, "warning": 1, "note": 2}
_PIXELS = 112


@dataclass(frozen=True)
class Thumbnail:
    """A cut through the middle of an image in the plane of its slices.

    Parameters
    ----------
    picture
        A PNG as a data URI.
    width, height
        In pixels of a page, true to the proportions of the body.
    """

    picture: str
    width: float
    height: float


@dataclass(frozen=True)
class InventoryRow:
    """One image of an inventory.

    Parameters
    ----------
    name
        Its path, as near as it can be told.
    what
        What it is, in words.
    facts
        Sizes and the like, as names and values.
    verdict
        Whether it can be analysed.
    findings
        What is wrong with it, or to be known of it.
    thumbnail
        A picture of it; None where it could not be read.
    """

    name: str
    what: str
    facts: tuple[tuple[str, str], ...]
    verdict: Verdict
    findings: tuple[Finding, ...]
    thumbnail: Thumbnail | None = None


def thumbnail(volume: Volume) -> Thumbnail:
    """Return a small picture of a volume: its middle slice, hung as radiologists do; grey, or in its own colours."""
    display = Display(volume.geometry)
    views = [display.view(channel) for channel in volume.voxels]
    plane = max(display.planes, key=lambda plane: _area(views[0].shape, plane.sides))
    cuts = [display.cut(view, plane, view.shape[plane.axis] // 2, display.whole) for view in views]
    width, height = display.size(plane, display.whole)
    scale = _PIXELS / max(width, height)
    is_colour = len(cuts) == 3 and not volume.geometry.physical
    picture = colour_png(cuts, _PIXELS) if is_colour else grey_png(cuts[0], window_of(volume), _PIXELS)
    return Thumbnail(picture, max(width * scale, 1.0), max(height * scale, 1.0))


def render_inventory(
    rows: Sequence[InventoryRow],
    *,
    title: str,
    command: str,
    more: int = 0,
    data_set: Sequence[Finding] = (),
    skipped: Sequence[tuple[str, int]] = (),
) -> str:
    """Return the page of an inventory: one HTML file without scripts or outside resources.

    Parameters
    ----------
    rows
        Images, in any order; those that cannot be analysed are shown first.
    title, command
        Of the page, and the command line that made it.
    more
        How many images are not among `rows`: none of them has anything wrong with it.
    data_set
        What is wrong with the images as a set; what is alike is shown together.
    skipped
        What was passed over, in words, and how many files of each.
    """
    ordered = sorted(rows, key=lambda row: (_ORDER[row.verdict], row.name))
    counts = Counter(row.verdict for row in rows)
    counts["accept"] += more
    kinds: dict[tuple[str, str, str], list[Finding]] = defaultdict(list)
    for finding in sorted(data_set, key=lambda finding: _GRADES[finding.grade]):
        kinds[(finding.path.name if finding.path else "", finding.grade, finding.code)].append(finding)
    return render(
        "inventory.html",
        {
            "title": title,
            "command": command,
            "counts": {verdict: counts[verdict] for verdict in ("accept", "review", "refused")},
            "rows": ordered,
            "more": more,
            "data_set": [(*kind, findings) for kind, findings in kinds.items()],
            "reasons": REASONS,
            "skipped": skipped,
        },
    )


def _area(shape: tuple[int, ...], sides: tuple[int, int]) -> int:
    return shape[sides[0]] * shape[sides[1]]
