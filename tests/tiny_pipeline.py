"""A small pipeline for tests, and how to write it with changes."""

from __future__ import annotations

from pathlib import Path

TINY = """
name = "tiny"
task = "segmentation"
description = "For tests"
version = "2.1.0"

[contract]
shows = "anything"
side = "left"

[labels]
1 = "one"
2 = "two"

[[steps]]
use = "reorient"
orientation = "RAS"

[[steps]]
use = "resample"
spacing_mm = [1.0, 1.5, 2.0]

[network]
use = "dynunet"
channels = [4, 4, 4]

[train]
epochs = 3

[[explain]]
use = "seg-hirescam"
"""

CLASSIFIER = """
name = "pictures"
task = "classification"
description = "For tests"

[contract]
shows = "anything"
dimensions = 2

[labels]
0 = "no"
1 = "yes"

[network]
use = "resnet"
blocks = [1, 1, 1, 1]
channels = [4, 8, 8, 8]
"""

STRIPES = """
name = "stripes"
task = "classification"
description = "Which way stripes run"
[contract]
shows = "stripes"
dimensions = 2
[labels]
0 = "upright"
1 = "level"
"""
GREYS = """
[[steps]]
use = "rescale"
source = [0.0, 255.0]
[network]
use = "resnet"
blocks = [1, 1, 1, 1]
channels = [4, 4, 8, 8]
stem_kernel = 3
stem_stride = 1
stem_pool = false
"""


def pipeline(folder: Path, *changes: tuple[str, str], text: str = TINY) -> Path:
    """Write a pipeline whose text is changed as told, and return its file."""
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pipeline.toml").write_text(text, encoding="utf-8")
    return folder / "pipeline.toml"
