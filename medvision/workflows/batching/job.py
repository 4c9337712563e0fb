"""The unit of work of a batch: one case becomes files in the output folder, and a line for the ledger.

It knows no ledger, and all that it needs can be pickled, so that any process of any machine that sees the folders can
do it.
"""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass, replace
from pathlib import Path

from medvision import io
from medvision.batch import Entry, forget_peak_memory, hashes_of, peak_memory_mb
from medvision.batch.hold import remove_parts
from medvision.engines import Choice
from medvision.errors import Finding, InputError, MedvisionError, OutputError, unforeseen
from medvision.files import write_bytes, write_json, write_text
from medvision.pipeline import PipelineFolder
from medvision.report import overlay_png
from medvision.results import Regression, Segmentation, map_names
from medvision.study import Case
from medvision.workflows.batching.engine import Engines, digest_with
from medvision.workflows.batching.forecast import Forecast, expected_of
from medvision.workflows.cases.analyse import Analysis, analyse
from medvision.workflows.cases.network import ReadyNetwork
from medvision.workflows.report import PAGE, write_case_page


@dataclass(frozen=True)
class Work:
    """What is done with every case of a batch.

    Parameters
    ----------
    pipeline
        What to run.
    out
        The output folder.
    choice
        Which engine computes the network; None: torch in fp32, without a comparison.
    notice
        A sentence for the head of every page.
    threads
        What a process computes with.
    memory_gb
        In GB of 10^9 bytes: a case that would take more is refused; None: none is.
    ours
        Whether the process does nothing else.
    """

    pipeline: PipelineFolder
    out: Path
    choice: Choice | None = None
    notice: str | None = None
    threads: int = 1
    memory_gb: float | None = None
    ours: bool = False

    @property
    def digest(self) -> str:
        """SHA-256 of all that a result depends on besides its input."""
        return digest_with(self.pipeline, None if self.choice is None else self.choice.engine)


@dataclass(frozen=True, eq=False)
class Opened:
    """What is done with every case, once the network is loaded: called with a case, it returns its entry.

    Parameters
    ----------
    work
        What is done.
    network
        The pipeline's.
    base_bytes
        What the process held before it opened the network.
    """

    work: Work
    network: ReadyNetwork
    base_bytes: int = 0

    def __call__(self, case: Case) -> Entry:
        """Return what came of a case; see :func:`analysed`."""
        return analysed(case, self)


def opened(work: Work) -> Opened:
    """Load the network, once for many cases.

    Raises
    ------
    PipelineError
        The weights are not those that belong to the pipeline.
    ExtraMissingError, UsageError
        The engine cannot run here.
    """
    base = peak_memory_mb() or 0.0
    return Opened(
        work, Engines(work.pipeline, threads=work.threads, ours=work.ours).ready(work.choice), int(base * 2**20)
    )


def analysed(case: Case, at: Opened) -> Entry:
    """Analyse one case and write its results; whatever goes wrong with it is the entry's problem.

    Raises
    ------
    OutputError
        The results cannot be written: no other case's could.
    """
    started = time.monotonic()
    forget_peak_memory()
    expected = _expected(case, at)
    short = _short(expected, at.work, case)
    if short is None:
        entry = _attempt(case, at)
    else:
        entry = Entry(case.id, "refused", case.path, at.work.digest, case.images, problem=short)
    return replace(
        entry,
        seconds=time.monotonic() - started,
        peak_memory_mb=peak_memory_mb(),
        forecast_seconds=None if expected is None else expected.seconds,
        forecast_memory_mb=None if expected is None else expected.memory_mb,
    )


def unfinished(case: Case, work: Work) -> None:
    """Remove what an attempt may have written for a case, whether or not it is in a ledger; nothing of the user's.

    Raises
    ------
    OutputError
        Something cannot be removed.
    """
    folder = work.out / "cases" / case.id
    if not folder.is_dir():
        return
    remove_parts(folder)
    for name in _names(work.pipeline):
        try:
            (folder / name).unlink(missing_ok=True)
        except OSError as error:
            message = f"cannot be removed: {error.strerror}"
            raise OutputError("output-unwritable", message, path=folder / name) from error


