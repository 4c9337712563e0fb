"""Records, images and a reader of pages for the tests of reports."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
from PIL import Image

from medvision.geometry import Geometry
from medvision.measure import measure
from medvision.report import PipelineFacts, render_case
from medvision.results import Manifest, Record, Saliency
from medvision.volume import Labels, Volume

MANIFEST = Manifest(
    command="medvision run a.nii.gz --pipeline demo",
    pipeline="demo 1.0",
    pipeline_sha256="aa11",
    weights_sha256="bb22",
    input_sha256="cc33",
    versions={"medvision": "0.1.0"},
    device="cpu",
    engine="torch-fp32",
    seed=5,
)


FACTS = PipelineFacts(
    name="demo",
    version="1.0",
    description="A pipeline for tests.",
    intended_use="Tests.",
    training_data="Nothing.",
    licence="Apache-2.0",
    limits=("It knows nothing.",),
    results=("Dice 0.90 (95 % interval 0.88 to 0.92).",),
    notice="This is a phantom, not a patient.",
)


_VOID = {"meta", "img", "br", "hr", "input", "link"}


@dataclass
class Svg:
    attributes: dict[str, str | None]
    images: list[dict[str, str | None]] = field(default_factory=list)
    letters: list[tuple[float, float, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    position: str = ""

    @property
    def size(self) -> tuple[float, float]:
        _, _, width, height = (self.attributes["viewbox"] or "").split()
        return float(width), float(height)

    def pixels(self) -> np.ndarray:
        (image,) = self.images
        header, _, content = (image["href"] or "").partition(",")
        assert header == "data:image/png;base64"
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))

    def letter(self, where: str) -> str:
        """Return the letter that lies furthest to the "left", "right", "top" or "bottom"."""
        key = {"left": (0, 1), "right": (0, -1), "top": (1, 1), "bottom": (1, -1)}[where]
        return min(self.letters, key=lambda letter: float(letter[key[0]]) * key[1])[2]


class Elements(HTMLParser):
    """Reads a page, and stops at any element that is closed in the wrong place."""

    def __init__(self, content: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(content)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.text += " "

    def handle_data(self, data: str) -> None:
        self.text += data


class Page(Elements):
    """The page of a case: its cuts, and the words that have an id."""

    def __init__(self, content: str) -> None:
        self.cuts: list[Svg] = []
        self.words: dict[str, str] = {}
        self._text_at: dict[str, str | None] = {}
        super().__init__(content)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        super().handle_startendtag(tag, attrs)
        attributes = dict(attrs)
        if tag == "svg":
            self.cuts.append(Svg(attributes))
        if tag == "image":
            self.cuts[-1].images.append(attributes)
        if tag == "path" and attributes.get("class") == "line":
            self.cuts[-1].paths.append(attributes["d"] or "")
        self._text_at = attributes if tag == "text" else {"class": attributes.get("class"), "id": attributes.get("id")}

    def handle_endtag(self, tag: str) -> None:
        super().handle_endtag(tag)
        self._text_at = {}

    def handle_data(self, data: str) -> None:
        super().handle_data(data)
        if "text" in self.open and "x" in self._text_at:
            self.cuts[-1].letters.append((float(self._text_at["x"] or 0), float(self._text_at["y"] or 0), data))
        if self._text_at.get("class") == "position":
            self.cuts[-1].position = data
        if self._text_at.get("id"):
            self.words[self._text_at["id"] or ""] = data

    def pictures(self, word: str) -> list[Svg]:
        return [cut for cut in self.cuts if cut.images and word in (cut.attributes["aria-label"] or "")]


def record_on(geometry: Geometry, **changes: Any) -> Record:
    return replace(Record("case-1", "segmentation", geometry, "MR", (), MANIFEST), **changes)


def spot_case(
    geometry: Geometry, at: tuple[int, int, int] | None = None, names: Mapping[int, str] | None = None
) -> tuple[Record, Volume, Labels]:
    """Return a dark image with one bright, labelled voxel."""
    voxels = np.zeros((1, *geometry.shape), np.float32)
    mask = np.zeros(geometry.shape, np.uint8)
    if at is not None:
        voxels[0][at] = 100.0
        mask[at] = 1
    volume, labels = Volume(voxels, geometry, "MR"), Labels(mask, geometry, names or {1: "spot"})
    return record_on(geometry, measurements=measure(labels, volume)), volume, labels


def page_of(record: Record, volume: Volume, labels: Labels | None, *saliency: Saliency, **facts: Any) -> Page:
    pipeline = replace(FACTS, **facts)
    return Page(render_case(record, volume, labels=labels, saliency=saliency, pipeline=pipeline))


def ras_grid(spacing: tuple[float, float, float], shape: tuple[int, int, int]) -> Geometry:
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = (-4.0, 10.0, -21.5)
    return Geometry(affine, shape)


def spot_map(geometry: Geometry, at: tuple[int, int, int], **changes: Any) -> Saliency:
    values = np.zeros(geometry.shape, np.float32)
    values[at] = 0.8
    parameters = {"layer": "decoder.2", "cell_size_mm": (2.0, 2.0, 2.0)}
    return replace(Saliency(values, geometry, "hirescam", "spot", None, parameters), **changes)
