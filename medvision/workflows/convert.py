"""Convert: every image that is found, as NIfTI with a JSON side file, or as a DICOM series."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from medvision import __version__, io
from medvision.errors import Finding, InputError, MedvisionError, OutputError, UsageError, nothing_there, unforeseen
from medvision.files import write_json
from medvision.io.dicom.sidecar import sidecar, volume_step_s
from medvision.io.dicom.write import write_dicom_series
from medvision.io.write import write_volumes
from medvision.progress import Progress, silent
from medvision.study import AS_IT_STANDS, Case, Reading, by_image
from medvision.volume import Volume

_IN_TIME = ("time", "time index", "acquisition number", "acquisition time")  # as `Series.order` says


@dataclass(frozen=True, kw_only=True)
class Form:
    """In what form images are written.

    Parameters
    ----------
    to
        ``"nifti"``: ``<id>.nii.gz`` and ``<id>.json``; ``"dicom"``: a folder ``<id>`` with a file a slice.
    modality
        The DICOM modality of images whose file states none, e.g. NIfTI; a contradiction is refused.
    split
        Each volume of a series (time points, echoes, ...) becomes a NIfTI file of its own, not a part of a 4D file.
    descriptions
        The side file repeats Series Description and Protocol Name, which were typed by hand and can hold names.
    keep_identity
        DICOM keeps the patient, the study and its dates.

    Raises
    ------
    UsageError
        NIfTI is to keep an identity, or DICOM is asked for what only NIfTI has.
    """

    to: Literal["nifti", "dicom"] = "nifti"
    modality: str | None = None
    split: bool = False
    descriptions: bool = False
    keep_identity: bool = False

    def __post_init__(self) -> None:
        if self.to == "nifti" and self.keep_identity:
            raise UsageError("usage", "NIfTI holds no identity that could be kept", cure="Write DICOM: --to dicom.")
        if self.to == "dicom" and (self.split or self.descriptions):
            text = "--split and --descriptions are for NIfTI; each volume is a DICOM series of its own"
            raise UsageError("usage", text, cure="Leave them out.")


NIFTI = Form()
"""NIfTI, without anything that identifies."""


@dataclass(frozen=True)
class Job:
    """What becomes one output: a case, or all volumes of one series.

    Parameters
    ----------
    id
        Names the output.
    cases
        In their order.
    outputs
        The files or the folder to be written.
    """

    id: str
    cases: tuple[Case, ...]
    outputs: tuple[Path, ...]


@dataclass(frozen=True)
class Plan:
    """What a conversion would do; `rejected` and `skipped` as in :class:`medvision.study.Collection`."""

    jobs: tuple[Job, ...]
    rejected: tuple[Finding, ...]
    skipped: tuple[Finding, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return {
            "jobs": [
                {"id": job.id, "source": str(job.cases[0].path), "outputs": [str(path) for path in job.outputs]}
                for job in self.jobs
            ],
            "rejected": [finding.to_json() for finding in self.rejected],
            "skipped": [finding.to_json() for finding in self.skipped],
        }


@dataclass(frozen=True)
class Converted:
    """One image that was written: its id, the new files, and what was noticed."""

    id: str
    files: tuple[Path, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class ConvertResult:
    """What a conversion came to.

    Parameters
    ----------
    folder
        Where the outputs lie.
    converted
        In the order of their ids.
    rejected
        What could not be converted, and why.
    skipped
        Files that are no images, and were passed over.
    """

    folder: Path
    converted: tuple[Converted, ...]
    rejected: tuple[Finding, ...]
    skipped: tuple[Finding, ...]

    def exit_code(self) -> int:
        """Return 0 all good, 3 no image found, 4 some and 5 all images refused."""
        if not self.rejected:
            return 0 if self.converted else 3
        if self.converted:
            return 4
        return 3 if nothing_there(self.rejected) else 5

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {
            "schema": "medvision.convert/1",
            "folder": str(self.folder),
            "converted": [
                {"id": one.id, "files": [str(file) for file in one.files], "findings": _findings_json(one.findings)}
                for one in self.converted
            ],
            "rejected": [finding.to_json() for finding in self.rejected],
            "skipped": [finding.to_json() for finding in self.skipped],
        }


def convert(
    inputs: Sequence[Path],
    out: Path,
    *,
    form: Form = NIFTI,
    reading: Reading = AS_IT_STANDS,
    force: bool = False,
    progress: Progress = silent,
) -> ConvertResult:
    """Write every image found in `inputs` to `out`; one that is refused keeps no other from being written.

    Parameters
    ----------
    inputs
        Files, folders and DICOM trees; see :func:`medvision.io.scan`.
    out
        The output folder; made where missing.
    form
        What is written.
    reading
        What was decided about images that can be read in more than one way.
    force
        Outputs that are there already are replaced.
    progress
        Told of every image.

    Raises
    ------
    UsageError
        Before anything is written: an output is there already (``output-exists``), two images would have one
        (``name-clash``), or `out` lies within an input.
    OutputError
        `out` cannot be written.
    """
    planned = plan(inputs, out, form=form, reading=reading)
    if not force:
        _require_new(planned.jobs)
    converted, rejected = [], list(planned.rejected)
    for number, job in enumerate(planned.jobs):
        progress(number, len(planned.jobs), job.id)
        try:
            converted.append(_converted(job, form, force=force))
        except OutputError:
            raise
        except MedvisionError as error:
            rejected.append(_of_case(error.finding, job))
        except Exception as error:  # noqa: BLE001 - one image must never stop the others; its words may hold values
            rejected.append(unforeseen(error, job.cases[0].path))
    return ConvertResult(out, tuple(converted), tuple(rejected), planned.skipped)


def plan(inputs: Sequence[Path], out: Path, *, form: Form = NIFTI, reading: Reading = AS_IT_STANDS) -> Plan:
    """Return what :func:`convert` would do, from headers alone.

    Raises
    ------
    UsageError
        ``name-clash``: two images would have one output; ``usage``: `out` lies within an input.
    """
    here = out.resolve()
    if any(here.is_relative_to(path.resolve()) for path in inputs):
        text = "the output folder lies within an input: its files would be taken for inputs the next time"
        raise UsageError("usage", text, path=out, cure="Choose another --out.")
    found = io.scan(inputs, reading=reading)
    are_alone = form.split or form.to == "dicom"
    outputs = [(case,) for case in found.cases] if are_alone else by_image(found.cases)
    jobs = tuple(_job(cases, out, form) for cases in outputs)
    _require_apart(jobs)
    return Plan(jobs, found.rejected, found.skipped)


def _job(cases: tuple[Case, ...], out: Path, form: Form) -> Job:
    first = cases[0]
    name = first.id if first.image is None or len(cases) == 1 else first.image
    return Job(name, cases, (out / name,) if form.to == "dicom" else _nifti_files(out, name))


def _nifti_files(out: Path, name: str) -> tuple[Path, Path]:
    return out / f"{name}.nii.gz", out / f"{name}.json"


def _require_apart(jobs: Iterable[Job]) -> None:
    """Refuse two images of one output, and an output that is an input."""
    sources = {file.resolve() for job in jobs for case in job.cases for source in case.images for file in source.files}
    taken: set[str] = set()
    for job in jobs:
        if job.id.casefold() in taken:
            raise UsageError("name-clash", f"two images would be written to {job.id}", path=job.outputs[0])
        taken.add(job.id.casefold())
        for path in job.outputs:
            if path.resolve() in sources:
                raise UsageError("usage", "this output is an input", path=path, cure="Choose another --out.")


def _require_new(jobs: Iterable[Job]) -> None:
    there = [path for job in jobs for path in job.outputs if path.exists()]
    if there:
        more = f", and {len(there) - 1} more outputs" if len(there) > 1 else ""
        raise UsageError("output-exists", f"it is there already{more}", path=there[0])


def _converted(job: Job, form: Form, *, force: bool) -> Converted:
    volumes = [_with_modality(io.read_volume(case), form.modality) for case in job.cases]
    if form.to == "dicom":
        return _as_dicom(job, volumes[0], form, force=force)
    out = job.outputs[0].parent
    if _are_alike(job, volumes):
        return Converted(job.id, _write_nifti(job, volumes, form), _distinct(volumes))
    # A 4D file has one grid and one kind of values: where these change, each volume is a file.
    files: list[Path] = []
    for case, volume in zip(job.cases, volumes, strict=True):
        alone = Job(case.id, (case,), _nifti_files(out, case.id))
        if not force:
            _require_new([alone])
        files += _write_nifti(alone, [volume], form)
    return Converted(job.id, tuple(files), _distinct(volumes))


def _are_alike(job: Job, volumes: Sequence[Volume]) -> bool:
    """Whether volumes can be one file: on one grid, in one unit, of one type of image."""
    first = volumes[0]
    types = {str(facts.get("ImageType")) for facts in _stated(job)}
    return len(types) < 2 and all(
        volume.geometry.matches(first.geometry) and volume.unit == first.unit for volume in volumes
    )


def _stated(job: Job, *, descriptions: bool = False) -> list[dict[str, Any]]:
    """Return what the headers of each volume's files state, once for volumes of the same files."""
    return [
        sidecar(files, descriptions=descriptions)
        for files in dict.fromkeys(case.images[0].files for case in job.cases if case.images[0].kind == "dicom")
    ]


