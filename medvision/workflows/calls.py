"""The verbs that need no pipeline, as Python users call them: paths in any form, one call of the workflow."""

from __future__ import annotations

from pathlib import Path

from medvision.deid import DeidOptions
from medvision.files import Paths, as_paths
from medvision.planning import MEMORY_GB
from medvision.progress import Progress, silent
from medvision.study import AS_IT_STANDS, Reading
from medvision.workflows import check as checking
from medvision.workflows import convert as converting
from medvision.workflows import deid as deidentifying
from medvision.workflows import plan as planning


def check(
    inputs: Paths,
    *,
    reading: Reading = AS_IT_STANDS,
    headers_only: bool = False,
    pictures: bool = False,
    progress: Progress = silent,
) -> checking.CheckResult:
    """Say of every image in `inputs` what it is and what is wrong; see :func:`medvision.workflows.check.check`.

    Examples
    --------
    >>> import medvision as mv
    >>> found = mv.check("scans/")  # doctest: +SKIP
    >>> [image.path for image in found.images if image.verdict == "refused"]  # doctest: +SKIP
    """
    return checking.check(
        as_paths(inputs), reading=reading, headers_only=headers_only, pictures=pictures, progress=progress
    )


def convert(
    inputs: Paths,
    out: str | Path,
    *,
    form: converting.Form = converting.NIFTI,
    reading: Reading = AS_IT_STANDS,
    force: bool = False,
    progress: Progress = silent,
) -> converting.ConvertResult:
    """Write every image in `inputs` as NIfTI or DICOM; see :func:`medvision.workflows.convert.convert`."""
    return converting.convert(as_paths(inputs), Path(out), form=form, reading=reading, force=force, progress=progress)


def deidentify(
    inputs: Paths,
    out: str | Path,
    options: DeidOptions | None = None,
    *,
    key: str | Path | None = None,
    mapping: str | Path | None = None,
    dry_run: bool = False,
    progress: Progress = silent,
) -> deidentifying.DeidResult:
    """Copy DICOM images without what identifies; see :func:`medvision.workflows.deid.deidentify`."""
    return deidentifying.deidentify(
        as_paths(inputs),
        Path(out),
        options,
        key=Path(key) if key is not None else None,
        mapping=Path(mapping) if mapping is not None else None,
        dry_run=dry_run,
        progress=progress,
    )


def plan(
    data: Paths,
    out: str | Path,
    *,
    task: str | None = None,
    name: str | None = None,
    memory_gb: float = MEMORY_GB,
    dry_run: bool = False,
    progress: Progress = silent,
) -> planning.PlanResult:
    """Measure labelled data, and write a pipeline for them; see :func:`medvision.workflows.plan.plan`.

    Examples
    --------
    >>> import medvision as mv
    >>> planned = mv.plan("data/", "mine")  # doctest: +SKIP
    >>> [(each.setting, each.value, each.reason) for each in planned.plan.decisions]  # doctest: +SKIP
    """
    return planning.plan(
        as_paths(data), Path(out), task=task, name=name, memory_gb=memory_gb, dry_run=dry_run, progress=progress
    )
