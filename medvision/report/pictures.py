"""Grey values and map values as PNG, small enough to stand inside a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medvision.report.wording import brief
from medvision.volume import Volume

if TYPE_CHECKING:
    from PIL.Image import Image

_SOFT_TISSUE_HU = (-160.0, 240.0)
_PERCENTILES = (0.5, 99.5)
_ENOUGH = 2_000_000  # voxels for the percentiles of a window


@dataclass(frozen=True)
class Window:
    """The values shown as black and white, and how they were chosen, in words."""

    low: float
    high: float
    words: str


def window_of(volume: Volume) -> Window:
    """Return the window for the first channel: soft tissue for HU, else between robust percentiles."""
    if volume.unit == "HU":
        low, high = _SOFT_TISSUE_HU
        return Window(low, high, f"Grey from {brief(low)} HU (black) to {brief(high)} HU (white)")
    values = volume.voxels[0]
    step = max(1, round((values.size / _ENOUGH) ** (1 / 3)))
    low, high = (float(v) for v in np.percentile(values[::step, ::step, ::step], _PERCENTILES))
    unit = f" {volume.unit}" if volume.unit else ""
    return Window(
        low,
        high,
        f"Grey from {brief(low)}{unit} (black) to {brief(high)}{unit} (white), "
        "the 0.5 and 99.5 percentiles of the image",
    )


def grey_png(cut: NDArray[Any], window: Window, longest: int) -> str:
    """Return a (rows, columns) cut in grey as a data URI, at most `longest` pixels a side."""
    return _data_uri(_scaled(cut, window.low, window.high, longest))


def colour_png(cuts: Sequence[NDArray[Any]], longest: int) -> str:
    """Return the (rows, columns) cuts of red, green and blue as a data URI; 16 bits are shown as 8."""
    from PIL import Image

    most = float(np.iinfo(cuts[0].dtype).max) if cuts[0].dtype.kind == "u" else float(max(cut.max() for cut in cuts))
    return _data_uri(Image.merge("RGB", [_scaled(cut, 0.0, most, longest) for cut in cuts]))


def map_png(cut: NDArray[np.float32], maximum: float, longest: int) -> str:
    """Return a (rows, columns) cut of a map as a data URI, from 0 to `maximum` in the colours of the colour bar."""
    image = _scaled(cut, 0.0, maximum, longest)
    image.putpalette(colours())
    return _data_uri(image)


@cache
def colour_bar_png() -> str:
    """Return the colours of maps from 0, at the left, to the maximum as a data URI of 256 by 1 pixels."""
    return map_png(np.arange(256, dtype=np.float32)[np.newaxis], 255.0, 256)


def _scaled(cut: NDArray[Any], low: float, high: float, longest: int) -> Image:
    from PIL import Image

    share = (cut.astype(np.float32) - low) / (high - low if high > low else 1.0)
    image = Image.fromarray(np.round(255 * np.clip(share, 0.0, 1.0)).astype(np.uint8))
    most = max(image.size)
    if most <= longest:
        return image
    columns, rows = (max(1, round(side * longest / most)) for side in image.size)
    return image.resize((columns, rows), Image.Resampling.BOX)


def _data_uri(image: Image) -> str:
    content = io.BytesIO()
    image.save(content, "PNG", compress_level=6)
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode("ascii")


@cache
def colours() -> bytes:
    """Return 256 colours of matplotlib's magma: perceptually uniform, black for nothing."""
    from matplotlib import colormaps

    table = colormaps["magma"](np.arange(256), bytes=True)[:, :3]
    return bytes(np.ascontiguousarray(table))