def _with_modality(volume: Volume, modality: str | None) -> Volume:
    """Return the volume as one of `modality`, where its file states none."""
    if modality is None or volume.modality == modality:
        return volume
    if volume.modality is not None:
        text = f"the file states modality {volume.modality}, {modality} was named"
        raise InputError("modality-differs", text, cure="Leave out --modality for it.")
    return replace(volume, modality=modality)


def _as_dicom(job: Job, volume: Volume, form: Form, *, force: bool) -> Converted:
    source = job.cases[0].images[0]
    written = write_dicom_series(
        job.outputs[0],
        volume,
        name=job.id,
        like=source.files if source.kind == "dicom" else (),
        keep_identity=form.keep_identity and source.kind == "dicom",
        force=force,
    )
    findings = volume.findings
    if written.rounded_by:
        text = f"values were rounded by up to {written.rounded_by:.3g} to fit 16 bits"
        findings += (Finding("values-rounded", "note", text, job.cases[0].path),)
    return Converted(job.id, written.files, findings)


def _write_nifti(job: Job, volumes: Sequence[Volume], form: Form) -> tuple[Path, ...]:
    image, beside = job.outputs
    facts = _facts(job, volumes, form)
    if len(volumes) == 1:
        io.write_volume(image, volumes[0])
    else:
        write_volumes(image, volumes, _step_s(job, facts))
    write_json(beside, facts)
    return job.outputs