def write_analysis(analysis: Analysis, folder: Path, pipeline: PipelineFolder, *, notice: str | None) -> list[Path]:
    """Write mask, probabilities or values, maps, record and page of one case into `folder`, and return the files."""
    files = {}
    if isinstance(analysis.result, Segmentation):
        files["mask"] = "mask.nii.gz"
        io.write_labels(folder / files["mask"], analysis.result.labels)
    elif isinstance(analysis.result, Regression):
        files["values"] = "values.json"
        stated = {value.name: {"value": value.value, "unit": value.unit} for value in analysis.result.values}
        write_json(folder / files["values"], stated)
    else:
        files["probabilities"] = "probabilities.json"
        write_json(folder / files["probabilities"], dict(analysis.result.probabilities))
    names = map_names([saliency.method for saliency in analysis.saliency])
    for name, saliency in zip(names, analysis.saliency, strict=True):
        files[name] = f"{name}.nii.gz"
        io.write_map(folder / files[name], saliency.values, saliency.geometry)
        files[f"{name} overlay"] = f"{name}.png"
        write_bytes(folder / f"{name}.png", overlay_png(analysis.volume, saliency))
    files |= {"record": "record.json", "page": PAGE}
    record = replace(analysis.record, files=files, notice=notice)
    write_json(folder / files["record"], record.to_json())
    write_case_page(
        folder / files["page"],
        record,
        analysis.volume,
        labels=analysis.result.labels if isinstance(analysis.result, Segmentation) else None,
        saliency=analysis.saliency,
        pipeline=pipeline,
    )
    return [folder / name for name in files.values()]


def _expected(case: Case, at: Opened) -> Forecast | None:
    """Return what a case will take; None where nothing was measured, or its headers cannot be read."""
    work = at.work
    if work.choice is None:
        return None
    settings = work.pipeline.settings
    return expected_of(case, settings, work.choice, threads=work.threads, base_bytes=at.base_bytes)


def _short(expected: Forecast | None, work: Work, case: Case) -> Finding | None:
    """Return why a case is not begun, where it would take more memory than there is."""
    if expected is None or work.memory_gb is None or expected.memory_mb * 2**20 <= work.memory_gb * 1e9:
        return None
    needed = expected.memory_mb * 2**20 / 1e9
    return Finding("memory-short", "error", f"it would take {needed:.1f} GB, of {work.memory_gb:.1f} GB", case.path)


def _attempt(case: Case, at: Opened) -> Entry:
    work, pipeline = at.work, at.work.pipeline
    entry = Entry(case.id, "refused", case.path, work.digest, case.images)
    unfinished(case, work)
    try:
        entry = replace(entry, input_sha256=case.digest())
        analysis = analyse(case, pipeline, at.network)
        paths = write_analysis(analysis, work.out / "cases" / case.id, pipeline, notice=work.notice)
        _require_unchanged(case, entry.input_sha256)
        return replace(entry, state="done", verdict=analysis.record.verdict, files=hashes_of(work.out, paths))
    except BaseException as error:  # also where this process is told to end: a case is done, or not begun
        unfinished(case, work)
        if isinstance(error, OutputError) or not isinstance(error, Exception):
            raise
        return _not_done(entry, case, error, work.out)


def _not_done(entry: Entry, case: Case, error: Exception, out: Path) -> Entry:
    """Return why a case is not done: an input that is no longer what it was explains everything else."""
    if entry.input_sha256 is None and isinstance(error, OSError) and not isinstance(error, MedvisionError):
        message = f"the file cannot be read: {error.strerror}"
        return replace(entry, problem=Finding("unreadable", "error", message, case.path))
    try:
        if entry.input_sha256 is not None:
            _require_unchanged(case, entry.input_sha256)
    except InputError as changed:
        return replace(entry, problem=changed.finding)
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):  # the latter is torch's
        problem = Finding("out-of-memory", "error", f"case {case.id}: memory ran out", case.path)
        return replace(entry, state="failed", problem=problem)
    if isinstance(error, MedvisionError):
        return replace(entry, problem=error.finding)
    return replace(entry, state="failed", problem=_bug(error, case, out))


def _require_unchanged(case: Case, digest: str | None) -> None:
    try:
        same = case.digest() == digest
    except OSError as error:
        message = "the input vanished while it was analysed"
        raise InputError("input-changed", message, path=case.path) from error
    if not same:
        raise InputError("input-changed", "the input changed while it was analysed", path=case.path)


def _bug(error: Exception, case: Case, out: Path) -> Finding:
    """Keep where an unforeseen error arose, and its type, but not its words: they may hold values of a header."""
    path = out / "logs" / f"{case.id}.txt"
    write_text(path, "".join(traceback.format_tb(error.__traceback__)) + type(error).__name__ + "\n")
    return unforeseen(error, case.path, cure=f"Please report it with {path.relative_to(out)}.")


def _names(pipeline: PipelineFolder) -> list[str]:
    """Return the name of every file that :func:`write_analysis` may write for a case."""
    maps = map_names([method.use for method in pipeline.settings.explain])
    made = [f"{name}{suffix}" for name in maps for suffix in (".nii.gz", ".png")]
    return ["mask.nii.gz", "values.json", "probabilities.json", *made, "record.json", PAGE]
