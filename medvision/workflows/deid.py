"""De-identify DICOM: every image ends as a copy that can be handed on, or as a refusal."""

from __future__ import annotations

import csv
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from medvision import archives
from medvision.deid import (
    DIRECTORY,
    Decoder,
    Deidentified,
    DeidOptions,
    Secret,
    birth_date,
    deidentified,
    patient_id,
    patient_key,
)
from medvision.deid.report import render
from medvision.deid.summary import Outcome, Summary
from medvision.errors import Finding, InputError, MedvisionError, OutputError, UsageError, nothing_there
from medvision.files import replacing, write_json, write_text
from medvision.io.dicom.content import opened
from medvision.io.dicom.decode import decoded
from medvision.io.dicom.frame import Frame
from medvision.io.kinds import kind_of
from medvision.io.located import decoding, located, quiet
from medvision.io.walk import Found, walk
from medvision.progress import Progress, silent
from medvision.study import safe_id

REPORT = "deid-report.json"
"""The record of what was done, in the output folder; the page beside it is made from it."""

_Names = dict[tuple[str, str], str]  # the user's pseudonyms, by Patient ID and its issuer


@dataclass(frozen=True)
class DeidResult:
    """What became of every file.

    Parameters
    ----------
    summary
        What the report says: without paths and values of the inputs.
    refused
        Why a file was refused, with its path: for the person whose files they are, and never written.
    folder
        Where the copies lie.
    """

    summary: Summary
    refused: tuple[Finding, ...]
    folder: Path

    @property
    def written(self) -> int:
        """How many copies were written; of a dry run, how many would be."""
        return self.summary.written

    def exit_code(self) -> int:
        """Return 0 where all files were de-identified, 4 where some were refused, 5 where all were, 3 for no image."""
        if not self.refused:
            return 0 if self.written else 3
        if self.written:
            return 4
        return 3 if nothing_there(self.refused) else 5


def deidentify(
    paths: Sequence[Path],
    out: Path,
    options: DeidOptions | None = None,
    *,
    key: Path | None = None,
    mapping: Path | None = None,
    dry_run: bool = False,
    progress: Progress = silent,
) -> DeidResult:
    """De-identify all DICOM images below `paths` into `out`: a folder a patient, a study and a series.

    Parameters
    ----------
    paths
        DICOM files, folders of any depth and zip archives.
    out
        The output folder; it lies apart from the inputs.
    options
        What is kept beyond the basic profile, and what happens to lettering in pixels.
    key
        A file with the secret, made where there is none, and kept apart from `out`. With the same key, the same
        patient, UID and date become the same again. Without, the secret is thrown away, and `out` has to be empty:
        a run that is cut off can then only be started over elsewhere.
    mapping
        A CSV with the columns ``patient_id``, as Patient ID (0010,0020) states it, ``pseudonym``, and where hospitals
        share IDs ``issuer``, as Issuer of Patient ID (0010,0021) states it; a row without an issuer stands for one
        patient of the ID, whatever the issuer. Otherwise pseudonyms follow from the secret.
    dry_run
        Do everything but write.
    progress
        Is told how far the work is; it hears no names.

    Raises
    ------
    UsageError
        `out` and the inputs or the key lie in each other; `out` holds the outputs of another key.
    InputError
        The key or the mapping cannot be used.
    OutputError
        `out` cannot be written.
    """
    options = options or DeidOptions()
    _check_apart([Path(path) for path in paths], out, key)
    names = _read_mapping(mapping) if mapping else None
    secret = _secret(key, out, dry_run=dry_run)
    files, refused, passed_over = _found(paths)
    run = _Run(out, options, secret, names, dry_run=dry_run)
    run.refused, run.passed_over = refused, passed_over
    run.report(is_finished=False)  # a run that is cut off leaves word of whose the copies are
    is_finished = False
    try:
        with quiet():
            for number, file in enumerate(files):
                progress(number, len(files), "")
                run.take(file)
        is_finished = True
    finally:
        summary = run.report(is_finished=is_finished)
    return DeidResult(summary, tuple(run.refused), out)


def decoder(file: Path, source: Any) -> Decoder:
    """Return what decodes the frames of a file in the order and with the care of :mod:`medvision.io.dicom.decode`.

    Parameters
    ----------
    file
        The file, on disk or in an archive.
    source
        Its data set, of which pixels alone are asked: whether they make a volume does not matter here.
    """

    def frames() -> Iterator[NDArray[Any]]:
        with located(file), quiet():
            count = max(int(source.get("NumberOfFrames") or 1), 1)
            yield from decoded([_frame(file, source, number, count) for number in range(count)])

    return frames


