"""A map laid over its image as one PNG, for slides and for other programs; the pages show the two side by side."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from medvision.report.display import Box, Display, Plane
from medvision.report.pictures import colours, window_of
from medvision.results import Saliency
from medvision.volume import Volume

if TYPE_CHECKING:
    from PIL.Image import Image

_HEIGHT = 360  # pixels of every cut
_OPAQUE = 0.6  # of the map where it is greatest; nothing where it is 0


def overlay_png(volume: Volume, saliency: Saliency) -> bytes:
    """Return the cuts through the map's maximum, the map over the image, with letters for the patient's directions.

    The map's colours are those of the pages (magma from 0 to the maximum); it is the clearer the greater it is, and
    leaves the image bare where it is 0. Patient's right is on the left. The same input gives the same bytes.

    Parameters
    ----------
    volume
        The image; its first channel is shown.
    saliency
        A map on the image's grid.
    """
    from PIL import Image

    display = Display(volume.geometry)
    values = display.view(saliency.values)
    peak = tuple(int(at) for at in np.unravel_index(int(values.argmax()), values.shape))
    grey = display.view(volume.voxels[0])
    window = window_of(volume)
    span = window.high - window.low if window.high > window.low else 1.0
    top = float(values.max()) or 1.0
    cuts = []
    for plane in display.planes:
        image, over = (display.cut(view, plane, peak[plane.axis], display.whole) for view in (grey, values))
        blended = _blend(np.clip((image - window.low) / span, 0, 1), over / top)
        cuts.append(_sized(Image.fromarray(blended), display, plane, display.whole))
    whole = Image.new("RGB", (sum(cut.width + 4 for cut in cuts) - 4, _HEIGHT))
    left = 0
    for cut in cuts:
        whole.paste(cut, (left, 0))
        left += cut.width + 4
    content = io.BytesIO()
    whole.save(content, "PNG", compress_level=6)
    return content.getvalue()


def _blend(grey: NDArray[np.floating], share: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return (rows, columns, 3): the colour of `share` over `grey`, both 0 to 1."""
    table = np.frombuffer(colours(), dtype=np.uint8).reshape(256, 3)
    colour = table[np.round(255 * share).astype(np.uint8)].astype(np.float32)
    weight = (_OPAQUE * np.sqrt(share))[..., np.newaxis]
    return np.asarray(np.round((1 - weight) * 255 * grey[..., np.newaxis] + weight * colour), dtype=np.uint8)


def _sized(image: Image, display: Display, plane: Plane, box: Box) -> Image:
    """Return the cut in its true proportions, with the letters of its edges."""
    from PIL import Image as Images
    from PIL import ImageDraw

    width, height = display.size(plane, box)
    sized = image.resize((max(1, round(_HEIGHT * width / height)), _HEIGHT), Images.Resampling.NEAREST)
    if plane.edges:
        draw = ImageDraw.Draw(sized)
        right, bottom = sized.width - 1, sized.height - 1
        places = (
            (4, bottom // 2, "lm"),
            (right - 4, bottom // 2, "rm"),
            (right // 2, 4, "mt"),
            (right // 2, bottom - 4, "mb"),
        )
        for letter, (x, y, anchor) in zip(plane.edges, places, strict=True):
            draw.text(
                (x, y), letter, fill=(255, 255, 255), anchor=anchor, font_size=16, stroke_width=2, stroke_fill=(0, 0, 0)
            )
    return sized
