"""Run a pipeline over a batch: what is missing is done, what fails is told, and nothing is lost."""

from __future__ import annotations

import itertools
import os
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medvision import io
from medvision.batch import Entry, Ledger, State, peak_memory_mb
from medvision.errors import Finding, InputError, MedvisionError, OutputError, UsageError, nothing_there, unforeseen
from medvision.files import write_bytes, write_json, write_text
from medvision.frameworks import choose_device, versions
from medvision.pipeline import PipelineFolder
from medvision.progress import Progress, silent
from medvision.report import overlay_png
from medvision.results import Regression, Segmentation, map_names
from medvision.selection import Selection, chosen
from medvision.study import AS_IT_STANDS, Case, Collection, Reading, by_image
from medvision.workflows.cases.analyse import Analysis, analyse
from medvision.workflows.report import PAGE, read_record, write_case_page, write_cohort


@dataclass(frozen=True)
class BatchResult:
    """What a run found and did.

    Parameters
    ----------
    folder
        Where the results lie.
    entries
        A line for each case and each refused input of this run, in the order of ids.
    analysed, done_before
        How many cases were analysed now, well or not, and how many were done already.
    skipped
        Files that are no images, and series that were not chosen: passed over.
    notes
        What is said once of all cases together.
    """

    folder: Path
    entries: tuple[Entry, ...]
    analysed: int
    done_before: int
    skipped: tuple[Finding, ...]
    notes: tuple[Finding, ...] = ()

    def count(self, state: str) -> int:
        """Return how many cases are ``"done"``, ``"refused"`` or ``"failed"``, or done and for ``"review"``."""
        if state == "review":
            return sum(entry.verdict == "review" for entry in self.entries)
        return sum(entry.state == state for entry in self.entries)

    def exit_code(self, *, strict: bool = False) -> int:
        """Return 0 all good, 3 no image found, 4 some and 5 all cases bad; `strict` counts those for review as bad."""
        bad = self.count("refused") + self.count("failed") + (self.count("review") if strict else 0)
        if not bad:
            return 0 if self.entries else 3
        if nothing_there(entry.problem for entry in self.entries):
            return 3
        return 5 if bad == len(self.entries) else 4

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {
            "schema": "medvision.batch/1",
            "folder": str(self.folder),
            "cases": len(self.entries),
            "analysed_now": self.analysed,
            "done_before": self.done_before,
            **{state: self.count(state) for state in ("done", "review", "refused", "failed")},
            "skipped": [finding.to_json() for finding in self.skipped],
            "notes": [note.to_json() for note in self.notes],
            "entries": [_entry_json(entry) for entry in self.entries],
        }


def run(
    pipeline: PipelineFolder,
    inputs: Sequence[Path],
    out: Path,
    *,
    split: str | None = None,
    reading: Reading = AS_IT_STANDS,
    device: str = "auto",
    command: str = "",
    notice: str | None = None,
    progress: Progress = silent,
) -> BatchResult:
    """Analyse every case found in `inputs`, and write results, pages and a table to `out`.

    A case that is done, from the same input by the same pipeline and with all its files as they were written, is
    left alone. A case that cannot be analysed never stops the others.

    Parameters
    ----------
    pipeline
        What to run.
    inputs
        Files, folders and DICOM trees; see :func:`medvision.io.scan`.
    out
        The output folder; made where missing, and held against other runs until this one ends.
    split
        Only the cases of this split (``"train"``, ``"val"`` or ``"test"``), where the data set names them.
    reading
        What was decided about how to read the images.
    device
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    command
        The command line, for the ledger.
    notice
        A sentence for the head of every page.
    progress
        Told of every case.

    Raises
    ------
    PipelineError
        The pipeline has no weights, or not its own.
    UsageError
        Two inputs would write to the same place; no case is of that split; `out` is an input, or holds results of
        another pipeline.
    OutputError, BusyError
        `out` cannot be written, or another run holds it.
    """
    pipeline.require_weights()
    if out.resolve() in {path.resolve() for path in inputs}:
        raise UsageError("usage", "the output folder is an input too", path=out, cure="Choose another --out.")
    scanned = _scanned(inputs, split, reading)
    found = _selected(scanned, pipeline.settings.select)
    with Ledger(out) as ledger, ledger.run(command, versions()):
        _require_one_pipeline(ledger, found, pipeline)
        rejections = _without_case(found, pipeline)
        rejected = [problem.path for problem in found.rejected if problem.path]
        unchosen = {case.path for case in scanned.cases} - {case.path for case in found.cases}
        ledger.forget([*inputs, *(case.path for case in found.cases), *rejected], [*rejected, *unchosen])
        ledger.enter(*rejections)
        missing, done_before = _missing(found, ledger, pipeline)
        if missing:
            device = choose_device(device)
            network = pipeline.load_network(device)
        for number, (case, digest) in enumerate(missing):
            progress(number, len(missing), case.id)
            ledger.remove_files(case.id)
            ledger.enter(_attempt(case, digest, pipeline, network, ledger, device=device, notice=notice))
        if missing:
            progress(len(missing), len(missing), "pages")
        write_cohort(ledger, pipeline)
        named = {case.id for case in found.cases} | {entry.id for entry in rejections if entry.state == "refused"}
        entries = tuple(entry for entry in ledger.entries().values() if entry.id in named)
    return BatchResult(out, entries, len(missing), done_before, found.skipped, notes_on(found))