def _frame(file: Path, source: Any, number: int, count: int) -> Frame:
    """Return of a frame what its decoder has to know; nothing else is stated."""
    nothing: dict[str, Any] = dict.fromkeys(field.name for field in fields(Frame))
    stated = {
        "file": file,
        "number": number,
        "frames": count,
        "transfer_syntax": str(source.file_meta.TransferSyntaxUID),
        "is_assumed": False,
        "sop_class": str(source.SOPClassUID),
        "rows": source.Rows,
        "columns": source.Columns,
        "samples": source.get("SamplesPerPixel"),
        "photometric": source.get("PhotometricInterpretation"),
        "bits_allocated": source.BitsAllocated,
        "bits_stored": source.get("BitsStored"),
    }
    return Frame(**{**nothing, **stated})


class _Run:
    """The files of one call: what they share, and what has been done so far."""

    def __init__(self, out: Path, options: DeidOptions, secret: Secret, names: _Names | None, *, dry_run: bool) -> None:
        self.out, self.options, self.secret, self.names, self.dry_run = out, options, secret, names, dry_run
        self.refused: list[Finding] = []
        self.passed_over = 0
        self.births: dict[str, str] = {}  # by patient
        self.patients: dict[str, str] = {}  # by pseudonym
        self.outcomes: dict[str, Outcome] = {}
        self.actions: Counter[tuple[str, str]] = Counter()

    def take(self, file: Path) -> None:
        """De-identify one file, or note why it is refused; one file must never end the others' run.

        Raises
        ------
        OutputError
            The output folder cannot be written.
        """
        try:
            self.passed_over += 0 if self.treat(file) else 1
        except OutputError:
            raise
        except MedvisionError as error:
            self.refused.append(error.finding)
        except Exception as error:  # noqa: BLE001 - its words may quote the file
            place = traceback.extract_tb(error.__traceback__)[-1]
            text = f"{type(error).__name__} at {Path(place.filename).name}, line {place.lineno}"
            self.refused.append(Finding("internal", "error", text, file))

    def treat(self, file: Path) -> bool:
        """De-identify one file; return whether it is an image, and not a directory of a medium.

        Raises
        ------
        InputError
            The file is refused.
        """
        from pydicom import dcmread

        with located(file):
            with opened(file) as content, decoding("the file"):
                source = dcmread(content, force=True)
            if (
                str(source.get("SOPClassUID") or source.get("file_meta", {}).get("MediaStorageSOPClassUID"))
                == DIRECTORY
            ):
                return False
            patient = patient_key(source)
            pseudonym = self._pseudonym(source, patient)
            with decoding("the data set"):
                result = deidentified(
                    source,
                    self.options,
                    self.secret,
                    patient=patient,
                    pseudonym=pseudonym,
                    decode=decoder(file, source),
                )
            self._keep(result, self._place(source, pseudonym))
        return True

    def report(self, *, is_finished: bool) -> Summary:
        """Write what was done so far, unless this is a dry run, and return it."""
        summary = Summary(
            self.options,
            tuple(self.outcomes.values()),
            dict(Counter(finding.code for finding in self.refused)),
            self.passed_over,
            dict(self.actions),
            dry_run=self.dry_run,
            is_finished=is_finished,
        )
        if not self.dry_run:
            write_json(self.out / REPORT, summary.to_json() | {"key": self.secret.fingerprint()})
            write_text(self.out / "deid-report.html", render(summary))
        return summary

    def _pseudonym(self, source: Any, patient: str) -> str:
        """Return what the patient is called; no two patients become one, and none is two persons."""
        if self.names is None:
            name = self.secret.pseudonym(patient)
        else:
            identity = patient_id(source)
            if not identity[0]:
                raise InputError("patient-unmapped", "it states no Patient ID (0010,0020), by which the mapping goes")
            found = self.names.get(identity) or self.names.get((identity[0], ""))
            if found is None:
                raise InputError("patient-unmapped", "the mapping names no pseudonym for its Patient ID and issuer")
            name = found
        if self.patients.setdefault(name, patient) != patient:
            text = "its Patient ID is that of another file with another Issuer of Patient ID (0010,0021)"
            cure = "Give the mapping a column issuer, and a row for each of them."
            raise InputError("patient-ambiguous", text, cure=cure)
        born = birth_date(source)
        if born and self.births.setdefault(patient, born) != born:
            raise InputError("patient-ambiguous", "another file of its Patient ID states another birth date")
        return name

    def _place(self, source: Any, pseudonym: str) -> str:
        """Return the path of the copy below the output folder; no name in it comes from the input."""
        uids = (source.StudyInstanceUID, source.SeriesInstanceUID, source.SOPInstanceUID)
        study, series, image = (self.secret.name(str(uid).strip()) for uid in uids)
        return f"{pseudonym}/study-{study}/series-{series}/{image}.dcm"

    def _keep(self, result: Deidentified, place: str) -> None:
        from pydicom import dcmwrite

        if place in self.outcomes:
            raise InputError("name-clash", "another file states the same SOP Instance UID, and was taken")
        if not self.dry_run:
            with replacing(self.out / place) as temporary, decoding("the copy"):
                dcmwrite(temporary, result.dataset, enforce_file_format=True)
        kinds = tuple(reason.partition(":")[0] for reason in result.suspected)
        self.outcomes[place] = Outcome(place, kinds[0] if kinds else None, result.blanked)
        self.actions.update(result.actions)