def _facts(job: Job, volumes: Sequence[Volume], form: Form) -> dict[str, Any]:
    """Return the content of the side file: what all volumes agree on, and the findings."""
    stated = _stated(job, descriptions=form.descriptions)
    facts = {
        name: value
        for name, value in (stated[0] if stated else {}).items()
        # The times of slices differ by their rounding from volume to volume; the first one's stand for all.
        if name == "SliceTiming" or all(other.get(name) == value for other in stated)
    }
    if volumes[0].modality is not None:
        facts = {"Modality": volumes[0].modality, **facts}
    if volumes[0].unit == "SUVbw":
        facts["Units"] = "SUVbw"  # the header's unit is that before the conversion
    return {
        **facts,
        **_of_volumes(job, stated, facts),
        "ConversionSoftware": "medvision",
        "ConversionSoftwareVersion": __version__,
        "MedvisionFindings": _findings_json(_distinct(volumes)),
    }


def _of_volumes(job: Job, stated: Sequence[dict[str, Any]], shared: Mapping[str, Any]) -> dict[str, Any]:
    """Return by what the volumes of a 4D file are ordered, and what each states beside what all share."""
    series = job.cases[0].series
    if len(job.cases) < 2:
        return {}
    order = {"MedvisionVolumeOrder": series.order} if series is not None and series.order else {}
    if len(stated) < len(job.cases):
        return order
    own = [{name: value for name, value in facts.items() if name not in shared} for facts in stated]
    return {**order, "MedvisionVolumes": own}


def _step_s(job: Job, facts: dict[str, Any]) -> float | None:
    """Return the time from volume to volume of a series that is ordered by time; None where it is not known."""
    series = job.cases[0].series
    if series is None or series.order not in _IN_TIME:
        return None
    return volume_step_s(facts, list(dict.fromkeys(case.images[0].files[0] for case in job.cases)))


def _distinct(volumes: Iterable[Volume]) -> tuple[Finding, ...]:
    return tuple(dict.fromkeys(finding for volume in volumes for finding in volume.findings))


def _of_case(finding: Finding, job: Job) -> Finding:
    """Return the reason of a refusal, with the place of the image where it names none."""
    return finding if finding.path is not None else replace(finding, path=job.cases[0].path)


def _findings_json(findings: Iterable[Finding]) -> list[dict[str, str | None]]:
    """Return findings without the paths of files, which can identify."""
    return [finding.unplaced().to_json() for finding in findings]