def plan(
    inputs: Sequence[Path],
    *,
    split: str | None = None,
    reading: Reading = AS_IT_STANDS,
    select: Selection | None = None,
) -> Collection:
    """Return what a run would work on, without doing it: the cases of the split, series chosen as `select` says.

    Raises
    ------
    UsageError
        No case is of that split, or two cases have one name.
    """
    return _selected(_scanned(inputs, split, reading), select)


def notes_on(found: Collection) -> tuple[Finding, ...]:
    """Return what a person must know of all cases together: that volumes of one image are analysed one by one."""
    of_several = [case for case in found.cases if case.image is not None]
    if not of_several:
        return ()
    text = (
        f"{len(of_several)} cases are volumes of images that hold several ({len(by_image(of_several))} of them);"
        " each is analysed on its own"
    )
    return (Finding("several-volumes", "note", text),)


def _selected(found: Collection, select: Selection | None) -> Collection:
    return found if select is None else chosen(found, select)


def _scanned(inputs: Sequence[Path], split: str | None, reading: Reading) -> Collection:
    found = io.scan(inputs, reading)
    if split is None:
        return found
    cases = tuple(case for case in found.cases if case.split == split)
    if found.cases and not cases:
        known = ", ".join(sorted({str(case.split) for case in found.cases}))
        raise UsageError("usage", f"no case is of the split {split!r}; there are {known}")
    return replace(found, cases=cases)


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


def _attempt(
    case: Case,
    digest: str,
    pipeline: PipelineFolder,
    network: Any,
    ledger: Ledger,
    *,
    device: str,
    notice: str | None,
) -> Entry:
    """Analyse one case and write its results; whatever goes wrong with it is the entry's problem."""
    started = time.monotonic()
    entry = Entry(case.id, "refused", case.path, pipeline.digest, case.images, digest)
    try:
        analysis = analyse(case, pipeline, network, device=device)
        paths = write_analysis(analysis, ledger.folder / "cases" / case.id, pipeline, notice=notice)
        if case.digest() != digest:
            ledger.remove(paths)
            raise InputError("input-changed", "the input changed while it was analysed", path=case.path)
        verdict = analysis.record.verdict
        entry = replace(entry, state="done", verdict=verdict, files=ledger.hashes(paths))
    except OutputError:
        raise
    except MedvisionError as error:
        entry = replace(entry, problem=error.finding)
    except Exception as error:  # noqa: BLE001 - one case must never stop the others; the ledger keeps the cause
        entry = replace(entry, state="failed", problem=_bug(error, case, ledger.folder))
    return replace(entry, seconds=time.monotonic() - started, peak_memory_mb=peak_memory_mb())


def _missing(found: Collection, ledger: Ledger, pipeline: PipelineFolder) -> tuple[list[tuple[Case, str]], int]:
    """Return the cases that are to be analysed, with their hashes, and how many are done already."""
    missing, done = [], 0
    for case in found.cases:
        try:
            digest = case.digest()
        except OSError as error:
            problem = Finding("unreadable", "error", f"the file cannot be read: {error.strerror}", case.path)
            ledger.enter(Entry(case.id, "refused", case.path, pipeline.digest, case.images, problem=problem))
            continue
        if ledger.is_done(case, digest, pipeline.digest):
            done += 1
        else:
            missing.append((case, digest))
    return missing, done


def _without_case(found: Collection, pipeline: PipelineFolder) -> list[Entry]:
    """Return a line for everything that never became a case; what shares a path is numbered."""
    entries: dict[str, Entry] = {}
    states: tuple[tuple[State, Sequence[Finding]], ...] = (("refused", found.rejected), ("skipped", found.skipped))
    for state, problems in states:
        for problem in problems:
            path = problem.path or Path()
            # With a slash it cannot be a case's id; a name that is no UTF-8 is shown with marks in its place.
            name = os.fsencode(path).decode(errors="replace")
            name = name if "/" in name else f"./{name}"
            numbers = (f"{name}#{number}" for number in itertools.count(2))
            id_ = next(text for text in itertools.chain([name], numbers) if text not in entries)
            entries[id_] = Entry(id_, state, path, pipeline.digest, problem=problem)
    return list(entries.values())


def _require_one_pipeline(ledger: Ledger, found: Collection, pipeline: PipelineFolder) -> None:
    """Refuse to put results of two pipelines into one table."""
    again = {case.id for case in found.cases}
    mine = (pipeline.require_weights().sha256, pipeline.settings_sha256)
    for entry in ledger.entries().values():
        if entry.state != "done" or entry.id in again or not ledger.holds(entry):
            continue
        manifest = read_record(ledger.folder / "cases" / entry.id).manifest
        if (manifest.weights_sha256, manifest.pipeline_sha256) != mine:
            message = f"results of another pipeline lie here: {entry.id} was made by {manifest.pipeline}"
            raise UsageError("usage", message, path=ledger.folder, cure="Choose another --out.")


def _bug(error: Exception, case: Case, out: Path) -> Finding:
    """Keep where an unforeseen error arose, and its type, but not its words: they may hold values of a header."""
    path = out / "logs" / f"{case.id}.txt"
    write_text(path, "".join(traceback.format_tb(error.__traceback__)) + type(error).__name__ + "\n")
    return unforeseen(error, case.path, cure=f"Please report it with {path.relative_to(out)}.")


def _entry_json(entry: Entry) -> dict[str, Any]:
    problem = entry.problem
    return {
        "id": entry.id,
        "state": entry.state,
        "verdict": entry.verdict,
        "source": str(entry.source),
        "code": problem.code if problem else None,
        "message": problem.message if problem else None,
        "cure": problem.cure if problem else None,
        "seconds": round(entry.seconds, 3),
    }
