"""Explain what a pipeline says: a run with every saliency method asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from medvision.errors import UsageError
from medvision.explain import SALIENCY, Method
from medvision.pipeline import PipelineFolder
from medvision.progress import Progress, silent
from medvision.study import AS_IT_STANDS, Reading
from medvision.workflows.run import BatchResult, run


def explain(
    pipeline: PipelineFolder,
    inputs: Sequence[Path],
    out: Path,
    *,
    methods: Sequence[str] = (),
    split: str | None = None,
    reading: Reading = AS_IT_STANDS,
    engine: str = "auto",
    command: str = "",
    progress: Progress = silent,
) -> BatchResult:
    """Run the pipeline on `inputs` with the saliency `methods`; see :func:`medvision.workflows.run.run`.

    Parameters
    ----------
    methods
        Names of methods; the pipeline's own settings are taken for those it has, defaults for the others. Without
        names, every method that fits the pipeline's task.

    Raises
    ------
    UsageError
        A method is unknown, or does not fit the task.
    """
    settings = pipeline.settings
    fitting = {name: kind for name, kind in SALIENCY.items() if settings.task in kind.tasks}
    unknown = sorted(set(methods) - set(fitting))
    if unknown:
        known = ", ".join(sorted(fitting))
        raise UsageError("usage", f"{unknown[0]!r} does not explain a {settings.task}; there are {known}")
    own: dict[str, Method] = {method.use: method for method in settings.explain}
    chosen = tuple(own.get(name) or fitting[name]() for name in (methods or sorted(fitting)))
    return run(
        replace(pipeline, settings=replace(settings, explain=chosen)),
        inputs,
        out,
        split=split,
        reading=reading,
        engine=engine,
        command=command,
        progress=progress,
    )
