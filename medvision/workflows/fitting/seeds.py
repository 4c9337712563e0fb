"""The seed of a training: that of its settings, or another one that was asked for."""

from __future__ import annotations

from dataclasses import replace

from medvision.errors import PipelineError, UsageError
from medvision.pipeline import PipelineFolder, read_settings


def seeded(pipeline: PipelineFolder, seed: int | None) -> PipelineFolder:
    """Return the pipeline with another seed, where one is given.

    Raises
    ------
    PipelineError
        The pipeline's file does not say what is in force: it has changed since it was opened.
    """
    file = pipeline.folder / "pipeline.toml"
    if read_settings(file) != pipeline.settings:
        cure = "Open the pipeline again, or write the settings to its file."
        raise PipelineError("pipeline-invalid", "the file does not say what is in force", path=file, cure=cure)
    if seed is None:
        return pipeline
    return with_seed(pipeline, seed)


def with_seed(pipeline: PipelineFolder, seed: int) -> PipelineFolder:
    """Return the pipeline with another seed of its training; UsageError where it is none."""
    if not 0 <= seed < 2**32:
        raise UsageError("usage", f"a seed is a whole number from 0 to {2**32 - 1}, got {seed}")
    return replace(pipeline, settings=replace(pipeline.settings, train=replace(pipeline.settings.train, seed=seed)))