def _check_apart(paths: Sequence[Path], out: Path, key: Path | None) -> None:
    target = out.resolve()
    for path in paths:
        source = path.resolve()
        if source.is_relative_to(target) or target.is_relative_to(source):
            raise UsageError("usage", "the output folder and an input lie in each other", path=out)
    if key is not None and key.resolve().is_relative_to(target):
        raise UsageError("usage", "the key would lie among the outputs that it can undo", path=key)


def _secret(key: Path | None, out: Path, *, dry_run: bool) -> Secret:
    """Return the secret: of the key file, or a new one, that is written there or thrown away after the run."""
    is_new = key is None or not key.exists()
    secret = Secret.fresh() if key is None or is_new else Secret.read(key)
    report = out / REPORT
    is_used = report.exists() or (is_new and out.is_dir() and any(out.iterdir()))
    if is_used and _key_of(report) != secret.fingerprint():
        cure = "Name the key of the first run (--key); without one, its secret is gone: name another output folder."
        raise UsageError("usage", "the output folder holds what was made without this key", path=out, cure=cure)
    if key is not None and is_new and not dry_run:
        secret.write(key)
    return secret


def _key_of(report: Path) -> str | None:
    import json

    try:
        content = json.loads(report.read_text(encoding="utf-8"))
        return str(content["key"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _read_mapping(path: Path) -> _Names:
    """Return the user's pseudonyms; InputError (``bad-manifest``), quoting no cell, for a list that cannot be used."""
    names: _Names = {}
    with located(path), path.open(encoding="utf-8-sig", newline="") as file, decoding("the mapping"):
        rows = csv.DictReader(file)
        if not {"patient_id", "pseudonym"} <= set(rows.fieldnames or ()):
            raise InputError("bad-manifest", "it needs the columns patient_id and pseudonym")
        for row in rows:
            patient, issuer, name = ((row.get(k) or "").strip() for k in ("patient_id", "issuer", "pseudonym"))
            if not patient or not name or safe_id(name) != name or len(name) > 64:
                words = "a patient_id is empty, or a pseudonym is not of up to 64 letters, digits, '.', '_', '-'"
                raise InputError("bad-manifest", f"line {rows.line_num}: {words}")
            if (patient, issuer) in names or name in names.values():
                raise InputError("bad-manifest", f"line {rows.line_num}: a patient_id or a pseudonym stands twice")
            names[patient, issuer] = name
    return names


def _found(paths: Sequence[Path]) -> tuple[list[Path], list[Finding], int]:
    """Return the DICOM files below the paths, what is refused already, and how many files are no images."""
    files: dict[Path, None] = {}
    refused: list[Finding] = []
    passed_over = 0
    for path in map(Path, paths):
        try:
            found = _below(path)
        except MedvisionError as error:
            refused.append(error.finding)
            continue
        refused += found.rejected
        passed_over += len(found.skipped)
        for file, kind in found.images:
            if kind == "dicom":
                files[file] = None
            else:
                refused.append(Finding("not-deidentifiable", "error", "only DICOM is de-identified", file))
    return list(files), refused, passed_over


def _below(path: Path) -> Found:
    """Return what lies below a folder or archive; a file by itself, which is refused where it is no image."""
    if not archives.exists(path):
        raise InputError("not-found", "there is no such file or folder", path=path)
    if archives.is_folder(path):
        return walk(path)
    kind = kind_of(path)
    if kind is None:
        raise InputError("no-image", "the file is no image", path=path)
    return Found(((path, kind),), (), (), ())
