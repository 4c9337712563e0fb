"""The reason codes: what each one means, why it matters, and what to do.

A code is a word of the interface: scripts compare it, ledgers keep it. It is never renamed and its meaning stays; one
that is no longer used is removed here and listed in ``docs/reference/reasons.md``. A new one goes into the fitting
section.
"""

from __future__ import annotations

from collections.abc import Mapping

from medvision.reasons.analysis import CASES, DATA_SETS, LABELS
from medvision.reasons.output import DEIDENTIFICATION, RUNNING
from medvision.reasons.pipelines import PIPELINES
from medvision.reasons.reading import FILES, OBJECTS, PLACES, VALUES
from medvision.reasons.reason import Reason as Reason

SECTIONS: Mapping[str, Mapping[str, Reason]] = {
    "Files, folders and archives": FILES,
    "Headers and kinds of objects": OBJECTS,
    "Where voxels and slices lie": PLACES,
    "Values of voxels": VALUES,
    "Labels": LABELS,
    "Data sets": DATA_SETS,
    "Pipelines and weights": PIPELINES,
    "Cases and their results": CASES,
    "De-identification": DEIDENTIFICATION,
    "Running and writing": RUNNING,
}
"""The codes by what they are about."""

REASONS: Mapping[str, Reason] = {code: reason for section in SECTIONS.values() for code, reason in section.items()}
"""Every code."""
